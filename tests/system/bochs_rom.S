/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A 64 KiB ROM for Bochs that stands in for BIOS and boot loader: from reset to flat 32-bit protected mode
 * and straight into a multiboot or Linux kernel that Bochs has put into RAM. bochs_image.pl fills in the parameters.
 *
 * Bochs 2.7 keeps guest RAM in 128 KiB blocks, handed out in the order of first use, but loads a RAM image in
 * one go: so the blocks of the image have to be touched in ascending order before anything else is.
 */
#define ROM_BASE 0xffff0000

	.text
	.code16
rom:
	/* parameters, at offset 0 */
p_first:	.long 0	/* RAM image: first byte */
p_end:		.long 0	/* ... and the one after its last */
p_entry:	.long 0	/* kernel's entry point */
p_info:		.long 0	/* multiboot information */

reset:
	cli
	lgdtl %cs:(gdtr - rom)
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $0x08, $(ROM_BASE + (protected - rom))

	.align 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word gdtr - gdt - 1
	.long ROM_BASE + (gdt - rom)

	.code32
protected:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl $ROM_BASE, %ebp
	movl (p_first - rom)(%ebp), %esi
1:	movl (%esi), %eax
	addl $0x20000, %esi
	cmpl (p_end - rom)(%ebp), %esi
	jb 1b
	inb $0x92, %al	/* open address line 20 */
	orb $2, %al
	andb $0xfe, %al
	outb %al, $0x92
	movl (p_info - rom)(%ebp), %ebx
	movl %ebx, %esi		/* where a Linux kernel looks for it */
	movl (p_entry - rom)(%ebp), %ecx
	movl $0x2badb002, %eax
	cld
	jmp *%ecx

	.org 0xfff0
	.code16
	ljmp $0xf000, $(reset - rom)
	.org 0x10000
