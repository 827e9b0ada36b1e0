/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exit.c
 * Exit handler of IN and OUT. String forms go through the executor.
 */
#include "exit/emulate.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "state.h"

/* 8- and 16-bit results leave the upper bits of RAX alone, 32-bit ones clear them. */
static void io_set_rax(struct v3_vcpu *vcpu, unsigned size, uint32_t value)
{
	uint64_t *rax = &vcpu->regs.gpr[V3_RAX];

	if (size == 4)
		*rax = value;
	else if (size == 2)
		*rax = (*rax & ~0xffffull) | (value & 0xffff);
	else
		*rax = (*rax & ~0xffull) | (value & 0xff);
}

int v3_io_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	unsigned size = exit->u.io.size;
	struct v3_io io = {.port = exit->u.io.port, .size = (uint8_t)size, .write = !exit->u.io.in};
	int err;

	if (exit->u.io.string)
		return v3_emulate_access(vcpu, exit);
	if (io.write)
		io.value = (uint32_t)vcpu->regs.gpr[V3_RAX] & (0xffffffffu >> (32 - 8 * size));
	/* The hardware has checked IOPL and the bitmap, and tells the length with every port exit. */
	v3_insn_retire(vcpu, exit->insn_len);
	err = v3_io_access(vcpu, &io);
	if (!io.write && err >= 0)
		io_set_rax(vcpu, size, io.value);
	return err;
}
