/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fpu.h
 * The guest's extended state: x87, SSE, AVX ..., XCR0, and TSC_AUX, which travels with it.
 *
 * The registers hold the guest's state from v3_fpu_load() to v3_fpu_put(): across any number of exits, so
 * the hot path switches nothing. They are put down before the thread may sleep (v3_vcpu_may_sleep()).
 */
#ifndef V3_CPU_FPU_H
#define V3_CPU_FPU_H

#include "palacios/types.h"

struct v3_vcpu;

/** Allocate the image and choose what is offered. thread, before v3_cpuid_init(). V3_ENOMEM. */
int v3_fpu_init(struct v3_vcpu *vcpu);
void v3_fpu_fini(struct v3_vcpu *vcpu);
/** State after RESET. Not loaded. */
void v3_fpu_reset(struct v3_vcpu *vcpu);
/** Guest state into the registers; own thread (V3_REQ_FPU). */
void v3_fpu_load(struct v3_vcpu *vcpu);
/** Guest state into memory, host may run; own thread. Cheap if not loaded. */
void v3_fpu_put(struct v3_vcpu *vcpu);
/** The guest's XCR0 now. Own thread. */
uint64_t v3_fpu_xcr0(struct v3_vcpu *vcpu);
/** Bytes of a standard-format XSAVE image of these components. any. */
uint32_t v3_fpu_image_size(uint64_t xcr0);
/** Vector register access for the emulator (decode.h: vec_get, vec_set). Own thread. */
int v3_fpu_get_vec(struct v3_vcpu *vcpu, unsigned n, void *buf, size_t size);
int v3_fpu_set_vec(struct v3_vcpu *vcpu, unsigned n, const void *buf, size_t size, bool zero_upper);

#endif
