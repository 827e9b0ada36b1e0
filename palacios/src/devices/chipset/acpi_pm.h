/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file acpi_pm.h
 * The ACPI fixed hardware (acpi_pm.c) as the PCI function in front of it sees it (pci/piix4_pm.c).
 */
#ifndef V3_DEVICES_CHIPSET_ACPI_PM_H
#define V3_DEVICES_CHIPSET_ACPI_PM_H

#include "palacios/types.h"

struct acpi_pm;
struct v3_io;
struct v3_vcpu;

/** Port handler (v3_io_fn) of the whole block, V3_PC_PM_LEN ports at a multiple of that; @p priv: the device. */
int v3_acpi_pm_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv);
/** The SMBus host controller's interrupt, a level, which shares the SCI. Its lock may be held. */
void v3_acpi_pm_smbus(struct acpi_pm *pm, bool level);

#endif
