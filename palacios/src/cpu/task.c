/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file task.c
 * Hardware task switches: CALL, JMP, IRET and task gates, 16- and 32-bit TSS. AMD APM vol. 2 12.3;
 * SDM 3A 7.3. The CPU reports them and leaves all the work to us (15.14.1).
 */
#include "cpu/handlers.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "palacios/util/str.h"
#include "state.h"

#define TASK_NGPR      8
#define TASK_NSEG      6
#define TASK_TYPE_BUSY 2 /* bit of the descriptor type */
#define TASK_TYPE_32   8
#define TASK_DR7_LOCAL 0x155ull /* L0-L3 and LE are cleared by a switch */
#define TASK_DR6_BT    (1ull << 15)

/* Offsets in the TSS. GPRs are in the order of enum v3_gpr, segments of enum v3_seg_num (es cs ss ds fs gs). */
struct task_layout {
	uint8_t word; /* bytes of ip, flags and GPRs */
	uint8_t size; /* smallest legal limit + 1 */
	uint8_t cr3;  /* 0: not in this format */
	uint8_t ip, flags, gpr, seg, seg_step, nseg, ldt, trap;
};

static const struct task_layout task_layout16 = {
	.word = 2,
	.size = 0x2c,
	.ip = 0x0e,
	.flags = 0x10,
	.gpr = 0x12,
	.seg = 0x22,
	.seg_step = 2,
	.nseg = 4,
	.ldt = 0x2a,
};
static const struct task_layout task_layout32 = {
	.word = 4,
	.size = 0x68,
	.cr3 = 0x1c,
	.ip = 0x20,
	.flags = 0x24,
	.gpr = 0x28,
	.seg = 0x48,
	.seg_step = 4,
	.nseg = 6,
	.ldt = 0x60,
	.trap = 0x64,
};

struct task_switch {
	struct v3_vcpu *vcpu;
	const struct v3_exit *exit;
	uint64_t desc; /* the new TSS's */
	struct v3_seg tss;
	const struct task_layout *layout;
	uint8_t image[0x68]; /* the new TSS */
};

/* Memory of the guest's own structures; a page fault is queued for it. */
static int task_read(struct v3_vcpu *vcpu, v3_gva_t at, void *buf, size_t len)
{
	struct v3_gva_fault fault;
	int err = v3_gva_read(vcpu, at, buf, len, V3_ACC_READ, 0, &fault);

	if (err == V3_EFAULT)
		v3_vcpu_inject_pf(vcpu, fault.addr, fault.error);
	return err;
}

static int task_write(struct v3_vcpu *vcpu, v3_gva_t at, const void *buf, size_t len)
{
	struct v3_gva_fault fault;
	int err = v3_gva_write(vcpu, at, buf, len, 0, &fault);

	if (err == V3_EFAULT)
		v3_vcpu_inject_pf(vcpu, fault.addr, fault.error);
	return err;
}

static uint32_t task_get(const uint8_t *image, unsigned at, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, image + at, size);
	return v;
}

static int task_fault(struct v3_vcpu *vcpu, enum v3_vector vector, uint16_t sel)
{
	v3_vcpu_inject(vcpu, vector, true, sel & ~3u);
	return V3_EFAULT;
}

/* Linear address of a descriptor; V3_EFAULT and @p vector queued if the table is too short. */
static int task_desc_at(struct v3_vcpu *vcpu, uint16_t sel, enum v3_vector vector, v3_gva_t *at)
{
	struct v3_seg ldt;
	struct v3_dtr gdt;
	uint64_t base;
	uint32_t limit;

	if (sel & 4) {
		vcpu->arch->get_seg(vcpu, V3_LDTR, &ldt);
		base = ldt.base;
		limit = ldt.attr & V3_SEG_P ? ldt.limit : 0;
	} else {
		vcpu->arch->get_dtr(vcpu, false, &gdt);
		base = gdt.base;
		limit = gdt.limit;
	}
	if ((uint32_t)(sel | 7) > limit)
		return task_fault(vcpu, vector, sel);
	*at = base + (sel & ~7u);
	return V3_OK;
}

static void task_unpack(uint16_t sel, uint64_t desc, struct v3_seg *seg)
{
	uint32_t limit = (uint32_t)((desc & 0xffff) | (desc >> 32 & 0xf0000));

	seg->sel = sel;
	seg->attr = (uint16_t)((desc >> 40 & 0xff) | (desc >> 44 & 0xf00));
	seg->limit = seg->attr & V3_SEG_G ? limit << 12 | 0xfff : limit;
	seg->base = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000);
}

static int task_find_tss(struct task_switch *t)
{
	struct v3_vcpu *vcpu = t->vcpu;
	uint16_t sel = t->exit->u.task.sel;
	bool iret = t->exit->u.task.source == V3_TASK_IRET;
	enum v3_vector bad = iret ? V3_VEC_TS : V3_VEC_GP;
	v3_gva_t at;
	unsigned type;
	int err;

	if (sel & 4 || !(sel & ~7u))
		return task_fault(vcpu, bad, sel);
	err = task_desc_at(vcpu, sel, bad, &at);
	if (err == V3_OK)
		err = task_read(vcpu, at, &t->desc, sizeof(t->desc));
	if (err != V3_OK)
		return err;
	task_unpack(sel, t->desc, &t->tss);
	type = t->tss.attr & (V3_SEG_TYPE | V3_SEG_S);
	if ((type & ~(unsigned)(TASK_TYPE_32 | TASK_TYPE_BUSY)) != 1 ||
	    !!(type & TASK_TYPE_BUSY) != iret)
		return task_fault(vcpu, bad, sel);
	if (!(t->tss.attr & V3_SEG_P))
		return task_fault(vcpu, V3_VEC_NP, sel);
	t->layout = type & TASK_TYPE_32 ? &task_layout32 : &task_layout16;
	if (t->tss.limit + 1ull < t->layout->size)
		return task_fault(vcpu, V3_VEC_TS, sel);
	return task_read(vcpu, t->tss.base, t->image, t->layout->size);
}

/* The outgoing task's registers into its TSS: ip, flags, GPRs and selectors, which lie together. */
static int task_save_old(struct task_switch *t, const struct v3_seg *old, uint64_t rip)
{
	struct v3_vcpu *vcpu = t->vcpu;
	const struct task_layout *l = old->attr & TASK_TYPE_32 ? &task_layout32 : &task_layout16;
	uint32_t flags = (uint32_t)vcpu->regs.rflags;
	unsigned first = l->ip, len = l->seg + l->nseg * l->seg_step - l->ip, i;
	uint8_t image[0x68] = {0};
	struct v3_seg seg;

	if (t->exit->u.task.source == V3_TASK_IRET)
		flags &= ~(uint32_t)V3_RFLAGS_NT;
	memcpy(image + l->ip, &rip, l->word);
	memcpy(image + l->flags, &flags, l->word);
	for (i = 0; i < TASK_NGPR; i++)
		memcpy(image + l->gpr + i * l->word, &vcpu->regs.gpr[i], l->word);
	for (i = 0; i < l->nseg; i++) {
		vcpu->arch->get_seg(vcpu, (enum v3_seg_num)i, &seg);
		memcpy(image + l->seg + i * l->seg_step, &seg.sel, 2);
	}
	return task_write(vcpu, old->base + first, image + first, len);
}

static int task_set_busy(struct v3_vcpu *vcpu, uint16_t sel, bool busy)
{
	v3_gva_t at;
	uint8_t type;
	int err = task_desc_at(vcpu, sel, V3_VEC_TS, &at);

	if (err == V3_OK)
		err = task_read(vcpu, at + 5, &type, 1);
	if (err != V3_OK)
		return err;
	type = (uint8_t)(busy ? type | TASK_TYPE_BUSY : type & ~TASK_TYPE_BUSY);
	return task_write(vcpu, at + 5, &type, 1);
}

/* Is a descriptor fit for this register in the new task? SDM 3A 7.3 table 7-1. */
static bool task_seg_fits(enum v3_seg_num num, const struct v3_seg *s, unsigned cpl)
{
	unsigned type = s->attr & V3_SEG_TYPE, dpl = (s->attr & V3_SEG_DPL) >> 5, rpl = s->sel & 3;
	bool code = type & 8, conforming = code && (type & 4);

	if (!(s->attr & V3_SEG_S))
		return false;
	if (num == V3_CS)
		return code && (conforming ? dpl <= cpl : dpl == cpl);
	if (num == V3_SS)
		return !code && (type & 2) && dpl == cpl && rpl == cpl;
	return (!code || (type & 2)) && (conforming || (dpl >= cpl && dpl >= rpl));
}

static int task_load_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel, unsigned cpl)
{
	struct v3_seg seg = {.sel = sel};
	uint64_t desc;
	v3_gva_t at;
	int err;

	if (!(sel & ~3u)) {
		if (num == V3_CS || num == V3_SS)
			return task_fault(vcpu, V3_VEC_TS, sel);
		vcpu->arch->set_seg(vcpu, num, &seg);
		return V3_OK;
	}
	err = task_desc_at(vcpu, sel, V3_VEC_TS, &at);
	if (err == V3_OK)
		err = task_read(vcpu, at, &desc, sizeof(desc));
	if (err != V3_OK)
		return err;
	task_unpack(sel, desc, &seg);
	if (!task_seg_fits(num, &seg, cpl))
		return task_fault(vcpu, V3_VEC_TS, sel);
	if (!(seg.attr & V3_SEG_P))
		return task_fault(vcpu, num == V3_SS ? V3_VEC_SS : V3_VEC_NP, sel);
	seg.attr |= 1; /* accessed */
	vcpu->arch->set_seg(vcpu, num, &seg);
	return V3_OK;
}

/* Virtual-8086 mode: segments as in real mode, CPL 3. */
static void task_load_vm86(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel)
{
	const struct v3_seg seg = {.sel = sel,
				   .attr = V3_SEG_P | V3_SEG_S | V3_SEG_DPL | 3,
				   .limit = 0xffff,
				   .base = (uint32_t)sel << 4};

	vcpu->arch->set_seg(vcpu, num, &seg);
}

static int task_load_ldt(struct v3_vcpu *vcpu, uint16_t sel)
{
	struct v3_seg ldt = {.sel = sel};
	uint64_t desc;
	v3_gva_t at;
	int err;

	if (sel & ~3u) {
		if (sel & 4)
			return task_fault(vcpu, V3_VEC_TS, sel);
		err = task_desc_at(vcpu, sel, V3_VEC_TS, &at);
		if (err == V3_OK)
			err = task_read(vcpu, at, &desc, sizeof(desc));
		if (err != V3_OK)
			return err;
		task_unpack(sel, desc, &ldt);
		if ((ldt.attr & (V3_SEG_TYPE | V3_SEG_S | V3_SEG_P)) != (V3_SEG_P | 2))
			return task_fault(vcpu, V3_VEC_TS, sel);
	}
	vcpu->arch->set_seg(vcpu, V3_LDTR, &ldt);
	return V3_OK;
}

static int task_load_segments(struct task_switch *t)
{
	/* CS and SS first: they settle the privilege that the others are checked against. */
	static const uint8_t order[TASK_NSEG] = {V3_CS, V3_SS, V3_ES, V3_DS, V3_FS, V3_GS};
	const struct task_layout *l = t->layout;
	struct v3_vcpu *vcpu = t->vcpu;
	bool vm86 = vcpu->regs.rflags & V3_RFLAGS_VM;
	unsigned i, cpl = vm86 ? 3 : task_get(t->image, l->seg + V3_CS * l->seg_step, 2) & 3;
	uint16_t sel;
	int err;

	err = task_load_ldt(vcpu, (uint16_t)task_get(t->image, l->ldt, 2));
	vcpu->arch->set_cpl(vcpu, cpl);
	for (i = 0; err == V3_OK && i < TASK_NSEG; i++) {
		enum v3_seg_num num = (enum v3_seg_num)order[i];

		sel = num < l->nseg ? (uint16_t)task_get(t->image, l->seg + num * l->seg_step, 2)
				    : 0;
		if (vm86)
			task_load_vm86(vcpu, num, sel);
		else
			err = task_load_seg(vcpu, num, sel, cpl);
	}
	return err;
}

/* Commit point: from here on every fault is the new task's. */
static void task_load_registers(struct task_switch *t, bool nested)
{
	const struct task_layout *l = t->layout;
	struct v3_vcpu *vcpu = t->vcpu;
	unsigned i;

	t->tss.attr |= TASK_TYPE_BUSY;
	vcpu->arch->set_seg(vcpu, V3_TR, &t->tss);
	vcpu->arch->set_cr(vcpu, 0, vcpu->cr0 | V3_CR0_TS);
	if (l->cr3 && (vcpu->cr0 & V3_CR0_PG)) {
		vcpu->arch->set_cr(vcpu, 3, task_get(t->image, l->cr3, 4));
		v3_flush_vcpu(vcpu);
	}
	vcpu->regs.rip = task_get(t->image, l->ip, l->word);
	vcpu->regs.rflags = (task_get(t->image, l->flags, l->word) & 0x3f7fd7u) | V3_RFLAGS_ONE |
			    (nested ? V3_RFLAGS_NT : 0);
	for (i = 0; i < TASK_NGPR; i++)
		vcpu->regs.gpr[i] = task_get(t->image, l->gpr + i * l->word, l->word);
	vcpu->arch->set_dr(vcpu, 7, vcpu->arch->get_dr(vcpu, 7) & ~TASK_DR7_LOCAL);
	vcpu->arch->clear_shadow(vcpu);
}

/* An exception with an error code through a task gate pushes it on the new task's stack. */
static int task_push_error(struct task_switch *t)
{
	struct v3_vcpu *vcpu = t->vcpu;
	uint32_t error = t->exit->u.task.error;
	unsigned size = t->layout->word;
	uint64_t sp, mask;
	struct v3_seg ss;
	int err;

	vcpu->arch->get_seg(vcpu, V3_SS, &ss);
	mask = ss.attr & V3_SEG_DB ? 0xffffffffull : 0xffffull;
	sp = (vcpu->regs.gpr[V3_RSP] - size) & mask;
	err = task_write(vcpu, (uint32_t)(ss.base + sp), &error, size);
	if (err == V3_OK)
		vcpu->regs.gpr[V3_RSP] = (vcpu->regs.gpr[V3_RSP] & ~mask) | sp;
	return err;
}

static int task_switch(struct task_switch *t, uint64_t rip)
{
	enum v3_task_source source = (enum v3_task_source)t->exit->u.task.source;
	bool nested = source == V3_TASK_CALL || source == V3_TASK_GATE;
	struct v3_vcpu *vcpu = t->vcpu;
	struct v3_seg old;
	int err = task_find_tss(t);

	if (err != V3_OK)
		return err;
	vcpu->arch->get_seg(vcpu, V3_TR, &old);
	err = task_save_old(t, &old, rip);
	if (err == V3_OK && !nested)
		err = task_set_busy(vcpu, old.sel, false);
	if (err == V3_OK && nested)
		err = task_write(vcpu, t->tss.base, &old.sel, 2);
	if (err == V3_OK && source != V3_TASK_IRET)
		err = task_set_busy(vcpu, t->tss.sel, true);
	if (err != V3_OK)
		return err;

	task_load_registers(t, nested);
	err = task_load_segments(t);
	if (err == V3_OK && t->exit->u.task.has_error)
		err = task_push_error(t);
	if (err == V3_OK && t->layout->trap && (t->image[t->layout->trap] & 1)) {
		vcpu->arch->set_dr(vcpu, 6, vcpu->arch->get_dr(vcpu, 6) | TASK_DR6_BT);
		v3_vcpu_inject(vcpu, V3_VEC_DB, false, 0);
	}
	return err;
}

int v3_task_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	struct task_switch t = {.vcpu = vcpu, .exit = exit};
	uint64_t rip = vcpu->regs.rip;
	const struct v3_insn *insn;

	/* The event that came through a task gate is delivered by the switch itself. */
	if (exit->u.task.source == V3_TASK_GATE)
		vcpu->pending.type = V3_EVENT_NONE;
	if (exit->u.task.after_insn) {
		insn = v3_insn_decode(vcpu, exit);
		if (!insn)
			return V3_OK;
		rip += insn->length;
	}
	task_switch(&t, rip);
	return V3_OK;
}
