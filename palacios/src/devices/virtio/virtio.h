/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio.h
 * What a virtio device is made of (virtio 1.2; section numbers are those of that specification): ring.c has the
 * virtqueues, pci.c, modern.c and legacy.c the PCI transport, and each kind of device is a file of its own on top.
 *
 * A driver is hostile. Every index, length and address it gives is checked where it is read, once; a device
 * whose driver breaks a rule of the ring sets DEVICE_NEEDS_RESET (2.1.2) and stops until it is reset.
 *
 * Queues run without a lock: whoever finds a queue idle owns it until process() returns (v3_virtio_run()).
 * Nothing else touches a running queue, not even a reset by the guest, which waits for the owner.
 */
#ifndef V3_DEVICES_VIRTIO_VIRTIO_H
#define V3_DEVICES_VIRTIO_VIRTIO_H

#include "palacios/config.h"
#include "palacios/mem.h"
#include "palacios/pci.h"
#include "palacios/save.h"
#include "palacios/types.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

/* Device status, 2.1 */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01
#define VIRTIO_STATUS_DRIVER	  0x02
#define VIRTIO_STATUS_DRIVER_OK	  0x04
#define VIRTIO_STATUS_FEATURES_OK 0x08
#define VIRTIO_STATUS_NEEDS_RESET 0x40
#define VIRTIO_STATUS_FAILED	  0x80

/* Feature bits that are not a device's own, 6 */
#define VIRTIO_F_ANY_LAYOUT    27 /* offered to legacy drivers only */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32
#define VIRTIO_F_RING_PACKED   34
#define VIRTIO_BIT(feature)    (1ull << (feature))

#define VIRTIO_NO_VECTOR  0xffff /* 4.1.5.1.2 */
#define VIRTIO_QUEUE_MAX  256	 /* entries of a queue, and segments of a chain */
#define VIRTIO_CONFIG_MAX 64	 /* bytes of device-specific configuration */
#define VIRTIO_RUN_BUDGET 128	 /* chains taken in one run: then others get their turn */

struct v3_virtio;
struct v3_vq;

/** What a kind of device is. Static. */
struct v3_virtio_class {
	const char *name;   /* for the log */
	uint16_t id;	    /* device type, 5 */
	uint32_t pci_class; /* as v3_pci_desc.class_code */
	/**
	 * The driver made buffers available in @p q, or v3_virtio_run() was called. No lock held, on a vcpu's thread or
	 * between v3_vm_enter() and v3_vm_leave(); nobody else
	 * runs this queue, but other queues may run on other vcpus at the same time. Takes chains with
	 * v3_vq_pop() and gives them back with v3_vq_put(). Must not sleep.
	 */
	void (*process)(void *priv, struct v3_vq *q);
	/**
	 * Chains of @p q are held (v3_vq_hold()) and may be finished now; called before process(), same context, and
	 * also if the driver must not be served any more. NULL: the device holds none.
	 */
	void (*finish)(void *priv, struct v3_vq *q);
	/**
	 * Features are settled or the device is reset (@p live false): forget what belonged to the driver before.
	 * Device lock held, no queue runs. NULL: nothing to do.
	 */
	void (*state)(void *priv, bool live);
	/** The guest wrote configuration space; device lock held. NULL: it cannot. */
	void (*config_write)(void *priv, unsigned off, unsigned size, uint32_t value);
};

/** Consecutive bytes of guest memory. */
struct v3_vq_seg {
	v3_gpa_t gpa;
	uint32_t len; /* not 0; gpa + len does not wrap */
};

/** Position in one half of a chain. */
struct v3_vq_cursor {
	uint16_t seg, end; /* next segment, first one that is not ours */
	uint32_t off;	   /* in segment seg */
	uint64_t left;	   /* bytes from here to the end */
};

/** One chain of descriptors, checked and copied: what the device reads, then what it writes (2.7.4.2). */
struct v3_vq_chain {
	uint16_t head;
	struct v3_vq_cursor out; /* device-readable */
	struct v3_vq_cursor in;	 /* device-writable */
	uint64_t in_len;
	bool lent; /* bytes of the writable half were handed out since v3_vq_wrote() */
	struct v3_vq_seg seg[VIRTIO_QUEUE_MAX];
};

/** Where a page of a ring is in the host; hva NULL: nothing remembered. */
struct v3_vq_page {
	v3_gpa_t gpa;
	uint8_t *hva;
};

/** A virtqueue, 2.6. In a split ring next_* and published run freely, in a packed one they are as packed.c says. */
struct v3_vq {
	struct v3_virtio *dev; /* not owned; holds this */
	uint16_t index;
	/* Set by the driver while the queue is not enabled; device lock. */
	uint16_t size;	 /* entries; checked once enabled */
	uint16_t vector; /* of MSI-X, or VIRTIO_NO_VECTOR */
	bool enabled;
	v3_gpa_t desc, avail, used; /* packed: ring, driver's and device's event suppression */
	/* Who runs it; device lock. */
	bool running;
	bool again;    /* kicked while running */
	uint16_t held; /* chains that the device keeps while nobody runs the queue */
	/* The runner's alone. */
	uint16_t next_avail;	   /* next entry to take */
	uint16_t next_used;	   /* next used entry to fill */
	uint16_t published;	   /* used entries up to this one are the driver's to see */
	uint16_t first_flags;	   /* packed: of the first one that it does not see yet */
	uint16_t budget;	   /* chains that may still be taken in this run */
	bool more;		   /* there were more than that */
	bool polled;		   /* the driver is not asked to notify */
	struct v3_vq_chain *chain; /* owned: the chain taken last */
	struct v3_vq_page page[4]; /* by page number: those met last */
	uint32_t page_count;	   /* v3_mem_release_count() then */
	uint16_t ndesc
		[VIRTIO_QUEUE_MAX]; /* packed: descriptors of the chain taken last under an id */
	struct v3_work work;	    /* runs the queue once more */
	bool due;		    /* for saved state: that waits to happen */
};

/** A device: transport state and queues. */
struct v3_virtio {
	struct v3_vm *vm;		   /* not owned; outlives the device */
	const struct v3_virtio_class *cls; /* not owned, static */
	void *priv;			   /* not owned; outlives this */
	struct v3_pci_func *func;	   /* owned */
	struct v3_lock lock;		   /* guards all below but what is the runner's */
	uint64_t offered;
	uint64_t features; /* the driver's choice; fixed once FEATURES_OK is set */
	uint8_t status;	   /* VIRTIO_STATUS_*; also read without the lock */
	bool resetting;	   /* the guest wants a reset; the last runner performs it */
	uint16_t running;  /* queues that run, and chains that are held */
	uint8_t isr;
	uint8_t generation;
	uint16_t config_vector;
	uint16_t queue_select;
	uint32_t device_feature_select, driver_feature_select;
	uint8_t bar;	     /* with the modern registers */
	uint8_t pci_cfg_cap; /* offset of the configuration access capability */
	uint8_t config_len;
	uint8_t config[VIRTIO_CONFIG_MAX]; /* device-specific configuration, little-endian */
	uint16_t nqueues;
	struct v3_vq queue[];
};

/**
 * Keys of the guest definition that every virtio device has: those of its PCI function, and
 * transitional: it has legacy registers besides, for drivers older than virtio 1.0.
 */
#define VIRTIO_KEYS                                                                                \
	V3_PCI_KEYS,                                                                               \
	{                                                                                          \
		.name = "transitional", .type = V3_CFG_BOOL                                        \
	}

/* ---- pci.c ---- */

/** How to make one. */
struct v3_virtio_params {
	uint64_t features; /* device-specific bits; the ring's and VERSION_1 are added */
	unsigned nqueues;
	unsigned config_len; /* at most VIRTIO_CONFIG_MAX */
	const struct v3_cfg
		*cfg; /* with VIRTIO_KEYS: where it is, and what it looks like to old drivers */
};

/**
 * Put a device on the PCI bus. thread, before the VM runs.
 * @return V3_OK; V3_ENOMEM; V3_EINVAL: transitional, but its kind is younger than that; what v3_pci_add() says.
 */
int v3_virtio_create(struct v3_vm *vm, const struct v3_virtio_class *cls,
		     const struct v3_virtio_params *params, void *priv, struct v3_virtio **dev);
/** VM not running. NULL is allowed. */
void v3_virtio_destroy(struct v3_virtio *dev);
/** Power-on state; all vcpus outside the guest. */
void v3_virtio_reset(struct v3_virtio *dev);
/** Has the driver accepted the feature? In process() and under the device lock. */
static inline bool v3_virtio_has(const struct v3_virtio *dev, unsigned feature)
{
	return dev->features >> feature & 1;
}
/** May its queues be used: driver ready, not broken, no reset under way? Without the lock: a hint. */
static inline bool v3_virtio_live(const struct v3_virtio *dev)
{
	const uint8_t need = VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK;

	return (__atomic_load_n(&dev->status, __ATOMIC_RELAXED) &
		(need | VIRTIO_STATUS_NEEDS_RESET)) == need &&
	       !__atomic_load_n(&dev->resetting, __ATOMIC_RELAXED);
}
/**
 * Run the queue, or have whoever runs it come back. No device lock held; @p vcpu: the caller's own, or any one between
 * v3_vm_enter() and v3_vm_leave(), with a pin (v3_mem_pin()).
 */
void v3_virtio_run(struct v3_vcpu *vcpu, struct v3_vq *q);
/** Have the queue run on a vcpu's thread; pairs of queues are spread over the vcpus. Any context. */
void v3_virtio_run_later(struct v3_vq *q);
/** The driver broke a rule: DEVICE_NEEDS_RESET, and a line in the log. No device lock held. */
void v3_virtio_fail(struct v3_virtio *dev, const char *why);
/** Interrupt for used buffers. No device lock held. */
void v3_virtio_interrupt(struct v3_vq *q);
/**
 * Finish chains that are held, as far as they can be now, and take no new ones; no vcpu runs. For who settles a device
 * (save.h). @return true: some are still held
 */
bool v3_virtio_finish_held(struct v3_virtio *dev);
/**
 * State of a device (save.h), for the table of its kind, V3_SAVE_PARTS_AT(), which has settled: no chain is held. Ring
 * and buffers are in guest memory, which may be loaded later.
 */
extern const struct v3_save_table v3_virtio_save;
/** Change @p len bytes of the device's configuration space and tell the driver. Any thread, no device lock. */
void v3_virtio_set_config(struct v3_virtio *dev, unsigned off, const void *bytes, unsigned len);

/**
 * Keep the chain taken last, q->chain, for later: it is exchanged with @p other, which is not in use. A reset by the
 * driver now waits until it has been released. In process() and finish().
 */
void v3_vq_hold(struct v3_vq *q, struct v3_vq_chain **other);
/** A chain that was held is done. In finish(); a reset of the VM releases all. */
void v3_vq_release(struct v3_vq *q);
/** Exchange q->chain with one that is held. */
static inline void v3_vq_swap(struct v3_vq *q, struct v3_vq_chain **other)
{
	struct v3_vq_chain *chain = q->chain;

	q->chain = *other;
	*other = chain;
}

/* ---- ring.c: in process(), for the queue that runs ---- */

/** A run begins: ring pages are where they were, unless the guest has given back any since. */
static inline void v3_vq_begin(struct v3_vq *q)
{
	const uint32_t count = v3_mem_release_count(q->dev->vm);

	if (q->page_count != count)
		memset(q->page, 0, sizeof(q->page));
	q->page_count = count;
}
/** To its state after reset; nobody runs it. */
void v3_vq_reset(struct v3_vq *q);
extern const struct v3_save_table v3_vq_save; /* of struct v3_vq; v3_virtio_save checks it */
/** Can the queue be enabled as the driver has set it up? @return NULL or what is wrong with it */
const char *v3_vq_check(const struct v3_vq *q);
/**
 * Take the next chain into q->chain. false: none now, the device is not live any more, or enough was done at one
 * go; then process() returns and is called again when there is something to do.
 */
bool v3_vq_pop(struct v3_vq *q);
/** What has been taken so far: chains after that can be given back. */
struct v3_vq_mark {
	uint16_t next_avail, budget;
};
struct v3_vq_mark v3_vq_mark(const struct v3_vq *q);
/** Give back what was taken since @p mark and not put: it will be taken again. */
void v3_vq_rewind(struct v3_vq *q, struct v3_vq_mark mark);
/**
 * Look at the queue unasked from now on (@p on), so that the driver need not notify; or no longer: then call
 * v3_vq_pop() until it finds nothing. For a device that has somebody to do so, by v3_virtio_run().
 */
void v3_vq_poll(struct v3_vq *q, bool on);
/**
 * The chain @p head is done, @p written bytes were written to it. The driver sees it after v3_vq_publish(); never,
 * if the device has failed meanwhile.
 */
void v3_vq_put(struct v3_vq *q, uint16_t head, uint32_t written);
/** Show what was put to the driver, and interrupt it if it wants that. Called after process(), too. */
void v3_vq_publish(struct v3_vq *q);

/**
 * Host address of the next bytes of the chain's readable (@p in false) or writable half, and move on behind
 * them. At most @p max bytes, and no more than lie together in the host. Writable ones are written before the
 * chain is put, or else before v3_vq_wrote().
 * @return NULL: that half is used up, or its address is not RAM (then the device has failed).
 */
void *v3_vq_piece(struct v3_vq *q, bool in, uint32_t max, uint32_t *len);
/** Copy exactly @p len bytes from the chain. false: it has less (nothing was moved), or not RAM (failed). */
bool v3_vq_read(struct v3_vq *q, void *buf, uint32_t len);
/** Copy exactly @p len bytes to it; as v3_vq_read(). */
bool v3_vq_write(struct v3_vq *q, const void *buf, uint32_t len);
/**
 * What was handed out of the chain's writable half is written, or will not be. v3_vq_put() and v3_vq_pop() call it; it
 * is left to be called for a chain that was kept, v3_vq_hold(), and is forgotten without being put.
 */
void v3_vq_wrote(struct v3_vq *q, struct v3_vq_chain *chain);
/**
 * Leave out @p len bytes of a half, as v3_vq_piece(), in time that does not depend on how many there are: what lies there
 * is not looked at, RAM or not. false: it has less
 */
bool v3_vq_skip(struct v3_vq *q, bool in, uint64_t len);
/** Bytes written to the chain so far. */
static inline uint32_t v3_vq_written(const struct v3_vq *q)
{
	return (uint32_t)(q->chain->in_len - q->chain->in.left);
}

#endif
