/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file calendar.h
 * Private to devices/timer/: dates. The functions serve the seconds from V3_CALENDAR_FIRST_S to V3_CALENDAR_LAST_S.
 */
#ifndef V3_DEVICES_CALENDAR_H
#define V3_DEVICES_CALENDAR_H

#include "palacios/types.h"

#define V3_CALENDAR_FIRST_S (-62135596800ll) /* 0001-01-01 */
#define V3_CALENDAR_LAST_S  (1ll << 39)	     /* in the year 19390 */

struct v3_calendar {
	int year;			     /* in full */
	unsigned month, day, hour, min, sec; /* month and day from 1 */
};

/** Seconds since 1970-01-01 0:00. any context, as the others. */
int64_t v3_calendar_to_seconds(const struct v3_calendar *t);
void v3_calendar_from_seconds(int64_t s, struct v3_calendar *t);
/** Day of the week; Sunday is 0. */
unsigned v3_calendar_weekday(int64_t s);

static inline bool v3_calendar_has(int64_t s)
{
	return s >= V3_CALENDAR_FIRST_S && s <= V3_CALENDAR_LAST_S;
}

#endif
