/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_mem_fault.c
 * Nested faults from the exit to the emulated instruction's effect, through the real dispatch and emulator,
 * in flat 32-bit code without paging.
 */
#include "fake_vm.h"
#include "state.h"
#include "tap.h"

#define CODE 0x1000
#define RAM  0x300000 /* a page nothing is special about */

struct device {
	unsigned calls;
	struct v3_mmio last;
	uint64_t value;
	int result;
};

static int device_access(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct device *dev = priv;

	(void)vcpu;
	dev->calls++;
	dev->last = *mmio;
	if (!mmio->write)
		mmio->value = dev->value;
	return dev->result;
}

/* VM whose vcpu 0 is about to execute the bytes @p code. */
static struct v3_vcpu *fault_vm(const void *code, size_t len)
{
	static const struct v3_seg cs = {.sel = 8, .attr = 0xc9b, .limit = 0xffffffff};
	static const struct v3_seg ds = {.sel = 16, .attr = 0xc93, .limit = 0xffffffff};
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct v3_vcpu *vcpu;

	if (!vm)
		return NULL;
	vcpu = vm->vcpu[0];
	v3_vcpu_set_cr(vcpu, 0, V3_CR0_PE);
	v3_vcpu_set_seg(vcpu, V3_CS, &cs);
	v3_vcpu_set_seg(vcpu, V3_DS, &ds);
	v3_vcpu_set_seg(vcpu, V3_ES, &ds);
	v3_vcpu_set_seg(vcpu, V3_SS, &ds);
	vcpu->regs.rip = CODE;
	vcpu->regs.gpr[V3_RAX] = 0x11223344;
	vcpu->regs.gpr[V3_RSI] = vcpu->regs.gpr[V3_RDI] = 0;
	if (!CHECK_EQ(v3_mem_write(vm, CODE, code, len), V3_OK))
		return NULL;
	return vcpu;
}

static int fault(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned access, struct v3_event *event)
{
	struct v3_exit exit = fake_exit(V3_EXIT_NESTED_FAULT, 0);

	exit.u.fault.gpa = gpa;
	exit.u.fault.access = (uint8_t)access;
	return fake_dispatch(vcpu, &exit, event);
}

static void test_mem_fault_reads_mmio(void)
{
	struct v3_vcpu *vcpu = fault_vm("\xa1\x20\x00\xe0\xfe", 5); /* mov eax, [0xfee00020] */
	struct device dev = {.value = 0xffffffff89abcdef};

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_mmio_register(vcpu->vm, 0xfec00000, 4096, device_access, NULL), V3_OK);
	REQUIRE_EQ(v3_mmio_register(vcpu->vm, 0xfee00000, 4096, device_access, &dev), V3_OK);
	for (unsigned i = 1; i <= 2; i++) { /* by search, then by the hint */
		vcpu->regs.rip = CODE;
		CHECK_EQ(fault(vcpu, 0xfee00020, V3_ACC_READ, NULL), V3_OK);
		CHECK_EQ(dev.calls, i);
		CHECK_EQ(dev.last.gpa, 0xfee00020);
		CHECK_EQ(dev.last.size, 4);
		CHECK_EQ(vcpu->regs.gpr[V3_RAX], 0x89abcdef);
		CHECK_EQ(vcpu->regs.rip, CODE + 5);
	}
}

static void test_mem_fault_hands_on_device_results(void)
{
	struct v3_vcpu *vcpu = fault_vm("\xa3\x20\x00\xe0\xfe", 5); /* mov [0xfee00020], eax */
	struct device dev = {.result = V3_LEAVE};

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_mmio_register(vcpu->vm, 0xfee00000, 4096, device_access, &dev), V3_OK);
	CHECK_EQ(fault(vcpu, 0xfee00020, V3_ACC_WRITE, NULL), V3_LEAVE);
	CHECK_EQ(dev.last.value, 0x11223344);
	CHECK_EQ(vcpu->regs.rip, CODE + 5);
	vcpu->regs.rip = CODE;
	dev.result = V3_EIO;
	CHECK_EQ(fault(vcpu, 0xfee00020, V3_ACC_WRITE, NULL), V3_EIO);
}

static void test_mem_fault_calls_hook(void)
{
	struct v3_vcpu *vcpu = fault_vm("\xa3\x10\x00\x30\x00", 5); /* mov [RAM + 0x10], eax */
	struct device dev = {0};

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_mem_hook(vcpu->vm, RAM, V3_ACC_WRITE, device_access, &dev), V3_OK);
	CHECK_EQ(fault(vcpu, RAM + 0x10, V3_ACC_WRITE, NULL), V3_OK);
	CHECK_EQ(dev.calls, 1);
	CHECK_EQ(dev.last.value, 0x11223344);
	CHECK_EQ(vcpu->regs.rip, CODE + 5);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vcpu->vm, RAM + 0x10), 0);
	/* Unhooked, the same fault maps the page, and the guest does it itself. */
	v3_mem_unhook(vcpu->vm, RAM);
	vcpu->regs.rip = CODE;
	CHECK_EQ(fault(vcpu, RAM + 0x10, V3_ACC_WRITE, NULL), V3_OK);
	CHECK_EQ(dev.calls, 1);
	CHECK_EQ(vcpu->regs.rip, CODE);
}

static void test_mem_fault_ignores_rom_writes(void)
{
	struct v3_vcpu *vcpu = fault_vm("\xa3\x00\x00\x00\x02", 5); /* mov [0x2000000], eax */

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_mem_add_rom(vcpu->vm, 0x2000000, 4096), V3_OK);
	CHECK_EQ(fault(vcpu, 0x2000000, V3_ACC_WRITE, NULL), V3_OK);
	CHECK_EQ(vcpu->regs.rip, CODE + 5);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vcpu->vm, 0x2000000), 0);
	CHECK_EQ(fault(vcpu, 0x2000000, V3_ACC_READ, NULL), V3_OK); /* mapped */
	CHECK_EQ(vcpu->regs.rip, CODE + 5);
}

static void test_mem_fault_of_nothing_reads_ones(void)
{
	struct v3_vcpu *vcpu = fault_vm("\xa1\x00\x00\x00\xd0", 5); /* mov eax, [0xd0000000] */

	REQUIRE(vcpu);
	CHECK_EQ(fault(vcpu, 0xd0000000, V3_ACC_READ, NULL), V3_OK);
	CHECK_EQ(vcpu->regs.gpr[V3_RAX], 0xffffffff);
	CHECK_EQ(vcpu->regs.rip, CODE + 5);
}

/* Code where nothing is: all ones, which is no instruction. */
static void test_mem_fault_of_a_fetch_raises_ud(void)
{
	struct v3_vcpu *vcpu = fault_vm("\x90", 1);
	struct v3_event event;

	REQUIRE(vcpu);
	vcpu->regs.rip = 0xd0000000;
	CHECK_EQ(fault(vcpu, 0xd0000000, V3_ACC_EXEC, &event), V3_OK);
	CHECK_EQ(event.type, V3_EVENT_EXCEPTION);
	CHECK_EQ(event.vector, V3_VEC_UD);
	CHECK_EQ(vcpu->regs.rip, 0xd0000000);
}

/* 64-bit code: the first 2 MiB of memory by a 2 MiB page, what follows by a page table where nothing is. */
static struct v3_vcpu *fault_vm_64(v3_gpa_t cr3)
{
	static const struct v3_seg cs = {.sel = 8, .attr = 0xa9b, .limit = 0xffffffff};
	static const uint64_t pml4 = 0x3007, pdpt = 0x4007, pd[2] = {0x87, 0x80000007};
	struct v3_vcpu *vcpu = fault_vm("\xa1", 1);

	if (!vcpu || !CHECK_EQ(v3_mem_write(vcpu->vm, 0x2000, &pml4, 8), V3_OK) ||
	    !CHECK_EQ(v3_mem_write(vcpu->vm, 0x3000, &pdpt, 8), V3_OK) ||
	    !CHECK_EQ(v3_mem_write(vcpu->vm, 0x4000, pd, sizeof(pd)), V3_OK))
		return NULL;
	v3_vcpu_set_cr(vcpu, 4, V3_CR4_PAE);
	v3_vcpu_set_cr(vcpu, 3, cr3);
	v3_vcpu_set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_PG);
	v3_vcpu_set_efer(vcpu, V3_EFER_LME | V3_EFER_LMA);
	v3_vcpu_set_seg(vcpu, V3_CS, &cs);
	return vcpu;
}

/* The fault is that of the CPU's page walk, which ends at a table outside RAM. */
static void check_fetch_pf(struct v3_vcpu *vcpu, v3_gva_t addr)
{
	const uint64_t rip = vcpu->regs.rip;
	struct v3_event event;

	CHECK_EQ(fault(vcpu, 0x80000000, V3_ACC_READ, &event), V3_OK);
	CHECK_EQ(event.type, V3_EVENT_EXCEPTION);
	CHECK_EQ(event.vector, V3_VEC_PF);
	CHECK_EQ(event.error, V3_PF_PRESENT | V3_PF_RSVD);
	CHECK_EQ(event.cr2, addr);
	CHECK_EQ(vcpu->regs.rip, rip);
}

static void test_mem_fault_of_a_fetch_without_tables_raises_pf(void)
{
	struct v3_vcpu *vcpu = fault_vm_64(0x80000000);

	REQUIRE(vcpu);
	check_fetch_pf(vcpu, CODE);
}

static void test_mem_fault_of_half_a_fetch_raises_pf(void)
{
	struct v3_vcpu *vcpu = fault_vm_64(0x2000);

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_mem_write(vcpu->vm, 0x1ffffe, "\xa1\x00", 2), V3_OK);
	vcpu->regs.rip = 0x1ffffe;
	check_fetch_pf(vcpu, 0x200000);
}

static void test_mem_fault_maps_ram(void)
{
	struct v3_vcpu *vcpu = fault_vm("\x90", 1);
	struct v3_mem_stats stats;

	REQUIRE(vcpu);
	CHECK_EQ(fault(vcpu, RAM + 0x123, V3_ACC_WRITE, NULL), V3_OK);
	CHECK_EQ(fault(vcpu, RAM + 0x123, V3_ACC_WRITE, NULL), V3_OK); /* once more: no harm */
	v3_mem_get_stats(vcpu->vm, &stats);
	CHECK_EQ(stats.leaves_2m, 1);
	CHECK_EQ(vcpu->regs.rip, CODE);
}

static int refuse(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
		  void *priv)
{
	unsigned *calls = priv;

	(void)vcpu, (void)view;
	CHECK_EQ(gpa, RAM);
	CHECK_EQ(access, V3_ACC_WRITE);
	++*calls;
	return V3_OK;
}

/* MOVSD from a device to a page that the view protects: told, not done, to be executed again. */
static void test_mem_fault_stops_at_a_view(void)
{
	struct v3_vcpu *vcpu = fault_vm("\xa5", 1); /* movsd */
	struct device dev = {.value = 0x55};
	struct v3_view *view;
	unsigned calls = 0;

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_mmio_register(vcpu->vm, 0xfee00000, 4096, device_access, &dev), V3_OK);
	REQUIRE_EQ(v3_view_create(vcpu->vm, refuse, &calls, &view), V3_OK);
	REQUIRE_EQ(v3_view_set_page(view, RAM, V3_ACC_READ, V3_HPA_NONE), V3_OK);
	v3_vcpu_set_view(vcpu, view);
	vcpu->regs.gpr[V3_RSI] = 0xfee00020;
	vcpu->regs.gpr[V3_RDI] = RAM;
	CHECK_EQ(fault(vcpu, 0xfee00020, V3_ACC_READ, NULL), V3_OK);
	CHECK_EQ(calls, 1);
	CHECK_EQ(vcpu->regs.rip, CODE);
	CHECK_EQ(vcpu->regs.gpr[V3_RDI], RAM);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vcpu->vm, RAM), 0);
	CHECK_EQ(v3_view_set_page(view, RAM, V3_ACC_ALL, V3_HPA_NONE), V3_OK);
	CHECK_EQ(fault(vcpu, 0xfee00020, V3_ACC_READ, NULL), V3_OK);
	CHECK_EQ(calls, 1);
	CHECK_EQ(vcpu->regs.rip, CODE + 1);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vcpu->vm, RAM), 0x55);
	v3_vcpu_set_view(vcpu, NULL);
	CHECK_EQ(v3_view_destroy(view), V3_OK);
}

static const struct tap_test tests[] = {
	TAP(test_mem_fault_reads_mmio),
	TAP(test_mem_fault_hands_on_device_results),
	TAP(test_mem_fault_calls_hook),
	TAP(test_mem_fault_ignores_rom_writes),
	TAP(test_mem_fault_of_nothing_reads_ones),
	TAP(test_mem_fault_of_a_fetch_raises_ud),
	TAP(test_mem_fault_of_a_fetch_without_tables_raises_pf),
	TAP(test_mem_fault_of_half_a_fetch_raises_pf),
	TAP(test_mem_fault_maps_ram),
	TAP(test_mem_fault_stops_at_a_view),
};
TAP_MAIN(tests)
