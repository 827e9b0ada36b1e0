/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_device.c
 * A /dev/palacios inside the v3 command, for tests/unit/v3.t: the linker sends its open() and ioctl() here. It knows
 * three VMs from the start and those made by CREATE, all gone with the process. What a guest does follows from its
 * VM's name. FAKE_DEVICE in the environment makes it differ: "missing", "denied", "old" (another ABI), "pool",
 * "plain" (no CAP_SYS_ADMIN), "empty" (no VM). FAKE_LOG names a file that
 * gets a line per call that changes something. A /dev/net/tun is there, too ("no-tun": it is not), with the TAP
 * interfaces tap0, busy, alien (another user's) and eth0, which is none.
 */
#include "../../linux_module/uapi/palacios.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_VMS   8
#define FAKE_FDS   64
#define FAKE_RAM   (256ull << 20)
#define FAKE_KINDS 3
#define FAKE_DUMP  200000 /* bytes: more than anybody makes room for at first */

struct fake_vm {
	struct palacios_info info;
	uint32_t cpu[2];
	bool listed;
	int event;	/* readable: the state is news */
	int console[2]; /* [0] is handed out, [1] is the guest's */
	pthread_t guest;
};

static struct {
	pthread_mutex_t lock;
	struct fake_vm vms[FAKE_VMS];
	struct fake_vm *of_fd[FAKE_FDS];
	int device;
	uint64_t last_id, looks;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .device = -1};

int __real_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int fake_refuse(int err)
{
	errno = err;
	return -1;
}

static bool fake_mode(const char *word)
{
	const char *mode = getenv("FAKE_DEVICE");

	return mode && !strcmp(mode, word);
}

__attribute__((format(printf, 1, 2))) static void fake_note(const char *fmt, ...)
{
	const char *path = getenv("FAKE_LOG");
	FILE *f = path ? fopen(path, "ae") : NULL;
	va_list ap;

	if (!f)
		return;
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fputc('\n', f);
	fclose(f);
}

static void fake_state(struct fake_vm *vm, uint32_t state, uint32_t reason, int32_t status)
{
	pthread_mutex_lock(&fake.lock);
	if (vm->info.state != PALACIOS_STATE_STOPPED) {
		vm->info.state = state;
		vm->info.reason = reason;
		vm->info.status = status;
		eventfd_write(vm->event, 1);
	}
	pthread_mutex_unlock(&fake.lock);
}

static void fake_say(struct fake_vm *vm, const char *text)
{
	if (write(vm->console[1], text, strlen(text)) < 0)
		abort();
}

/* ---- VMs ---- */

static struct fake_vm *fake_add(const char *name, uint32_t state, uint32_t flags, uint32_t uid)
{
	struct fake_vm *vm = fake.vms;

	while (vm->info.id)
		vm++;
	vm->info = (struct palacios_info){
		.state = state,
		.vcpus = 2,
		.memory_bytes = FAKE_RAM + FAKE_RAM / 2,
		.created_s = 1000000000,
		.owner_uid = uid,
		.flags = flags,
		.id = fake.last_id += 2,
		.resets = 1,
		.memory_2m = FAKE_RAM,
	};
	snprintf(vm->info.name, sizeof(vm->info.name), "%s", name);
	vm->cpu[1] = 1;
	vm->listed = true;
	vm->event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->event < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, vm->console))
		abort();
	return vm;
}

static void fake_begin(void)
{
	struct fake_vm *beta;

	if (fake.last_id || fake_mode("empty"))
		return;
	fake_say(fake_add("alpha", PALACIOS_STATE_RUNNING, PALACIOS_INFO_PERSISTENT, 0),
		 "alpha said this before\n");
	/* Its owner is about to close it. */
	beta = fake_add("beta", PALACIOS_STATE_READY, 0, 0);
	fake_say(beta, "last words of beta\n");
	shutdown(beta->console[1], SHUT_RDWR);
	fake_state(beta, PALACIOS_STATE_STOPPED, PALACIOS_REASON_EXIT, 33);
	fake_add("other", PALACIOS_STATE_RUNNING, 0, 4242);
}

static struct fake_vm *fake_find(const char *name)
{
	struct fake_vm *vm;

	for (vm = fake.vms; vm < fake.vms + FAKE_VMS; vm++) {
		if (vm->listed && !strcmp(vm->info.name, name))
			return vm;
	}
	return NULL;
}

static int fake_fd(struct fake_vm *vm)
{
	int fd = fcntl(vm->event, F_DUPFD_CLOEXEC, 3);

	if (fd < 0 || fd >= FAKE_FDS)
		abort();
	fake.of_fd[fd] = vm;
	return fd;
}

/* A guest that listens: answers each piece of input; "off" switches it off. */
static void *fake_guest(void *arg)
{
	struct fake_vm *vm = arg;
	char in[256], out[300];
	ssize_t n;

	while ((n = read(vm->console[1], in, sizeof(in) - 1)) > 0) {
		in[n] = 0;
		snprintf(out, sizeof(out), "heard [%s]\n", in);
		fake_say(vm, out);
		if (strstr(in, "off"))
			fake_state(vm, PALACIOS_STATE_STOPPED, PALACIOS_REASON_POWEROFF, 0);
	}
	return NULL;
}

static int fake_start(struct fake_vm *vm)
{
	if (vm->info.state != PALACIOS_STATE_READY)
		return fake_refuse(EBUSY);
	if (!strcmp(vm->info.name, "nostart")) {
		fake_state(vm, PALACIOS_STATE_STOPPED, PALACIOS_REASON_FAILURE, -ENOMEM);
		return fake_refuse(ENOMEM);
	}
	fake_state(vm, PALACIOS_STATE_RUNNING, 0, 0);
	fake_say(vm, "the guest starts\n");
	if (!strcmp(vm->info.name, "hello"))
		fake_state(vm, PALACIOS_STATE_STOPPED, PALACIOS_REASON_EXIT, 33);
	else if (!strcmp(vm->info.name, "broken"))
		fake_state(vm, PALACIOS_STATE_STOPPED, PALACIOS_REASON_FAILURE, -EIO);
	else if (pthread_create(&vm->guest, NULL, fake_guest, vm) || pthread_detach(vm->guest))
		abort();
	return 0;
}

/* ---- commands ---- */

static int fake_version(struct palacios_version *v)
{
	memset(v, 0, sizeof(*v));
	v->abi = fake_mode("old") ? PALACIOS_ABI + 1 : PALACIOS_ABI;
	strcpy(v->backend, "svm");
	v->cpus = 2;
	v->vms = 3;
	if (fake_mode("pool")) {
		v->features = PALACIOS_FEATURE_POOL | PALACIOS_FEATURE_1G;
		v->pool_size = 4ull << 30;
		v->pool_free = 3ull << 29;
	}
	return 0;
}

static int fake_create(const struct palacios_create *c)
{
	struct fake_vm *vm;

	if (c->size < 64 || memcmp((const void *)(uintptr_t)c->image, "V3IMAGE\x1a", 8))
		return fake_refuse(EBADMSG);
	if (fake_find(c->name))
		return fake_refuse(EEXIST);
	vm = fake_add(*c->name ? c->name : "made", PALACIOS_STATE_READY,
		      c->flags & PALACIOS_CREATE_PERSISTENT ? PALACIOS_INFO_PERSISTENT : 0, 0);
	fake_note("create %s flags %u", vm->info.name, c->flags);
	return fake_fd(vm);
}

/* Each file that came along is noted, with how it is open. */
static int fake_create_files(const struct palacios_create_files *c)
{
	const struct palacios_file *file = (const void *)(uintptr_t)c->files;

	for (uint32_t i = 0; i < c->nfiles; i++)
		fake_note("%s %s %s", file[i].kind == PALACIOS_FILE_TAP ? "tap" : "file",
			  file[i].name,
			  (fcntl(file[i].fd, F_GETFL) & O_ACCMODE) == O_RDWR ? "rw" : "ro");
	return fake_create(&c->create);
}

static int fake_open_vm(const struct palacios_open *o)
{
	struct fake_vm *vm = fake_find(o->name);

	if (!vm)
		return fake_refuse(ENOENT);
	return vm->info.owner_uid ? fake_refuse(EACCES) : fake_fd(vm);
}

static int fake_list(struct palacios_list *l)
{
	struct fake_vm *vm;

	for (vm = fake.vms; vm < fake.vms + FAKE_VMS; vm++) {
		if (!vm->listed || vm->info.id <= l->after)
			continue;
		l->info = vm->info;
		return 0;
	}
	return fake_refuse(ENOENT);
}

static int fake_device_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case PALACIOS_VERSION:
		return fake_version(arg);
	case PALACIOS_CREATE:
		return fake_create(arg);
	case PALACIOS_CREATE_FILES:
		return fake_create_files(arg);
	case PALACIOS_OPEN:
		return fake_open_vm(arg);
	case PALACIOS_LIST:
		return fake_list(arg);
	default:
		return fake_refuse(ENOTTY);
	}
}

static int fake_info(struct fake_vm *vm, struct palacios_info *info)
{
	eventfd_t seen;

	pthread_mutex_lock(&fake.lock);
	*info = vm->info;
	if (info->state != PALACIOS_STATE_STOPPED)
		eventfd_read(vm->event, &seen);
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

static int fake_change(struct fake_vm *vm, uint32_t from, uint32_t to, const char *what)
{
	fake_note("%s %s", what, vm->info.name);
	if (vm->info.state != from)
		return fake_refuse(EBUSY);
	fake_state(vm, to, 0, 0);
	return 0;
}

static int fake_stop(struct fake_vm *vm, const struct palacios_stop *s)
{
	fake_note("stop %s how %u", vm->info.name, s->how);
	if (s->how == PALACIOS_STOP_BUTTON && !strcmp(vm->info.name, "alpha"))
		return 0; /* a guest that does not care */
	fake_state(vm, PALACIOS_STATE_STOPPED, PALACIOS_REASON_POWEROFF, 0);
	return 0;
}

static int fake_destroy(struct fake_vm *vm)
{
	fake_note("destroy %s", vm->info.name);
	fake_state(vm, PALACIOS_STATE_STOPPED, PALACIOS_REASON_POWEROFF, 0);
	vm->listed = false;
	return 0;
}

static int fake_vcpu(struct fake_vm *vm, struct palacios_vcpu *v)
{
	if (v->vcpu >= vm->info.vcpus)
		return fake_refuse(ERANGE);
	v->cpu = vm->cpu[v->vcpu];
	v->state = v->vcpu ? PALACIOS_VCPU_WAIT_SIPI : PALACIOS_VCPU_HALTED;
	v->entries = 1000 + v->vcpu;
	return 0;
}

static int fake_move(struct fake_vm *vm, const struct palacios_move *m)
{
	if (m->vcpu >= vm->info.vcpus)
		return fake_refuse(ERANGE);
	if (m->cpu > 1)
		return fake_refuse(ENODEV);
	vm->cpu[m->vcpu] = m->cpu;
	fake_note("move %s vcpu %u to %u", vm->info.name, m->vcpu, m->cpu);
	return 0;
}

/* More exits each time that somebody looks, so that there are rates. */
static int fake_stats(struct palacios_stats *st)
{
	static const char *const names[FAKE_KINDS] = {"cpuid", "never", "io"};

	if (st->vcpu >= 2 || st->kind >= FAKE_KINDS)
		return fake_refuse(ERANGE);
	strcpy(st->name, names[st->kind]);
	if (st->kind == 1)
		return 0;
	st->count = 100 * (st->kind + 1) + 1000 * fake.looks++;
	st->cycles = st->count * 500;
	st->max_cycles = 9000;
	st->histogram[8] = 70;
	st->histogram[9] = 10;
	st->histogram[13] = 1;
	return 0;
}

static int fake_memory(const struct palacios_memory *m)
{
	unsigned char *to = (unsigned char *)(uintptr_t)m->buffer;
	uint64_t i;

	if (fake_mode("plain"))
		return fake_refuse(EPERM);
	if (m->size > FAKE_RAM || m->gpa > FAKE_RAM - m->size)
		return fake_refuse(ERANGE);
	for (i = 0; i < m->size; i++)
		to[i] = (unsigned char)(m->gpa + i);
	return 0;
}

static int fake_dump(struct palacios_dump *d)
{
	static const char head[] = "why: \"nothing\"\n\xff\n";
	char *to = (char *)(uintptr_t)d->buffer;

	d->length = FAKE_DUMP;
	memset(to, 'x', d->size < d->length ? d->size : d->length);
	memcpy(to, head, sizeof(head) - 1);
	if (d->size >= d->length)
		memcpy(to + d->length - 5, "\nend\n", 5);
	return 0;
}

static int fake_console(struct fake_vm *vm, const struct palacios_console *c)
{
	if (*c->name && strcmp(c->name, "console"))
		return fake_refuse(ENOENT);
	return fcntl(vm->console[0], F_DUPFD_CLOEXEC, 3);
}

static int fake_vm_ioctl(struct fake_vm *vm, unsigned long request, void *arg)
{
	switch (request) {
	case PALACIOS_VM_START:
		fake_note("start %s", vm->info.name);
		return fake_start(vm);
	case PALACIOS_VM_PAUSE:
		return fake_change(vm, PALACIOS_STATE_RUNNING, PALACIOS_STATE_PAUSED, "pause");
	case PALACIOS_VM_CONTINUE:
		return fake_change(vm, PALACIOS_STATE_PAUSED, PALACIOS_STATE_RUNNING, "continue");
	case PALACIOS_VM_RESET:
		return fake_change(vm, PALACIOS_STATE_RUNNING, PALACIOS_STATE_RUNNING, "reset");
	case PALACIOS_VM_STOP:
		return fake_stop(vm, arg);
	case PALACIOS_VM_INFO:
		return fake_info(vm, arg);
	case PALACIOS_VM_STATS:
		return fake_stats(arg);
	case PALACIOS_VM_CONSOLE:
		return fake_console(vm, arg);
	case PALACIOS_VM_DESTROY:
		return fake_destroy(vm);
	case PALACIOS_VM_VCPU:
		return fake_vcpu(vm, arg);
	case PALACIOS_VM_MOVE:
		return fake_move(vm, arg);
	case PALACIOS_VM_READ_MEMORY:
		return fake_memory(arg);
	case PALACIOS_VM_DUMP:
		return fake_dump(arg);
	default:
		return fake_refuse(ENOTTY);
	}
}

/* ---- what the linker puts in the place of the C library's ---- */

/* ---- TAP interfaces ---- */

static const struct {
	const char *name;
	int err; /* of TUNSETIFF */
} fake_taps[] = {{"tap0", 0}, {"busy", EBUSY}, {"alien", EPERM}, {"eth0", EINVAL}};

/* Requests of sockets and of /dev/net/tun. */
static int fake_tap_ioctl(int fd, unsigned long request, void *arg)
{
	struct ifreq *r = arg;
	size_t i;

	if (request == TUNSETOFFLOAD) {
		fake_note("offload %#lx", (unsigned long)arg);
		return 0;
	}
	if (request != SIOCGIFFLAGS && request != TUNSETIFF)
		return __real_ioctl(fd, request, arg);
	for (i = 0; i < sizeof(fake_taps) / sizeof(fake_taps[0]); i++) {
		if (strcmp(fake_taps[i].name, r->ifr_name))
			continue;
		if (request == SIOCGIFFLAGS || !fake_taps[i].err)
			return 0;
		return fake_refuse(fake_taps[i].err);
	}
	return fake_refuse(ENODEV);
}

int __wrap_open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/net/tun"))
		return fake_mode("no-tun") ? fake_refuse(ENOENT)
					   : __real_open("/dev/null", flags, 0);
	if (strcmp(path, PALACIOS_DEVICE))
		return __real_open(path, flags, 0);
	if (fake_mode("missing"))
		return fake_refuse(ENOENT);
	if (fake_mode("denied"))
		return fake_refuse(EACCES);
	fake_begin();
	if (fake.device < 0)
		fake.device = __real_open("/dev/null", O_RDWR | O_CLOEXEC);
	return fcntl(fake.device, F_DUPFD_CLOEXEC, FAKE_FDS); /* from here on: the device */
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (_IOC_TYPE(request) != PALACIOS_IOC)
		return fake_tap_ioctl(fd, request, arg);
	if (fd >= FAKE_FDS)
		return fake_device_ioctl(request, arg);
	return fd >= 0 && fake.of_fd[fd] ? fake_vm_ioctl(fake.of_fd[fd], request, arg)
					 : fake_refuse(EBADF);
}
