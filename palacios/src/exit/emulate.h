/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file emulate.h
 * The vcpu behind the pure executor of emulate/: fetch, decode, execute the instruction at RIP.
 */
#ifndef V3_EXIT_EMULATE_H
#define V3_EXIT_EMULATE_H

#include "palacios/types.h"

struct v3_exit;
struct v3_vcpu;

/**
 * Emulate the instruction at RIP, whose access (MMIO, hook, ROM, string I/O) exited or that exits by itself
 * (V3_EXIT_SYS_INSN). Own thread.
 * @return as exit handlers; an instruction the executor does not know raises #UD in the guest, logged
 */
int v3_emulate_access(struct v3_vcpu *vcpu, struct v3_exit *exit);

/** May the guest use ports [port, port + size)? IOPL and the TSS bitmap; queues #GP(0) if not. V3_EFAULT. */
int v3_io_permitted(struct v3_vcpu *vcpu, uint16_t port, unsigned size);

#endif
