/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file palacios.h
 * What /dev/palacios and the descriptors made from it understand. Shared by the module and user space; C and
 * C++, 32-bit and 64-bit callers.
 *
 * Three kinds of descriptors:
 *   device    open("/dev/palacios"): VERSION, CREATE
 *   VM        result of CREATE: everything named "VM" below; poll(). The VM lives until its last descriptor is
 *             closed, which stops it hard and frees it.
 *   console   result of VM_CONSOLE: read(), write(), poll(); ioctls none. Stays readable when the VM is gone.
 *
 * Rules for every call:
 *   - Success is 0, or the new descriptor (with O_CLOEXEC). Failure is -1 and errno.
 *   - Every field named reserved, and every flag bit without a name, must be 0: EINVAL.
 *   - A bad pointer is EFAULT, an unknown command ENOTTY. Other errors stand with the call.
 *   - All integers are in host byte order. Texts end with a 0 byte inside their field.
 *   - Structures never change; a later version adds commands.
 *
 * poll() on a VM descriptor: POLLIN when state, reason or status differ from what VM_INFO on this descriptor
 * returned last (at first: always); POLLHUP, in addition, from the moment the VM has stopped.
 *
 * read() on a console: the guest's output from the oldest byte that is still kept (the last 256 KiB) on; each
 * descriptor has its own position. One that falls behind by more than the ring loses the oldest bytes. Blocks
 * unless O_NONBLOCK (EAGAIN). 0 when all is read and the VM is gone. write() is the guest's input; it blocks, or
 * fails with EAGAIN, while the guest does not take any; EPIPE when the VM is gone, ENXIO for a stream that takes no input.
 */
#ifndef PALACIOS_UAPI_PALACIOS_H
#define PALACIOS_UAPI_PALACIOS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PALACIOS_DEVICE	   "/dev/palacios"
#define PALACIOS_ABI	   1  /* raised when a command or a structure changes its meaning */
#define PALACIOS_NAME_SIZE 64 /* bytes, terminator included */

#define PALACIOS_MAX_IMAGE    (1ull << 30) /* bytes of a container */
#define PALACIOS_CONSOLE_RING (256 * 1024) /* bytes of guest output that are kept */

/* ---- device: VERSION ---- */
struct palacios_version {
	__u32 abi;	   /* out: PALACIOS_ABI of the module */
	__u32 features;	   /* out: 0; later versions name bits here */
	char backend[16];  /* out: "svm" */
	__u32 cpus;	   /* out: CPUs that can run guests, numbered from 0 */
	__u32 reserved[9]; /* out: 0 */
};

/* ---- device: CREATE ---- */
/*
 * Make a VM from a container of v3-mkimage. Result: a VM descriptor; the VM is READY.
 * EBADMSG: malformed container or guest definition (the kernel log has file and line); E2BIG: longer than
 * PALACIOS_MAX_IMAGE; EINVAL: length 0, or a name that is not 1 to 63 of A-Z a-z 0-9 . _ -; ENOENT, EOPNOTSUPP:
 * something the definition names does not exist (kernel log); ENOMEM; EMFILE.
 */
struct palacios_create {
	__aligned_u64 image; /* in: address of the container */
	__aligned_u64 size;  /* in: its length in bytes */
	__u32 flags;	     /* in: 0 */
	__u32 reserved0;
	char name[PALACIOS_NAME_SIZE]; /* in: name to show; empty: the one in the definition */
	__aligned_u64 reserved[4];
};

/* ---- VM: START, PAUSE, CONTINUE, RESET: no argument ---- */
/*
 * EBUSY: not possible in the state the VM is in: START wants READY, PAUSE wants RUNNING, CONTINUE wants PAUSED,
 * RESET wants RUNNING or PAUSED. START also ENOMEM; then the VM is STOPPED.
 */

/* ---- VM: STOP ---- */
#define PALACIOS_STOP_BUTTON                                                                       \
	0 /* press the power button, return at once; EOPNOTSUPP: the guest has none */
#define PALACIOS_STOP_HARD 1 /* on return no vcpu runs any more; allowed in every state */
struct palacios_stop {
	__u32 how;
	__u32 reserved[3];
};

/* ---- VM: INFO ---- */
enum palacios_state {
	PALACIOS_STATE_READY = 0, /* created, never started */
	PALACIOS_STATE_RUNNING = 1,
	PALACIOS_STATE_PAUSED = 2,
	PALACIOS_STATE_STOPPED = 3, /* for good; destroy it and make another */
};

enum palacios_reason {
	PALACIOS_REASON_NONE = 0,     /* not stopped */
	PALACIOS_REASON_POWEROFF = 1, /* the guest switched itself off, or STOP_HARD did */
	PALACIOS_REASON_EXIT = 2, /* the guest wrote the debug-exit port; status is its status */
	PALACIOS_REASON_FAILURE =
		3, /* a failure of the VMM; status is a negative errno, details in the kernel log */
};

struct palacios_info {
	__u32 state;		       /* out: enum palacios_state */
	__u32 reason;		       /* out: enum palacios_reason */
	__s32 status;		       /* out: see enum palacios_reason */
	__u32 vcpus;		       /* out */
	__aligned_u64 memory_bytes;    /* out: host memory taken for guest RAM and ROM */
	__aligned_u64 created_s;       /* out: seconds since 1970-01-01 UTC */
	__u32 owner_uid;	       /* out: user that created it */
	__u32 flags;		       /* out: 0 */
	char name[PALACIOS_NAME_SIZE]; /* out */
	__aligned_u64 reserved[8];     /* out: 0 */
};

/* ---- VM: STATS ---- */
#define PALACIOS_STAT_BUCKETS 32
/*
 * Figures of one exit kind of one vcpu. Kinds are 0, 1, ... without gaps; ERANGE: no such vcpu or kind: that is
 * how a caller finds the end.
 */
struct palacios_stats {
	__u32 vcpu; /* in */
	__u32 kind; /* in */
	__u32 reserved0;
	__u32 reserved1;
	char name[24];		  /* out: of the kind, e.g. "cpuid" */
	__aligned_u64 count;	  /* out: exits */
	__aligned_u64 cycles;	  /* out: total, from exit to next entry */
	__aligned_u64 max_cycles; /* out: of one exit */
	__u32 histogram
		[PALACIOS_STAT_BUCKETS]; /* out: bucket b: exits of 2^b to 2^(b+1) - 1 cycles */
};

/* ---- VM: CONSOLE ---- */
/* Result: a console descriptor. ENOENT: the guest has no stream of that name; EMFILE; ENOMEM. */
struct palacios_console {
	char name[32]; /* in: as in the guest definition, e.g. "console"; empty: the first stream */
	__u32 flags;   /* in: 0 */
	__u32 reserved[7];
};

#define PALACIOS_IOC 0xb6

#define PALACIOS_VERSION     _IOR(PALACIOS_IOC, 0x00, struct palacios_version)
#define PALACIOS_CREATE	     _IOW(PALACIOS_IOC, 0x01, struct palacios_create)
#define PALACIOS_VM_START    _IO(PALACIOS_IOC, 0x40)
#define PALACIOS_VM_PAUSE    _IO(PALACIOS_IOC, 0x41)
#define PALACIOS_VM_CONTINUE _IO(PALACIOS_IOC, 0x42)
#define PALACIOS_VM_RESET    _IO(PALACIOS_IOC, 0x43)
#define PALACIOS_VM_STOP     _IOW(PALACIOS_IOC, 0x44, struct palacios_stop)
#define PALACIOS_VM_INFO     _IOR(PALACIOS_IOC, 0x45, struct palacios_info)
#define PALACIOS_VM_STATS    _IOWR(PALACIOS_IOC, 0x46, struct palacios_stats)
#define PALACIOS_VM_CONSOLE  _IOW(PALACIOS_IOC, 0x47, struct palacios_console)

#endif
