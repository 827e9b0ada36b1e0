/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file gva.c
 * Guest-virtual accesses on top of the walker: translation and copies.
 */
#include "state.h"

#include "palacios/util/str.h"

/* RAM or ROM as the vcpu sees it. */
static inline uint8_t *gva_ram(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	return V3_UNLIKELY(vcpu->mmu.view) ? v3_view_hva(vcpu, gpa) : v3_mem_hva(vcpu->vm, gpa);
}

int v3_gva_translate(struct v3_vcpu *vcpu, v3_gva_t gva, unsigned access, unsigned cpl,
		     v3_gpa_t *gpa, struct v3_gva_fault *fault)
{
	struct v3_walk w = {.error = 0};

	if (v3_gva_canonical(vcpu, gva) && v3_walk(vcpu, gva, access, cpl, &w) == V3_OK) {
		*gpa = w.gpa;
		return V3_OK;
	}
	if (fault)
		*fault = (struct v3_gva_fault){.addr = gva, .error = w.error};
	return V3_EFAULT;
}

/* A write to ROM goes nowhere, as the guest's own would; this is none. */
static void gva_put(struct v3_vcpu *vcpu, v3_gpa_t gpa, uint8_t *ram, const uint8_t *buf, size_t n)
{
	memcpy(ram, buf, n);
	v3_dirty_wrote(vcpu, gpa, ram);
}

/* Copy by pages. @p access: V3_ACC_WRITE copies to the guest. */
static int gva_copy(struct v3_vcpu *vcpu, v3_gva_t gva, uint8_t *buf, size_t len, unsigned access,
		    unsigned cpl, struct v3_gva_fault *fault)
{
	while (len) {
		size_t n = V3_PAGE_SIZE - (gva & (V3_PAGE_SIZE - 1));
		struct v3_mmio_region mmio;
		uint32_t hint = 0;
		uint8_t *ram;
		v3_gpa_t gpa;
		bool rom;

		if (n > len)
			n = len;
		if (v3_gva_translate(vcpu, gva, access, cpl, &gpa, fault) != V3_OK)
			return V3_EFAULT;
		ram = gva_ram(vcpu, gpa);
		if (!ram || v3_mem_mmio_find(&vcpu->vm->mem, gpa, &hint, &mmio)) {
			if (fault)
				*fault = (struct v3_gva_fault){
					.addr = gva, .not_ram = true, .gpa = gpa};
			return V3_EFAULT;
		}
		if (access != V3_ACC_WRITE)
			memcpy(buf, ram, n);
		else if (v3_mem_is_memory(&vcpu->vm->mem, gpa, &rom) && !rom)
			gva_put(vcpu, gpa, ram, buf, n);
		buf += n;
		gva += n;
		len -= n;
	}
	return V3_OK;
}

int v3_gva_read(struct v3_vcpu *vcpu, v3_gva_t gva, void *buf, size_t len, unsigned access,
		unsigned cpl, struct v3_gva_fault *fault)
{
	return gva_copy(vcpu, gva, buf, len, access & V3_ACC_EXEC ? V3_ACC_EXEC : V3_ACC_READ, cpl,
			fault);
}

int v3_gva_write(struct v3_vcpu *vcpu, v3_gva_t gva, const void *buf, size_t len, unsigned cpl,
		 struct v3_gva_fault *fault)
{
	return gva_copy(vcpu, gva, (uint8_t *)buf, len, V3_ACC_WRITE, cpl, fault);
}
