/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file step.h
 * Something that happens in the middle of a call of the library's: the call is run one instruction at a time, and
 * the test looks, or plays another vcpu, before each. For races that two threads would meet once in a blue moon.
 */
#ifndef TESTS_UNIT_STEP_H
#define TESTS_UNIT_STEP_H

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "palacios/regs.h"
#include "tap.h"

static struct {
	void (*between)(void *arg, const struct v3_regs *regs);
	void *arg;
	unsigned steps;
} stepping;

static void step_trap(int sig, siginfo_t *info, void *context)
{
	static const uint8_t order[V3_NGPR] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
					       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
					       REG_R12, REG_R13, REG_R14, REG_R15};
	const ucontext_t *uc = context;
	struct v3_regs regs = {.rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP]};

	(void)sig;
	(void)info;
	for (unsigned i = 0; i < V3_NGPR; i++)
		regs.gpr[i] = (uint64_t)uc->uc_mcontext.gregs[order[i]];
	stepping.steps++;
	stepping.between(stepping.arg, &regs);
}

/* Run @p call, and @p between before each of its instructions, with the registers as they are there. */
static void step_through(void (*call)(void *arg),
			 void (*between)(void *arg, const struct v3_regs *regs), void *arg)
{
	struct sigaction action = {.sa_sigaction = step_trap, .sa_flags = SA_SIGINFO}, old;

	stepping.between = between;
	stepping.arg = arg;
	stepping.steps = 0;
	sigaction(SIGTRAP, &action, &old);
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "cc", "memory");
	call(arg);
	__asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "cc", "memory");
	sigaction(SIGTRAP, &old, NULL);
	CHECK(stepping.steps > 10);
}

#endif
