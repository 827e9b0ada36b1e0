/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file balloon.c
 * v3 balloon: memory that a guest gives back to the host. Called by v3.c.
 */
#include "v3.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BALLOON_WAIT_MS 1000 /* for the guest's figures */
#define BALLOON_POLL_MS 20

static int balloon_refused(const char *name, const struct palacios_balloon *b)
{
	char size[16];

	if (errno == ENODEV)
		v3_complain("Give it a [[device]] of class \"virtio_balloon\" in its definition.",
			    "%s has no balloon", name);
	else if (errno == ERANGE)
		v3_complain("v3 info NAME shows its memory.", "%s has less memory than %s", name,
			    v3_size_text(size, b->target));
	else
		v3_complain("The kernel's log (dmesg) says more.",
			    "cannot reach the balloon of %s: %s", name, strerror(errno));
	return V3_EXIT_NO;
}

/* The first call asks the guest for its figures; a guest that does not answer has none. */
static int balloon_call(int vm, const char *name, struct palacios_balloon *b)
{
	const int64_t end = v3_now_ms() + BALLOON_WAIT_MS;
	uint32_t told;

	if (ioctl(vm, PALACIOS_VM_BALLOON, b))
		return balloon_refused(name, b);
	told = b->told;
	while ((b->flags & PALACIOS_BALLOON_DRIVER) && b->told == told && v3_now_ms() < end) {
		poll(NULL, 0, BALLOON_POLL_MS);
		memset(b, 0, sizeof(*b));
		if (ioctl(vm, PALACIOS_VM_BALLOON, b))
			return balloon_refused(name, b);
	}
	return V3_EXIT_GOOD;
}

static const struct {
	unsigned stat;
	const char *json, *text; /* text NULL: with --json only */
} balloon_stats[] = {
	{PALACIOS_BALLOON_TOTAL, "guest_total", "total"},
	{PALACIOS_BALLOON_FREE, "guest_free", "free"},
	{PALACIOS_BALLOON_AVAILABLE, "guest_available", "available"},
	{PALACIOS_BALLOON_CACHES, "guest_caches", "caches"},
	{PALACIOS_BALLOON_SWAP_IN, "guest_swap_in", NULL},
	{PALACIOS_BALLOON_SWAP_OUT, "guest_swap_out", NULL},
	{PALACIOS_BALLOON_MAJOR_FAULTS, "guest_major_faults", NULL},
	{PALACIOS_BALLOON_MINOR_FAULTS, "guest_minor_faults", NULL},
	{PALACIOS_BALLOON_HUGE_PAGES, "guest_huge_pages", NULL},
	{PALACIOS_BALLOON_HUGE_FAILURES, "guest_huge_failures", NULL},
};
#define BALLOON_STATS (sizeof(balloon_stats) / sizeof(balloon_stats[0]))

static bool balloon_known(const struct palacios_balloon *b, unsigned i)
{
	return b->stat[balloon_stats[i].stat] != PALACIOS_BALLOON_UNKNOWN;
}

static void balloon_json(const char *name, const struct palacios_balloon *b)
{
	unsigned i;

	v3_json_open(NULL, '{');
	v3_json_text("name", name);
	v3_json_bool("driver", b->flags & PALACIOS_BALLOON_DRIVER);
	v3_json_number("target", (int64_t)b->target);
	v3_json_number("actual", (int64_t)b->actual);
	v3_json_number("released", (int64_t)b->released);
	v3_json_number("freed", (int64_t)b->freed);
	for (i = 0; i < BALLOON_STATS; i++)
		if (balloon_known(b, i))
			v3_json_number(balloon_stats[i].json,
				       (int64_t)b->stat[balloon_stats[i].stat]);
	v3_json_close();
}

static void balloon_text(const struct palacios_balloon *b)
{
	char size[16], freed[16];
	const char *comma = "guest    ";
	unsigned i;

	printf("target   %s\n", v3_size_text(size, b->target));
	printf("balloon  %s%s\n", v3_size_text(size, b->actual),
	       b->flags & PALACIOS_BALLOON_DRIVER ? "" : ", the guest has no driver for it now");
	printf("returned %s, free pages included; the host has %s\n",
	       v3_size_text(size, b->released), v3_size_text(freed, b->freed));
	for (i = 0; i < BALLOON_STATS; i++) {
		if (!balloon_stats[i].text || !balloon_known(b, i))
			continue;
		printf("%s%s %s", comma, v3_size_text(size, b->stat[balloon_stats[i].stat]),
		       balloon_stats[i].text);
		comma = ", ";
	}
	if (*comma == ',')
		putchar('\n');
}

int v3_balloon(char **args)
{
	struct palacios_balloon b;
	int vm, result;

	memset(&b, 0, sizeof(b));
	if (args[1]) {
		b.flags = PALACIOS_BALLOON_SET;
		if (!v3_number_parse(args[1], (uint64_t *)&b.target)) {
			v3_complain("Give a number of bytes, or one with K, M, G or T behind it.",
				    "%s is no size", args[1]);
			return V3_EXIT_USAGE;
		}
	}
	vm = v3_vm_open(args[0]);
	if (vm < 0)
		return -vm;
	result = balloon_call(vm, args[0], &b);
	if (!result && v3_opt.json)
		balloon_json(args[0], &b);
	else if (!result)
		balloon_text(&b);
	close(vm);
	return result;
}
