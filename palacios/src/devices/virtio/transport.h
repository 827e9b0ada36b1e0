/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file transport.h
 * What the files of virtio over PCI share: pci.c has the device's life, its queues' runs and its interrupts, modern.c
 * and legacy.c the two sets of registers.
 */
#ifndef V3_DEVICES_VIRTIO_TRANSPORT_H
#define V3_DEVICES_VIRTIO_TRANSPORT_H

#include "devices/virtio/virtio.h"

/* BARs. A transitional device has the legacy registers in BAR 0 (4.1.4.10), so the modern ones are elsewhere. */
#define V3_VIRTIO_BAR_MODERN	   0
#define V3_VIRTIO_BAR_MSIX	   1
#define V3_VIRTIO_BAR_TRANSITIONAL 2
#define V3_VIRTIO_BAR_LEGACY	   0

#define V3_VIRTIO_ISR_QUEUE  1
#define V3_VIRTIO_ISR_CONFIG 2

/** Add BAR and capabilities of the modern registers to the function. @return V3_OK or what v3_pci_add_*() says */
int v3_virtio_modern_create(struct v3_virtio *dev);
/** For struct v3_pci_desc: the configuration access capability, 4.1.4.9. */
uint32_t v3_virtio_modern_cfg_read(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
				   uint32_t value);
void v3_virtio_modern_cfg_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
				uint32_t value);

/** Add the BAR of the legacy registers. @return as above */
int v3_virtio_legacy_create(struct v3_virtio *dev);
/** PCI device id of a transitional device of this type; 0: there is none (4.1.2.1). */
uint16_t v3_virtio_legacy_id(uint16_t type);

/* ---- pci.c; device lock held ---- */

/** The driver writes the status, by the modern or the legacy register. */
void v3_virtio_write_status(struct v3_virtio *dev, uint8_t value, bool legacy);
/** Why the interrupt came; ends it (4.1.4.5). */
uint8_t v3_virtio_take_isr(struct v3_virtio *dev);
/** Read @p size bytes of the device's configuration into @p value, or have its owner told of a write. */
void v3_virtio_config_access(struct v3_virtio *dev, struct v3_pci_access *a, unsigned off);
/** The selected queue; NULL: it does not exist. */
struct v3_vq *v3_virtio_selected(struct v3_virtio *dev);
/** A vector that does not exist cannot be mapped: reads back as none (4.1.5.1.2). */
uint16_t v3_virtio_vector(const struct v3_virtio *dev, uint32_t value);

#endif
