/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file compat.h
 * What differs between kernel versions. The only place of the module that asks for the version.
 */
#ifndef LNX_COMPAT_H
#define LNX_COMPAT_H

#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/mmzone.h>
#include <linux/version.h>

/* Largest order of the page allocator: MAX_ORDER was exclusive, became inclusive, and got another name. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define LNX_LARGEST_ORDER MAX_PAGE_ORDER
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define LNX_LARGEST_ORDER MAX_ORDER
#else
#define LNX_LARGEST_ORDER (MAX_ORDER - 1)
#endif

/** Take these very pages, moving what lies there away; freed one by one. thread. @return 0, or why not. */
static inline int lnx_contig_alloc(unsigned long pfn, unsigned long npages)
{
#if !defined(CONFIG_CONTIG_ALLOC)
	return -EOPNOTSUPP;
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return alloc_contig_range(pfn, pfn + npages, ACR_FLAGS_NONE, GFP_KERNEL | __GFP_NOWARN);
#else
	return alloc_contig_range(pfn, pfn + npages, MIGRATE_MOVABLE, GFP_KERNEL | __GFP_NOWARN);
#endif
}

static inline void lnx_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *timer),
				     clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, fn, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
#endif
}

#endif
