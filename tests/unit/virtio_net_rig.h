/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio_net_rig.h
 * The control queue of a virtio network card, as a driver uses it. Around virtio_rig.h.
 */
#ifndef TESTS_VIRTIO_NET_RIG_H
#define TESTS_VIRTIO_NET_RIG_H

#include "virtio_rig.h"

#define CTRL 2 /* with one pair of queues */
#define CTRL_BITS                                                                                  \
	(VIRTIO_BIT(17) | VIRTIO_BIT(18) | VIRTIO_BIT(19) | VIRTIO_BIT(20) | VIRTIO_BIT(23))
#define MQ  VIRTIO_BIT(22)
#define CMD (RIG_DATA + 0x40000)

/* @return the acknowledgement: 0 done, 1 refused; -1: the command was not taken */
static inline int net_control(unsigned q, uint8_t class, uint8_t command, const void *data,
			      uint32_t len)
{
	rig_poke(CMD, class | command << 8, 2);
	CHECK_EQ(v3_mem_write(bench.vm, CMD + 2, data, len), V3_OK);
	rig_poke(CMD + 0x1000, 0xee, 1);
	rig_desc(q, 0, CMD, 2, RIG_NEXT, 1);
	rig_desc(q, 1, CMD + 2, len, RIG_NEXT, 2);
	rig_desc(q, 2, CMD + 0x1000, 1, RIG_WRITE, 0);
	rig_offer(q, 0);
	rig_kick(q);
	if (rig_used(q, NULL) < 0)
		return -1;
	return (int)rig_peek(CMD + 0x1000, 1);
}

#endif
