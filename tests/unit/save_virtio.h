/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file save_virtio.h
 * A virtio device of virtio_rig.h that moves to another VM, with the driver's side of its queues. Around save_rig.h.
 */
#ifndef TESTS_SAVE_VIRTIO_H
#define TESTS_SAVE_VIRTIO_H

#include "fake_priv.h"
#include "save_rig.h"
#include "virtio_rig.h"

static struct {
	const struct v3_device_class *cls;
	const char *keys;
	uint64_t features;
} save_virtio; /* what is opened */

/* With streams of the host that are new, too. */
static inline bool save_virtio_reopen(void)
{
	void *dev;

	fake_console_reset();
	fake_console_add("debug");
	if (!rig_open(save_virtio.cls, save_virtio.keys, save_virtio.features, &dev))
		return false;
	save_rig_has(1, save_virtio.cls, dev);
	return true;
}

/* As rig_open(). @return false: reported */
static inline bool save_virtio_open(const struct v3_device_class *cls, const char *keys,
				    uint64_t features)
{
	save_virtio.cls = cls;
	save_virtio.keys = keys;
	save_virtio.features = features;
	return save_virtio_reopen();
}

/* The driver does not notice. @return false: reported */
static inline bool save_virtio_move(void)
{
	uint8_t driver[sizeof(rig_q)];
	bool moved;

	memcpy(driver, rig_q, sizeof(rig_q));
	moved = save_rig_move(save_virtio_reopen);
	memcpy(rig_q, driver, sizeof(rig_q));
	return moved;
}

#endif
