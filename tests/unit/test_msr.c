/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_msr.c
 * MSR ranges: registration, deny by default, and the CPU model's own MSRs.
 */
#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "fake_vm.h"
#include "host/x86.h"
#include "palacios/msr.h"
#include "tap.h"

struct store {
	uint64_t value;
	unsigned reads, writes;
	int result;
};

static int store_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	struct store *s = priv;

	(void)vcpu;
	s->reads++;
	*value = s->value + msr;
	return s->result;
}

static int store_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct store *s = priv;

	(void)vcpu;
	(void)msr;
	s->writes++;
	s->value = value;
	return s->result;
}

#define FREE_MSR 0x12340000u /* nobody's */

static void test_msr_unknown_raises_gp(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	CHECK(!fake_rdmsr(vm, FREE_MSR, &value));
	CHECK(!fake_wrmsr(vm, FREE_MSR, 0));
	CHECK(!fake_rdmsr(vm, 0xffffffff, &value));
	CHECK(!fake_wrmsr(vm, 0xc0010114, 0)); /* VM_CR: virtualization is hidden */
	CHECK(!fake_rdmsr(vm, 0xc0010117, &value));
}

static void test_msr_unknown_is_logged_with_a_limit(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	fake_log_clear();
	for (int i = 0; i < 1000; i++)
		CHECK(!fake_rdmsr(vm, FREE_MSR, &value));
	CHECK(fake_log_contains("0x12340000"));
	CHECK(fake_log_count("") <= 16);
}

static void test_msr_dispatches_to_the_owner(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct store s = {.value = 0x100000000};
	uint64_t value;

	REQUIRE(vm);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR, 16, store_read, store_write, &s), V3_OK);
	CHECK(fake_rdmsr(vm, FREE_MSR + 15, &value));
	CHECK_EQ(value, 0x100000000 + FREE_MSR + 15);
	CHECK(fake_wrmsr(vm, FREE_MSR, 0xfedcba9876543210));
	CHECK_EQ(s.value, 0xfedcba9876543210);
	CHECK(!fake_rdmsr(vm, FREE_MSR + 16, &value));
	CHECK(!fake_rdmsr(vm, FREE_MSR - 1, &value));
	CHECK_EQ(s.reads, 1);
	CHECK_EQ(s.writes, 1);
}

static void test_msr_one_way_ranges(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct store s = {0};
	uint64_t value;

	REQUIRE(vm);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR, 1, store_read, NULL, &s), V3_OK);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR + 1, 1, NULL, store_write, &s), V3_OK);
	CHECK(fake_rdmsr(vm, FREE_MSR, &value));
	CHECK(!fake_wrmsr(vm, FREE_MSR, 1));
	CHECK(!fake_rdmsr(vm, FREE_MSR + 1, &value));
	CHECK(fake_wrmsr(vm, FREE_MSR + 1, 1));
}

static void test_msr_owner_refuses_with_gp(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct store s = {.result = V3_EINVAL};
	uint64_t value;

	REQUIRE(vm);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR, 1, store_read, store_write, &s), V3_OK);
	CHECK(!fake_rdmsr(vm, FREE_MSR, &value));
	CHECK(!fake_wrmsr(vm, FREE_MSR, 1));
	CHECK_EQ(s.reads + s.writes, 2);
}

static void test_msr_owner_failure_is_handed_on(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct store s = {.result = V3_EIO};
	struct v3_exit exit = fake_exit(V3_EXIT_RDMSR, 2);

	REQUIRE(vm);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR, 1, store_read, store_write, &s), V3_OK);
	vm->vcpu[0]->regs.gpr[V3_RCX] = FREE_MSR;
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, NULL), V3_EIO);
}

static void test_msr_register_checks_its_range(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct store s = {0};

	REQUIRE(vm);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR, 0, store_read, NULL, &s), V3_EINVAL);
	CHECK_EQ(v3_msr_register(vm, 0xffffffff, 2, store_read, NULL, &s), V3_EINVAL);
	CHECK_EQ(v3_msr_register(vm, 0xffffffff, 1, store_read, NULL, &s), V3_OK);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR, 8, store_read, NULL, &s), V3_OK);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR + 7, 1, store_read, NULL, &s), V3_EEXIST);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR - 1, 2, store_read, NULL, &s), V3_EEXIST);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR - 8, 32, store_read, NULL, &s), V3_EEXIST);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR + 8, 1, store_read, NULL, &s), V3_OK);
	v3_msr_unregister(vm, FREE_MSR);
	CHECK_EQ(v3_msr_register(vm, FREE_MSR + 7, 1, store_read, NULL, &s), V3_OK);
}

static void test_msr_register_until_the_table_is_full(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct store s = {0};
	uint64_t value;
	unsigned n = 0;
	int err;

	REQUIRE(vm);
	while ((err = v3_msr_register(vm, FREE_MSR - 2 * n, 1, store_read, NULL, &s)) == V3_OK &&
	       n < 100)
		n++;
	CHECK_EQ(err, V3_ENOSPC);
	CHECK(n > 8);
	for (unsigned i = 0; i < n; i++) {
		CHECK(fake_rdmsr(vm, FREE_MSR - 2 * i, &value));
		CHECK(!fake_rdmsr(vm, FREE_MSR - 2 * i - 1, &value));
	}
}

static void test_msr_efer_accepts_offered_bits_only(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	vm->vcpu[0]->cr0 &= ~V3_CR0_PG;
	CHECK(fake_wrmsr(vm, V3_MSR_EFER, V3_EFER_SCE | V3_EFER_NXE));
	CHECK(fake_rdmsr(vm, V3_MSR_EFER, &value));
	CHECK_EQ(value, V3_EFER_SCE | V3_EFER_NXE);
	CHECK(!fake_wrmsr(vm, V3_MSR_EFER, V3_EFER_SVME));
	CHECK(!fake_wrmsr(vm, V3_MSR_EFER, 1ull << 1));
	CHECK(!fake_wrmsr(vm, V3_MSR_EFER, 1ull << 63));
	CHECK(fake_rdmsr(vm, V3_MSR_EFER, &value));
	CHECK_EQ(value, V3_EFER_SCE | V3_EFER_NXE);
}

static void test_msr_pat_checks_memory_types(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	CHECK(fake_wrmsr(vm, V3_MSR_PAT, 0x0706050401000706));
	CHECK(fake_rdmsr(vm, V3_MSR_PAT, &value));
	CHECK_EQ(value, 0x0706050401000706);
	CHECK(!fake_wrmsr(vm, V3_MSR_PAT, 0x02));		/* reserved type */
	CHECK(!fake_wrmsr(vm, V3_MSR_PAT, 0x0300000000000000)); /* reserved type */
	CHECK(!fake_wrmsr(vm, V3_MSR_PAT, 0x08));		/* reserved bit */
	CHECK(fake_rdmsr(vm, V3_MSR_PAT, &value));
	CHECK_EQ(value, 0x0706050401000706);
}

static void test_msr_tsc_aux_is_32_bits(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	CHECK(fake_wrmsr(vm, V3_MSR_TSC_AUX, 0x12345678));
	CHECK(fake_rdmsr(vm, V3_MSR_TSC_AUX, &value));
	CHECK_EQ(value, 0x12345678);
	CHECK(!fake_wrmsr(vm, V3_MSR_TSC_AUX, 1ull << 32));
}

static void test_msr_tsc_write_moves_the_guests_clock(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	CHECK(fake_wrmsr(vm, V3_MSR_TSC, 1ull << 50));
	CHECK(fake_rdmsr(vm, V3_MSR_TSC, &value));
	CHECK(value >= 1ull << 50 && value < (1ull << 50) + (1ull << 40));
	CHECK_EQ(fake_cpu(vm, 0)->tsc_offset, vm->vcpu[0]->time.tsc_offset);
}

/* SDM vol. 3B 17.17.3: both MSRs move the clock, and TSC_ADJUST is the sum of all moves since the reset. */
static void test_msr_tsc_adjust_counts_the_moves(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value, offset;

	REQUIRE(vm);
	CHECK(fake_rdmsr(vm, V3_MSR_TSC_ADJUST, &value));
	CHECK_EQ(value, 0);
	offset = vm->vcpu[0]->time.tsc_offset;
	CHECK(fake_wrmsr(vm, V3_MSR_TSC_ADJUST, 1ull << 50));
	CHECK_EQ(vm->vcpu[0]->time.tsc_offset, offset + (1ull << 50));
	CHECK(fake_wrmsr(vm, V3_MSR_TSC_ADJUST, -5ull));
	CHECK_EQ(vm->vcpu[0]->time.tsc_offset, offset - 5);
	CHECK_EQ(fake_cpu(vm, 0)->tsc_offset, offset - 5);

	CHECK(fake_wrmsr(vm, V3_MSR_TSC, 1ull << 50));
	CHECK(fake_rdmsr(vm, V3_MSR_TSC_ADJUST, &value));
	CHECK_EQ(value, vm->vcpu[0]->time.tsc_offset - offset);
	v3_time_reset_tsc(vm);
	CHECK(fake_rdmsr(vm, V3_MSR_TSC_ADJUST, &value));
	CHECK_EQ(value, 0);
}

/* Intel kernels read it before they have exception handlers, and write back what they read. */
static void test_msr_misc_enable_is_there(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value = 0;

	REQUIRE(vm);
	CHECK(fake_rdmsr(vm, V3_MSR_MISC_ENABLE, &value));
	CHECK_EQ(value, 0x1801);
	CHECK(fake_wrmsr(vm, V3_MSR_MISC_ENABLE, value));
}

static void test_msr_xss_has_nothing_to_offer(void)
{
	static const uint32_t sub1[4] = {7, 832, 0, 0};
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value = 1;

	REQUIRE(vm);
	CHECK(fake_rdmsr(vm, V3_MSR_XSS, &value));
	CHECK_EQ(value, 0);
	CHECK(fake_wrmsr(vm, V3_MSR_XSS, 0));
	for (unsigned bit = 0; bit < 64; bit++)
		CHECK(!fake_wrmsr(vm, V3_MSR_XSS, 1ull << bit));
	fake_vm_destroy(vm);
	fake_cpuid_set(0xd, 1, sub1);
	vm = fake_vm_bare(1, 16);
	REQUIRE(vm);
	CHECK(!fake_rdmsr(vm, V3_MSR_XSS, &value));
	CHECK(!fake_wrmsr(vm, V3_MSR_XSS, 0));
}

/* The host's supervisor state is not the guest's to save: its bits are off while the guest's state is loaded. */
static void test_msr_xss_is_switched(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t host = v3_rdmsr(V3_MSR_XSS);

	REQUIRE(vm);
	CHECK(host);
	v3_fpu_load(vm->vcpu[0]);
	CHECK_EQ(v3_rdmsr(V3_MSR_XSS), 0);
	v3_fpu_put(vm->vcpu[0]);
	CHECK_EQ(v3_rdmsr(V3_MSR_XSS), host);
}

/* Xen clears the four counters that every AMD CPU has, and is not prepared for #GP. Nothing counts. */
static void test_msr_amd_counters_are_there(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	for (uint32_t msr = 0xc0010000; msr < 0xc0010008; msr++) {
		CHECK(fake_wrmsr(vm, msr, 0x530076));
		value = 1;
		CHECK(fake_rdmsr(vm, msr, &value));
		CHECK_EQ(value, 0);
	}
	CHECK(!fake_rdmsr(vm, 0xc0010008, &value));
}

/* Values no guest should be able to break us with, at every MSR that answers and around. */
static void test_msr_random_values_everywhere(void)
{
	static const uint32_t base[] = {
		0,     0x170, 0x1a0, 0x1d0,	 0x200,	     0x240,	 0x270,	     0x2f0,
		0x6e0, 0x800, 0xda0, 0x4b564d00, 0xc0000080, 0xc0000100, 0xc0010000, 0xc0011020};
	struct v3_vm *vm = fake_vm_bare(1, 16);
	uint64_t value;

	REQUIRE(vm);
	for (int i = 0; i < 20000; i++) {
		uint32_t msr =
			base[tap_rand() % V3_ARRAY_SIZE(base)] + (uint32_t)(tap_rand() & 0x3f);

		fake_wrmsr(vm, msr, tap_rand() >> (tap_rand() & 63));
		fake_rdmsr(vm, msr, &value);
	}
	CHECK_EQ(v3_vm_get_state(vm), V3_VM_READY);
}

static const struct tap_test tests[] = {
	TAP(test_msr_unknown_raises_gp),
	TAP(test_msr_unknown_is_logged_with_a_limit),
	TAP(test_msr_dispatches_to_the_owner),
	TAP(test_msr_one_way_ranges),
	TAP(test_msr_owner_refuses_with_gp),
	TAP(test_msr_owner_failure_is_handed_on),
	TAP(test_msr_register_checks_its_range),
	TAP(test_msr_register_until_the_table_is_full),
	TAP(test_msr_efer_accepts_offered_bits_only),
	TAP(test_msr_pat_checks_memory_types),
	TAP(test_msr_tsc_aux_is_32_bits),
	TAP(test_msr_xss_has_nothing_to_offer),
	TAP(test_msr_xss_is_switched),
	TAP(test_msr_tsc_write_moves_the_guests_clock),
	TAP(test_msr_tsc_adjust_counts_the_moves),
	TAP(test_msr_misc_enable_is_there),
	TAP(test_msr_amd_counters_are_there),
	TAP(test_msr_random_values_everywhere),
};
TAP_MAIN(tests)
