/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio_blk_rig.h
 * Requests of a virtio disk, and where a driver has them in guest RAM. Around virtio_rig.h.
 */
#ifndef TESTS_VIRTIO_BLK_RIG_H
#define TESTS_VIRTIO_BLK_RIG_H

#include "virtio_rig.h"

#define T_IN	  0
#define T_OUT	  1
#define T_FLUSH	  4
#define T_DISCARD 11

#define NREQS	  4 /* chains of four descriptors each */
#define HEADER(i) (RIG_DATA + (i)*0x1000u)
#define STATUS(i) (HEADER(i) + 0x800u)
#define DATA(i)	  (RIG_DATA + 0x10000u + (i)*0x4000u)

#endif
