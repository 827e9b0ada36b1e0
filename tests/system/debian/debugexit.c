/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file debugexit.c
 * "debugexit N" writes the digit N to the isa-debug-exit port, which ends the VM with status (N << 1) | 1.
 * A program without C library, part of the Debian guest's initramfs (its kernel has no /dev/port).
 */

#define DEBUGEXIT_PORT 0xf4
#define SYS_EXIT       60
#define SYS_IOPERM     173

static long debugexit_syscall(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "0"(nr), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

/* Called by the code below with the stack as the kernel left it: argc, argv[0], argv[1]. */
void debugexit_main(const long *stack);
void debugexit_main(const long *stack)
{
	const char *arg = stack[0] > 1 ? (const char *)stack[2] : "1";
	long status = debugexit_syscall(SYS_IOPERM, DEBUGEXIT_PORT, 1, 1);

	if (!status)
		asm volatile("outb %0, %1"
			     :
			     : "a"((char)(arg[0] - '0')), "Nd"((short)DEBUGEXIT_PORT));
	debugexit_syscall(SYS_EXIT, 1, 0, 0);
}

asm(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall debugexit_main\n\thlt\n");
