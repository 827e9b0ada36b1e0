/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file legacy.c
 * The legacy registers of a transitional device (virtio 1.2, 4.1.4.10), for drivers older than virtio 1.0: I/O ports,
 * queues given by one page number. Called by the PCI bus; calls pci.c and ring.c.
 *
 * The driver's endianness is little, as all of the guest is. A legacy driver does not wait for its reset: if a queue
 * runs on another vcpu just then, what the driver writes before it is done is lost.
 */
#include "devices/virtio/transport.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define LEGACY_BAR_LEN 128
#define LEGACY_PAGE_SHIFT                                                                          \
	12 /* unit of queue addresses and alignment of the used ring (2.7.2, 4.1.5.1.3) */
#define LEGACY_ALIGN (1ull << LEGACY_PAGE_SHIFT)

enum legacy_reg {
	LEGACY_DEVICE_FEATURES = 0x00,
	LEGACY_DRIVER_FEATURES = 0x04,
	LEGACY_QUEUE_PAGE = 0x08,
	LEGACY_QUEUE_SIZE = 0x0c,
	LEGACY_QUEUE_SELECT = 0x0e,
	LEGACY_QUEUE_NOTIFY = 0x10,
	LEGACY_STATUS = 0x12,
	LEGACY_ISR = 0x13,
	/* While MSI-X is on; else the device's configuration begins here. */
	LEGACY_CONFIG_VECTOR = 0x14,
	LEGACY_QUEUE_VECTOR = 0x16,
	LEGACY_CONFIG_MSIX = 0x18,
};

/* Size of the register that begins at an offset; 0: none does. */
static const uint8_t legacy_size[LEGACY_CONFIG_MSIX] = {
	[LEGACY_DEVICE_FEATURES] = 4, [LEGACY_DRIVER_FEATURES] = 4,
	[LEGACY_QUEUE_PAGE] = 4,      [LEGACY_QUEUE_SIZE] = 2,
	[LEGACY_QUEUE_SELECT] = 2,    [LEGACY_QUEUE_NOTIFY] = 2,
	[LEGACY_STATUS] = 1,	      [LEGACY_ISR] = 1,
	[LEGACY_CONFIG_VECTOR] = 2,   [LEGACY_QUEUE_VECTOR] = 2,
};

uint16_t v3_virtio_legacy_id(uint16_t type)
{
	/* 4.1.2.1: network, block, console, entropy, balloon */
	static const uint16_t id[] = {0, 0x1000, 0x1001, 0x1003, 0x1005, 0x1002};

	return type < V3_ARRAY_SIZE(id) ? id[type] : 0;
}

static uint32_t legacy_offered(const struct v3_virtio *dev)
{
	return (uint32_t)dev->offered | 1u << VIRTIO_F_ANY_LAYOUT;
}

static uint32_t legacy_read(struct v3_virtio *dev, unsigned off)
{
	const struct v3_vq *q = v3_virtio_selected(dev);

	switch (off) {
	case LEGACY_DEVICE_FEATURES:
		return legacy_offered(dev);
	case LEGACY_DRIVER_FEATURES:
		return (uint32_t)dev->features;
	case LEGACY_QUEUE_PAGE:
		return q && q->enabled ? (uint32_t)(q->desc >> LEGACY_PAGE_SHIFT) : 0;
	case LEGACY_QUEUE_SIZE:
		return q ? q->size : 0;
	case LEGACY_QUEUE_SELECT:
		return dev->queue_select;
	case LEGACY_STATUS:
		return dev->status & (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	case LEGACY_ISR:
		return v3_virtio_take_isr(dev);
	case LEGACY_CONFIG_VECTOR:
		return dev->config_vector;
	case LEGACY_QUEUE_VECTOR:
		return q ? q->vector : VIRTIO_NO_VECTOR;
	default:
		return 0; /* notifications are written only */
	}
}

/* Where the queue is; 0 gives it up. A legacy driver cannot choose its size. @return what is wrong with it, NULL */
static const char *legacy_write_page(struct v3_vq *q, uint32_t page)
{
	uint16_t vector = q->vector;
	const char *wrong;

	if (q->running || q->held)
		return "a queue was moved while it runs";
	v3_vq_reset(q);
	q->vector = vector;
	if (!page)
		return NULL;
	q->desc = (uint64_t)page << LEGACY_PAGE_SHIFT;
	q->avail = q->desc + 16ull * q->size;
	q->used = (q->avail + 6 + 2ull * q->size + LEGACY_ALIGN - 1) & ~(LEGACY_ALIGN - 1);
	wrong = v3_vq_check(q);
	q->enabled = !wrong;
	return wrong;
}

static const char *legacy_write(struct v3_virtio *dev, unsigned off, uint32_t value)
{
	struct v3_vq *q = v3_virtio_selected(dev);

	switch (off) {
	case LEGACY_DRIVER_FEATURES:
		if (!(dev->status & VIRTIO_STATUS_FEATURES_OK))
			dev->features = value & legacy_offered(dev);
		break;
	case LEGACY_QUEUE_PAGE:
		return q ? legacy_write_page(q, value) : NULL;
	case LEGACY_QUEUE_SELECT:
		dev->queue_select = (uint16_t)value;
		break;
	case LEGACY_STATUS:
		v3_virtio_write_status(dev, (uint8_t)value, true);
		break;
	case LEGACY_CONFIG_VECTOR:
		__atomic_store_n(&dev->config_vector, v3_virtio_vector(dev, value),
				 __ATOMIC_RELAXED);
		break;
	case LEGACY_QUEUE_VECTOR:
		if (q)
			__atomic_store_n(&q->vector, v3_virtio_vector(dev, value),
					 __ATOMIC_RELAXED);
		break;
	default:
		break; /* the others are read-only */
	}
	return NULL;
}

/* An access that is not exactly a register has no effect and reads 0. Lock held. */
static const char *legacy_register(struct v3_virtio *dev, struct v3_pci_access *a)
{
	unsigned off = (unsigned)a->offset;
	const char *wrong = NULL;

	if (legacy_size[off] != a->size)
		a->value = 0;
	else if (!a->write)
		a->value = legacy_read(dev, off);
	else if (!dev->resetting)
		wrong = legacy_write(dev, off, (uint32_t)a->value);
	return wrong;
}

/* Some legacy drivers use the device before they say DRIVER_OK (2.1.2): a notification says as much. */
static void legacy_notify(struct v3_vcpu *vcpu, struct v3_virtio *dev, unsigned queue)
{
	unsigned long flags;

	if (queue >= dev->nqueues)
		return;
	flags = v3_lock_acquire(&dev->lock);
	if ((dev->status & (VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK)) ==
		    VIRTIO_STATUS_DRIVER &&
	    !dev->resetting)
		v3_virtio_write_status(dev, dev->status | VIRTIO_STATUS_DRIVER_OK, true);
	v3_lock_release(&dev->lock, flags);
	v3_virtio_run(vcpu, &dev->queue[queue]);
}

static int legacy_bar(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	struct v3_virtio *dev = priv;
	const char *wrong = NULL;
	unsigned long flags;
	unsigned config;

	if (a->offset == LEGACY_QUEUE_NOTIFY && a->write && a->size == 2) {
		legacy_notify(vcpu, dev, (unsigned)a->value);
		return V3_OK;
	}
	config = v3_pci_msi_enabled(dev->func) ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG_VECTOR;
	flags = v3_lock_acquire(&dev->lock);
	if (a->offset < config)
		wrong = legacy_register(dev, a);
	else
		v3_virtio_config_access(dev, a, (unsigned)a->offset - config);
	v3_lock_release(&dev->lock, flags);
	if (wrong)
		v3_virtio_fail(dev, wrong);
	return V3_OK;
}

int v3_virtio_legacy_create(struct v3_virtio *dev)
{
	return v3_pci_add_bar(dev->func, V3_VIRTIO_BAR_LEGACY, V3_PCI_BAR_IO, LEGACY_BAR_LEN,
			      legacy_bar, dev);
}
