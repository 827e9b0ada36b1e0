/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.S: the VMX world switch. SDM 3C chapters 27 and 28, VMLAUNCH/VMRESUME in 31.3.
 *
 * int v3_vmx_world_switch(struct v3_vcpu *vcpu, bool launched, uint64_t *host_rsp)
 *
 * Called with interrupts off and the vcpu's VMCS current. The request word is looked at here, so a kick that
 * comes later stays pending and ends the guest at once (external-interrupt exiting, whatever the guest's IF).
 */
#include "generated/asm_offsets.h"

	.text
	.globl v3_vmx_world_switch
	.type v3_vmx_world_switch, @function
v3_vmx_world_switch:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15

	movl	$1, %eax
	xchgl	%eax, VCPU_IN_GUEST(%rdi)	/* full barrier: in_guest is seen before requests is read */
	cmpl	$0, VCPU_REQUESTS(%rdi)
	jne	.Lrequested

	push	%rdi				/* vcpu: (%rsp) after the exit */
	cmp	%rsp, (%rdx)
	je	1f
	mov	%rsp, (%rdx)
	mov	$VMX_HOST_RSP, %eax
	vmwrite	%rsp, %rax
1:
	testb	%sil, %sil			/* MOV keeps the flags */
	mov	VCPU_RAX(%rdi), %rax
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
	jne	2f
	vmlaunch
	jmp	.Lfailed
2:	vmresume

.Lfailed:					/* the CPU is where it was; the registers are the guest's */
	pop	%rdi
	movl	$2, %eax
	jmp	.Lleave

	.globl v3_vmx_exit_point
	.type v3_vmx_exit_point, @object
v3_vmx_exit_point:				/* host RIP of the VMCS */
	push	%rax
	mov	8(%rsp), %rax
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
	pop	%rcx
	mov	%rcx, VCPU_RAX(%rax)

	/* Overwrite the return-stack buffer: no RET of ours may be predicted from what the guest called. */
	.rept 16
	call	3f
	int3
3:
	.endr
	add	$16 * 8, %rsp
	lfence

	pop	%rdi
	xor	%eax, %eax
	/* No guest value stays in a register that C code might use as an address speculatively. */
.Lleave:
	movl	$0, VCPU_IN_GUEST(%rdi)
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
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
	movl	$1, %eax
	jmp	.Lout
	.size v3_vmx_world_switch, . - v3_vmx_world_switch
	.section .note.GNU-stack, "", @progbits
