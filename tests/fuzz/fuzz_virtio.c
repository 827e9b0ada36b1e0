/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_virtio.c
 * A virtio device and its driver for libFuzzer: the input is a program of what a hostile driver does. Compiled once
 * per device, with FUZZ_DEVICE its class and FUZZ_KEYS the keys of its definition. The VM is made once; each input
 * begins with a reset. Sanitizers and the fake host judge; a check of the rig that fails aborts, too.
 */
#include "fuzz.h"
#include "palacios/net.h"
#include "virtio_rig.h"

#define FUZZ_SLOTS 64 /* bytes between buffers that descriptors point to */

static void *device;
static struct v3_net_port *peer;

static void ready(void *arg)
{
	(void)arg;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_host_test_begin();
	if (!rig_open(&FUZZ_DEVICE, FUZZ_KEYS, 0, &device))
		abort();
	if (v3_net_open(bench.vm, "lan", ready, NULL, &peer))
		abort();
	v3_net_set_takes(peer, ~0u);
	return 0;
}

/* As after a reset of the VM, with the features the input says. */
static void start(void)
{
	uint64_t features;

	bench_reset();
	FUZZ_DEVICE.reset(device);
	rig_pci(true);
	features = take(4);
	/* A bit that no device has chooses the layout of the rings. */
	if (features & 1u << 31)
		features |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1) | (rig_offered() & features));
}

static uint64_t address(void)
{
	uint32_t kind = (uint32_t)take(1);

	switch (kind & 7) {
	case 0:
		return RIG_DESC(kind >> 3 & 3) + take(2);
	case 1:
		return 0xfff000 + take(2); /* across the end of RAM */
	case 2:
		return take(8);
	default:
		return RIG_DATA + FUZZ_SLOTS * (kind >> 3);
	}
}

static void op_descriptor(unsigned q)
{
	unsigned i = take(1) % RIG_QSIZE;
	uint64_t gpa = address();
	uint32_t len = (uint32_t)take(2);
	uint16_t flags = (uint16_t)(take(1) & 7);

	rig_desc(q, i, gpa, len, flags, (uint16_t)(take(1) & 31));
}

static void op_indirect(unsigned q)
{
	unsigned n = take(1) & 7;

	for (unsigned i = 0; i < n; i++) {
		uint64_t gpa = address();
		uint32_t len = (uint32_t)take(2);

		rig_desc_at(RIG_DATA + 0x8000 + 16 * i, gpa, len, (uint16_t)(take(1) & 7),
			    (uint16_t)(i + 1));
	}
	rig_desc(q, 0, RIG_DATA + 0x8000, 16 * n, RIG_INDIRECT, 0);
}

/* Something from the outside: input, a frame, time. */
static void op_world(void)
{
	static const struct v3_net_offload plain;
	static uint8_t frame[5000] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
	struct v3_net_piece piece = {frame, 14 + take(2) % 4900};
	struct v3_net_offload offload;
	uint32_t len;

	fake_console_feed("console", "input");
	v3_net_send(peer, &plain, &piece, 1);
	while (v3_net_peek(peer, &offload, &len))
		v3_net_drop(peer);
	bench_run(2 * BENCH_MS);
}

static void step(void)
{
	static const uint8_t sizes[] = {1, 2, 4, 8};
	uint32_t op = take(1), q = op >> 4 & 3;
	uint32_t off, size;

	switch (op & 15) {
	case 0:
		off = take(1) & 0xfc;
		cfg_write(RIG_SLOT, off, 4, take(4));
		break;
	case 1:
		off = take(2) & 0x3fff;
		rig_write(off, sizes[q], take(4));
		break;
	case 2:
		off = take(2) & 0x3fff;
		size = sizes[q];
		fake_mmio_read(bench.vm, RIG_BAR + off, size);
		break;
	case 3: /* the available index; the driver's event suppression */
		rig_poke(RIG_AVAIL(q) + 2, take(2), 2);
		break;
	case 4:
		off = take(2) & 0x3fff;
		rig_poke(RIG_DATA + off, take(4), 4);
		break;
	case 5:
		op_indirect(q);
		break;
	case 6:
		op_world();
		break;
	case 7:
		start();
		break;
	case 8:
	case 9:
		rig_offer(q, (uint16_t)(take(1) & 31));
		rig_kick(q);
		break;
	case 10:
		fake_service(bench.vm);
		break;
	default:
		op_descriptor(q);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned steps;

	fuzz_begin(data, size);
	fake_log_clear();
	fake_console_limit("console", 1000000);
	v3_mem_set(bench.vm, RIG_DATA, 0, 0x10000);
	start();
	for (steps = 0; fuzz_in.left && steps < 200; steps++)
		step();
	fake_service(bench.vm);
	if (tap.failures)
		abort();
	return 0;
}
