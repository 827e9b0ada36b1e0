/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file dr.c
 * Debug registers. AMD APM vol. 2 13.1.1: reserved bits, general detect, the DR4/DR5 aliases.
 */
#include "cpu/handlers.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "state.h"

#define DR6_ONES     0xffff0ff0ull /* bits that always read 1 */
#define DR6_WRITABLE 0x0000e00full
#define DR6_BD	     (1ull << 13)
#define DR7_ONES     0x00000400ull
#define DR7_WRITABLE 0xffff23ffull
#define DR7_GD	     (1ull << 13)

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE is set. @return -1: #UD. */
static int dr_number(const struct v3_vcpu *vcpu, unsigned n)
{
	if (n >= 8 || (n >= 4 && n <= 5 && (vcpu->cr4 & V3_CR4_DE)))
		return -1;
	return (int)(n == 4 || n == 5 ? n + 2 : n);
}

static int dr_write(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	if (n >= 6 && value >> 32)
		return V3_EINVAL;
	if (n == 6)
		value = (value & DR6_WRITABLE) | DR6_ONES;
	else if (n == 7)
		value = (value & DR7_WRITABLE) | DR7_ONES;
	vcpu->arch->set_dr(vcpu, n, value);
	return V3_OK;
}

/* DR7.GD: any access traps before it happens, and GD is cleared. */
static bool dr_general_detect(struct v3_vcpu *vcpu)
{
	uint64_t dr7 = vcpu->arch->get_dr(vcpu, 7);

	if (!(dr7 & DR7_GD))
		return false;
	vcpu->arch->set_dr(vcpu, 7, dr7 & ~DR7_GD);
	vcpu->arch->set_dr(vcpu, 6, vcpu->arch->get_dr(vcpu, 6) | DR6_BD);
	v3_vcpu_inject(vcpu, V3_VEC_DB, false, 0);
	return true;
}

static int dr_move(struct v3_vcpu *vcpu, unsigned reg, uint64_t *gpr, bool write, unsigned len)
{
	bool wide = v3_code_bits(vcpu) == 64;
	int n = dr_number(vcpu, reg);
	uint64_t value;
	int err = V3_OK;

	if (n < 0) {
		v3_vcpu_inject_ud(vcpu);
		return V3_OK;
	}
	if (vcpu->cpl) { /* hardware does not exit then; Bochs 2.7's VMX does (quirk B6) */
		v3_vcpu_inject_gp(vcpu, 0);
		return V3_OK;
	}
	if (dr_general_detect(vcpu))
		return V3_OK;
	if (write) {
		err = dr_write(vcpu, (unsigned)n, wide ? *gpr : (uint32_t)*gpr);
	} else {
		value = vcpu->arch->get_dr(vcpu, (unsigned)n);
		*gpr = wide ? value : (uint32_t)value;
	}
	if (err == V3_EINVAL)
		v3_vcpu_inject_gp(vcpu, 0);
	else
		v3_insn_retire(vcpu, len);
	return V3_OK;
}

int v3_dr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const struct v3_insn *insn;

	/* Decode assists; 15.9. */
	if (exit->u.reg.gpr_valid && exit->insn_len)
		return dr_move(vcpu, exit->u.reg.n, &vcpu->regs.gpr[exit->u.reg.gpr],
			       exit->u.reg.write, exit->insn_len);
	insn = v3_insn_decode(vcpu, exit);
	if (!insn)
		return V3_OK;
	if (insn->map != V3_MAP_0F || (insn->opcode & 0xfd) != 0x21)
		return V3_OK; /* changed by another vcpu: run what is there now */
	return dr_move(vcpu, insn->reg, &vcpu->regs.gpr[insn->rm], insn->opcode == 0x23,
		       insn->length);
}
