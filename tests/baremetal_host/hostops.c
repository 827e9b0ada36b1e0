/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hostops.c
 * The table of functions the library asks of its host: what an embedder has to write. Most members are the
 * kernel's own functions (mem.c, sched.c, smp.c, time.c); here is what is left to adapt.
 */
#include "hostops.h"

#include "baremetal.h"
#include "cpu.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

static void host_log(int level, const char *line)
{
	(void)level; /* the library drops what is below the level set with v3_log_set_level() */
	bm_print_line(line);
}

/* Memory is mapped one to one. */
static void *host_pa_to_va(v3_hpa_t pa)
{
	return (void *)pa;
}

static v3_hpa_t host_va_to_pa(const void *va)
{
	return (v3_hpa_t)va;
}

static uint32_t host_cpu_count(void)
{
	return bm_cpu_total;
}

static uint32_t host_cpu_id(void)
{
	return bm_this_cpu()->id;
}

static void *host_wq_create(void)
{
	return bm_alloc(sizeof(struct bm_wq));
}

static void host_wq_sleep(void *wq, bool (*cond)(void *arg), void *arg)
{
	bm_wq_sleep(wq, cond, arg);
}

static void host_wq_wake(void *wq)
{
	bm_wq_wake(wq);
}

struct host_mutex {
	bool held;
	struct bm_wq wq;
};

static void *host_mutex_create(void)
{
	return bm_alloc(sizeof(struct host_mutex));
}

/* As a condition to sleep on: taken at the moment it is found free. */
static bool host_mutex_try(void *arg)
{
	struct host_mutex *m = arg;

	return !__atomic_exchange_n(&m->held, true, __ATOMIC_ACQUIRE);
}

static void host_mutex_lock(void *mutex)
{
	struct host_mutex *m = mutex;

	bm_wq_sleep(&m->wq, host_mutex_try, m);
}

static void host_mutex_unlock(void *mutex)
{
	struct host_mutex *m = mutex;

	__atomic_store_n(&m->held, false, __ATOMIC_SEQ_CST);
	bm_wq_wake(&m->wq);
}

static void *host_spin_create(void)
{
	return bm_alloc(sizeof(struct bm_spin));
}

static unsigned long host_spin_lock(void *lock)
{
	return bm_spin_lock(lock);
}

static void host_spin_unlock(void *lock, unsigned long flags)
{
	bm_spin_unlock(lock, flags);
}

/* SVM leaves the interrupt pending and it came in by itself; VMX has taken it from the local APIC for us. */
static void host_irq_pass(int vector)
{
	unsigned long flags;

	if (vector < 0)
		return;
	flags = irq_save();
	bm_interrupt((uint32_t)vector);
	irq_restore(flags);
}

/*
 * Nothing in this host touches FPU registers and no thread is preempted, so there is no state to save: only
 * the promise not to switch threads in between is worth checking (sched.c does).
 */
static void host_fpu_begin(void)
{
	struct bm_thread *t = bm_this_cpu()->running;

	if (t->fpu)
		bm_panic("fpu_begin called twice by thread %s", t->name);
	t->fpu = true;
}

static void host_fpu_end(void)
{
	bm_this_cpu()->running->fpu = false;
}

/* RDRAND, if the CPU has it; it may have to be asked again (SDM vol. 1, 7.3.17.1). */
static size_t host_random(void *buf, size_t len)
{
	uint32_t r[4];
	uint64_t word;
	size_t done = 0, n;
	unsigned tries;
	bool ok;

	cpuid(1, 0, r);
	if (!(r[2] >> 30 & 1))
		return 0;
	for (; done < len; done += n) {
		ok = false;
		for (tries = 0; tries < 10 && !ok; tries++)
			__asm__ volatile("rdrand %0" : "=r"(word), "=@ccc"(ok) : : "memory");
		if (!ok)
			break;
		n = len - done < sizeof(word) ? len - done : sizeof(word);
		memcpy((char *)buf + done, &word, n);
	}
	return done;
}

const struct v3_host_ops bm_host_ops = {
	.api = V3_HOST_API,
	.size = sizeof(struct v3_host_ops),
	.log = host_log,
	.page_alloc = bm_page_alloc,
	.page_free = bm_page_free,
	.ram_alloc = bm_ram_alloc,
	.ram_free = bm_ram_free,
	.ram_free_part = bm_ram_free_part,
	.alloc = bm_alloc,
	.free = bm_free,
	.pa_to_va = host_pa_to_va,
	.va_to_pa = host_va_to_pa,
	.cpu_count = host_cpu_count,
	.cpu_id = host_cpu_id,
	.cpu_call = bm_cpu_call,
	.cpu_kick = bm_cpu_kick,
	.thread_create = bm_thread_create,
	.thread_join = bm_thread_join,
	.thread_move = bm_thread_move,
	.yield = bm_yield,
	.should_yield = bm_should_yield,
	.wq_create = host_wq_create,
	.wq_destroy = bm_free,
	.wq_sleep = host_wq_sleep,
	.wq_wake = host_wq_wake,
	.mutex_create = host_mutex_create,
	.mutex_destroy = bm_free,
	.mutex_lock = host_mutex_lock,
	.mutex_unlock = host_mutex_unlock,
	.spin_create = host_spin_create,
	.spin_destroy = bm_free,
	.spin_lock = host_spin_lock,
	.spin_unlock = host_spin_unlock,
	.time_ns = bm_time_ns,
	.wall_clock_s = bm_wall_clock_s,
	.tsc_khz = bm_tsc_khz,
	.timer_create = bm_timer_create,
	.timer_destroy = bm_timer_destroy,
	.timer_arm = bm_timer_arm,
	.timer_cancel = bm_timer_cancel,
	.irq_pass = host_irq_pass,
	.fpu_begin = host_fpu_begin,
	.fpu_end = host_fpu_end,
	.console = &bm_console_ops,
	.random = host_random,
};
