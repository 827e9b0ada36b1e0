/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.S: the SVM world switch. AMD APM vol. 2 15.5 (VMRUN), 15.17 (GIF).
 *
 * int v3_svm_world_switch(struct v3_vcpu *vcpu, v3_hpa_t vmcb_pa, v3_hpa_t host_pa)
 *
 * From CLGI to STGI no interrupt is taken: the request word is looked at inside, so a kick that comes
 * before VMRUN stays pending and ends the guest at once. Host interrupts are enabled (RFLAGS.IF = 1)
 * across VMRUN: with V_INTR_MASKING that is what lets them cause exits.
 */
#include "generated/asm_offsets.h"

	.text
	.globl v3_svm_world_switch
	.type v3_svm_world_switch, @function
v3_svm_world_switch:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15

	clgi
	movl	$1, %eax
	xchgl	%eax, VCPU_IN_GUEST(%rdi)	/* full barrier: in_guest is seen before requests is read */
	cmpl	$0, VCPU_REQUESTS(%rdi)
	jne	.Lrequested

	push	%rdx				/* host_pa: 8(%rsp) below */
	push	%rdi				/* vcpu: (%rsp) below */
	mov	%rdx, %rax
	vmsave	%rax
	mov	%rsi, %rax
	vmload	%rax

	mov	VCPU_RCX(%rdi), %rcx
	mov	VCPU_RDX(%rdi), %rdx
	mov	VCPU_RBX(%rdi), %rbx
	mov	VCPU_RBP(%rdi), %rbp
	mov	VCPU_RSI(%rdi), %rsi
	mov	VCPU_R8(%rdi), %r8
	mov	VCPU_R9(%rdi), %r9
	mov	VCPU_R10(%rdi), %r10
	mov	VCPU_R11(%rdi), %r11
	mov	VCPU_R12(%rdi), %r12
	mov	VCPU_R13(%rdi), %r13
	mov	VCPU_R14(%rdi), %r14
	mov	VCPU_R15(%rdi), %r15
	mov	VCPU_RDI(%rdi), %rdi

	vmrun	%rax
	vmsave	%rax				/* RAX and RSP are the host's again */

	mov	(%rsp), %rax
	mov	%rcx, VCPU_RCX(%rax)
	mov	%rdx, VCPU_RDX(%rax)
	mov	%rbx, VCPU_RBX(%rax)
	mov	%rbp, VCPU_RBP(%rax)
	mov	%rsi, VCPU_RSI(%rax)
	mov	%rdi, VCPU_RDI(%rax)
	mov	%r8, VCPU_R8(%rax)
	mov	%r9, VCPU_R9(%rax)
	mov	%r10, VCPU_R10(%rax)
	mov	%r11, VCPU_R11(%rax)
	mov	%r12, VCPU_R12(%rax)
	mov	%r13, VCPU_R13(%rax)
	mov	%r14, VCPU_R14(%rax)
	mov	%r15, VCPU_R15(%rax)
	mov	8(%rsp), %rax
	vmload	%rax

	/* Overwrite the return-stack buffer: no RET of ours may be predicted from what the guest called. */
	.rept 16
	call	1f
	int3
1:
	.endr
	add	$16 * 8, %rsp
	lfence

	pop	%rdi
	add	$8, %rsp
	movl	$0, VCPU_IN_GUEST(%rdi)
	/* No guest value stays in a register that C code might use as an address speculatively. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%eax, %eax
	stgi
.Lout:
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

.Lrequested:
	movl	$0, VCPU_IN_GUEST(%rdi)
	stgi
	movl	$1, %eax
	jmp	.Lout
	.size v3_svm_world_switch, . - v3_svm_world_switch
	.section .note.GNU-stack, "", @progbits
