/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file time.c
 * Clock and one-shot timers. Time is the time stamp counter; the local APIC timer is programmed for the
 * earliest deadline of its CPU and stopped when there is none: there is no tick.
 *
 * The frequencies are measured against channel 2 of the i8254 (Intel 8254 data sheet, mode 0). What CPUID
 * says (leaf 0x15) is not used: emulated CPUs copy it from silicon and tick at another rate.
 */
#include "baremetal.h"
#include "cpu.h"

#include "palacios/error.h"

#define PIT_HZ	    1193182ull
#define PIT_CH2	    0x42
#define PIT_COMMAND 0x43
#define PIT_CONTROL 0x61 /* bit 0: gate of channel 2; bit 1: speaker; bit 5: its output */

#define WINDOW_TICKS 24000 /* 20 ms; the counter runs out after 55 ms */
#define SAMPLE_TRIES 8
#define WINDOWS	     3
#define GOOD_ENOUGH  10000 /* 100 ppm */

static struct {
	uint64_t base_tsc;     /* when the clock read 0 */
	uint64_t ns_per_tsc;   /* 32.32 fixed point */
	uint64_t tsc_per_ns;   /* 32.32 */
	uint64_t count_per_ns; /* 32.32, of the local APIC timer */
	uint64_t boot_wall_s;
	uint32_t tsc_khz;
	bool deadline_mode;
} clk;

/* One reading of all three clocks at the same moment, give or take @uncertain cycles. */
struct sample {
	uint64_t tsc, uncertain;
	uint32_t pit, apic;
};

static uint64_t scale(uint64_t v, uint64_t factor)
{
	return (uint64_t)((unsigned __int128)v * factor >> 32);
}

/* This machine may lose its CPU between two instructions: the reading that took least time is the best. */
static struct sample time_sample(void)
{
	struct sample best = {.uncertain = ~0ull}, s;
	unsigned i;

	for (i = 0; i < SAMPLE_TRIES; i++) {
		s.tsc = rdtsc();
		outb(PIT_COMMAND, 0x80); /* latch channel 2 */
		s.apic = bm_apic_timer_left();
		s.uncertain = rdtsc() - s.tsc;
		s.pit = inb(PIT_CH2);
		s.pit |= (uint32_t)inb(PIT_CH2) << 8;
		if (s.uncertain < best.uncertain)
			best = s;
	}
	return best;
}

/* @return cycles of uncertainty, ~0 if the window was missed */
static uint64_t time_measure(uint32_t *tsc_khz, uint32_t *apic_khz)
{
	struct sample a, b;
	uint64_t ticks;

	outb(PIT_CONTROL, (inb(PIT_CONTROL) & ~0x03) | 0x01);
	outb(PIT_COMMAND, 0xb0); /* channel 2, both bytes, mode 0, binary */
	outb(PIT_CH2, 0xff);
	outb(PIT_CH2, 0xff);
	bm_apic_timer_count(~0u);
	a = time_sample();
	do {
		b = time_sample();
	} while (a.pit - b.pit < WINDOW_TICKS && !(inb(PIT_CONTROL) & 0x20));
	if (inb(PIT_CONTROL) & 0x20 || b.pit >= a.pit)
		return ~0ull; /* terminal count: we were away for too long */
	ticks = a.pit - b.pit;
	*tsc_khz = (uint32_t)((b.tsc - a.tsc) * PIT_HZ / ticks / 1000);
	*apic_khz = (uint32_t)((uint64_t)(a.apic - b.apic) * PIT_HZ / ticks / 1000);
	return a.uncertain + b.uncertain;
}

static uint8_t cmos_read(uint8_t reg)
{
	outb(0x70, 0x80 | reg);
	return inb(0x71);
}

static unsigned cmos_number(uint8_t reg, bool binary)
{
	uint8_t v = cmos_read(reg);

	return binary ? v : (v >> 4) * 10u + (v & 15);
}

/* Seconds since 1970 of the MC146818 clock, which runs in UTC here. */
static uint64_t time_read_cmos(void)
{
	unsigned sec, min, hour, day, mon, year, tries, y, m;
	uint64_t days;
	bool binary = cmos_read(0x0b) & 4;

	for (tries = 0; tries < 100; tries++) {
		while (cmos_read(0x0a) & 0x80) /* being updated */
			cpu_relax();
		sec = cmos_number(0, binary);
		min = cmos_number(2, binary);
		hour = cmos_number(4, binary);
		day = cmos_number(7, binary);
		mon = cmos_number(8, binary);
		year = 2000 + cmos_number(9, binary);
		if (sec == cmos_number(0, binary))
			break;
	}
	/* days of the civil calendar, with the year beginning in March */
	y = mon > 2 ? year : year - 1;
	m = mon > 2 ? mon - 3 : mon + 9;
	days = 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
	return ((days * 24 + hour) * 60 + min) * 60 + sec;
}

void bm_time_init(void)
{
	uint32_t khz[2] = {0, 0}, best[2] = {0, 0}, features[4];
	uint64_t best_uncertain = ~0ull, uncertain;
	unsigned done, tries;

	cpuid(1, 0, features);
	clk.deadline_mode = features[2] >> 24 & 1;
	for (done = 0, tries = 0; done < WINDOWS && tries < 50; tries++) {
		uncertain = time_measure(&khz[0], &khz[1]);
		if (uncertain == ~0ull)
			continue;
		done++;
		if (uncertain < best_uncertain) {
			best_uncertain = uncertain;
			best[0] = khz[0];
			best[1] = khz[1];
		}
		/* nobody took the CPU away: no better window will come (20 ms are 20 * khz cycles) */
		if (uncertain < khz[0] * 20ull / GOOD_ENOUGH)
			break;
	}
	clk.tsc_khz = (uint32_t)bm_option("tsc_khz", best[0]);
	if (!clk.tsc_khz || (!clk.deadline_mode && !best[1]))
		bm_panic("cannot measure the clocks");
	clk.ns_per_tsc = (1000000ull << 32) / clk.tsc_khz;
	clk.tsc_per_ns = ((uint64_t)clk.tsc_khz << 32) / 1000000;
	/* 122 ppm more, above the measuring error: a timer that fires early must be armed twice */
	clk.count_per_ns = ((uint64_t)best[1] << 32) / 1000000;
	clk.count_per_ns += clk.count_per_ns >> 13;
	clk.boot_wall_s = time_read_cmos();
	clk.base_tsc = rdtsc();
	bm_time_init_cpu();
}

void bm_time_init_cpu(void)
{
	if (!clk.deadline_mode)
		bm_apic_timer_count(0);
}

uint64_t bm_time_ns(void)
{
	return scale(rdtsc() - clk.base_tsc, clk.ns_per_tsc);
}

uint64_t bm_wall_clock_s(void)
{
	return clk.boot_wall_s + bm_time_ns() / 1000000000;
}

uint32_t bm_tsc_khz(void)
{
	return clk.tsc_khz;
}

void bm_delay_us(uint32_t us)
{
	uint64_t end = bm_time_ns() + us * 1000ull;

	while (bm_time_ns() < end)
		cpu_relax();
}

/* Set the local APIC for the earliest deadline of this CPU; timer lock held. */
static void timer_program(struct bm_cpu *cpu)
{
	uint64_t deadline = cpu->timers ? cpu->timers->deadline_ns : 0, now, count;

	if (cpu->slice_end_ns && (!deadline || cpu->slice_end_ns < deadline))
		deadline = cpu->slice_end_ns;
	if (deadline == cpu->programmed_ns)
		return;
	cpu->programmed_ns = deadline;
	if (clk.deadline_mode) {
		bm_apic_timer_deadline(deadline ? clk.base_tsc + scale(deadline, clk.tsc_per_ns) + 2
						: 0);
		return;
	}
	if (!deadline) {
		bm_apic_timer_count(0);
		return;
	}
	now = bm_time_ns();
	count = deadline > now ? scale(deadline - now, clk.count_per_ns) + 1 : 1;
	/* a deadline beyond the counter: the interrupt programs the rest */
	bm_apic_timer_count(count < 0xffffffff ? (uint32_t)count : 0xffffffff);
}

void bm_timer_set_slice(struct bm_cpu *cpu, uint64_t end_ns)
{
	bm_spin_lock_noirq(&cpu->timer_lock);
	cpu->slice_end_ns = end_ns;
	timer_program(cpu);
	bm_spin_unlock_noirq(&cpu->timer_lock);
}

void *bm_timer_create(void (*fn)(void *arg), void *arg)
{
	struct bm_timer *t = bm_alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->fn = fn;
	t->arg = arg;
	t->cpu = BM_MAX_CPUS;
	return t;
}

/* Take the timer off whatever list it is on; interrupts off. */
static void timer_unlink(struct bm_timer *t, bool reprogram)
{
	struct bm_timer **p;
	struct bm_cpu *cpu;
	uint32_t id;

	while ((id = __atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE)) != BM_MAX_CPUS) {
		cpu = bm_cpus[id];
		bm_spin_lock_noirq(&cpu->timer_lock);
		if (t->cpu == id) { /* still: it may have fired or moved meanwhile */
			for (p = &cpu->timers; *p != t; p = &(*p)->next)
				;
			*p = t->next;
			__atomic_store_n(&t->cpu, BM_MAX_CPUS, __ATOMIC_RELEASE);
			if (reprogram && cpu == bm_this_cpu())
				timer_program(cpu);
		}
		bm_spin_unlock_noirq(&cpu->timer_lock);
	}
}

void bm_timer_arm(void *timer, uint64_t deadline_ns)
{
	struct bm_timer *t = timer, **p;
	unsigned long flags = irq_save();
	struct bm_cpu *cpu = bm_this_cpu();

	timer_unlink(t, false);
	bm_spin_lock_noirq(&cpu->timer_lock);
	t->deadline_ns = deadline_ns ? deadline_ns : 1;
	for (p = &cpu->timers; *p && (*p)->deadline_ns <= t->deadline_ns; p = &(*p)->next)
		;
	t->next = *p;
	*p = t;
	__atomic_store_n(&t->cpu, cpu->id, __ATOMIC_RELEASE);
	timer_program(cpu);
	bm_spin_unlock_noirq(&cpu->timer_lock);
	irq_restore(flags);
}

void bm_timer_cancel(void *timer)
{
	unsigned long flags = irq_save();

	timer_unlink(timer, true);
	irq_restore(flags);
}

void bm_timer_destroy(void *timer)
{
	struct bm_timer *t = timer;
	uint32_t i;

	do { /* its function may arm it once more while we wait for it */
		bm_timer_cancel(t);
		for (i = 0; i < bm_cpu_total; i++)
			while (__atomic_load_n(&bm_cpus[i]->timer_running, __ATOMIC_ACQUIRE) == t)
				cpu_relax();
	} while (__atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE) != BM_MAX_CPUS);
	bm_free(t);
}

struct sleeper {
	struct bm_wq wq;
	uint32_t due; /* atomic */
};

static void sleeper_wake(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->due, 1, __ATOMIC_SEQ_CST);
	bm_wq_wake(&s->wq);
}

static bool sleeper_is_due(void *arg)
{
	return __atomic_load_n(&((struct sleeper *)arg)->due, __ATOMIC_SEQ_CST);
}

int bm_sleep(uint64_t ns)
{
	struct sleeper s = {.due = 0};
	void *timer = bm_timer_create(sleeper_wake, &s);

	if (!timer)
		return V3_ENOMEM;
	bm_timer_arm(timer, bm_time_ns() + ns);
	bm_wq_sleep(&s.wq, sleeper_is_due, &s);
	bm_timer_destroy(timer); /* waits until it has let go of s */
	return V3_OK;
}

void bm_timer_interrupt(struct bm_cpu *cpu)
{
	struct bm_timer *t;
	uint64_t now = bm_time_ns();

	bm_spin_lock_noirq(&cpu->timer_lock);
	cpu->programmed_ns = 0;
	if (cpu->slice_end_ns && cpu->slice_end_ns <= now) {
		cpu->resched = cpu->run_head != NULL;
		/* again and again: this one may come when the library has just asked should_yield() */
		cpu->slice_end_ns = cpu->resched ? now + BM_SLICE_NS : 0;
	}
	while ((t = cpu->timers) && t->deadline_ns <= now) {
		cpu->timers = t->next;
		/* running first: who sees the timer off the list must see that */
		__atomic_store_n(&cpu->timer_running, t, __ATOMIC_RELEASE);
		__atomic_store_n(&t->cpu, BM_MAX_CPUS, __ATOMIC_RELEASE);
		bm_spin_unlock_noirq(&cpu->timer_lock);
		t->fn(t->arg);
		bm_spin_lock_noirq(&cpu->timer_lock);
		__atomic_store_n(&cpu->timer_running, NULL, __ATOMIC_RELEASE);
	}
	timer_program(cpu);
	bm_spin_unlock_noirq(&cpu->timer_lock);
}
