/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file small_alloc.h
 * v3_alloc() and v3_free() for tests of code that needs nothing else of a host. Include it in one
 * file of the test program; the library's own versions then stay out of it. Counts what is in use
 * and can refuse a request, as the fake host does.
 */
#ifndef TESTS_SMALL_ALLOC_H
#define TESTS_SMALL_ALLOC_H

#include "palacios/vm.h"

#include "tap.h"

static struct {
	unsigned live;	   /* in use */
	unsigned requests; /* since small_alloc_fail_at() */
	unsigned fail_at;  /* 1-based; 0: never */
	bool fail_after;   /* all later ones, too */
} small_alloc;

/* Refuse the k-th request from now on (0: none) and, if @p after, all later ones. */
__attribute__((unused)) static void small_alloc_fail_at(unsigned k, bool after)
{
	small_alloc.requests = 0;
	small_alloc.fail_at = k;
	small_alloc.fail_after = after;
}

/* Was the request that was to be refused made? */
__attribute__((unused)) static bool small_alloc_refused(void)
{
	return small_alloc.fail_at && small_alloc.requests >= small_alloc.fail_at;
}

void *v3_alloc(size_t size)
{
	unsigned k = ++small_alloc.requests;
	void *p;

	CHECK_MSG(size >= 1 && size <= 32768, "v3_alloc(%zu) is outside 1..32768", size);
	if (small_alloc.fail_at &&
	    (k == small_alloc.fail_at || (small_alloc.fail_after && k > small_alloc.fail_at)))
		return NULL;
	p = calloc(1, size);
	if (p)
		small_alloc.live++;
	return p;
}

void v3_free(void *p)
{
	if (p)
		small_alloc.live--;
	free(p);
}

#endif
