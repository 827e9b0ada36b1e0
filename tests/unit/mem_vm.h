/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mem_vm.h
 * The smallest VM for tests of memory and translation: a map, nested tables and vcpus that never run. What
 * is left of it at the end of a test is undone there.
 */
#ifndef TESTS_UNIT_MEM_VM_H
#define TESTS_UNIT_MEM_VM_H

#include "fake_host.h"
#include "fake_vm.h"
#include "host/host.h"
#include "state.h"
#include "tap.h"

#define MEM_VM_VCPUS 2

/* Nested format of the VMs that tests make, and a test for both: MEM_VM_BOTH(x) defines npt_x and ept_x, which
 * call test_x; MEM_VM_ROWS(x) names them. */
static enum v3_nested_format mem_vm_format;
#define MEM_VM_BOTH(name)                                                                          \
	static void npt_##name(void)                                                               \
	{                                                                                          \
		mem_vm_format = V3_NESTED_NPT;                                                     \
		test_##name();                                                                     \
	}                                                                                          \
	static void ept_##name(void)                                                               \
	{                                                                                          \
		mem_vm_format = V3_NESTED_EPT;                                                     \
		test_##name();                                                                     \
	}
#define MEM_VM_ROWS(name) {#name "_npt", npt_##name}, {#name "_ept", ept_##name},

static struct {
	struct v3_vm vm;
	struct v3_vcpu vcpu[MEM_VM_VCPUS];
	bool made, hooked;
} mem_vm;

/* @p arg: NULL in the middle of a test, else at its end. */
__attribute__((unused)) static void mem_vm_free(void *arg)
{
	if (arg)
		mem_vm.hooked = false;
	if (!mem_vm.made)
		return;
	v3_mmu_fini(&mem_vm.vm);
	v3_mem_fini(&mem_vm.vm);
	mem_vm.made = false;
}

/* Before the first mem_vm_make() of a test; caps may be changed in between. */
__attribute__((unused)) static void mem_vm_begin(void)
{
	if (!mem_vm.hooked) {
		fake_lib_install();
		fake_host_at_end(mem_vm_free, &mem_vm);
	}
	mem_vm.hooked = true;
	v3_lib.caps = (struct v3_arch_caps){.nested_1g = true,
					    .nested_exec_only = mem_vm_format == V3_NESTED_EPT,
					    .hpa_bits = 40,
					    .nested_levels = 4,
					    .nested_format = mem_vm_format};
}

/* The VM without RAM. @return V3_OK or V3_ENOMEM with nothing left. */
__attribute__((unused)) static int mem_vm_make(void)
{
	struct v3_vm *vm = &mem_vm.vm;
	int err;

	memset(vm, 0, sizeof(*vm));
	memset(mem_vm.vcpu, 0, sizeof(mem_vm.vcpu));
	strcpy(vm->name, "test");
	vm->log_level = V3_LOG_INFO;
	vm->nvcpus = MEM_VM_VCPUS;
	for (unsigned i = 0; i < MEM_VM_VCPUS; i++) {
		vm->vcpu[i] = &mem_vm.vcpu[i];
		mem_vm.vcpu[i].vm = vm;
		mem_vm.vcpu[i].index = i;
	}
	err = v3_mem_init(vm);
	if (err)
		return err;
	err = v3_mmu_init(vm);
	if (err) {
		v3_mem_fini(vm);
		return err;
	}
	mem_vm.made = true;
	return V3_OK;
}

/* VM with RAM from 0. NULL: failed, reported. */
__attribute__((unused)) static struct v3_vm *mem_vm_new(uint64_t ram)
{
	mem_vm_begin();
	if (!CHECK_EQ(mem_vm_make(), V3_OK) ||
	    (ram && !CHECK_EQ(v3_mem_add_ram(&mem_vm.vm, 0, ram, V3_NODE_ANY), V3_OK)))
		return NULL;
	return &mem_vm.vm;
}

/* An independent reading of nested tables, as the CPU walks them. */
struct mem_leaf {
	bool present;
	v3_hpa_t hpa; /* of the byte */
	uint64_t size;
	unsigned perm; /* V3_ACC_* */
	bool uncached;
};

#define MEM_ADDR 0x000ffffffffff000ull

/* APM vol. 2 5.3, 15.25. @return permissions of the entry; @p leaf: it maps memory */
__attribute__((unused)) static unsigned mem_npt_entry(uint64_t e, bool leaf, struct mem_leaf *out)
{
	if (!(e & 1) || !(e & 4)) /* nested accesses are user accesses */
		return 0;
	out->uncached = leaf && (e & 0x18) == 0x18;
	CHECK(leaf ? (e & 0x18) == 0 || out->uncached : !(e & 0x18));
	return V3_ACC_READ | (e & 2 ? V3_ACC_WRITE : 0) | (e >> 63 ? 0 : V3_ACC_EXEC);
}

/* SDM 3C 29.3.2, 29.3.3.1: what is a misconfiguration fails the test. */
__attribute__((unused)) static unsigned mem_ept_entry(uint64_t e, bool leaf, struct mem_leaf *out)
{
	unsigned type = e >> 3 & 7;

	if (!(e & 7))
		return 0;
	CHECK((e & 3) != 2);
	CHECK_EQ(e >> 52, 0);
	CHECK(leaf ? type == 6 || type == 0 : !(e & 0xf8));
	CHECK(!leaf || !(e & 0x40)); /* the guest's PAT counts */
	out->uncached = leaf && type == 0;
	return (e & 1 ? V3_ACC_READ : 0) | (e & 2 ? V3_ACC_WRITE : 0) | (e & 4 ? V3_ACC_EXEC : 0);
}

__attribute__((unused)) static struct mem_leaf mem_walk(v3_hpa_t root, unsigned levels,
							v3_gpa_t gpa)
{
	struct mem_leaf out = {.perm = V3_ACC_ALL};
	v3_hpa_t table = root;

	for (unsigned level = levels; level >= 1; level--) {
		unsigned shift = 12 + 9 * (level - 1), perm;
		uint64_t e = ((const uint64_t *)v3_host_pa_to_va(table))[(gpa >> shift) & 511];
		bool leaf = level == 1 || (level <= 3 && (e & 0x80));

		CHECK(level > 1 || !(e & 0x80)); /* ignored or the PAT bit there */
		perm = mem_vm_format == V3_NESTED_EPT ? mem_ept_entry(e, leaf, &out)
						      : mem_npt_entry(e, leaf, &out);
		if (!perm)
			return (struct mem_leaf){.present = false};
		out.perm &= perm;
		if (leaf) {
			out.present = true;
			out.size = 1ull << shift;
			CHECK_EQ(e & MEM_ADDR & (out.size - 1), 0);
			out.hpa = (e & MEM_ADDR) + (gpa & (out.size - 1));
			return out;
		}
		table = e & MEM_ADDR;
	}
	return out;
}

/* A nested fault of vcpu @p n as the back end reports it. @return the handler's result */
__attribute__((unused)) static int mem_vm_fault(unsigned n, v3_gpa_t gpa, unsigned access)
{
	struct v3_exit exit = {.kind = V3_EXIT_NESTED_FAULT};

	exit.u.fault.gpa = gpa;
	exit.u.fault.access = (uint8_t)access;
	return v3_mem_fault_exit(&mem_vm.vcpu[n], &exit);
}

#endif
