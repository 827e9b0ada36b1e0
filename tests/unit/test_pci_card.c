/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_pci_card.c
 * Base address registers that show a card's memory: the guest uses it without exits, wherever it programs them.
 */
#include "pci_bench.h"

#include "mmu/nested/table.h"
#include "palacios/mem.h"

#include <pthread.h>

#define SLOT	3
#define CMD	0x04
#define BAR0	0x10
#define SIZE	(2 * V3_SIZE_2M)
#define HERE	0xd0000000u
#define THERE	0xe0400000u
#define NOTHING 0xffffffff

static const struct v3_pci_desc display = {
	.vendor = 0x1234, .device = 0x1111, .class_code = 0x030000};
static struct v3_card *card;
static struct v3_pci_func *func;

static bool card_open(void)
{
	return pci_bench_open() && CHECK_EQ(v3_card_create(bench.vm, SIZE, &card), V3_OK) &&
	       CHECK_EQ(pci_bench_add(SLOT, &display, &func), V3_OK);
}

static void card_close(void)
{
	v3_pci_remove(func);
	v3_card_destroy(card);
}

static bool mapped(v3_gpa_t gpa)
{
	unsigned level;

	return v3_nested_lookup(&bench.vm->mmu.nested, gpa, &level) != 0;
}

/* As the guest does; what is mapped is what it then writes without an exit. */
static void touch(v3_gpa_t gpa)
{
	CHECK_EQ(v3_mmu_map_fault(bench.vm, NULL, gpa, V3_ACC_WRITE), V3_OK);
	CHECK(mapped(gpa));
	fake_take_requests(bench.vm->vcpu[0]);
}

static bool flushed(void)
{
	return fake_take_requests(bench.vm->vcpu[0]) & V3_REQ_FLUSH;
}

static void test_pci_card_refuses(void)
{
	struct v3_card *odd;

	REQUIRE(card_open());
	CHECK_EQ(v3_card_create(bench.vm, 3 * V3_PAGE_SIZE, &odd), V3_OK);
	CHECK_EQ(v3_pci_add_card(func, 0, V3_PCI_BAR_IO, card), V3_EINVAL);
	CHECK_EQ(v3_pci_add_card(func, 0, 2, card), V3_EINVAL);
	CHECK_EQ(v3_pci_add_card(func, 6, V3_PCI_BAR_MEM32, card), V3_EINVAL);
	CHECK_EQ(v3_pci_add_card(func, 0, V3_PCI_BAR_MEM32, odd), V3_EINVAL);
	CHECK_EQ(v3_pci_add_card(func, 0, V3_PCI_BAR_MEM64, card), V3_OK);
	CHECK_EQ(v3_pci_add_card(func, 1, V3_PCI_BAR_MEM32, card), V3_EEXIST);
	v3_card_destroy(odd);
	card_close();
}

static void test_pci_card_moves(void)
{
	REQUIRE(card_open());
	REQUIRE_EQ(v3_pci_add_card(func, 0, V3_PCI_BAR_MEM32 | V3_PCI_BAR_PREFETCH, card), V3_OK);
	cfg_write(SLOT, BAR0, 4, ~0u);
	CHECK_EQ(cfg_read(SLOT, BAR0, 4), (uint32_t)-SIZE | 8);
	cfg_write(SLOT, BAR0, 4, HERE);
	CHECK_EQ(fake_mmio_read(bench.vm, HERE, 4), NOTHING);
	cfg_write(SLOT, CMD, 2, 2);
	fake_mmio_write(bench.vm, HERE + 0x10, 4, 0xabcd);
	CHECK_EQ(*v3_card_ptr(card, 0x10), 0xcd);
	touch(HERE);
	cfg_write(SLOT, BAR0, 4, THERE);
	CHECK(flushed());
	CHECK(!mapped(HERE));
	CHECK_EQ(fake_mmio_read(bench.vm, HERE + 0x10, 4), NOTHING);
	CHECK_EQ(fake_mmio_read(bench.vm, THERE + 0x10, 4), 0xabcd);
	touch(THERE);
	cfg_write(SLOT, CMD, 2, 0);
	CHECK(flushed());
	CHECK(!mapped(THERE));
	cfg_write(SLOT, CMD, 2, 2);
	CHECK(!flushed()); /* to show it needs none */
	touch(THERE);
	bench_reset();
	CHECK(flushed());
	CHECK_EQ(fake_mmio_read(bench.vm, THERE, 4), NOTHING);
	card_close();
}

/* Over RAM, over the local APIC's registers, over the firmware: not there, and nothing is changed. */
static void test_pci_card_over_others(void)
{
	REQUIRE(card_open());
	REQUIRE_EQ(v3_pci_add_card(func, 0, V3_PCI_BAR_MEM32, card), V3_OK);
	CHECK_EQ(v3_mem_add_rom(bench.vm, 0xffff0000, 0x10000), V3_OK);
	fake_mmio_write(bench.vm, 0x400000, 4, 0x1111);
	cfg_write(SLOT, CMD, 2, 2);
	cfg_write(SLOT, BAR0, 4, 0x400000);
	fake_mmio_write(bench.vm, 0x400004, 4, 0x2222);
	CHECK_EQ(fake_mmio_read(bench.vm, 0x400000, 4), 0x1111);
	CHECK_EQ(*v3_card_ptr(card, 4), 0);
	cfg_write(SLOT, BAR0, 4, 0xffc00000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xffff0000, 4), 0);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xffc00000, 4), NOTHING);
	cfg_write(SLOT, BAR0, 4, HERE);
	CHECK_EQ(fake_mmio_read(bench.vm, HERE + 4, 4), 0);
	card_close();
}

static volatile bool stop;

/* Another vcpu: whatever it reads is the card's, or nothing. */
static void *writer(void *arg)
{
	struct v3_vcpu *vcpu = arg;
	uint32_t value;

	while (!stop) {
		v3_gpa_t gpa = (tap_rand() & 1 ? HERE : THERE) + (tap_rand() & (SIZE - 4));

		(void)v3_mmu_map_fault(vcpu->vm, NULL, gpa, V3_ACC_WRITE);
		value = 0x5a5a5a5a;
		if (v3_mem_access(vcpu, gpa & ~3ull, &value, 4, true) != V3_OK)
			return arg;
		if (v3_mem_access(vcpu, gpa & ~3ull, &value, 4, false) != V3_OK ||
		    (value != 0x5a5a5a5a && value != NOTHING))
			return arg;
	}
	return NULL;
}

static void test_pci_card_moves_under_writes(void)
{
	pthread_t thread;
	void *result;

	memset(&bench, 0, sizeof(bench));
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 32), NULL, 0, &bench.vm), V3_OK);
	REQUIRE_EQ(v3_card_create(bench.vm, SIZE, &card), V3_OK);
	REQUIRE_EQ(v3_pci_add(bench.vm, SLOT, 0, &display, &func), V3_OK);
	REQUIRE_EQ(v3_pci_add_card(func, 0, V3_PCI_BAR_MEM32, card), V3_OK);
	v3_card_set(card, 0, SIZE,
		    0x5a); /* what a write that met nothing did not bring is there, too */
	cfg_write(SLOT, CMD, 2, 2);
	stop = false;
	REQUIRE_EQ(pthread_create(&thread, NULL, writer, bench.vm->vcpu[1]), 0);
	for (unsigned i = 0; i < 2000; i++) {
		cfg_write(SLOT, BAR0, 4, i & 1 ? HERE : THERE);
		CHECK(!mapped(i & 1 ? THERE : HERE));
		CHECK(!mapped((i & 1 ? THERE : HERE) + V3_SIZE_2M));
	}
	stop = true;
	REQUIRE_EQ(pthread_join(thread, &result), 0);
	CHECK(!result);
	card_close();
}

static const struct tap_test tests[] = {
	TAP(test_pci_card_refuses),
	TAP(test_pci_card_moves),
	TAP(test_pci_card_over_others),
	TAP(test_pci_card_moves_under_writes),
};
TAP_MAIN(tests)
