/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_pci.c
 * Base address registers, capabilities, MSI, MSI-X and power management of PCI functions, as a guest's driver
 * programs them; relocation while other vcpus access.
 */
#include "pci_bench.h"

#include <pthread.h>

#define SLOT 3
#define CMD  0x04

static const struct v3_pci_desc plain = {
	.vendor = 0x1af4, .device = 0x1042, .class_code = 0x018000, .intx_pin = 1};

/* What the handler of the BARs saw last; it answers reads with BAR number and offset. */
static struct v3_pci_access last;
static unsigned calls;

static int bar_fn(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	CHECK(vcpu != NULL);
	CHECK(priv == &last);
	calls++;
	if (!a->write)
		a->value = 0xb000u + a->bar * 0x100u + a->offset % 0x100;
	last = *a;
	return V3_OK;
}

static struct v3_pci_func *open_func(void)
{
	struct v3_pci_func *func = NULL;

	calls = 0;
	memset(&last, 0, sizeof(last));
	if (!pci_bench_open() || !CHECK_EQ(pci_bench_add(SLOT, &plain, &func), V3_OK))
		return NULL;
	return func;
}

static int add_bar(struct v3_pci_func *func, unsigned bar, unsigned kind, uint64_t size)
{
	return v3_pci_add_bar(func, bar, kind, size, bar_fn, &last);
}

/* ---- BARs ---- */

static void test_pci_bar_refuses(void)
{
	static const struct {
		unsigned bar, kind;
		uint64_t size;
		int err;
	} cases[] = {
		{6, V3_PCI_BAR_MEM32, 4096, V3_EINVAL},
		{5, V3_PCI_BAR_MEM64, 4096, V3_EINVAL}, /* no register for its upper half */
		{0, V3_PCI_BAR_MEM32, 2048, V3_EINVAL},
		{0, V3_PCI_BAR_MEM32, 12288, V3_EINVAL},
		{0, V3_PCI_BAR_MEM32, 0, V3_EINVAL},
		{0, V3_PCI_BAR_MEM32, 1ull << 32, V3_EINVAL},
		{0, V3_PCI_BAR_MEM64, 1ull << 41, V3_EINVAL},
		{0, V3_PCI_BAR_IO, 2, V3_EINVAL},
		{0, V3_PCI_BAR_IO, 512, V3_EINVAL},
		{0, V3_PCI_BAR_IO | V3_PCI_BAR_PREFETCH, 16, V3_EINVAL},
		{0, 2, 4096, V3_EINVAL},
		{2, V3_PCI_BAR_MEM64, 4096, V3_OK},
		{2, V3_PCI_BAR_MEM32, 4096, V3_EEXIST},
		{3, V3_PCI_BAR_IO, 16, V3_EEXIST},	/* the upper half of 2 */
		{1, V3_PCI_BAR_MEM64, 4096, V3_EEXIST}, /* its upper half would be 2 */
		{5, V3_PCI_BAR_MEM32 | V3_PCI_BAR_PREFETCH, 1u << 31, V3_OK},
	};
	struct v3_pci_func *func = open_func();

	REQUIRE(func);
	CHECK_EQ(v3_pci_add_bar(func, 0, V3_PCI_BAR_IO, 16, NULL, NULL), V3_EINVAL);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++)
		CHECK_MSG(add_bar(func, cases[i].bar, cases[i].kind, cases[i].size) == cases[i].err,
			  "case %u", i);
	v3_pci_remove(func);
}

/* What a guest reads after it wrote all ones, 6.2.5.1. */
static void test_pci_bar_sizing(void)
{
	static const struct {
		unsigned kind;
		uint64_t size;
		uint32_t low, high;
	} cases[] = {
		{V3_PCI_BAR_IO, 4, 0xfffffffd, 0},
		{V3_PCI_BAR_IO, 256, 0xffffff01, 0},
		{V3_PCI_BAR_MEM32, 4096, 0xfffff000, 0},
		{V3_PCI_BAR_MEM32 | V3_PCI_BAR_PREFETCH, 1u << 31, 0x80000008, 0},
		{V3_PCI_BAR_MEM64, 16384, 0xffffc004, 0xffffffff},
		{V3_PCI_BAR_MEM64 | V3_PCI_BAR_PREFETCH, 1ull << 32, 0x0000000c, 0xffffffff},
		{V3_PCI_BAR_MEM64, 1ull << 40, 0x00000004, 0xffffff00},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		struct v3_pci_func *func = open_func();

		REQUIRE(func);
		REQUIRE_EQ(add_bar(func, 0, cases[i].kind, cases[i].size), V3_OK);
		CHECK_EQ(cfg_read(SLOT, 0x10, 4), cases[i].kind);
		cfg_write(SLOT, CMD, 2, 3); /* most guests leave it on meanwhile */
		cfg_write(SLOT, 0x10, 4, ~0u);
		cfg_write(SLOT, 0x14, 4, ~0u);
		CHECK(!fake_log_contains("cannot answer"));
		CHECK_EQ(cfg_read(SLOT, 0x10, 4), cases[i].low);
		CHECK_EQ(cfg_read(SLOT, 0x14, 4), cases[i].high);
		cfg_write(SLOT, 0x10, 4, 0);
		CHECK_EQ(cfg_read(SLOT, 0x10, 4), cases[i].kind);
		v3_pci_remove(func);
		fake_vm_destroy(bench.vm);
	}
}

static void test_pci_bar_needs_its_enable_bit(void)
{
	struct v3_pci_func *func = open_func();

	REQUIRE(func);
	REQUIRE_EQ(add_bar(func, 0, V3_PCI_BAR_MEM32, 4096), V3_OK);
	REQUIRE_EQ(add_bar(func, 1, V3_PCI_BAR_IO, 32), V3_OK);
	cfg_write(SLOT, 0x10, 4, 0xd0000000);
	cfg_write(SLOT, 0x14, 4, 0xc000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000010, 4), 0xffffffff);
	cfg_write(SLOT, CMD, 2, 1); /* I/O only */
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000010, 4), 0xffffffff);
	CHECK_EQ(fake_in(bench.vm, 0xc004, 4), 0xb104);
	CHECK_EQ(last.bar, 1);
	CHECK_EQ(last.size, 4);
	cfg_write(SLOT, CMD, 2, 2); /* memory only */
	CHECK_EQ(fake_in(bench.vm, 0xc004, 4), 0xffffffff);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000010, 8), 0xb010);
	CHECK_EQ(fake_mmio_write(bench.vm, 0xd0000ffe, 2, 0x1234), V3_OK);
	CHECK(last.write);
	CHECK_EQ(last.offset, 0xffe);
	CHECK_EQ(last.value, 0x1234);
	bench_reset();
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000010, 4), 0xffffffff);
	CHECK_EQ(cfg_read(SLOT, 0x10, 4), 0);
	CHECK_EQ(cfg_read(SLOT, 0x14, 4), 1);
	v3_pci_remove(func);
}

static void test_pci_bar_moves(void)
{
	struct v3_pci_func *func = open_func();

	REQUIRE(func);
	REQUIRE_EQ(add_bar(func, 0, V3_PCI_BAR_MEM64, 8192), V3_OK);
	cfg_write(SLOT, CMD, 2, 2);
	cfg_write(SLOT, 0x10, 4, 0xe0000000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0001008, 4), 0xb008);
	cfg_write(SLOT, 0x10, 4, 0xe0002000); /* its next neighbour */
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0001008, 4), 0xffffffff);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0002004, 4), 0xb004);
	cfg_write(SLOT, 0x14, 4, 0x8); /* above 4 GiB */
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0002004, 4), 0xffffffff);
	CHECK_EQ(fake_mmio_read(bench.vm, 0x8e0002004, 4), 0xb004);
	cfg_write(SLOT, 0x14, 4, 0xfffff000); /* beyond any CPU's width */
	CHECK_EQ(fake_mmio_read(bench.vm, 0x8e0002004, 4), 0xffffffff);
	CHECK(fake_log_contains("00:03.0 BAR 0 cannot answer at"));
	cfg_write(SLOT, 0x14, 4, 0);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0002004, 4), 0xb004);
	v3_pci_remove(func);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0002004, 4), 0xffffffff);
}

/* RAM, the board's devices and whoever was there first win; the loser answers when its place gets free. */
static void test_pci_bar_waits_for_its_place(void)
{
	struct v3_pci_func *func = open_func(), *other;

	REQUIRE(func);
	REQUIRE_EQ(pci_bench_add(SLOT + 1, &plain, &other), V3_OK);
	REQUIRE_EQ(add_bar(func, 0, V3_PCI_BAR_MEM32, 4096), V3_OK);
	REQUIRE_EQ(add_bar(func, 1, V3_PCI_BAR_IO, 4), V3_OK);
	REQUIRE_EQ(add_bar(other, 2, V3_PCI_BAR_MEM32, 4096), V3_OK);
	cfg_write(SLOT, CMD, 2, 3);
	cfg_write(SLOT + 1, CMD, 2, 3);
	cfg_write(SLOT, 0x10, 4, 0x00200000); /* RAM */
	CHECK_EQ(fake_mmio_write(bench.vm, 0x00200000, 4, 0x5555aaaa), V3_OK);
	CHECK_EQ(fake_mmio_read(bench.vm, 0x00200000, 4), 0x5555aaaa);
	cfg_write(SLOT, 0x14, 4, 0xcf8); /* the bridge's own ports */
	CHECK_EQ(fake_in(bench.vm, 0xcf8, 4) >> 31, 1);
	cfg_write(SLOT, 0x14, 4, 0x10000); /* no such port */
	CHECK_EQ(calls, 0);
	cfg_write(SLOT, 0x10, 4, 0xd0000000);
	cfg_write(SLOT + 1, 0x18, 4, 0xd0000000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xb000);
	cfg_write(SLOT, 0x10, 4, 0xd0001000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xb200);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0001000, 4), 0xb000);
	cfg_write(SLOT, 0x10, 4, 0xd0000000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xb200);
	v3_pci_remove(other);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xb000);
	v3_pci_remove(func);
}

static void test_pci_bar_zero_is_unassigned(void)
{
	struct v3_pci_func *func = open_func();

	REQUIRE(func);
	REQUIRE_EQ(add_bar(func, 0, V3_PCI_BAR_IO, 16), V3_OK);
	cfg_write(SLOT, CMD, 2, 3);
	CHECK_EQ(fake_in(bench.vm, 0, 4), 0xffffffff);
	cfg_write(SLOT, 0x10, 4, 0xfff1);
	CHECK_EQ(fake_in(bench.vm, 0xffff, 1), 0x0f);
	CHECK_EQ(fake_in(bench.vm, 0xffff, 4), 0xffffffff); /* would cross the end */
	CHECK_EQ(calls, 1);
	v3_pci_remove(func);
}

static volatile bool stop;

/* Accesses from another vcpu find the BAR at either place or nobody, and their own offset. */
static void *accessor(void *arg)
{
	struct v3_vcpu *vcpu = arg;

	while (!stop) {
		uint64_t v = fake_vcpu_mmio_read(vcpu, 0xd0000040, 4);

		CHECK(v == 0xb040 || v == 0xffffffff);
		v = fake_vcpu_mmio_read(vcpu, 0xd0100080, 4);
		CHECK(v == 0xb080 || v == 0xffffffff);
		v = fake_vcpu_in(vcpu, 0xc010, 4);
		CHECK(v == 0xb110 || v == 0xffffffff);
		v = fake_vcpu_in(vcpu, 0xcf8, 4); /* a neighbour that never moves */
		CHECK_EQ(v >> 31, 1);
	}
	return NULL;
}

static int quiet_fn(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	(void)vcpu;
	(void)priv;
	a->value = 0xb000u + a->bar * 0x100u + a->offset % 0x100;
	return V3_OK;
}

static void test_pci_bar_moves_under_accesses(void)
{
	struct v3_pci_func *func;
	pthread_t thread;
	struct v3_vm *vm;

	memset(&bench, 0, sizeof(bench));
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 32), NULL, 0, &vm), V3_OK);
	bench.vm = vm;
	REQUIRE_EQ(v3_pci_add(vm, SLOT, 0, &plain, &func), V3_OK);
	REQUIRE_EQ(v3_pci_add_bar(func, 0, V3_PCI_BAR_MEM32, 4096, quiet_fn, NULL), V3_OK);
	REQUIRE_EQ(v3_pci_add_bar(func, 1, V3_PCI_BAR_IO, 32, quiet_fn, NULL), V3_OK);
	cfg_write(SLOT, CMD, 2, 3);
	stop = false;
	REQUIRE_EQ(pthread_create(&thread, NULL, accessor, vm->vcpu[1]), 0);
	for (unsigned i = 0; i < 3000; i++) {
		cfg_write(SLOT, 0x10, 4, i & 1 ? 0xd0000000 : 0xd0100000);
		cfg_write(SLOT, 0x14, 4, i & 1 ? 0xc000 : 0xc100);
	}
	stop = true;
	pthread_join(thread, NULL);
	CHECK_EQ(fake_mmio_read(vm, 0xd0000040, 4), 0xb040);
	CHECK_EQ(fake_in(vm, 0xc010, 4), 0xb110);
	v3_pci_remove(func);
}

/* ---- capabilities ---- */

static void test_pci_cap_list(void)
{
	static const uint8_t body[] = {1, 2, 3, 4, 5}, mask[] = {0, 0xff, 0x0f, 0, 0};
	struct v3_pci_func *func = open_func();

	REQUIRE(func);
	CHECK_EQ(cfg_read(SLOT, 0x06, 1), 0);
	CHECK_EQ(v3_pci_add_cap(func, V3_PCI_CAP_VENDOR, body, mask, sizeof(body)), 0x40);
	CHECK_EQ(v3_pci_add_pm(func), 0x48);
	CHECK_EQ(v3_pci_add_pm(func), V3_EEXIST);
	CHECK_EQ(cfg_read(SLOT, 0x06, 1), 0x10);
	CHECK_EQ(cfg_read(SLOT, 0x34, 1), 0x40);
	CHECK_EQ(cfg_read(SLOT, 0x40, 4), 0x02014809);
	CHECK_EQ(cfg_read(SLOT, 0x44, 4), 0x00050403);
	CHECK_EQ(cfg_cap(SLOT, V3_PCI_CAP_PM), 0x48);
	cfg_write(SLOT, 0x40, 4, 0xffffffff);
	cfg_write(SLOT, 0x44, 4, 0xffffffff);
	CHECK_EQ(cfg_read(SLOT, 0x40, 4), 0xff014809);
	CHECK_EQ(cfg_read(SLOT, 0x44, 4), 0x0005040f);
	CHECK_EQ(v3_pci_add_cap(func, V3_PCI_CAP_VENDOR, body, NULL, 255), V3_ENOSPC);
	CHECK_EQ(v3_pci_add_cap(func, V3_PCI_CAP_VENDOR, "", NULL, 0), 0x50);
	bench_reset();
	CHECK_EQ(cfg_read(SLOT, 0x40, 4), 0x00014809);
	CHECK_EQ(cfg_read(SLOT, 0x34, 1), 0x40);
	v3_pci_remove(func);
}

static void test_pci_pm_d3hot(void)
{
	struct v3_pci_func *func = open_func();
	unsigned pm;

	REQUIRE(func);
	REQUIRE_EQ(add_bar(func, 0, V3_PCI_BAR_MEM32, 4096), V3_OK);
	REQUIRE(v3_pci_add_pm(func) > 0);
	pm = cfg_cap(SLOT, V3_PCI_CAP_PM);
	CHECK_EQ(cfg_read(SLOT, pm + 2, 2), 3); /* version 3: no D1, D2, PME */
	cfg_write(SLOT, CMD, 2, 6);
	cfg_write(SLOT, 0x10, 4, 0xd0000000);
	v3_pci_set_intx(func, true);
	CHECK(bench.level[V3_PC_INTX_GSI(SLOT, 1)]);
	CHECK(v3_pci_may_dma(func));
	cfg_write(SLOT, pm + 4, 2, 0xffff);
	CHECK_EQ(cfg_read(SLOT, pm + 4, 2), 0x000b);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xffffffff);
	CHECK(!bench.level[V3_PC_INTX_GSI(SLOT, 1)]);
	CHECK(!v3_pci_may_dma(func));
	cfg_write(SLOT, pm + 4, 2, 1); /* D1 does not exist: stays in D3hot */
	CHECK_EQ(cfg_read(SLOT, pm + 4, 2), 0x000b);
	cfg_write(SLOT, pm + 4, 2, 0);
	CHECK_EQ(cfg_read(SLOT, pm + 4, 2), 0x0008);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xb000); /* registers kept */
	CHECK(bench.level[V3_PC_INTX_GSI(SLOT, 1)]);
	cfg_write(SLOT, pm + 4, 2, 2);
	CHECK_EQ(cfg_read(SLOT, pm + 4, 2), 0x0008);
	v3_pci_remove(func);
}

static void test_pci_add_finds_a_slot(void)
{
	struct v3_pci_func *func[32], *more;

	REQUIRE(pci_bench_open());
	REQUIRE_EQ(pci_bench_add(2, &plain, &func[2]), V3_OK);
	for (unsigned slot = 1; slot < 32; slot++) {
		if (slot == 2)
			continue;
		REQUIRE_EQ(pci_bench_add(V3_PCI_SLOT_ANY, &plain, &func[slot]), V3_OK);
		CHECK_EQ(v3_pci_slot(func[slot]), slot);
	}
	CHECK_EQ(pci_bench_add(V3_PCI_SLOT_ANY, &plain, &more), V3_ENOSPC);
	for (unsigned slot = 1; slot < 32; slot++)
		v3_pci_remove(func[slot]);
}

/* ---- MSI ---- */

#define MSI_ADDR 0xfee01000u /* local APIC 1 */

static unsigned open_msi(struct v3_pci_func *func, unsigned nvectors, unsigned given)
{
	unsigned cap;

	CHECK(v3_pci_add_msi(func, nvectors) > 0);
	cap = cfg_cap(SLOT, V3_PCI_CAP_MSI);
	cfg_write(SLOT, CMD, 2, 4);
	cfg_write(SLOT, cap + 4, 4, MSI_ADDR);
	cfg_write(SLOT, cap + 0xc, 2, 0x0047);
	cfg_write(SLOT, cap + 2, 2, 1 | given << 4);
	return cap;
}

static void test_pci_msi_capability(void)
{
	struct v3_pci_func *func = open_func();
	unsigned cap;

	REQUIRE(func);
	CHECK_EQ(v3_pci_add_msi(func, 0), V3_EINVAL);
	CHECK_EQ(v3_pci_add_msi(func, 3), V3_EINVAL);
	CHECK_EQ(v3_pci_add_msi(func, 64), V3_EINVAL);
	REQUIRE(v3_pci_add_msi(func, 4) > 0);
	CHECK_EQ(v3_pci_add_msi(func, 4), V3_EEXIST);
	cap = cfg_cap(SLOT, V3_PCI_CAP_MSI);
	CHECK_EQ(cfg_read(SLOT, cap + 2, 2), 0x0184);
	for (unsigned off = 0; off < 0x18; off += 4)
		cfg_write(SLOT, cap + off, 4, 0xffffffff);
	CHECK_EQ(cfg_read(SLOT, cap + 2, 2), 0x01f5);
	CHECK_EQ(cfg_read(SLOT, cap + 4, 4), 0xfffffffc);
	CHECK_EQ(cfg_read(SLOT, cap + 0xc, 4), 0x0000ffff);
	CHECK_EQ(cfg_read(SLOT, cap + 0x10, 4), 0x0000000f);
	CHECK_EQ(cfg_read(SLOT, cap + 0x14, 4), 0);
	bench_reset();
	CHECK_EQ(cfg_read(SLOT, cap + 2, 2), 0x0184);
	v3_pci_remove(func);
}

static void test_pci_msi_delivers(void)
{
	struct v3_pci_func *func = open_func();
	unsigned cap;

	REQUIRE(func);
	CHECK(!v3_pci_notify(func, 0)); /* INTx until it is enabled */
	cap = open_msi(func, 4, 1);	/* of four offered two are given */
	CHECK(v3_pci_msi_enabled(func));
	CHECK(v3_pci_notify(func, 0));
	CHECK_EQ(sent.msg[0].dest, 1);
	CHECK_EQ(pci_bench_vector(), 0x46); /* the low bit is the bus's */
	CHECK(v3_pci_notify(func, 1));
	CHECK_EQ(pci_bench_vector(), 0x47);
	CHECK(v3_pci_notify(func, 2));
	CHECK_EQ(pci_bench_vector(), -1);
	cfg_write(SLOT, cap + 2, 2, 1 | 7 << 4); /* more than it was offered */
	CHECK(v3_pci_notify(func, 3));
	CHECK_EQ(pci_bench_vector(), 0x47);
	CHECK(v3_pci_notify(func, 4));
	CHECK_EQ(pci_bench_vector(), -1);
	v3_pci_remove(func);
}

static void test_pci_msi_masks(void)
{
	struct v3_pci_func *func = open_func();
	unsigned cap;

	REQUIRE(func);
	cap = open_msi(func, 2, 1);
	cfg_write(SLOT, cap + 0x10, 4, 2);
	CHECK(v3_pci_notify(func, 1));
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(cfg_read(SLOT, cap + 0x14, 4), 2);
	cfg_write(SLOT, cap + 0x10, 4, 0);
	CHECK_EQ(pci_bench_vector(), 0x47);
	CHECK_EQ(cfg_read(SLOT, cap + 0x14, 4), 0);
	cfg_write(SLOT, CMD, 2, 0); /* no bus master: waits, too */
	CHECK(v3_pci_notify(func, 0));
	CHECK_EQ(pci_bench_vector(), -1);
	cfg_write(SLOT, CMD, 2, 4);
	CHECK_EQ(pci_bench_vector(), 0x46);
	v3_pci_remove(func);
}

static void test_pci_msi_gates_intx(void)
{
	struct v3_pci_func *func = open_func();
	unsigned cap, gsi = V3_PC_INTX_GSI(SLOT, 1);

	REQUIRE(func);
	v3_pci_set_intx(func, true);
	CHECK(bench.level[gsi]);
	cap = open_msi(func, 1, 0);
	CHECK(!bench.level[gsi]);
	cfg_write(SLOT, cap + 2, 2, 0);
	CHECK(bench.level[gsi]);
	v3_pci_remove(func);
}

/* ---- MSI-X ---- */

#define TABLE 0xd0000000u
#define NVEC  5
#define PBA   (TABLE + 2048)

static unsigned open_msix(struct v3_pci_func *func)
{
	unsigned cap;

	CHECK(v3_pci_add_msix(func, 1, NVEC) > 0);
	cap = cfg_cap(SLOT, V3_PCI_CAP_MSIX);
	cfg_write(SLOT, 0x14, 4, TABLE);
	cfg_write(SLOT, CMD, 2, 6);
	cfg_write(SLOT, cap + 2, 2, 0x8000);
	return cap;
}

static void set_entry(unsigned v, uint8_t vector, bool masked)
{
	CHECK_EQ(fake_mmio_write(bench.vm, TABLE + 16 * v, 8, MSI_ADDR), V3_OK);
	CHECK_EQ(fake_mmio_write(bench.vm, TABLE + 16 * v + 8, 4, vector), V3_OK);
	CHECK_EQ(fake_mmio_write(bench.vm, TABLE + 16 * v + 12, 4, masked), V3_OK);
}

static void test_pci_msix_capability(void)
{
	struct v3_pci_func *func = open_func();
	unsigned cap;

	REQUIRE(func);
	CHECK_EQ(v3_pci_add_msix(func, 1, 0), V3_EINVAL);
	CHECK_EQ(v3_pci_add_msix(func, 1, V3_PCI_MSIX_MAX + 1), V3_EINVAL);
	CHECK_EQ(v3_pci_add_msix(func, 6, 1), V3_EINVAL);
	REQUIRE_EQ(add_bar(func, 2, V3_PCI_BAR_MEM64, 4096), V3_OK);
	CHECK_EQ(v3_pci_add_msix(func, 2, 1), V3_EEXIST);
	CHECK_EQ(v3_pci_add_msix(func, 3, 1), V3_EEXIST);
	fake_host_fail_at(1);
	CHECK_EQ(v3_pci_add_msix(func, 1, NVEC), V3_ENOMEM);
	fake_host_fail_at(0);
	cap = open_msix(func);
	CHECK_EQ(v3_pci_add_msix(func, 0, NVEC), V3_EEXIST);
	CHECK_EQ(cfg_read(SLOT, cap + 2, 2), 0x8000 | (NVEC - 1));
	CHECK_EQ(cfg_read(SLOT, cap + 4, 4), 1);
	CHECK_EQ(cfg_read(SLOT, cap + 8, 4), 2048 | 1);
	cfg_write(SLOT, cap + 2, 2, 0xffff);
	CHECK_EQ(cfg_read(SLOT, cap + 2, 2), 0xc000 | (NVEC - 1));
	v3_pci_remove(func);
}

static void test_pci_msix_largest_table(void)
{
	struct v3_pci_func *func = open_func();
	unsigned cap;

	REQUIRE(func);
	REQUIRE(v3_pci_add_msix(func, 0, V3_PCI_MSIX_MAX) > 0);
	cap = cfg_cap(SLOT, V3_PCI_CAP_MSIX);
	cfg_write(SLOT, 0x10, 4, TABLE);
	cfg_write(SLOT, CMD, 2, 6);
	cfg_write(SLOT, cap + 2, 2, 0x8000);
	CHECK_EQ(cfg_read(SLOT, cap + 8, 4), V3_PCI_MSIX_MAX * 16);
	CHECK(v3_pci_notify(func, V3_PCI_MSIX_MAX - 1));
	CHECK_EQ(
		fake_mmio_read(bench.vm, TABLE + V3_PCI_MSIX_MAX * 16 + V3_PCI_MSIX_MAX / 8 - 4, 4),
		0x80000000);
	set_entry(V3_PCI_MSIX_MAX - 1, 0x99, false);
	CHECK_EQ(pci_bench_vector(), 0x99);
	v3_pci_remove(func);
}

static void test_pci_msix_delivers_and_masks(void)
{
	struct v3_pci_func *func = open_func();
	unsigned cap;

	REQUIRE(func);
	cap = open_msix(func);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 16 * 3 + 12, 4), 1); /* masked at first */
	set_entry(3, 0x63, false);
	CHECK(v3_pci_notify(func, 3));
	CHECK_EQ(pci_bench_vector(), 0x63);
	CHECK(v3_pci_notify(func, NVEC)); /* no such vector */
	CHECK(v3_pci_notify(func, 0xffff));
	CHECK_EQ(pci_bench_vector(), -1);

	set_entry(2, 0x62, true);
	CHECK(v3_pci_notify(func, 2));
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(fake_mmio_read(bench.vm, PBA, 4), 1 << 2);
	CHECK_EQ(fake_mmio_write(bench.vm, PBA, 4, 0), V3_OK); /* read-only */
	CHECK_EQ(fake_mmio_read(bench.vm, PBA, 8), 1 << 2);
	set_entry(2, 0x72, false); /* sent as it is programmed now */
	CHECK_EQ(pci_bench_vector(), 0x72);
	CHECK_EQ(fake_mmio_read(bench.vm, PBA, 4), 0);

	cfg_write(SLOT, cap + 2, 2, 0xc000); /* function mask */
	CHECK(v3_pci_notify(func, 3));
	CHECK_EQ(pci_bench_vector(), -1);
	cfg_write(SLOT, cap + 2, 2, 0x8000);
	CHECK_EQ(pci_bench_vector(), 0x63);
	cfg_write(SLOT, cap + 2, 2, 0);
	CHECK(!v3_pci_notify(func, 3));
	v3_pci_remove(func);
}

static void test_pci_msix_table_accesses(void)
{
	struct v3_pci_func *func = open_func();

	REQUIRE(func);
	open_msix(func);
	set_entry(1, 0x41, true);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 16, 8), MSI_ADDR);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 24, 8), 0x0000000100000041ull);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 17, 1), MSI_ADDR >> 8 & 0xff);
	fake_mmio_write(bench.vm, TABLE + 28, 4, 0xffffffff);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 28, 4), 1); /* reserved bits of the control */
	fake_mmio_write(bench.vm, TABLE + 24, 1, 0xff);
	fake_mmio_write(bench.vm, TABLE + 24, 2, 0xffff);
	fake_mmio_write(bench.vm, TABLE + 26, 4, 0xffffffff);
	fake_mmio_write(bench.vm, TABLE + 20, 8, ~0ull);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 24, 4), 0x41);
	fake_mmio_write(bench.vm, TABLE + 16 * NVEC, 4, 0x1234); /* past the last entry */
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 16 * NVEC, 4), 0);
	fake_mmio_write(bench.vm, TABLE + 16 * NVEC - 8, 8, 0x0000000100000077ull);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 16 * NVEC - 8, 8), 0x0000000100000077ull);
	bench_reset();
	cfg_write(SLOT, 0x14, 4, TABLE);
	cfg_write(SLOT, CMD, 2, 6);
	CHECK_EQ(fake_mmio_read(bench.vm, TABLE + 24, 8), 0x0000000100000000ull);
	v3_pci_remove(func);
}

/* ---- anything ---- */

static void test_pci_hostile(void)
{
	static const unsigned sizes[] = {1, 2, 4, 8};
	struct v3_pci_func *func = open_func();

	REQUIRE(func);
	REQUIRE_EQ(add_bar(func, 0, V3_PCI_BAR_IO, 64), V3_OK);
	REQUIRE(v3_pci_add_msix(func, 1, NVEC) > 0);
	REQUIRE_EQ(add_bar(func, 2, V3_PCI_BAR_MEM64 | V3_PCI_BAR_PREFETCH, 1u << 20), V3_OK);
	REQUIRE_EQ(add_bar(func, 4, V3_PCI_BAR_MEM32, 8192), V3_OK);
	REQUIRE(v3_pci_add_pm(func) > 0);
	REQUIRE(v3_pci_add_msi(func, 32) > 0);
	for (unsigned i = 0; i < 30000 && !tap.failures; i++) {
		uint64_t r = tap_rand();
		unsigned off = (unsigned)(r >> 8 & 0xfc);
		unsigned size = sizes[r & 3];

		if (r >> 60 & 1)
			off %= 0x40;
		cfg_write(SLOT, off, 4,
			  off >= 0x10 && off < 0x28 && (r >> 61 & 1)
				  ? (uint32_t)(0xd0000000 + (r >> 20 & 0xf) * 0x1000)
				  : bench_hostile_value());
		if (r >> 62 & 1)
			cfg_write(SLOT, CMD, 2, 7);
		fake_mmio_write(bench.vm, 0xd0000000 + (r >> 16 & 0xfff8), size, tap_rand());
		fake_mmio_read(bench.vm, 0xd0000000 + (r >> 16 & 0xfff8), size);
		v3_pci_notify(func, (unsigned)(r >> 32 & 0x3f));
		v3_pci_set_intx(func, r >> 40 & 1);
		if (!(r >> 41 & 0xff))
			bench_reset();
	}
	CHECK_EQ(cfg_read(SLOT, 0x00, 4), 0x10421af4);
	bench_reset();
	cfg_write(SLOT, 0x20, 4, 0xd0000000);
	cfg_write(SLOT, CMD, 2, 2);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0001004, 4), 0xb404);
	v3_pci_remove(func);
}

static const struct tap_test tests[] = {
	TAP(test_pci_bar_refuses),
	TAP(test_pci_bar_sizing),
	TAP(test_pci_bar_needs_its_enable_bit),
	TAP(test_pci_bar_moves),
	TAP(test_pci_bar_waits_for_its_place),
	TAP(test_pci_bar_zero_is_unassigned),
	TAP(test_pci_bar_moves_under_accesses),
	TAP(test_pci_cap_list),
	TAP(test_pci_pm_d3hot),
	TAP(test_pci_add_finds_a_slot),
	TAP(test_pci_msi_capability),
	TAP(test_pci_msi_delivers),
	TAP(test_pci_msi_masks),
	TAP(test_pci_msi_gates_intx),
	TAP(test_pci_msix_capability),
	TAP(test_pci_msix_largest_table),
	TAP(test_pci_msix_delivers_and_masks),
	TAP(test_pci_msix_table_accesses),
	TAP(test_pci_hostile),
};
TAP_MAIN(tests)
