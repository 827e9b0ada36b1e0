/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_cpuid.c
 * The CPUID policy: what a guest is shown of the host's CPU, and what never.
 */
#include "cpu/cpuid.h"

#include "fake_vm.h"
#include "host/host.h"
#include "palacios/abi/hypercall.h"
#include "palacios/platform.h"
#include "tap.h"

#define B(n) (1u << (n))

static struct v3_cpuid_regs leaf(struct v3_vcpu *vcpu, uint32_t number, uint32_t sub)
{
	struct v3_cpuid_regs r;

	v3_cpuid_read(vcpu, number, sub, &r);
	return r;
}

static void test_cpuid_hides_what_is_not_offered(void)
{
	static const struct {
		uint32_t leaf;
		unsigned reg, bit;
		const char *name;
	} hidden[] = {
		{1, 2, 3, "MONITOR"},	   {1, 3, 14, "MCA"},
		{1, 2, 5, "VMX"},	   {7, 2, 3, "PKU"},
		{7, 2, 16, "LA57"},	   {7, 1, 12, "PQM"},
		{0x80000001, 2, 2, "SVM"}, {0x80000001, 2, 29, "MWAITX"},
	};
	static const uint32_t all[4] = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
	struct v3_vm *vm;

	/* Whatever the host has. */
	fake_cpuid_set(1, 0, all);
	fake_cpuid_set(7, 0, all);
	fake_cpuid_set(0x80000001, 0, all);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(hidden); i++) {
		struct v3_cpuid_regs r = leaf(vm->vcpu[0], hidden[i].leaf, 0);

		CHECK_MSG(!((&r.eax)[hidden[i].reg] & B(hidden[i].bit)), "%s is shown",
			  hidden[i].name);
	}
}

static void test_cpuid_does_not_invent_host_features(void)
{
	static const uint32_t none[4];
	struct v3_cpuid_regs r;
	struct v3_vm *vm;

	fake_cpuid_set(7, 0, none);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	r = leaf(vm->vcpu[0], 7, 0);
	CHECK_EQ(r.ebx, B(1)); /* TSC_ADJUST is the VMM's */
	CHECK_EQ(r.ecx | r.edx, 0);
	CHECK(!(vm->vcpu[0]->cpu.cr4_allowed &
		(V3_CR4_SMEP | V3_CR4_SMAP | V3_CR4_FSGSBASE | V3_CR4_UMIP)));
}

static void test_cpuid_shows_what_linux_needs(void)
{
	struct v3_vm *vm = NULL;
	struct v3_cpuid_regs r;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	r = leaf(vm->vcpu[0], 1, 0);
	CHECK_EQ(r.edx & (B(0) | B(3) | B(4) | B(5) | B(6) | B(8) | B(9) | B(15) | B(24) | B(25) |
			  B(26)),
		 B(0) | B(3) | B(4) | B(5) | B(6) | B(8) | B(9) | B(15) | B(24) | B(25) | B(26));
	CHECK_EQ(r.ecx & (B(21) | B(24) | B(31)),
		 B(21) | B(24) | B(31)); /* x2APIC, TSC deadline, hypervisor */
	r = leaf(vm->vcpu[0], 0x80000001, 0);
	CHECK_EQ(r.edx & (B(11) | B(20) | B(29)), B(11) | B(20) | B(29)); /* SYSCALL NX LM */
	CHECK(leaf(vm->vcpu[0], 0x80000007, 0).edx & B(8));
	r = leaf(vm->vcpu[0], 0, 0);
	CHECK_EQ(r.ebx, 0x68747541);
	CHECK(leaf(vm->vcpu[0], 0x80000000, 0).eax >= 0x80000008);
}

/* Without local APICs, or after the guest has switched its own off, the bit is clear (SDM 3A 10.4.3). */
static void test_cpuid_apic_bit_follows_the_apic(void)
{
	struct v3_vm *bare = fake_vm_bare(1, 8), *pc = NULL;

	REQUIRE(bare);
	CHECK(!(leaf(bare->vcpu[0], 1, 0).edx & B(9)));
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &pc), V3_OK);
	CHECK(leaf(pc->vcpu[0], 1, 0).edx & B(9));
	CHECK(fake_wrmsr(pc, 0x1b, V3_PC_LAPIC_BASE | 1u << 8)); /* boot CPU, not enabled */
	CHECK(!(leaf(pc->vcpu[0], 1, 0).edx & B(9)));
}

static void test_cpuid_hypervisor_leaves(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct v3_cpuid_regs r;
	char text[13] = {0};

	REQUIRE(vm);
	r = leaf(vm->vcpu[0], 0x40000000, 0);
	memcpy(text, &r.ebx, 12);
	CHECK_STR(text, "V3VEEV3VEEV3");
	CHECK(r.eax >= 0x40000001);
	CHECK_EQ(leaf(vm->vcpu[0], 0x40000001, 0).eax, V3_ABI_VERSION);
	r = leaf(vm->vcpu[0], 0x40000100, 0);
	memcpy(text, &r.ebx, 12);
	CHECK(!memcmp(text, "KVMKVMKVM\0\0\0", 12));
	CHECK(leaf(vm->vcpu[0], 0x40000101, 0).eax & B(3)); /* CLOCKSOURCE2 */
	r = leaf(vm->vcpu[0], 0x40000200, 0);
	CHECK_EQ(r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void test_cpuid_unlisted_leaves_read_zero(void)
{
	static const uint32_t all[4] = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
	static const uint32_t numbers[] = {
		2,   3,	   4,	 5,    8,    9,		 0xa,	     0xc,	 0xe,
		0xf, 0x10, 0x12, 0x14, 0x17, 0x80000009, 0x8000000a, 0x8000001f, 0xffffffff};
	struct v3_vm *vm;

	for (unsigned i = 0; i < V3_ARRAY_SIZE(numbers); i++)
		fake_cpuid_set(numbers[i], 0, all);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(numbers); i++) {
		struct v3_cpuid_regs r = leaf(vm->vcpu[0], numbers[i], 0);

		CHECK_MSG(!(r.eax | r.ebx | r.ecx | r.edx), "leaf %#x: %#x %#x %#x %#x", numbers[i],
			  r.eax, r.ebx, r.ecx, r.edx);
	}
	CHECK_EQ(leaf(vm->vcpu[0], 7, 1).ebx, 0);
}

static void test_cpuid_topology(void)
{
	struct v3_vm *vm = fake_vm_bare(3, 8);

	REQUIRE(vm);
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_EQ(leaf(vm->vcpu[i], 1, 0).ebx >> 24, i); /* APIC id */
		CHECK_EQ(leaf(vm->vcpu[i], 1, 0).ebx >> 16 & 0xff, 3);
		CHECK_EQ(leaf(vm->vcpu[i], 0xb, 0).edx, i);
		CHECK_EQ(leaf(vm->vcpu[i], 0xb, 0).ecx, 0x100); /* threads */
		CHECK_EQ(leaf(vm->vcpu[i], 0xb, 1).ecx, 0x201); /* cores */
		CHECK_EQ(leaf(vm->vcpu[i], 0xb, 1).ebx, 3);
		CHECK_EQ(leaf(vm->vcpu[i], 0xb, 1).eax, 2);
		CHECK_EQ(leaf(vm->vcpu[i], 0xb, 2).ecx, 2); /* invalid level */
	}
}

/* Every way to divide up to 32 vcpus: ids are different, below the limit, and fields stay apart. */
static void test_cpuid_apic_ids(void)
{
	for (uint32_t c = 1; c <= 32; c++) {
		for (uint32_t t = 1; t * c <= 32; t++) {
			const struct v3_topology topo = {32 / (c * t), c, t};
			uint32_t core = v3_topology_core_shift(&topo);
			uint32_t socket = v3_topology_socket_shift(&topo);
			int64_t last = -1;

			for (uint32_t i = 0; i < topo.sockets * c * t; i++) {
				uint32_t id = v3_topology_apic_id(&topo, i);

				CHECK(id > last && id < V3_MAX_APIC_IDS);
				CHECK_EQ(id >> socket, i / (c * t));
				CHECK_EQ((id & ((1u << socket) - 1)) >> core, i / t % c);
				CHECK_EQ(id & ((1u << core) - 1), i % t);
				last = id;
			}
			CHECK_EQ(v3_topology_apic_id(&topo, 0), 0);
		}
	}
}

static struct v3_vm *vm_of(unsigned sockets, unsigned cores, unsigned threads)
{
	struct v3_vm *vm = NULL;
	char toml[256];

	snprintf(toml, sizeof(toml),
		 "[vm]\nname='t'\nmemory='8M'\nvcpus=%u\nsockets=%u\ncores=%u\nthreads=%u\n"
		 "platform='none'\n[boot]\ntype='multiboot'\nkernel=\"kernel.elf\"\n",
		 sockets * cores * threads, sockets, cores, threads);
	CHECK_EQ(fake_vm_create(toml, NULL, 0, &vm), V3_OK);
	return vm;
}

/* 2 sockets of 3 cores of 2 threads: ids of 1, 2 and 1 bits. */
static void test_cpuid_topology_amd(void)
{
	struct v3_vm *vm = vm_of(2, 3, 2);
	struct v3_vcpu *last;

	REQUIRE(vm);
	last = vm->vcpu[11];
	CHECK_EQ(leaf(last, 1, 0).ebx >> 24, 1 << 3 | 2 << 1 | 1);
	CHECK_EQ(leaf(last, 1, 0).ebx >> 16 & 0xff, 6);
	CHECK(leaf(last, 1, 0).edx & B(28));
	CHECK(leaf(last, 0x80000001, 0).ecx & B(1));  /* CmpLegacy */
	CHECK(leaf(last, 0x80000001, 0).ecx & B(22)); /* TOPOEXT */
	CHECK_EQ(leaf(last, 0x80000008, 0).ecx, 3 << 12 | 5);
	CHECK_EQ(leaf(last, 0x8000001e, 0).eax, 13);
	CHECK_EQ(leaf(last, 0x8000001e, 0).ebx, 1 << 8 | 2);
	CHECK_EQ(leaf(last, 0x8000001e, 0).ecx, 1);
	CHECK_EQ(leaf(vm->vcpu[5], 0x8000001e, 0).ecx, 0);
	CHECK_EQ(leaf(last, 0x80000000, 0).eax, 0x8000001e);
	CHECK_EQ(leaf(last, 0, 0).eax, 0xd);
	CHECK_EQ(leaf(last, 0xb, 0).eax, 1);
	CHECK_EQ(leaf(last, 0xb, 0).ebx, 2);
	CHECK_EQ(leaf(last, 0xb, 1).eax, 3);
	CHECK_EQ(leaf(last, 0xb, 1).ebx, 6);
	CHECK_EQ(leaf(last, 0xb, 1).edx, 13);
	CHECK_EQ(leaf(last, 4, 0).eax, 0);
}

static void test_cpuid_one_vcpu_is_no_multi_core(void)
{
	struct v3_vm *vm = vm_of(1, 1, 1);

	REQUIRE(vm);
	CHECK(!(leaf(vm->vcpu[0], 1, 0).edx & B(28)));
	CHECK(!(leaf(vm->vcpu[0], 0x80000001, 0).ecx & B(1)));
	CHECK_EQ(leaf(vm->vcpu[0], 0x80000008, 0).ecx, 0);
}

/* The host's caches; who shares them is the guest's topology. */
static void test_cpuid_caches_amd(void)
{
	static const uint32_t l1[4] = {0xffffc121, 0x01c0003f, 0x3f, 2};
	static const uint32_t l3[4] = {0xffffc163, 0x03c0003f, 0x3fff, 1};
	static const uint32_t none[4] = {0xffffffe0, 1, 1, 1};
	struct v3_cpuid_regs r;
	struct v3_vm *vm;

	fake_cpuid_set(0x8000001d, 0, l1);
	fake_cpuid_set(0x8000001d, 1, l3);
	fake_cpuid_set(0x8000001d, 2, none);
	vm = vm_of(1, 3, 2);
	REQUIRE(vm);
	r = leaf(vm->vcpu[0], 0x8000001d, 0);
	CHECK_EQ(r.eax, 0x121 | (2 - 1) << 14);
	CHECK_EQ(r.ebx, 0x01c0003f);
	r = leaf(vm->vcpu[0], 0x8000001d, 1);
	CHECK_EQ(r.eax, 0x163 | (6 - 1) << 14);
	CHECK_EQ(r.edx, 1);
	r = leaf(vm->vcpu[0], 0x8000001d, 2);
	CHECK_EQ(r.eax | r.ebx | r.ecx | r.edx, 0);
	CHECK_EQ(leaf(vm->vcpu[0], 0x8000001d, 0xffffffff).eax, 0);
}

static void test_cpuid_topology_intel(void)
{
	static const uint32_t vendor[4] = {0x16, 0x756e6547, 0x6c65746e, 0x49656e69};
	static const uint32_t l1[4] = {0xffffc121, 0x01c0003f, 0x3f, 2};
	static const uint32_t l3[4] = {0xffffc163, 0x03c0003f, 0x3fff, 1};
	struct v3_vm *vm;
	struct v3_vcpu *last;

	fake_cpuid_set(0, 0, vendor);
	fake_cpuid_set(4, 0, l1);
	fake_cpuid_set(4, 3, l3);
	vm = vm_of(2, 3, 2);
	REQUIRE(vm);
	last = vm->vcpu[11];
	CHECK_EQ(leaf(last, 0, 0).eax, 0x1f);
	CHECK_EQ(leaf(last, 1, 0).ebx >> 24, 13);
	CHECK_EQ(leaf(last, 0x80000000, 0).eax, 0x80000008);
	CHECK_EQ(leaf(last, 0x80000008, 0).ecx, 0);
	CHECK(!(leaf(last, 0x80000001, 0).ecx & (B(1) | B(22))));
	CHECK_EQ(leaf(last, 0x8000001e, 0).eax, 0);
	CHECK_EQ(leaf(last, 0x1f, 0).ecx, 0x100);
	CHECK_EQ(leaf(last, 0x1f, 1).eax, 3);
	CHECK_EQ(leaf(last, 0x1f, 1).edx, 13);
	CHECK_EQ(leaf(last, 4, 0).eax, 0x121 | (2 - 1) << 14 | (4 - 1) << 26);
	CHECK_EQ(leaf(last, 4, 3).eax, 0x163 | (8 - 1) << 14 | (4 - 1) << 26);
	CHECK_EQ(leaf(last, 4, 1).eax, 0);
	CHECK_EQ(leaf(last, 4, 8).eax, 0);
	CHECK_EQ(leaf(last, 0x8000001d, 0).eax, 0);
}

/* What the paravirtual features need is there, or they are not offered. */
static void test_cpuid_kvm_features_follow_the_apic(void)
{
	struct v3_vm *bare = fake_vm_bare(1, 8), *pc = NULL;
	uint32_t always = B(0) | B(1) | B(3) | B(5) | B(7) | B(9) | B(24);

	REQUIRE(bare);
	CHECK_EQ(leaf(bare->vcpu[0], 0x40000101, 0).eax, always);
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &pc), V3_OK);
	CHECK_EQ(leaf(pc->vcpu[0], 0x40000101, 0).eax, always | B(6) | B(11));
	v3_lib.caps.eoi_by_cpu = true; /* an EOI costs no exit: none is to be saved */
	CHECK_EQ(leaf(pc->vcpu[0], 0x40000101, 0).eax, always | B(11));
	v3_lib.software_apic = true;
	CHECK_EQ(leaf(pc->vcpu[0], 0x40000101, 0).eax, always | B(6) | B(11));
}

static void test_cpuid_osxsave_follows_cr4(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	CHECK(!(leaf(vm->vcpu[0], 1, 0).ecx & B(27)));
	vm->vcpu[0]->cr4 |= V3_CR4_OSXSAVE;
	CHECK(leaf(vm->vcpu[0], 1, 0).ecx & B(27));
}

static void test_cpuid_xsave_leaf(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct v3_cpuid_regs r;

	REQUIRE(vm);
	r = leaf(vm->vcpu[0], 0xd, 0);
	CHECK_EQ(r.eax, 7); /* the host's protection keys are not offered */
	CHECK_EQ(r.edx, 0);
	CHECK_EQ(r.ecx, 576 + 256);
	CHECK_EQ(r.ebx, 576); /* XCR0 is x87 only */
	vm->vcpu[0]->cpu.xcr0 = 7;
	CHECK_EQ(leaf(vm->vcpu[0], 0xd, 0).ebx, 576 + 256);
	r = leaf(vm->vcpu[0], 0xd, 1);
	CHECK_EQ(r.eax, 0xf);	    /* XSAVES, too ... */
	CHECK_EQ(r.ecx | r.edx, 0); /* ... but no supervisor component */
	CHECK_EQ(r.ebx, 576 + 256);
	CHECK_EQ(leaf(vm->vcpu[0], 0xd, 2).eax, 256);
	CHECK_EQ(leaf(vm->vcpu[0], 0xd, 2).ebx, 576);
	CHECK_EQ(leaf(vm->vcpu[0], 0xd, 9).eax, 0);
}

/* A back end that cannot let guests execute it, and a CPU that does not have it. */
static void test_cpuid_hides_xsaves(void)
{
	static const uint32_t sub1[4] = {7, 832, 0, 0};
	struct v3_vm *vm;

	fake_arch_caps.xsaves = false;
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	CHECK_EQ(leaf(vm->vcpu[0], 0xd, 1).eax, 7);
	fake_vm_destroy(vm);
	v3_lib.caps.xsaves = true;
	fake_cpuid_set(0xd, 1, sub1);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	CHECK_EQ(leaf(vm->vcpu[0], 0xd, 1).eax, 7);
}

static void test_cpuid_host_without_xsave(void)
{
	static const uint32_t basic[4] = {0x00a20f10, 0x00000800, B(0), 0x178bfbff};
	struct v3_cpuid_regs r;
	struct v3_vm *vm;

	fake_cpuid_set(1, 0, basic);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	r = leaf(vm->vcpu[0], 0xd, 0);
	CHECK_EQ(r.eax | r.ebx | r.ecx | r.edx, 0);
	CHECK(!(leaf(vm->vcpu[0], 1, 0).ecx & (B(26) | B(28))));
	CHECK(!(vm->vcpu[0]->cpu.cr4_allowed & V3_CR4_OSXSAVE));
}

static void test_cpuid_instruction_clears_upper_halves(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct v3_exit exit = fake_exit(V3_EXIT_CPUID, 2);
	struct v3_vcpu *vcpu;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	for (int i = 0; i < V3_NGPR; i++)
		vcpu->regs.gpr[i] = ~0ull << 32;
	vcpu->regs.gpr[V3_RAX] |= 0x40000000;
	CHECK_EQ(fake_dispatch(vcpu, &exit, NULL), V3_OK);
	CHECK_EQ(vcpu->regs.gpr[V3_RBX], 0x45563356); /* "V3VE" */
	CHECK_EQ(vcpu->regs.gpr[V3_RAX] >> 32, 0);
	CHECK_EQ(vcpu->regs.gpr[V3_RCX] >> 32, 0);
	CHECK_EQ(vcpu->regs.gpr[V3_RDX] >> 32, 0);
	CHECK_EQ(vcpu->regs.gpr[V3_RSI], ~0ull << 32);
}

static const struct tap_test tests[] = {
	TAP(test_cpuid_hides_what_is_not_offered),
	TAP(test_cpuid_does_not_invent_host_features),
	TAP(test_cpuid_shows_what_linux_needs),
	TAP(test_cpuid_apic_bit_follows_the_apic),
	TAP(test_cpuid_hypervisor_leaves),
	TAP(test_cpuid_unlisted_leaves_read_zero),
	TAP(test_cpuid_topology),
	TAP(test_cpuid_apic_ids),
	TAP(test_cpuid_topology_amd),
	TAP(test_cpuid_one_vcpu_is_no_multi_core),
	TAP(test_cpuid_caches_amd),
	TAP(test_cpuid_topology_intel),
	TAP(test_cpuid_kvm_features_follow_the_apic),
	TAP(test_cpuid_osxsave_follows_cr4),
	TAP(test_cpuid_xsave_leaf),
	TAP(test_cpuid_hides_xsaves),
	TAP(test_cpuid_host_without_xsave),
	TAP(test_cpuid_instruction_clears_upper_halves),
};
TAP_MAIN(tests)
