/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file timers.h
 * Private to devices/timer/: the HPET takes the interrupt lines of the older timers, and gives them back.
 */
#ifndef V3_DEVICES_TIMERS_H
#define V3_DEVICES_TIMERS_H

#include "palacios/types.h"

/** Connect the interrupt of an i8254 or RTC, or disconnect it; everything else of it goes on. thread or atomic. */
void v3_i8254_wire(void *state, bool wired);
void v3_rtc_wire(void *state, bool wired);

#endif
