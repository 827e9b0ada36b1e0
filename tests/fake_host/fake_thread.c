/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_thread.c
 * CPUs, threads, waiting and locks of the fake host. A CPU is a number in the thread's own
 * storage: any number of threads may be on one CPU at a time, which is more parallel than any
 * real host.
 */
#include "fake_priv.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define SPIN_FLAGS                                                                                 \
	0x5a5a0246ul /* what spin_lock() returns and spin_unlock() wants to see, xor depth */

struct fake_thread {
	pthread_t id;
	uint32_t cpu; /* atomic: where it is to run */
	void (*fn)(void *arg);
	void *arg;
	char name[32];
};

struct fake_wq {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned sleepers;
};

struct fake_lock {
	pthread_mutex_t lock;
	uint32_t held; /* atomic */
	pthread_t owner;
};

static struct {
	uint32_t ncpus;
	uint64_t offline; /* bit by CPU */
	bool should_yield;
	unsigned yields, fpu_begins, fpu_ends, locks, irqs;
	int last_vector;
	const void *last_lock;
	pthread_mutex_t kick_lock; /* guards kicks */
	pthread_cond_t kick_cond;
	unsigned kicks[FAKE_MAX_CPUS];
} thr = {.ncpus = 4, .kick_lock = PTHREAD_MUTEX_INITIALIZER, .kick_cond = PTHREAD_COND_INITIALIZER};

static _Thread_local struct fake_thread *thr_self; /* NULL in the test's own thread */

void fake_thread_reset(void)
{
	thr.ncpus = 4;
	thr.offline = 0;
	thr.should_yield = false;
	thr.yields = thr.fpu_begins = thr.fpu_ends = thr.locks = thr.irqs = 0;
	thr.last_vector = -2;
	thr.last_lock = NULL;
	memset(thr.kicks, 0, sizeof(thr.kicks));
	fake_instr_reset();
}

/* The host may switch threads here: nothing may be held that is bound to the running one. */
static void thr_may_switch(const char *op)
{
	fake_need_thread(op);
	if (fake_self.fpu)
		fake_violation("%s() between fpu_begin() and fpu_end()", op);
	if (thr_self)
		fake_self.cpu = __atomic_load_n(&thr_self->cpu, __ATOMIC_RELAXED);
}

/* ---- CPUs ---- */

void fake_cpu_count(uint32_t n)
{
	if (!n || n > FAKE_MAX_CPUS)
		abort();
	thr.ncpus = n;
}

void fake_cpu_offline(uint32_t cpu, bool off)
{
	uint64_t bit = 1ull << cpu;

	thr.offline = off ? thr.offline | bit : thr.offline & ~bit;
}

static bool thr_is_offline(uint32_t cpu)
{
	return cpu >= thr.ncpus || (thr.offline >> cpu & 1);
}

void fake_cpu_set(uint32_t cpu)
{
	fake_self.cpu = cpu;
}

unsigned fake_cpu_kicks(uint32_t cpu)
{
	unsigned n;

	pthread_mutex_lock(&thr.kick_lock);
	n = thr.kicks[cpu];
	pthread_mutex_unlock(&thr.kick_lock);
	return n;
}

unsigned fake_cpu_wait_kick(uint32_t cpu, unsigned seen, unsigned timeout_ms)
{
	struct timespec until;
	unsigned n;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000l;
	if (until.tv_nsec >= 1000000000l) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000l;
	}
	pthread_mutex_lock(&thr.kick_lock);
	while (thr.kicks[cpu] == seen) {
		if (pthread_cond_timedwait(&thr.kick_cond, &thr.kick_lock, &until) == ETIMEDOUT)
			break;
	}
	n = thr.kicks[cpu];
	pthread_mutex_unlock(&thr.kick_lock);
	return n;
}

uint32_t fake_op_cpu_count(void)
{
	return thr.ncpus;
}

uint32_t fake_op_cpu_id(void)
{
	return fake_self.cpu;
}

int fake_op_cpu_call(uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	uint32_t was = fake_self.cpu;

	fake_need_thread("cpu_call");
	if (thr_is_offline(cpu))
		return V3_ENODEV;
	fake_self.cpu = cpu;
	fake_self.irq++;
	fn(arg);
	fake_self.irq--;
	fake_self.cpu = was;
	return V3_OK;
}

void fake_op_cpu_kick(uint32_t cpu)
{
	if (cpu >= thr.ncpus) {
		fake_violation("cpu_kick(%u) of %u", cpu, thr.ncpus);
		return;
	}
	pthread_mutex_lock(&thr.kick_lock);
	thr.kicks[cpu]++;
	pthread_cond_broadcast(&thr.kick_cond);
	pthread_mutex_unlock(&thr.kick_lock);
}

/* ---- threads ---- */

static void *thr_main(void *arg)
{
	thr_self = arg;
	fake_self.cpu = __atomic_load_n(&thr_self->cpu, __ATOMIC_RELAXED);
	thr_self->fn(thr_self->arg);
	if (fake_self.spins || fake_self.fpu)
		fake_violation("thread %s ends with %u spinlock(s) held, FPU %s", thr_self->name,
			       fake_self.spins, fake_self.fpu ? "owned" : "not owned");
	return NULL;
}

void *fake_thread_create(const char *name, uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	struct fake_thread *thread;

	fake_need_thread("thread_create");
	if (!name || thr_is_offline(cpu))
		fake_violation("thread_create(\"%s\", cpu %u of %u)", name, cpu, thr.ncpus);
	if (!fake_grant(FAKE_THREAD))
		return NULL;
	thread = calloc(1, sizeof(*thread));
	if (!thread)
		abort();
	thread->cpu = cpu;
	thread->fn = fn;
	thread->arg = arg;
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	fake_track(FAKE_THREAD, (uintptr_t)thread, 0);
	if (pthread_create(&thread->id, NULL, thr_main, thread))
		abort();
	return thread;
}

void fake_thread_join(void *thread)
{
	struct fake_thread *t = thread;

	thr_may_switch("thread_join");
	if (!fake_untrack(FAKE_THREAD, (uintptr_t)t, 0))
		return;
	pthread_join(t->id, NULL);
	free(t);
}

int fake_thread_move(void *thread, uint32_t cpu)
{
	struct fake_thread *t = thread;

	fake_need_thread("thread_move");
	if (thr_is_offline(cpu))
		return V3_ENODEV;
	__atomic_store_n(&t->cpu, cpu, __ATOMIC_RELAXED);
	return V3_OK;
}

void fake_yield(void)
{
	thr_may_switch("yield");
	__atomic_fetch_add(&thr.yields, 1, __ATOMIC_RELAXED);
	sched_yield();
}

unsigned fake_yields(void)
{
	return __atomic_load_n(&thr.yields, __ATOMIC_RELAXED);
}

bool fake_op_should_yield(void)
{
	return __atomic_load_n(&thr.should_yield, __ATOMIC_RELAXED);
}

void fake_should_yield(bool yes)
{
	__atomic_store_n(&thr.should_yield, yes, __ATOMIC_RELAXED);
}

bool fake_wait_until(bool (*cond)(void *arg), void *arg, unsigned timeout_ms)
{
	for (unsigned i = 0; !cond(arg); i++) {
		if (i / 10 > timeout_ms)
			return false;
		usleep(100);
	}
	return true;
}

/* ---- wait queues ---- */

void *fake_wq_create(void)
{
	struct fake_wq *wq;

	fake_need_thread("wq_create");
	if (!fake_grant(FAKE_WQ))
		return NULL;
	wq = calloc(1, sizeof(*wq));
	if (!wq)
		abort();
	pthread_mutex_init(&wq->lock, NULL);
	pthread_cond_init(&wq->cond, NULL);
	fake_track(FAKE_WQ, (uintptr_t)wq, 0);
	return wq;
}

void fake_wq_destroy(void *wq)
{
	struct fake_wq *q = wq;

	fake_need_thread("wq_destroy");
	if (!fake_untrack(FAKE_WQ, (uintptr_t)q, 0))
		return;
	if (q->sleepers)
		fake_violation("wq_destroy() with %u sleeper(s)", q->sleepers);
	pthread_cond_destroy(&q->cond);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

void fake_wq_sleep(void *wq, bool (*cond)(void *arg), void *arg)
{
	struct fake_wq *q = wq;

	thr_may_switch("wq_sleep");
	pthread_mutex_lock(&q->lock);
	q->sleepers++;
	while (!cond(arg))
		pthread_cond_wait(&q->cond, &q->lock);
	q->sleepers--;
	pthread_mutex_unlock(&q->lock);
	thr_may_switch("wq_sleep");
}

void fake_wq_wake(void *wq)
{
	struct fake_wq *q = wq;

	/* Through the lock: a sleeper is before its test of the condition or really waiting. */
	pthread_mutex_lock(&q->lock);
	pthread_cond_broadcast(&q->cond);
	pthread_mutex_unlock(&q->lock);
}

/* ---- locks ---- */

static void *lock_create(enum fake_kind kind)
{
	struct fake_lock *l;

	if (!fake_grant(kind))
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	pthread_mutex_init(&l->lock, NULL);
	fake_track(kind, (uintptr_t)l, 0);
	return l;
}

static void lock_destroy(enum fake_kind kind, struct fake_lock *l)
{
	if (!fake_untrack(kind, (uintptr_t)l, 0))
		return;
	if (__atomic_load_n(&l->held, __ATOMIC_RELAXED))
		fake_violation("a lock is destroyed while held");
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static bool lock_mine(struct fake_lock *l)
{
	return __atomic_load_n(&l->held, __ATOMIC_RELAXED) &&

	       __atomic_load_n(&l->owner, __ATOMIC_RELAXED) == pthread_self();
}

static void lock_take(struct fake_lock *l, const char *op)
{
	if (lock_mine(l)) {
		fake_violation("%s(): taken twice by one thread", op);
		abort(); /* it would hang */
	}
	pthread_mutex_lock(&l->lock);
	__atomic_fetch_add(&thr.locks, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&thr.last_lock, l, __ATOMIC_RELAXED);
	__atomic_store_n(&l->owner, pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&l->held, 1, __ATOMIC_RELAXED);
}

static void lock_drop(struct fake_lock *l, const char *op)
{
	if (!lock_mine(l)) {
		fake_violation("%s(): not held by this thread", op);
		return;
	}
	__atomic_store_n(&l->held, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&l->lock);
}

void *fake_mutex_create(void)
{
	fake_need_thread("mutex_create");
	return lock_create(FAKE_MUTEX);
}

void fake_mutex_destroy(void *mutex)
{
	fake_need_thread("mutex_destroy");
	lock_destroy(FAKE_MUTEX, mutex);
}

void fake_mutex_lock(void *mutex)
{
	thr_may_switch("mutex_lock");
	lock_take(mutex, "mutex_lock");
}

void fake_mutex_unlock(void *mutex)
{
	lock_drop(mutex, "mutex_unlock");
}

void *fake_spin_create(void)
{
	fake_need_thread("spin_create");
	return lock_create(FAKE_SPIN);
}

void fake_spin_destroy(void *lock)
{
	fake_need_thread("spin_destroy");
	lock_destroy(FAKE_SPIN, lock);
}

unsigned long fake_spin_lock(void *lock)
{
	lock_take(lock, "spin_lock");
	return SPIN_FLAGS ^ fake_self.spins++;
}

void fake_spin_unlock(void *lock, unsigned long flags)
{
	fake_self.spins--;
	if (flags != (SPIN_FLAGS ^ fake_self.spins))
		fake_violation("spin_unlock(): flags %#lx are not those of its spin_lock()", flags);
	lock_drop(lock, "spin_unlock");
}

/* ---- interrupts and FPU ---- */

void fake_irq_pass(int vector)
{
	if (fake_self.irq)
		fake_violation("irq_pass() in interrupt context");
	__atomic_fetch_add(&thr.irqs, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&thr.last_vector, vector, __ATOMIC_RELAXED);
}

unsigned fake_irqs_passed(int *last_vector)
{
	if (last_vector)
		*last_vector = __atomic_load_n(&thr.last_vector, __ATOMIC_RELAXED);
	return __atomic_load_n(&thr.irqs, __ATOMIC_RELAXED);
}

/* What the host saves: here only the control words, which C code relies on. */
static _Thread_local struct {
	uint16_t fcw;
	uint32_t mxcsr;
} thr_fpu;

void fake_fpu_begin(void)
{
	if (fake_self.fpu)
		fake_violation("fpu_begin() nested");
	__asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(thr_fpu.fcw), "=m"(thr_fpu.mxcsr));
	fake_self.fpu = true;
	__atomic_fetch_add(&thr.fpu_begins, 1, __ATOMIC_RELAXED);
}

void fake_fpu_end(void)
{
	if (!fake_self.fpu)
		fake_violation("fpu_end() without fpu_begin()");
	if (!fake_instr_xcr0_is_host())
		fake_violation("fpu_end() with the guest's XCR0 or IA32_XSS");
	__asm__ volatile("fninit\n\tfldcw %0\n\tldmxcsr %1" ::"m"(thr_fpu.fcw), "m"(thr_fpu.mxcsr));
	fake_self.fpu = false;
	__atomic_fetch_add(&thr.fpu_ends, 1, __ATOMIC_RELAXED);
}

unsigned fake_fpu_begins(void)
{
	return __atomic_load_n(&thr.fpu_begins, __ATOMIC_RELAXED);
}

unsigned fake_fpu_ends(void)
{
	return __atomic_load_n(&thr.fpu_ends, __ATOMIC_RELAXED);
}

unsigned fake_locks_taken(void)
{
	return __atomic_load_n(&thr.locks, __ATOMIC_RELAXED);
}

const void *fake_lock_last(void)
{
	return __atomic_load_n(&thr.last_lock, __ATOMIC_RELAXED);
}
