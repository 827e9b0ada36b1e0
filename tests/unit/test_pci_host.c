/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_pci_host.c
 * Configuration mechanism 1, the rules of the standard header, functions of other devices and INTx lines.
 */
#include "device_bench.h"
#include "palacios/pci.h"

#define ADDR 0xcf8
#define DATA 0xcfc

static void out32(uint16_t port, uint32_t value)
{
	CHECK_EQ(fake_out(bench.vm, port, 4, value), V3_OK);
}

static uint32_t in32(uint16_t port)
{
	return fake_in(bench.vm, port, 4);
}

static void choose(unsigned slot, unsigned fn, unsigned off)
{
	out32(ADDR, 0x80000000u | slot << 11 | fn << 8 | (off & 0xfc));
}

static uint32_t cfg_read(unsigned slot, unsigned fn, unsigned off, unsigned size)
{
	choose(slot, fn, off);
	return fake_in(bench.vm, (uint16_t)(DATA + (off & 3)), size);
}

static void cfg_write(unsigned slot, unsigned fn, unsigned off, unsigned size, uint32_t value)
{
	choose(slot, fn, off);
	CHECK_EQ(fake_out(bench.vm, (uint16_t)(DATA + (off & 3)), size, value), V3_OK);
}

/* As another device would, with the bridge among the VM's devices as the builder puts it. */
static int add(unsigned slot, unsigned fn, const struct v3_pci_desc *desc,
	       struct v3_pci_func **func)
{
	struct v3_vm *vm = bench.vm;
	int err;

	vm->device[vm->ndevices].cls = &v3_device_pci_host;
	vm->device[vm->ndevices++].state = bench.dev;
	err = v3_pci_add(vm, slot, fn, desc, func);
	vm->ndevices--;
	return err;
}

static const struct v3_pci_desc plain = {
	.vendor = 0x1af4,
	.device = 0x1000,
	.subsys_vendor = 0x1234,
	.subsys = 0x5678,
	.class_code = 0x020000,
	.revision = 7,
	.intx_pin = 1,
};

static void test_pci_host_address_register(void)
{
	REQUIRE(bench_open(&v3_device_pci_host, ""));
	CHECK_EQ(in32(ADDR), 0);
	out32(ADDR, 0xffffffff);
	CHECK_EQ(in32(ADDR), 0x80fffffc); /* reserved bits read 0 */
	out32(ADDR, 0x80000000);
	CHECK_EQ(in32(ADDR), 0x80000000); /* how Linux finds mechanism 1 */
}

static void test_pci_host_address_needs_32_bits(void)
{
	REQUIRE(bench_open(&v3_device_pci_host, ""));
	out32(ADDR, 0x80001200);
	out8(ADDR, 0xff);
	CHECK_EQ(fake_out(bench.vm, ADDR, 2, 0xffff), V3_OK);
	CHECK_EQ(in32(ADDR), 0x80001200);
	CHECK_EQ(in8(ADDR), 0xff);
	CHECK_EQ(fake_in(bench.vm, ADDR, 2), 0xffff);
}

/* The reset port inside the address register is another device's. */
static void test_pci_host_shares_with_the_reset_port(void)
{
	void *reset;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(fake_device_create(bench.vm, &v3_device_reset, "", &reset), V3_OK);
	out8(0xcf9, 0x02);
	CHECK_EQ(in8(0xcf9), 0x02);
	CHECK_EQ(in32(ADDR), 0);
	out32(ADDR, 0x80000600);
	CHECK_EQ(in8(0xcf9), 0x02);
	CHECK_EQ(bench.vm->reset_why, NULL);
}

static void test_pci_host_bridge_identity(void)
{
	REQUIRE(bench_open(&v3_device_pci_host, ""));
	CHECK_EQ(cfg_read(0, 0, 0x00, 4), 0x12378086);
	CHECK_EQ(cfg_read(0, 0, 0x00, 2), 0x8086);
	CHECK_EQ(cfg_read(0, 0, 0x02, 2), 0x1237);
	CHECK_EQ(cfg_read(0, 0, 0x08, 4), 0x06000002);
	CHECK_EQ(cfg_read(0, 0, 0x0a, 2), 0x0600);
	CHECK_EQ(cfg_read(0, 0, 0x0b, 1), 0x06);
	CHECK_EQ(cfg_read(0, 0, 0x0e, 1), 0x00);
	CHECK_EQ(cfg_read(0, 0, 0x04, 2), 0x0006);
}

static void test_pci_host_absent_functions_read_ones(void)
{
	REQUIRE(bench_open(&v3_device_pci_host, ""));
	for (unsigned devfn = 1; devfn < 256; devfn++) {
		CHECK_EQ(cfg_read(devfn / 8, devfn % 8, 0, 4), 0xffffffff);
		cfg_write(devfn / 8, devfn % 8, 4, 4, 0xffffffff);
	}
	CHECK_EQ(cfg_read(5, 0, 2, 2), 0xffff);
	out32(ADDR, 0x80010000); /* bus 1 */
	CHECK_EQ(in32(DATA), 0xffffffff);
	out32(ADDR, 0x00000000); /* not enabled */
	CHECK_EQ(in32(DATA), 0xffffffff);
	CHECK_EQ(in8(DATA), 0xff);
}

static void test_pci_host_header_rules(void)
{
	static const struct {
		uint8_t off, size;
		uint32_t written, read;
	} cases[] = {
		{0x00, 4, 0xffffffff, 0x10001af4}, {0x04, 2, 0xffff, 0x0547},
		{0x04, 2, 0x0000, 0x0000},	   {0x08, 4, 0xffffffff, 0x02000007},
		{0x0c, 4, 0xffffffff, 0x0000ffff}, {0x10, 4, 0xffffffff, 0},
		{0x14, 4, 0xffffffff, 0},	   {0x24, 4, 0xffffffff, 0},
		{0x28, 4, 0xffffffff, 0},	   {0x2c, 4, 0xffffffff, 0x56781234},
		{0x30, 4, 0xffffffff, 0},	   {0x34, 4, 0xffffffff, 0},
		{0x3c, 4, 0xffffffff, 0x000001ff}, {0x40, 4, 0x12345678, 0x12345678},
		{0xfc, 4, 0x9abcdef0, 0x9abcdef0}, {0x41, 1, 0x55, 0x55},
		{0x42, 2, 0xaa99, 0xaa99},	   {0x3c, 1, 0x0b, 0x0b},
	};
	struct v3_pci_func *func;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(3, 0, &plain, &func), V3_OK);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		uint32_t value;

		cfg_write(3, 0, cases[i].off, cases[i].size, cases[i].written);
		value = cfg_read(3, 0, cases[i].off, cases[i].size);
		CHECK_MSG(value == cases[i].read, "case %u: offset %#x reads %#x, expected %#x", i,
			  cases[i].off, value, cases[i].read);
	}
	CHECK_EQ(cfg_read(3, 0, 0x40, 4), 0xaa995578);
	v3_pci_remove(func);
}

static void test_pci_host_status_is_write_one_to_clear(void)
{
	struct v3_pci_func *func;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(3, 0, &plain, &func), V3_OK);
	v3_pci_config(func)[0x06] = 0x10; /* capability list: read-only */
	v3_pci_config(func)[0x07] = 0xfb;
	CHECK_EQ(cfg_read(3, 0, 0x06, 2), 0xfb10);
	cfg_write(3, 0, 0x06, 2, 0x8000);
	CHECK_EQ(cfg_read(3, 0, 0x06, 2), 0x7b10);
	cfg_write(3, 0, 0x06, 2, 0xffff);
	CHECK_EQ(cfg_read(3, 0, 0x06, 2), 0x0210); /* DEVSEL timing is read-only */
	v3_pci_remove(func);
}

static void test_pci_host_access_past_the_data_register(void)
{
	REQUIRE(bench_open(&v3_device_pci_host, ""));
	choose(0, 0, 0x00);
	CHECK_EQ(fake_in(bench.vm, DATA + 2, 4), 0xffff1237);
	choose(0, 0, 0x40);
	CHECK_EQ(fake_out(bench.vm, DATA + 3, 4, 0x11223344), V3_OK);
	CHECK_EQ(cfg_read(0, 0, 0x40, 4), 0x44000000);
	CHECK_EQ(cfg_read(0, 0, 0x44, 4), 0);
}

static void test_pci_host_add_refuses(void)
{
	struct v3_pci_func *func, *other;
	struct v3_pci_desc bad = plain;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	CHECK_EQ(v3_pci_add(bench.vm, 3, 0, &plain, &func),
		 V3_ENODEV); /* no bridge in the VM's list */
	CHECK_EQ(add(32, 0, &plain, &func), V3_EINVAL);
	CHECK_EQ(add(0, 8, &plain, &func), V3_EINVAL);
	bad.intx_pin = 5;
	CHECK_EQ(add(3, 0, &bad, &func), V3_EINVAL);
	CHECK_EQ(add(0, 0, &plain, &func), V3_EEXIST);
	CHECK_EQ(add(31, 7, &plain, &func), V3_OK);
	CHECK_EQ(add(31, 7, &plain, &other), V3_EEXIST);
	CHECK_EQ(cfg_read(31, 7, 0, 4), 0x10001af4);
	v3_pci_remove(func);
	CHECK_EQ(cfg_read(31, 7, 0, 4), 0xffffffff);
	fake_host_fail_at(1);
	CHECK_EQ(add(31, 7, &plain, &func), V3_ENOMEM);
	CHECK_EQ(cfg_read(31, 7, 0, 4), 0xffffffff);
	v3_pci_remove(NULL);
}

static void test_pci_host_multifunction_bit(void)
{
	struct v3_pci_func *f0, *f3;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(4, 3, &plain, &f3), V3_OK);
	REQUIRE_EQ(add(4, 0, &plain, &f0), V3_OK);
	CHECK_EQ(cfg_read(4, 0, 0x0e, 1), 0x80);
	CHECK_EQ(cfg_read(4, 3, 0x0e, 1), 0x00);
	v3_pci_remove(f3);
	CHECK_EQ(cfg_read(4, 0, 0x0e, 1), 0x00);
	v3_pci_remove(f0);
}

static uint32_t seen[3];

static uint32_t own_read(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			 uint32_t value)
{
	CHECK(vcpu == bench.vm->vcpu[0]);
	(void)priv;
	CHECK_EQ(value, off == 0x40 ? 0x12345678 : 0);
	return 0xcafe0000u | off << 8 | size;
}

static void own_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size, uint32_t value)
{
	CHECK(vcpu == bench.vm->vcpu[0]);
	(void)priv;
	seen[0] = off;
	seen[1] = size;
	seen[2] = value;
}

static void test_pci_host_device_specific_callbacks(void)
{
	struct v3_pci_desc desc = plain;
	struct v3_pci_func *func;

	desc.cfg_read = own_read;
	desc.cfg_write = own_write;
	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(3, 0, &desc, &func), V3_OK);
	cfg_write(3, 0, 0x40, 4, 0x12345678);
	CHECK_EQ(seen[0], 0x40);
	CHECK_EQ(seen[2], 0x12345678);
	CHECK_EQ(cfg_read(3, 0, 0x40, 4), 0xcafe4004);
	CHECK_EQ(cfg_read(3, 0, 0xfe, 2), 0xfe02);
	cfg_write(3, 0, 0x52, 2, 0xbeef);
	CHECK_EQ(seen[0], 0x52);
	CHECK_EQ(seen[1], 2);
	CHECK_EQ(seen[2], 0xbeef);
	CHECK_EQ(cfg_read(3, 0, 0x3c, 2), 0x0100); /* the header stays the bus's */
	v3_pci_remove(func);
}

static void test_pci_host_intx_routing(void)
{
	for (unsigned slot = 1; slot < 8; slot++) {
		for (uint8_t pin = 1; pin <= 4; pin++) {
			struct v3_pci_desc desc = plain;
			struct v3_pci_func *func;

			desc.intx_pin = pin;
			REQUIRE(bench_open(&v3_device_pci_host, ""));
			REQUIRE_EQ(add(slot, 0, &desc, &func), V3_OK);
			v3_pci_set_intx(func, true);
			for (unsigned gsi = 0; gsi < V3_NR_GSI; gsi++) {
				bool on = gsi == V3_PC_INTX_GSI(slot, pin) ||
					  gsi == (unsigned)V3_PC_INTX_ISA(slot, pin);

				CHECK_MSG(bench.level[gsi] == on,
					  "slot %u pin %u: line %u is not %d", slot, pin, gsi, on);
			}
			v3_pci_set_intx(func, false);
			for (unsigned gsi = 0; gsi < V3_NR_GSI; gsi++)
				CHECK(!bench.level[gsi]);
			v3_pci_remove(func);
			fake_vm_destroy(bench.vm);
		}
	}
}

static void test_pci_host_intx_is_wired_or(void)
{
	struct v3_pci_func *a, *b, *c;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(1, 0, &plain, &a), V3_OK);
	REQUIRE_EQ(add(5, 0, &plain, &b), V3_OK); /* the same line */
	REQUIRE_EQ(add(3, 0, &plain, &c), V3_OK); /* another one, on the same ISA interrupt */
	v3_pci_set_intx(a, true);
	v3_pci_set_intx(a, true);
	v3_pci_set_intx(b, true);
	v3_pci_set_intx(c, true);
	CHECK_EQ(bench.rises[17], 1);
	v3_pci_set_intx(a, false);
	CHECK(bench.level[17]);
	v3_pci_set_intx(b, false);
	CHECK(!bench.level[17]);
	CHECK(bench.level[19]);
	CHECK(bench.level[V3_PC_IRQ_PCI_B]);
	v3_pci_remove(c); /* takes its interrupt with it */
	CHECK(!bench.level[19]);
	CHECK(!bench.level[V3_PC_IRQ_PCI_B]);
	v3_pci_remove(b);
	v3_pci_remove(a);
}

static void test_pci_host_intx_disable_bit(void)
{
	struct v3_pci_func *func;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(1, 0, &plain, &func), V3_OK);
	cfg_write(1, 0, 0x04, 2, 0x0400);
	v3_pci_set_intx(func, true);
	CHECK(!bench.level[17]);
	CHECK_EQ(cfg_read(1, 0, 0x06, 2) & 8, 8); /* the status shows it all the same */
	cfg_write(1, 0, 0x04, 2, 0x0000);
	CHECK(bench.level[17]);
	cfg_write(1, 0, 0x05, 1, 0x04);
	CHECK(!bench.level[17]);
	v3_pci_set_intx(func, false);
	CHECK_EQ(cfg_read(1, 0, 0x06, 2) & 8, 0);
	v3_pci_remove(func);
}

static void test_pci_host_no_pin_no_interrupt(void)
{
	struct v3_pci_desc desc = plain;
	struct v3_pci_func *func;

	desc.intx_pin = 0;
	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(1, 0, &desc, &func), V3_OK);
	v3_pci_set_intx(func, true);
	for (unsigned gsi = 0; gsi < V3_NR_GSI; gsi++)
		CHECK(!bench.level[gsi]);
	CHECK_EQ(cfg_read(1, 0, 0x06, 2) & 8, 0);
	v3_pci_remove(func);
}

static void test_pci_host_reset(void)
{
	struct v3_pci_func *func;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(1, 0, &plain, &func), V3_OK);
	cfg_write(1, 0, 0x04, 2, 0x0003);
	cfg_write(1, 0, 0x0c, 2, 0x4010);
	cfg_write(1, 0, 0x3c, 1, 11);
	cfg_write(0, 0, 0x59, 1, 0x33);
	cfg_write(0, 0, 0x04, 2, 0x0000);
	v3_pci_set_intx(func, true);
	bench_reset();
	CHECK(!bench.level[17]);
	CHECK_EQ(in32(ADDR), 0);
	CHECK_EQ(cfg_read(1, 0, 0x04, 4), 0);
	CHECK_EQ(cfg_read(1, 0, 0x0c, 2), 0);
	CHECK_EQ(cfg_read(1, 0, 0x3c, 2), 0x0100);
	CHECK_EQ(cfg_read(0, 0, 0x59, 1), 0);
	CHECK_EQ(cfg_read(0, 0, 0x04, 2), 0x0006);
	CHECK_EQ(cfg_read(0, 0, 0x00, 4), 0x12378086);
	v3_pci_remove(func);
}

static void test_pci_host_ports(void)
{
	bench_ports_released(&v3_device_pci_host, "", DATA + 3);
}

static void test_pci_host_oom(void)
{
	bench_oom(&v3_device_pci_host, "", 2);
}

static void test_pci_host_hostile(void)
{
	struct v3_pci_func *func;

	REQUIRE(bench_open(&v3_device_pci_host, ""));
	REQUIRE_EQ(add(0, 5, &plain, &func), V3_OK);
	for (unsigned i = 0; i < 20000; i++) {
		out32(ADDR, (uint32_t)(0x80000000u | (tap_rand() % 6) << 8 | (tap_rand() & 0xfc)));
		bench_hostile(DATA, 4, 5);
		if (!(i & 15))
			bench_hostile(ADDR, 1, 3);
		v3_pci_set_intx(func, tap_rand() & 1);
	}
	CHECK_EQ(cfg_read(0, 0, 0x00, 4), 0x12378086);
	CHECK_EQ(cfg_read(0, 5, 0x00, 4), 0x10001af4);
	CHECK_EQ(cfg_read(0, 5, 0x04, 2) & ~0x0547u, 0);
	v3_pci_remove(func);
	for (unsigned gsi = 0; gsi < V3_NR_GSI; gsi++)
		CHECK(!bench.level[gsi]);
}

static const struct tap_test tests[] = {
	TAP(test_pci_host_address_register),
	TAP(test_pci_host_address_needs_32_bits),
	TAP(test_pci_host_shares_with_the_reset_port),
	TAP(test_pci_host_bridge_identity),
	TAP(test_pci_host_absent_functions_read_ones),
	TAP(test_pci_host_header_rules),
	TAP(test_pci_host_status_is_write_one_to_clear),
	TAP(test_pci_host_access_past_the_data_register),
	TAP(test_pci_host_add_refuses),
	TAP(test_pci_host_multifunction_bit),
	TAP(test_pci_host_device_specific_callbacks),
	TAP(test_pci_host_intx_routing),
	TAP(test_pci_host_intx_is_wired_or),
	TAP(test_pci_host_intx_disable_bit),
	TAP(test_pci_host_no_pin_no_interrupt),
	TAP(test_pci_host_reset),
	TAP(test_pci_host_ports),
	TAP(test_pci_host_oom),
	TAP(test_pci_host_hostile),
};
TAP_MAIN(tests)
