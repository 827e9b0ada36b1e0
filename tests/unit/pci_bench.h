/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pci_bench.h
 * Configuration space as a guest sees it, on a VM with a PCI host bridge in its list of devices. Around
 * device_bench.h: bench.vm is the VM, bench.dev the bridge.
 */
#ifndef TESTS_PCI_BENCH_H
#define TESTS_PCI_BENCH_H

#include "device_bench.h"
#include "palacios/pci.h"

#define PCI_ADDR 0xcf8
#define PCI_DATA 0xcfc

#define PCI_BENCH_MSIS 64

/* Messages that the bus sent, oldest first. */
static struct {
	unsigned n;
	struct v3_apic_msg msg[PCI_BENCH_MSIS];
} sent;

static inline void pci_bench_send(void *priv, const struct v3_apic_msg *msg)
{
	(void)priv;
	if (sent.n < PCI_BENCH_MSIS)
		sent.msg[sent.n] = *msg;
	sent.n++;
}

/* @return the only message sent since the last call: its vector; -1: none, -2: several */
static inline int pci_bench_vector(void)
{
	unsigned n = sent.n;

	sent.n = 0;
	return n == 1 ? sent.msg[0].vector : n ? -2 : -1;
}

static inline void choose(unsigned slot, unsigned fn, unsigned off)
{
	CHECK_EQ(fake_out(bench.vm, PCI_ADDR, 4, 0x80000000u | slot << 11 | fn << 8 | (off & 0xfc)),
		 V3_OK);
}

static inline uint32_t cfg_read(unsigned slot, unsigned off, unsigned size)
{
	choose(slot, 0, off);
	return fake_in(bench.vm, (uint16_t)(PCI_DATA + (off & 3)), size);
}

static inline void cfg_write(unsigned slot, unsigned off, unsigned size, uint32_t value)
{
	choose(slot, 0, off);
	CHECK_EQ(fake_out(bench.vm, (uint16_t)(PCI_DATA + (off & 3)), size, value), V3_OK);
}

/* Offset of a capability by its id, found through the list as a guest does; 0: none. */
static inline unsigned cfg_cap(unsigned slot, uint8_t id)
{
	unsigned off = cfg_read(slot, 0x06, 2) & 0x10 ? cfg_read(slot, 0x34, 1) : 0, left = 48;

	while (off && cfg_read(slot, off, 1) != id && --left)
		off = cfg_read(slot, off + 1, 1);
	CHECK(left > 0);
	return off;
}

/* A VM of one vcpu and 16 MiB with a bridge, and local APICs that only record. @return false: reported */
static inline bool pci_bench_open(void)
{
	static const struct v3_lapic_ops recorder = {.send = pci_bench_send};
	struct v3_vm *vm;

	sent.n = 0;
	if (!bench_open(&v3_device_pci_host, ""))
		return false;
	vm = bench.vm;
	vm->device[vm->ndevices].cls = &v3_device_pci_host;
	vm->device[vm->ndevices].state = bench.dev;
	return CHECK_EQ(v3_lapic_register(vm, &recorder, NULL), V3_OK);
}

/* v3_pci_add() with the bridge among the VM's devices, as the builder puts it. */
static inline int pci_bench_add(unsigned slot, const struct v3_pci_desc *desc,
				struct v3_pci_func **func)
{
	int err;

	bench.vm->ndevices++;
	err = v3_pci_add(bench.vm, slot, 0, desc, func);
	bench.vm->ndevices--;
	return err;
}

#endif
