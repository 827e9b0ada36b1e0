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
					    .hpa_bits = 40,
					    .nested_levels = 4,
					    .nested_format = V3_NESTED_NPT};
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

/* An independent reading of a nested table in NPT format (APM vol. 2 5.3), as the CPU walks it. */
struct mem_leaf {
	bool present;
	v3_hpa_t hpa; /* of the byte */
	uint64_t size;
	unsigned perm; /* V3_ACC_* */
};

__attribute__((unused)) static struct mem_leaf mem_npt(v3_hpa_t root, unsigned levels, v3_gpa_t gpa)
{
	struct mem_leaf leaf = {.perm = V3_ACC_ALL};
	v3_hpa_t table = root;

	for (unsigned level = levels; level >= 1; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		const uint64_t *t = v3_host_pa_to_va(table);
		uint64_t e = t[(gpa >> shift) & 511];

		if (!(e & 1))
			return (struct mem_leaf){.present = false};
		if (!(e & 4)) /* nested accesses are user accesses */
			leaf.perm = 0;
		if (!(e & 2))
			leaf.perm &= ~V3_ACC_WRITE;
		if (e >> 63)
			leaf.perm &= ~V3_ACC_EXEC;
		if (level == 1 || (level <= 3 && (e & 0x80))) {
			leaf.present = true;
			CHECK(level > 1 || !(e & 0x80)); /* the PAT bit there */
			leaf.size = 1ull << shift;
			CHECK_EQ(e & 0x000ffffffffff000ull & (leaf.size - 1), 0);
			leaf.hpa = (e & 0x000ffffffffff000ull) + (gpa & (leaf.size - 1));
			return leaf;
		}
		table = e & 0x000ffffffffff000ull;
	}
	return leaf;
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
