/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pci.c
 * Virtio over PCI, modern interface only (virtio 1.2, 4.1): identity and capabilities, the registers in BAR 0,
 * MSI-X per queue in BAR 1, device status and reset. Called by the PCI bus and by the devices; calls ring.c and
 * the device's process().
 *
 * BAR 0: 0x0000 common configuration, 0x1000 ISR status, 0x2000 device configuration, 0x3000 notifications, four
 * bytes per queue.
 */
#include "devices/virtio/virtio.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "virtio"

#define VPCI_VENDOR    0x1af4
#define VPCI_DEVICE(n) (0x1040 + (n)) /* 4.1.2 */

#define VPCI_BAR	0
#define VPCI_BAR_MSIX	1
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

#define VPCI_ISR_QUEUE	1
#define VPCI_ISR_CONFIG 2

/* Common configuration, 4.1.4.3 */
enum vpci_common {
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
static const uint8_t vpci_field_size[VPCI_COMMON_LEN] = {
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

/* ---- interrupts ---- */

/* By message or, as long as the driver has not switched MSI-X on, by ISR and INTx (4.1.5.3, 4.1.5.4). */
static void vpci_interrupt(struct v3_virtio *dev, uint16_t vector, uint8_t isr)
{
	unsigned long flags;

	if (v3_pci_notify(dev->func, vector))
		return;
	flags = v3_lock_acquire(&dev->lock);
	dev->isr |= isr;
	v3_pci_set_intx(dev->func, true);
	v3_lock_release(&dev->lock, flags);
}

void v3_virtio_interrupt(struct v3_vq *q)
{
	vpci_interrupt(q->dev, __atomic_load_n(&q->vector, __ATOMIC_RELAXED), VPCI_ISR_QUEUE);
}

static void vpci_config_interrupt(struct v3_virtio *dev)
{
	vpci_interrupt(dev, __atomic_load_n(&dev->config_vector, __ATOMIC_RELAXED),
		       VPCI_ISR_CONFIG);
}

void v3_virtio_set_config(struct v3_virtio *dev, unsigned off, const void *bytes, unsigned len)
{
	unsigned long flags = v3_lock_acquire(&dev->lock);
	bool tell = dev->status & VIRTIO_STATUS_DRIVER_OK;

	memcpy(dev->config + off, bytes, len);
	dev->generation++;
	v3_lock_release(&dev->lock, flags);
	if (tell)
		vpci_config_interrupt(dev);
}

/* ---- life of the device ---- */

/* Lock held, no queue runs. */
static void vpci_do_reset(struct v3_virtio *dev)
{
	uint16_t i;

	dev->status = 0;
	dev->resetting = false;
	dev->running = 0; /* at a reset of the VM chains may still be held */
	dev->features = 0;
	dev->isr = 0;
	v3_pci_set_intx(dev->func, false);
	dev->config_vector = VIRTIO_NO_VECTOR;
	dev->queue_select = 0;
	dev->device_feature_select = dev->driver_feature_select = 0;
	for (i = 0; i < dev->nqueues; i++)
		v3_vq_reset(&dev->queue[i]);
	if (dev->cls->state)
		dev->cls->state(dev->priv, false);
}

void v3_virtio_reset(struct v3_virtio *dev)
{
	unsigned long flags = v3_lock_acquire(&dev->lock);

	vpci_do_reset(dev);
	v3_lock_release(&dev->lock, flags);
}

void v3_virtio_fail(struct v3_virtio *dev, const char *why)
{
	unsigned long flags = v3_lock_acquire(&dev->lock);
	bool tell = dev->status & VIRTIO_STATUS_DRIVER_OK;

	__atomic_store_n(&dev->status, dev->status | VIRTIO_STATUS_NEEDS_RESET, __ATOMIC_RELAXED);
	v3_lock_release(&dev->lock, flags);
	V3_GUEST_WARN(dev->vm, "%s in slot %u needs a reset: %s", dev->cls->name,
		      v3_pci_slot(dev->func), why);
	if (tell)
		vpci_config_interrupt(dev);
}

/* What whoever runs a queue may do. */
#define VPCI_RUN_FINISH 1u /* finish chains that are held */
#define VPCI_RUN_TAKE	2u /* take new ones */

/* Become the one who runs the queue. @return VPCI_RUN_*; 0: it cannot run, or somebody does and will come back */
static unsigned vpci_begin_run(struct v3_vq *q)
{
	struct v3_virtio *dev = q->dev;
	unsigned long flags = v3_lock_acquire(&dev->lock);
	unsigned run = 0;

	if (q->running) {
		q->again = true;
	} else {
		if (q->held)
			run |= VPCI_RUN_FINISH;
		if (q->enabled && v3_virtio_live(dev) && v3_pci_may_dma(dev->func))
			run |= VPCI_RUN_TAKE;
		q->running = run;
		dev->running += q->running;
	}
	v3_lock_release(&dev->lock, flags);
	return run;
}

/* @return true: there is more to do */
static bool vpci_end_run(struct v3_vq *q)
{
	struct v3_virtio *dev = q->dev;
	unsigned long flags = v3_lock_acquire(&dev->lock);
	bool more = ((q->again || q->more) && v3_virtio_live(dev)) || (q->again && q->held);

	q->again = false;
	q->running = false;
	if (!--dev->running && dev->resetting)
		vpci_do_reset(dev);
	v3_lock_release(&dev->lock, flags);
	return more;
}

/* What is left is done as work of the vcpu, so that a pause or stop of the VM is not kept waiting by a guest that
 * never lets its queue run dry. */
void v3_virtio_run(struct v3_vcpu *vcpu, struct v3_vq *q)
{
	const struct v3_virtio_class *cls = q->dev->cls;
	unsigned run = vpci_begin_run(q);

	if (!run)
		return;
	q->budget = VIRTIO_RUN_BUDGET;
	q->more = false;
	if (run & VPCI_RUN_FINISH)
		cls->finish(q->dev->priv, q);
	if (run & VPCI_RUN_TAKE)
		cls->process(q->dev->priv, q);
	v3_vq_publish(q);
	if (vpci_end_run(q))
		v3_vcpu_queue_work(vcpu, &q->work);
}

/* ---- chains that are held; each counts as if its queue ran ---- */

static void vpci_count_held(struct v3_vq *q, int n)
{
	unsigned long flags = v3_lock_acquire(&q->dev->lock);

	q->held = (uint16_t)(q->held + n);
	q->dev->running = (uint16_t)(q->dev->running + n);
	v3_lock_release(&q->dev->lock, flags);
}

void v3_vq_hold(struct v3_vq *q, struct v3_vq_chain **other)
{
	v3_vq_swap(q, other);
	vpci_count_held(q, 1);
}

void v3_vq_release(struct v3_vq *q)
{
	vpci_count_held(q, -1);
}

static void vpci_work(struct v3_vcpu *vcpu, void *arg)
{
	v3_virtio_run(vcpu, arg);
}

void v3_virtio_run_later(struct v3_vq *q)
{
	v3_vcpu_queue_work(v3_vm_vcpu(q->dev->vm, 0), &q->work);
}

/* ---- common configuration; lock held ---- */

/* The driver's word on the status: bits are added only, 0 resets (2.1, 4.1.4.3.1). */
static void vpci_write_status(struct v3_virtio *dev, uint8_t value)
{
	const uint8_t known = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			      VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK |
			      VIRTIO_STATUS_FAILED;
	uint8_t status = dev->status | (value & known);
	bool agreed = (dev->features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) &&
		      !(dev->features & ~dev->offered);

	if (!value) {
		if (dev->running)
			__atomic_store_n(&dev->resetting, true, __ATOMIC_RELAXED);
		else
			vpci_do_reset(dev);
		return;
	}
	if (!agreed)
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	if (!(status & VIRTIO_STATUS_FEATURES_OK))
		status &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	if ((status & ~dev->status & VIRTIO_STATUS_FEATURES_OK) && dev->cls->state)
		dev->cls->state(dev->priv, true);
	__atomic_store_n(&dev->status, status, __ATOMIC_RELEASE);
}

static uint32_t vpci_half(uint64_t value, unsigned select)
{
	return select < 2 ? (uint32_t)(value >> (32 * select)) : 0;
}

static void vpci_set_half(uint64_t *value, unsigned select, uint32_t half)
{
	if (select < 2)
		*value = (*value & ~(0xffffffffull << (32 * select))) | (uint64_t)half
										<< (32 * select);
}

/* The selected queue, NULL: it does not exist. */
static struct v3_vq *vpci_queue(struct v3_virtio *dev)
{
	return dev->queue_select < dev->nqueues ? &dev->queue[dev->queue_select] : NULL;
}

static uint32_t vpci_read_queue(const struct v3_vq *q, unsigned off)
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
		return vpci_half(q->desc, (off - VPCI_QUEUE_DESC) / 4);
	case VPCI_QUEUE_AVAIL:
	case VPCI_QUEUE_AVAIL + 4:
		return vpci_half(q->avail, (off - VPCI_QUEUE_AVAIL) / 4);
	default:
		return vpci_half(q->used, (off - VPCI_QUEUE_USED) / 4);
	}
}

static uint32_t vpci_read_common(struct v3_virtio *dev, unsigned off)
{
	struct v3_vq *q = vpci_queue(dev);

	switch (off) {
	case VPCI_DEVICE_FEATURE_SELECT:
		return dev->device_feature_select;
	case VPCI_DEVICE_FEATURE:
		return vpci_half(dev->offered, dev->device_feature_select);
	case VPCI_DRIVER_FEATURE_SELECT:
		return dev->driver_feature_select;
	case VPCI_DRIVER_FEATURE:
		return vpci_half(dev->features, dev->driver_feature_select);
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
		return q ? vpci_read_queue(q, off) : 0; /* size 0: there is no such queue */
	}
}

/* A vector that does not exist cannot be mapped: reads back as none (4.1.5.1.2). */
static uint16_t vpci_vector(const struct v3_virtio *dev, uint32_t value)
{
	return value <= dev->nqueues ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

/* @return what is wrong with the queue the driver enabled, NULL */
static const char *vpci_write_queue(struct v3_vq *q, unsigned off, uint32_t value)
{
	const char *wrong = NULL;

	if (off == VPCI_QUEUE_VECTOR)
		__atomic_store_n(&q->vector, vpci_vector(q->dev, value), __ATOMIC_RELAXED);
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
		vpci_set_half(&q->desc, (off - VPCI_QUEUE_DESC) / 4, value);
		break;
	case VPCI_QUEUE_AVAIL:
	case VPCI_QUEUE_AVAIL + 4:
		vpci_set_half(&q->avail, (off - VPCI_QUEUE_AVAIL) / 4, value);
		break;
	case VPCI_QUEUE_USED:
	case VPCI_QUEUE_USED + 4:
		vpci_set_half(&q->used, (off - VPCI_QUEUE_USED) / 4, value);
		break;
	default:
		break; /* the notification offset is read-only */
	}
	return wrong;
}

static const char *vpci_write_common(struct v3_virtio *dev, unsigned off, uint32_t value)
{
	struct v3_vq *q = vpci_queue(dev);

	switch (off) {
	case VPCI_DEVICE_FEATURE_SELECT:
		dev->device_feature_select = value;
		break;
	case VPCI_DRIVER_FEATURE_SELECT:
		dev->driver_feature_select = value;
		break;
	case VPCI_DRIVER_FEATURE:
		if (!(dev->status & VIRTIO_STATUS_FEATURES_OK))
			vpci_set_half(&dev->features, dev->driver_feature_select, value);
		break;
	case VPCI_CONFIG_VECTOR:
		__atomic_store_n(&dev->config_vector, vpci_vector(dev, value), __ATOMIC_RELAXED);
		break;
	case VPCI_STATUS:
		vpci_write_status(dev, (uint8_t)value);
		break;
	case VPCI_QUEUE_SELECT:
		dev->queue_select = (uint16_t)value;
		break;
	default: /* the other fields of the device are read-only */
		return q && off >= VPCI_QUEUE_SIZE ? vpci_write_queue(q, off, value) : NULL;
	}
	return NULL;
}

/* ---- BAR 0 ---- */

/* An access that is not exactly a field (4.1.3.1) has no effect and reads 0. */
static const char *vpci_common(struct v3_virtio *dev, struct v3_pci_access *a)
{
	unsigned off = (unsigned)a->offset;
	const char *wrong = NULL;

	if (off >= VPCI_COMMON_LEN || vpci_field_size[off] != a->size) {
		if (!a->write)
			a->value = 0;
	} else if (!a->write) {
		a->value = vpci_read_common(dev, off);
	} else if (!dev->resetting) {
		wrong = vpci_write_common(dev, off, (uint32_t)a->value);
	}
	return wrong;
}

/* Reading tells why the interrupt came, and ends it (4.1.4.5). */
static void vpci_isr(struct v3_virtio *dev, struct v3_pci_access *a)
{
	if (a->write)
		return;
	a->value = a->offset == VPCI_ISR ? dev->isr : 0;
	if (a->offset != VPCI_ISR)
		return;
	dev->isr = 0;
	v3_pci_set_intx(dev->func, false);
}

static void vpci_devcfg(struct v3_virtio *dev, struct v3_pci_access *a)
{
	unsigned off = (unsigned)(a->offset - VPCI_DEVCFG);
	bool inside = off + a->size <= dev->config_len;

	if (!a->write) {
		a->value = 0;
		if (inside)
			memcpy(&a->value, dev->config + off, a->size);
	} else if (inside && dev->cls->config_write) {
		dev->cls->config_write(dev->priv, off, a->size, (uint32_t)a->value);
	}
}

static int vpci_access(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
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
		wrong = vpci_common(dev, a);
	else if (a->offset < VPCI_ISR + VPCI_REGION)
		vpci_isr(dev, a);
	else
		vpci_devcfg(dev, a);
	v3_lock_release(&dev->lock, flags);
	if (wrong)
		v3_virtio_fail(dev, wrong);
	return V3_OK;
}

/* A 64-bit access is two of 32 bits, low half first. */
static int vpci_bar(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	struct v3_pci_access low = *a, high = *a;
	int err;

	if (a->size < 8)
		return vpci_access(vcpu, a, priv);
	low.size = high.size = 4;
	low.value = (uint32_t)a->value;
	high.value = a->value >> 32;
	high.offset += 4;
	err = vpci_access(vcpu, &low, priv);
	if (err == V3_OK)
		err = vpci_access(vcpu, &high, priv);
	a->value = (uint32_t)low.value | high.value << 32;
	return err;
}

/* ---- access through configuration space (4.1.4.9) ---- */

/* The access that the capability describes. @return false: it is not to be made */
static bool vpci_window(struct v3_virtio *dev, unsigned off, struct v3_pci_access *a)
{
	const uint8_t *cap = v3_pci_config(dev->func) + dev->pci_cfg_cap;
	uint32_t offset, length;

	if (off != dev->pci_cfg_cap + (unsigned)VPCI_CAP_EXTRA)
		return false;
	memcpy(&offset, cap + VPCI_CAP_OFFSET, sizeof(offset));
	memcpy(&length, cap + VPCI_CAP_LENGTH, sizeof(length));
	if (cap[VPCI_CAP_BAR] != VPCI_BAR || (length != 1 && length != 2 && length != 4) ||
	    offset % length || offset > VPCI_BAR_LEN - 4)
		return false;
	*a = (struct v3_pci_access){.size = (uint8_t)length, .offset = offset};
	return true;
}

static uint32_t vpci_cfg_read(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			      uint32_t value)
{
	struct v3_pci_access a;

	(void)size;
	if (!vpci_window(priv, off, &a))
		return value;
	vpci_access(vcpu, &a, priv);
	return (uint32_t)a.value;
}

static void vpci_cfg_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			   uint32_t value)
{
	struct v3_pci_access a;

	if (!vpci_window(priv, off, &a) || a.size > size)
		return;
	a.write = true;
	a.value = a.size < 4 ? value & ((1u << 8 * a.size) - 1) : value;
	vpci_access(vcpu, &a, priv);
}

/* ---- create ---- */

static int vpci_add_cap(struct v3_virtio *dev, uint8_t type, uint32_t offset, uint32_t length,
			const uint32_t *extra)
{
	uint8_t cap[VPCI_CAP_LEN_EXTRA] = {0}, writable[VPCI_CAP_LEN_EXTRA] = {0};
	unsigned len = extra ? VPCI_CAP_LEN_EXTRA : VPCI_CAP_LEN;

	cap[2] = (uint8_t)len;
	cap[3] = type;
	cap[VPCI_CAP_BAR] = VPCI_BAR;
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

static int vpci_add_caps(struct v3_virtio *dev)
{
	static const uint32_t multiplier = VPCI_NOTIFY_MUL, none;
	int off;

	off = vpci_add_cap(dev, VPCI_CAP_COMMON, VPCI_COMMON, VPCI_COMMON_LEN, NULL);
	if (off > 0)
		off = vpci_add_cap(dev, VPCI_CAP_ISR, VPCI_ISR, 1, NULL);
	if (off > 0 && dev->config_len)
		off = vpci_add_cap(dev, VPCI_CAP_DEVICE, VPCI_DEVCFG, dev->config_len, NULL);
	if (off > 0)
		off = vpci_add_cap(dev, VPCI_CAP_NOTIFY, VPCI_NOTIFY,
				   dev->nqueues * VPCI_NOTIFY_MUL, &multiplier);
	if (off > 0)
		off = vpci_add_cap(dev, VPCI_CAP_PCI, 0, 0, &none);
	if (off < 0)
		return off;
	dev->pci_cfg_cap = (uint8_t)off;
	off = v3_pci_add_pm(dev->func);
	if (off > 0)
		off = v3_pci_add_msix(dev->func, VPCI_BAR_MSIX, dev->nqueues + 1u);
	return off < 0 ? off : V3_OK;
}

static int vpci_add_func(struct v3_virtio *dev, unsigned slot)
{
	struct v3_pci_desc desc = {
		.vendor = VPCI_VENDOR,
		.device = (uint16_t)VPCI_DEVICE(dev->cls->id),
		.subsys_vendor = VPCI_VENDOR,
		.subsys = (uint16_t)VPCI_DEVICE(dev->cls->id),
		.class_code = dev->cls->pci_class,
		.revision = 1,
		.intx_pin = 1,
		.cfg_read = vpci_cfg_read,
		.cfg_write = vpci_cfg_write,
		.priv = dev,
	};
	int err = v3_pci_add(dev->vm, slot ? slot : V3_PCI_SLOT_ANY, 0, &desc, &dev->func);

	if (!err)
		err = v3_pci_add_bar(dev->func, VPCI_BAR, V3_PCI_BAR_MEM32, VPCI_BAR_LEN, vpci_bar,
				     dev);
	return err ? err : vpci_add_caps(dev);
}

static int vpci_init_queues(struct v3_virtio *dev)
{
	uint16_t i;

	for (i = 0; i < dev->nqueues; i++) {
		struct v3_vq *q = &dev->queue[i];

		q->dev = dev;
		q->index = i;
		q->work.fn = vpci_work;
		q->work.arg = q;
		q->chain = v3_alloc(sizeof(*q->chain));
		if (!q->chain)
			return V3_ENOMEM;
		v3_vq_reset(q);
	}
	return V3_OK;
}

int v3_virtio_create(struct v3_vm *vm, const struct v3_virtio_class *cls,
		     const struct v3_virtio_params *params, void *priv, struct v3_virtio **out)
{
	struct v3_virtio *dev;
	int err;

	dev = v3_alloc(sizeof(*dev) + params->nqueues * sizeof(dev->queue[0]));
	if (!dev)
		return V3_ENOMEM;
	dev->vm = vm;
	dev->cls = cls;
	dev->priv = priv;
	dev->nqueues = (uint16_t)params->nqueues;
	dev->config_len = (uint8_t)params->config_len;
	dev->offered = params->features | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
		       VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	err = v3_lock_init(&dev->lock);
	if (!err)
		err = vpci_init_queues(dev);
	if (!err)
		err = vpci_add_func(dev, params->slot);
	if (err) {
		v3_virtio_destroy(dev);
		return err;
	}
	*out = dev;
	return V3_OK;
}

void v3_virtio_destroy(struct v3_virtio *dev)
{
	uint16_t i;

	if (!dev)
		return;
	v3_pci_remove(dev->func);
	for (i = 0; i < dev->nqueues; i++)
		v3_free(dev->queue[i].chain);
	v3_lock_destroy(&dev->lock);
	v3_free(dev);
}
