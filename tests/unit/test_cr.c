/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_cr.c
 * Control registers and EFER: each illegal combination is refused and changes nothing; legal ones
 * have their effects. AMD APM vol. 2 3.1, 5.5, 14.6.
 */
#include "cpu/cr.h"

#include "fake_vm.h"
#include "tap.h"

/* State before, the write, and the outcome. */
struct cr_case {
	const char *name;
	uint64_t cr0, cr3, cr4, efer;
	uint16_t cs_attr;
	enum { CR0, CR4, EFER } reg;
	uint64_t value;
	bool legal;
};

#define PE     V3_CR0_PE
#define PG     (V3_CR0_PE | V3_CR0_PG)
#define LONG   V3_EFER_LME
#define ACTIVE (V3_EFER_LME | V3_EFER_LMA)
#define CODE32 (V3_SEG_P | V3_SEG_S | V3_SEG_DB | 0xb)
#define CODE64 (V3_SEG_P | V3_SEG_S | V3_SEG_L | 0xb)
#define PAE    V3_CR4_PAE
#define PCIDE  V3_CR4_PCIDE

static const struct cr_case cases[] = {
	{"cr0: nothing special", 0, 0, 0, 0, CODE32, CR0, PE, true},
	{"cr0: paging", PE, 0, 0, 0, CODE32, CR0, PG, true},
	{"cr0: paging without protection", 0, 0, 0, 0, CODE32, CR0, V3_CR0_PG, false},
	{"cr0: NW without CD", PE, 0, 0, 0, CODE32, CR0, PE | V3_CR0_NW, false},
	{"cr0: NW with CD", PE, 0, 0, 0, CODE32, CR0, PE | V3_CR0_NW | V3_CR0_CD, true},
	{"cr0: CD alone", PE, 0, 0, 0, CODE32, CR0, PE | V3_CR0_CD, true},
	{"cr0: upper half", PE, 0, 0, 0, CODE32, CR0, PE | 1ull << 32, false},
	{"cr0: bit 63", PE, 0, 0, 0, CODE32, CR0, PE | 1ull << 63, false},
	{"cr0: reserved low bits are ignored", PE, 0, 0, 0, CODE32, CR0, PE | 1u << 6 | 1u << 20,
	 true},
	{"cr0: long mode", PE, 0, PAE, LONG, CODE32, CR0, PG, true},
	{"cr0: long mode without PAE", PE, 0, 0, LONG, CODE32, CR0, PG, false},
	{"cr0: long mode with a 64-bit CS", PE, 0, PAE, LONG, CODE64, CR0, PG, false},
	{"cr0: paging off in 64-bit code", PG, 0, PAE, ACTIVE, CODE64, CR0, PE, false},
	{"cr0: paging off in compatibility mode", PG, 0, PAE, ACTIVE, CODE32, CR0, PE, true},
	{"cr0: paging off with PCIDE", PG, 0, PAE | PCIDE, ACTIVE, CODE32, CR0, PE, false},
	{"cr0: protection off with paging on", PG, 0, 0, 0, CODE32, CR0, V3_CR0_PG, false},

	{"cr4: nothing special", PE, 0, 0, 0, CODE32, CR4, PAE | V3_CR4_PGE | V3_CR4_OSFXSR, true},
	{"cr4: VMXE is not offered", PE, 0, 0, 0, CODE32, CR4, V3_CR4_VMXE, false},
	{"cr4: LA57 is not offered", PE, 0, 0, 0, CODE32, CR4, V3_CR4_LA57, false},
	{"cr4: PKE is not offered", PE, 0, 0, 0, CODE32, CR4, V3_CR4_PKE, false},
	{"cr4: reserved bit 15", PE, 0, 0, 0, CODE32, CR4, 1ull << 15, false},
	{"cr4: reserved bit 31", PE, 0, 0, 0, CODE32, CR4, 1ull << 31, false},
	{"cr4: reserved bit 32", PE, 0, 0, 0, CODE32, CR4, 1ull << 32, false},
	{"cr4: reserved bit 63", PE, 0, 0, 0, CODE32, CR4, 1ull << 63, false},
	{"cr4: PAE off in long mode", PG, 0, PAE, ACTIVE, CODE64, CR4, 0, false},
	{"cr4: PAE off in legacy mode", PG, 0, PAE, 0, CODE32, CR4, 0, true},
	{"cr4: PCIDE outside long mode", PG, 0, PAE, 0, CODE32, CR4, PAE | PCIDE, false},
	{"cr4: PCIDE with a PCID in CR3", PG, 0x1001, PAE, ACTIVE, CODE64, CR4, PAE | PCIDE, false},
	{"cr4: PCIDE", PG, 0x1000, PAE, ACTIVE, CODE64, CR4, PAE | PCIDE, true},
	{"cr4: PCIDE stays with a PCID in CR3", PG, 0x1001, PAE | PCIDE, ACTIVE, CODE64, CR4,
	 PAE | PCIDE | V3_CR4_PGE, true},
	{"cr4: SMEP and SMAP", PE, 0, 0, 0, CODE32, CR4, V3_CR4_SMEP | V3_CR4_SMAP, true},
	{"cr4: OSXSAVE", PE, 0, 0, 0, CODE32, CR4, V3_CR4_OSXSAVE, true},

	{"efer: long mode enable", PE, 0, 0, 0, CODE32, EFER, LONG, true},
	{"efer: long mode enable with paging", PG, 0, PAE, 0, CODE32, EFER, LONG, false},
	{"efer: long mode disable with paging", PG, 0, PAE, ACTIVE, CODE64, EFER, 0, false},
	{"efer: NXE with paging", PG, 0, PAE, ACTIVE, CODE64, EFER, ACTIVE | V3_EFER_NXE, true},
	{"efer: LMA is read-only", PE, 0, 0, 0, CODE32, EFER, V3_EFER_LMA, true},
	{"efer: SVME is not offered", PE, 0, 0, 0, CODE32, EFER, V3_EFER_SVME, false},
	{"efer: reserved bit 1", PE, 0, 0, 0, CODE32, EFER, 1ull << 1, false},
	{"efer: reserved bit 32", PE, 0, 0, 0, CODE32, EFER, 1ull << 32, false},
};

static int cr_try(struct v3_vcpu *vcpu, const struct cr_case *c)
{
	struct v3_seg cs = {.sel = 8, .attr = c->cs_attr, .limit = ~0u};

	v3_vcpu_set_seg(vcpu, V3_CS, &cs);
	v3_vcpu_set_cr(vcpu, 0, c->cr0 | V3_CR0_ET);
	v3_vcpu_set_cr(vcpu, 3, c->cr3);
	v3_vcpu_set_cr(vcpu, 4, c->cr4);
	v3_vcpu_set_efer(vcpu, c->efer);
	switch (c->reg) {
	case CR0:
		return v3_cr0_write(vcpu, c->value);
	case CR4:
		return v3_cr4_write(vcpu, c->value);
	default:
		return v3_efer_write(vcpu, c->value);
	}
}

static void test_cr_each_combination(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct v3_vcpu *vcpu;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		const struct cr_case *c = &cases[i];
		int err = cr_try(vcpu, c);

		CHECK_MSG(err == (c->legal ? V3_OK : V3_EINVAL), "%s: %s", c->name,
			  v3_strerror(err));
		if (!c->legal)
			CHECK_MSG(vcpu->cr0 == (c->cr0 | V3_CR0_ET) && vcpu->cr4 == c->cr4 &&
					  vcpu->efer == c->efer,
				  "%s: refused but changed", c->name);
	}
}

static void test_cr_paging_switches_long_mode(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct cr_case on = {"", PE, 0, PAE, LONG, CODE32, CR0, PG, true};

	REQUIRE(vm);
	CHECK_EQ(cr_try(vm->vcpu[0], &on), V3_OK);
	CHECK_EQ(vm->vcpu[0]->efer, ACTIVE);
	CHECK_EQ(v3_cr0_write(vm->vcpu[0], PE), V3_OK);
	CHECK_EQ(vm->vcpu[0]->efer, LONG);
}

static void test_cr_efer_write_keeps_lma(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct cr_case c = {"", PG, 0, PAE, ACTIVE, CODE64, EFER, LONG | V3_EFER_SCE, true};

	REQUIRE(vm);
	CHECK_EQ(cr_try(vm->vcpu[0], &c), V3_OK);
	CHECK_EQ(vm->vcpu[0]->efer, ACTIVE | V3_EFER_SCE);
	c.efer = 0;
	c.cr0 = PE;
	c.value = V3_EFER_LMA;
	CHECK_EQ(cr_try(vm->vcpu[0], &c), V3_OK);
	CHECK_EQ(vm->vcpu[0]->efer, 0);
}

static void test_cr_translation_changes_flush(void)
{
	static const struct cr_case flushing[] = {
		{"PG", PE, 0, 0, 0, CODE32, CR0, PG, true},
		{"WP", PG, 0, 0, 0, CODE32, CR0, PG | V3_CR0_WP, true},
		{"PAE", PG, 0, 0, 0, CODE32, CR4, PAE, true},
		{"PSE", PG, 0, 0, 0, CODE32, CR4, V3_CR4_PSE, true},
		{"PGE", PG, 0, PAE, 0, CODE32, CR4, PAE | V3_CR4_PGE, true},
		{"SMEP", PG, 0, PAE, 0, CODE32, CR4, PAE | V3_CR4_SMEP, true},
		{"NXE", PG, 0, PAE, 0, CODE32, EFER, V3_EFER_NXE, true},
	};
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(flushing); i++) {
		fake_take_requests(vm->vcpu[0]);
		CHECK_EQ(cr_try(vm->vcpu[0], &flushing[i]), V3_OK);
		CHECK_MSG(fake_take_requests(vm->vcpu[0]) & V3_REQ_FLUSH, "%s: no flush",
			  flushing[i].name);
	}
}

/* ---- the instructions ---- */

struct probe {
	uint64_t cr0, cr8;
	bool ok;
};

static void guest_moves_to_cr(struct fake_guest *g, void *arg)
{
	struct probe *p = arg;
	uint64_t value;

	g_flat32(g);
	CHECK(g_get_cr(g, 0, &value));
	CHECK(value & V3_CR0_PE);
	CHECK(g_set_cr(g, 0, value | V3_CR0_TS));
	CHECK(g_get_cr(g, 0, &p->cr0));
	CHECK(!g_set_cr(g, 0, V3_CR0_PG)); /* PG without PE */
	CHECK_EQ(g_exception(g).vector, V3_VEC_GP);
	CHECK(g_exception(g).has_error && g_exception(g).error == 0);
	CHECK(!g_set_cr(g, 4, V3_CR4_VMXE));
	CHECK(g_set_cr(g, 4, V3_CR4_PAE));
	CHECK(g_set_cr(g, 8, 9)); /* LOCK MOV CR0 */
	CHECK(g_get_cr(g, 8, &p->cr8));
	CHECK(!g_set_cr(g, 8, 16));
	CHECK(g_set_cr(g, 8, 0));
	p->ok = true;
	v3_vm_request_stop(v3_vcpu_vm(g_vcpu(g)), V3_STOP_POWEROFF, 0);
	g_compute(g);
}

static void test_cr_move_instructions(void)
{
	struct v3_vm *vm = NULL;
	struct probe p = {0};

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, guest_moves_to_cr, &p);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK(p.ok);
	CHECK(p.cr0 & V3_CR0_TS);
	CHECK_EQ(p.cr8, 9);
}

/* Run one instruction at 0x9000 in flat 32-bit code. @return the exception, type NONE: RIP moved
 * by @p len */
static struct v3_event run_insn(struct v3_vm *vm, enum v3_exit_kind kind, const char *code,
				unsigned len)
{
	struct v3_exit exit = fake_exit(kind, 0);
	struct v3_vcpu *vcpu = vm->vcpu[0];
	struct v3_event ev;

	CHECK_EQ(v3_mem_write(vm, 0x9000, code, len), V3_OK);
	vcpu->regs.rip = 0x9000;
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(vcpu->regs.rip, ev.type == V3_EVENT_NONE ? 0x9000 + len : 0x9000);
	return ev;
}

static void test_cr_lmsw_smsw_clts(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct v3_vcpu *vcpu;
	uint16_t msw;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	vcpu->regs.gpr[V3_RBX] = V3_CR0_TS | V3_CR0_MP; /* without PE: LMSW cannot clear it */
	CHECK_EQ(run_insn(vm, V3_EXIT_CR_WRITE, "\x0f\x01\xf3", 3).type, V3_EVENT_NONE);
	CHECK_EQ(vcpu->cr0 & 0xf, V3_CR0_PE | V3_CR0_MP | V3_CR0_TS);
	CHECK_EQ(run_insn(vm, V3_EXIT_CR_WRITE, "\x0f\x06", 2).type, V3_EVENT_NONE);
	CHECK(!(vcpu->cr0 & V3_CR0_TS));
	vcpu->regs.gpr[V3_RCX] = ~0ull;
	CHECK_EQ(run_insn(vm, V3_EXIT_CR_READ, "\x66\x0f\x01\xe1", 4).type,
		 V3_EVENT_NONE); /* SMSW CX */
	CHECK_EQ(vcpu->regs.gpr[V3_RCX], 0xffffffffffff0000 | (vcpu->cr0 & 0xffff));
	vcpu->regs.gpr[V3_RBX] = 0x4000;
	CHECK_EQ(run_insn(vm, V3_EXIT_CR_READ, "\x0f\x01\x23", 3).type,
		 V3_EVENT_NONE); /* SMSW [EBX] */
	CHECK_EQ(v3_mem_read(vm, 0x4000, &msw, 2), V3_OK);
	CHECK_EQ(msw, vcpu->cr0 & 0xffff);
	msw = V3_CR0_PE | V3_CR0_EM;
	CHECK_EQ(v3_mem_write(vm, 0x4000, &msw, 2), V3_OK);
	CHECK_EQ(run_insn(vm, V3_EXIT_CR_WRITE, "\x0f\x01\x33", 3).type,
		 V3_EVENT_NONE); /* LMSW [EBX] */
	CHECK_EQ(vcpu->cr0 & 0xf, V3_CR0_PE | V3_CR0_EM);
}

static void test_cr_lmsw_from_outside_ram(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	uint64_t cr0;

	REQUIRE(vm);
	cr0 = vm->vcpu[0]->cr0;
	vm->vcpu[0]->regs.gpr[V3_RBX] = 0x40000000;
	run_insn(vm, V3_EXIT_CR_WRITE, "\x0f\x01\x33", 3);
	/* Nothing answers there: the bus floats high; whatever is made of it, the VM survives. */
	CHECK(vm->vcpu[0]->cr0 == cr0 || vm->vcpu[0]->cr0 == (cr0 | 0xf));
}

static void test_cr_registers_that_do_not_exist(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	CHECK_EQ(run_insn(vm, V3_EXIT_CR_WRITE, "\x0f\x22\xc8", 3).vector, V3_VEC_UD); /* CR1 */
	CHECK_EQ(run_insn(vm, V3_EXIT_CR_WRITE, "\x0f\x22\xf8", 3).vector, V3_VEC_UD); /* CR7 */
}

/* ---- debug registers, APM vol. 2 13.1.1 ---- */

static void test_cr_debug_registers(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct v3_vcpu *vcpu;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	vcpu->regs.gpr[V3_RAX] = 0x12345678;
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x23\xc8", 3).type,
		 V3_EVENT_NONE); /* DR1 = EAX */
	CHECK_EQ(fake_cpu(vm, 0)->dr[1], 0x12345678);
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x21\xcb", 3).type,
		 V3_EVENT_NONE); /* EBX = DR1 */
	CHECK_EQ(vcpu->regs.gpr[V3_RBX], 0x12345678);
	vcpu->regs.gpr[V3_RAX] = 0xffffffff & ~(1u << 13); /* without GD */
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x23\xf8", 3).type,
		 V3_EVENT_NONE);			   /* DR7 = EAX */
	CHECK_EQ(fake_cpu(vm, 0)->dr[7] & 0xdc00, 0x0400); /* reserved bits */
	vcpu->regs.gpr[V3_RAX] = 0;
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x23\xf0", 3).type,
		 V3_EVENT_NONE); /* DR6 = EAX */
	CHECK_EQ(fake_cpu(vm, 0)->dr[6], 0xffff0ff0);
}

static void test_cr_debug_register_aliases(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	vm->vcpu[0]->regs.gpr[V3_RAX] = 0;
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x21\xe3", 3).type,
		 V3_EVENT_NONE); /* EBX = DR4 is DR6 */
	CHECK_EQ(vm->vcpu[0]->regs.gpr[V3_RBX], 0xffff0ff0);
	vm->vcpu[0]->cr4 |= V3_CR4_DE;
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x21\xe3", 3).vector, V3_VEC_UD);
}

static void test_cr_general_detect(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	fake_cpu(vm, 0)->dr[7] = 1u << 13 | 0x400;
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x21\xcb", 3).vector, V3_VEC_DB);
	CHECK(fake_cpu(vm, 0)->dr[6] & 1u << 13);
	CHECK(!(fake_cpu(vm, 0)->dr[7] & 1u << 13));
	CHECK_EQ(run_insn(vm, V3_EXIT_DR_ACCESS, "\x0f\x21\xcb", 3).type, V3_EVENT_NONE);
}

/* ---- XCR0, SDM 1 13.3 ---- */

static struct v3_event xsetbv(struct v3_vm *vm, uint32_t index, uint64_t value)
{
	vm->vcpu[0]->regs.gpr[V3_RCX] = index;
	vm->vcpu[0]->regs.gpr[V3_RAX] = (uint32_t)value;
	vm->vcpu[0]->regs.gpr[V3_RDX] = value >> 32;
	return run_insn(vm, V3_EXIT_XSETBV, "\x0f\x01\xd1", 3);
}

static void test_cr_xsetbv(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	CHECK_EQ(xsetbv(vm, 0, 1).vector, V3_VEC_UD); /* CR4.OSXSAVE is off */
	vm->vcpu[0]->cr4 |= V3_CR4_OSXSAVE;
	CHECK_EQ(xsetbv(vm, 0, 7).type, V3_EVENT_NONE);
	CHECK_EQ(vm->vcpu[0]->cpu.xcr0, 7);
	CHECK_EQ(xsetbv(vm, 0, 6).vector, V3_VEC_GP); /* without x87 */
	CHECK_EQ(xsetbv(vm, 0, 5).vector, V3_VEC_GP); /* AVX without SSE */
	CHECK_EQ(xsetbv(vm, 0, 1u << 9 | 7).vector,
		 V3_VEC_GP); /* protection keys: the host has, we do not offer */
	CHECK_EQ(xsetbv(vm, 0, 0xe7).vector, V3_VEC_GP); /* AVX-512: the host has not */
	CHECK_EQ(xsetbv(vm, 0, 1ull << 63 | 7).vector, V3_VEC_GP);
	CHECK_EQ(xsetbv(vm, 1, 7).vector, V3_VEC_GP);
	vm->vcpu[0]->cpl = 3;
	CHECK_EQ(xsetbv(vm, 0, 3).vector, V3_VEC_GP);
	CHECK_EQ(vm->vcpu[0]->cpu.xcr0, 7);
}

/* With decode assists the instruction's bytes are not needed: here they cannot even be read. */
static void test_cr_moves_that_the_hardware_decoded(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 2);
	struct v3_vcpu *vcpu;
	struct v3_exit exit;
	struct v3_event ev;
	uint64_t rip;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	rip = vcpu->regs.rip = 0xfffff000; /* no RAM */
	vcpu->regs.gpr[V3_RSI] = V3_CR4_PSE;
	exit = fake_exit_cr(4, V3_RSI, true);
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(ev.type, V3_EVENT_NONE);
	CHECK_EQ(vcpu->cr4, V3_CR4_PSE);
	CHECK_EQ(vcpu->regs.rip, (uint32_t)(rip += 3));

	exit = fake_exit_cr(0, V3_R9, false);
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(vcpu->regs.gpr[V3_R9], vcpu->cr0);

	vcpu->regs.gpr[V3_RDI] = 0x12345678;
	exit = fake_exit_cr(2, V3_RDI, true);
	exit.kind = V3_EXIT_DR_ACCESS;
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(vcpu->arch->get_dr(vcpu, 2), 0x12345678);
	exit.u.reg.write = false;
	exit.u.reg.gpr = V3_RBP;
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(vcpu->regs.gpr[V3_RBP], 0x12345678);
	CHECK_EQ(vcpu->regs.rip, (uint32_t)(rip + 9));
}

static const struct tap_test tests[] = {
	TAP(test_cr_each_combination),
	TAP(test_cr_paging_switches_long_mode),
	TAP(test_cr_efer_write_keeps_lma),
	TAP(test_cr_translation_changes_flush),
	TAP(test_cr_move_instructions),
	TAP(test_cr_lmsw_smsw_clts),
	TAP(test_cr_lmsw_from_outside_ram),
	TAP(test_cr_registers_that_do_not_exist),
	TAP(test_cr_debug_registers),
	TAP(test_cr_debug_register_aliases),
	TAP(test_cr_general_detect),
	TAP(test_cr_xsetbv),
	TAP(test_cr_moves_that_the_hardware_decoded),
};
TAP_MAIN(tests)
