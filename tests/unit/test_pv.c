/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_pv.c
 * KVM-compatible aids: steal time, the "preempted" byte with its flush, kicks of halted vcpus, interrupts to many.
 */
#include "cpu/pv.h"

#include "cpu/yield.h"
#include "fake_vm.h"
#include "palacios/abi/hypercall.h"
#include "palacios/platform.h"
#include "tap.h"

#define MSR_STEAL 0x4b564d03
#define AREA	  0x100000ull
#define FLUSH_TLB 2

struct steal {
	uint64_t steal;
	uint32_t version, flags;
	uint8_t preempted, pad[47];
};

static struct steal *area(struct v3_vm *vm)
{
	return v3_mem_ptr(vm, AREA, sizeof(struct steal));
}

static struct v3_vm *steal_vm(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	if (vm && CHECK(fake_wrmsr(vm, MSR_STEAL, AREA | 1)))
		return vm;
	return NULL;
}

static void test_pv_steal_msr(void)
{
	struct v3_vm *vm = fake_vm_bare(2, 8);
	uint64_t value;

	REQUIRE(vm);
	CHECK(fake_rdmsr(vm, MSR_STEAL, &value));
	CHECK_EQ(value, 0);
	memset(area(vm), 0xff, sizeof(struct steal));
	area(vm)->version = 6;
	CHECK(fake_wrmsr(vm, MSR_STEAL, AREA | 1));
	CHECK(fake_rdmsr(vm, MSR_STEAL, &value));
	CHECK_EQ(value, AREA | 1);
	CHECK_EQ(area(vm)->steal, 0);
	CHECK_EQ(area(vm)->version, 8);
	CHECK_EQ(area(vm)->preempted, 0);
	CHECK(fake_vcpu_rdmsr(vm->vcpu[1], MSR_STEAL, &value)); /* each its own */
	CHECK_EQ(value, 0);
	v3_pv_reset(vm->vcpu[0]);
	CHECK(fake_rdmsr(vm, MSR_STEAL, &value));
	CHECK_EQ(value, 0);
}

/* Whatever the guest writes: #GP for reserved bits, switched off where there is no RAM. */
static void test_pv_steal_hostile_addresses(void)
{
	static const uint64_t no_ram[] = {8 << 20,	 (8 << 20) - 64 + 64, V3_PC_LAPIC_BASE,
					  1ull << 40,	 ~0ull << 6,	      1ull << 63,
					  ~0ull & ~63ull};
	struct v3_vm *vm = fake_vm_bare(1, 8);
	uint64_t value;

	REQUIRE(vm);
	for (unsigned bit = 1; bit < 6; bit++)
		CHECK(!fake_wrmsr(vm, MSR_STEAL, AREA | 1 | 1u << bit));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(no_ram); i++) {
		CHECK(fake_wrmsr(vm, MSR_STEAL, no_ram[i] | 1));
		CHECK(fake_rdmsr(vm, MSR_STEAL, &value));
		CHECK_EQ(value, 0);
		v3_yield_now(vm->vcpu[0]);
	}
	CHECK(fake_wrmsr(vm, MSR_STEAL, ((8 << 20) - 64) | 1)); /* the last one that fits */
	CHECK(fake_rdmsr(vm, MSR_STEAL, &value));
	CHECK_EQ(value, ((8 << 20) - 64) | 1);
	CHECK(fake_wrmsr(vm, MSR_STEAL, AREA)); /* not enabled: nothing is written there */
	area(vm)->preempted = 7;
	v3_yield_now(vm->vcpu[0]);
	CHECK_EQ(area(vm)->preempted, 7);
}

static void test_pv_steal_never_in_rom(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	uint64_t value;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_rom(vm, 1ull << 30, 4096), V3_OK);
	CHECK(fake_wrmsr(vm, MSR_STEAL, 1ull << 30 | 1));
	CHECK(fake_rdmsr(vm, MSR_STEAL, &value));
	CHECK_EQ(value, 0);
	CHECK_EQ(*(uint32_t *)v3_mem_ptr(vm, (1ull << 30) + 8, 4), 0);
}

/* A yield is stolen time, a halt is not. */
static void test_pv_steal_counts_what_was_stolen(void)
{
	struct v3_vm *vm = steal_vm();
	struct v3_vcpu *vcpu;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	v3_pv_out(vcpu);
	CHECK_EQ(area(vm)->preempted, 1);
	fake_clock_advance(5000);
	v3_pv_in(vcpu, true);
	CHECK_EQ(area(vm)->preempted, 0);
	CHECK_EQ(area(vm)->steal, 5000);
	v3_pv_out(vcpu);
	fake_clock_advance(70000);
	CHECK_EQ(area(vm)->preempted, 1);
	v3_pv_in(vcpu, false);
	CHECK_EQ(area(vm)->steal, 5000);
	v3_pv_out(vcpu);
	fake_clock_advance(1);
	v3_pv_in(vcpu, true);
	CHECK_EQ(area(vm)->steal, 5001);
	CHECK_EQ(area(vm)->version % 2, 0);
}

/* Another vcpu asked for a flush instead of sending an interrupt: done before the next entry. */
static void test_pv_flush_of_a_vcpu_that_does_not_run(void)
{
	struct v3_vm *vm = steal_vm();
	struct v3_vcpu *vcpu;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	fake_take_requests(vcpu);
	v3_pv_out(vcpu);
	v3_pv_in(vcpu, true);
	CHECK(!(fake_take_requests(vcpu) & V3_REQ_FLUSH));
	v3_pv_out(vcpu);
	area(vm)->preempted |= FLUSH_TLB;
	v3_pv_in(vcpu, true);
	CHECK(fake_take_requests(vcpu) & V3_REQ_FLUSH);
	CHECK_EQ(area(vm)->preempted, 0);
}

/* ---- kicks ---- */

static int64_t hypercall(struct v3_vcpu *vcpu, uint64_t nr, const uint64_t args[4])
{
	struct v3_exit exit = fake_exit(V3_EXIT_HYPERCALL, 3);
	uint64_t *gpr = vcpu->regs.gpr;

	gpr[V3_RAX] = nr;
	gpr[V3_RBX] = args[0];
	gpr[V3_RCX] = args[1];
	gpr[V3_RDX] = args[2];
	gpr[V3_RSI] = args[3];
	CHECK_EQ(fake_dispatch(vcpu, &exit, NULL), V3_OK);
	return (int32_t)gpr[V3_RAX];
}

static int64_t kick(struct v3_vcpu *vcpu, uint64_t apic_id)
{
	const uint64_t args[4] = {0, apic_id, 0, 0};

	return hypercall(vcpu, V3_HYPERCALL_KVM_KICK_CPU, args);
}

static void halt(struct v3_vcpu *vcpu)
{
	struct v3_exit exit = fake_exit(V3_EXIT_HLT, 1);

	CHECK_EQ(fake_dispatch(vcpu, &exit, NULL), V3_OK);
}

static void test_pv_kick_before_the_halt_ends_it(void)
{
	struct v3_vm *vm = fake_vm_bare(2, 8);
	struct v3_vcpu *vcpu;

	REQUIRE(vm);
	vcpu = vm->vcpu[1];
	vcpu->state = V3_VCPU_RUNNABLE;
	CHECK_EQ(kick(vm->vcpu[0], 1), 0);
	CHECK(fake_take_requests(vcpu) & V3_REQ_UNHALT);
	halt(vcpu);
	CHECK_EQ(vcpu->state, V3_VCPU_RUNNABLE);
	halt(vcpu); /* one kick, one HLT */
	CHECK_EQ(vcpu->state, V3_VCPU_HALTED);
}

static void test_pv_kick_of_nobody(void)
{
	static const uint64_t ids[] = {2, 0x7f, 0x80, 0xffffffff, 0x80000000};
	struct v3_vm *vm = fake_vm_bare(2, 8);

	REQUIRE(vm);
	for (unsigned i = 0; i < 2; i++)
		fake_take_requests(vm->vcpu[i]);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(ids); i++)
		CHECK_EQ(kick(vm->vcpu[0], ids[i]), V3_EINVAL);
	for (unsigned i = 0; i < 2; i++)
		CHECK(!(fake_take_requests(vm->vcpu[i]) & V3_REQ_UNHALT));
}

#define KICKS 300

/* Each kick ends one HLT with interrupts off, whichever of the two comes first. */
static unsigned woken, kicked;

static void sleeper(struct fake_guest *g, void *arg)
{
	(void)arg;
	g_flat32(g);
	for (unsigned i = 0; i < KICKS; i++) {
		while (__atomic_load_n(&kicked, __ATOMIC_SEQ_CST) <= i)
			g_hlt(g);
		__atomic_store_n(&woken, i + 1, __ATOMIC_SEQ_CST);
	}
}

static void waker(struct fake_guest *g, void *arg)
{
	static const uint64_t args[4] = {0, 1, 0, 0};
	int64_t result = -1;
	uint32_t value;

	(void)arg;
	g_flat32(g);
	v3_vcpu_init(v3_vm_vcpu(v3_vcpu_vm(g_vcpu(g)), 1));
	v3_vcpu_sipi(v3_vm_vcpu(v3_vcpu_vm(g_vcpu(g)), 1), 9);
	for (unsigned i = 0; i < KICKS; i++) {
		__atomic_store_n(&kicked, i + 1, __ATOMIC_SEQ_CST);
		CHECK(g_hypercall(g, V3_HYPERCALL_KVM_KICK_CPU, args, &result));
		CHECK_EQ(result, 0);
		while (__atomic_load_n(&woken, __ATOMIC_SEQ_CST) <= i)
			g_in(g, 0x80, 1, &value);
	}
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

static void test_pv_no_kick_is_lost(void)
{
	struct v3_vm *vm = NULL;

	woken = kicked = 0;
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, waker, NULL);
	fake_program(vm, 1, sleeper, NULL);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_EXIT);
	CHECK_EQ(woken, KICKS);
}

/* ---- interrupts to many ---- */

static int64_t send(struct v3_vcpu *vcpu, uint64_t low, uint64_t high, uint64_t first, uint64_t icr)
{
	const uint64_t args[4] = {low, high, first, icr};

	return hypercall(vcpu, V3_HYPERCALL_KVM_SEND_IPI, args);
}

static struct v3_vm *ipi_vm(void)
{
	struct v3_vm *vm = NULL;

	/* APIC ids 0 1 2, 4 5 6: two sockets of three cores */
	CHECK_EQ(fake_vm_create("[vm]\nname='t'\nmemory='8M'\nvcpus=6\nsockets=2\n[boot]\n"
				"type='multiboot'\nkernel=\"kernel.elf\"\n",
				NULL, 0, &vm),
		 V3_OK);
	for (unsigned i = 0; vm && i < 6; i++) {
		fake_vcpu_mmio_write(vm->vcpu[i], V3_PC_LAPIC_BASE + 0xf0, 4, 0x1ff);
		fake_take_requests(vm->vcpu[i]);
	}
	return vm;
}

/* Which vcpus have the vector now? They take it. */
static unsigned taken(struct v3_vm *vm, int vector)
{
	unsigned map = 0;

	for (unsigned i = 0; i < 6; i++)
		if (fake_take_interrupt(vm->vcpu[i]) == vector) {
			map |= 1u << i;
			fake_vcpu_mmio_write(vm->vcpu[i], V3_PC_LAPIC_BASE + 0xb0, 4, 0);
		}
	return map;
}

static void test_pv_ipi_reaches_the_map(void)
{
	struct v3_vm *vm = ipi_vm();

	REQUIRE(vm);
	CHECK_EQ(send(vm->vcpu[0], 0x77, 0, 0, 0x40), 6);
	CHECK_EQ(taken(vm, 0x40), 0x3f);
	CHECK_EQ(send(vm->vcpu[0], 1 << 3 | 1 << 4, 0, 0, 0x41), 1); /* there is no id 3 */
	CHECK_EQ(taken(vm, 0x41), 1 << 3);
	CHECK_EQ(send(vm->vcpu[0], 0xffffffff, 0xffffffff, 5, 0x42), 2);
	CHECK_EQ(taken(vm, 0x42), 3 << 4);
	CHECK_EQ(send(vm->vcpu[0], 0, 0, 0, 0x43), 0);
	CHECK_EQ(taken(vm, 0x43), 0);
	CHECK_EQ(send(vm->vcpu[0], 1 << 1, 0, 0, 0x400), 1); /* an NMI */
	CHECK(fake_take_requests(vm->vcpu[1]) & V3_REQ_NMI);
}

static void test_pv_ipi_hostile(void)
{
	static const uint64_t icr[] = {0x0f,  0x100 | 0x40, 0x200,   0x500,   0x600,  0x700,
				       0x840, 0x40040,	    0x80040, 0xc0040, 0x8040, 0xffffffff};
	static const uint64_t first[] = {128, 0xffffffff, 0xfffffff0, 0x80000000};
	struct v3_vm *vm = ipi_vm();

	REQUIRE(vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(icr); i++)
		CHECK_EQ(send(vm->vcpu[0], 0x77, 0, 0, icr[i]), V3_EINVAL);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(first); i++)
		CHECK_EQ(send(vm->vcpu[0], 0xffffffff, 0xffffffff, first[i], 0x40), 0);
	for (unsigned i = 0; i < 6; i++)
		CHECK(!(fake_take_requests(vm->vcpu[i]) &
			(V3_REQ_IRQ | V3_REQ_NMI | V3_REQ_INIT | V3_REQ_SIPI)));
}

static const struct tap_test tests[] = {
	TAP(test_pv_steal_msr),
	TAP(test_pv_steal_hostile_addresses),
	TAP(test_pv_steal_never_in_rom),
	TAP(test_pv_steal_counts_what_was_stolen),
	TAP(test_pv_flush_of_a_vcpu_that_does_not_run),
	TAP(test_pv_kick_before_the_halt_ends_it),
	TAP(test_pv_kick_of_nobody),
	TAP(test_pv_no_kick_is_lost),
	TAP(test_pv_ipi_reaches_the_map),
	TAP(test_pv_ipi_hostile),
};
TAP_MAIN(tests)
