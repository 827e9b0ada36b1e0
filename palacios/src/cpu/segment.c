/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file segment.c
 * Segment registers loaded by us. Called for emulated MOV, POP, LLDT and LTR (exit/emulate.c) and for task
 * switches (cpu/task.c). AMD APM vol. 2 4.5 (registers), 4.7 (descriptors), 4.8 (long mode), 4.11 (privilege); vol. 3
 * "MOV", "POP"; SDM 3A 7.3 table 7-1 for the task switch.
 */
#include "cpu/segment.h"

#include "state.h"

#define SEGMENT_ACCESSED   0x1 /* type bits of code and data segments */
#define SEGMENT_RW	   0x2 /* data: writable; code: readable */
#define SEGMENT_CONFORMING 0x4 /* code only */
#define SEGMENT_CODE	   0x8
#define SEGMENT_LDT	   0x2 /* types of system segments */
#define SEGMENT_TSS16	   0x1
#define SEGMENT_TSS	   0x9 /* 32-bit or, in long mode, 64-bit; available */
#define SEGMENT_BUSY	   0x2 /* of a TSS */
#define SEGMENT_DATA	   (V3_SEG_P | V3_SEG_S | SEGMENT_RW | SEGMENT_ACCESSED)

int v3_segment_read(struct v3_vcpu *vcpu, v3_gva_t at, void *buf, size_t len)
{
	struct v3_gva_fault fault;
	int err = v3_gva_read(vcpu, at, buf, len, V3_ACC_READ, 0, &fault);

	if (err == V3_EFAULT)
		v3_vcpu_inject_pf(vcpu, fault.addr, fault.error);
	return err;
}

int v3_segment_write(struct v3_vcpu *vcpu, v3_gva_t at, const void *buf, size_t len)
{
	struct v3_gva_fault fault;
	int err = v3_gva_write(vcpu, at, buf, len, 0, &fault);

	if (err == V3_EFAULT)
		v3_vcpu_inject_pf(vcpu, fault.addr, fault.error);
	return err;
}

int v3_segment_fault(struct v3_vcpu *vcpu, enum v3_vector vector, uint16_t sel)
{
	v3_vcpu_inject(vcpu, vector, true, sel & ~3u);
	return V3_EFAULT;
}

static void segment_unpack(uint16_t sel, uint64_t desc, struct v3_seg *seg)
{
	uint32_t limit = (uint32_t)((desc & 0xffff) | (desc >> 32 & 0xf0000));

	seg->sel = sel;
	seg->attr = (uint16_t)((desc >> 40 & 0xff) | (desc >> 44 & 0xf00));
	seg->limit = seg->attr & V3_SEG_G ? limit << 12 | 0xfff : limit;
	seg->base = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000);
}

int v3_segment_fetch(struct v3_vcpu *vcpu, uint16_t sel, enum v3_vector vector,
		     struct v3_desc *desc)
{
	struct v3_seg ldt;
	struct v3_dtr gdt;
	uint32_t limit;
	int err;

	if (sel & 4) {
		vcpu->arch->get_seg(vcpu, V3_LDTR, &ldt);
		desc->at = ldt.base;
		limit = ldt.attr & V3_SEG_P ? ldt.limit : 0;
	} else {
		vcpu->arch->get_dtr(vcpu, false, &gdt);
		desc->at = gdt.base;
		limit = gdt.limit;
	}
	if ((uint32_t)(sel | 7) > limit)
		return v3_segment_fault(vcpu, vector, sel);
	desc->at += sel & ~7u;
	if (!(vcpu->efer & V3_EFER_LMA))
		desc->at = (uint32_t)desc->at;
	err = v3_segment_read(vcpu, desc->at, &desc->raw, sizeof(desc->raw));
	if (err == V3_OK)
		segment_unpack(sel, desc->raw, &desc->seg);
	return err;
}

int v3_segment_mark(struct v3_vcpu *vcpu, const struct v3_desc *desc, uint8_t clear, uint8_t set)
{
	uint8_t access = (uint8_t)(desc->raw >> 40);

	access = (uint8_t)((access & ~clear) | set);
	return v3_segment_write(vcpu, desc->at + 5, &access, 1);
}

/* Real and virtual-8086 mode. In the former the limit stays what it was ("unreal mode"). */
static int segment_load_real(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel)
{
	struct v3_seg seg;

	vcpu->arch->get_seg(vcpu, num, &seg);
	seg.sel = sel;
	seg.base = (uint32_t)sel << 4;
	if (vcpu->regs.rflags & V3_RFLAGS_VM) {
		seg.attr = SEGMENT_DATA | V3_SEG_DPL;
		seg.limit = 0xffff;
	} else {
		seg.attr = (uint16_t)((seg.attr & ~0xffu) | SEGMENT_DATA);
	}
	vcpu->arch->set_seg(vcpu, num, &seg);
	return V3_OK;
}

/*
 * 64-bit code may have no stack segment except at CPL 3 (vol. 3 "MOV"). What becomes of the bases of FS and
 * GS, which are still used in 64-bit code, depends on the CPU (vol. 3 appendix E, NullSelectorClearsBase).
 */
static int segment_load_null(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel, unsigned cpl,
			     enum v3_vector vector)
{
	struct v3_seg seg = {.sel = sel}, old;

	if (num == V3_CS || (num == V3_SS && (v3_code_bits(vcpu) != 64 || cpl == 3)))
		return v3_segment_fault(vcpu, vector, sel);
	if (num == V3_SS)
		seg.attr = (uint16_t)(cpl << 5);
	if (num >= V3_FS && !vcpu->cpu.null_clears_base) {
		vcpu->arch->get_seg(vcpu, num, &old);
		seg.base = old.base;
	}
	vcpu->arch->set_seg(vcpu, num, &seg);
	return V3_OK;
}

/* Is a descriptor fit for this register? Present or not is looked at later. */
static bool segment_fits(enum v3_seg_num num, const struct v3_seg *s, unsigned cpl)
{
	unsigned dpl = (s->attr & V3_SEG_DPL) >> 5, rpl = s->sel & 3;
	bool code = s->attr & SEGMENT_CODE, rw = s->attr & SEGMENT_RW;
	bool conforming = code && (s->attr & SEGMENT_CONFORMING);

	if (!(s->attr & V3_SEG_S))
		return false;
	if (num == V3_CS)
		return code && (conforming ? dpl <= cpl : dpl == cpl);
	if (num == V3_SS)
		return !code && rw && dpl == cpl && rpl == cpl;
	return (!code || rw) && (conforming || (dpl >= cpl && dpl >= rpl));
}

int v3_segment_load(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel, unsigned cpl,
		    enum v3_vector vector)
{
	struct v3_desc desc;
	int err;

	if (!(vcpu->cr0 & V3_CR0_PE) || (vcpu->regs.rflags & V3_RFLAGS_VM))
		return segment_load_real(vcpu, num, sel);
	if (!(sel & ~3u))
		return segment_load_null(vcpu, num, sel, cpl, vector);
	err = v3_segment_fetch(vcpu, sel, vector, &desc);
	if (err != V3_OK)
		return err;
	if (!segment_fits(num, &desc.seg, cpl))
		return v3_segment_fault(vcpu, vector, sel);
	if (!(desc.seg.attr & V3_SEG_P))
		return v3_segment_fault(vcpu, num == V3_SS ? V3_VEC_SS : V3_VEC_NP, sel);
	if (!(desc.seg.attr & SEGMENT_ACCESSED)) {
		err = v3_segment_mark(vcpu, &desc, 0, SEGMENT_ACCESSED);
		if (err != V3_OK)
			return err;
		desc.seg.attr |= SEGMENT_ACCESSED;
	}
	vcpu->arch->set_seg(vcpu, num, &desc.seg);
	return V3_OK;
}

/* In long mode system descriptors have 16 bytes: the base's upper half, and a type field that must be 0. */
static int segment_extend(struct v3_vcpu *vcpu, struct v3_desc *desc)
{
	const uint16_t sel = desc->seg.sel;
	struct v3_dtr gdt;
	uint64_t high;
	int err;

	if (!(vcpu->efer & V3_EFER_LMA))
		return V3_OK;
	vcpu->arch->get_dtr(vcpu, false, &gdt);
	if ((sel & ~7u) + 15u > gdt.limit)
		return v3_segment_fault(vcpu, V3_VEC_GP, sel);
	err = v3_segment_read(vcpu, desc->at + 8, &high, sizeof(high));
	if (err != V3_OK)
		return err;
	desc->seg.base |= high << 32;
	if ((high >> 40 & 0x1f) || !v3_gva_canonical(vcpu, desc->seg.base))
		return v3_segment_fault(vcpu, V3_VEC_GP, sel);
	return V3_OK;
}

static bool segment_fits_system(const struct v3_vcpu *vcpu, enum v3_seg_num num,
				const struct v3_seg *s)
{
	unsigned type = s->attr & (V3_SEG_TYPE | V3_SEG_S);

	if (num == V3_LDTR)
		return type == SEGMENT_LDT;
	return type == SEGMENT_TSS || (type == SEGMENT_TSS16 && !(vcpu->efer & V3_EFER_LMA));
}

int v3_segment_load_system(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel)
{
	struct v3_desc desc = {.seg = {.sel = sel}};
	int err;

	if (!(sel & ~3u) && num == V3_LDTR) { /* no LDT */
		vcpu->arch->set_seg(vcpu, num, &desc.seg);
		return V3_OK;
	}
	if (!(sel & ~3u) || (sel & 4))
		return v3_segment_fault(vcpu, V3_VEC_GP, sel);
	err = v3_segment_fetch(vcpu, sel, V3_VEC_GP, &desc);
	if (err != V3_OK)
		return err;
	if (!segment_fits_system(vcpu, num, &desc.seg))
		return v3_segment_fault(vcpu, V3_VEC_GP, sel);
	if (!(desc.seg.attr & V3_SEG_P))
		return v3_segment_fault(vcpu, V3_VEC_NP, sel);
	err = segment_extend(vcpu, &desc);
	if (err == V3_OK && num == V3_TR) {
		desc.seg.attr |= SEGMENT_BUSY;
		err = v3_segment_mark(vcpu, &desc, 0, SEGMENT_BUSY);
	}
	if (err == V3_OK)
		vcpu->arch->set_seg(vcpu, num, &desc.seg);
	return err;
}
