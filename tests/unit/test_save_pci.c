/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_save_pci.c
 * Saved state of PCI functions and bridges: BARs that answer where they did, interrupts that are asserted, pending or
 * masked, routes, shadow RAM; images that somebody has changed.
 */
#include "save_rig.h"

#define A	3 /* slots: two that share an INTx line, and one behind a bridge */
#define B	7
#define BRIDGE	4
#define C	2
#define CMD	0x04
#define IO_AT	0xc100
#define MEM_AT	0xd0000000u
#define MSIX_AT 0xd0010000u
#define LINE	V3_PC_INTX_GSI(A, 1)
#define ROM_LEN 0x40000

/* ---- a device: a function that can do everything ---- */

struct probe {
	struct v3_pci_func *func;
};

static int probe_bar(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	(void)vcpu;
	a->value = a->write ? a->value : 0x100u * a->bar + *(uint8_t *)priv;
	return V3_OK;
}

static int probe_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	static uint8_t slots[32];
	struct v3_pci_desc desc = {.vendor = 0x1af4,
				   .device = 0x1042,
				   .intx_pin = 1,
				   .bus = v3_cfg_string(cfg, "bus")};
	unsigned slot = (unsigned)v3_cfg_uint(cfg, "slot");
	struct probe *probe = v3_alloc(sizeof(*probe));

	slots[slot] = (uint8_t)slot;
	CHECK_EQ(v3_pci_add(vm, slot, 0, &desc, &probe->func), V3_OK);
	CHECK_EQ(v3_pci_add_bar(probe->func, 0, V3_PCI_BAR_IO, 16, probe_bar, &slots[slot]), V3_OK);
	CHECK_EQ(v3_pci_add_bar(probe->func, 1, V3_PCI_BAR_MEM64, 4096, probe_bar, &slots[slot]),
		 V3_OK);
	CHECK(v3_pci_add_pm(probe->func) > 0);
	CHECK(v3_pci_add_msi(probe->func, 4) > 0);
	CHECK(v3_pci_add_msix(probe->func, 4, 40) > 0);
	*state = probe;
	return V3_OK;
}

static void probe_destroy(void *state)
{
	v3_pci_remove(((struct probe *)state)->func);
	v3_free(state);
}

static const struct v3_save_field probe_fields[] = {
	V3_SAVE_PARTS_AT(struct probe, func, &v3_pci_func_save),
	V3_SAVE_END,
};
static const struct v3_save_table probe_save = {.fields = probe_fields,
						.size = sizeof(struct probe)};
static const struct v3_cfg_key probe_keys[] = {V3_PCI_KEYS, {.name = NULL}};
static const struct v3_device_class probe_class = {.name = "probe",
						   .keys = probe_keys,
						   .create = probe_create,
						   .destroy = probe_destroy,
						   .save = &probe_save};

static struct v3_pci_func *func_of(unsigned i)
{
	return ((struct probe *)bench.vm->device[i].state)->func;
}

#define FUNC_A func_of(3)
#define FUNC_B func_of(4)
#define FUNC_C func_of(5)

static bool open_all(void)
{
	return pci_bench_open() && save_rig_add(1, &v3_device_piix3, "") &&
	       save_rig_add(2, &v3_device_pci_bridge, "slot = 4\nname = \"b\"\n") &&
	       save_rig_add(3, &probe_class, "slot = 3\n") &&
	       save_rig_add(4, &probe_class, "slot = 7\n") &&
	       save_rig_add(5, &probe_class, "slot = 2\nbus = \"b\"\n");
}

static bool move_all(void)
{
	return save_rig_move(open_all);
}

static void place(unsigned slot, uint32_t io, uint32_t mem, uint16_t command)
{
	cfg_write(slot, 0x10, 4, io);
	cfg_write(slot, 0x14, 4, mem);
	cfg_write(slot, 0x20, 4, slot == A ? MSIX_AT : 0);
	cfg_write(slot, CMD, 2, command);
}

static uint64_t mem_read(uint32_t gpa)
{
	return fake_mmio_read(bench.vm, gpa, 4);
}

/* ---- BARs ---- */

static void test_save_pci_bars(void)
{
	REQUIRE(open_all());
	place(A, IO_AT, MEM_AT, 7);
	place(B, IO_AT + 0x100, MEM_AT + 0x1000, 2); /* its ports do not answer */
	REQUIRE(move_all());
	CHECK_EQ(fake_in(bench.vm, IO_AT, 2), A);
	CHECK_EQ(mem_read(MEM_AT), 0x100 + A);
	CHECK_EQ(mem_read(MEM_AT + 0x1000), 0x100 + B);
	CHECK_EQ(fake_in(bench.vm, IO_AT + 0x100, 2), 0xffff);
	CHECK_EQ(cfg_read(A, 0x10, 4), IO_AT | 1);
	cfg_write(A, 0x14, 4, MEM_AT + 0x2000); /* and they can be moved */
	CHECK_EQ(mem_read(MEM_AT), 0xffffffff);
	CHECK_EQ(mem_read(MEM_AT + 0x2000), 0x100 + A);
}

/* Of two at one place the one answers that was there first, whichever function is loaded first. */
static void test_save_pci_bars_at_one_place(void)
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned first = i ? B : A, second = i ? A : B;

		REQUIRE(open_all());
		place(first, 0, MEM_AT, 2);
		place(second, 0, MEM_AT, 2);
		REQUIRE(move_all());
		CHECK_EQ(mem_read(MEM_AT), 0x100 + first);
		cfg_write(first, CMD, 2, 0);
		CHECK_EQ(mem_read(MEM_AT), 0x100 + second);
	}
}

static void test_save_pci_power_state(void)
{
	unsigned pm;

	REQUIRE(open_all());
	place(A, 0, MEM_AT, 2);
	pm = cfg_cap(A, V3_PCI_CAP_PM);
	cfg_write(A, pm + 4, 2, 3);
	REQUIRE(move_all());
	CHECK_EQ(cfg_read(A, pm + 4, 2) & 3, 3);
	CHECK_EQ(mem_read(MEM_AT), 0xffffffff);
	cfg_write(A, pm + 4, 2, 0);
	CHECK_EQ(mem_read(MEM_AT), 0x100 + A);
}

static void test_save_pci_behind_bridge(void)
{
	REQUIRE(open_all());
	cfg_write(BRIDGE, 0x18, 4, 0x00010100);
	cfg_write(BRIDGE, 0x20, 4, 0xd000d000);
	cfg_write(BRIDGE, CMD, 2, 6);
	fake_out(bench.vm, PCI_ADDR, 4, 0x80010000 | C << 11 | 0x14);
	fake_out(bench.vm, PCI_DATA, 4, MEM_AT + 0x3000);
	fake_out(bench.vm, PCI_ADDR, 4, 0x80010000 | C << 11 | CMD);
	fake_out(bench.vm, PCI_DATA, 2, 6);
	REQUIRE(v3_pci_may_dma(FUNC_C));
	REQUIRE(move_all());
	CHECK_EQ(fake_in(bench.vm, PCI_ADDR, 4), 0x80010000 | C << 11 | CMD);
	CHECK_EQ(fake_in(bench.vm, PCI_DATA, 2), 6);
	CHECK_EQ(mem_read(MEM_AT + 0x3000), 0x100 + C);
	CHECK(v3_pci_may_dma(FUNC_C));
	cfg_write(BRIDGE, CMD, 2, 0);
	CHECK_EQ(mem_read(MEM_AT + 0x3000), 0xffffffff);
}

/* ---- interrupts ---- */

/* Two functions assert one line; it falls when both have released it, and is not driven by loading. */
static void test_save_pci_intx(void)
{
	REQUIRE(open_all());
	v3_pci_set_intx(FUNC_A, true);
	v3_pci_set_intx(FUNC_B, true);
	REQUIRE(move_all());
	CHECK_EQ(cfg_read(A, 0x06, 1) & 8, 8);
	v3_pci_set_intx(FUNC_A, false);
	CHECK(bench.level[LINE]);
	CHECK_EQ(cfg_read(A, 0x06, 1) & 8, 0);
	v3_pci_set_intx(FUNC_B, false);
	CHECK(!bench.level[LINE]);
	v3_pci_set_intx(FUNC_A, true);
	cfg_write(A, CMD, 2, 0x400);
	REQUIRE(move_all());
	CHECK(!bench.level[LINE]);
	cfg_write(A, CMD, 2, 0);
	CHECK(bench.level[LINE]);
}

static void test_save_pci_route(void)
{
	REQUIRE(open_all());
	cfg_write(V3_PC_ISA_BRIDGE_SLOT, 0x60 + V3_PC_INTX_PIRQ(A, 1), 1, 9);
	REQUIRE(move_all());
	v3_pci_set_intx(FUNC_A, true);
	CHECK(bench.level[9]);
	cfg_write(V3_PC_ISA_BRIDGE_SLOT, 0x60 + V3_PC_INTX_PIRQ(A, 1), 1, 5);
	CHECK(!bench.level[9]);
	CHECK(bench.level[5]);
}

static void test_save_pci_msi(void)
{
	unsigned msi;

	REQUIRE(open_all());
	cfg_write(A, CMD, 2, 4);
	msi = cfg_cap(A, V3_PCI_CAP_MSI);
	cfg_write(A, msi + 4, 4, 0xfee00000);
	cfg_write(A, msi + 12, 2, 0x40);
	cfg_write(A, msi + 16, 4, 2);
	cfg_write(A, msi + 2, 2, 2 << 4 | 1);
	CHECK(v3_pci_notify(FUNC_A, 1));
	CHECK_EQ(pci_bench_vector(), -1);
	REQUIRE(move_all());
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(cfg_read(A, msi + 20, 4), 2);
	cfg_write(A, msi + 16, 4, 0);
	CHECK_EQ(pci_bench_vector(), 0x41);
	CHECK_EQ(cfg_read(A, msi + 20, 4), 0);
	CHECK(v3_pci_notify(FUNC_A, 3));
	CHECK_EQ(pci_bench_vector(), 0x43);
}

static void test_save_pci_msix(void)
{
	unsigned msix;

	REQUIRE(open_all());
	place(A, 0, 0, 6);
	msix = cfg_cap(A, V3_PCI_CAP_MSIX);
	cfg_write(A, msix + 2, 2, 0x8000);
	fake_mmio_write(bench.vm, MSIX_AT + 16 * 35, 8, 0xfee00000);
	fake_mmio_write(bench.vm, MSIX_AT + 16 * 35 + 8, 4, 0x77);
	CHECK(v3_pci_notify(FUNC_A, 35));
	CHECK_EQ(pci_bench_vector(), -1);
	REQUIRE(move_all());
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(fake_mmio_read(bench.vm, MSIX_AT + 0x800 + 4, 4), 8);
	CHECK_EQ(fake_mmio_read(bench.vm, MSIX_AT + 16 * 35 + 12, 4), 1);
	fake_mmio_write(bench.vm, MSIX_AT + 16 * 35 + 12, 4, 0);
	CHECK_EQ(pci_bench_vector(), 0x77);
	CHECK_EQ(fake_mmio_read(bench.vm, MSIX_AT + 0x800 + 4, 4), 0);
}

/* ---- shadow RAM ---- */

static bool open_firmware(void)
{
	memset(&bench, 0, sizeof(bench));
	bench.cls = &v3_device_pci_host;
	bench.vm = fake_vm_bare(1, 16);
	if (!CHECK(bench.vm != NULL) ||
	    !CHECK_EQ(v3_mem_add_rom(bench.vm, 0x100000000ull - ROM_LEN, ROM_LEN), V3_OK) ||
	    !CHECK_EQ(fake_device_create(bench.vm, bench.cls, "", &bench.dev), V3_OK))
		return false;
	save_rig_has(0, bench.cls, bench.dev);
	return CHECK_EQ(v3_mem_set(bench.vm, 0x100000000ull - ROM_LEN, 0x0f, ROM_LEN), V3_OK);
}

static void test_save_pci_shadow(void)
{
	REQUIRE(open_firmware());
	cfg_write(0, 0x59, 1, 0x30);
	fake_mmio_write(bench.vm, 0xf0000, 4, 0x11111111);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 0x11111111);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0000, 4), 0x0f0f0f0f);
	REQUIRE(save_rig_move(open_firmware));
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 0x11111111);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0000, 4), 0x0f0f0f0f);
	cfg_write(0, 0x59, 1, 0x10);
	fake_mmio_write(bench.vm, 0xf0000, 4, 0);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 0x11111111);
}

/* ---- images ---- */

/* Identity, capabilities and what a BAR can be are the definition's, whatever an image says. */
static void test_save_pci_keeps_constants(void)
{
	uint8_t before[256], *saved;

	REQUIRE(open_all());
	memcpy(before, v3_pci_config(FUNC_A), sizeof(before));
	REQUIRE(save_rig_save());
	saved = save_rig_field("probe#3.func.saved");
	REQUIRE(saved);
	memset(saved, 0xff, sizeof(before));
	saved[cfg_cap(A, V3_PCI_CAP_PM) + 4] = 1; /* there is no D1 */
	REQUIRE_EQ(save_rig_load(), V3_OK);
	CHECK_EQ(cfg_read(A, 0x00, 4), 0x10421af4);
	CHECK_EQ(cfg_read(A, 0x10, 4), 0xfffffff1);
	CHECK_EQ(cfg_read(A, 0x14, 4), 0xfffff004);
	CHECK_EQ(cfg_read(A, 0x34, 1), before[0x34]);
	CHECK_EQ(cfg_read(A, CMD, 2), 0x0547);
	CHECK_EQ(cfg_read(A, cfg_cap(A, V3_PCI_CAP_PM) + 4, 2) & 3, 0);
}

static void test_save_pci_refuses(void)
{
	static const struct {
		const char *path;
		int at;
		const char *why;
	} cases[] = {
		{"pci_host#0.addr", 0, "pci_host#0: the device cannot"},
		{"probe#3.func.msix.table", 13, "probe#3.func.msix: the device cannot"},
		{"probe#4.func.intx", 0, "probe#4.func.intx: it is neither"},
	};
	uint8_t *at;

	REQUIRE(open_all());
	v3_pci_set_intx(FUNC_A, true);
	REQUIRE(save_rig_save());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		at = save_rig_field(cases[i].path);
		REQUIRE(at);
		at[cases[i].at] ^= 3;
		CHECK_EQ(save_rig_load(), V3_EINVAL);
		at[cases[i].at] ^= 3;
		CHECK_MSG(!strncmp(rig_saved.why, cases[i].why, strlen(cases[i].why)), "\"%s\"",
			  rig_saved.why);
	}
	CHECK(!bench.level[LINE]); /* reset */
	v3_pci_set_intx(FUNC_A, true);
	CHECK(bench.level[LINE]);
	v3_pci_set_intx(FUNC_A, false);
	CHECK(!bench.level[LINE]);
}

static const struct tap_test tests[] = {
	TAP(test_save_pci_bars),	TAP(test_save_pci_bars_at_one_place),
	TAP(test_save_pci_power_state), TAP(test_save_pci_behind_bridge),
	TAP(test_save_pci_intx),	TAP(test_save_pci_route),
	TAP(test_save_pci_msi),		TAP(test_save_pci_msix),
	TAP(test_save_pci_shadow),	TAP(test_save_pci_keeps_constants),
	TAP(test_save_pci_refuses),
};
TAP_MAIN(tests)
