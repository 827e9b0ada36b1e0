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
#include "palacios/util/str.h"

#define V3_LOG_TAG "mem"

unsigned v3_mem_page_perm(struct v3_vm *vm, v3_gpa_t gpa)
{
	struct v3_mem *mem = &vm->mem;
	uint64_t n = gpa >> V3_CHUNK_SHIFT;
	unsigned perm = V3_ACC_ALL;
	struct v3_mmio_region r;
	struct v3_mem_hook hook;
	uint32_t hint = 0;
	uint64_t attr;
	bool rom;

	if (v3_mem_hpa(mem, gpa, &rom) == V3_HPA_NONE)
		return 0;
	attr = __atomic_load_n(&mem->chunk[n].hpa, __ATOMIC_RELAXED);
	if ((attr & V3_CHUNK_MMIO) && v3_mem_mmio_find(mem, gpa, &hint, &r))
		return 0;
	if (rom)
		perm &= ~V3_ACC_WRITE;
	if ((attr & V3_CHUNK_HOOK) && v3_mem_hook_find(mem, gpa, &hook))
		perm &= (hook.access & V3_ACC_READ) ? 0 : ~V3_ACC_WRITE;
	return perm;
}

/* Not a known MMIO access. */
static int access_fault(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const v3_gpa_t gpa = exit->u.fault.gpa;
	const unsigned access = exit->u.fault.access;
	struct v3_view *view = vcpu->mmu.view;
	struct v3_mmio_region r;
	unsigned perm;
	v3_hpa_t hpa;
	int err;

	if (v3_mem_mmio_find(&vcpu->vm->mem, gpa, &vcpu->mmu.mmio_hint, &r))
		return v3_emulate_access(vcpu, exit);
	if (view && v3_view_page(view, gpa, &perm, &hpa) && (access & ~perm))
		return v3_view_fault(vcpu, gpa, access);
	if (access & ~v3_mem_page_perm(vcpu->vm, gpa))
		return v3_emulate_access(vcpu, exit);
	err = v3_mmu_map_fault(vcpu->vm, view, gpa, access);
	if (err == V3_ENOENT) /* it was hooked or moved meanwhile: fault again, then it is found above */
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

/* Call a handler with pieces of 8, 4, 2, 1 bytes. */
static int access_handler(struct v3_vcpu *vcpu, v3_mmio_fn fn, void *priv, struct v3_mmio *io,
			  uint8_t *buf, size_t len)
{
	int result = V3_OK;

	for (size_t n; len; len -= n, buf += n, io->gpa += n) {
		int err;

		n = len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
		io->size = (uint8_t)n;
		io->value = 0;
		if (io->write)
			access_copy(&io->value, buf, n);
		err = fn(vcpu, io, priv);
		if (err < 0)
			return err;
		if (err > 0)
			result = err;
		if (!io->write)
			access_copy(buf, &io->value, n);
	}
	return result;
}

/* RAM with something special about its chunk, its page or the vcpu's view; or nothing at all. */
static int access_special(struct v3_vcpu *vcpu, struct v3_mmio *io, uint8_t *buf, size_t len)
{
	const unsigned kind = io->write ? V3_ACC_WRITE : V3_ACC_READ;
	struct v3_vm *vm = vcpu->vm;
	struct v3_mem_hook hook;
	uint8_t *ram;
	bool rom;

	if (v3_mem_hpa(&vm->mem, io->gpa, &rom) == V3_HPA_NONE) {
		V3_GUEST_WARN(vm, "%s of %zu bytes at unbacked %#llx",
			      io->write ? "write" : "read", len, (unsigned long long)io->gpa);
		if (!io->write)
			memset(buf, 0xff, len);
		return V3_OK;
	}
	if (v3_mem_hook_find(&vm->mem, io->gpa, &hook) && (hook.access & kind))
		return access_handler(vcpu, hook.fn, hook.priv, io, buf, len);
	if (io->write && rom) {
		V3_GUEST_WARN(vm, "write of %zu bytes to ROM at %#llx", len,
			      (unsigned long long)io->gpa);
		return V3_OK;
	}
	ram = vcpu->mmu.view ? v3_view_hva(vcpu, io->gpa) : v3_mem_hva(vm, io->gpa);
	access_ram(ram, buf, len, io->write);
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

	if (gpa >> V3_CHUNK_SHIFT >= mem->nchunks || vcpu->mmu.view)
		return NULL;
	chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	if ((chunk->hva & V3_CHUNK_SLOW) || (chunk->hpa & V3_CHUNK_PLAIN_MASK))
		return NULL;
	return (uint8_t *)(chunk->hva + (gpa & (V3_SIZE_2M - 1)));
}

int v3_mem_access(struct v3_vcpu *vcpu, v3_gpa_t gpa, void *buf, size_t len, bool write)
{
	struct v3_mmio io = { .gpa = gpa, .write = write };
	struct v3_mmio_region r;
	uint8_t *ram = access_plain(vcpu, gpa);
	int err;

	if (ram) {
		access_ram(ram, buf, len, write);
		return V3_OK;
	}
	if (v3_mem_mmio_find(&vcpu->vm->mem, gpa, &vcpu->mmu.mmio_hint, &r))
		return access_handler(vcpu, r.fn, r.priv, &io, buf, len);
	err = access_view(vcpu, gpa, write ? V3_ACC_WRITE : V3_ACC_READ);
	if (err)
		return err;
	return access_special(vcpu, &io, buf, len);
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
