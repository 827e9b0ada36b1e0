/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file devices.h
 * Every device class of the PC platform, one per file below this folder; list.c gathers them.
 */
#ifndef V3_DEVICES_DEVICES_H
#define V3_DEVICES_DEVICES_H

#include "palacios/device.h"

extern const struct v3_device_class v3_device_acpi_pm;
extern const struct v3_device_class v3_device_debugcon;
extern const struct v3_device_class v3_device_debugexit;
extern const struct v3_device_class v3_device_flash;
extern const struct v3_device_class v3_device_fw_cfg;
extern const struct v3_device_class v3_device_hpet;
extern const struct v3_device_class v3_device_i8042;
extern const struct v3_device_class v3_device_i8254;
extern const struct v3_device_class v3_device_i8259;
extern const struct v3_device_class v3_device_ide;
extern const struct v3_device_class v3_device_ioapic;
extern const struct v3_device_class v3_device_lapic;
extern const struct v3_device_class v3_device_pci_bridge;
extern const struct v3_device_class v3_device_pci_host;
extern const struct v3_device_class v3_device_piix3;
extern const struct v3_device_class v3_device_piix4_pm;
extern const struct v3_device_class v3_device_reset;
extern const struct v3_device_class v3_device_rtc;
extern const struct v3_device_class v3_device_uart;
extern const struct v3_device_class v3_device_uplink;
extern const struct v3_device_class v3_device_vga;
extern const struct v3_device_class v3_device_virtio_blk;
extern const struct v3_device_class v3_device_virtio_console;
extern const struct v3_device_class v3_device_virtio_net;
extern const struct v3_device_class v3_device_virtio_rng;

#endif
