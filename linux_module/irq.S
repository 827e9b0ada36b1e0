/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irq.S: an interrupt that VMX has acknowledged at the exit, delivered as the CPU would have through the IDT.
 *
 * void lnx_irq_call(unsigned long handler)
 *
 * Interrupts off. The handler ends with IRET, which takes the frame built here: SDM 3A 6.14.2.
 */
#include <asm/nospec-branch.h>
#include <asm/segment.h>
#include <linux/linkage.h>

SYM_FUNC_START(lnx_irq_call)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	CALL_NOSPEC rdi			/* pushes the RIP of the frame; IRET restores RSP */
	pop	%rbp
	RET
SYM_FUNC_END(lnx_irq_call)
