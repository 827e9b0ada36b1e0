/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file abi.c
 * abi MODE IMAGE: the calls of /dev/palacios without the v3 command, in the host that tests/system/linux.t boots.
 *   refuse     every malformed argument is refused with the errno the header promises
 *   churn=N    N VMs made, started, stopped and freed
 *   memory     says what a VM takes: bytes of its memory by host piece, bytes of the pool before, with it, after
 * Exit status 0: all as it should be; else each difference is a line of output.
 */
#include "../../../linux_module/uapi/palacios.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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
	c.flags = 1;
	REFUSED("a flag", EINVAL);
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
	vm = abi_create();
	abi_expect("create", vm, 0);
	refuse_vm(vm);
	close(vm);
	vm = abi_create();
	abi_expect("create again", vm, 0);
	refuse_end(vm);
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
		fprintf(stderr, "usage: abi refuse|churn=N|memory IMAGE, with the module loaded\n");
		return 2;
	}
	abi.size = (size_t)st.st_size;
	abi.image = mmap(NULL, abi.size, PROT_READ, MAP_PRIVATE, file, 0);
	if (abi.image == MAP_FAILED)
		return 2;
	if (!strcmp(mode, "refuse"))
		abi_refuse();
	else if (!strncmp(mode, "churn=", 6))
		abi_churn(atol(mode + 6));
	else if (!strcmp(mode, "memory"))
		abi_memory();
	else
		return 2;
	return abi.failed;
}
