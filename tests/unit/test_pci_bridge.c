/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_pci_bridge.c
 * PCI-to-PCI bridges as firmware or a kernel programs them: bus numbers, windows, interrupt swizzling, and functions
 * behind one and two of them.
 */
#include "pci_bench.h"

#include "mmu/nested/table.h"
#include "palacios/mem.h"

#define A_SLOT 4 /* of the bridge "a" on bus 0; "b" is in slot 6 behind it */
#define B_SLOT 6
#define CMD    0x04
#define BUSES  0x18
#define IO     0x1c
#define MEM    0x20
#define PREF   0x24

static struct v3_pci_access last;
static unsigned calls;
static void *bridge_a, *bridge_b;

static int bar_fn(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	(void)vcpu;
	CHECK(priv == &last);
	calls++;
	if (!a->write)
		a->value = 0xb000u + a->bar;
	last = *a;
	return V3_OK;
}

static uint32_t read_at(unsigned bus, unsigned slot, unsigned off, unsigned size)
{
	fake_out(bench.vm, PCI_ADDR, 4, 0x80000000u | bus << 16 | slot << 11 | (off & 0xfc));
	return fake_in(bench.vm, (uint16_t)(PCI_DATA + (off & 3)), size);
}

static void write_at(unsigned bus, unsigned slot, unsigned off, unsigned size, uint32_t value)
{
	fake_out(bench.vm, PCI_ADDR, 4, 0x80000000u | bus << 16 | slot << 11 | (off & 0xfc));
	CHECK_EQ(fake_out(bench.vm, (uint16_t)(PCI_DATA + (off & 3)), size, value), V3_OK);
}

static int make_bridge(const char *keys, void **bridge)
{
	int err;

	bench.vm->ndevices++;
	err = fake_device_create(bench.vm, &v3_device_pci_bridge, keys, bridge);
	bench.vm->ndevices--;
	return err;
}

static struct v3_pci_func *add(const char *bus, unsigned slot, uint8_t pin)
{
	struct v3_pci_desc desc = {.vendor = 0x1af4, .device = 0x1042, .intx_pin = pin, .bus = bus};
	struct v3_pci_func *func = NULL;

	return CHECK_EQ(pci_bench_add(slot, &desc, &func), V3_OK) ? func : NULL;
}

/* Bus 0 - "a" - "b". */
static bool open_bridges(void)
{
	calls = 0;
	return pci_bench_open() &&
	       CHECK_EQ(make_bridge("name = \"a\"\nslot = 4\n", &bridge_a), V3_OK) &&
	       CHECK_EQ(make_bridge("name = \"b\"\nslot = 6\nbus = \"a\"\n", &bridge_b), V3_OK);
}

/* As a guest numbers them: bus 1 behind "a", 2 behind "b". */
static void number(void)
{
	write_at(0, A_SLOT, BUSES, 4, 0x020100);
	write_at(1, B_SLOT, BUSES, 4, 0x020201);
}

static void test_pci_bridge_identity(void)
{
	REQUIRE(open_bridges());
	CHECK_EQ(read_at(0, A_SLOT, 0x00, 4), 0x00011b36);
	CHECK_EQ(read_at(0, A_SLOT, 0x08, 4), 0x06040000);
	CHECK_EQ(read_at(0, A_SLOT, 0x0e, 1), 1);
	for (unsigned off = 0x10; off < 0x40; off += 4) /* what can be written */
		write_at(0, A_SLOT, off, 4, 0xffffffff);
	CHECK_EQ(read_at(0, A_SLOT, 0x10, 4), 0); /* no BARs */
	CHECK_EQ(read_at(0, A_SLOT, BUSES, 4), 0xffffffff);
	CHECK_EQ(read_at(0, A_SLOT, IO, 4), 0xf0f0);
	CHECK_EQ(read_at(0, A_SLOT, MEM, 4), 0xfff0fff0);
	CHECK_EQ(read_at(0, A_SLOT, PREF, 4), 0xfff1fff1);
	CHECK_EQ(read_at(0, A_SLOT, 0x28, 4), 0xffffffff);
	CHECK_EQ(read_at(0, A_SLOT, 0x2c, 4), 0xffffffff);
	CHECK_EQ(read_at(0, A_SLOT, 0x30, 4), 0);
	CHECK_EQ(read_at(0, A_SLOT, 0x34, 4), 0);
	CHECK_EQ(read_at(0, A_SLOT, 0x38, 4), 0);
	CHECK_EQ(read_at(0, A_SLOT, 0x3c, 4), 0x4000ff);
}

static void test_pci_bridge_configuration(void)
{
	struct v3_pci_func *near, *far;

	REQUIRE(open_bridges());
	near = add("a", 0, 1);
	far = add("b", 31, 1);
	REQUIRE(near && far);
	CHECK_EQ(read_at(1, 0, 0, 4), 0xffffffff); /* no numbers yet */
	CHECK_EQ(read_at(0, 0, 0, 4), 0x12378086);
	write_at(0, A_SLOT, BUSES, 4, 0x020100);
	CHECK_EQ(read_at(1, 0, 0, 4), 0x10421af4);
	CHECK_EQ(read_at(1, B_SLOT, 0, 4), 0x00011b36);
	CHECK_EQ(read_at(2, 31, 0, 4), 0xffffffff); /* forwarded, but "b" has no number */
	write_at(1, B_SLOT, BUSES, 4, 0x020201);
	CHECK_EQ(read_at(2, 31, 0, 4), 0x10421af4);
	CHECK_EQ(read_at(2, 0, 0, 4), 0xffffffff);
	CHECK_EQ(read_at(3, 31, 0, 4), 0xffffffff);
	write_at(2, 31, 0x0c, 1, 0x40);
	CHECK_EQ(v3_pci_config(far)[0x0c], 0x40);
	write_at(0, A_SLOT, BUSES + 2, 1, 1); /* "a" does not reach so far any more */
	CHECK_EQ(read_at(2, 31, 0, 4), 0xffffffff);
	CHECK_EQ(read_at(1, 0, 0, 4), 0x10421af4);
	write_at(0, A_SLOT, BUSES, 4, 0x090700); /* other numbers */
	write_at(7, B_SLOT, BUSES, 4, 0x090907);
	CHECK_EQ(read_at(7, 0, 0, 4), 0x10421af4);
	CHECK_EQ(read_at(9, 31, 0, 4), 0x10421af4);
	CHECK_EQ(read_at(1, 0, 0, 4), 0xffffffff);
	v3_pci_remove(far);
	CHECK_EQ(read_at(9, 31, 0, 4), 0xffffffff);
	v3_pci_remove(near);
}

static void test_pci_bridge_memory_windows(void)
{
	struct v3_pci_func *func;

	REQUIRE(open_bridges());
	func = add("b", 3, 1);
	REQUIRE(func);
	REQUIRE_EQ(v3_pci_add_bar(func, 0, V3_PCI_BAR_MEM32, 0x1000, bar_fn, &last), V3_OK);
	REQUIRE_EQ(v3_pci_add_bar(func, 2, V3_PCI_BAR_MEM64 | V3_PCI_BAR_PREFETCH, 0x100000, bar_fn,
				  &last),
		   V3_OK);
	number();
	write_at(2, 3, 0x10, 4, 0xd0000000);
	write_at(2, 3, 0x18, 4, 0x00000000);
	write_at(2, 3, 0x1c, 4, 0x00000001); /* at 4 GiB */
	write_at(2, 3, CMD, 2, 2);
	write_at(0, A_SLOT, CMD, 2, 2);
	write_at(1, B_SLOT, CMD, 2, 2);
	write_at(0, A_SLOT, MEM, 4, 0x0000fff0); /* base above limit: closed */
	write_at(0, A_SLOT, PREF, 4, 0x0000fff0);
	write_at(1, B_SLOT, MEM, 4, 0xd000d000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xffffffff);
	write_at(0, A_SLOT, MEM, 4, 0xd010d000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000ffc, 4), 0xb000);
	CHECK_EQ(last.offset, 0xffc);
	write_at(1, B_SLOT, MEM, 4, 0xd010d010); /* the nearer one does not forward it */
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xffffffff);
	write_at(1, B_SLOT, MEM, 4, 0xd000d000);
	write_at(0, A_SLOT, CMD, 2, 0);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xffffffff);
	write_at(0, A_SLOT, CMD, 2, 2);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xb000);
	/* the prefetchable window has 64 bits */
	for (unsigned i = 0; i < 2; i++) {
		unsigned bus = i, slot = i ? B_SLOT : A_SLOT;

		CHECK_EQ(fake_mmio_read(bench.vm, 0x100000000, 4), 0xffffffff);
		write_at(bus, slot, PREF, 4, 0);
		write_at(bus, slot, 0x28, 4, 1);
		write_at(bus, slot, 0x2c, 4, 1);
	}
	CHECK_EQ(fake_mmio_read(bench.vm, 0x100000000, 4), 0xb002);
	bench_reset();
	CHECK_EQ(fake_mmio_read(bench.vm, 0xd0000000, 4), 0xffffffff);
	CHECK_EQ(read_at(0, A_SLOT, MEM, 4), 0);
	CHECK_EQ(read_at(0, A_SLOT, PREF, 4), 0x00010001);
	v3_pci_remove(func);
}

static void test_pci_bridge_port_window(void)
{
	struct v3_pci_func *func;

	REQUIRE(open_bridges());
	func = add("a", 3, 1);
	REQUIRE(func);
	REQUIRE_EQ(v3_pci_add_bar(func, 0, V3_PCI_BAR_IO, 256, bar_fn, &last), V3_OK);
	number();
	write_at(1, 3, 0x10, 4, 0xcf00);
	write_at(1, 3, CMD, 2, 1);
	write_at(0, A_SLOT, IO, 2, 0xb0b0);
	write_at(0, A_SLOT, CMD, 2, 1);
	CHECK_EQ(fake_in(bench.vm, 0xcf00, 4), 0xffffffff);
	write_at(0, A_SLOT, IO, 2, 0xc0b0);
	CHECK_EQ(fake_in(bench.vm, 0xcffc, 4), 0xb000);
	write_at(0, A_SLOT, CMD, 2, 2);
	CHECK_EQ(fake_in(bench.vm, 0xcf00, 4), 0xffffffff);
	v3_pci_remove(func);
}

/* What a function sends by itself passes if every bridge above may be a master. */
static void test_pci_bridge_bus_master(void)
{
	struct v3_pci_func *func;
	unsigned cap;

	REQUIRE(open_bridges());
	func = add("b", 3, 1);
	REQUIRE(func);
	cap = (unsigned)v3_pci_add_msi(func, 1);
	number();
	write_at(2, 3, cap + 4, 4, 0xfee00000);
	write_at(2, 3, cap + 12, 2, 0x55);
	write_at(2, 3, cap + 2, 2, 1);
	write_at(2, 3, CMD, 2, 4);
	CHECK(!v3_pci_may_dma(func));
	CHECK(v3_pci_notify(func, 0));
	CHECK_EQ(pci_bench_vector(), -1);
	write_at(0, A_SLOT, CMD, 2, 4);
	CHECK(!v3_pci_may_dma(func));
	CHECK_EQ(pci_bench_vector(), -1);
	write_at(1, B_SLOT, CMD, 2, 4);
	CHECK(v3_pci_may_dma(func));
	CHECK_EQ(pci_bench_vector(), 0x55); /* the one that waited */
	v3_pci_remove(func);
}

static void count_reset(struct v3_pci_func *func, void *priv)
{
	(void)func;
	++*(unsigned *)priv;
}

/* Bridge control, bit 6: everything behind it is as after power-on, other bridges included; nothing before it is. */
static void test_pci_bridge_resets_its_bus(void)
{
	unsigned near_resets = 0, far_resets = 0, other_resets = 0;
	struct v3_pci_desc desc = {.vendor = 0x1af4, .device = 0x1042, .bus_reset = count_reset};
	struct v3_pci_func *near_func, *far_func, *other;

	REQUIRE(open_bridges());
	desc.bus = "a";
	desc.priv = &near_resets;
	REQUIRE_EQ(pci_bench_add(3, &desc, &near_func), V3_OK);
	desc.bus = "b";
	desc.priv = &far_resets;
	REQUIRE_EQ(pci_bench_add(3, &desc, &far_func), V3_OK);
	desc.bus = NULL;
	desc.priv = &other_resets;
	REQUIRE_EQ(pci_bench_add(9, &desc, &other), V3_OK);
	number();
	write_at(0, 9, CMD, 2, 4);
	write_at(1, 3, CMD, 2, 4);
	write_at(2, 3, CMD, 2, 4);
	write_at(1, B_SLOT, 0x3e, 2, 0x40); /* the inner one first */
	CHECK_EQ(far_resets, 1);
	CHECK_EQ(near_resets, 0);
	CHECK_EQ(read_at(2, 3, 0, 4), 0xffffffff); /* held in reset */
	CHECK_EQ(read_at(1, 3, CMD, 2), 4);
	write_at(1, B_SLOT, 0x3e, 2, 0);
	CHECK_EQ(read_at(2, 3, CMD, 2), 0);
	write_at(0, A_SLOT, 0x3c, 4, 0x400000); /* by the whole doubleword */
	CHECK_EQ(near_resets, 1);
	CHECK_EQ(far_resets, 2);
	CHECK_EQ(other_resets, 0);
	CHECK_EQ(read_at(0, 9, CMD, 2), 4);
	CHECK_EQ(read_at(1, B_SLOT, 0, 4), 0xffffffff);
	write_at(0, A_SLOT, 0x3e, 1, 0);
	CHECK_EQ(far_resets, 2);
	CHECK_EQ(read_at(0, A_SLOT, BUSES, 4), 0x020100);
	CHECK_EQ(read_at(1, 3, CMD, 2), 0);
	CHECK_EQ(read_at(1, B_SLOT, BUSES, 4), 0); /* the bridge behind has forgotten its bus */
	v3_pci_remove(other);
	v3_pci_remove(far_func);
	v3_pci_remove(near_func);
}

/* What the guest uses without exits is taken from it before it goes on. */
static void test_pci_bridge_reset_unmaps_cards(void)
{
	struct v3_pci_desc desc = {.vendor = 0x1234, .device = 0x1111, .bus = "a"};
	struct v3_pci_func *func;
	struct v3_card *card;
	unsigned level;

	REQUIRE(open_bridges());
	REQUIRE_EQ(v3_card_create(bench.vm, V3_SIZE_2M, &card), V3_OK);
	REQUIRE_EQ(pci_bench_add(3, &desc, &func), V3_OK);
	REQUIRE_EQ(v3_pci_add_card(func, 0, V3_PCI_BAR_MEM32, card), V3_OK);
	number();
	write_at(0, A_SLOT, MEM, 4, 0xd010d000); /* 2 MiB */
	write_at(0, A_SLOT, CMD, 2, 2);
	write_at(1, 3, 0x10, 4, 0xd0000000);
	write_at(1, 3, CMD, 2, 2);
	REQUIRE_EQ(v3_mmu_map_fault(bench.vm, NULL, 0xd0000000, V3_ACC_WRITE), V3_OK);
	fake_take_requests(bench.vm->vcpu[0]);
	write_at(0, A_SLOT, 0x3e, 2, 0x40);
	CHECK(fake_take_requests(bench.vm->vcpu[0]) & V3_REQ_FLUSH);
	CHECK_EQ(v3_nested_lookup(&bench.vm->mmu.nested, 0xd0000000, &level), 0);
	v3_pci_remove(func);
	v3_card_destroy(card);
}

static void test_pci_bridge_swizzles(void)
{
	REQUIRE(open_bridges());
	for (unsigned slot = 1; slot < 8; slot++) {
		for (uint8_t pin = 1; pin <= 4; pin++) {
			struct v3_pci_func *near, *far;
			unsigned near_pin = (pin - 1 + slot) % 4 + 1; /* at "a", or at "b" */
			unsigned far_pin = (near_pin - 1 + B_SLOT) % 4 + 1;

			if (slot == B_SLOT)
				continue;
			near = add("a", slot, pin);
			far = add("b", slot, pin);
			REQUIRE(near && far);
			v3_pci_set_intx(near, true);
			CHECK(bench.level[V3_PC_INTX_GSI(A_SLOT, near_pin)]);
			v3_pci_set_intx(near, false);
			CHECK(!bench.level[V3_PC_INTX_GSI(A_SLOT, near_pin)]);
			v3_pci_set_intx(far, true);
			CHECK(bench.level[V3_PC_INTX_GSI(A_SLOT, far_pin)]);
			v3_pci_remove(far);
			CHECK(!bench.level[V3_PC_INTX_GSI(A_SLOT, far_pin)]);
			v3_pci_remove(near);
		}
	}
}

static void test_pci_bridge_full_bus(void)
{
	struct v3_pci_desc desc = {.vendor = 1, .device = 2, .bus = "b"};
	struct v3_pci_func *func[32], *more;

	REQUIRE(open_bridges());
	number();
	for (unsigned i = 0; i < 32; i++)
		REQUIRE_EQ(pci_bench_add(V3_PCI_SLOT_ANY, &desc, &func[i]), V3_OK);
	CHECK_EQ(v3_pci_slot(func[0]), 0);
	CHECK_EQ(v3_pci_slot(func[31]), 31);
	CHECK_EQ(pci_bench_add(V3_PCI_SLOT_ANY, &desc, &more), V3_ENOSPC);
	for (unsigned i = 0; i < 32; i++) {
		CHECK_EQ(read_at(2, i, 0, 4), 0x00020001);
		v3_pci_remove(func[i]);
	}
}

static void test_pci_bridge_create_refuses(void)
{
	struct v3_pci_desc desc = {.vendor = 1, .device = 2, .bus = "c"};
	struct v3_pci_func *func;
	void *bridge;

	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_pci_bridge, "name = \"a\"\n", &bridge),
		 V3_ENODEV);
	REQUIRE(open_bridges());
	CHECK_EQ(make_bridge("name = \"a\"\n", &bridge), V3_EINVAL);
	CHECK(fake_log_contains("needs one of its own, \"a\" is taken"));
	CHECK_EQ(make_bridge("name = \"\"\n", &bridge), V3_EINVAL);
	CHECK_EQ(make_bridge("name = \"c\"\nbus = \"d\"\n", &bridge), V3_ENOENT);
	CHECK(fake_log_contains("no pci_bridge \"d\" before this device"));
	CHECK_EQ(make_bridge("name = \"c\"\nslot = 4\n", &bridge), V3_EEXIST);
	CHECK_EQ(pci_bench_add(1, &desc, &func), V3_ENOENT);
	fake_device_destroy(bench.vm, bridge_b); /* its name and place are free again */
	CHECK_EQ(make_bridge("name = \"b\"\nslot = 6\nbus = \"a\"\n", &bridge_b), V3_OK);
}

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = v3_device_pci_bridge.create(bench.vm, bench_cfg, &bridge_a);
	bench.vm->ndevices--;
	return err;
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_pci_bridge.destroy(bridge_a);
}

static void test_pci_bridge_oom(void)
{
	REQUIRE(pci_bench_open());
	bench_cfg = fake_cfg(&v3_device_pci_bridge, "name = \"a\"\n");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 2);
}

/* Random writes to everything that is found on buses 0 to 3. */
static void test_pci_bridge_hostile(void)
{
	struct v3_pci_func *near, *far;

	REQUIRE(open_bridges());
	near = add("a", 1, 2);
	far = add("b", 1, 3);
	REQUIRE(near && far);
	v3_pci_add_bar(near, 0, V3_PCI_BAR_MEM32, 0x1000, bar_fn, &last);
	v3_pci_add_bar(far, 0, V3_PCI_BAR_IO, 16, bar_fn, &last);
	v3_pci_add_msix(far, 1, 4);
	for (unsigned i = 0; i < 30000; i++) {
		uint64_t r = tap_rand();
		static const uint8_t slots[] = {1, A_SLOT, B_SLOT, 3};

		write_at(r & 3, slots[r >> 2 & 3], (unsigned)(r >> 8 & 0x7c), 4,
			 r >> 20 & 1 ? bench_hostile_value() : (uint32_t)(r >> 32 & 0x03030303));
		read_at(r >> 21 & 7, slots[r >> 24 & 3], 0, 4);
		v3_pci_set_intx(far, r >> 28 & 1);
		v3_pci_notify(far, r >> 29 & 3);
	}
	bench_reset();
	number();
	CHECK_EQ(read_at(2, 1, 0, 4), 0x10421af4);
	v3_pci_remove(far);
	v3_pci_remove(near);
	for (unsigned gsi = 0; gsi < V3_NR_GSI; gsi++)
		CHECK(!bench.level[gsi]);
}

static const struct tap_test tests[] = {
	TAP(test_pci_bridge_identity),
	TAP(test_pci_bridge_configuration),
	TAP(test_pci_bridge_memory_windows),
	TAP(test_pci_bridge_port_window),
	TAP(test_pci_bridge_bus_master),
	TAP(test_pci_bridge_resets_its_bus),
	TAP(test_pci_bridge_reset_unmaps_cards),
	TAP(test_pci_bridge_swizzles),
	TAP(test_pci_bridge_full_bus),
	TAP(test_pci_bridge_create_refuses),
	TAP(test_pci_bridge_oom),
	TAP(test_pci_bridge_hostile),
};
TAP_MAIN(tests)
