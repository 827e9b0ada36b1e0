/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file selftest.c
 * Does this host keep the promises of palacios/host.h? Runs in the kernel itself, on as many CPUs as there
 * are, through the table the library gets, and prints TAP. Started by "selftest" on the command line.
 */
#include "baremetal.h"
#include "cpu.h"
#include "hostops.h"

#include "palacios/error.h"

#define MS 1000000ull

static const struct v3_host_ops *const ops = &bm_host_ops;
static int test_number, test_failures;

static void check(bool ok, const char *what)
{
	if (!ok)
		test_failures++;
	bm_print("%s %d - %s", ok ? "ok" : "not ok", ++test_number, what);
}

static bool all_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	while (len && !*b) {
		b++;
		len--;
	}
	return !len;
}

static bool interrupts_on(void)
{
	unsigned long flags = irq_save();

	irq_restore(flags);
	return flags & RFLAGS_IF;
}

/* ---- memory ---- */

static void test_alloc_is_zeroed_and_aligned(void)
{
	static const size_t sizes[] = {1, 15, 16, 17, 100, 4079, 4080, 4081, 16384, 32768};
	void *p[V3_ARRAY_SIZE(sizes)];
	struct bm_usage before, after;
	bool ok = true;
	unsigned i, round;

	bm_mem_usage(&before);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < V3_ARRAY_SIZE(sizes); i++) {
			p[i] = ops->alloc(sizes[i]);
			ok = ok && p[i] && (uint64_t)p[i] % 16 == 0 && all_zero(p[i], sizes[i]);
			if (p[i])
				__builtin_memset(p[i], 0xa5, sizes[i]);
		}
		for (i = 0; i < V3_ARRAY_SIZE(sizes); i++) {
			ok = ok && *(uint8_t *)p[i] == 0xa5; /* nobody else wrote into it */
			ops->free(p[i]);
		}
	}
	bm_mem_usage(&after);
	check(ok && after.blocks == before.blocks && after.bytes == before.bytes,
	      "alloc: zeroed, 16-byte aligned, all given back");
}

static void test_page_alloc_is_aligned_to_its_size(void)
{
	v3_hpa_t pa[10];
	bool ok = true;
	unsigned i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < 10; i++) {
			uint64_t bytes = V3_PAGE_SIZE << i;

			pa[i] = ops->page_alloc(1u << i, V3_NODE_ANY);
			ok = ok && pa[i] != V3_HPA_NONE && pa[i] % bytes == 0;
			ok = ok && all_zero(ops->pa_to_va(pa[i]), bytes);
			ok = ok && ops->va_to_pa(ops->pa_to_va(pa[i])) == pa[i];
			__builtin_memset(ops->pa_to_va(pa[i]), (int)i + 1, bytes);
		}
		for (i = 0; i < 10; i++) {
			ok = ok && *(uint8_t *)ops->pa_to_va(pa[i]) == i + 1;
			ops->page_free(pa[i], 1u << i);
		}
	}
	check(ok, "page_alloc: zeroed, aligned to its size, no overlap");
}

static void test_ram_alloc_in_large_pieces(void)
{
	v3_hpa_t a = ops->ram_alloc(1024, V3_SIZE_2M, V3_NODE_ANY);
	v3_hpa_t b = ops->ram_alloc(3, V3_PAGE_SIZE, V3_NODE_ANY);
	v3_hpa_t c = ops->ram_alloc(512, V3_SIZE_2M, V3_NODE_ANY);
	v3_hpa_t huge = ops->ram_alloc(1ull << 40, V3_PAGE_SIZE, V3_NODE_ANY);

	check(a != V3_HPA_NONE && b != V3_HPA_NONE && c != V3_HPA_NONE && a % V3_SIZE_2M == 0 &&
		      c % V3_SIZE_2M == 0,
	      "ram_alloc: aligned pieces");
	check((b >= a + 1024 * V3_PAGE_SIZE || b + 3 * V3_PAGE_SIZE <= a) &&
		      (c >= a + 1024 * V3_PAGE_SIZE || c + 512 * V3_PAGE_SIZE <= a),
	      "ram_alloc: no overlap");
	check(huge == V3_HPA_NONE, "ram_alloc: more than there is gives V3_HPA_NONE");
	check(ops->ram_free_part(a + 7 * V3_PAGE_SIZE, 1) == V3_OK &&
		      ops->ram_free_part(a, 7) == V3_OK &&
		      ops->ram_free_part(a + 8 * V3_PAGE_SIZE, 1016) == V3_OK,
	      "ram_free_part: a piece in three parts");
	ops->ram_free(b, 3);
	ops->ram_free(c, 512);
}

static void test_memory_can_run_out_and_recover(void)
{
	v3_hpa_t list = V3_HPA_NONE, pa;
	struct bm_usage before, after;
	uint64_t n = 0, again = 0;
	void *p;

	bm_mem_usage(&before);
	while ((pa = ops->page_alloc(128, V3_NODE_ANY)) != V3_HPA_NONE) {
		*(v3_hpa_t *)ops->pa_to_va(pa) = list;
		list = pa;
		n++;
	}
	while ((p = ops->alloc(32768)) != NULL) {
		*(void **)p = again ? (void *)again : NULL;
		again = (uint64_t)p;
	}
	for (; again; again = (uint64_t)p) {
		p = *(void **)again;
		ops->free((void *)again);
	}
	for (; list != V3_HPA_NONE; list = pa) {
		pa = *(v3_hpa_t *)ops->pa_to_va(list);
		ops->page_free(list, 128);
	}
	bm_mem_usage(&after);
	pa = ops->page_alloc(512, V3_NODE_ANY);
	check(n > 16 && pa != V3_HPA_NONE && after.pages == before.pages &&
		      after.blocks == before.blocks,
	      "memory: runs out without harm and comes back");
	if (pa != V3_HPA_NONE)
		ops->page_free(pa, 512);
}

/* ---- threads ---- */

struct worker {
	void *thread;
	uint32_t cpu, seen_cpu;
	bool irq_on;
	uint64_t count;
};

static void worker_note_cpu(void *arg)
{
	struct worker *w = arg;

	w->seen_cpu = ops->cpu_id();
	w->irq_on = interrupts_on();
}

static void test_thread_runs_on_its_cpu(void)
{
	struct worker w = {0};
	bool ok = true;
	uint32_t i;

	for (i = 0; i < ops->cpu_count(); i++) {
		w.seen_cpu = 99;
		w.thread = ops->thread_create("note", i, worker_note_cpu, &w);
		ops->thread_join(w.thread);
		ok = ok && w.seen_cpu == i && w.irq_on;
	}
	check(ok, "thread_create: runs on its CPU, interrupts on; join waits");
	check(!ops->thread_create("none", ops->cpu_count(), worker_note_cpu, &w),
	      "thread_create: no such CPU gives NULL");
}

static void worker_move(void *arg)
{
	struct worker *w = arg;
	uint32_t i, to;

	for (i = 0; i < 50; i++) {
		to = i % ops->cpu_count();
		if (ops->thread_move(w->thread, to))
			return;
		ops->yield();
		if (ops->cpu_id() != to)
			return;
		w->count++;
	}
}

static bool worker_is_set(void *arg)
{
	return __atomic_load_n((void **)arg, __ATOMIC_ACQUIRE) != NULL;
}

static void worker_move_when_known(void *arg)
{
	struct worker *w = arg;

	while (!worker_is_set(&w->thread))
		ops->yield();
	worker_move(w);
}

static void test_thread_move_takes_effect_at_yield(void)
{
	struct worker w = {0};
	void *t = ops->thread_create("mover", 0, worker_move_when_known, &w);

	__atomic_store_n(&w.thread, t, __ATOMIC_RELEASE);
	ops->thread_join(t);
	check(w.count == 50, "thread_move: effective at the next yield");
	t = ops->thread_create("note", 0, worker_note_cpu, &w);
	check(ops->thread_move(t, ops->cpu_count()) == V3_ENODEV,
	      "thread_move: no such CPU gives V3_ENODEV");
	ops->thread_join(t);
}

/* Two hands of a ping-pong: each waits for the ball to be on its side. */
struct pingpong {
	void *wq;
	uint32_t ball, rounds;
};

struct hand {
	struct pingpong *game;
	uint32_t side, cpu;
};

static bool hand_has_ball(void *arg)
{
	struct hand *h = arg;

	return __atomic_load_n(&h->game->ball, __ATOMIC_ACQUIRE) % 2 == h->side;
}

static void hand_play(void *arg)
{
	struct hand *h = arg;
	uint32_t i;

	for (i = 0; i < h->game->rounds; i++) {
		ops->wq_sleep(h->game->wq, hand_has_ball, h);
		__atomic_add_fetch(&h->game->ball, 1, __ATOMIC_ACQ_REL);
		ops->wq_wake(h->game->wq);
	}
}

static void pingpong_between(uint32_t cpu_a, uint32_t cpu_b, const char *what)
{
	struct pingpong game = {.wq = ops->wq_create(), .rounds = 2000};
	struct hand a = {&game, 0, cpu_a}, b = {&game, 1, cpu_b};
	void *ta = ops->thread_create("ping", cpu_a, hand_play, &a);
	void *tb = ops->thread_create("pong", cpu_b, hand_play, &b);

	ops->thread_join(ta);
	ops->thread_join(tb);
	check(game.ball == 4000, what);
	ops->wq_destroy(game.wq);
}

struct counter {
	void *lock;
	uint64_t value;
	uint32_t rounds;
};

static void counter_mutex(void *arg)
{
	struct counter *c = arg;
	uint32_t i;

	for (i = 0; i < c->rounds; i++) {
		uint64_t v;

		ops->mutex_lock(c->lock);
		v = c->value;
		ops->yield(); /* whoever does not respect the mutex gets in here */
		c->value = v + 1;
		ops->mutex_unlock(c->lock);
	}
}

static void counter_spin(void *arg)
{
	struct counter *c = arg;
	uint32_t i;

	for (i = 0; i < c->rounds; i++) {
		unsigned long flags = ops->spin_lock(c->lock);
		uint64_t v = c->value;

		cpu_relax();
		c->value = interrupts_on() ? 0 : v + 1;
		ops->spin_unlock(c->lock, flags);
	}
}

static bool count_from_all_cpus(struct counter *c, void (*fn)(void *arg))
{
	void *t[2 * BM_MAX_CPUS];
	uint32_t i, n = 2 * ops->cpu_count();

	for (i = 0; i < n; i++)
		t[i] = ops->thread_create("count", i / 2, fn, c);
	for (i = 0; i < n; i++)
		ops->thread_join(t[i]);
	return c->value == (uint64_t)n * c->rounds;
}

static void test_locks_exclude(void)
{
	struct counter m = {.lock = ops->mutex_create(), .rounds = 300};
	struct counter s = {.lock = ops->spin_create(), .rounds = 3000};

	check(count_from_all_cpus(&m, counter_mutex), "mutex: excludes across yields and CPUs");
	check(count_from_all_cpus(&s, counter_spin), "spinlock: excludes, interrupts off");
	check(interrupts_on(), "spinlock: interrupts as before after unlock");
	ops->mutex_destroy(m.lock);
	ops->spin_destroy(s.lock);
}

/* Computes like a guest: gives the CPU away only when asked. */
struct burner {
	uint64_t end_ns, turns, yields;
};

static void burner_run(void *arg)
{
	struct burner *b = arg;

	while (ops->time_ns() < b->end_ns) {
		b->turns++;
		if (ops->should_yield()) {
			b->yields++;
			ops->yield();
		}
	}
}

static void test_threads_share_a_cpu(void)
{
	uint64_t end = ops->time_ns() + 60 * MS;
	struct burner a = {.end_ns = end}, b = {.end_ns = end};
	uint32_t last = ops->cpu_count() - 1;
	void *ta = ops->thread_create("a", last, burner_run, &a);
	void *tb = ops->thread_create("b", last, burner_run, &b);

	ops->thread_join(ta);
	ops->thread_join(tb);
	check(a.turns && b.turns && a.yields >= 2 && b.yields >= 2,
	      "should_yield: two computing threads take turns");
}

static void worker_count(void *arg)
{
	((struct worker *)arg)->count++;
}

/* A guest entered just after should_yield() said no must still be interrupted when a thread waits. */
static void test_waiting_thread_brings_an_interrupt(void)
{
	struct worker w = {0};
	uint64_t before, end = ops->time_ns() + 2000 * MS;
	void *t;

	before = bm_this_cpu()->interrupts;
	t = ops->thread_create("waiting", ops->cpu_id(), worker_count, &w);
	while (bm_this_cpu()->interrupts == before && ops->time_ns() < end)
		cpu_relax();
	check(bm_this_cpu()->interrupts != before && ops->should_yield() && !w.count,
	      "should_yield: an interrupt comes while a thread waits");
	ops->thread_join(t);
}

static void test_no_interrupt_while_computing(void)
{
	uint64_t before, after, end;
	bool asked = false;

	ops->yield();
	before = bm_this_cpu()->interrupts;
	for (end = ops->time_ns() + 50 * MS; ops->time_ns() < end;)
		asked = asked || ops->should_yield();
	after = bm_this_cpu()->interrupts;
	check(before == after && !asked, "no interrupt of ours in 50 ms of computing");
}

/* ---- time ---- */

struct alarm {
	void *timer, *wq;
	uint64_t deadline_ns, fired_ns;
	uint32_t cpu, fires, rearm, wanted;
	bool irq_on;
};

static void alarm_fire(void *arg)
{
	struct alarm *a = arg;

	a->fired_ns = ops->time_ns();
	a->cpu = ops->cpu_id();
	a->irq_on = interrupts_on();
	if (a->rearm) {
		a->rearm--;
		ops->timer_arm(a->timer, a->fired_ns + 20000);
	}
	__atomic_add_fetch(&a->fires, 1, __ATOMIC_RELEASE);
	ops->wq_wake(a->wq);
}

static bool alarm_has_fired(void *arg)
{
	struct alarm *a = arg;

	return __atomic_load_n(&a->fires, __ATOMIC_ACQUIRE) >= a->wanted;
}

static bool alarm_create(struct alarm *a)
{
	a->wq = ops->wq_create();
	a->timer = ops->timer_create(alarm_fire, a);
	return a->wq && a->timer;
}

static void alarm_destroy(struct alarm *a)
{
	ops->timer_destroy(a->timer);
	ops->wq_destroy(a->wq);
}

struct alarm_run {
	bool ok;
	uint64_t late_ns;
};

/* Short sleeps on every CPU: none early, none lost, all on the CPU that armed them. */
static void alarm_sleep_often(void *arg)
{
	struct alarm_run *run = arg;
	struct alarm a = {0};
	uint32_t i;

	run->ok = alarm_create(&a);
	a.wanted = 1;
	for (i = 0; i < 200; i++) {
		a.fires = 0;
		a.deadline_ns = ops->time_ns() + i * 500;
		ops->timer_arm(a.timer, a.deadline_ns);
		ops->wq_sleep(a.wq, alarm_has_fired, &a);
		run->ok = run->ok && a.fired_ns >= a.deadline_ns && a.cpu == ops->cpu_id() &&
			  !a.irq_on;
		if (a.fired_ns - a.deadline_ns > run->late_ns)
			run->late_ns = a.fired_ns - a.deadline_ns;
	}
	alarm_destroy(&a);
}

static void test_timers_on_all_cpus(void)
{
	struct alarm_run run[BM_MAX_CPUS] = {{0}};
	void *t[BM_MAX_CPUS];
	uint32_t i, n = ops->cpu_count();
	bool ok = true;

	for (i = 0; i < n; i++)
		t[i] = ops->thread_create("sleeper", i, alarm_sleep_often, &run[i]);
	for (i = 0; i < n; i++) {
		ops->thread_join(t[i]);
		ok = ok && run[i].ok;
		bm_print("# CPU %u: latest %llu ns after its deadline", i,
			 (unsigned long long)run[i].late_ns);
	}
	check(ok, "timers: never early, on the arming CPU, interrupts off, no lost wake-up");
}

static void wait_until(uint64_t t)
{
	while (ops->time_ns() < t)
		cpu_relax();
}

static void test_timer_rearm_cancel_destroy(void)
{
	struct alarm a = {0};
	uint64_t t;

	check(alarm_create(&a), "timer_create");
	t = ops->time_ns();
	ops->timer_arm(a.timer, t + 5000 * MS);
	ops->timer_arm(a.timer, t + 2 * MS);
	while (!__atomic_load_n(&a.fires, __ATOMIC_ACQUIRE) && ops->time_ns() < t + 4000 * MS)
		cpu_relax();
	check(a.fires == 1 && a.fired_ns >= t + 2 * MS, "timer_arm: replaces an earlier deadline");

	a.fires = 0;
	t = ops->time_ns();
	ops->timer_arm(a.timer, t + 3 * MS);
	ops->timer_cancel(a.timer);
	wait_until(t + 10 * MS);
	check(a.fires == 0, "timer_cancel: does not fire");

	a.rearm = 10;
	a.wanted = 11;
	ops->timer_arm(a.timer, 0);
	ops->wq_sleep(a.wq, alarm_has_fired, &a);
	check(a.fires == 11, "timer_arm: works inside the timer's function");

	a.fires = 0;
	a.rearm = 1000000;
	ops->timer_arm(a.timer, 0);
	wait_until(ops->time_ns() + MS);
	a.rearm = 0; /* else it would be re-armed while it is destroyed */
	alarm_destroy(&a);
	t = a.fires;
	wait_until(ops->time_ns() + MS);
	check(a.fires == t, "timer_destroy: never fires again");
}

static void test_clocks(void)
{
	uint64_t ns = ops->time_ns(), tsc = rdtsc(), ns2, last = ns, wall = ops->wall_clock_s();
	bool monotonic = true;
	uint64_t by_tsc;

	while (last < ns + 20 * MS) {
		ns2 = ops->time_ns();
		monotonic = monotonic && ns2 >= last;
		last = ns2;
	}
	by_tsc = (rdtsc() - tsc) * 1000000 / ops->tsc_khz();
	bm_print("# tsc_khz %u", ops->tsc_khz());
	check(monotonic, "time_ns: monotonic");
	check(by_tsc > 19 * MS && by_tsc < 500 * MS, "time_ns and tsc_khz agree");
	check(wall > 1700000000 && wall < 7000000000, "wall_clock_s: this century");
}

/* ---- CPUs ---- */

static void call_note(void *arg)
{
	struct worker *w = arg;

	w->seen_cpu = ops->cpu_id();
	w->irq_on = interrupts_on();
	w->count++;
}

static void call_everybody(void *arg)
{
	struct worker *w = arg, mine = {0};
	uint32_t i, k;

	w->irq_on = true;
	for (k = 0; k < 100; k++) {
		for (i = 0; i < ops->cpu_count(); i++) {
			if (ops->cpu_call(i, call_note, &mine) || mine.seen_cpu != i || mine.irq_on)
				return;
		}
	}
	w->count = mine.count;
}

static void test_cpu_call(void)
{
	struct worker w[BM_MAX_CPUS] = {{0}};
	uint32_t i, n = ops->cpu_count();
	bool ok = true;

	for (i = 0; i < n; i++)
		w[i].thread = ops->thread_create("caller", i, call_everybody, &w[i]);
	for (i = 0; i < n; i++) {
		ops->thread_join(w[i].thread);
		ok = ok && w[i].count == 100 * n;
	}
	check(ok, "cpu_call: everybody calls everybody, interrupts off there");
	check(ops->cpu_call(n, call_note, &w[0]) == V3_ENODEV,
	      "cpu_call: no such CPU gives V3_ENODEV");
}

static void test_cpu_kick_interrupts(void)
{
	uint32_t i;
	bool ok = true;

	for (i = 0; i < ops->cpu_count(); i++) {
		uint64_t before = __atomic_load_n(&bm_cpus[i]->interrupts, __ATOMIC_ACQUIRE);
		uint64_t end = ops->time_ns() + 2000 * MS;

		ops->cpu_kick(i);
		while (__atomic_load_n(&bm_cpus[i]->interrupts, __ATOMIC_ACQUIRE) == before &&
		       ops->time_ns() < end)
			cpu_relax();
		ok = ok && bm_cpus[i]->interrupts != before;
	}
	check(ok, "cpu_kick: the CPU takes an interrupt");
}

static void test_console(void)
{
	void *s = ops->console->open(NULL, "console", NULL, NULL);
	uint8_t byte;

	check(s != NULL, "console: opens");
	check(ops->console->write(s, "# written by a stream\r\n", 23) == 23, "console: writes");
	check(ops->console->read(s, &byte, 1) == 0, "console: nothing to read without a reader");
	ops->console->close(s);
}

int bm_selftest(void)
{
	struct bm_usage before, after;
	uint32_t last = ops->cpu_count() - 1;

	bm_mem_usage(&before);
	bm_print("# %u CPUs", ops->cpu_count());
	test_alloc_is_zeroed_and_aligned();
	test_page_alloc_is_aligned_to_its_size();
	test_ram_alloc_in_large_pieces();
	test_memory_can_run_out_and_recover();
	test_thread_runs_on_its_cpu();
	test_thread_move_takes_effect_at_yield();
	pingpong_between(0, 0, "wait queue: ping-pong on one CPU loses no wake-up");
	pingpong_between(0, last, "wait queue: ping-pong between the first and the last CPU");
	pingpong_between(last, last / 2, "wait queue: ping-pong between two others");
	test_locks_exclude();
	test_threads_share_a_cpu();
	test_waiting_thread_brings_an_interrupt();
	test_no_interrupt_while_computing();
	test_clocks();
	test_timers_on_all_cpus();
	test_timer_rearm_cancel_destroy();
	test_cpu_call();
	test_cpu_kick_interrupts();
	test_console();
	bm_mem_usage(&after);
	check(!__builtin_memcmp(&before, &after, sizeof(before)), "nothing leaks");
	bm_print("1..%d", test_number);
	return test_failures;
}
