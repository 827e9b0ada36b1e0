/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cdtray.c
 * "cdtray e" ejects the medium of /dev/sr0, "cdtray l" loads it. A program without C library, part of the Debian
 * guest's initramfs (its busybox has no eject). Exit status 0: done.
 */

#define CDTRAY_EJECT 0x5309l /* ioctl */
#define CDTRAY_CLOSE 0x5319l
#define CDTRAY_FLAGS 04000l /* O_NONBLOCK: also without a medium */
#define SYS_OPEN     2l
#define SYS_IOCTL    16l
#define SYS_EXIT     60l

static long cdtray_syscall(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "0"(nr), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

/* Called by the code below with the stack as the kernel left it: argc, argv[0], argv[1]. */
void cdtray_main(const long *stack);
void cdtray_main(const long *stack)
{
	const char *arg = stack[0] > 1 ? (const char *)stack[2] : "";
	long fd = cdtray_syscall(SYS_OPEN, (long)"/dev/sr0", CDTRAY_FLAGS, 0);
	long err = cdtray_syscall(SYS_IOCTL, fd, arg[0] == 'e' ? CDTRAY_EJECT : CDTRAY_CLOSE, 0);

	cdtray_syscall(SYS_EXIT, err != 0, 0, 0);
}

asm(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall cdtray_main\n\thlt\n");
