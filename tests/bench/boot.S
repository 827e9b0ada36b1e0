/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start of the bench guest: multiboot 1 entry (32-bit protected mode, paging off), long mode with the first
 * GiB mapped one to one, then bench_main(). The load addresses stand in the header because the file is a
 * 64-bit program in a 32-bit ELF coat.
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0

	.section .multiboot, "a"
	.balign 4
	.long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

	.text
	.code32
	.globl _start
_start:
	cli
	cld
	mov $stack_end, %esp
	/* Time of entry, before anything else is spent. */
	rdtsc
	mov %eax, bench_entry_tsc
	mov %edx, bench_entry_tsc + 4

	/* One page of level 4, one of level 3, one of level 2 with 512 leaves of 2 MiB. */
	movl $pdpt + 3, pml4
	movl $pd + 3, pdpt
	xor %ecx, %ecx
	mov $0x83, %eax
1:	mov %eax, pd(, %ecx, 8)
	add $0x200000, %eax
	inc %ecx
	cmp $512, %ecx
	jne 1b
	/* The local APIC and the disk (disk.c) lie in the last GiB below 4 GiB: 2 MiB leaves, not cached. */
	movl $pd_apic + 3, pdpt + 3 * 8
	movl $(0xfee00000 + 0x9b), pd_apic + ((0xfee00000 >> 21) & 511) * 8
	movl $(0xfe000000 + 0x9b), pd_apic + ((0xfe000000 >> 21) & 511) * 8

	mov %cr4, %eax
	or $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000001, %eax		/* PG, PE */
	mov %eax, %cr0
	lgdt gdtr
	ljmp $0x08, $start64

	.code64
start64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	call bench_main
1:	hlt
	jmp 1b

	/* Interrupt of vector 0x40 (self-IPI): count, acknowledge with the cycles of the EOI taken. */
	.globl bench_ipi_entry
bench_ipi_entry:
	push %rax
	push %rdx
	push %rcx
	rdtsc
	mov %eax, %ecx
	mov $0xfee000b0, %eax
	movl $0, (%rax)
	rdtsc
	sub %ecx, %eax
	add %rax, bench_eoi_cycles
	incq bench_ipi_count
	pop %rcx
	pop %rdx
	pop %rax
	iretq

	/* Interrupt of vector 0x41 (timer): note when, acknowledge. */
	.globl bench_timer_entry
bench_timer_entry:
	push %rax
	push %rdx
	rdtsc
	mov %eax, bench_timer_tsc
	mov %edx, bench_timer_tsc + 4
	mov $0xfee000b0, %eax
	movl $0, (%rax)
	pop %rdx
	pop %rax
	iretq

	/* Any exception: a bench that faults has no result. */
	.globl bench_fault_entry
bench_fault_entry:
	mov %rsp, %rdi
	call bench_fault

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00209a0000000000	/* 64-bit code */
	.quad 0x0000920000000000	/* data */
gdtr:
	.word gdtr - gdt - 1
	.long gdt
	.long 0

	.bss
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4096
pd_apic: .skip 4096
	.skip 16384
stack_end:
