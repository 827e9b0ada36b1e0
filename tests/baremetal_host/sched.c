/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file sched.c
 * Locks, threads and wait queues.
 *
 * Each CPU has a queue of runnable threads and takes threads only from its own. Nothing is preempted: a
 * thread runs until it yields, sleeps or ends. Somebody who makes a thread runnable marks its CPU, kicks it if
 * it is another one, and the slice timer runs as long as threads wait there: so a guest exits, even if the
 * mark came just before it was entered, and the library asks should_yield(). A thread alone on its CPU is
 * never disturbed.
 *
 * Lock order: wait queue, then run queue. Woken threads may still be on their way to sleep: whoever sets a
 * thread SLEEPING is the running one, and it is queued only if it is not, so that no wake-up is lost and no
 * thread runs twice.
 */
#include "baremetal.h"
#include "cpu.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define STACK_GUARD 0x57ac6a4d57ac6a4dull
#define STACK_PAGES (BM_STACK_SIZE / (uint32_t)V3_PAGE_SIZE)

static struct bm_wq sched_joiners; /* threads that wait for the end of another */

void bm_spin_lock_noirq(struct bm_spin *lock)
{
	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED))
			cpu_relax();
}

void bm_spin_unlock_noirq(struct bm_spin *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

unsigned long bm_spin_lock(struct bm_spin *lock)
{
	unsigned long flags = irq_save();

	bm_spin_lock_noirq(lock);
	return flags;
}

void bm_spin_unlock(struct bm_spin *lock, unsigned long flags)
{
	bm_spin_unlock_noirq(lock);
	irq_restore(flags);
}

/* Append to a run queue; its lock held. */
static void sched_enqueue(struct bm_cpu *cpu, struct bm_thread *t)
{
	t->run_next = NULL;
	*cpu->run_tail = t;
	cpu->run_tail = &t->run_next;
}

static struct bm_thread *sched_dequeue(struct bm_cpu *cpu)
{
	struct bm_thread *t = cpu->run_head;

	cpu->run_head = t->run_next;
	if (!cpu->run_head)
		cpu->run_tail = &cpu->run_head;
	return t;
}

static void sched_make_runnable(struct bm_thread *t)
{
	struct bm_cpu *cpu;
	unsigned long flags;
	bool queued = false;

	for (;;) { /* it may be moved until we hold the lock of its CPU */
		cpu = bm_cpus[__atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE)];
		flags = bm_spin_lock(&cpu->run_lock);
		if (t->cpu == cpu->id)
			break;
		bm_spin_unlock(&cpu->run_lock, flags);
	}
	if (t->state == BM_SLEEPING) {
		t->state = BM_RUNNABLE;
		if (t != cpu->running) { /* else it is about to sleep, and will see the change */
			sched_enqueue(cpu, t);
			cpu->resched = true;
			queued = true;
		}
	}
	bm_spin_unlock_noirq(&cpu->run_lock);
	if (queued && cpu == bm_this_cpu())
		bm_sched_check(cpu);
	else if (queued)
		bm_apic_send(cpu->apic_id, BM_VEC_KICK);
	irq_restore(flags);
}

void bm_sched_check(struct bm_cpu *cpu)
{
	if (cpu->resched && !cpu->slice_end_ns && cpu->running != cpu->idle)
		bm_timer_set_slice(cpu, bm_time_ns() + BM_SLICE_NS);
}

/*
 * What to run next; run-queue lock held. A thread that shall move goes on @moved, unless it is @prev: we are
 * still on its stack, so the idle thread runs first and moves it.
 */
static struct bm_thread *sched_pick(struct bm_cpu *cpu, struct bm_thread *prev,
				    struct bm_thread **moved)
{
	struct bm_thread *t;

	while (cpu->run_head) {
		if (cpu->run_head->wanted_cpu == cpu->id)
			return sched_dequeue(cpu);
		if (cpu->run_head == prev)
			break;
		t = sched_dequeue(cpu);
		t->run_next = *moved;
		*moved = t;
	}
	return cpu->idle;
}

static void sched_forward(struct bm_thread *moved)
{
	struct bm_thread *t;
	struct bm_cpu *cpu;

	while (moved) {
		t = moved;
		moved = t->run_next;
		cpu = bm_cpus[t->wanted_cpu];
		bm_spin_lock_noirq(&cpu->run_lock);
		__atomic_store_n(&t->cpu, cpu->id, __ATOMIC_RELEASE);
		sched_enqueue(cpu, t);
		cpu->resched = true;
		bm_spin_unlock_noirq(&cpu->run_lock);
		bm_apic_send(cpu->apic_id, BM_VEC_KICK);
	}
}

/* First thing on a stack that has just been switched to; interrupts off. */
static void sched_finish(void)
{
	struct bm_thread *prev = bm_this_cpu()->previous;

	if (prev->state != BM_DEAD)
		return;
	/* from here on its joiner may free it */
	__atomic_store_n(&prev->gone, true, __ATOMIC_RELEASE);
	bm_wq_wake(&sched_joiners);
}

/* Give up the CPU in whatever state the running thread is. */
static void sched_switch(void)
{
	unsigned long flags = irq_save();
	struct bm_cpu *cpu = bm_this_cpu();
	struct bm_thread *prev = cpu->running, *next, *moved = NULL;
	bool contended;

	if (prev->fpu)
		bm_panic("thread %s gave up its CPU between fpu_begin and fpu_end", prev->name);
	if (prev->stack && prev->stack[0] != STACK_GUARD)
		bm_panic("thread %s overran its stack", prev->name);

	bm_spin_lock_noirq(&cpu->run_lock);
	if (prev != cpu->idle && prev->state == BM_RUNNABLE)
		sched_enqueue(cpu, prev);
	next = sched_pick(cpu, prev, &moved);
	contended = cpu->run_head && next != cpu->idle;
	cpu->running = next;
	cpu->previous = prev;
	cpu->resched = false;
	bm_spin_unlock_noirq(&cpu->run_lock);

	sched_forward(moved);
	if (contended || cpu->slice_end_ns)
		bm_timer_set_slice(cpu, contended ? bm_time_ns() + BM_SLICE_NS : 0);
	if (next != prev) {
		bm_context_switch(&prev->rsp, next->rsp);
		sched_finish();
	}
	irq_restore(flags);
}

void bm_yield(void)
{
	sched_switch();
}

bool bm_should_yield(void)
{
	return __atomic_load_n(&bm_this_cpu()->resched, __ATOMIC_RELAXED);
}

void bm_sched_init_cpu(struct bm_cpu *cpu)
{
	struct bm_thread *t = &cpu->idle_thread;

	cpu->run_tail = &cpu->run_head;
	memcpy(t->name, "idle", 5);
	t->cpu = t->wanted_cpu = cpu->id;
	cpu->idle = cpu->running = cpu->previous = t;
}

void bm_sched_idle(void)
{
	struct bm_cpu *cpu = bm_this_cpu();

	for (;;) {
		irq_off();
		if (__atomic_load_n(&cpu->run_head, __ATOMIC_RELAXED)) {
			sched_switch();
			continue;
		}
		/*
		 * QEMU 7.2 (Q9) may lose the signal for an interrupt that the local APIC has taken just at
		 * a VMRUN or #VMEXIT. Any write of the task priority makes it look at its APIC again.
		 */
		open_task_priority();
		/* STI takes effect after HLT has begun: an interrupt in between ends it */
		__asm__ volatile("sti; hlt" : : : "memory");
	}
}

/* Where a new thread's first context switch returns to. */
static void sched_thread_start(void)
{
	struct bm_thread *t = bm_this_cpu()->running;

	sched_finish();
	__asm__ volatile("sti" : : : "memory");
	t->fn(t->arg);
	irq_off();
	t->state = BM_DEAD;
	sched_switch();
	bm_panic("dead thread %s runs", t->name);
}

void *bm_thread_create(const char *name, uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	struct bm_thread *t;
	uint64_t *sp;
	size_t i;

	if (cpu >= bm_cpu_total)
		return NULL;
	t = bm_alloc(sizeof(*t));
	if (!t)
		return NULL;
	t->stack = bm_mem_internal(STACK_PAGES);
	if (!t->stack) {
		bm_free(t);
		return NULL;
	}
	t->stack[0] = STACK_GUARD;
	for (i = 0; i < sizeof(t->name) - 1 && name[i]; i++)
		t->name[i] = name[i];
	t->fn = fn;
	t->arg = arg;
	t->cpu = t->wanted_cpu = cpu;
	/* six registers, the address to return to, and one word that aligns the stack as after a call */
	sp = (uint64_t *)((char *)t->stack + BM_STACK_SIZE) - 8;
	memset(sp, 0, 8 * sizeof(*sp));
	sp[6] = (uint64_t)sched_thread_start;
	t->rsp = (uint64_t)sp;
	t->state = BM_SLEEPING;
	sched_make_runnable(t);
	return t;
}

static bool sched_is_gone(void *arg)
{
	return __atomic_load_n(&((struct bm_thread *)arg)->gone, __ATOMIC_ACQUIRE);
}

void bm_thread_join(void *thread)
{
	struct bm_thread *t = thread;

	bm_wq_sleep(&sched_joiners, sched_is_gone, t);
	if (t->stack[0] != STACK_GUARD)
		bm_panic("thread %s overran its stack", t->name);
	bm_mem_internal_free(t->stack, STACK_PAGES);
	bm_free(t);
}

int bm_thread_move(void *thread, uint32_t cpu)
{
	struct bm_thread *t = thread;

	if (cpu >= bm_cpu_total)
		return V3_ENODEV;
	__atomic_store_n(&t->wanted_cpu, cpu, __ATOMIC_RELEASE);
	return V3_OK;
}

static void wq_remove(struct bm_wq *wq, struct bm_thread *t)
{
	unsigned long flags = bm_spin_lock(&wq->lock);
	struct bm_thread **p = &wq->head;

	if (t->waiting) {
		while (*p != t)
			p = &(*p)->wq_next;
		*p = t->wq_next;
		t->waiting = false;
	}
	t->state = BM_RUNNABLE;
	bm_spin_unlock(&wq->lock, flags);
}

void bm_wq_sleep(struct bm_wq *wq, bool (*cond)(void *arg), void *arg)
{
	struct bm_thread *t = bm_this_cpu()->running;
	unsigned long flags;

	if (cond(arg))
		return;
	for (;;) {
		/* be found by wakers first, then test: a wake-up in between makes us runnable again */
		flags = bm_spin_lock(&wq->lock);
		if (!t->waiting) {
			t->waiting = true;
			t->wq_next = wq->head;
			wq->head = t;
		}
		__atomic_store_n(&t->state, BM_SLEEPING, __ATOMIC_SEQ_CST);
		bm_spin_unlock(&wq->lock, flags);
		if (cond(arg))
			break;
		sched_switch();
	}
	wq_remove(wq, t);
}

void bm_wq_wake(struct bm_wq *wq)
{
	unsigned long flags;
	struct bm_thread *t;

	/* a sleeper queues itself before it tests, a waker changes the condition before it looks here */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&wq->head, __ATOMIC_RELAXED))
		return;
	flags = bm_spin_lock(&wq->lock);
	while (wq->head) {
		t = wq->head;
		wq->head = t->wq_next;
		t->waiting = false;
		sched_make_runnable(t);
	}
	bm_spin_unlock(&wq->lock, flags);
}
