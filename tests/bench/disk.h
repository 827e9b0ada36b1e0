/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file disk.h
 * A virtio disk as the bench guest uses it: one request at a time, no interrupts.
 */
#ifndef BENCH_DISK_H
#define BENCH_DISK_H

#include <stdbool.h>

/** Find the disk in PCI slot 2 and set it up. @return false: there is none, or it does not work */
bool bench_disk_open(void);
/** Read 4 KiB and wait for the end. */
void bench_disk_read(void);
/** Did the last request succeed? */
bool bench_disk_good(void);

#endif
