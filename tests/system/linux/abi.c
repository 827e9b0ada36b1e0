/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file abi.c
 * abi MODE IMAGE: the calls of /dev/palacios without the v3 command, in the host that tests/system/linux.t boots.
 *   refuse     every malformed argument is refused with the errno the header promises
 *   churn=N    N VMs made, started, stopped and freed
 *   states     every command in every state
 *   persist    a persistent VM outlives its descriptors and can be opened until it is destroyed
 *   peek       guest memory and dumps through the descriptor
 *   faults     each allocation of CREATE and START refused in turn (the module's parameter fail_at)
 *   memory     says what a VM takes: bytes of its memory by host piece, bytes of the pool before, with it, after
 *   user       as another user: what belongs to others cannot be opened
 * Exit status 0: all as it should be; else each difference is a line of output.
 */
#include "../../../linux_module/uapi/palacios.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BAD_POINTER ((void *)16)

static struct {
	void *image;
	size_t size;
	int device;
	int failed;
} abi;

/* @got: result of a call, with errno; @want: 0 or the errno expected */
static void abi_expect(const char *what, int got, int want)
{
	int err = got < 0 ? errno : 0;

	if (err == want)
		return;
	printf("%s: %s, expected %s\n", what, strerror(err), strerror(want));
	abi.failed = 1;
}

static struct palacios_create abi_request(void)
{
	struct palacios_create c = {.image = (uintptr_t)abi.image, .size = abi.size};

	return c;
}

static int abi_create(void)
{
	struct palacios_create c = abi_request();

	return ioctl(abi.device, PALACIOS_CREATE, &c);
}

static int abi_stop(int vm, uint32_t how)
{
	struct palacios_stop s = {.how = how};

	return ioctl(vm, PALACIOS_VM_STOP, &s);
}

static int abi_state(int vm)
{
	struct palacios_info info;

	return ioctl(vm, PALACIOS_VM_INFO, &info) ? -1 : (int)info.state;
}

/* ---- refuse ---- */

static void refuse_create(void)
{
	struct palacios_create c = abi_request();
	char *copy = malloc(abi.size);

#define REFUSED(what, want)                                                                        \
	abi_expect("create, " what, ioctl(abi.device, PALACIOS_CREATE, &c), want)
	c.flags = 2;
	REFUSED("an unknown flag", EINVAL);
	c = abi_request();
	c.reserved0 = 1;
	REFUSED("reserved0", EINVAL);
	c = abi_request();
	c.reserved[3] = 1;
	REFUSED("reserved", EINVAL);
	c = abi_request();
	c.size = 0;
	REFUSED("no bytes", EINVAL);
	c.size = PALACIOS_MAX_IMAGE + 1;
	REFUSED("too long", E2BIG);
	c.size = ~0ull;
	REFUSED("absurdly long", E2BIG);
	c = abi_request();
	c.image = (uintptr_t)BAD_POINTER;
	REFUSED("bad image pointer", EFAULT);
	c = abi_request();
	memset(c.name, 'x', sizeof(c.name));
	REFUSED("name without end", EINVAL);
	strcpy(c.name, "a/b");
	REFUSED("name with a slash", EINVAL);
	c = abi_request();
	c.size = abi.size - 1;
	REFUSED("image cut short", EBADMSG);
	c.size = 1;
	REFUSED("image of one byte", EBADMSG);
	/* One wrong bit anywhere: the checksums find it. */
	for (size_t at = 0; copy && at < abi.size; at += abi.size / 37 + 1) {
		memcpy(copy, abi.image, abi.size);
		copy[at] ^= 4;
		c.image = (uintptr_t)copy;
		c.size = abi.size;
		REFUSED("image with a wrong bit", EBADMSG);
	}
#undef REFUSED
	free(copy);
	abi_expect("create, bad pointer", ioctl(abi.device, PALACIOS_CREATE, BAD_POINTER), EFAULT);
	abi_expect("version, bad pointer", ioctl(abi.device, PALACIOS_VERSION, BAD_POINTER),
		   EFAULT);
	abi_expect("VM command on the device", ioctl(abi.device, PALACIOS_VM_START), ENOTTY);
	abi_expect("unknown command", ioctl(abi.device, 0x12345678), ENOTTY);
}

/* Descriptors that come along: what they may be. */
static void refuse_files(void)
{
	struct palacios_file file = {.name = "x"};
	struct palacios_create_files c = {
		.create = abi_request(), .files = (uintptr_t)&file, .nfiles = 1};
	int null = open("/dev/null", O_RDWR), regular = open("/init", O_RDONLY);

#define REFUSED(what, want)                                                                        \
	abi_expect("create with files, " what, ioctl(abi.device, PALACIOS_CREATE_FILES, &c), want)
	file.fd = -1;
	REFUSED("no descriptor", EBADF);
	file.fd = null;
	REFUSED("a disk on a character device", EINVAL);
	file.kind = PALACIOS_FILE_TAP;
	REFUSED("an interface that is another device", EINVAL);
	file.fd = regular;
	REFUSED("an interface that is a file", EINVAL);
	file.kind = PALACIOS_FILE_TAP + 1;
	REFUSED("an unknown kind", EINVAL);
	file.kind = PALACIOS_FILE_DISK;
	file.reserved[1] = 1;
	REFUSED("reserved", EINVAL);
	file.reserved[1] = 0;
	file.name[0] = 0;
	REFUSED("no name", EINVAL);
	memset(file.name, 'x', sizeof(file.name));
	REFUSED("a name without end", EINVAL);
	c.nfiles = PALACIOS_MAX_FILES + 1;
	REFUSED("too many", E2BIG);
	c.nfiles = 1;
	c.files = (uintptr_t)BAD_POINTER;
	REFUSED("bad pointer", EFAULT);
#undef REFUSED
	close(null);
	close(regular);
}

static void refuse_console(int vm)
{
	struct palacios_console c = {.flags = 1};

	abi_expect("console, a flag", ioctl(vm, PALACIOS_VM_CONSOLE, &c), EINVAL);
	c.flags = 0;
	c.reserved[6] = 1;
	abi_expect("console, reserved", ioctl(vm, PALACIOS_VM_CONSOLE, &c), EINVAL);
	c.reserved[6] = 0;
	memset(c.name, 'x', sizeof(c.name));
	abi_expect("console, name without end", ioctl(vm, PALACIOS_VM_CONSOLE, &c), EINVAL);
	strcpy(c.name, "nosuch");
	abi_expect("console, no such stream", ioctl(vm, PALACIOS_VM_CONSOLE, &c), ENOENT);
}

static int abi_open(const char *name)
{
	struct palacios_open o = {.flags = 0};

	strncpy(o.name, name, sizeof(o.name) - 1);
	return ioctl(abi.device, PALACIOS_OPEN, &o);
}

static void refuse_open_and_list(void)
{
	struct palacios_open o = {.name = "nosuch"};
	struct palacios_list l = {.after = ~0ull};

	abi_expect("open, no such VM", ioctl(abi.device, PALACIOS_OPEN, &o), ENOENT);
	o.flags = 1;
	abi_expect("open, a flag", ioctl(abi.device, PALACIOS_OPEN, &o), EINVAL);
	o.flags = 0;
	o.reserved[6] = 1;
	abi_expect("open, reserved", ioctl(abi.device, PALACIOS_OPEN, &o), EINVAL);
	o.reserved[6] = 0;
	o.name[0] = 0;
	abi_expect("open, no name", ioctl(abi.device, PALACIOS_OPEN, &o), EINVAL);
	memset(o.name, 'x', sizeof(o.name));
	abi_expect("open, name without end", ioctl(abi.device, PALACIOS_OPEN, &o), EINVAL);
	abi_expect("open, bad pointer", ioctl(abi.device, PALACIOS_OPEN, BAD_POINTER), EFAULT);
	abi_expect("list, the end", ioctl(abi.device, PALACIOS_LIST, &l), ENOENT);
	l.reserved[2] = 1;
	abi_expect("list, reserved", ioctl(abi.device, PALACIOS_LIST, &l), EINVAL);
	abi_expect("list, bad pointer", ioctl(abi.device, PALACIOS_LIST, BAD_POINTER), EFAULT);
}

static void refuse_vcpus(int vm)
{
	struct palacios_vcpu v = {.vcpu = 1};
	struct palacios_move m = {.vcpu = 1};

	abi_expect("vcpu, none", ioctl(vm, PALACIOS_VM_VCPU, &v), ERANGE);
	v.vcpu = 0;
	v.reserved[3] = 1;
	abi_expect("vcpu, reserved", ioctl(vm, PALACIOS_VM_VCPU, &v), EINVAL);
	abi_expect("vcpu, bad pointer", ioctl(vm, PALACIOS_VM_VCPU, BAD_POINTER), EFAULT);
	abi_expect("move, no vcpu", ioctl(vm, PALACIOS_VM_MOVE, &m), ERANGE);
	m.vcpu = 0;
	m.cpu = 12345;
	abi_expect("move, no CPU", ioctl(vm, PALACIOS_VM_MOVE, &m), ENODEV);
	m.reserved[1] = 1;
	abi_expect("move, reserved", ioctl(vm, PALACIOS_VM_MOVE, &m), EINVAL);
	abi_expect("move, bad pointer", ioctl(vm, PALACIOS_VM_MOVE, BAD_POINTER), EFAULT);
}

/* This guest has none. */
static void refuse_balloon(int vm)
{
	struct palacios_balloon b = {.flags = 0};

	abi_expect("balloon, none", ioctl(vm, PALACIOS_VM_BALLOON, &b), ENODEV);
	b.flags = PALACIOS_BALLOON_SET;
	abi_expect("balloon, none to set", ioctl(vm, PALACIOS_VM_BALLOON, &b), ENODEV);
	b.flags = PALACIOS_BALLOON_SET | PALACIOS_BALLOON_DRIVER;
	abi_expect("balloon, flags", ioctl(vm, PALACIOS_VM_BALLOON, &b), EINVAL);
	b.flags = 0;
	b.reserved[3] = 1;
	abi_expect("balloon, reserved", ioctl(vm, PALACIOS_VM_BALLOON, &b), EINVAL);
	abi_expect("balloon, bad pointer", ioctl(vm, PALACIOS_VM_BALLOON, BAD_POINTER), EFAULT);
}

static void refuse_memory(int vm)
{
	char byte = 0;
	struct palacios_memory m = {.gpa = 1ull << 40, .size = 1, .buffer = (uintptr_t)&byte};
	struct palacios_dump d = {.reserved = {0, 1}};
	struct palacios_screen s = {.rows = 0};

	abi_expect("screen, no display", ioctl(vm, PALACIOS_VM_SCREEN, &s), ENODEV);
	abi_expect("memory, no RAM", ioctl(vm, PALACIOS_VM_READ_MEMORY, &m), ERANGE);
	abi_expect("memory, no RAM to write", ioctl(vm, PALACIOS_VM_WRITE_MEMORY, &m), ERANGE);
	m.gpa = ~0ull;
	m.size = 2;
	abi_expect("memory, wraps", ioctl(vm, PALACIOS_VM_READ_MEMORY, &m), ERANGE);
	m.gpa = (16 << 20) - 1;
	abi_expect("memory, beyond the end", ioctl(vm, PALACIOS_VM_READ_MEMORY, &m), ERANGE);
	m.gpa = 0;
	m.size = ~0ull;
	m.buffer = (uintptr_t)BAD_POINTER;
	abi_expect("memory, bad buffer", ioctl(vm, PALACIOS_VM_READ_MEMORY, &m), EFAULT);
	abi_expect("memory, bad source", ioctl(vm, PALACIOS_VM_WRITE_MEMORY, &m), EFAULT);
	m.reserved = 1;
	abi_expect("memory, reserved", ioctl(vm, PALACIOS_VM_READ_MEMORY, &m), EINVAL);
	abi_expect("memory, bad pointer", ioctl(vm, PALACIOS_VM_READ_MEMORY, BAD_POINTER), EFAULT);
	abi_expect("dump, reserved", ioctl(vm, PALACIOS_VM_DUMP, &d), EINVAL);
	abi_expect("dump, bad pointer", ioctl(vm, PALACIOS_VM_DUMP, BAD_POINTER), EFAULT);
	d = (struct palacios_dump){.buffer = (uintptr_t)BAD_POINTER, .size = 4096};
	abi_expect("dump, bad buffer", ioctl(vm, PALACIOS_VM_DUMP, &d), EFAULT);
}

static void refuse_vm(int vm)
{
	struct palacios_stats st = {.kind = 1000};
	struct palacios_stop s = {.how = 2};

	abi_expect("stop, unknown way", ioctl(vm, PALACIOS_VM_STOP, &s), EINVAL);
	s.how = PALACIOS_STOP_HARD;
	s.reserved[2] = 1;
	abi_expect("stop, reserved", ioctl(vm, PALACIOS_VM_STOP, &s), EINVAL);
	abi_expect("stats, kind", ioctl(vm, PALACIOS_VM_STATS, &st), ERANGE);
	st.kind = 0;
	st.vcpu = 1000;
	abi_expect("stats, vcpu", ioctl(vm, PALACIOS_VM_STATS, &st), ERANGE);
	st.vcpu = 0;
	st.reserved1 = 1;
	abi_expect("stats, reserved", ioctl(vm, PALACIOS_VM_STATS, &st), EINVAL);
	abi_expect("info, bad pointer", ioctl(vm, PALACIOS_VM_INFO, BAD_POINTER), EFAULT);
	abi_expect("device command on a VM", ioctl(vm, PALACIOS_CREATE, BAD_POINTER), ENOTTY);
	abi_expect("pause before start", ioctl(vm, PALACIOS_VM_PAUSE), EBUSY);
	abi_expect("continue before start", ioctl(vm, PALACIOS_VM_CONTINUE), EBUSY);
	abi_expect("reset before start", ioctl(vm, PALACIOS_VM_RESET), EBUSY);
	refuse_console(vm);
	refuse_vcpus(vm);
	refuse_balloon(vm);
	refuse_memory(vm);
	abi_expect("hard stop before start", abi_stop(vm, PALACIOS_STOP_HARD), 0);
	abi_expect("start after stop", ioctl(vm, PALACIOS_VM_START), EBUSY);
}

/* A console outlives its VM: what was written stays readable, then it ends. */
static void refuse_end(int vm)
{
	struct palacios_console c = {.flags = 0};
	struct pollfd ended = {.fd = vm};
	char text[256];
	int console = ioctl(vm, PALACIOS_VM_CONSOLE, &c);

	abi_expect("console", console, 0);
	abi_expect("start", ioctl(vm, PALACIOS_VM_START), 0);
	abi_expect("poll", poll(&ended, 1, 10000) == 1 ? 0 : -1, 0);
	if (abi_state(vm) != PALACIOS_STATE_STOPPED) {
		printf("POLLHUP, but the VM has not stopped\n");
		abi.failed = 1;
	}
	close(vm);
	if (read(console, text, 5) != 5 || memcmp(text, "hello", 5)) {
		printf("the output is lost when the VM is gone\n");
		abi.failed = 1;
	}
	abi_expect("write after the end", (int)write(console, text, 1), EPIPE);
	while (read(console, text, sizeof(text)) > 0)
		;
	abi_expect("read after the end", (int)read(console, text, 1), 0);
	close(console);
}

static void abi_refuse(void)
{
	int vm;

	refuse_create();
	refuse_files();
	refuse_open_and_list();
	vm = abi_create();
	abi_expect("create", vm, 0);
	refuse_vm(vm);
	close(vm);
	vm = abi_create();
	abi_expect("create again", vm, 0);
	refuse_end(vm);
}

/* ---- states ---- */

enum {
	ST_START,
	ST_PAUSE,
	ST_CONTINUE,
	ST_RESET,
	ST_BUTTON,
	ST_HARD,
	ST_INFO,
	ST_DUMP,
	ST_MOVE,
	ST_CALLS
};

static int states_call(int vm, unsigned call)
{
	static const unsigned long plain[] = {PALACIOS_VM_START, PALACIOS_VM_PAUSE,
					      PALACIOS_VM_CONTINUE, PALACIOS_VM_RESET};
	struct palacios_dump d = {.size = 0};
	struct palacios_move m = {.cpu = 1};

	switch (call) {
	case ST_BUTTON:
	case ST_HARD:
		return abi_stop(vm, call == ST_HARD ? PALACIOS_STOP_HARD : PALACIOS_STOP_BUTTON);
	case ST_INFO:
		return abi_state(vm) < 0 ? -1 : 0;
	case ST_DUMP:
		return ioctl(vm, PALACIOS_VM_DUMP, &d);
	case ST_MOVE:
		return ioctl(vm, PALACIOS_VM_MOVE, &m);
	default:
		return ioctl(vm, plain[call]);
	}
}

/* A VM brought into a state from which it does not move by itself; the image must run for ever. */
static int states_vm(int state)
{
	int vm = abi_create();

	if (state == PALACIOS_STATE_RUNNING || state == PALACIOS_STATE_PAUSED)
		abi_expect("start", ioctl(vm, PALACIOS_VM_START), 0);
	if (state == PALACIOS_STATE_PAUSED)
		abi_expect("pause", ioctl(vm, PALACIOS_VM_PAUSE), 0);
	if (state == PALACIOS_STATE_STOPPED)
		abi_expect("stop", abi_stop(vm, PALACIOS_STOP_HARD), 0);
	return vm;
}

static void abi_states(void)
{
	/* errno by state (READY, RUNNING, PAUSED, STOPPED) and the state after, if it is 0 */
	static const struct {
		const char *name;
		int want[4], after[4];
	} table[ST_CALLS] = {
		[ST_START] = {"start", {0, EBUSY, EBUSY, EBUSY}, {1, 0, 0, 0}},
		[ST_PAUSE] = {"pause", {EBUSY, 0, EBUSY, EBUSY}, {0, 2, 0, 0}},
		[ST_CONTINUE] = {"continue", {EBUSY, EBUSY, 0, EBUSY}, {0, 0, 1, 0}},
		[ST_RESET] = {"reset", {EBUSY, 0, 0, EBUSY}, {0, 1, 2, 0}},
		[ST_BUTTON] = {"button", {0, 0, 0, 0}, {0, 1, 2, 3}},
		[ST_HARD] = {"hard stop", {0, 0, 0, 0}, {3, 3, 3, 3}},
		[ST_INFO] = {"info", {0, 0, 0, 0}, {0, 1, 2, 3}},
		[ST_DUMP] = {"dump", {0, 0, 0, 0}, {0, 1, 2, 3}},
		[ST_MOVE] = {"move", {0, 0, 0, 0}, {0, 1, 2, 3}},
	};
	char what[64];

	for (int state = 0; state < 4; state++) {
		for (unsigned call = 0; call < ST_CALLS; call++) {
			int vm = states_vm(state), now;

			snprintf(what, sizeof(what), "%s in state %d", table[call].name, state);
			abi_expect(what, states_call(vm, call), table[call].want[state]);
			now = abi_state(vm);
			if (now != (table[call].want[state] ? state : table[call].after[state])) {
				printf("%s: state %d afterwards\n", what, now);
				abi.failed = 1;
			}
			close(vm);
		}
	}
}

/* ---- persist ---- */

static unsigned abi_listed(const char *name, struct palacios_info *info)
{
	struct palacios_list l = {.after = 0};
	unsigned n = 0;

	for (; !ioctl(abi.device, PALACIOS_LIST, &l); l.after = l.info.id) {
		if (strcmp(l.info.name, name))
			continue;
		n++;
		*info = l.info;
	}
	return n;
}

static void abi_check(bool good, const char *what)
{
	if (good)
		return;
	printf("wrong: %s\n", what);
	abi.failed = 1;
}

/* A VM whose maker gets no descriptor for it is none, persistent or not. */
static void abi_no_descriptor(void)
{
	struct palacios_create c = abi_request();
	struct palacios_info info;
	struct rlimit limit, none;

	strcpy(c.name, "unheld");
	c.flags = PALACIOS_CREATE_PERSISTENT;
	abi_expect("getrlimit", getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	abi_expect("setrlimit", setrlimit(RLIMIT_NOFILE, &none), 0);
	abi_expect("create without a descriptor", ioctl(abi.device, PALACIOS_CREATE, &c), EMFILE);
	abi_expect("setrlimit", setrlimit(RLIMIT_NOFILE, &limit), 0);
	abi_check(abi_listed("unheld", &info) == 0, "what nobody holds is not listed");
}

static void abi_persist(void)
{
	struct palacios_create c = abi_request();
	struct palacios_info info, other;
	int vm, again, second;

	strcpy(c.name, "kept");
	c.flags = PALACIOS_CREATE_PERSISTENT;
	vm = ioctl(abi.device, PALACIOS_CREATE, &c);
	abi_expect("create", vm, 0);
	abi_expect("the name twice", ioctl(abi.device, PALACIOS_CREATE, &c), EEXIST);
	abi_expect("start", ioctl(vm, PALACIOS_VM_START), 0);
	close(vm);
	abi_check(abi_listed("kept", &info) == 1, "it is listed once");
	abi_check(info.state == PALACIOS_STATE_RUNNING, "it runs on");
	abi_check(info.flags == PALACIOS_INFO_PERSISTENT, "it is persistent");
	vm = abi_open("kept");
	abi_expect("open", vm, 0);
	again = abi_open("kept");
	abi_expect("open again", again, 0);
	abi_expect("pause", ioctl(again, PALACIOS_VM_PAUSE), 0);
	abi_check(abi_state(vm) == PALACIOS_STATE_PAUSED, "both see it paused");
	abi_expect("destroy", ioctl(again, PALACIOS_VM_DESTROY), 0);
	abi_expect("destroy twice", ioctl(vm, PALACIOS_VM_DESTROY), ENOENT);
	abi_check(abi_state(vm) == PALACIOS_STATE_STOPPED, "destroyed is stopped");
	abi_expect("open it then", abi_open("kept"), ENOENT);
	abi_check(abi_listed("kept", &info) == 0, "it is listed no more");
	close(again);
	abi_check(abi_state(vm) == PALACIOS_STATE_STOPPED, "a descriptor keeps it");
	close(vm);
	/* Without a name of their own they get numbers. */
	vm = abi_create();
	second = abi_create();
	abi_expect("info", ioctl(vm, PALACIOS_VM_INFO, &info), 0);
	abi_expect("info", ioctl(second, PALACIOS_VM_INFO, &other), 0);
	abi_check(!strncmp(other.name, info.name, strlen(info.name)) &&
			  !strcmp(other.name + strlen(info.name), "-2"),
		  "the second one is number 2");
	abi_check(other.id > info.id, "ids rise");
	close(vm);
	close(second);
	abi_check(abi_listed(info.name, &info) == 0, "gone with its descriptor");
	abi_no_descriptor();
}

/* ---- user ---- */

static void abi_user(void)
{
	struct palacios_create c = abi_request();
	struct palacios_memory m = {.size = 1};
	int vm;

	strcpy(c.name, "roots");
	vm = ioctl(abi.device, PALACIOS_CREATE, &c);
	abi_expect("create", vm, 0);
	abi_expect("setuid", setuid(1000), 0);
	abi_expect("open root's VM", abi_open("roots"), EACCES);
	abi_expect("memory without the right", ioctl(vm, PALACIOS_VM_READ_MEMORY, &m), EPERM);
	strcpy(c.name, "mine");
	vm = ioctl(abi.device, PALACIOS_CREATE, &c);
	abi_expect("create as a user", vm, 0);
	abi_expect("open one's own", abi_open("mine"), 0);
}

/* ---- peek ---- */

static void abi_peek(void)
{
	static char out[40000], back[40000], text[65536];
	struct palacios_memory m = {.gpa = 0x200ff3, .size = sizeof(out), .buffer = (uintptr_t)out};
	struct palacios_dump d = {.buffer = (uintptr_t)text, .size = sizeof(text) - 1};
	int vm = abi_create();
	uint64_t length;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + i / 256);
	abi_expect("write", ioctl(vm, PALACIOS_VM_WRITE_MEMORY, &m), 0);
	m.buffer = (uintptr_t)back;
	abi_expect("read", ioctl(vm, PALACIOS_VM_READ_MEMORY, &m), 0);
	abi_check(!memcmp(out, back, sizeof(out)), "what was written is read");
	abi_expect("dump", ioctl(vm, PALACIOS_VM_DUMP, &d), 0);
	abi_check(d.length == strlen(text), "the length is the text's");
	abi_check(strstr(text, "vcpu 0: ") && strstr(text, ": ready\n"),
		  "the dump tells the state");
	length = d.length;
	memset(text, 0, sizeof(text));
	d.size = 200;
	abi_expect("short dump", ioctl(vm, PALACIOS_VM_DUMP, &d), 0);
	abi_check(d.length == length, "a short one tells the whole length");
	abi_check(strlen(text) <= 200 && text[strlen(text) - 1] == '\n', "and holds whole lines");
	close(vm);
}

/* ---- faults ---- */

static void faults_set(long k)
{
	FILE *f = fopen("/sys/module/palacios/parameters/fail_at", "w");

	if (!f || fprintf(f, "%ld", k) < 0 || fclose(f)) {
		printf("cannot set fail_at\n");
		exit(1);
	}
}

static long faults_left(void)
{
	FILE *f = fopen("/sys/module/palacios/parameters/fail_at", "r");
	long k = -1;

	if (!f || fscanf(f, "%ld", &k) != 1)
		abi.failed = 1;
	if (f)
		fclose(f);
	return k;
}

/* An allocation that fails may be made up for (a smaller piece of RAM); then the call succeeds. */
static void abi_faults(void)
{
	long k, refused = 0;

	for (k = 1; k < 10000; k++) {
		int vm, err;

		faults_set(k);
		vm = abi_create();
		err = vm < 0 ? errno : 0;
		if (vm >= 0 && ioctl(vm, PALACIOS_VM_START))
			err = errno;
		if (!err)
			abi_stop(vm, PALACIOS_STOP_HARD);
		if (vm >= 0)
			close(vm);
		if (faults_left() > 0)
			break;
		if (err && err != ENOMEM) {
			printf("allocation %ld: %s\n", k, strerror(err));
			abi.failed = 1;
		}
		refused += err == ENOMEM;
	}
	faults_set(0);
	printf("faults: %ld allocations, %ld refused the VM\n", k - 1, refused);
	abi_check(k > 50 && refused > 30, "many allocations failed");
}

/* ---- churn ---- */

static void abi_churn(long n)
{
	while (n-- > 0 && !abi.failed) {
		int vm = abi_create();

		abi_expect("create", vm, 0);
		abi_expect("start", ioctl(vm, PALACIOS_VM_START), 0);
		if (n & 1)
			abi_expect("stop", abi_stop(vm, PALACIOS_STOP_HARD), 0);
		close(vm);
	}
}

/* ---- memory ---- */

static unsigned long long memory_pool_free(void)
{
	struct palacios_version v;

	abi_expect("version", ioctl(abi.device, PALACIOS_VERSION, &v), 0);
	return v.pool_free;
}

static void abi_memory(void)
{
	struct palacios_info info;
	struct palacios_version v;
	int vm;

	abi_expect("version", ioctl(abi.device, PALACIOS_VERSION, &v), 0);
	printf("pool: %llu of %llu, feature %u\n", (unsigned long long)v.pool_free,
	       (unsigned long long)v.pool_size, !!(v.features & PALACIOS_FEATURE_POOL));
	vm = abi_create();
	abi_expect("create", vm, 0);
	abi_expect("info", ioctl(vm, PALACIOS_VM_INFO, &info), 0);
	printf("vm: 1g %llu 2m %llu\n", (unsigned long long)info.memory_1g,
	       (unsigned long long)info.memory_2m);
	printf("with it: %llu\n", memory_pool_free());
	close(vm);
	printf("after: %llu\n", memory_pool_free());
}

int main(int argc, char **argv)
{
	const char *mode = argc == 3 ? argv[1] : "";
	int file = argc == 3 ? open(argv[2], O_RDONLY) : -1;
	struct stat st;

	abi.device = open(PALACIOS_DEVICE, O_RDWR | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) || abi.device < 0) {
		fprintf(stderr, "usage: abi refuse|states|persist|user|memory|peek|faults|churn=N "
				"IMAGE, with the module loaded\n");
		return 2;
	}
	abi.size = (size_t)st.st_size;
	abi.image = mmap(NULL, abi.size, PROT_READ, MAP_PRIVATE, file, 0);
	if (abi.image == MAP_FAILED)
		return 2;
	if (!strcmp(mode, "refuse"))
		abi_refuse();
	else if (!strcmp(mode, "states"))
		abi_states();
	else if (!strcmp(mode, "persist"))
		abi_persist();
	else if (!strcmp(mode, "user"))
		abi_user();
	else if (!strcmp(mode, "peek"))
		abi_peek();
	else if (!strcmp(mode, "faults"))
		abi_faults();
	else if (!strncmp(mode, "churn=", 6))
		abi_churn(atol(mode + 6));
	else if (!strcmp(mode, "memory"))
		abi_memory();
	else
		return 2;
	return abi.failed;
}
