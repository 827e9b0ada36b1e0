/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file balloon.c
 * Test of memory that a guest gives back, called by main.c if the command line says "balloon=MIB": when the guest's driver
 * is there and has reported free pages, it is asked for so much, and when it has given it, to take it again. Prints what this host has lent at
 * each step, by its own books; tests/system/debian.t compares.
 */
#include "baremetal.h"

#include "palacios/balloon.h"
#include "palacios/palacios.h"

#define BALLOON_PERIOD_NS 100000000ull
#define BALLOON_HOLD	  20 /* periods that the guest has to look at it */
#define BALLOON_REPORT	  16 /* MiB */
#define BALLOON_MIB	  20

enum balloon_step {
	BALLOON_START,
	BALLOON_REPORTED,
	BALLOON_INFLATE,
	BALLOON_HOLDS,
	BALLOON_DEFLATE,
	BALLOON_OVER
};

static void balloon_print(const char *what, const struct v3_balloon *b)
{
	struct bm_usage usage;

	bm_mem_usage(&usage);
	bm_print("balloon: %s: lent %llu MiB, balloon %llu, freed %llu, free in the guest %llu",
		 what,
		 (unsigned long long)(usage.ram_pages + usage.pages) >>
			 (BALLOON_MIB - V3_PAGE_SHIFT),
		 (unsigned long long)b->actual >> BALLOON_MIB,
		 (unsigned long long)b->freed >> BALLOON_MIB,
		 b->told ? (unsigned long long)b->stat[V3_BALLOON_FREE] >> BALLOON_MIB : 0);
}

/* One look. @return the step to go on with */
static enum balloon_step balloon_look(struct v3_vm *vm, enum balloon_step step, uint64_t bytes,
				      const struct v3_balloon *b, unsigned *held)
{
	switch (step) {
	case BALLOON_START:
		if (!b->driver)
			return step;
		balloon_print("the driver is there", b);
		return BALLOON_REPORTED;
	case BALLOON_REPORTED: /* unasked, what it has free */
		if (b->freed >> BALLOON_MIB < BALLOON_REPORT)
			return step;
		balloon_print("free pages were reported", b);
		(void)v3_balloon_set(vm, bytes); /* refused: the guest waits in vain, and says so */
		return BALLOON_INFLATE;
	case BALLOON_INFLATE:
		if (b->actual < bytes || b->freed < bytes)
			return step;
		balloon_print("inflated", b);
		return BALLOON_HOLDS;
	case BALLOON_HOLDS:
		if (++*held < BALLOON_HOLD)
			return step;
		balloon_print("held", b);
		(void)v3_balloon_set(vm, 0);
		return BALLOON_DEFLATE;
	case BALLOON_DEFLATE:
		if (b->actual)
			return step;
		balloon_print("deflated", b);
		return BALLOON_OVER;
	case BALLOON_OVER:
		break;
	}
	return BALLOON_OVER;
}

int bm_balloon_run(struct v3_vm *vm, uint64_t mib)
{
	enum balloon_step step = BALLOON_START;
	struct v3_balloon b;
	unsigned held = 0;
	int err = V3_OK;

	while (!err && v3_vm_get_state(vm) != V3_VM_STOPPED) {
		err = bm_sleep(BALLOON_PERIOD_NS);
		if (!err)
			err = v3_balloon_get(vm, &b);
		if (!err)
			step = balloon_look(vm, step, mib << BALLOON_MIB, &b, &held);
	}
	v3_vm_wait(vm);
	if (!err)
		balloon_print("the end", &b);
	return err;
}
