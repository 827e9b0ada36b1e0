/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mem.h
 * Guest-physical memory: RAM, MMIO regions, page hooks, and safe copies to and from the guest.
 */
#ifndef PALACIOS_MEM_H
#define PALACIOS_MEM_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

/** Kinds of access, as a bit mask. */
enum v3_access { V3_ACC_READ = 1, V3_ACC_WRITE = 2, V3_ACC_EXEC = 4, V3_ACC_ALL = 7 };

/* Page-fault error code bits, APM vol. 2 8.4.2. */
#define V3_PF_PRESENT (1u << 0)
#define V3_PF_WRITE   (1u << 1)
#define V3_PF_USER    (1u << 2)
#define V3_PF_RSVD    (1u << 3)
#define V3_PF_FETCH   (1u << 4)
#define V3_PF_PK      (1u << 5)

/** One guest access to an MMIO region or hooked page. */
struct v3_mmio {
	v3_gpa_t gpa; /* never crosses a page */
	uint8_t size; /* bytes: 1, 2, 4, 8; wider accesses arrive as several of these, lowest first */
	bool write;   /* true: @p value holds the data; false: the handler sets value */
	uint64_t value; /* bits above size * 8 are zero for writes and ignored for reads */
};

/** As v3_io_fn: same context, same results. */
typedef int (*v3_mmio_fn)(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv);

/**
 * Claim guest-physical addresses for a device. Before the VM first runs, thread context.
 *
 * @param gpa,size  page-aligned, non-empty, below the VM's physical address width; may lie over RAM
 *                  (the RAM below is then not reachable by the guest there)
 * @return V3_OK; V3_EINVAL (not aligned, empty, wraps, too high); V3_EEXIST (overlaps another MMIO
 *         region); V3_ENOMEM.
 */
int v3_mmio_register(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, v3_mmio_fn fn, void *priv);
/**
 * Claim guest-physical addresses where no RAM is, at any time: a BAR was programmed. atomic, any vcpu;
 * device locks may be held.
 * @return as v3_mmio_register(); V3_EEXIST also if any page of the range is RAM, ROM or a card.
 */
int v3_mmio_attach(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, v3_mmio_fn fn, void *priv);
/**
 * Give back the region that begins at @p gpa. Any time, atomic. No such region: no effect. A handler that
 * another vcpu is just calling may still run on return: what its @p priv points to must outlive that, so
 * free it only while no vcpu runs.
 */
void v3_mmio_unregister(struct v3_vm *vm, v3_gpa_t gpa);
/** Move a region to a new base (a BAR or APIC base was written); flushes. Own vcpu thread. V3_EINVAL, V3_EEXIST. */
int v3_mmio_move(struct v3_vm *vm, v3_gpa_t from, v3_gpa_t to);

/**
 * Intercept guest accesses to one page of RAM. Any time, own vcpu thread or stopped VM.
 *
 * The handler gets each access of the kinds in @p access instead of memory being touched; to let it
 * happen it uses v3_mem_read()/v3_mem_write(). Other kinds go to the page at full speed where the
 * hardware can tell (a read hook always takes writes out of the fast path too, but they are not reported).
 *
 * Instructions that the emulator does not know raise #UD there, and an interrupt or exception whose stack,
 * IDT or TSS lies in such a page resets the VM: hook data, not stacks.
 *
 * @param gpa     page-aligned, RAM
 * @param access  V3_ACC_READ and/or V3_ACC_WRITE
 * @return V3_OK; V3_EINVAL; V3_ENOENT (not RAM); V3_EEXIST (page hooked already); V3_ENOMEM.
 */
int v3_mem_hook(struct v3_vm *vm, v3_gpa_t gpa, unsigned access, v3_mmio_fn fn, void *priv);
/** Remove the hook of the page. No hook: no effect. Same context. */
void v3_mem_unhook(struct v3_vm *vm, v3_gpa_t gpa);

/**
 * Add guest RAM (read-write) or ROM (guest writes are ignored and logged), backed by host pages in the
 * largest pieces the host has, zeroed. Before the VM first runs, thread context.
 * @return V3_OK; V3_EINVAL (not page-aligned, empty, wraps, too high); V3_EEXIST (overlaps RAM);
 *         V3_ENOSPC (more than 32 regions); V3_ENOMEM.
 */
int v3_mem_add_ram(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, int node);
int v3_mem_add_rom(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size);

#define V3_GPA_NONE (~0ull)

/** What becomes of writes to pages of the window. */
enum v3_window_writes {
	V3_WINDOW_DROP,	 /* dropped: read-only */
	V3_WINDOW_STORE, /* stored in what is shown, unless that is ROM */
	V3_WINDOW_UNDER, /* stored in the RAM that lies there, whatever is shown: how ROM is shadowed */
};

/**
 * Make RAM a window: its pages can be switched while the VM runs to show other memory, as chipsets do with
 * ROM and the RAM under it. At first it shows that RAM. One window per VM. Before the VM first runs, thread
 * context.
 * @param gpa,size  page-aligned, non-empty, RAM, within one aligned 2 MiB
 * @return V3_OK; V3_EINVAL; V3_ENOENT (not RAM); V3_EEXIST (there is a window); V3_ENOMEM.
 */
int v3_mem_window_create(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size);
/**
 * Switch pages of the window, which count as written then; flushes. Any time, own vcpu thread or stopped VM, no
 * locks held; the caller makes one call at a time. Accesses of other vcpus meanwhile see one or the other.
 * @param gpa,size  page-aligned, in the window
 * @param from      what to show: @p gpa itself for the RAM that lies there; RAM or ROM outside the window;
 *                  V3_GPA_NONE: nothing, reads all ones
 * @return V3_OK; V3_EINVAL; V3_ENOENT (no window, or a page of @p from is neither RAM nor ROM): nothing changed.
 */
int v3_mem_window_show(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, v3_gpa_t from,
		       enum v3_window_writes writes);

/**
 * A card: memory of a device that the guest uses without exits, wherever the device shows it, such as a frame buffer in
 * a BAR. Guests can execute it and keep page tables in it; devices' DMA does not reach it, and it is not tracked
 * (v3_dirty_start()).
 */
struct v3_card;
/**
 * Make one, of zeros, that is shown nowhere. While no vcpu runs, thread context.
 * @param size  multiple of 4 KiB, not 0, up to 1 GiB
 * @return V3_OK; V3_EINVAL; V3_ENOMEM.
 */
int v3_card_create(struct v3_vm *vm, uint64_t size, struct v3_card **out);
/** Free it. NULL is allowed. Same context. */
void v3_card_destroy(struct v3_card *card);
/** Size in bytes. any. */
uint64_t v3_card_size(const struct v3_card *card);
/** Host address of the byte at @p off, less than its size; valid to the end of its 4 KiB page. any. */
uint8_t *v3_card_ptr(const struct v3_card *card, uint64_t off);
/** Fill [off, off + len), cut to what is there. any. */
void v3_card_set(struct v3_card *card, uint64_t off, uint64_t len, uint8_t byte);
/**
 * Show it where nothing is, from @p gpa on. atomic, any vcpu; device locks may be held.
 * @return V3_OK; V3_EINVAL (not page-aligned, too high); V3_EEXIST (something is there, or it is shown elsewhere).
 */
int v3_card_attach(struct v3_card *card, v3_gpa_t gpa);
/**
 * Show it no more. Same context. Not shown: no effect.
 * @return true: other vcpus may still use it there, until v3_card_flush() returns
 */
bool v3_card_detach(struct v3_card *card);
/** Wait until no vcpu uses a card where it was shown once. Own vcpu thread or stopped VM, no locks held. */
void v3_card_flush(struct v3_vm *vm);

/**
 * Copy between a host buffer and guest-physical RAM or ROM. Range and wrap checked: either all bytes are
 * copied or none, unless a page of the window shows nothing from the middle of the call on. MMIO regions and hooks
 * are not consulted: this is what a device's DMA does. atomic.
 * @return V3_OK; V3_EFAULT if any byte of the range is not RAM or ROM.
 */
int v3_mem_read(struct v3_vm *vm, v3_gpa_t gpa, void *buf, size_t len);
int v3_mem_write(struct v3_vm *vm, v3_gpa_t gpa, const void *buf, size_t len);
/** Fill with a byte; as v3_mem_write(). */
int v3_mem_set(struct v3_vm *vm, v3_gpa_t gpa, uint8_t byte, uint64_t len);
/**
 * Host address of guest RAM. Valid until the handler, work or timer function of the vcpu's thread that asked for it
 * returns, or as long as it holds a pin that was taken before that; other threads take the pin first. Who writes
 * through it calls v3_mem_wrote() afterwards. atomic.
 * @return NULL unless [gpa, gpa + len) is RAM that is contiguous in the host.
 */
void *v3_mem_ptr(struct v3_vm *vm, v3_gpa_t gpa, uint64_t len);
/**
 * Until v3_mem_unpin() host addresses of guest RAM stay valid, whatever the guest gives back meanwhile. For a
 * disk's request, say: not for ever, or the host gets nothing. any context. @return what v3_mem_unpin() wants
 */
unsigned v3_mem_pin(struct v3_vm *vm);
void v3_mem_unpin(struct v3_vm *vm, unsigned pin);
/** Bytes of RAM have been written through v3_mem_ptr(): for those who track writes. After the write. any. */
void v3_mem_wrote(struct v3_vm *vm, v3_gpa_t gpa, uint64_t len);

/**
 * Begin to note which pages of RAM are written: by the guest on any vcpu, and by the VMM on its behalf
 * (devices, emulated instructions, boot loader). One tracker per VM at a time. How it is done (a log kept by
 * the CPU, dirty bits, write protection) is the hardware's affair; the results are the same.
 *
 * Any time, also while the VM runs; thread; on a vcpu's own thread after v3_vcpu_may_sleep(). Until
 * v3_dirty_stop() the guest's memory is mapped by 4 KiB leaves where it writes.
 *
 * @param gpa   multiple of 2 MiB
 * @param size  multiple of 2 MiB, not 0; cut to the guest's memory, so ~0ull & ~(V3_SIZE_2M - 1) is all of it
 * @return V3_OK; V3_EINVAL; V3_EBUSY (tracked already); V3_ENOMEM.
 */
int v3_dirty_start(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size);
/**
 * Take the pages written since the last harvest of them, or since the start. A page that is written after the
 * call returns is in the next harvest; one that is written while it runs is in this one or the next. What was
 * written before can be read in the page afterwards. One call at a time; same context as v3_dirty_start().
 *
 * @param gpa,size  multiples of 2 MiB, not empty, within the tracked range
 * @param bitmap    size >> 12 bits, set to 1 where the page was written, all others to 0
 * @return pages written; V3_EINVAL; V3_ENOENT (nothing is tracked)
 */
int v3_dirty_harvest(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, uint64_t *bitmap);
/** End it; large leaves come back. Not tracked: no effect. Same context, not during a harvest. */
void v3_dirty_stop(struct v3_vm *vm);

/**
 * RAM of this VM may be given back to the host from now on. Before the VM first runs, thread context. Allowed again.
 * @return V3_OK; V3_ENOTSUP: the host takes no parts back (ram_free_part() of struct v3_host_ops); V3_ENOMEM.
 */
int v3_mem_release_enable(struct v3_vm *vm);
/**
 * Give pages of RAM back to the host. Whoever touches one afterwards, guest or VMM, finds zeros in it: it gets
 * a host page then. If the host has none left, the VM is stopped with V3_ENOMEM.
 *
 * Released already: no effect, as for pages of the window. Hooks, views and tracking of writes stay, and the tracker
 * finds the page written. 2 MiB that are released whole come back whole, others in 4 KiB.
 *
 * Own vcpu thread, no lock held, or no vcpu runs. v3_mem_release_end() comes after it, before the guest is told; the
 * host gets the memory when nobody can have its address any more.
 *
 * @param gpa     page-aligned
 * @param npages  not 0
 * @return V3_OK; V3_EINVAL: not aligned, empty, or some of it is not RAM: nothing changed; V3_ENOMEM: no memory to note
 *         which pages, some may not be released; V3_ENOTSUP: not enabled; V3_EBUSY: the window has shown RAM elsewhere.
 */
int v3_mem_release(struct v3_vm *vm, v3_gpa_t gpa, uint64_t npages);
/** Until it returns vcpus may still use what was released before; then no more. Waits for them. Same context. */
void v3_mem_release_end(struct v3_vm *vm);
/**
 * Differs after a v3_mem_release(): for those who keep host addresses from one call on a vcpu's thread to the next, and
 * look pages up again then. Own vcpu thread, or with a pin that was taken before.
 */
uint32_t v3_mem_release_count(struct v3_vm *vm);

/**
 * Copy between a host buffer and guest-virtual memory through the vcpu's page tables, as an access of
 * the privilege given. Own thread. Sets accessed and dirty bits as hardware does.
 *
 * @param access   V3_ACC_READ, V3_ACC_WRITE or V3_ACC_EXEC (read for execution)
 * @param cpl      0..3: the privilege checked (a system access by hardware is 0)
 * @param fault    where the fault is described if the result is V3_EFAULT; may be NULL
 * @return V3_OK; V3_EFAULT: page fault (fault->error and addr are what #PF would say, or
 *         fault->not_ram if the translation ends outside RAM). Bytes before the fault may have been copied.
 */
struct v3_gva_fault {
	v3_gva_t addr;	/* first address that failed */
	uint32_t error; /* V3_PF_* */
	bool not_ram;	/* translated, but to MMIO or nothing */
	v3_gpa_t gpa;	/* if not_ram */
};
int v3_gva_read(struct v3_vcpu *vcpu, v3_gva_t gva, void *buf, size_t len, unsigned access,
		unsigned cpl, struct v3_gva_fault *fault);
int v3_gva_write(struct v3_vcpu *vcpu, v3_gva_t gva, const void *buf, size_t len, unsigned cpl,
		 struct v3_gva_fault *fault);
/** Translate only. @p access: one of V3_ACC_*. Same results. */
int v3_gva_translate(struct v3_vcpu *vcpu, v3_gva_t gva, unsigned access, unsigned cpl,
		     v3_gpa_t *gpa, struct v3_gva_fault *fault);

/** Entries of the guest's memory map, for boot loaders and firmware tables. */
struct v3_mem_range {
	v3_gpa_t gpa;
	uint64_t size;
	bool ram; /* false: ROM */
};
/** Range number @p i in ascending order. @return V3_OK; V3_ENOENT past the end. */
int v3_mem_range(struct v3_vm *vm, unsigned i, struct v3_mem_range *out);

/** How guest RAM is mapped by the VM's own nested table now (for "v3 info" and tests). */
struct v3_mem_stats {
	uint64_t ram_bytes; /* guest RAM and ROM */
	uint64_t backed_1g, backed_2m,
		backed_4k; /* host pieces, bytes of RAM that lie in each size */
	uint64_t leaves_1g, leaves_2m, leaves_4k; /* present nested leaves, count */
	uint64_t table_pages;			  /* pages the nested tables take */
	uint64_t released; /* bytes of RAM that the guest has given back and not touched since */
	uint64_t freed;	   /* of these, what the host has */
};
void v3_mem_get_stats(struct v3_vm *vm, struct v3_mem_stats *out);

#endif
