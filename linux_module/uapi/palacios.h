/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file palacios.h
 * What /dev/palacios and the descriptors made from it understand. Shared by the module and user space; C and
 * C++, 32-bit and 64-bit callers.
 *
 * Three kinds of descriptors:
 *   device    open("/dev/palacios"): VERSION, CREATE, CREATE_FILES, OPEN, LIST
 *   VM        result of CREATE or OPEN: everything named "VM" below; poll()
 *   console   result of VM_CONSOLE: read(), write(), poll(); ioctls none. Stays readable when the VM is gone.
 *
 * A VM lives as long as a VM descriptor of it is open; a persistent one until VM_DESTROY. Its end stops it hard and
 * frees its memory. Every VM has a name of its own, by which OPEN finds it. It belongs to the user who created it: OPEN
 * is for that user and for CAP_SYS_ADMIN; a descriptor can be passed on to anybody.
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
#define PALACIOS_FEATURE_1G (1u << 0) /* guest memory may have 1 GiB pages */
#define PALACIOS_FEATURE_POOL                                                                      \
	(1u << 1) /* memory was reserved when the module was loaded (mem_pool=) */

struct palacios_version {
	__u32 abi;		 /* out: PALACIOS_ABI of the module */
	__u32 features;		 /* out: PALACIOS_FEATURE_* */
	char backend[16];	 /* out: "svm" or "vmx" */
	__u32 cpus;		 /* out: CPUs that can run guests now */
	__u32 vms;		 /* out: VMs there are */
	__aligned_u64 pool_size; /* out: bytes reserved */
	__aligned_u64 pool_free; /* out: of these, in no VM */
	__u32 reserved[4];	 /* out: 0 */
};

/* ---- device: CREATE ---- */
#define PALACIOS_CREATE_PERSISTENT (1u << 0) /* outlives its descriptors */
/*
 * Make a VM from a container of v3-mkimage. Result: a VM descriptor; the VM is READY.
 * EBADMSG: malformed container or guest definition (the kernel log has file and line); E2BIG: longer than
 * PALACIOS_MAX_IMAGE; EINVAL: length 0, or a name that is not 1 to 63 of A-Z a-z 0-9 . _ -; EEXIST: a VM of that name
 * exists; ENOENT, EOPNOTSUPP: something the definition names does not exist (kernel log); EBUSY: another hypervisor
 * uses the CPUs, or the host shuts down (kernel log); ENOMEM; EMFILE.
 */
struct palacios_create {
	__aligned_u64 image; /* in: address of the container */
	__aligned_u64 size;  /* in: its length in bytes */
	__u32 flags;	     /* in: PALACIOS_CREATE_* */
	__u32 reserved0;
	char name
		[PALACIOS_NAME_SIZE]; /* in: its name; empty: the one in the definition, made unique by "-2", "-3" ... */
	__aligned_u64 reserved[4];
};

/* ---- device: CREATE_FILES ---- */
#define PALACIOS_FILE_NAME_SIZE 192 /* bytes, terminator included */
#define PALACIOS_MAX_FILES	64
/*
 * As CREATE, for a guest with disks on files of the host, or networks that lead to interfaces of the host. Each that the
 * definition names comes as a descriptor under that name: the module opens none itself. They are kept open until the VM is
 * freed; the caller may close its own.
 * An interface is a TAP one: /dev/net/tun after TUNSETIFF with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR (with 10 bytes, the
 * default), and TUNSETOFFLOAD.
 * Errors as CREATE's, and: EBADF: no descriptor; EINVAL: a kind that is none, a name that is empty or does not end, not
 * a regular file or block device (not /dev/net/tun), not open for reading (and writing), open with O_APPEND or O_DIRECT;
 * E2BIG: more than PALACIOS_MAX_FILES; ENOENT: the definition names one that was not given; EPERM: the guest may write
 * a file that is open for reading only.
 */
#define PALACIOS_FILE_DISK	0
#define PALACIOS_FILE_TAP	1
struct palacios_file {
	char name[PALACIOS_FILE_NAME_SIZE]; /* in: as in the definition */
	__s32 fd;			    /* in */
	__u32 kind;			    /* in: PALACIOS_FILE_* */
	__u32 reserved[2];
};

struct palacios_create_files {
	struct palacios_create create; /* in */
	__aligned_u64 files;	       /* in: address of an array of struct palacios_file */
	__u32 nfiles;		       /* in: its length */
	__u32 reserved0;
	__aligned_u64 reserved[4];
};

/* ---- device: OPEN ---- */
/* Result: one more descriptor of a VM. ENOENT: none of that name; EACCES: it belongs to another user; EMFILE; ENOMEM. */
struct palacios_open {
	char name[PALACIOS_NAME_SIZE]; /* in */
	__u32 flags;		       /* in: 0 */
	__u32 reserved[7];
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
	PALACIOS_STATE_STOPPED = 3, /* for good; make another */
};

enum palacios_reason {
	PALACIOS_REASON_NONE = 0,     /* not stopped */
	PALACIOS_REASON_POWEROFF = 1, /* the guest switched itself off, or STOP_HARD did */
	PALACIOS_REASON_EXIT = 2, /* the guest wrote the debug-exit port; status is its status */
	PALACIOS_REASON_FAILURE =
		3, /* a failure of the VMM; status is a negative errno, details in the kernel log */
};

#define PALACIOS_INFO_PERSISTENT (1u << 0)

struct palacios_info {
	__u32 state;		       /* out: enum palacios_state */
	__u32 reason;		       /* out: enum palacios_reason */
	__s32 status;		       /* out: see enum palacios_reason */
	__u32 vcpus;		       /* out */
	__aligned_u64 memory_bytes;    /* out: host memory taken for guest RAM and ROM */
	__aligned_u64 created_s;       /* out: seconds since 1970-01-01 UTC */
	__u32 owner_uid;	       /* out: user that created it */
	__u32 flags;		       /* out: PALACIOS_INFO_* */
	char name[PALACIOS_NAME_SIZE]; /* out */
	__aligned_u64 id;	       /* out: number that no other VM has or will have, from 1 */
	__u32 resets;		       /* out: how often the guest was reset */
	__u32 reserved0;	       /* out: 0 */
	__aligned_u64 memory_1g;       /* out: of memory_bytes, in pieces of 1 GiB */
	__aligned_u64 memory_2m;       /* out: in pieces of 2 MiB; the rest is in smaller ones */
	__aligned_u64 reserved[4];     /* out: 0 */
};

/* ---- device: LIST ---- */
/*
 * The next VM by id, whosever it is, without opening it. ENOENT: no VM has a larger id. Start with 0, go on with the
 * id that came back.
 */
struct palacios_list {
	__aligned_u64 after; /* in: an id, or 0 */
	__aligned_u64 reserved[3];
	struct palacios_info info; /* out */
};

/* ---- VM: DESTROY: no argument ---- */
/*
 * Stop it hard and take its name away: LIST and OPEN do not know it any more, and a persistent VM is one no more. Its
 * memory is freed when its last descriptor is closed. ENOENT: that was done before.
 */

/* ---- VM: VCPU ---- */
enum palacios_vcpu_state {
	PALACIOS_VCPU_RUNNABLE = 0,
	PALACIOS_VCPU_HALTED = 1,    /* waits for an interrupt */
	PALACIOS_VCPU_WAIT_SIPI = 2, /* not started by the guest yet */
};

/* ERANGE: no such vcpu. */
struct palacios_vcpu {
	__u32 vcpu;	       /* in */
	__u32 cpu;	       /* out: host CPU it is bound to */
	__u32 state;	       /* out: enum palacios_vcpu_state */
	__u32 reserved0;       /* 0 */
	__aligned_u64 entries; /* out: how often the guest was entered */
	__aligned_u64 reserved[4];
};

/* ---- VM: MOVE ---- */
/* Bind a vcpu to another host CPU; on return it runs there. ERANGE: no such vcpu; ENODEV: no such CPU, or offline. */
struct palacios_move {
	__u32 vcpu; /* in */
	__u32 cpu;  /* in */
	__u32 reserved[2];
};

/* ---- VM: READ_MEMORY, WRITE_MEMORY ---- */
/*
 * Copy from or to guest memory, in any state; not atomic with respect to the guest. For debuggers: EPERM without
 * CAP_SYS_ADMIN. ERANGE: not all of it is RAM; EFAULT: bad pointer. In both cases a part may have been copied.
 */
struct palacios_memory {
	__aligned_u64 gpa;    /* in: guest-physical address */
	__aligned_u64 size;   /* in: bytes */
	__aligned_u64 buffer; /* in: address in the caller */
	__aligned_u64 reserved;
};

/* ---- VM: DUMP ---- */
/*
 * State of the VM as text: why it stopped, then for each vcpu its registers and its last exits. A VM that failed shows
 * the moment of failure, entry check included. Of a running VM each vcpu stands still for the moment it takes. ENOMEM.
 */
struct palacios_dump {
	__aligned_u64 buffer; /* in: address in the caller */
	__aligned_u64 size;   /* in: bytes there */
	__aligned_u64
		length; /* out: bytes of the whole text; the buffer got what fits of it, in whole lines */
	__aligned_u64 reserved[2];
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

#define PALACIOS_VERSION	 _IOR(PALACIOS_IOC, 0x00, struct palacios_version)
#define PALACIOS_CREATE		 _IOW(PALACIOS_IOC, 0x01, struct palacios_create)
#define PALACIOS_OPEN		 _IOW(PALACIOS_IOC, 0x02, struct palacios_open)
#define PALACIOS_LIST		 _IOWR(PALACIOS_IOC, 0x03, struct palacios_list)
#define PALACIOS_CREATE_FILES	 _IOW(PALACIOS_IOC, 0x04, struct palacios_create_files)
#define PALACIOS_VM_START	 _IO(PALACIOS_IOC, 0x40)
#define PALACIOS_VM_PAUSE	 _IO(PALACIOS_IOC, 0x41)
#define PALACIOS_VM_CONTINUE	 _IO(PALACIOS_IOC, 0x42)
#define PALACIOS_VM_RESET	 _IO(PALACIOS_IOC, 0x43)
#define PALACIOS_VM_STOP	 _IOW(PALACIOS_IOC, 0x44, struct palacios_stop)
#define PALACIOS_VM_INFO	 _IOR(PALACIOS_IOC, 0x45, struct palacios_info)
#define PALACIOS_VM_STATS	 _IOWR(PALACIOS_IOC, 0x46, struct palacios_stats)
#define PALACIOS_VM_CONSOLE	 _IOW(PALACIOS_IOC, 0x47, struct palacios_console)
#define PALACIOS_VM_DESTROY	 _IO(PALACIOS_IOC, 0x48)
#define PALACIOS_VM_VCPU	 _IOWR(PALACIOS_IOC, 0x49, struct palacios_vcpu)
#define PALACIOS_VM_MOVE	 _IOW(PALACIOS_IOC, 0x4a, struct palacios_move)
#define PALACIOS_VM_READ_MEMORY	 _IOW(PALACIOS_IOC, 0x4b, struct palacios_memory)
#define PALACIOS_VM_WRITE_MEMORY _IOW(PALACIOS_IOC, 0x4c, struct palacios_memory)
#define PALACIOS_VM_DUMP	 _IOWR(PALACIOS_IOC, 0x4d, struct palacios_dump)

#endif
