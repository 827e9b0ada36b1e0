/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file nic.h
 * A virtio network card as the bench guest uses it: it sends, in bursts.
 */
#ifndef BENCH_NIC_H
#define BENCH_NIC_H

#include <stdbool.h>

#define BENCH_NIC_BURST 64 /* frames */

/** Find the card in PCI slot 3 and set it up. @return false: there is none */
bool bench_nic_open(void);
/**
 * Send a burst of 64-byte frames as a driver does that knows of more to come: the device is notified at its end, if
 * it wants to be. Waits until all are used.
 */
void bench_nic_send(void);
/** Notifications so far. */
unsigned bench_nic_notified(void);

#endif
