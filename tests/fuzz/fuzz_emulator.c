/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_emulator.c
 * Decoder and executor for libFuzzer: the input is a processor state and up to 15 bytes of code. What is decoded is
 * executed in the unit tests' small world; an instruction that was not completed must have changed no register.
 */
#include "fuzz.h"

#include "emulate_world.h"

#define FUZZ_REPEATS 4 /* a REP instruction comes back once per piece */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* Most addresses near the world's pages, some anywhere. */
static uint64_t take_word(void)
{
	uint8_t how = (uint8_t)take(1);

	return how & 0x80 ? take(8) : BASE + (uint64_t)(how & 0x7f) * 0x81;
}

static void take_state(void)
{
	static const uint8_t modes[] = {16, 32, 64, 64};

	world(modes[take(1) & 3]);
	for (unsigned i = 0; i < V3_NGPR; i++)
		w.regs.gpr[i] = take_word();
	w.regs.rflags = V3_RFLAGS_ONE | (take(2) & 0xcd5);
	for (unsigned i = 0; i < NPAGES; i++)
		w.pages[i] = (enum page)(take(1) & 3);
	w.ports_denied = take(1) & 1;
	w.steals = take(1) & 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct v3_insn insn;
	struct v3_regs before;
	uint8_t code[15];
	unsigned n;

	fuzz_begin(data, size);
	take_state();
	n = fuzz_in.left < sizeof(code) ? (unsigned)fuzz_in.left : sizeof(code);
	for (unsigned i = 0; i < n; i++)
		code[i] = (uint8_t)take(1);
	if (v3_decode(code, n, w.bits, &insn) != V3_OK)
		return 0;
	if (!insn.length || insn.length > n)
		abort();
	before = w.regs;
	for (unsigned i = 0; i < FUZZ_REPEATS && v3_emulate(&w.emul, &insn) >= 0; i++)
		if (w.emul.retired)
			break;
	if (!w.emul.retired && w.regs.rip != before.rip)
		abort();
	if (tap.failures)
		abort();
	return 0;
}
