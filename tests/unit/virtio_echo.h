/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio_echo.h
 * A virtio device that sends back what it gets, for the tests of rings and transport. Around virtio_rig.h.
 */
#ifndef TESTS_VIRTIO_ECHO_H
#define TESTS_VIRTIO_ECHO_H

#include "virtio_rig.h"

#define V1	 VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define EVENT	 VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define INDIRECT VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)
#define PACKED	 VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define FEATURE	 3 /* one of the device's own */

/* ---- the device: writes the complement of what it reads, as much as fits ---- */

static struct {
	struct v3_virtio *dev;
	unsigned runs, chains, states;
	bool live, stall; /* leave everything in the ring */
	uint32_t config_write[3];
	void (*inside)(void); /* called in process() */
} echo;

static void echo_chain(struct v3_vq *q)
{
	uint32_t n, i;
	uint8_t *p;

	while ((p = v3_vq_piece(q, false, 64, &n)) != NULL) {
		uint8_t buf[64];

		for (i = 0; i < n; i++)
			buf[i] = (uint8_t)~p[i];
		if (q->chain->in.left < n)
			n = (uint32_t)q->chain->in.left;
		if (!v3_vq_write(q, buf, n))
			break;
	}
	v3_vq_put(q, q->chain->head, v3_vq_written(q));
	echo.chains++;
}

static void echo_process(void *priv, struct v3_vq *q)
{
	CHECK(priv == &echo);
	echo.runs++;
	if (echo.inside)
		echo.inside();
	while (!echo.stall && v3_vq_pop(q))
		echo_chain(q);
}

static void echo_state(void *priv, bool live)
{
	CHECK(priv == &echo);
	echo.states++;
	echo.live = live;
}

static void echo_config(void *priv, unsigned off, unsigned size, uint32_t value)
{
	CHECK(priv == &echo);
	echo.config_write[0] = off;
	echo.config_write[1] = size;
	echo.config_write[2] = value;
}

#define ECHO_CLASS(type)                                                                           \
	{                                                                                          \
		.name = "echo", .id = (type), .pci_class = 0xff0000, .process = echo_process,      \
		.state = echo_state, .config_write = echo_config                                   \
	}
/* Of no known type; as a transitional device, of one that is old enough. */
static const struct v3_virtio_class echo_class = ECHO_CLASS(40), echo_old_class = ECHO_CLASS(5);

static int echo_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	const struct v3_virtio_params params = {
		.features = VIRTIO_BIT(FEATURE), .nqueues = 2, .config_len = 12, .cfg = cfg};
	const struct v3_virtio_class *cls =
		v3_cfg_bool(cfg, "transitional") ? &echo_old_class : &echo_class;
	int err;

	err = v3_virtio_create(vm, cls, &params, &echo, &echo.dev);
	*state = echo.dev;
	return err;
}

static void echo_reset(void *state)
{
	v3_virtio_reset(state);
}

static void echo_destroy(void *state)
{
	v3_virtio_destroy(state);
}

static const struct v3_cfg_key echo_keys[] = {VIRTIO_KEYS, {.name = NULL}};
static const struct v3_device_class echo_device = {.name = "echo",
						   .keys = echo_keys,
						   .create = echo_create,
						   .reset = echo_reset,
						   .destroy = echo_destroy};

static inline bool open_echo(uint64_t features)
{
	void *dev;

	memset(&echo, 0, sizeof(echo));
	if (!rig_open(&echo_device, "", features, &dev))
		return false;
	sent.n = 0;
	echo.runs = 0; /* when the driver got ready */
	return true;
}

/* One chain of three buffers: what is read comes back as far as there is room, and is told. */
static inline void echo_round_trip(void)
{
	uint32_t head = 99;

	rig_poke(RIG_DATA, 0x0123456789abcdef, 8);
	rig_desc(0, 7, RIG_DATA, 8, RIG_NEXT, 2);
	rig_desc(0, 2, RIG_DATA + 0x1000, 3, RIG_NEXT | RIG_WRITE, 9);
	rig_desc(0, 9, RIG_DATA + 0x2000, 100, RIG_WRITE, 0);
	rig_offer(0, 7);
	CHECK_EQ(rig_used(0, NULL), -1);
	rig_kick(0);
	CHECK_EQ(rig_used(0, &head), 8);
	CHECK_EQ(head, 7);
	CHECK_EQ(rig_peek(RIG_DATA + 0x1000, 4), 0x00543210);
	CHECK_EQ(rig_peek(RIG_DATA + 0x2000, 6), 0xfedcba9876);
	CHECK_EQ(pci_bench_vector(), 0x51);
}

#endif
