/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file segment_rig.h
 * A vcpu of the real core with descriptor tables in RAM and a device, in a mode and at a privilege of choice.
 * For test_segment.c, test_sys_insn.c and test_dirty_insn.c.
 */
#ifndef TESTS_UNIT_SEGMENT_RIG_H
#define TESTS_UNIT_SEGMENT_RIG_H

#include "fake_vm.h"
#include "state.h"
#include "tap.h"

#define CODE   0x1000
#define PML4   0x2000 /* 1 GiB leaves below it: all memory is at its own address */
#define PDPT   0x3000
#define GDT    0x8000
#define LDT    0x9000
#define TSS    0xa000
#define DEVICE 0xfee00000
#define NGDT   32

/* Access bytes */
#define DATA	0x93 /* writable */
#define RDONLY	0x91
#define CODE_R	0x9b
#define CODE_X	0x99 /* not readable */
#define CONFORM 0x9f
#define DPL(n)	((n) << 5)

static struct {
	struct v3_vcpu *vcpu;
	struct v3_event event;
	uint16_t sel; /* what the device gives */
	uint64_t written;
	unsigned reads, writes, size;
} s;

static int device(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu;
	(void)priv;
	s.size = mmio->size;
	if (mmio->write) {
		s.writes++;
		s.written = mmio->value;
	} else {
		s.reads++;
		mmio->value = s.sel;
	}
	return V3_OK;
}

static inline uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 |
	       (uint64_t)(base >> 24) << 56;
}

static inline void put(uint64_t table, uint16_t sel, uint64_t desc)
{
	CHECK_EQ(v3_mem_write(s.vcpu->vm, table + (sel & ~7u), &desc, 8), V3_OK);
}

static inline uint8_t access_byte(uint64_t table, uint16_t sel)
{
	uint8_t byte = 0;

	CHECK_EQ(v3_mem_read(s.vcpu->vm, table + (sel & ~7u) + 5, &byte, 1), V3_OK);
	return byte;
}

/* A VM in @p bits wide protected code (16: real mode) at privilege @p cpl. */
static bool machine(unsigned bits, unsigned cpl)
{
	struct v3_seg code = {.sel = (uint16_t)(0x08 | cpl), .limit = 0xffffffff};
	struct v3_seg data = {.sel = (uint16_t)(0x10 | cpl),
			      .attr = (uint16_t)(0xc93 | cpl << 5),
			      .limit = 0xffffffff};
	const struct v3_seg ldt = {.sel = 0x20, .attr = V3_SEG_P | 2, .limit = 0x1f, .base = LDT};
	const struct v3_dtr gdt = {.base = GDT, .limit = 8 * NGDT - 1};
	struct v3_vm *vm = fake_vm_bare(1, 16);

	memset(&s, 0, sizeof(s));
	if (!vm || !CHECK_EQ(v3_mmio_register(vm, DEVICE, 4096, device, NULL), V3_OK))
		return false;
	s.vcpu = vm->vcpu[0];
	code.attr = (uint16_t)((0x9b | cpl << 5) | (bits == 64	 ? V3_SEG_L
						    : bits == 32 ? V3_SEG_DB
								 : 0));
	v3_vcpu_set_cr(s.vcpu, 0, bits == 16 ? 0 : V3_CR0_PE);
	if (bits == 64) {
		uint64_t entry = PDPT | 7;

		CHECK_EQ(v3_mem_write(vm, PML4, &entry, 8), V3_OK);
		for (uint64_t n = 0; n < 4; n++) {
			entry = n << 30 | 0x87;
			CHECK_EQ(v3_mem_write(vm, PDPT + 8 * n, &entry, 8), V3_OK);
		}
		v3_vcpu_set_cr(s.vcpu, 4, V3_CR4_PAE);
		v3_vcpu_set_cr(s.vcpu, 3, PML4);
		v3_vcpu_set_cr(s.vcpu, 0, V3_CR0_PE | V3_CR0_PG);
		v3_vcpu_set_efer(s.vcpu, V3_EFER_LME | V3_EFER_LMA);
	}
	for (unsigned n = V3_ES; n <= V3_GS; n++)
		v3_vcpu_set_seg(s.vcpu, (enum v3_seg_num)n, n == V3_CS ? &code : &data);
	s.vcpu->arch->set_cpl(s.vcpu, cpl);
	v3_vcpu_set_seg(s.vcpu, V3_LDTR, &ldt);
	v3_vcpu_set_dtr(s.vcpu, false, &gdt);
	s.vcpu->regs.gpr[V3_RAX] = DEVICE;
	return true;
}

/* Execute @p code, which exits. The event it queued is in s.event. */
static int execute_exit(const char *code, size_t len, const struct v3_exit *exit)
{
	s.vcpu->regs.rip = CODE;
	CHECK_EQ(v3_mem_write(s.vcpu->vm, CODE, code, len), V3_OK);
	return fake_dispatch(s.vcpu, exit, &s.event);
}

/* The same, by an access to the device. */
static inline int execute(const char *code, size_t len, unsigned access)
{
	struct v3_exit exit = fake_exit(V3_EXIT_NESTED_FAULT, 0);

	exit.u.fault.gpa = DEVICE;
	exit.u.fault.access = (uint8_t)access;
	return execute_exit(code, len, &exit);
}

static inline struct v3_seg seg_of(enum v3_seg_num num)
{
	struct v3_seg seg;

	v3_vcpu_get_seg(s.vcpu, num, &seg);
	return seg;
}

#endif
