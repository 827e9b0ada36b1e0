/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ticker.c
 * ticker CPU N: a real-time thread on one CPU that sleeps N times for a millisecond, in the host that
 * tests/system/linux_host.t boots. Prints how late it woke. Exit status 0: the median is below half a tick of the
 * host (4 ms); a guest that kept interrupts or the scheduler waiting would make it as late as its next exit.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PERIOD_NS 1000000ull
#define MAX_TICKS 1000
#define LIMIT_US  2000u

static uint64_t late_us[MAX_TICKS];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t tick(void)
{
	uint64_t until = now_ns() + PERIOD_NS;
	struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
			     .tv_nsec = (long)(until % 1000000000u)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	return (now_ns() - until) / 1000;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct sched_param param = {.sched_priority = 50};
	int i, n = argc == 3 ? atoi(argv[2]) : 0;
	cpu_set_t cpus;

	if (n < 1 || n > MAX_TICKS)
		return 2;
	CPU_ZERO(&cpus);
	CPU_SET((unsigned)atoi(argv[1]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || sched_setscheduler(0, SCHED_FIFO, &param))
		return 2;
	for (i = 0; i < n; i++)
		late_us[i] = tick();
	qsort(late_us, (size_t)n, sizeof(late_us[0]), compare);
	printf("ticker: %d times, late by %llu us (median), %llu us (largest)\n", n,
	       (unsigned long long)late_us[n / 2], (unsigned long long)late_us[n - 1]);
	return late_us[n / 2] >= LIMIT_US;
}
