/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file platform.c
 * The devices of platform = "pc". The order is the order of creation: interrupt controllers before
 * what raises interrupts, the PCI host bridge before what sits on the bus.
 */
#include "config/vm_cfg.h"

const char *const v3_platform_pc[] = {
	"lapic", "ioapic",   "i8259", "i8254",	  "rtc",       "uart",	   "acpi_pm", "reset",
	"i8042", "pci_host", "piix3", "piix4_pm", "debugexit", "debugcon", "fw_cfg",  NULL,
};
