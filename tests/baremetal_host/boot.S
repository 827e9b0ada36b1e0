/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entry of the bare-metal host: from the multiboot 1 loader (32-bit, paging off) or from a start-up IPI
 * (real mode) to 64-bit C; interrupt and exception stubs; context switch.
 *
 * The first 4 GiB are mapped one to one with 2 MiB pages, the rest up to 512 GiB with 1 GiB pages when the
 * CPU has them (mem.c maps the RAM up there otherwise). AMD APM 24593 r3.42 section 5.3, 14.8.
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x00000003 /* modules page-aligned, memory information wanted */

#define CR0_LONG 0x80010033 /* PG WP NE ET MP PE: no CD/NW, which INIT leaves set */
#define CR4_LONG 0x000006a0 /* OSXMMEXCPT OSFXSR PGE PAE */

#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define EFER_NXE 0x800

#define PTE_TABLE 0x003 /* present, writable */
#define PTE_LEAF  0x183 /* present, writable, large, global */

#define TRAMPOLINE 0x8000 /* a start-up IPI names a 4 KiB page below 1 MiB */

	.section .multiboot, "a"
	.align 4
	.long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

	.text
	.code32
	.globl bm_start
bm_start:
	cli
	cld
	movl %eax, %ebp		/* loader's magic */
	movl %ebx, %esi		/* multiboot information; CPUID writes EBX */

	movl $(boot_pdpt + PTE_TABLE), boot_pml4
	movl $(boot_pd + PTE_TABLE), boot_pdpt
	movl $(boot_pd + 0x1000 + PTE_TABLE), boot_pdpt + 8
	movl $(boot_pd + 0x2000 + PTE_TABLE), boot_pdpt + 16
	movl $(boot_pd + 0x3000 + PTE_TABLE), boot_pdpt + 24
	movl $boot_pd, %edi
	movl $PTE_LEAF, %eax
	movl $2048, %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 1b

	movl $0x80000001, %eax
	cpuid
	testl $(1 << 26), %edx	/* 1 GiB pages */
	jz 3f
	movl $4, %ecx
	movl $(boot_pdpt + 32), %edi
2:	movl %ecx, %eax
	shll $30, %eax
	orl $PTE_LEAF, %eax
	movl %eax, (%edi)
	movl %ecx, %eax
	shrl $2, %eax
	movl %eax, 4(%edi)
	addl $8, %edi
	incl %ecx
	cmpl $512, %ecx
	jb 2b
3:	movl $boot_main64, %edi
	/* fall through */

/* Switch this CPU to long mode and jump to EDI. EBP and ESI are kept. */
enter_long:
	movl $CR4_LONG, %eax
	movl %eax, %cr4
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl $0x80000001, %eax
	cpuid
	movl $EFER_LME, %ebx
	testl $(1 << 20), %edx	/* no-execute */
	jz 1f
	orl $EFER_NXE, %ebx
1:	movl $MSR_EFER, %ecx
	rdmsr
	orl %ebx, %eax
	wrmsr
	movl $CR0_LONG, %eax
	movl %eax, %cr0
	lgdt boot_gdtr
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

boot_main64:
	movl $bm_boot_stack_top, %esp
	movl %ebp, %edi
	movl %esi, %esi
	xorl %ebp, %ebp
	call bm_main
1:	cli
	hlt
	jmp 1b

/* An application processor takes the next number; late ones, of which nobody knows any more, stop here. */
boot_ap64:
	movl $1, %edi
	lock xaddl %edi, bm_ap_ticket
	cmpl bm_ap_limit, %edi
	jae 1f
	movq bm_ap_stack_top(,%rdi,8), %rsp
	xorl %ebp, %ebp
	call bm_ap_main
1:	cli
	hlt
	jmp 1b

/* Copied to TRAMPOLINE: real mode, CS = TRAMPOLINE >> 4. */
	.code16
	.globl bm_trampoline, bm_trampoline_end
bm_trampoline:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl TRAMPOLINE + (ap_gdtr - bm_trampoline)
	movl $1, %eax
	movl %eax, %cr0
	ljmpl $0x18, $boot_ap32
	.align 4
ap_gdtr:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt
bm_trampoline_end:

	.code32
boot_ap32:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	cld
	movl $boot_ap64, %edi
	jmp enter_long

	.code64

/*
 * void bm_context_switch(uint64_t *save_rsp, uint64_t load_rsp): keep what the C calling convention says a
 * function keeps; a new thread's stack is made up to look as if it had called this (sched.c).
 */
	.globl bm_context_switch
bm_context_switch:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/* One 16-byte stub per vector: exceptions push a full struct bm_frame, interrupts what C may change. */
	.align 16
	.globl bm_vectors
bm_vectors:
	.set vec, 0
	.rept 256
	.align 16
	.if vec < 32
	/* the vectors that push an error code themselves: 8 10-14 17 21 29 30 */
	.if !((0x60227d00 >> vec) & 1)
	pushq $0
	.endif
	pushq $vec
	jmp exception_entry
	.else
	pushq $(vec - 256)	/* one sign-extended byte each */
	jmp interrupt_entry
	.endif
	.set vec, vec + 1
	.endr

exception_entry:
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
	cld
	call bm_exception	/* does not return */

interrupt_entry:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	subq $8, %rsp
	cld
	movzbl 80(%rsp), %edi	/* the vector */
	call bm_interrupt
	addq $8, %rsp
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	addq $8, %rsp
	iretq

	.section .rodata
	.align 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
	.quad 0x00cf9b000000ffff	/* 0x18: 32-bit code, on the way up */
boot_gdt_end:
boot_gdtr:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt

	.bss
	.align 4096
	.globl boot_pdpt, boot_pd
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 4 * 4096
	.globl bm_boot_stack, bm_boot_stack_top
bm_boot_stack:
	.skip 16384
bm_boot_stack_top:

	.section .note.GNU-stack, "", @progbits
