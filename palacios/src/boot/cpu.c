/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cpu.c
 * Registers of the boot CPU at a kernel's entry: the two modes that boot protocols start in.
 * Interrupts are off, segments flat; LDTR is empty and TR holds a busy TSS, which hardware demands
 * of a running guest (APM vol. 2 15.5.1, SDM 3C 26.3.1.2).
 */
#include "boot/loader.h"

#include "palacios/util/str.h"
#include "palacios/vcpu.h"

#define TYPE_CODE    0x0b /* execute, read, accessed */
#define TYPE_DATA    0x03 /* read, write, accessed */
#define TYPE_BUSYTSS 0x0b

/* As Linux wants them; other protocols leave them open. */
#define CPU_CODE_SEL 0x10
#define CPU_DATA_SEL 0x18

static void cpu_segments(struct v3_vcpu *vcpu, bool long_mode)
{
	struct v3_seg seg = {.sel = CPU_CODE_SEL, .limit = 0xffffffff};
	unsigned num;

	seg.attr = TYPE_CODE | V3_SEG_S | V3_SEG_P | V3_SEG_G | (long_mode ? V3_SEG_L : V3_SEG_DB);
	v3_vcpu_set_seg(vcpu, V3_CS, &seg);
	seg.sel = CPU_DATA_SEL;
	seg.attr = TYPE_DATA | V3_SEG_S | V3_SEG_P | V3_SEG_G | V3_SEG_DB;
	for (num = 0; num <= V3_GS; num++) {
		if (num != V3_CS)
			v3_vcpu_set_seg(vcpu, (enum v3_seg_num)num, &seg);
	}
	seg = (struct v3_seg){.attr = TYPE_BUSYTSS | V3_SEG_P, .limit = 0xffff};
	v3_vcpu_set_seg(vcpu, V3_TR, &seg);
	seg = (struct v3_seg){.attr = 0};
	v3_vcpu_set_seg(vcpu, V3_LDTR, &seg);
}

static void cpu_common(struct v3_vcpu *vcpu)
{
	struct v3_regs *regs = v3_vcpu_regs(vcpu);
	struct v3_dtr none = {.base = 0};

	memset(regs, 0, sizeof(*regs));
	regs->rflags = V3_RFLAGS_ONE;
	v3_vcpu_set_dtr(vcpu, true, &none);
}

void v3_boot_cpu_protected(struct v3_vcpu *vcpu, const struct v3_dtr *gdt)
{
	cpu_common(vcpu);
	v3_vcpu_set_efer(vcpu, 0);
	v3_vcpu_set_cr(vcpu, 4, 0);
	v3_vcpu_set_cr(vcpu, 3, 0);
	v3_vcpu_set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_ET);
	v3_vcpu_set_dtr(vcpu, false, gdt);
	cpu_segments(vcpu, false);
}

void v3_boot_cpu_long(struct v3_vcpu *vcpu, v3_gpa_t cr3, const struct v3_dtr *gdt)
{
	cpu_common(vcpu);
	v3_vcpu_set_efer(vcpu, V3_EFER_LME | V3_EFER_LMA);
	v3_vcpu_set_cr(vcpu, 4, V3_CR4_PAE);
	v3_vcpu_set_cr(vcpu, 3, cr3);
	v3_vcpu_set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_ET | V3_CR0_NE | V3_CR0_PG);
	v3_vcpu_set_dtr(vcpu, false, gdt);
	cpu_segments(vcpu, true);
}
