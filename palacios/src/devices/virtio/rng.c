/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file rng.c
 * virtio entropy device (virtio 1.2, 5.4) on the host's source of random bytes. Called by the transport and, on
 * vcpu 0's thread, by the timer that tries again when the source had run dry; calls the source.
 */
#include "devices/virtio/virtio.h"

#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/random.h"
#include "palacios/timer.h"

#define VRNG_ID	       4
#define VRNG_PCI_CLASS 0x00ff00 /* unclassified */
#define VRNG_MAX       4096u	/* bytes of one buffer that are filled: the driver sees how many */
#define VRNG_RETRY_NS  10000000ull

struct vrng {
	struct v3_vm *vm;	/* not owned; outlives the device */
	struct v3_virtio *dev;	/* owned */
	struct v3_timer *retry; /* owned */
};

/* Fill the chain as far as the source goes. @return bytes */
static uint32_t vrng_fill(struct v3_vq *q)
{
	uint32_t total = 0, len;
	size_t n;
	void *p;

	while (total < VRNG_MAX && (p = v3_vq_piece(q, true, VRNG_MAX - total, &len)) != NULL) {
		n = v3_random(p, len);
		total += (uint32_t)n;
		if (n < len)
			break;
	}
	return total;
}

/* A buffer without a single byte (5.4.6.2) is not given back: it waits for the source. */
static void vrng_process(void *priv, struct v3_vq *q)
{
	struct v3_vq_mark start = v3_vq_mark(q);
	struct vrng *vrng = priv;
	uint32_t n;

	for (; v3_vq_pop(q); start = v3_vq_mark(q)) {
		n = vrng_fill(q);
		if (!n && q->chain->in_len) {
			v3_vq_rewind(q, start);
			v3_timer_arm(vrng->retry, v3_time_ns(vrng->vm) + VRNG_RETRY_NS);
			return;
		}
		v3_vq_put(q, q->chain->head, n);
	}
}

static void vrng_retry(struct v3_vcpu *vcpu, void *priv)
{
	struct vrng *vrng = priv;

	v3_virtio_run(vcpu, &vrng->dev->queue[0]);
}

static const struct v3_virtio_class vrng_class = {
	.name = "virtio_rng",
	.id = VRNG_ID,
	.pci_class = VRNG_PCI_CLASS,
	.process = vrng_process,
};

static void vrng_reset(void *state)
{
	struct vrng *vrng = state;

	v3_timer_cancel(vrng->retry);
	v3_virtio_reset(vrng->dev);
}

static void vrng_destroy(void *state)
{
	struct vrng *vrng = state;

	v3_timer_destroy(vrng->retry);
	v3_virtio_destroy(vrng->dev);
	v3_free(vrng);
}

static int vrng_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct v3_virtio_params params = {.nqueues = 1, .cfg = cfg};
	struct vrng *vrng;
	int err;

	if (!v3_random_offered())
		return V3_ENOTSUP;
	vrng = v3_alloc(sizeof(*vrng));
	if (!vrng)
		return V3_ENOMEM;
	vrng->vm = vm;
	err = v3_timer_create(vm, NULL, vrng_retry, vrng, &vrng->retry);
	if (!err)
		err = v3_virtio_create(vm, &vrng_class, &params, vrng, &vrng->dev);
	if (err) {
		vrng_destroy(vrng);
		return err;
	}
	*state = vrng;
	return V3_OK;
}

static const struct v3_cfg_key vrng_keys[] = {VIRTIO_KEYS, {.name = NULL}};

static const struct v3_save_field vrng_fields[] = {
	V3_SAVE_NOT(struct vrng, vm),
	V3_SAVE_PARTS_AT(struct vrng, dev, &v3_virtio_save),
	V3_SAVE_TIMER(struct vrng, retry),
	V3_SAVE_END,
};
static const struct v3_save_table vrng_save = {.fields = vrng_fields, .size = sizeof(struct vrng)};

const struct v3_device_class v3_device_virtio_rng = {
	.name = "virtio_rng",
	.save = &vrng_save,
	.keys = vrng_keys,
	.create = vrng_create,
	.reset = vrng_reset,
	.destroy = vrng_destroy,
};
