/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file task.c
 * Hardware task switches: CALL, JMP, IRET and task gates, 16- and 32-bit TSS. AMD APM vol. 2 12.3;
 * SDM 3A 7.3. The CPU reports them and leaves all the work to us (15.14.1).
 */
#include "cpu/handlers.h"
#include "cpu/segment.h"
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
	struct v3_seg tss; /* the new one */
	const struct task_layout *layout;
	uint8_t image[0x68]; /* the new TSS */
};

static uint32_t task_get(const uint8_t *image, unsigned at, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, image + at, size);
	return v;
}

static int task_find_tss(struct task_switch *t)
{
	struct v3_vcpu *vcpu = t->vcpu;
	uint16_t sel = t->exit->u.task.sel;
	bool iret = t->exit->u.task.source == V3_TASK_IRET;
	enum v3_vector bad = iret ? V3_VEC_TS : V3_VEC_GP;
	struct v3_desc desc;
	unsigned type;
	int err;

	if (sel & 4 || !(sel & ~7u))
		return v3_segment_fault(vcpu, bad, sel);
	err = v3_segment_fetch(vcpu, sel, bad, &desc);
	if (err != V3_OK)
		return err;
	t->tss = desc.seg;
	type = t->tss.attr & (V3_SEG_TYPE | V3_SEG_S);
	if ((type & ~(unsigned)(TASK_TYPE_32 | TASK_TYPE_BUSY)) != 1 ||
	    !!(type & TASK_TYPE_BUSY) != iret)
		return v3_segment_fault(vcpu, bad, sel);
	if (!(t->tss.attr & V3_SEG_P))
		return v3_segment_fault(vcpu, V3_VEC_NP, sel);
	t->layout = type & TASK_TYPE_32 ? &task_layout32 : &task_layout16;
	if (t->tss.limit + 1ull < t->layout->size)
		return v3_segment_fault(vcpu, V3_VEC_TS, sel);
	return v3_segment_read(vcpu, t->tss.base, t->image, t->layout->size);
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
	return v3_segment_write(vcpu, old->base + first, image + first, len);
}

static int task_set_busy(struct v3_vcpu *vcpu, uint16_t sel, bool busy)
{
	struct v3_desc desc;
	int err = v3_segment_fetch(vcpu, sel, V3_VEC_TS, &desc);

	if (err != V3_OK)
		return err;
	return v3_segment_mark(vcpu, &desc, TASK_TYPE_BUSY, busy ? TASK_TYPE_BUSY : 0);
}

static int task_load_ldt(struct v3_vcpu *vcpu, uint16_t sel)
{
	struct v3_desc ldt = {.seg = {.sel = sel}};
	int err;

	if (sel & ~3u) {
		if (sel & 4)
			return v3_segment_fault(vcpu, V3_VEC_TS, sel);
		err = v3_segment_fetch(vcpu, sel, V3_VEC_TS, &ldt);
		if (err != V3_OK)
			return err;
		if ((ldt.seg.attr & (V3_SEG_TYPE | V3_SEG_S | V3_SEG_P)) != (V3_SEG_P | 2))
			return v3_segment_fault(vcpu, V3_VEC_TS, sel);
	}
	vcpu->arch->set_seg(vcpu, V3_LDTR, &ldt.seg);
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
		err = v3_segment_load(vcpu, num, sel, cpl, V3_VEC_TS);
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
	err = v3_segment_write(vcpu, (uint32_t)(ss.base + sp), &error, size);
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
		err = v3_segment_write(vcpu, t->tss.base, &old.sel, 2);
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
