/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pci.c
 * Virtio over PCI (virtio 1.2, 4.1): identity, interrupts, device status and reset, and who runs which queue. Called
 * by the devices and by modern.c and legacy.c, which have the registers; calls ring.c and the device's process().
 */
#include "devices/virtio/transport.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "virtio"

#define VPCI_VENDOR    0x1af4
#define VPCI_DEVICE(n) (0x1040 + (n)) /* 4.1.2 */

#define VPCI_STATUS_WRITABLE                                                                       \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |              \
	 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

/* ---- interrupts ---- */

/*
 * By message or, as long as the driver has not switched MSI-X on, by ISR and INTx (4.1.5.3, 4.1.5.4); not after a reset,
 * which may come in between.
 */
static void vpci_interrupt(struct v3_virtio *dev, uint16_t vector, uint8_t isr)
{
	unsigned long flags;

	if (v3_pci_notify(dev->func, vector))
		return;
	flags = v3_lock_acquire(&dev->lock);
	if (dev->status & VIRTIO_STATUS_DRIVER_OK) {
		dev->isr |= isr;
		v3_pci_set_intx(dev->func, true);
	}
	v3_lock_release(&dev->lock, flags);
}

void v3_virtio_interrupt(struct v3_vq *q)
{
	vpci_interrupt(q->dev, __atomic_load_n(&q->vector, __ATOMIC_RELAXED), V3_VIRTIO_ISR_QUEUE);
}

static void vpci_config_interrupt(struct v3_virtio *dev)
{
	vpci_interrupt(dev, __atomic_load_n(&dev->config_vector, __ATOMIC_RELAXED),
		       V3_VIRTIO_ISR_CONFIG);
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
	v3_vq_begin(q);
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

/* A run that takes nothing. Nobody else runs a queue now, nor gives memory back. */
static void vpci_finish(struct v3_vq *q)
{
	struct v3_virtio *dev = q->dev;
	unsigned long flags = v3_lock_acquire(&dev->lock);

	q->running = true;
	dev->running++;
	v3_lock_release(&dev->lock, flags);
	v3_vq_begin(q);
	q->more = false;
	dev->cls->finish(dev->priv, q);
	v3_vq_publish(q);
	if (vpci_end_run(q))
		v3_virtio_run_later(q);
}

bool v3_virtio_finish_held(struct v3_virtio *dev)
{
	bool held = false;
	uint16_t i;

	for (i = 0; i < dev->nqueues; i++) {
		if (dev->queue[i].held)
			vpci_finish(&dev->queue[i]);
		held |= dev->queue[i].held;
	}
	return held;
}

static void vpci_work(struct v3_vcpu *vcpu, void *arg)
{
	v3_virtio_run(vcpu, arg);
}

void v3_virtio_run_later(struct v3_vq *q)
{
	struct v3_vm *vm = q->dev->vm;

	v3_vcpu_queue_work(v3_vm_vcpu(vm, q->index / 2u % v3_vm_vcpu_count(vm)), &q->work);
}

/* ---- what both sets of registers have; lock held ---- */

uint8_t v3_virtio_take_isr(struct v3_virtio *dev)
{
	uint8_t isr = dev->isr;

	dev->isr = 0;
	v3_pci_set_intx(dev->func, false);
	return isr;
}

void v3_virtio_config_access(struct v3_virtio *dev, struct v3_pci_access *a, unsigned off)
{
	bool inside = off + a->size <= dev->config_len;

	if (!a->write) {
		a->value = 0;
		if (inside)
			memcpy(&a->value, dev->config + off, a->size);
	} else if (inside && dev->cls->config_write) {
		dev->cls->config_write(dev->priv, off, a->size, (uint32_t)a->value);
	}
}

struct v3_vq *v3_virtio_selected(struct v3_virtio *dev)
{
	return dev->queue_select < dev->nqueues ? &dev->queue[dev->queue_select] : NULL;
}

uint16_t v3_virtio_vector(const struct v3_virtio *dev, uint32_t value)
{
	return value <= dev->nqueues ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

/*
 * What is accepted must have been offered, and queues enabled already must fit the layout that is chosen by it. A
 * legacy driver has the low 32 features only, and no way to hear that others are refused.
 */
static bool vpci_features_agreed(struct v3_virtio *dev, bool legacy)
{
	bool agreed = legacy || ((dev->features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) &&
				 !(dev->features & ~dev->offered));
	uint16_t i;

	if (legacy)
		dev->features &= (uint32_t)dev->offered;
	for (i = 0; agreed && i < dev->nqueues; i++)
		agreed = !dev->queue[i].enabled || !v3_vq_check(&dev->queue[i]);
	return agreed;
}

/*
 * The driver is ready: what came before that was not looked at, be it from the driver or for it, and nobody says again that
 * it is there.
 */
static void vpci_driver_ok(struct v3_virtio *dev)
{
	uint16_t i;

	for (i = 0; i < dev->nqueues; i++) {
		if (dev->queue[i].enabled)
			v3_virtio_run_later(&dev->queue[i]);
	}
}

/*
 * Bits are added only, 0 resets (2.1, 4.1.4.3.1). To a legacy driver there is no FEATURES_OK: what it has chosen
 * when it says DRIVER_OK counts.
 */
void v3_virtio_write_status(struct v3_virtio *dev, uint8_t value, bool legacy)
{
	uint8_t status, added;

	if (!value) {
		if (dev->running)
			__atomic_store_n(&dev->resetting, true, __ATOMIC_RELAXED);
		else
			vpci_do_reset(dev);
		return;
	}
	if (legacy && (value & VIRTIO_STATUS_DRIVER_OK))
		value |= VIRTIO_STATUS_FEATURES_OK;
	status = dev->status | (value & VPCI_STATUS_WRITABLE);
	if (!(dev->status & VIRTIO_STATUS_FEATURES_OK) && (status & VIRTIO_STATUS_FEATURES_OK) &&
	    !vpci_features_agreed(dev, legacy))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	if (!(status & VIRTIO_STATUS_FEATURES_OK))
		status &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	added = status & (uint8_t)~dev->status;
	if ((added & VIRTIO_STATUS_FEATURES_OK) && dev->cls->state)
		dev->cls->state(dev->priv, true);
	__atomic_store_n(&dev->status, status, __ATOMIC_RELEASE);
	if (added & VIRTIO_STATUS_DRIVER_OK)
		vpci_driver_ok(dev);
}

/* As if the driver wrote 0: queues that run finish what they have. */
static void vpci_bus_reset(struct v3_pci_func *func, void *priv)
{
	struct v3_virtio *dev = priv;
	unsigned long flags = v3_lock_acquire(&dev->lock);

	(void)func;
	v3_virtio_write_status(dev, 0, false);
	v3_lock_release(&dev->lock, flags);
}

/* ---- create ---- */

static int vpci_add_func(struct v3_virtio *dev, const struct v3_cfg *cfg)
{
	unsigned slot = (unsigned)v3_cfg_uint(cfg, "slot");
	struct v3_pci_desc desc = {
		.vendor = VPCI_VENDOR,
		.device = (uint16_t)VPCI_DEVICE(dev->cls->id),
		.subsys_vendor = VPCI_VENDOR,
		.subsys = (uint16_t)VPCI_DEVICE(dev->cls->id),
		.class_code = dev->cls->pci_class,
		.revision = 1,
		.intx_pin = 1,
		.bus = v3_cfg_string(cfg, "bus"),
		.cfg_read = v3_virtio_modern_cfg_read,
		.cfg_write = v3_virtio_modern_cfg_write,
		.bus_reset = vpci_bus_reset,
		.priv = dev,
	};
	bool transitional = v3_cfg_bool(cfg, "transitional");
	int err;

	dev->bar = V3_VIRTIO_BAR_MODERN;
	if (transitional && !v3_virtio_legacy_id(dev->cls->id)) {
		V3_ERR(dev->vm, "transitional: %s has no transitional form", dev->cls->name);
		return V3_EINVAL;
	}
	if (transitional) { /* 4.1.2.1 */
		dev->bar = V3_VIRTIO_BAR_TRANSITIONAL;
		desc.device = v3_virtio_legacy_id(dev->cls->id);
		desc.subsys = dev->cls->id;
		desc.revision = 0;
	}
	err = v3_pci_add(dev->vm, slot ? slot : V3_PCI_SLOT_ANY, 0, &desc, &dev->func);
	if (!err)
		err = v3_virtio_modern_create(dev);
	if (!err && transitional)
		err = v3_virtio_legacy_create(dev);
	return err;
}

static int vpci_add_caps(struct v3_virtio *dev)
{
	int off = v3_pci_add_pm(dev->func);

	if (off > 0)
		off = v3_pci_add_msix(dev->func, V3_VIRTIO_BAR_MSIX, dev->nqueues + 1u);
	return off < 0 ? off : V3_OK;
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
		       VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
		       VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	err = v3_lock_init(&dev->lock);
	if (!err)
		err = vpci_init_queues(dev);
	if (!err)
		err = vpci_add_func(dev, params->cfg);
	if (!err)
		err = vpci_add_caps(dev);
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

/* ---- saved state ---- */

/* May a queue of a device with settled features be in this state? */
static bool vpci_queue_possible(const struct v3_vq *q)
{
	uint32_t round = 2u * q->size;

	if (!q->enabled)
		return !q->next_avail && !q->next_used;
	if (v3_vq_check(q))
		return false;
	return !v3_virtio_has(q->dev, VIRTIO_F_RING_PACKED) ||
	       (q->next_avail < round && q->next_used < round);
}

static int vpci_save_loaded(void *state)
{
	const struct v3_virtio *dev = state;
	uint16_t i;

	if (dev->status & ~(VPCI_STATUS_WRITABLE | VIRTIO_STATUS_NEEDS_RESET))
		return V3_EINVAL;
	if (!(dev->status & VIRTIO_STATUS_FEATURES_OK))
		return dev->status & VIRTIO_STATUS_DRIVER_OK ? V3_EINVAL : V3_OK;
	if (dev->features & ~dev->offered)
		return V3_EINVAL;
	for (i = 0; i < dev->nqueues; i++)
		if (!vpci_queue_possible(&dev->queue[i]))
			return V3_EINVAL;
	return V3_OK;
}

static const struct v3_save_field vpci_fields[] = {
	V3_SAVE_NOT(struct v3_virtio, vm),
	V3_SAVE_NOT(struct v3_virtio, cls),
	V3_SAVE_NOT(struct v3_virtio, priv),
	V3_SAVE_PARTS_AT(struct v3_virtio, func, &v3_pci_func_save),
	V3_SAVE_NOT(struct v3_virtio, lock),
	V3_SAVE_NOT(struct v3_virtio, offered),
	V3_SAVE(struct v3_virtio, features),
	V3_SAVE(struct v3_virtio, status),
	V3_SAVE_NOT(struct v3_virtio, resetting), /* nothing runs or is held: it has been done */
	V3_SAVE_NOT(struct v3_virtio, running),
	V3_SAVE(struct v3_virtio, isr),
	V3_SAVE(struct v3_virtio, generation),
	V3_SAVE(struct v3_virtio, config_vector),
	V3_SAVE(struct v3_virtio, queue_select),
	V3_SAVE(struct v3_virtio, device_feature_select),
	V3_SAVE(struct v3_virtio, driver_feature_select),
	V3_SAVE_NOT(struct v3_virtio, bar),
	V3_SAVE_NOT(struct v3_virtio, pci_cfg_cap),
	V3_SAVE_NOT(struct v3_virtio, config_len),
	V3_SAVE(struct v3_virtio, config),
	V3_SAVE_NOT(struct v3_virtio, nqueues),
	V3_SAVE_PARTS_N(struct v3_virtio, queue, nqueues, &v3_vq_save),
	V3_SAVE_END,
};
const struct v3_save_table v3_virtio_save = {
	.fields = vpci_fields, .size = sizeof(struct v3_virtio), .loaded = vpci_save_loaded};
