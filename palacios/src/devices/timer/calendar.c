/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file calendar.c
 * Seconds since 1970 and dates of the Gregorian calendar, for the real-time clock (rtc.c). Calls nothing.
 */
#include "devices/timer/calendar.h"

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t calendar_days(int year, unsigned month, unsigned day)
{
	/* Years begin in March here, so that the leap day is the last of its year. */
	int64_t y = month > 2 ? year : year - 1;
	unsigned m = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

int64_t v3_calendar_to_seconds(const struct v3_calendar *t)
{
	return ((calendar_days(t->year, t->month, t->day) * 24 + t->hour) * 60 + t->min) * 60 +
	       t->sec;
}

/* Date of a number of days since 1970-01-01. */
static void calendar_from_days(int64_t days, struct v3_calendar *t)
{
	int64_t z = days + 719468; /* since 0000-03-01 */
	int64_t era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = (unsigned)(doe - (365 * yoe + yoe / 4 - yoe / 100));
	unsigned m = (5 * doy + 2) / 153;

	t->day = doy - (153 * m + 2) / 5 + 1;
	t->month = m < 10 ? m + 3 : m - 9;
	t->year = (int)(era * 400 + yoe) + (t->month <= 2);
}

/* Day a second lies in; rounds down before 1970 too. */
static int64_t calendar_day_of(int64_t s)
{
	return s / 86400 - (s % 86400 < 0);
}

void v3_calendar_from_seconds(int64_t s, struct v3_calendar *t)
{
	int64_t days = calendar_day_of(s), rest = s - days * 86400;

	calendar_from_days(days, t);
	t->hour = (unsigned)(rest / 3600);
	t->min = (unsigned)(rest / 60 % 60);
	t->sec = (unsigned)(rest % 60);
}

unsigned v3_calendar_weekday(int64_t s)
{
	return (unsigned)((calendar_day_of(s) - calendar_days(1600, 1, 1) + 6) %
			  7); /* 1600-01-01: Saturday */
}
