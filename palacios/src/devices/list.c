/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file list.c
 * The classes of the PC platform as one array, for embedders that want them all.
 */
#include "devices/devices.h"

const struct v3_device_class *const v3_pc_devices[] = {
	&v3_device_lapic,      &v3_device_ioapic,
	&v3_device_i8259,      &v3_device_i8254,
	&v3_device_rtc,	       &v3_device_hpet,
	&v3_device_uart,       &v3_device_acpi_pm,
	&v3_device_reset,      &v3_device_i8042,
	&v3_device_pci_host,   &v3_device_piix3,
	&v3_device_piix4_pm,   &v3_device_fw_cfg,
	&v3_device_debugcon,   &v3_device_debugexit,
	&v3_device_pci_bridge, &v3_device_vga,
	&v3_device_flash,      &v3_device_ide,
	&v3_device_virtio_blk, &v3_device_virtio_net,
	&v3_device_uplink,     &v3_device_virtio_console,
	&v3_device_virtio_rng, NULL,
};
