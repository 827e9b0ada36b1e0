/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file compat.h
 * What differs between kernel versions. The only place of the module that asks for the version.
 */
#ifndef LNX_COMPAT_H
#define LNX_COMPAT_H

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
