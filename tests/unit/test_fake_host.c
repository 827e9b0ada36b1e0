/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_fake_host.c
 * The fake host itself: what other tests rely on.
 */
#include "fake_host.h"
#include "palacios/error.h"
#include "tap.h"

#define OPS (&fake_host_ops)

static void test_fake_host_counts_resources(void)
{
	void *p = OPS->alloc(100), *m = OPS->mutex_create();
	v3_hpa_t pa = OPS->page_alloc(4, V3_NODE_ANY);

	CHECK_EQ(fake_host_live(FAKE_ALLOC), 1);
	CHECK_EQ(fake_host_live(FAKE_MUTEX), 1);
	CHECK_EQ(fake_host_live(FAKE_PAGES), 1);
	CHECK_EQ(fake_host_live_all(), 3);
	OPS->free(p);
	OPS->mutex_destroy(m);
	OPS->page_free(pa, 4);
	CHECK_EQ(fake_host_live_all(), 0);
}

static void test_fake_host_refuses_the_kth(void)
{
	void *a, *b, *c;

	fake_host_fail_at(2);
	a = OPS->alloc(1);
	b = OPS->wq_create();
	c = OPS->alloc(1);
	CHECK(a && !b && c);
	CHECK(fake_host_refused());
	fake_host_fail_from(1);
	CHECK(!OPS->alloc(1));
	CHECK_EQ(OPS->page_alloc(1, V3_NODE_ANY), V3_HPA_NONE);
	CHECK_EQ(OPS->ram_alloc(1, 4096, V3_NODE_ANY), V3_HPA_NONE);
	fake_host_fail_at(0);
	OPS->free(a);
	OPS->free(c);
}

/* Three allocations, correctly unwound. */
static int make_three(void *arg)
{
	void **p = arg;

	for (int i = 0; i < 3; i++) {
		p[i] = OPS->alloc(8);
		if (!p[i]) {
			while (i-- > 0)
				OPS->free(p[i]);
			return V3_ENOMEM;
		}
	}
	return V3_OK;
}

static void free_three(void *arg)
{
	for (int i = 0; i < 3; i++)
		OPS->free(((void **)arg)[i]);
}

static void test_fake_host_oom_each_step(void)
{
	void *p[3];

	CHECK_EQ(fake_host_oom_each_step(make_three, free_three, p), 8); /* 3 + success, twice */
}

static void test_fake_host_pages_zeroed_and_aligned(void)
{
	v3_hpa_t pa = OPS->page_alloc(8, V3_NODE_ANY);
	uint8_t *va;

	REQUIRE(pa != V3_HPA_NONE);
	va = OPS->pa_to_va(pa);
	CHECK_EQ(pa % (8 * V3_PAGE_SIZE), 0);
	CHECK(pa >= FAKE_PA_BASE && pa != (uintptr_t)va);
	CHECK(OPS->va_to_pa(va + 5000) == pa + 5000);
	for (size_t i = 0; i < 8 * V3_PAGE_SIZE; i++)
		CHECK(!va[i]);
	memset(va, 1, 8 * V3_PAGE_SIZE);
	OPS->page_free(pa, 8);
	pa = OPS->page_alloc(8, V3_NODE_ANY);
	va = OPS->pa_to_va(pa);
	for (size_t i = 0; i < 8 * V3_PAGE_SIZE; i++)
		CHECK(!va[i]);
	OPS->page_free(pa, 8);
}

static void test_fake_host_ram_fragments(void)
{
	v3_hpa_t a, b;

	fake_ram_fragment(V3_SIZE_2M);
	CHECK_EQ(OPS->ram_alloc(513, 4096, V3_NODE_ANY), V3_HPA_NONE);
	a = OPS->ram_alloc(512, V3_SIZE_2M, V3_NODE_ANY);
	b = OPS->ram_alloc(512, V3_SIZE_2M, V3_NODE_ANY);
	CHECK(a != V3_HPA_NONE && b != V3_HPA_NONE && b - a > V3_SIZE_2M);
	OPS->ram_free(a, 512);
	OPS->ram_free(b, 512);
}

static void test_fake_host_ram_limit(void)
{
	v3_hpa_t a;

	fake_ram_limit(10 * V3_PAGE_SIZE);
	CHECK_EQ(OPS->ram_alloc(11, 4096, V3_NODE_ANY), V3_HPA_NONE);
	a = OPS->ram_alloc(10, 4096, V3_NODE_ANY);
	CHECK(a != V3_HPA_NONE);
	CHECK_EQ(OPS->ram_alloc(1, 4096, V3_NODE_ANY), V3_HPA_NONE);
	OPS->ram_free(a, 10);
}

static void test_fake_host_ram_gigabyte(void)
{
	v3_hpa_t a = OPS->ram_alloc(1 << 18, V3_SIZE_1G, V3_NODE_ANY);

	CHECK(a != V3_HPA_NONE && a % V3_SIZE_1G == 0);
	OPS->ram_free(a, 1 << 18);
}

struct fired {
	void *timer;
	uint64_t at[8], again;
	unsigned n;
};

static void on_fire(void *arg)
{
	struct fired *f = arg;

	f->at[f->n++ % 8] = OPS->time_ns();
}

static void test_fake_host_timers_fire_at_their_moment(void)
{
	struct fired f = {0}, late = {0};

	f.timer = OPS->timer_create(on_fire, &f);
	late.timer = OPS->timer_create(on_fire, &late);
	OPS->timer_arm(f.timer, FAKE_CLOCK_START + 500);
	OPS->timer_arm(late.timer, FAKE_CLOCK_START + 2000);
	CHECK_EQ(fake_clock_next(), FAKE_CLOCK_START + 500);
	fake_clock_advance(499);
	CHECK_EQ(f.n, 0);
	fake_clock_advance(1);
	CHECK_EQ(f.n, 1);
	fake_clock_advance(1000);
	CHECK_EQ(late.n, 0);
	OPS->timer_arm(f.timer, FAKE_CLOCK_START + 1700);
	fake_clock_advance(5000);
	CHECK_EQ(f.n, 2);
	CHECK_EQ(f.at[1], FAKE_CLOCK_START + 1700);
	CHECK_EQ(late.at[0], FAKE_CLOCK_START + 2000);
	CHECK_EQ(fake_clock_now(), FAKE_CLOCK_START + 6500);
	OPS->timer_arm(f.timer, FAKE_CLOCK_START + 10000);
	OPS->timer_cancel(f.timer);
	fake_clock_advance(10000);
	CHECK_EQ(f.n, 2);
	OPS->timer_destroy(f.timer);
	OPS->timer_destroy(late.timer);
}

static bool has_fired(void *arg)
{
	return __atomic_load_n(&((struct fired *)arg)->n, __ATOMIC_SEQ_CST) != 0;
}

static void test_fake_host_past_deadline_fires_at_once(void)
{
	struct fired f = {0};

	f.timer = OPS->timer_create(on_fire, &f);
	OPS->timer_arm(f.timer, 1);
	CHECK(fake_wait_until(has_fired, &f, 5000));
	OPS->timer_destroy(f.timer);
}

struct sleeper {
	void *wq;
	uint32_t flag, woken, cpu;
};

static bool flag_set(void *arg)
{
	return __atomic_load_n(&((struct sleeper *)arg)->flag, __ATOMIC_SEQ_CST);
}

static void sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	s->cpu = OPS->cpu_id();
	OPS->wq_sleep(s->wq, flag_set, s);
	s->woken = 1;
}

static void test_fake_host_threads_sleep_and_wake(void)
{
	struct sleeper s = {.wq = OPS->wq_create()};
	void *thread = OPS->thread_create("sleeper", 3, sleeper_main, &s);

	OPS->wq_wake(s.wq); /* the condition is still false */
	__atomic_store_n(&s.flag, 1, __ATOMIC_SEQ_CST);
	OPS->wq_wake(s.wq);
	OPS->thread_join(thread);
	CHECK_EQ(s.woken, 1);
	CHECK_EQ(s.cpu, 3);
	OPS->wq_destroy(s.wq);
}

static void count_cpu(void *arg)
{
	*(uint64_t *)arg |= 1ull << OPS->cpu_id();
}

static void test_fake_host_cpu_calls_and_kicks(void)
{
	uint64_t seen = 0;

	fake_cpu_count(3);
	CHECK_EQ(OPS->cpu_call(0, count_cpu, &seen), V3_OK);
	CHECK_EQ(OPS->cpu_call(2, count_cpu, &seen), V3_OK);
	CHECK_EQ(OPS->cpu_call(3, count_cpu, &seen), V3_ENODEV);
	CHECK_EQ(seen, 5);
	OPS->cpu_kick(1);
	OPS->cpu_kick(1);
	CHECK_EQ(fake_cpu_kicks(1), 2);
	CHECK_EQ(fake_cpu_kicks(0), 0);
}

static void test_fake_host_console(void)
{
	char buf[8] = {0};
	void *s = OPS->console->open(NULL, "console", NULL, NULL);

	REQUIRE(s);
	CHECK(!OPS->console->open(NULL, "nope", NULL, NULL));
	CHECK_EQ(OPS->console->write(s, "hello", 5), 5);
	CHECK_STR(fake_console_output("console"), "hello");
	fake_console_limit("console", 7);
	CHECK_EQ(OPS->console->write(s, "world", 5), 2);
	fake_console_feed("console", "ab");
	CHECK_EQ(OPS->console->read(s, buf, 1), 1);
	CHECK_EQ(fake_console_unread("console"), 1);
	CHECK_EQ(OPS->console->read(s, buf + 1, 7), 1);
	CHECK_STR(buf, "ab");
	OPS->console->close(s);
}

static void test_fake_host_log(void)
{
	OPS->log(V3_LOG_WARN, "one line");
	OPS->log(V3_LOG_INFO, "another line");
	CHECK(fake_log_contains("one l"));
	CHECK(!fake_log_contains("two"));
	CHECK_EQ(fake_log_count("line"), 2);
	CHECK_EQ(fake_log_level("one"), V3_LOG_WARN);
	CHECK_EQ(fake_log_level("two"), -1);
}

static const struct tap_test tests[] = {
	TAP(test_fake_host_counts_resources),
	TAP(test_fake_host_refuses_the_kth),
	TAP(test_fake_host_oom_each_step),
	TAP(test_fake_host_pages_zeroed_and_aligned),
	TAP(test_fake_host_ram_fragments),
	TAP(test_fake_host_ram_limit),
	TAP(test_fake_host_ram_gigabyte),
	TAP(test_fake_host_timers_fire_at_their_moment),
	TAP(test_fake_host_past_deadline_fires_at_once),
	TAP(test_fake_host_threads_sleep_and_wake),
	TAP(test_fake_host_cpu_calls_and_kicks),
	TAP(test_fake_host_console),
	TAP(test_fake_host_log),
};
TAP_MAIN(tests)
