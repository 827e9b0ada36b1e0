/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file tsc.c
 * Prints the time stamp counter as "bench linux_tsc <decimal>". A program without C library, part of the
 * Debian guest's initramfs; the bench compares its number as guest and on the bare machine.
 */

static long tsc_write(const char *buf, unsigned long len)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "0"(1l), "D"(1l), "S"(buf), "d"(len)
		     : "rcx", "r11", "memory");
	return ret;
}

static void __attribute__((noreturn)) tsc_exit(void)
{
	for (;;)
		asm volatile("syscall" : : "a"(60l), "D"(0l) : "rcx", "r11", "memory");
}

void _start(void);
void _start(void)
{
	static const char head[] = "bench linux_tsc ";
	unsigned long long tsc = __builtin_ia32_rdtsc();
	char line[48], *p = line + sizeof(line);
	unsigned i;

	*--p = '\n';
	do {
		*--p = (char)('0' + tsc % 10);
		tsc /= 10;
	} while (tsc);
	for (i = sizeof(head) - 1; i--;)
		*--p = head[i];
	tsc_write(p, (unsigned long)(line + sizeof(line) - p));
	tsc_exit();
}
