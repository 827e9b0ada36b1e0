/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start of every micro guest: multiboot 1 entry (32-bit, paging off), long mode with the first 4 GiB mapped
 * one to one, main(). Also the exception stubs and the way up for further vcpus.
 * AMD APM 24593 r3.42 section 14.8.
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x00000003

	.section .multiboot, "a"
	.align 4
	.long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

	.text
	.code32
	.globl g_start
g_start:
	cli
	cld
	movl %eax, g_mb_magic
	movl %ebx, g_mb_info
	movl $g_stack_top, %esp
	movl $(g_pdpt + 3), g_pml4
	movl $(g_pd + 3), g_pdpt
	movl $(g_pd + 0x1000 + 3), g_pdpt + 8
	movl $(g_pd + 0x2000 + 3), g_pdpt + 16
	movl $(g_pd + 0x3000 + 3), g_pdpt + 24
	movl $g_pd, %edi
	movl $0x83, %eax
	movl $2048, %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 1b
	movl $main64, %edi

/* 32-bit flat code, EDI: where to go in 64-bit mode. Keeps ESP. */
	.globl g_enter_long
g_enter_long:
	movl $0x620, %eax	/* PAE OSFXSR OSXMMEXCPT */
	movl %eax, %cr4
	movl $g_pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax	/* LME NXE */
	wrmsr
	movl $0x80010033, %eax	/* PG WP NE ET MP PE */
	movl %eax, %cr0
	lgdt g_gdtr
	ljmp $0x08, $1f
	.code64
1:	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl %edi, %edi
	jmp *%rdi

main64:
	fninit
	movl $g_stack_top, %esp
	xorl %ebp, %ebp
	call g_init
	call main
	movl %eax, %edi
	call g_exit

ap64:
	fninit
	movq g_ap_stack, %rsp
	xorl %ebp, %ebp
	call g_ap_entry
1:	cli
	hlt
	jmp 1b

/* Copied to a page below 1 MiB whose number is in the start-up IPI. */
	.code16
	.globl g_ap_trampoline, g_ap_trampoline_end
g_ap_trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl (ap_gdtr - g_ap_trampoline)
	movl $1, %eax
	movl %eax, %cr0
	ljmpl $0x18, $ap32
	.align 4
ap_gdtr:
	.word g_gdt_end - g_gdt - 1
	.long g_gdt
g_ap_trampoline_end:
	.code32
ap32:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	cld
	movl $ap64, %edi
	jmp g_enter_long

	.code64
	.align 16
	.globl g_vectors
g_vectors:
	.set vec, 0
	.rept 256
	.align 16
	.if (vec < 32) && ((0x60227d00 >> (vec & 31)) & 1)	/* the CPU pushes an error code */
	.else
	pushq $0
	.endif
	pushq $vec
	jmp trap
	.set vec, vec + 1
	.endr

/* struct g_frame of guest.h */
trap:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	movq %rsp, %rbp		/* C wants the stack aligned, IST stacks may not be */
	andq $-16, %rsp
	cld
	call g_trap
	movq %rbp, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	.data
	.align 16
	.globl g_gdt, g_gdt_end, g_gdtr
g_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
	.quad 0x00cf9b000000ffff	/* 0x18: 32-bit code */
	.quad 0x00009b000000ffff	/* 0x20: 16-bit code */
	.quad 0x000093000000ffff	/* 0x28: 16-bit data */
	.quad 0x00affb000000ffff	/* 0x30: user 64-bit code */
	.quad 0x00cff3000000ffff	/* 0x38: user data */
	.quad 0, 0			/* 0x40: 64-bit TSS (lib.c) */
	.fill 8, 8, 0			/* 0x50..: free for tests */
g_gdt_end:
g_gdtr:
	.word g_gdt_end - g_gdt - 1
	.quad g_gdt

	.bss
	.align 4096
	.globl g_pml4, g_pdpt, g_pd, g_stack_top
g_pml4:	.skip 4096
g_pdpt:	.skip 4096
g_pd:	.skip 4 * 4096
	.skip 16384
g_stack_top:
	.globl g_mb_magic, g_mb_info
g_mb_magic: .skip 4
g_mb_info: .skip 4

	.section .note.GNU-stack, "", @progbits
