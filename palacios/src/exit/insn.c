/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file insn.c
 * Length and retirement of exiting instructions. Called by nearly every exit handler; calls the page walker
 * for the bytes and the decoder when the encoding is not the plain one.
 */
#include "exit/insn.h"

#include "cpu/excp.h"
#include "exit/exit.h"
#include "palacios/util/str.h"
#include "state.h"

/* The plain encodings, without prefixes. INVLPG has a ModRM byte: always decoded. */
static const struct insn_plain {
	uint8_t len;
	uint8_t bytes[3];
} insn_plain[] = {
	[V3_OP_CPUID] = {2, {0x0f, 0xa2}},
	[V3_OP_RDMSR] = {2, {0x0f, 0x32}},
	[V3_OP_WRMSR] = {2, {0x0f, 0x30}},
	[V3_OP_HLT] = {1, {0xf4}},
	[V3_OP_HYPERCALL] = {3, {0x0f, 0x01, 0xd9}},
	[V3_OP_PAUSE] = {2, {0xf3, 0x90}},
	[V3_OP_RDTSC] = {2, {0x0f, 0x31}},
	[V3_OP_RDTSCP] = {3, {0x0f, 0x01, 0xf9}},
	[V3_OP_CACHE] = {2, {0x0f, 0x09}},
	[V3_OP_XSETBV] = {3, {0x0f, 0x01, 0xd1}},
	[V3_OP_INVLPG] = {0, {0}},
};

static bool insn_is_plain(const struct insn_plain *plain, const uint8_t *bytes, size_t avail)
{
	return plain->len && avail >= plain->len && bytes[0] == plain->bytes[0] &&
	       (plain->len < 2 || bytes[1] == plain->bytes[1]) &&
	       (plain->len < 3 || bytes[2] == plain->bytes[2]);
}

static unsigned insn_decode_len(struct v3_vcpu *vcpu)
{
	uint8_t bytes[V3_INSN_MAX];
	size_t got;
	int len;

	if (v3_fetch(vcpu, bytes, sizeof(bytes), &got) != V3_OK)
		return 0;
	len = v3_insn_length(bytes, got, v3_code_bits(vcpu));
	return len > 0 ? (unsigned)len : 0;
}

unsigned v3_insn_len(struct v3_vcpu *vcpu, const struct v3_exit *exit, enum v3_insn_op op)
{
	const struct insn_plain *plain = &insn_plain[op];
	const uint8_t *bytes;
	size_t avail;

	if (exit->insn_len)
		return exit->insn_len;
	bytes = v3_fetch_ptr(vcpu, &avail);
	if (V3_LIKELY(bytes && insn_is_plain(plain, bytes, avail)))
		return plain->len;
	return insn_decode_len(vcpu);
}

void v3_insn_retire(struct v3_vcpu *vcpu, unsigned len)
{
	uint64_t rip = vcpu->regs.rip + len;

	if (V3_UNLIKELY(v3_code_bits(vcpu) != 64))
		rip = (uint32_t)rip;
	vcpu->regs.rip = rip;
	vcpu->arch->clear_shadow(vcpu);
	if (V3_UNLIKELY(vcpu->regs.rflags & (V3_RFLAGS_TF | V3_RFLAGS_RF)))
		v3_excp_after_insn(vcpu);
}

int v3_insn_skip(struct v3_vcpu *vcpu, const struct v3_exit *exit, enum v3_insn_op op)
{
	unsigned len = v3_insn_len(vcpu, exit, op);

	if (V3_UNLIKELY(!len))
		return V3_LEAVE;
	v3_insn_retire(vcpu, len);
	return V3_OK;
}

/* Bytes the hardware fetched for us, or a copy made once: what is checked is what runs. */
static bool insn_fetch(struct v3_vcpu *vcpu, const struct v3_exit *exit, struct v3_insn_memo *memo,
		       size_t *got)
{
	if (exit->fetched) {
		memcpy(memo->bytes, exit->insn, V3_INSN_MAX);
		*got = exit->fetched;
		return true;
	}
	return v3_fetch(vcpu, (uint8_t *)memo->bytes, V3_INSN_MAX, got) == V3_OK;
}

/*
 * No bytes from the one @p off behind RIP on. Where that is because of the guest's tables, the CPU's own fetch need not
 * say so: its page walk may be what exited, at a table outside RAM (which reads as all ones), and would exit again.
 */
static void insn_fetch_fault(struct v3_vcpu *vcpu, size_t off)
{
	v3_gva_t gva = vcpu->regs.rip + off;
	struct v3_walk w;

	if (v3_code_bits(vcpu) != 64)
		gva = (uint32_t)(vcpu->cs.base + gva);
	if (v3_walk(vcpu, gva, V3_ACC_EXEC, vcpu->cpl, &w) != V3_OK)
		v3_vcpu_inject_pf(vcpu, gva, w.error);
}

static const struct v3_insn *insn_decode_slow(struct v3_vcpu *vcpu, const struct v3_exit *exit,
					      struct v3_insn_memo *memo)
{
	size_t got;
	int err;

	memo->insn.length = 0;
	memo->bytes[1] = 0;
	if (!insn_fetch(vcpu, exit, memo, &got)) {
		insn_fetch_fault(vcpu, 0);
		return NULL;
	}
	err = v3_decode((const uint8_t *)memo->bytes, got, v3_code_bits(vcpu), &memo->insn);
	if (err == V3_OK)
		return &memo->insn;
	memo->insn.length = 0;
	if (err == V3_E2BIG)
		v3_vcpu_inject_gp(vcpu, 0);
	else if (err == V3_EINVAL)
		v3_vcpu_inject_ud(vcpu);
	else
		insn_fetch_fault(vcpu, got);
	return NULL;
}

/* Decoding depends on nothing but bytes and code size: if both are as they were, so is the result. */
const struct v3_insn *v3_insn_decode(struct v3_vcpu *vcpu, const struct v3_exit *exit)
{
	struct v3_insn_memo *memo = &vcpu->insn_memo[vcpu->regs.rip / 2 % V3_INSN_MEMOS];
	const uint8_t *p;
	size_t avail;
	uint64_t first, last;

	if (exit->fetched || !memo->insn.length)
		return insn_decode_slow(vcpu, exit, memo);
	p = v3_fetch_ptr(vcpu, &avail);
	if (!p || avail < sizeof(memo->bytes))
		return insn_decode_slow(vcpu, exit, memo);
	memcpy(&last, p + 8, sizeof(last));
	memcpy(&first, p, sizeof(first));
	if (first == memo->bytes[0] && last << 8 == memo->bytes[1] << 8 &&
	    memo->insn.bits == v3_code_bits(vcpu))
		return &memo->insn;
	return insn_decode_slow(vcpu, exit, memo);
}
