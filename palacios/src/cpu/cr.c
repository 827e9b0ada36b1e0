/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cr.c
 * Control registers and EFER: the architectural checks, each illegal combination a #GP.
 * AMD APM vol. 2 3.1, 14.6 (long mode activation), 5.5 (PCIDE); SDM 3A 2.5, 4.1.2.
 */
#include "cpu/cr.h"

#include "cpu/handlers.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "mmu/mmu.h"
#include "state.h"

#define CR0_DEFINED                                                                                \
	(V3_CR0_PE | V3_CR0_MP | V3_CR0_EM | V3_CR0_TS | V3_CR0_ET | V3_CR0_NE | V3_CR0_WP |       \
	 V3_CR0_AM | V3_CR0_NW | V3_CR0_CD | V3_CR0_PG)
#define CR4_FLUSHES                                                                                \
	(V3_CR4_PSE | V3_CR4_PAE | V3_CR4_PGE | V3_CR4_PCIDE | V3_CR4_SMEP | V3_CR4_SMAP |         \
	 V3_CR4_LA57)
#define EFER_WRITABLE (V3_EFER_SCE | V3_EFER_LME | V3_EFER_NXE | V3_EFER_FFXSR)

static bool cr_in_64bit_code(const struct v3_vcpu *vcpu)
{
	return (vcpu->efer & V3_EFER_LMA) && (vcpu->cs.attr & V3_SEG_L);
}

/* May paging be switched on now? 14.6.1. */
static bool cr0_may_enable_paging(const struct v3_vcpu *vcpu)
{
	if (!(vcpu->efer & V3_EFER_LME))
		return true;
	return (vcpu->cr4 & V3_CR4_PAE) && !(vcpu->cs.attr & V3_SEG_L);
}

int v3_cr0_write(struct v3_vcpu *vcpu, uint64_t value)
{
	uint64_t old = vcpu->cr0;

	if (value >> 32)
		return V3_EINVAL;
	value = (value & CR0_DEFINED) | V3_CR0_ET;
	if ((value & V3_CR0_PG) && !(value & V3_CR0_PE))
		return V3_EINVAL;
	if ((value & V3_CR0_NW) && !(value & V3_CR0_CD))
		return V3_EINVAL;
	if (!(old & V3_CR0_PG) && (value & V3_CR0_PG)) {
		if (!cr0_may_enable_paging(vcpu))
			return V3_EINVAL;
		if (vcpu->efer & V3_EFER_LME)
			vcpu->arch->set_efer(vcpu, vcpu->efer | V3_EFER_LMA);
	}
	if ((old & V3_CR0_PG) && !(value & V3_CR0_PG)) {
		if (cr_in_64bit_code(vcpu) || (vcpu->cr4 & V3_CR4_PCIDE))
			return V3_EINVAL;
		vcpu->arch->set_efer(vcpu, vcpu->efer & ~V3_EFER_LMA);
	}
	vcpu->arch->set_cr(vcpu, 0, value);
	if ((old ^ value) & (V3_CR0_PG | V3_CR0_WP))
		v3_flush_vcpu(vcpu);
	return V3_OK;
}

int v3_cr4_write(struct v3_vcpu *vcpu, uint64_t value)
{
	uint64_t old = vcpu->cr4;

	if (value & ~vcpu->cpu.cr4_allowed)
		return V3_EINVAL;
	if ((vcpu->efer & V3_EFER_LMA) && !(value & V3_CR4_PAE))
		return V3_EINVAL;
	if ((vcpu->efer & V3_EFER_LMA) && ((old ^ value) & V3_CR4_LA57))
		return V3_EINVAL;
	if (!(old & V3_CR4_PCIDE) && (value & V3_CR4_PCIDE) &&
	    (!(vcpu->efer & V3_EFER_LMA) || (vcpu->cr3 & 0xfff)))
		return V3_EINVAL;
	vcpu->arch->set_cr(vcpu, 4, value);
	if ((old ^ value) & CR4_FLUSHES)
		v3_flush_vcpu(vcpu);
	return V3_OK;
}

int v3_efer_write(struct v3_vcpu *vcpu, uint64_t value)
{
	/* LMA is read-only: what is written there does not matter. */
	value &= ~V3_EFER_LMA;
	if (value & ~(vcpu->cpu.efer_allowed & EFER_WRITABLE))
		return V3_EINVAL;
	if ((vcpu->cr0 & V3_CR0_PG) && ((vcpu->efer ^ value) & V3_EFER_LME))
		return V3_EINVAL;
	if ((vcpu->efer ^ value) & V3_EFER_NXE)
		v3_flush_vcpu(vcpu);
	vcpu->arch->set_efer(vcpu, value | (vcpu->efer & V3_EFER_LMA));
	return V3_OK;
}

static int cr8_write(struct v3_vcpu *vcpu, uint64_t value)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	if (value > 15)
		return V3_EINVAL;
	vcpu->arch->set_cr(vcpu, 8, value);
	if (intr->lapic)
		intr->lapic->set_cr8(intr->lapic_priv, vcpu, (unsigned)value);
	return V3_OK;
}

static int cr_write(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	switch (n) {
	case 0:
		return v3_cr0_write(vcpu, value);
	case 4:
		return v3_cr4_write(vcpu, value);
	case 8:
		return cr8_write(vcpu, value);
	default: /* CR2 and CR3 do not exit; others do not exist */
		return V3_ENOTSUP;
	}
}

/* Finish an access: RIP moves on, or the fault that the check found. */
static int cr_finish(struct v3_vcpu *vcpu, int err, unsigned len)
{
	if (err == V3_EINVAL)
		v3_vcpu_inject_gp(vcpu, 0);
	else if (err == V3_ENOTSUP)
		v3_vcpu_inject_ud(vcpu);
	else if (err == V3_OK)
		v3_insn_retire(vcpu, len);
	else
		return err;
	return V3_OK;
}

static v3_gva_t cr_linear(struct v3_vcpu *vcpu, const struct v3_insn *insn)
{
	struct v3_seg seg;

	vcpu->arch->get_seg(vcpu, (enum v3_seg_num)insn->seg, &seg);
	if (insn->bits == 64)
		return (insn->seg >= V3_FS ? seg.base : 0) + v3_insn_offset(insn, &vcpu->regs);
	return (uint32_t)(seg.base + v3_insn_offset(insn, &vcpu->regs));
}

/* The 16-bit memory operand of LMSW and SMSW, wherever it lies. @return V3_OK; > 0: a fault is queued. */
static int cr_operand16(struct v3_vcpu *vcpu, const struct v3_insn *insn, uint16_t *value,
			bool write)
{
	v3_gva_t linear = cr_linear(vcpu, insn);
	struct v3_walk walk;
	unsigned i;
	int err = V3_OK;

	for (i = 0; i < sizeof(*value) && err >= 0; i++) {
		if (v3_walk(vcpu, linear + i, write ? V3_ACC_WRITE : V3_ACC_READ, vcpu->cpl,
			    &walk) != V3_OK) {
			v3_vcpu_inject_pf(vcpu, linear + i, walk.error);
			return V3_LEAVE;
		}
		err = v3_mem_access(vcpu, walk.gpa, (uint8_t *)value + i, 1, write);
	}
	if (err == V3_EFAULT) /* the vcpu's view forbids it and has been told */
		return V3_LEAVE;
	return err < 0 ? err : V3_OK;
}

/* LMSW sets CR0 bits 0..3 and cannot clear PE; APM vol. 3. */
static int cr_lmsw(struct v3_vcpu *vcpu, const struct v3_insn *insn)
{
	uint16_t msw = (uint16_t)vcpu->regs.gpr[insn->rm & 15];
	int err = V3_OK;

	if (insn->flags & V3_INSN_MEM)
		err = cr_operand16(vcpu, insn, &msw, false);
	if (err != V3_OK)
		return err < 0 ? err : V3_OK;
	err = v3_cr0_write(vcpu, (vcpu->cr0 & ~0xeull) | (msw & 0xf));
	return cr_finish(vcpu, err, insn->length);
}

/* MOV CRn, reg. */
static int cr_move_to(struct v3_vcpu *vcpu, unsigned n, unsigned gpr, unsigned len)
{
	uint64_t value = vcpu->regs.gpr[gpr];

	if (v3_code_bits(vcpu) != 64)
		value = (uint32_t)value;
	return cr_finish(vcpu, cr_write(vcpu, n, value), len);
}

/* With decode assists and next RIP the hardware has told all about a MOV; 15.8.1. */
static bool cr_decoded(const struct v3_exit *exit)
{
	return exit->u.reg.gpr_valid && exit->insn_len;
}

/* What instruction exited: MOV to or from CRn (0F 20, 0F 22), LMSW (0F 01 /6), CLTS (0F 06). */
int v3_cr_write_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const struct v3_insn *insn;

	if (cr_decoded(exit))
		return cr_move_to(vcpu, exit->u.reg.n, exit->u.reg.gpr, exit->insn_len);
	insn = v3_insn_decode(vcpu, exit);
	if (!insn)
		return V3_OK;
	if (insn->map != V3_MAP_0F)
		return V3_OK; /* changed by another vcpu: run what is there now */
	switch (insn->opcode) {
	case 0x01:
		return cr_lmsw(vcpu, insn);
	case 0x06:
		return cr_finish(vcpu, v3_cr0_write(vcpu, vcpu->cr0 & ~V3_CR0_TS), insn->length);
	case 0x22:
		return cr_move_to(vcpu, v3_cr_operand(insn), insn->rm, insn->length);
	default:
		return V3_OK;
	}
}

/* SMSW reads CR0 too and exits with it. */
static int cr_smsw(struct v3_vcpu *vcpu, const struct v3_insn *insn)
{
	uint64_t *dst = &vcpu->regs.gpr[insn->rm & 15];
	uint16_t msw = (uint16_t)vcpu->cr0;
	int err = V3_OK;

	if (insn->flags & V3_INSN_MEM)
		err = cr_operand16(vcpu, insn, &msw, true);
	else if (insn->opnd_size == 2)
		*dst = (*dst & ~0xffffull) | msw;
	else
		*dst = insn->opnd_size == 4 ? (uint32_t)vcpu->cr0 : vcpu->cr0;
	if (err != V3_OK)
		return err < 0 ? err : V3_OK;
	return cr_finish(vcpu, V3_OK, insn->length);
}

/* MOV reg, CRn. */
static int cr_move_from(struct v3_vcpu *vcpu, unsigned n, unsigned gpr, unsigned len)
{
	uint64_t value = v3_vcpu_get_cr(vcpu, n);

	vcpu->regs.gpr[gpr] = v3_code_bits(vcpu) == 64 ? value : (uint32_t)value;
	return cr_finish(vcpu, V3_OK, len);
}

int v3_cr_read_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const struct v3_insn *insn;

	if (cr_decoded(exit))
		return cr_move_from(vcpu, exit->u.reg.n, exit->u.reg.gpr, exit->insn_len);
	insn = v3_insn_decode(vcpu, exit);
	if (!insn || insn->map != V3_MAP_0F)
		return V3_OK;
	if (insn->opcode == 0x01)
		return cr_smsw(vcpu, insn);
	if (insn->opcode != 0x20)
		return V3_OK;
	return cr_move_from(vcpu, v3_cr_operand(insn), insn->rm, insn->length);
}
