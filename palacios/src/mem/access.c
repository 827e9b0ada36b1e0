/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file access.c
 * Nested page faults, and single accesses on behalf of an emulated instruction.
 *
 * A fault is sorted out in this order: MMIO region (the hot one), a view's own permission, hook or ROM, plain
 * RAM that is not mapped yet. Everything that is not plain RAM goes to the instruction emulator, which calls
 * v3_mem_access() for each access the instruction makes.
 */
#include "state.h"

#include "exit/emulate.h"
#include "exit/trace.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "mem"

/* V3_CHUNK_* of the chunk; where there is none, an MMIO region may be. */
static inline uint64_t access_attr(const struct v3_mem *mem, v3_gpa_t gpa)
{
	if (gpa >> V3_CHUNK_SHIFT >= mem->nchunks)
		return V3_CHUNK_MMIO;
	return __atomic_load_n(&mem->chunk[gpa >> V3_CHUNK_SHIFT].hpa, __ATOMIC_RELAXED);
}

unsigned v3_mem_page_perm(struct v3_vm *vm, v3_gpa_t gpa)
{
	const struct v3_mem *mem = &vm->mem;
	const uint64_t attr = access_attr(mem, gpa);
	unsigned perm = V3_ACC_ALL;
	struct v3_mmio_region r;
	struct v3_mem_hook hook;
	uint32_t hint = 0;
	bool rom;

	if (!v3_mem_is_memory(mem, gpa, &rom))
		return 0;
	if ((attr & V3_CHUNK_MMIO) && v3_mem_mmio_find(mem, gpa, &hint, &r))
		return 0;
	if (rom)
		perm &= ~V3_ACC_WRITE;
	if ((attr & V3_CHUNK_HOOK) && v3_mem_hook_find(mem, gpa, &hook))
		perm &= (hook.access & V3_ACC_READ) ? 0 : ~V3_ACC_WRITE;
	return perm;
}

/* The hook of a page, the one found last without a search: an access looks for it twice, at the fault and
 * when the instruction runs. Any change of hooks changes seq. */
static inline const struct v3_mem_hook *access_hook(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	const struct v3_mem *mem = &vcpu->vm->mem;
	struct v3_hook_memo *memo = &vcpu->mmu.hook_memo;
	const uint32_t seq = v3_mem_read_begin(mem);

	if (V3_LIKELY(memo->page == (gpa >> V3_PAGE_SHIFT) + 1 && memo->seq == seq))
		return &memo->hook;
	memo->page = 0;
	if (!v3_mem_hook_find(mem, gpa, &memo->hook))
		return NULL;
	memo->page = (gpa >> V3_PAGE_SHIFT) + 1;
	memo->seq = seq;
	return &memo->hook;
}

/* Not a known MMIO access. Kept out of the way of those that are. */
static __attribute__((__noinline__)) int access_fault(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const v3_gpa_t gpa = exit->u.fault.gpa;
	const unsigned access = exit->u.fault.access;
	const uint64_t attr = access_attr(&vcpu->vm->mem, gpa);
	struct v3_view *view = vcpu->mmu.view;
	const struct v3_mem_hook *hook;
	struct v3_mmio_region r;
	unsigned perm;
	v3_hpa_t hpa;
	int err;

	/* The handler wants just this access, and no view has a word in it. */
	if (!view && (attr & V3_CHUNK_PLAIN_MASK) == V3_CHUNK_HOOK) {
		hook = access_hook(vcpu, gpa);
		if (hook && (hook->access & access))
			return v3_emulate_access(vcpu, exit);
	}
	if ((attr & V3_CHUNK_MMIO) &&
	    v3_mem_mmio_find(&vcpu->vm->mem, gpa, &vcpu->mmu.mmio_hint, &r))
		return v3_emulate_access(vcpu, exit);
	if (view && v3_view_page(view, gpa, &perm, &hpa) && (access & ~perm))
		return v3_view_fault(vcpu, gpa, access);
	if (access & ~v3_mem_page_perm(vcpu->vm, gpa))
		return v3_emulate_access(vcpu, exit);
	while ((err = v3_mmu_map_fault(vcpu->vm, view, gpa, access)) == V3_EAGAIN) {
		err = v3_release_fault(vcpu, gpa);
		if (err)
			return err;
	}
	if (err ==
	    V3_ENOENT) /* it was hooked or moved meanwhile: fault again, then it is found above */
		return V3_OK;
	if (err)
		V3_ERR(vcpu->vm, "nested fault at %#llx: %s", (unsigned long long)gpa,
		       v3_strerror(err));
	return err;
}

int v3_mem_fault_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const struct v3_mmio_region *r = &vcpu->vm->mem.mmio[vcpu->mmu.mmio_hint];

	/* A hint read during a change is no harm: v3_mem_access() looks again, properly. */
	if (V3_LIKELY(exit->u.fault.gpa - r->gpa < r->size))
		return v3_emulate_access(vcpu, exit);
	return access_fault(vcpu, exit);
}

/* Sizes a guest can expect to be atomic are: memcpy() promises nothing. */
static inline void access_copy(void *dst, const void *src, size_t len)
{
	switch (len) {
	case 1:
		*(uint8_t *)dst = *(const uint8_t *)src;
		break;
	case 2:
		__builtin_memcpy(dst, src, 2);
		break;
	case 4:
		__builtin_memcpy(dst, src, 4);
		break;
	case 8:
		__builtin_memcpy(dst, src, 8);
		break;
	default:
		memcpy(dst, src, len);
		break;
	}
}

static inline void access_ram(uint8_t *ram, void *buf, size_t len, bool write)
{
	if (write)
		access_copy(ram, buf, len);
	else
		access_copy(buf, ram, len);
}

/* One call of a handler. @p n: 1, 2, 4, 8. */
static inline __attribute__((__always_inline__)) int access_piece(struct v3_vcpu *vcpu,
								  const struct v3_mem_hook *to,
								  v3_gpa_t gpa, uint8_t *buf,
								  size_t n, bool write)
{
	struct v3_mmio io = {.gpa = gpa, .size = (uint8_t)n, .write = write};
	int err;

	if (write)
		access_copy(&io.value, buf, n);
	err = to->fn(vcpu, &io, to->priv);
	V3_TRACE(mmio, vcpu, &io);
	if (!write && err >= 0)
		access_copy(buf, &io.value, n);
	return err;
}

/* Call a handler with pieces of 8, 4, 2, 1 bytes. */
static __attribute__((__noinline__)) int access_pieces(struct v3_vcpu *vcpu,
						       const struct v3_mem_hook *to, v3_gpa_t gpa,
						       uint8_t *buf, size_t len, bool write)
{
	int result = V3_OK;

	for (size_t n; len; len -= n, buf += n, gpa += n) {
		int err;

		n = len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
		err = access_piece(vcpu, to, gpa, buf, n, write);
		if (err < 0)
			return err;
		if (err > 0)
			result = err;
	}
	return result;
}

static inline __attribute__((__always_inline__)) int access_handler(struct v3_vcpu *vcpu,
								    const struct v3_mem_hook *to,
								    v3_gpa_t gpa, uint8_t *buf,
								    size_t len, bool write)
{
	if (V3_LIKELY(len <= 8 && !(len & (len - 1))))
		return access_piece(vcpu, to, gpa, buf, len, write);
	return access_pieces(vcpu, to, gpa, buf, len, write);
}

/* RAM with something special about its chunk, its page or the vcpu's view; or nothing at all. */
static int access_special(struct v3_vcpu *vcpu, v3_gpa_t gpa, uint8_t *buf, size_t len, bool write)
{
	const unsigned kind = write ? V3_ACC_WRITE : V3_ACC_READ;
	const struct v3_mem_hook *hook = access_hook(vcpu, gpa);
	struct v3_vm *vm = vcpu->vm;
	struct v3_mem_hook copy;
	uint8_t *ram;
	bool rom;

	if (hook && (hook->access & kind)) {
		copy = *hook; /* the handler may change hooks */
		return access_handler(vcpu, &copy, gpa, buf, len, write);
	}
	/* Asked once: a page of the window may be switched meanwhile. */
	ram = vcpu->mmu.view ? v3_view_hva(vcpu, gpa) : v3_mem_hva(vm, gpa);
	if (!v3_mem_is_memory(&vm->mem, gpa, &rom))
		ram = NULL;
	if (write && (!ram || rom) && v3_mem_window_write(&vm->mem, gpa, buf, len))
		return V3_OK;
	if (!ram) {
		V3_GUEST_WARN(vm, "%s of %zu bytes at unbacked %#llx", write ? "write" : "read",
			      len, (unsigned long long)gpa);
		if (!write)
			memset(buf, 0xff, len);
		return V3_OK;
	}
	if (write && rom) {
		V3_GUEST_WARN(vm, "write of %zu bytes to ROM at %#llx", len,
			      (unsigned long long)gpa);
		return V3_OK;
	}
	access_ram(ram, buf, len, write);
	if (write)
		v3_dirty_wrote(vcpu, gpa, ram);
	return V3_OK;
}

/* Does the view forbid it? Its handler may lift the ban, or the vcpu may then be on another view. */
static int access_view(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned kind)
{
	unsigned perm;
	v3_hpa_t hpa;
	int err;

	if (!vcpu->mmu.view || !v3_view_page(vcpu->mmu.view, gpa, &perm, &hpa) || !(kind & ~perm))
		return V3_OK;
	err = v3_view_fault(vcpu, gpa, kind);
	return err < 0 ? err : V3_EFAULT;
}

/* Plain RAM without anything over it, in one host piece: its chunk says all there is to know. */
static inline uint8_t *access_plain(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	const struct v3_mem *mem = &vcpu->vm->mem;
	const struct v3_mem_chunk *chunk;
	uint64_t hva;

	if (gpa >> V3_CHUNK_SHIFT >= mem->nchunks || vcpu->mmu.view)
		return NULL;
	chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	hva = __atomic_load_n(&chunk->hva, __ATOMIC_RELAXED);
	if ((hva & V3_CHUNK_SLOW) ||
	    (__atomic_load_n(&chunk->hpa, __ATOMIC_RELAXED) & V3_CHUNK_PLAIN_MASK))
		return NULL;
	return (uint8_t *)(hva + (gpa & (V3_SIZE_2M - 1)));
}

/* The region that the vcpu used last, without a search. */
static inline bool access_mmio_again(struct v3_vcpu *vcpu, v3_gpa_t gpa, struct v3_mem_hook *to)
{
	const struct v3_mem *mem = &vcpu->vm->mem;
	const struct v3_mmio_region *r = &mem->mmio[vcpu->mmu.mmio_hint];
	const uint32_t seq = __atomic_load_n(&mem->seq, __ATOMIC_ACQUIRE);

	if (gpa - r->gpa >= r->size)
		return false;
	to->fn = r->fn;
	to->priv = r->priv;
	return !(seq & 1) && !v3_mem_read_retry(mem, seq);
}

/* Neither plain RAM nor the region used last. */
static __attribute__((__noinline__)) int access_other(struct v3_vcpu *vcpu, v3_gpa_t gpa,
						      uint8_t *buf, size_t len, bool write)
{
	struct v3_mmio_region r;
	int err;

	if ((access_attr(&vcpu->vm->mem, gpa) & V3_CHUNK_MMIO) &&
	    v3_mem_mmio_find(&vcpu->vm->mem, gpa, &vcpu->mmu.mmio_hint, &r)) {
		const struct v3_mem_hook to = {.fn = r.fn, .priv = r.priv};

		return access_handler(vcpu, &to, gpa, buf, len, write);
	}
	err = access_view(vcpu, gpa, write ? V3_ACC_WRITE : V3_ACC_READ);
	if (err)
		return err;
	return access_special(vcpu, gpa, buf, len, write);
}

int v3_mem_access(struct v3_vcpu *vcpu, v3_gpa_t gpa, void *buf, size_t len, bool write)
{
	uint8_t *ram = access_plain(vcpu, gpa);
	struct v3_mem_hook to;

	if (ram) {
		access_ram(ram, buf, len, write);
		if (write)
			v3_dirty_wrote(vcpu, gpa, ram);
		return V3_OK;
	}
	if (V3_LIKELY(access_mmio_again(vcpu, gpa, &to)))
		return access_handler(vcpu, &to, gpa, buf, len, write);
	return access_other(vcpu, gpa, buf, len, write);
}

void *v3_mem_direct(struct v3_vcpu *vcpu, v3_gpa_t gpa, size_t len, bool write)
{
	unsigned perm, view_perm, need = V3_ACC_READ | (write ? V3_ACC_WRITE : 0);
	uint8_t *ram;
	v3_hpa_t hpa;

	if (len > V3_PAGE_SIZE - (gpa & (V3_PAGE_SIZE - 1)))
		return NULL;
	ram = access_plain(vcpu, gpa);
	if (ram)
		return ram;
	perm = v3_mem_page_perm(vcpu->vm, gpa);
	if (vcpu->mmu.view && v3_view_page(vcpu->mmu.view, gpa, &view_perm, &hpa))
		perm &= view_perm;
	if (need & ~perm)
		return NULL;
	return vcpu->mmu.view ? v3_view_hva(vcpu, gpa) : v3_mem_hva(vcpu->vm, gpa);
}
