/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_clock.c
 * The simulated clock and its one-shot timers. Time stands still unless a test lets it pass. One
 * background thread plays the interrupt: it calls the functions of all timers that are due, as on
 * the CPU that armed them. A timer armed for a moment that is past fires at once, but never
 * inside timer_arm().
 */
#include "fake_priv.h"

#include <unistd.h>

struct fake_timer {
	struct fake_timer *next; /* of all timers */
	void (*fn)(void *arg);
	void *arg;
	uint64_t deadline;
	uint32_t cpu;
	bool armed;
};

static struct {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t cond;  /* something changed */
	struct fake_timer *timers;
	struct fake_timer *firing; /* its function is running; NULL */
	uint64_t now;
	uint64_t step; /* passes at each reading by the library */
	uint64_t wall_base;
	uint32_t khz;
	unsigned arms;
	bool started, automatic;
	pthread_t thread;
} clk = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

void fake_clock_reset(void)
{
	pthread_mutex_lock(&clk.lock);
	clk.now = FAKE_CLOCK_START;
	clk.wall_base = 1600000000;
	clk.khz = 1000000;
	clk.arms = 0;
	clk.automatic = false;
	clk.step = 0;
	clk.timers = NULL; /* what a failed test left is forgotten */
	pthread_mutex_unlock(&clk.lock);
}

/* Earliest armed timer; NULL: none. Locked. */
static struct fake_timer *clock_first(void)
{
	struct fake_timer *first = NULL;

	for (struct fake_timer *t = clk.timers; t; t = t->next) {
		if (t->armed && (!first || t->deadline < first->deadline))
			first = t;
	}
	return first;
}

static void *clock_main(void *arg)
{
	struct fake_timer *t;

	(void)arg;
	fake_self.irq = 1;
	pthread_mutex_lock(&clk.lock);
	for (;;) {
		t = clock_first();
		if (t && t->deadline > clk.now && clk.automatic) {
			/* Leave the threads a moment: what they do now happens before the
			 * deadline. */
			pthread_mutex_unlock(&clk.lock);
			usleep(200);
			pthread_mutex_lock(&clk.lock);
			if (t == clock_first() && clk.automatic && t->deadline > clk.now)
				clk.now = t->deadline;
			continue;
		}
		if (!t || t->deadline > clk.now) {
			pthread_cond_broadcast(
				&clk.cond); /* nothing is due: whoever waits for that */
			pthread_cond_wait(&clk.cond, &clk.lock);
			continue;
		}
		t->armed = false;
		clk.firing = t;
		fake_self.cpu = t->cpu;
		pthread_mutex_unlock(&clk.lock);
		t->fn(t->arg);
		pthread_mutex_lock(&clk.lock);
		clk.firing = NULL;
		pthread_cond_broadcast(&clk.cond);
	}
	return NULL;
}

/* Locked. */
static void clock_start(void)
{
	if (clk.started)
		return;
	if (pthread_create(&clk.thread, NULL, clock_main, NULL))
		abort();
	pthread_detach(clk.thread);
	clk.started = true;
}

/* Wait until no timer is due or firing. Locked. */
static void clock_settle(void)
{
	struct fake_timer *t;

	for (;;) {
		t = clock_first();
		if (!clk.firing && (!t || t->deadline > clk.now))
			return;
		pthread_cond_broadcast(&clk.cond);
		pthread_cond_wait(&clk.cond, &clk.lock);
	}
}

void fake_clock_advance(uint64_t ns)
{
	struct fake_timer *t;
	uint64_t end;

	pthread_mutex_lock(&clk.lock);
	clock_settle();
	end = clk.now + ns;
	while ((t = clock_first()) && t->deadline <= end) {
		if (t->deadline > clk.now)
			clk.now = t->deadline;
		clock_settle();
	}
	if (clk.now < end)
		clk.now = end;
	pthread_mutex_unlock(&clk.lock);
}

uint64_t fake_clock_now(void)
{
	uint64_t now;

	pthread_mutex_lock(&clk.lock);
	now = clk.now;
	pthread_mutex_unlock(&clk.lock);
	return now;
}

uint64_t fake_clock_next(void)
{
	struct fake_timer *t;
	uint64_t next;

	pthread_mutex_lock(&clk.lock);
	t = clock_first();
	next = t ? t->deadline : 0;
	pthread_mutex_unlock(&clk.lock);
	return next;
}

unsigned fake_clock_arms(void)
{
	return __atomic_load_n(&clk.arms, __ATOMIC_RELAXED);
}

void fake_wall_clock(uint64_t seconds)
{
	clk.wall_base = seconds;
}

void fake_tsc_khz(uint32_t khz)
{
	clk.khz = khz;
}

void fake_clock_step(uint64_t ns)
{
	pthread_mutex_lock(&clk.lock);
	clk.step = ns;
	pthread_mutex_unlock(&clk.lock);
}

void fake_clock_auto(bool on)
{
	pthread_mutex_lock(&clk.lock);
	if (on)
		clock_start();
	clk.automatic = on;
	pthread_cond_broadcast(&clk.cond);
	pthread_mutex_unlock(&clk.lock);
}

/* ---- members of struct v3_host_ops ---- */

uint64_t fake_op_time_ns(void)
{
	uint64_t now;

	pthread_mutex_lock(&clk.lock);
	now = clk.now;
	clk.now += clk.step;
	if (clk.step)
		pthread_cond_broadcast(&clk.cond);
	pthread_mutex_unlock(&clk.lock);
	return now;
}

uint64_t fake_op_wall_clock_s(void)
{
	return clk.wall_base ? clk.wall_base + fake_clock_now() / 1000000000 : 0;
}

uint32_t fake_op_tsc_khz(void)
{
	return clk.khz;
}

void *fake_timer_create(void (*fn)(void *arg), void *arg)
{
	struct fake_timer *t;

	fake_need_thread("timer_create");
	if (!fake_grant(FAKE_TIMER))
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->fn = fn;
	t->arg = arg;
	pthread_mutex_lock(&clk.lock);
	clock_start();
	t->next = clk.timers;
	clk.timers = t;
	pthread_mutex_unlock(&clk.lock);
	fake_track(FAKE_TIMER, (uintptr_t)t, 0);
	return t;
}

void fake_timer_destroy(void *timer)
{
	struct fake_timer *t = timer, **pos;

	fake_need_thread("timer_destroy");
	if (!fake_untrack(FAKE_TIMER, (uintptr_t)t, 0))
		return;
	pthread_mutex_lock(&clk.lock);
	t->armed = false;
	for (pos = &clk.timers; *pos && *pos != t; pos = &(*pos)->next)
		;
	if (*pos)
		*pos = t->next;
	while (clk.firing == t)
		pthread_cond_wait(&clk.cond, &clk.lock);
	pthread_mutex_unlock(&clk.lock);
	free(t);
}

void fake_timer_arm(void *timer, uint64_t deadline_ns)
{
	struct fake_timer *t = timer;

	fake_need_atomic("timer_arm");
	pthread_mutex_lock(&clk.lock);
	t->deadline = deadline_ns;
	t->cpu = fake_self.cpu;
	t->armed = true;
	clk.arms++;
	pthread_cond_broadcast(&clk.cond);
	pthread_mutex_unlock(&clk.lock);
}

void fake_timer_cancel(void *timer)
{
	struct fake_timer *t = timer;

	fake_need_atomic("timer_cancel");
	pthread_mutex_lock(&clk.lock);
	t->armed = false;
	pthread_mutex_unlock(&clk.lock);
}
