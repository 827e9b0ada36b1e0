// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_lapic.c
 * Local APICs: registers in both modes, priorities, interrupt acceptance; SDM 3A chapter 10. The
 * timer is in test_lapic_timer.c, messages between APICs in test_lapic_bus.c.
 */
#include "intr_rig.h"

#define ID     0x02
#define TPR    0x08
#define PPR    0x0a
#define EOI    0x0b
#define LDR    0x0d
#define DFR    0x0e
#define SVR    0x0f
#define ISR    0x10
#define TMR    0x18
#define IRR    0x20
#define ESR    0x28
#define ICR    0x30
#define ICR2   0x31
#define LVTT   0x32
#define LINT0  0x35
#define LVTERR 0x37
#define TICR   0x38
#define DCR    0x3e
#define SELF   0x3f

#define SELF_IPI(v) (1u << 18 | (v))
#define X2MSR(reg)  (V3_MSR_X2APIC_FIRST + (reg))

static void enable_x2(struct v3_vm *vm, unsigned cpu)
{
	uint64_t base;

	CHECK_EQ(rig_rdmsr(vm, cpu, V3_MSR_APIC_BASE, &base), V3_OK);
	CHECK_EQ(rig_wrmsr(vm, cpu, V3_MSR_APIC_BASE, base | 1u << 10), V3_OK);
}

static uint64_t x2_read(struct v3_vm *vm, unsigned cpu, unsigned reg)
{
	uint64_t value = ~0ull;

	CHECK_EQ(rig_rdmsr(vm, cpu, X2MSR(reg), &value), V3_OK);
	return value;
}

/* ---- registers ---- */

static void test_lapic_reset_values(void)
{
	static const struct {
		unsigned reg;
		uint32_t bsp, ap;
	} t[] = {
		{0x02, 0, 0x01000000},
		{0x03, 0x00050014, 0x00050014},
		{0x08, 0, 0},
		{0x09, 0, 0},
		{0x0a, 0, 0},
		{0x0b, 0, 0},
		{0x0d, 0, 0},
		{0x0e, 0xffffffff, 0xffffffff},
		{0x0f, 0x1ff, 0xff}, /* vcpu 0: as firmware leaves it */
		{0x28, 0, 0},
		{0x30, 0, 0},
		{0x31, 0, 0},
		{0x32, 0x10000, 0x10000},
		{0x33, 0x10000, 0x10000},
		{0x34, 0x10000, 0x10000},
		{0x35, 0x700, 0x10000}, /* ExtINT, unmasked */
		{0x36, 0x10000, 0x10000},
		{0x37, 0x10000, 0x10000},
		{0x38, 0, 0},
		{0x39, 0, 0},
		{0x3e, 0, 0},
	};
	struct v3_vm *vm = rig_open(2);

	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
			CHECK_MSG(rig_x_read(vm, 0, t[i].reg) == t[i].bsp,
				  "register %#x of vcpu 0 is %#x", t[i].reg,
				  rig_x_read(vm, 0, t[i].reg));
			CHECK_MSG(rig_x_read(vm, 1, t[i].reg) == t[i].ap,
				  "register %#x of vcpu 1 is %#x", t[i].reg,
				  rig_x_read(vm, 1, t[i].reg));
		}
		for (unsigned reg = ISR; reg < ESR; reg++)
			CHECK_EQ(rig_x_read(vm, 0, reg), 0);
		/* Dirty everything, then reset and look again. */
		rig_x_write(vm, 1, SVR, 0x1ff);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			for (unsigned reg = 0; reg < 0x40; reg++) {
				if (reg != SVR && reg != ICR)
					rig_x_write(vm, cpu, reg, 0x00050043);
			}
			rig_x_write(vm, cpu, ICR, SELF_IPI(0x77));
			CHECK_EQ(rig_pending(vm, cpu), 0x77);
		}
		rig_reset(vm);
		CHECK_EQ(rig_pending(vm, 0), V3_EAGAIN);
		CHECK(!rig_timer_armed(vm));
	}
	rig_close(vm);
}

static void test_lapic_xapic_write_masks(void)
{
	static const struct {
		unsigned reg;
		uint32_t ones, zeros; /* read back after writing ~0 and 0 */
	} t[] = {
		{0x02, 0, 0},	       {0x03, 0x00050014, 0x00050014},
		{0x08, 0xff, 0},       {0x09, 0, 0},
		{0x0b, 0, 0},	       {0x0c, 0, 0},
		{0x0d, 0xff000000, 0}, {0x0e, 0xffffffff, 0x0fffffff},
		{0x10, 0, 0},	       {0x1f, 0, 0},
		{0x27, 0, 0},	       {0x28, 0, 0},
		{0x31, 0xff000000, 0}, {0x32, 0x000700ff, 0},
		{0x33, 0x000107ff, 0}, {0x34, 0x000107ff, 0},
		{0x35, 0x0001a7ff, 0}, {0x36, 0x0001a7ff, 0},
		{0x37, 0x000100ff, 0}, {0x39, 0, 0},
		{0x3e, 0xb, 0},	       {0x0f, 0x3ff, 0}, /* last: 0 disables the APIC */
	};
	struct v3_vm *vm = rig_open(1);

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		rig_x_write(vm, 0, t[i].reg, 0xffffffff);
		CHECK_MSG(rig_x_read(vm, 0, t[i].reg) == t[i].ones, "register %#x: %#x after ones",
			  t[i].reg, rig_x_read(vm, 0, t[i].reg));
		rig_x_write(vm, 0, t[i].reg, 0);
		CHECK_MSG(rig_x_read(vm, 0, t[i].reg) == t[i].zeros,
			  "register %#x: %#x after zeros", t[i].reg, rig_x_read(vm, 0, t[i].reg));
	}
	rig_x_write(vm, 0, ICR2, 0xffffffff);
	rig_x_write(vm, 0, ICR, 0xffffffff & ~0x700u); /* delivery mode fixed: a legal command */
	CHECK_EQ(rig_x_read(vm, 0, ICR), 0x000cc8ff);
	CHECK_EQ(rig_x_read(vm, 0, ICR2), 0xff000000);
	rig_close(vm);
}

static void test_lapic_illegal_register_sets_esr(void)
{
	static const uint16_t reserved[] = {0x000, 0x010, 0x040, 0x070, 0x290, 0x2e0,
					    0x2f0, 0x3a0, 0x3d0, 0x3f0, 0x400, 0xff0};
	struct v3_vm *vm = rig_open(1);
	uint64_t value;

	for (unsigned i = 0; i < V3_ARRAY_SIZE(reserved); i++) {
		for (int write = 0; write < 2; write++) {
			value = 0x1234;
			CHECK_EQ(rig_mmio(vm, 0, V3_PC_LAPIC_BASE + reserved[i], 4, write, &value),
				 V3_OK);
			CHECK_EQ(value, write ? 0x1234 : 0);
			rig_x_write(vm, 0, ESR, 0);
			CHECK_MSG(rig_x_read(vm, 0, ESR) == 0x80, "offset %#x", reserved[i]);
			rig_x_write(vm, 0, ESR, 0);
			CHECK_EQ(rig_x_read(vm, 0, ESR), 0);
		}
	}
	rig_close(vm);
}

static void test_lapic_odd_accesses_read_zero_and_write_nothing(void)
{
	static const struct {
		uint16_t offset;
		uint8_t size;
	} t[] = {{0x80, 1}, {0x80, 2}, {0x80, 8}, {0x81, 1}, {0x82, 2},
		 {0x84, 4}, {0x88, 8}, {0xf1, 1}, {0xf4, 4}, {0x321, 1}};
	struct v3_vm *vm = rig_open(1);
	uint64_t value;

	rig_x_write(vm, 0, TPR, 0x5a);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		value = 0;
		CHECK_EQ(rig_mmio(vm, 0, V3_PC_LAPIC_BASE + t[i].offset, t[i].size, true, &value),
			 V3_OK);
		value = ~0ull;
		CHECK_EQ(rig_mmio(vm, 0, V3_PC_LAPIC_BASE + t[i].offset, t[i].size, false, &value),
			 V3_OK);
		CHECK_EQ(value, 0);
	}
	CHECK_EQ(rig_x_read(vm, 0, TPR), 0x5a);
	CHECK_EQ(rig_x_read(vm, 0, SVR), 0x1ff);
	CHECK_EQ(rig_x_read(vm, 0, LVTT), 0x10000);
	rig_close(vm);
}

/* Table 10-6 of the manual, written down independently: r = readable, w = writable, and reserved
 * bits. */
struct x2_rule {
	unsigned first, last;
	bool r, w;
	uint64_t reserved;
};
static const struct x2_rule x2_rules[] = {
	{0x02, 0x02, true, false, 0},
	{0x03, 0x03, true, false, 0},
	{0x08, 0x08, true, true, ~0xffull},
	{0x0a, 0x0a, true, false, 0},
	{0x0b, 0x0b, false, true, ~0ull},
	{0x0d, 0x0d, true, false, 0},
	{0x0f, 0x0f, true, true, ~0x3ffull},
	{0x10, 0x27, true, false, 0},
	{0x28, 0x28, true, true, ~0ull},
	{0x30, 0x30, true, true, 0xfff33000ull},
	{0x32, 0x32, true, true, ~0x710ffull},
	{0x33, 0x34, true, true, ~0x117ffull},
	{0x35, 0x36, true, true, ~0x1f7ffull},
	{0x37, 0x37, true, true, ~0x110ffull},
	{0x38, 0x38, true, true, ~0xffffffffull},
	{0x39, 0x39, true, false, 0},
	{0x3e, 0x3e, true, true, ~0xbull},
	{0x3f, 0x3f, false, true, ~0xffull},
};

static const struct x2_rule *x2_rule(unsigned reg)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(x2_rules); i++) {
		if (reg >= x2_rules[i].first && reg <= x2_rules[i].last)
			return &x2_rules[i];
	}
	return NULL;
}

static void test_lapic_x2apic_access_rules(void)
{
	struct v3_vm *vm = rig_open(1);
	uint64_t value;

	enable_x2(vm, 0);
	for (unsigned reg = 0; reg < 0x100; reg++) {
		const struct x2_rule *rule = x2_rule(reg);

		CHECK_MSG(rig_rdmsr(vm, 0, X2MSR(reg), &value) ==
				  (rule && rule->r ? V3_OK : V3_EINVAL),
			  "read of MSR %#x", X2MSR(reg));
		CHECK_MSG(rig_wrmsr(vm, 0, X2MSR(reg), 0) == (rule && rule->w ? V3_OK : V3_EINVAL),
			  "write of MSR %#x", X2MSR(reg));
		if (reg == SVR)
			rig_wrmsr(vm, 0, X2MSR(SVR), 0x1ff);
		for (unsigned bit = 0; bit < 64 && rule && rule->w; bit++) {
			int want = rule->reserved >> bit & 1 ? V3_EINVAL : V3_OK;

			CHECK_MSG(rig_wrmsr(vm, 0, X2MSR(reg), 1ull << bit) == want,
				  "MSR %#x bit %u", X2MSR(reg), bit);
			if (reg == SVR)
				rig_wrmsr(vm, 0, X2MSR(SVR), 0x1ff);
		}
	}
	rig_close(vm);
}

static void test_lapic_x2apic_msrs_fault_in_xapic_mode(void)
{
	struct v3_vm *vm = rig_open(1);
	uint64_t value;

	for (unsigned reg = 0; reg < 0x100; reg++) {
		CHECK_EQ(rig_rdmsr(vm, 0, X2MSR(reg), &value), V3_EINVAL);
		CHECK_EQ(rig_wrmsr(vm, 0, X2MSR(reg), 0), V3_EINVAL);
	}
	rig_close(vm);
}

static void test_lapic_x2apic_values(void)
{
	struct v3_vm *vm = rig_open(19);

	for (unsigned cpu = 0; cpu < 19; cpu++)
		enable_x2(vm, cpu);
	CHECK_EQ(x2_read(vm, 0, ID), 0);
	CHECK_EQ(x2_read(vm, 18, ID), 18);
	CHECK_EQ(x2_read(vm, 0, LDR), 1);
	CHECK_EQ(x2_read(vm, 15, LDR), 0x8000);
	CHECK_EQ(x2_read(vm, 18, LDR), 0x00010004);
	/* The command register is one of 64 bits; sent to nobody here. */
	CHECK_EQ(rig_wrmsr(vm, 0, X2MSR(ICR), 0x0000009900000033), V3_OK);
	CHECK_EQ(x2_read(vm, 0, ICR), 0x0000009900000033);
	CHECK_EQ(rig_wrmsr(vm, 0, X2MSR(TPR), 0x21), V3_OK);
	CHECK_EQ(x2_read(vm, 0, TPR), 0x21);
	CHECK_EQ(x2_read(vm, 0, PPR), 0x21);
	rig_close(vm);
}

static void test_lapic_base_transitions(void)
{
	/* Rows: state before; columns: state written; 0 disabled, 1 invalid, 2 xAPIC, 3 x2APIC. */
	static const bool legal[4][4] = {
		[0] = {true, false, true, false},
		[2] = {true, false, true, true},
		[3] = {true, false, false, true},
	};
	uint64_t base;

	for (unsigned from = 0; from < 4; from++) {
		for (unsigned to = 0; to < 4 && from != 1; to++) {
			struct v3_vm *vm = rig_open(1);
			uint64_t fixed = V3_PC_LAPIC_BASE | 0x100;
			int want = legal[from][to] ? V3_OK : V3_EINVAL;

			CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, fixed | from << 10), V3_OK);
			CHECK_MSG(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, fixed | to << 10) == want,
				  "%u to %u", from, to);
			CHECK_EQ(rig_rdmsr(vm, 0, V3_MSR_APIC_BASE, &base), V3_OK);
			CHECK_EQ(base, fixed | (want ? from : to) << 10);
			rig_close(vm);
		}
	}
}

static void test_lapic_base_checks(void)
{
	struct v3_vm *vm = rig_open(2);
	uint64_t base;

	CHECK_EQ(rig_rdmsr(vm, 0, V3_MSR_APIC_BASE, &base), V3_OK);
	CHECK_EQ(base, 0xfee00900);
	CHECK_EQ(rig_rdmsr(vm, 1, V3_MSR_APIC_BASE, &base), V3_OK);
	CHECK_EQ(base, 0xfee00800);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool flag = bit == 8 || bit == 11 || bit == 10;

		if (!flag)
			CHECK_MSG(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, 0xfee00900ull ^ 1ull << bit) ==
					  V3_EINVAL,
				  "bit %u", bit);
	}
	/* The boot-processor flag belongs to the machine. */
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, 0xfee00800), V3_OK);
	CHECK_EQ(rig_rdmsr(vm, 0, V3_MSR_APIC_BASE, &base), V3_OK);
	CHECK_EQ(base, 0xfee00900);
	rig_close(vm);
}

static void test_lapic_mmio_is_dead_in_x2apic_mode_and_when_disabled(void)
{
	struct v3_vm *vm = rig_open(1);

	enable_x2(vm, 0);
	CHECK_EQ(rig_x_read(vm, 0, ID), 0xffffffff);
	rig_x_write(vm, 0, TPR, 0x40);
	CHECK_EQ(x2_read(vm, 0, TPR), 0);
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE), V3_OK);
	CHECK_EQ(rig_x_read(vm, 0, SVR), 0xffffffff);
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE | 0x800), V3_OK);
	/* Back from disabled: reset state, without the firmware's settings. */
	CHECK_EQ(rig_x_read(vm, 0, SVR), 0xff);
	CHECK_EQ(rig_x_read(vm, 0, LINT0), 0x10000);
	rig_close(vm);
}

static void test_lapic_init_keeps_id_and_mode(void)
{
	struct v3_vm *vm = rig_open(3);
	uint64_t base;

	enable_x2(vm, 2);
	rig_wrmsr(vm, 2, X2MSR(SVR), 0x1ff);
	rig_wrmsr(vm, 2, X2MSR(TPR), 0x30);
	rig_wrmsr(vm, 2, X2MSR(LVTT), 0x20030);
	rig_wrmsr(vm, 2, X2MSR(TICR), 1000);
	rig_wrmsr(vm, 2, X2MSR(SELF), 0x66);
	vm->intr.lapic->init(vm->intr.lapic_priv, vm->vcpu[2]);
	CHECK_EQ(rig_rdmsr(vm, 2, V3_MSR_APIC_BASE, &base), V3_OK);
	CHECK_EQ(base, 0xfee00c00);
	CHECK_EQ(x2_read(vm, 2, ID), 2);
	CHECK_EQ(x2_read(vm, 2, SVR), 0xff);
	CHECK_EQ(x2_read(vm, 2, TPR), 0);
	CHECK_EQ(x2_read(vm, 2, LVTT), 0x10000);
	CHECK_EQ(x2_read(vm, 2, IRR + 3), 0);
	CHECK_EQ(rig_pending(vm, 2), V3_EAGAIN);
	CHECK(!rig_timer_armed(vm));
	/* The boot processor's LINT0 is masked after INIT, unlike at power-on. */
	vm->intr.lapic->init(vm->intr.lapic_priv, vm->vcpu[0]);
	CHECK_EQ(rig_x_read(vm, 0, LINT0), 0x10000);
	rig_close(vm);
}

/* ---- acceptance and priorities ---- */

static void test_lapic_software_disable(void)
{
	struct v3_vm *vm = rig_open(1);

	rig_x_write(vm, 0, LVTERR, 0x31);
	rig_x_write(vm, 0, ICR, SELF_IPI(0x40));
	rig_x_write(vm, 0, SVR, 0x0ff);
	/* Every entry is masked and stays so; what was accepted is still delivered; nothing new is.
	 * */
	for (unsigned reg = LVTT; reg <= LVTERR; reg++) {
		CHECK_EQ(rig_x_read(vm, 0, reg) & 0x10000, 0x10000);
		rig_x_write(vm, 0, reg, 0x55);
		CHECK_EQ(rig_x_read(vm, 0, reg), 0x10055);
	}
	CHECK_EQ(rig_pending(vm, 0), 0x40);
	rig_x_write(vm, 0, ICR, SELF_IPI(0x50));
	CHECK_EQ(rig_pending(vm, 0), 0x40);
	/* Enabled again: masks stay until they are cleared. */
	rig_x_write(vm, 0, SVR, 0x1ff);
	CHECK_EQ(rig_x_read(vm, 0, LVTERR), 0x10055);
	rig_x_write(vm, 0, LVTERR, 0x55);
	CHECK_EQ(rig_x_read(vm, 0, LVTERR), 0x55);
	rig_close(vm);
}

/* What the manual says about IRR, ISR, TPR and PPR, in the plainest form. */
struct ref {
	bool irr[256], isr[256];
	unsigned tpr;
};

static int ref_top(const bool *bits)
{
	int top = -1;

	for (int i = 0; i < 256; i++) {
		if (bits[i])
			top = i;
	}
	return top;
}

static unsigned ref_ppr(const struct ref *ref)
{
	int isrv = ref_top(ref->isr);
	unsigned in_service = isrv < 0 ? 0 : (unsigned)isrv / 16;

	return ref->tpr / 16 >= in_service ? ref->tpr : in_service * 16;
}

static int ref_pending(const struct ref *ref)
{
	int irrv = ref_top(ref->irr);

	return irrv >= 0 && (unsigned)irrv / 16 > ref_ppr(ref) / 16 ? irrv : V3_EAGAIN;
}

static void ref_compare(struct v3_vm *vm, const struct ref *ref, unsigned step)
{
	CHECK_MSG(rig_pending(vm, 0) == ref_pending(ref), "step %u: pending %d, expected %d", step,
		  rig_pending(vm, 0), ref_pending(ref));
	CHECK_MSG(rig_x_read(vm, 0, PPR) == ref_ppr(ref), "step %u: PPR %#x, expected %#x", step,
		  rig_x_read(vm, 0, PPR), ref_ppr(ref));
	for (unsigned reg = 0; reg < 8; reg++) {
		uint32_t irr = 0, isr = 0;

		for (unsigned bit = 0; bit < 32; bit++) {
			irr |= (uint32_t)ref->irr[reg * 32 + bit] << bit;
			isr |= (uint32_t)ref->isr[reg * 32 + bit] << bit;
		}
		CHECK_MSG(rig_x_read(vm, 0, IRR + reg) == irr, "step %u: IRR%u", step, reg);
		CHECK_MSG(rig_x_read(vm, 0, ISR + reg) == isr, "step %u: ISR%u", step, reg);
	}
}

static void ref_step(struct v3_vm *vm, struct ref *ref)
{
	unsigned arg = (unsigned)tap_rand() & 0xff;
	int vector;

	switch (tap_rand() % 6) {
	case 0:
	case 1:
		arg |= 0x10; /* a legal vector */
		rig_x_write(vm, 0, ICR, SELF_IPI(arg));
		ref->irr[arg] = true;
		break;
	case 2:
		vector = ref_pending(ref);
		if (vector < 0)
			break;
		rig_ack(vm, 0, vector);
		ref->irr[vector] = false;
		ref->isr[vector] = true;
		break;
	case 3:
		rig_x_write(vm, 0, EOI, arg);
		vector = ref_top(ref->isr);
		if (vector >= 0)
			ref->isr[vector] = false;
		break;
	case 4:
		rig_x_write(vm, 0, TPR, arg & 0x7f);
		ref->tpr = arg & 0x7f;
		break;
	case 5:
		vm->intr.lapic->set_cr8(vm->intr.lapic_priv, vm->vcpu[0], arg & 7);
		ref->tpr = (arg & 7) << 4;
		break;
	}
	CHECK_EQ(vm->intr.lapic->get_cr8(vm->intr.lapic_priv, vm->vcpu[0]), ref->tpr >> 4);
}

static void test_lapic_priorities_follow_the_manual(void)
{
	struct v3_vm *vm = rig_open(1);
	struct ref ref = {.tpr = 0};

	for (unsigned step = 0; step < 20000 && !tap.failures; step++) {
		int before = ref_pending(&ref);

		rig_take(vm, 0, V3_REQ_IRQ);
		ref_step(vm, &ref);
		ref_compare(vm, &ref, step);
		/* Whatever becomes deliverable is announced: the run loop does not look otherwise.
		 * */
		if (ref_pending(&ref) > before)
			CHECK_MSG(rig_take(vm, 0, V3_REQ_IRQ), "step %u: not announced", step);
	}
	rig_close(vm);
}

static void test_lapic_eoi_with_nothing_waiting_asks_for_nothing(void)
{
	struct v3_vm *vm = rig_open(1);

	rig_x_write(vm, 0, ICR, SELF_IPI(0x80));
	rig_x_write(vm, 0, ICR, SELF_IPI(0x85));
	rig_x_write(vm, 0, ICR, SELF_IPI(0x30));
	rig_ack(vm, 0, rig_pending(vm, 0)); /* 0x85 */
	rig_take(vm, 0, V3_REQ_IRQ);
	rig_x_write(vm, 0, TPR, 0x80);
	rig_x_write(vm, 0, EOI, 0);
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), 0); /* 0x80 is held back by the task priority */
	rig_x_write(vm, 0, EOI, 0);
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), 0);
	rig_x_write(vm, 0, TPR, 0x7f);
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), V3_REQ_IRQ);
	CHECK_EQ(rig_serve(vm, 0), 0x80);
	rig_close(vm);
}

static unsigned eois;
static uint8_t eoi_vector;

static void count_eoi(void *priv, uint8_t vector)
{
	CHECK(priv == &eois);
	eois++;
	eoi_vector = vector;
}

static void test_lapic_level_triggered_eoi_is_broadcast(void)
{
	struct v3_vm *vm = rig_open_bare(1);
	struct v3_apic_msg msg = {.dest = 0, .vector = 0x61, .level = true};

	rig_add(vm, &v3_device_lapic);
	CHECK_EQ(v3_eoi_register(vm, count_eoi, &eois), V3_OK);
	eois = 0;
	v3_apic_send(vm, &msg);
	CHECK_EQ(rig_x_read(vm, 0, TMR + 3), 2);
	CHECK_EQ(rig_serve(vm, 0), 0x61);
	CHECK_EQ(eois, 1);
	CHECK_EQ(eoi_vector, 0x61);
	/* The same vector edge-triggered: no broadcast. */
	msg.level = false;
	v3_apic_send(vm, &msg);
	CHECK_EQ(rig_x_read(vm, 0, TMR + 3), 0);
	CHECK_EQ(rig_serve(vm, 0), 0x61);
	CHECK_EQ(eois, 1);
	v3_eoi_unregister(vm);
	rig_close(vm);
}

static void test_lapic_extint_acceptance(void)
{
	struct v3_vm *vm = rig_open(2);
	const struct v3_lapic_ops *ops = vm->intr.lapic;
	void *priv = vm->intr.lapic_priv;

	CHECK(ops->accepts_extint(priv, vm->vcpu[0])); /* virtual wire */
	CHECK(!ops->accepts_extint(priv, vm->vcpu[1]));
	rig_x_write(vm, 0, LINT0, 0x10700);
	CHECK(!ops->accepts_extint(priv, vm->vcpu[0]));
	rig_take(vm, 0, V3_REQ_IRQ);
	rig_x_write(vm, 0, LINT0, 0x00400);
	CHECK(!ops->accepts_extint(priv, vm->vcpu[0]));
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), 0);
	rig_x_write(vm, 0, LINT0, 0x00700);
	CHECK(ops->accepts_extint(priv, vm->vcpu[0]));
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), V3_REQ_IRQ);
	rig_x_write(vm, 0, SVR, 0xff);
	CHECK(!ops->accepts_extint(priv, vm->vcpu[0]));
	/* Globally disabled: LINT0 is the INTR pin. */
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE), V3_OK);
	CHECK(ops->accepts_extint(priv, vm->vcpu[0]));
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), V3_REQ_IRQ);
	rig_close(vm);
}

/* ---- errors ---- */

static void test_lapic_error_interrupt_fires_once_until_rearmed(void)
{
	struct v3_vm *vm = rig_open(1);

	rig_x_write(vm, 0, LVTERR, 0x99);
	rig_x_write(vm, 0, ICR, SELF_IPI(5)); /* illegal vector: not sent */
	CHECK_EQ(rig_serve(vm, 0), 0x99);
	rig_x_write(vm, 0, ICR, SELF_IPI(15));
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	CHECK_EQ(rig_x_read(vm, 0, ESR), 0); /* latched by a write only */
	rig_x_write(vm, 0, ESR, 0);
	CHECK_EQ(rig_x_read(vm, 0, ESR), 0x20);
	rig_x_write(vm, 0, ICR, SELF_IPI(0));
	CHECK_EQ(rig_serve(vm, 0), 0x99);
	CHECK_EQ(rig_x_read(vm, 0, ESR), 0x20);
	rig_x_write(vm, 0, ESR, 0xffffffff);
	rig_x_write(vm, 0, ESR, 0);
	CHECK_EQ(rig_x_read(vm, 0, ESR), 0);
	rig_close(vm);
}

static void test_lapic_receive_illegal_vector(void)
{
	struct v3_vm *vm = rig_open(1);
	struct v3_apic_msg msg = {.vector = 9};

	v3_apic_send(vm, &msg);
	rig_x_write(vm, 0, ESR, 0);
	CHECK_EQ(rig_x_read(vm, 0, ESR), 0x40);
	CHECK_EQ(rig_pending(vm, 0), V3_EAGAIN);
	/* The error entry's own vector is illegal: an error, not an endless one. */
	rig_x_write(vm, 0, LVTERR, 0x03);
	rig_x_write(vm, 0, ICR, SELF_IPI(5));
	rig_x_write(vm, 0, ESR, 0);
	CHECK_EQ(rig_x_read(vm, 0, ESR), 0x60);
	CHECK_EQ(rig_pending(vm, 0), V3_EAGAIN);
	rig_close(vm);
}

static void test_lapic_self_ipi_msr(void)
{
	struct v3_vm *vm = rig_open(2);

	enable_x2(vm, 0);
	rig_wrmsr(vm, 0, X2MSR(SVR), 0x1ff);
	CHECK_EQ(rig_wrmsr(vm, 0, X2MSR(SELF), 0xee), V3_OK);
	CHECK_EQ(rig_pending(vm, 0), 0xee);
	CHECK_EQ(rig_wrmsr(vm, 0, X2MSR(SELF), 0x0e), V3_OK);
	CHECK_EQ(rig_wrmsr(vm, 0, X2MSR(ESR), 0), V3_OK);
	CHECK_EQ(x2_read(vm, 0, ESR), 0x20);
	rig_close(vm);
}

/* ---- hostile guests, failures ---- */

static void test_lapic_survives_random_accesses(void)
{
	struct v3_vm *vm = rig_open(3);

	for (unsigned i = 0; i < 100000; i++) {
		static const uint8_t sizes[] = {1, 2, 4, 4, 4, 4, 8};
		unsigned cpu = (unsigned)tap_rand() % 3, size = sizes[tap_rand() % 7];
		uint64_t value = tap_rand() & (tap_rand() | 0xff);
		unsigned offset = (unsigned)tap_rand() & 0xfff & ~(size - 1);
		uint32_t msr = X2MSR((unsigned)tap_rand() & 0xff);

		if (size == 8)
			value = tap_rand();
		else
			value &= (1ull << size * 8) - 1;
		switch (tap_rand() % 8) {
		case 0:
			rig_rdmsr(vm, cpu, msr, &value);
			break;
		case 1:
			rig_wrmsr(vm, cpu, msr, tap_rand() & 1 ? value : value & 0xffff);
			break;
		case 2:
			rig_wrmsr(vm, cpu, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE | (value & 0xfff));
			break;
		case 3:
			rig_wrmsr(vm, cpu, V3_MSR_TSC_DEADLINE,
				  tap_rand() & 1 ? value : value >> 40);
			break;
		case 4:
			rig_serve(vm, cpu);
			break;
		case 5:
			if (i % 16 == 0)
				rig_jump(vm, tap_rand() % 1000000);
			rig_take(vm, cpu, ~0u);
			break;
		default:
			CHECK_EQ(rig_mmio(vm, cpu, V3_PC_LAPIC_BASE + offset, size, tap_rand() & 1,
					  &value),
				 V3_OK);
		}
		CHECK(rig_pending(vm, cpu) < 256 &&
		      (rig_pending(vm, cpu) >= 16 || rig_pending(vm, cpu) == V3_EAGAIN));
	}
	rig_reset(vm);
	CHECK_EQ(rig_x_read(vm, 0, SVR), 0x1ff);
	rig_close(vm);
}

static int no_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)vcpu;
	(void)msr;
	(void)value;
	(void)priv;
	return V3_EINVAL;
}

static int no_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu;
	(void)mmio;
	(void)priv;
	return V3_OK;
}

/* Each thing that create claims is taken by somebody else once: nothing may stay claimed. */
static void test_lapic_create_unwinds_at_each_claim(void)
{
	static const uint32_t msr[] = {X2MSR(0), V3_MSR_APIC_BASE, V3_MSR_TSC_DEADLINE};
	struct v3_vm *vm = rig_open_bare(2);
	struct v3_lapic_ops ops = {.send = NULL};
	void *state = NULL;

	CHECK_EQ(v3_mmio_register(vm, V3_PC_LAPIC_BASE, 4096, no_mmio, NULL), V3_OK);
	CHECK_EQ(v3_device_lapic.create(vm, NULL, &state), V3_EEXIST);
	v3_mmio_unregister(vm, V3_PC_LAPIC_BASE);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(msr); i++) {
		CHECK_EQ(v3_msr_register(vm, msr[i], 1, no_read, NULL, NULL), V3_OK);
		CHECK_EQ(v3_device_lapic.create(vm, NULL, &state), V3_EEXIST);
		v3_msr_unregister(vm, msr[i]);
	}
	CHECK_EQ(v3_lapic_register(vm, &ops, NULL), V3_OK);
	CHECK_EQ(v3_device_lapic.create(vm, NULL, &state), V3_EEXIST);
	v3_lapic_unregister(vm);
	CHECK(!state);
	rig_add(vm, &v3_device_lapic);
	/* A second set is refused and leaves the first in place. */
	CHECK_EQ(v3_device_lapic.create(vm, NULL, &state), V3_EEXIST);
	rig_x_write(vm, 0, ICR, SELF_IPI(0x31));
	CHECK_EQ(rig_pending(vm, 0), 0x31);
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_lapic_reset_values),
	TAP(test_lapic_xapic_write_masks),
	TAP(test_lapic_illegal_register_sets_esr),
	TAP(test_lapic_odd_accesses_read_zero_and_write_nothing),
	TAP(test_lapic_x2apic_access_rules),
	TAP(test_lapic_x2apic_msrs_fault_in_xapic_mode),
	TAP(test_lapic_x2apic_values),
	TAP(test_lapic_base_transitions),
	TAP(test_lapic_base_checks),
	TAP(test_lapic_mmio_is_dead_in_x2apic_mode_and_when_disabled),
	TAP(test_lapic_init_keeps_id_and_mode),
	TAP(test_lapic_software_disable),
	TAP(test_lapic_priorities_follow_the_manual),
	TAP(test_lapic_eoi_with_nothing_waiting_asks_for_nothing),
	TAP(test_lapic_level_triggered_eoi_is_broadcast),
	TAP(test_lapic_extint_acceptance),
	TAP(test_lapic_error_interrupt_fires_once_until_rearmed),
	TAP(test_lapic_receive_illegal_vector),
	TAP(test_lapic_self_ipi_msr),
	TAP(test_lapic_survives_random_accesses),
	TAP(test_lapic_create_unwinds_at_each_claim),
};
TAP_MAIN(tests)
