/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file segment.h
 * Loading segment registers from descriptors: for emulated instructions and for task switches.
 */
#ifndef V3_CPU_SEGMENT_H
#define V3_CPU_SEGMENT_H

#include "palacios/regs.h"
#include "palacios/types.h"

struct v3_vcpu;

/* A descriptor of the guest's, copied once. */
struct v3_desc {
	v3_gva_t at; /* where it lies */
	uint64_t raw;
	struct v3_seg seg; /* unpacked */
};

/**
 * Copy from and to the guest's own structures (descriptor tables, TSS) as the CPU itself does: with the
 * rights of CPL 0. Own thread.
 * @return V3_OK; V3_EFAULT: a page fault was queued, and a part may have been copied
 */
int v3_segment_read(struct v3_vcpu *vcpu, v3_gva_t at, void *buf, size_t len);
int v3_segment_write(struct v3_vcpu *vcpu, v3_gva_t at, const void *buf, size_t len);

/** Queue @p vector with a selector as error code. Own thread. @return V3_EFAULT */
int v3_segment_fault(struct v3_vcpu *vcpu, enum v3_vector vector, uint16_t sel);

/**
 * Read the descriptor of a selector from the GDT or the LDT. Own thread.
 * @param sel     not null
 * @param vector  raised if the table is too short
 * @return V3_OK; V3_EFAULT: @p vector or a page fault was queued
 */
int v3_segment_fetch(struct v3_vcpu *vcpu, uint16_t sel, enum v3_vector vector,
		     struct v3_desc *desc);

/**
 * Change bits of the type field of a descriptor in guest memory. Own thread.
 * @return V3_OK; V3_EFAULT: a page fault was queued
 */
int v3_segment_mark(struct v3_vcpu *vcpu, const struct v3_desc *desc, uint8_t clear, uint8_t set);

/**
 * Load ES, SS, DS, FS or GS (in a task switch also CS) in the vcpu's present mode, with all checks. Sets
 * the accessed bit of the descriptor. Own thread.
 *
 * @param cpl     privilege to check against; a task switch's is the new task's
 * @param vector  raised for a selector that is not fit: V3_VEC_GP, in a task switch V3_VEC_TS
 * @return V3_OK; V3_EFAULT: nothing was loaded, @p vector, #NP, #SS or #PF was queued
 */
int v3_segment_load(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel, unsigned cpl,
		    enum v3_vector vector);

/**
 * Load LDTR or TR as LLDT and LTR do, in protected mode; a TSS becomes busy. Privilege is the caller's to check.
 * Own thread.
 * @return V3_OK; V3_EFAULT: nothing was loaded, #GP, #NP or #PF was queued
 */
int v3_segment_load_system(struct v3_vcpu *vcpu, enum v3_seg_num num, uint16_t sel);

#endif
