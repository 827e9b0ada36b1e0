/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file modern.c
 * The modern registers of virtio over PCI (virtio 1.2, 4.1.4): capabilities, common configuration, ISR status,
 * device configuration and notifications, also by way of configuration space. Called by the PCI bus and by pci.c;
 * calls pci.c and ring.c.
 *
 * The BAR: 0x0000 common configuration, 0x1000 ISR status, 0x2000 device configuration, 0x3000 notifications, four
 * bytes per queue.
 */
#include "devices/virtio/transport.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define VPCI_COMMON	0x0000u
#define VPCI_COMMON_LEN 0x38u
#define VPCI_ISR	0x1000u
#define VPCI_DEVCFG	0x2000u
#define VPCI_NOTIFY	0x3000u
#define VPCI_BAR_LEN	0x4000u
#define VPCI_REGION	0x1000u
#define VPCI_NOTIFY_MUL 4u

/* Vendor capabilities, 4.1.4: offsets from the capability. */
#define VPCI_CAP_COMMON	   1
#define VPCI_CAP_NOTIFY	   2
#define VPCI_CAP_ISR	   3
#define VPCI_CAP_DEVICE	   4
#define VPCI_CAP_PCI	   5
#define VPCI_CAP_BAR	   4
#define VPCI_CAP_OFFSET	   8
#define VPCI_CAP_LENGTH	   12
#define VPCI_CAP_EXTRA	   16 /* notify multiplier; data of configuration access */
#define VPCI_CAP_LEN	   16
#define VPCI_CAP_LEN_EXTRA 20

/* Common configuration, 4.1.4.3 */
enum modern_common {
	VPCI_DEVICE_FEATURE_SELECT = 0x00,
	VPCI_DEVICE_FEATURE = 0x04,
	VPCI_DRIVER_FEATURE_SELECT = 0x08,
	VPCI_DRIVER_FEATURE = 0x0c,
	VPCI_CONFIG_VECTOR = 0x10,
	VPCI_NUM_QUEUES = 0x12,
	VPCI_STATUS = 0x14,
	VPCI_GENERATION = 0x15,
	VPCI_QUEUE_SELECT = 0x16,
	VPCI_QUEUE_SIZE = 0x18,
	VPCI_QUEUE_VECTOR = 0x1a,
	VPCI_QUEUE_ENABLE = 0x1c,
	VPCI_QUEUE_NOTIFY_OFF = 0x1e,
	VPCI_QUEUE_DESC = 0x20,
	VPCI_QUEUE_AVAIL = 0x28,
	VPCI_QUEUE_USED = 0x30,
};

/* Size of the field that begins at an offset; the 64-bit ones are accessed in halves. 0: no field begins there. */
static const uint8_t modern_field_size[VPCI_COMMON_LEN] = {
	[VPCI_DEVICE_FEATURE_SELECT] = 4,
	[VPCI_DEVICE_FEATURE] = 4,
	[VPCI_DRIVER_FEATURE_SELECT] = 4,
	[VPCI_DRIVER_FEATURE] = 4,
	[VPCI_CONFIG_VECTOR] = 2,
	[VPCI_NUM_QUEUES] = 2,
	[VPCI_STATUS] = 1,
	[VPCI_GENERATION] = 1,
	[VPCI_QUEUE_SELECT] = 2,
	[VPCI_QUEUE_SIZE] = 2,
	[VPCI_QUEUE_VECTOR] = 2,
	[VPCI_QUEUE_ENABLE] = 2,
	[VPCI_QUEUE_NOTIFY_OFF] = 2,
	[VPCI_QUEUE_DESC] = 4,
	[VPCI_QUEUE_DESC + 4] = 4,
	[VPCI_QUEUE_AVAIL] = 4,
	[VPCI_QUEUE_AVAIL + 4] = 4,
	[VPCI_QUEUE_USED] = 4,
	[VPCI_QUEUE_USED + 4] = 4,
};

/* ---- common configuration; lock held ---- */

static uint32_t modern_half(uint64_t value, unsigned select)
{
	return select < 2 ? (uint32_t)(value >> (32 * select)) : 0;
}

static void modern_set_half(uint64_t *value, unsigned select, uint32_t half)
{
	if (select < 2)
		*value = (*value & ~(0xffffffffull << (32 * select))) | (uint64_t)half
										<< (32 * select);
}

static uint32_t modern_read_queue(const struct v3_vq *q, unsigned off)
{
	switch (off) {
	case VPCI_QUEUE_SIZE:
		return q->size;
	case VPCI_QUEUE_VECTOR:
		return q->vector;
	case VPCI_QUEUE_ENABLE:
		return q->enabled;
	case VPCI_QUEUE_NOTIFY_OFF:
		return q->index;
	case VPCI_QUEUE_DESC:
	case VPCI_QUEUE_DESC + 4:
		return modern_half(q->desc, (off - VPCI_QUEUE_DESC) / 4);
	case VPCI_QUEUE_AVAIL:
	case VPCI_QUEUE_AVAIL + 4:
		return modern_half(q->avail, (off - VPCI_QUEUE_AVAIL) / 4);
	default:
		return modern_half(q->used, (off - VPCI_QUEUE_USED) / 4);
	}
}

static uint32_t modern_read_common(struct v3_virtio *dev, unsigned off)
{
	struct v3_vq *q = v3_virtio_selected(dev);

	switch (off) {
	case VPCI_DEVICE_FEATURE_SELECT:
		return dev->device_feature_select;
	case VPCI_DEVICE_FEATURE:
		return modern_half(dev->offered, dev->device_feature_select);
	case VPCI_DRIVER_FEATURE_SELECT:
		return dev->driver_feature_select;
	case VPCI_DRIVER_FEATURE:
		return modern_half(dev->features, dev->driver_feature_select);
	case VPCI_CONFIG_VECTOR:
		return dev->config_vector;
	case VPCI_NUM_QUEUES:
		return dev->nqueues;
	case VPCI_STATUS:
		return dev->status;
	case VPCI_GENERATION:
		return dev->generation;
	case VPCI_QUEUE_SELECT:
		return dev->queue_select;
	default:
		return q ? modern_read_queue(q, off) : 0; /* size 0: there is no such queue */
	}
}

/* @return what is wrong with the queue the driver enabled, NULL */
static const char *modern_write_queue(struct v3_vq *q, unsigned off, uint32_t value)
{
	const char *wrong = NULL;

	if (off == VPCI_QUEUE_VECTOR)
		__atomic_store_n(&q->vector, v3_virtio_vector(q->dev, value), __ATOMIC_RELAXED);
	if (q->enabled)
		return NULL;
	switch (off) {
	case VPCI_QUEUE_SIZE:
		q->size = (uint16_t)value;
		break;
	case VPCI_QUEUE_ENABLE:
		wrong = value == 1 ? v3_vq_check(q) : NULL;
		q->enabled = value == 1 && !wrong;
		break;
	case VPCI_QUEUE_DESC:
	case VPCI_QUEUE_DESC + 4:
		modern_set_half(&q->desc, (off - VPCI_QUEUE_DESC) / 4, value);
		break;
	case VPCI_QUEUE_AVAIL:
	case VPCI_QUEUE_AVAIL + 4:
		modern_set_half(&q->avail, (off - VPCI_QUEUE_AVAIL) / 4, value);
		break;
	case VPCI_QUEUE_USED:
	case VPCI_QUEUE_USED + 4:
		modern_set_half(&q->used, (off - VPCI_QUEUE_USED) / 4, value);
		break;
	default:
		break; /* the notification offset is read-only */
	}
	return wrong;
}

static const char *modern_write_common(struct v3_virtio *dev, unsigned off, uint32_t value)
{
	struct v3_vq *q = v3_virtio_selected(dev);

	switch (off) {
	case VPCI_DEVICE_FEATURE_SELECT:
		dev->device_feature_select = value;
		break;
	case VPCI_DRIVER_FEATURE_SELECT:
		dev->driver_feature_select = value;
		break;
	case VPCI_DRIVER_FEATURE:
		if (!(dev->status & VIRTIO_STATUS_FEATURES_OK))
			modern_set_half(&dev->features, dev->driver_feature_select, value);
		break;
	case VPCI_CONFIG_VECTOR:
		__atomic_store_n(&dev->config_vector, v3_virtio_vector(dev, value),
				 __ATOMIC_RELAXED);
		break;
	case VPCI_STATUS:
		v3_virtio_write_status(dev, (uint8_t)value, false);
		break;
	case VPCI_QUEUE_SELECT:
		dev->queue_select = (uint16_t)value;
		break;
	default: /* the other fields of the device are read-only */
		return q && off >= VPCI_QUEUE_SIZE ? modern_write_queue(q, off, value) : NULL;
	}
	return NULL;
}

/* ---- BAR 0 ---- */

/* A part of a field can be read: iPXE does that. What else is not exactly a field (4.1.3.1) reads 0. */
static uint32_t modern_read_part(struct v3_virtio *dev, unsigned off, unsigned size)
{
	unsigned field = off;

	while (!modern_field_size[field])
		field--;
	if (off + size > field + modern_field_size[field])
		return 0;
	return modern_read_common(dev, field) >> 8 * (off - field) &
	       (uint32_t)(0xffffffffull >> (32 - 8 * size));
}

static const char *modern_common(struct v3_virtio *dev, struct v3_pci_access *a)
{
	unsigned off = (unsigned)a->offset;
	bool inside = off < VPCI_COMMON_LEN;

	if (!a->write)
		a->value = inside ? modern_read_part(dev, off, a->size) : 0;
	else if (inside && modern_field_size[off] == a->size && !dev->resetting)
		return modern_write_common(dev, off, (uint32_t)a->value);
	return NULL;
}

static void modern_isr(struct v3_virtio *dev, struct v3_pci_access *a)
{
	if (!a->write)
		a->value = a->offset == VPCI_ISR ? v3_virtio_take_isr(dev) : 0;
}

static int modern_access(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	uint64_t queue = (a->offset - VPCI_NOTIFY) / VPCI_NOTIFY_MUL;
	struct v3_virtio *dev = priv;
	const char *wrong = NULL;
	unsigned long flags;

	if (a->offset >= VPCI_NOTIFY) {
		if (!a->write)
			a->value = 0;
		else if (queue < dev->nqueues)
			v3_virtio_run(vcpu, &dev->queue[queue]);
		return V3_OK;
	}
	flags = v3_lock_acquire(&dev->lock);
	if (a->offset < VPCI_COMMON + VPCI_REGION)
		wrong = modern_common(dev, a);
	else if (a->offset < VPCI_ISR + VPCI_REGION)
		modern_isr(dev, a);
	else
		v3_virtio_config_access(dev, a, (unsigned)(a->offset - VPCI_DEVCFG));
	v3_lock_release(&dev->lock, flags);
	if (wrong)
		v3_virtio_fail(dev, wrong);
	return V3_OK;
}

/* A 64-bit access is two of 32 bits, low half first. */
static int modern_bar(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	struct v3_pci_access low = *a, high = *a;
	int err;

	if (a->size < 8)
		return modern_access(vcpu, a, priv);
	low.size = high.size = 4;
	low.value = (uint32_t)a->value;
	high.value = a->value >> 32;
	high.offset += 4;
	err = modern_access(vcpu, &low, priv);
	if (err == V3_OK)
		err = modern_access(vcpu, &high, priv);
	a->value = (uint32_t)low.value | high.value << 32;
	return err;
}

/* ---- access through configuration space (4.1.4.9) ---- */

/* The access that the capability describes. @return false: it is not to be made */
static bool modern_window(struct v3_virtio *dev, unsigned off, struct v3_pci_access *a)
{
	const uint8_t *cap = v3_pci_config(dev->func) + dev->pci_cfg_cap;
	uint32_t offset, length;

	if (off != dev->pci_cfg_cap + (unsigned)VPCI_CAP_EXTRA)
		return false;
	memcpy(&offset, cap + VPCI_CAP_OFFSET, sizeof(offset));
	memcpy(&length, cap + VPCI_CAP_LENGTH, sizeof(length));
	if (cap[VPCI_CAP_BAR] != dev->bar || (length != 1 && length != 2 && length != 4) ||
	    offset % length || offset > VPCI_BAR_LEN - 4)
		return false;
	*a = (struct v3_pci_access){.size = (uint8_t)length, .offset = offset};
	return true;
}

uint32_t v3_virtio_modern_cfg_read(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
				   uint32_t value)
{
	struct v3_pci_access a;

	(void)size;
	if (!modern_window(priv, off, &a))
		return value;
	modern_access(vcpu, &a, priv);
	return (uint32_t)a.value;
}

void v3_virtio_modern_cfg_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
				uint32_t value)
{
	struct v3_pci_access a;

	if (!modern_window(priv, off, &a) || a.size > size)
		return;
	a.write = true;
	a.value = a.size < 4 ? value & ((1u << 8 * a.size) - 1) : value;
	modern_access(vcpu, &a, priv);
}

/* ---- create ---- */

static int modern_add_cap(struct v3_virtio *dev, uint8_t type, uint32_t offset, uint32_t length,
			  const uint32_t *extra)
{
	uint8_t cap[VPCI_CAP_LEN_EXTRA] = {0}, writable[VPCI_CAP_LEN_EXTRA] = {0};
	unsigned len = extra ? VPCI_CAP_LEN_EXTRA : VPCI_CAP_LEN;

	cap[2] = (uint8_t)len;
	cap[3] = type;
	cap[VPCI_CAP_BAR] = dev->bar;
	memcpy(cap + VPCI_CAP_OFFSET, &offset, sizeof(offset));
	memcpy(cap + VPCI_CAP_LENGTH, &length, sizeof(length));
	if (extra)
		memcpy(cap + VPCI_CAP_EXTRA, extra, sizeof(*extra));
	if (type == VPCI_CAP_PCI) {
		writable[VPCI_CAP_BAR] = 0xff;
		memset(writable + VPCI_CAP_OFFSET, 0xff, 12);
	}
	return v3_pci_add_cap(dev->func, V3_PCI_CAP_VENDOR, cap + 2, writable + 2, len - 2);
}

static int modern_add_caps(struct v3_virtio *dev)
{
	static const uint32_t multiplier = VPCI_NOTIFY_MUL, none;
	int off;

	off = modern_add_cap(dev, VPCI_CAP_COMMON, VPCI_COMMON, VPCI_COMMON_LEN, NULL);
	if (off > 0)
		off = modern_add_cap(dev, VPCI_CAP_ISR, VPCI_ISR, 1, NULL);
	if (off > 0 && dev->config_len)
		off = modern_add_cap(dev, VPCI_CAP_DEVICE, VPCI_DEVCFG, dev->config_len, NULL);
	if (off > 0)
		off = modern_add_cap(dev, VPCI_CAP_NOTIFY, VPCI_NOTIFY,
				     dev->nqueues * VPCI_NOTIFY_MUL, &multiplier);
	if (off > 0)
		off = modern_add_cap(dev, VPCI_CAP_PCI, 0, 0, &none);
	if (off < 0)
		return off;
	dev->pci_cfg_cap = (uint8_t)off;
	return V3_OK;
}

int v3_virtio_modern_create(struct v3_virtio *dev)
{
	int err = v3_pci_add_bar(dev->func, dev->bar, V3_PCI_BAR_MEM32, VPCI_BAR_LEN, modern_bar,
				 dev);

	return err ? err : modern_add_caps(dev);
}
