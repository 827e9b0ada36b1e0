/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_walk.c
 * The walker of guest page tables for libFuzzer: the input is a paging mode, page tables and addresses. Each walk is
 * made twice: the second, by the memo of the first, must say the same.
 */
#include "fuzz.h"

#include "mem_vm.h"

#define FUZZ_RAM   V3_SIZE_2M
#define FUZZ_WALKS 32

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_host_test_begin();
	if (!mem_vm_new(FUZZ_RAM))
		abort();
	return 0;
}

/* An entry of a table in one of the first pages, or anything. */
static uint64_t take_entry(void)
{
	uint8_t how = (uint8_t)take(1);

	return how & 0x80 ? take(8) : (uint64_t)(how & 7) << 12 | take(2);
}

static void take_tables(uint8_t *ram)
{
	unsigned n = (unsigned)take(1) & 63;

	memset(ram, 0, 8 * V3_PAGE_SIZE);
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = (take(2) & 0xfff) << 3, entry = take_entry();

		memcpy(ram + at, &entry, sizeof(entry));
	}
}

static void take_mode(struct v3_vcpu *v)
{
	uint8_t mode = (uint8_t)take(1);

	v->cr0 = V3_CR0_PE | (mode & 1 ? 0 : V3_CR0_PG) | (mode & 2 ? V3_CR0_WP : 0);
	v->cr4 = take(4) & (V3_CR4_PSE | V3_CR4_PAE | V3_CR4_SMEP | V3_CR4_SMAP | V3_CR4_LA57);
	v->efer = mode & 4 && v->cr4 & V3_CR4_PAE ? V3_EFER_LMA | V3_EFER_LME : 0;
	v->efer |= mode & 8 ? V3_EFER_NXE : 0;
	v->cpl = mode >> 4 & 3;
	v->regs.rflags = V3_RFLAGS_ONE | (mode & 0x40 ? V3_RFLAGS_AC : 0);
	v->cr3 = take_entry();
}

/* In PAE's top entries the accessed bit is reserved: one that is a lower entry, too, changes the next walk. */
static bool accessed_is_reserved(const struct v3_vcpu *v)
{
	return v->cr4 & V3_CR4_PAE && !(v->efer & V3_EFER_LMA);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct v3_vcpu *v = &mem_vm.vcpu[0];

	fuzz_begin(data, size);
	take_tables(v3_mem_hva(&mem_vm.vm, 0));
	for (unsigned i = 0; fuzz_in.left && i < FUZZ_WALKS; i++) {
		struct v3_walk one = {.error = 0}, two = {.error = 0};
		unsigned how, access;
		uint64_t gva;
		int err;

		if (i % 4 == 0)
			take_mode(v);
		how = (unsigned)take(1);
		gva = how & 0x80 ? take(8)
				 : (take(1) & 3) << 30 | (take(1) & 3) << 21 | (take(1) & 7) << 12;
		access = 1u << how % 3;
		err = v3_walk(v, gva, access, v->cpl, &one);
		if ((v3_walk(v, gva, access, v->cpl, &two) != err ||
		     memcmp(&one, &two, sizeof(one))) &&
		    !accessed_is_reserved(v))
			abort();
	}
	if (tap.failures)
		abort();
	return 0;
}
