/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_time.c
 * Guest time and timers: order, re-arming, pause, drift, the wall clock, the guest's TSC and
 * kvmclock.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "palacios/timer.h"
#include "tap.h"

#include <unistd.h>

#define MS 1000000ull
#define S  1000000000ull

struct shot {
	struct v3_timer *timer;
	unsigned n;
	uint64_t at;	 /* guest time of the last one */
	uint64_t period; /* re-arm from the deadline, 0: one-shot */
	uint64_t deadline;
	struct v3_vcpu *on;
	unsigned *order; /* shared counter */
	unsigned place;
};

static void shot_fires(struct v3_vcpu *vcpu, void *priv)
{
	struct shot *s = priv;

	s->n++;
	s->on = vcpu;
	s->at = v3_time_ns(v3_vcpu_vm(vcpu));
	if (s->order)
		s->place = ++*s->order;
	if (s->period) {
		s->deadline += s->period;
		v3_timer_arm(s->timer, s->deadline);
	}
}

/* Let guest time pass and do what the vcpu threads would. */
static void pass(struct v3_vm *vm, uint64_t ns)
{
	fake_service(vm);
	fake_clock_advance(ns);
	fake_service(vm);
}

static void test_time_stands_still_until_the_vm_runs(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	CHECK_EQ(v3_time_ns(vm), 0);
	fake_clock_advance(S);
	CHECK_EQ(v3_time_ns(vm), 0);
	v3_time_continue(vm);
	CHECK_EQ(v3_time_ns(vm), 0);
	fake_clock_advance(5);
	CHECK_EQ(v3_time_ns(vm), 5);
}

static void test_time_pause_leaves_no_gap(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	for (unsigned i = 1; i <= 10; i++) {
		fake_clock_advance(7);
		v3_time_pause(vm);
		fake_clock_advance(S * i);
		CHECK_EQ(v3_time_ns(vm), 7 * i);
		v3_time_continue(vm);
		CHECK_EQ(v3_time_ns(vm), 7 * i);
	}
}

static void test_time_wall_clock_follows_guest_time(void)
{
	struct v3_vm *vm;

	fake_wall_clock(1700000000);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	CHECK_EQ(v3_time_wall_s(vm), 1700000001); /* the fake clock starts at 1 s */
	fake_clock_advance(90 * S);
	CHECK_EQ(v3_time_wall_s(vm), 1700000091);
}

static void test_time_timer_fires_once_at_its_deadline(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	CHECK(!v3_timer_armed(s.timer));
	v3_timer_arm(s.timer, 10 * MS);
	CHECK(v3_timer_armed(s.timer));
	pass(vm, 10 * MS - 1);
	CHECK_EQ(s.n, 0);
	pass(vm, 1);
	CHECK_EQ(s.n, 1);
	CHECK_EQ(s.at, 10 * MS);
	CHECK(s.on == vm->vcpu[0]);
	CHECK(!v3_timer_armed(s.timer));
	pass(vm, S);
	CHECK_EQ(s.n, 1);
	v3_timer_destroy(s.timer);
}

static void test_time_timer_deadline_in_the_past_fires_at_once(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s = {0};

	REQUIRE(vm);
	pass(vm, S);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, 0);
	CHECK_EQ(s.n, 0); /* never inside the call */
	CHECK(fake_take_requests(vm->vcpu[0]) & V3_REQ_TIMER);
	fake_service(vm);
	CHECK_EQ(s.n, 1);
	v3_timer_destroy(s.timer);
}

static void test_time_timer_far_away_does_not_fire(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, ~0ull);
	for (int i = 0; i < 10; i++)
		pass(vm, S);
	CHECK_EQ(s.n, 0);
	CHECK(fake_clock_arms() < 5); /* the host's timer does not fire over and over */
	v3_timer_destroy(s.timer);
}

static void test_time_timers_fire_in_order(void)
{
	static const uint64_t at[5] = {30, 10, 50, 10, 20};
	static const unsigned place[5] = {4, 1, 5, 2, 3};
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s[5] = {0};
	unsigned order = 0;

	REQUIRE(vm);
	for (int i = 0; i < 5; i++) {
		s[i].order = &order;
		REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s[i], &s[i].timer), V3_OK);
		v3_timer_arm(s[i].timer, at[i]);
	}
	pass(vm, 100);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(s[i].place, place[i]);
		v3_timer_destroy(s[i].timer);
	}
}

static void test_time_timer_rearm_replaces_the_deadline(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, 100);
	v3_timer_arm(s.timer, 300);
	pass(vm, 200);
	CHECK_EQ(s.n, 0);
	v3_timer_arm(s.timer, 250);
	pass(vm, 50);
	CHECK_EQ(s.n, 1);
	pass(vm, 1000);
	CHECK_EQ(s.n, 1);
	v3_timer_destroy(s.timer);
}

static void test_time_timer_cancel(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_cancel(s.timer);
	v3_timer_arm(s.timer, 100);
	v3_timer_cancel(s.timer);
	CHECK(!v3_timer_armed(s.timer));
	pass(vm, 1000);
	CHECK_EQ(s.n, 0);
	CHECK_EQ(fake_clock_next(), 0); /* nothing left at the host */
	v3_timer_destroy(s.timer);
	v3_timer_destroy(NULL);
}

static void test_time_periodic_timer_does_not_drift(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s = {.period = MS, .deadline = MS};

	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, s.deadline);
	fake_service(vm);
	/* The vcpu is late by up to 0.3 ms each time, and by 5 ms once. */
	while (v3_time_ns(vm) < 1000 * MS) {
		fake_clock_advance(v3_time_ns(vm) / MS == 500 ? 5 * MS : MS / 3 - 7);
		fake_service(vm);
	}
	CHECK_EQ(s.n, v3_time_ns(vm) / MS);
	v3_timer_destroy(s.timer);
}

static void test_time_pause_holds_timers(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, 100);
	pass(vm, 60);
	v3_time_pause(vm);
	pass(vm, S);
	CHECK_EQ(s.n, 0);
	v3_time_continue(vm);
	pass(vm, 39);
	CHECK_EQ(s.n, 0);
	pass(vm, 1);
	CHECK_EQ(s.n, 1);
	CHECK_EQ(s.at, 100);
	v3_timer_destroy(s.timer);
}

static void test_time_timer_belongs_to_its_vcpu(void)
{
	struct v3_vm *vm = fake_vm_bare(2, 8);
	struct shot s = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, vm->vcpu[1], shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, 100);
	pass(vm, 100);
	CHECK(s.on == vm->vcpu[1]);
	v3_timer_destroy(s.timer);
}

static void test_time_idle_vm_arms_nothing(void)
{
	struct v3_vm *vm = NULL;
	unsigned arms;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 8), NULL, 0, &vm), V3_OK);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK); /* vcpu 0 computes */
	usleep(20000);
	arms = fake_clock_arms();
	for (int i = 0; i < 100; i++)
		fake_clock_advance(10 * MS);
	CHECK_EQ(fake_clock_arms(), arms);
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
}

/* A CPU that ends the guest in time: the host's timer is for sleeping, and for what is too far away. */
static void test_time_deadline_in_the_guest(void)
{
	struct v3_vm *vm;
	struct fake_cpu *cpu;
	struct shot s = {0};
	uint64_t before, after;

	fake_arch_deadlines = 10 * S; /* one tick is one nanosecond here */
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	cpu = fake_cpu(vm, 0);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, 5 * MS);
	before = v3_rdtsc();
	fake_service(vm);
	after = v3_rdtsc();
	CHECK_EQ(fake_clock_arms(), 0);
	CHECK(cpu->deadline > before + 5 * MS && cpu->deadline <= after + 5 * MS + 1);

	fake_clock_advance(5 * MS - 1);
	fake_service(vm); /* the exit came early: the rest is one nanosecond */
	CHECK_EQ(s.n, 0);
	fake_clock_advance(1);
	v3_vcpu_request_self(vm->vcpu[0], V3_REQ_TIMER); /* as v3_timer_exit() */
	fake_service(vm);
	CHECK_EQ(s.n, 1);
	CHECK_EQ(cpu->deadline, V3_NO_DEADLINE);

	v3_timer_arm(s.timer, 20 * S);
	fake_service(vm);
	CHECK_EQ(fake_clock_arms(), 1); /* beyond the hardware's reach */
	CHECK_EQ(cpu->deadline, V3_NO_DEADLINE);
	v3_timer_arm(s.timer, 1 * S);
	fake_service(vm);
	CHECK_EQ(fake_clock_next(), 0); /* cancelled */
	CHECK_EQ(fake_clock_arms(), 1);
	CHECK(cpu->deadline != V3_NO_DEADLINE);
	v3_timer_destroy(s.timer);
}

static void test_time_deadline_of_a_sleeper(void)
{
	struct shot s = {0}, later = {0};
	struct v3_vm *vm;

	fake_arch_deadlines = 10 * S;
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &later, &later.timer), V3_OK);
	v3_timer_arm(s.timer, 5 * MS);
	fake_service(vm);
	v3_time_sleep(vm->vcpu[0]);
	CHECK_EQ(fake_clock_next(), fake_clock_now() + 5 * MS);
	/* woken by something else; with a later deadline it sleeps again */
	v3_timer_arm(later.timer, 7 * MS);
	fake_service(vm);
	v3_time_sleep(vm->vcpu[0]);
	CHECK_EQ(fake_clock_arms(), 1); /* it is armed for that */
	fake_clock_advance(5 * MS);
	CHECK(fake_take_requests(vm->vcpu[0]) & V3_REQ_TIMER); /* it was woken */
	fake_service(vm);
	CHECK_EQ(s.n, 1);
	CHECK_EQ(fake_clock_next(), 0); /* the rest is the hardware's */
	v3_time_sleep(vm->vcpu[0]);
	CHECK_EQ(fake_clock_arms(), 2);
	fake_clock_advance(2 * MS);
	fake_service(vm);
	CHECK_EQ(later.n, 1);
	v3_timer_destroy(s.timer);
	v3_timer_destroy(later.timer);
}

/* 100 timers of a guest that computes, and of one that sleeps for each. */
static unsigned arms_of(bool hardware, bool sleeps)
{
	struct shot s = {0};
	struct v3_vm *vm;
	unsigned arms;

	fake_arch_deadlines = hardware ? 10 * S : 0;
	vm = fake_vm_bare(1, 8);
	if (!CHECK(vm) || !CHECK_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK))
		return 0;
	arms = fake_clock_arms();
	for (unsigned i = 1; i <= 100; i++) {
		v3_timer_arm(s.timer, i * MS);
		fake_service(vm);
		if (sleeps)
			v3_time_sleep(vm->vcpu[0]);
		fake_clock_advance(MS);
		v3_vcpu_request_self(vm->vcpu[0], V3_REQ_TIMER);
		fake_service(vm);
	}
	arms = fake_clock_arms() - arms;
	CHECK_EQ(s.n, 100);
	v3_timer_destroy(s.timer);
	fake_vm_destroy(vm);
	return arms;
}

static void test_time_deadline_saves_host_timers(void)
{
	CHECK_EQ(arms_of(false, false), 100);
	CHECK_EQ(arms_of(true, false), 0);
	CHECK_EQ(arms_of(false, true), 100);
	CHECK_EQ(arms_of(true, true), 100);
}

static void test_time_timer_create_out_of_memory(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct v3_timer *t = NULL;

	REQUIRE(vm);
	fake_host_fail_at(1);
	CHECK_EQ(v3_timer_create(vm, NULL, shot_fires, NULL, &t), V3_ENOMEM);
	fake_host_fail_at(0);
}

/* Random arms and cancels of many timers against a plain model. */
static void test_time_random_timers(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct shot s[16] = {0};
	uint64_t deadline[16];

	REQUIRE(vm);
	for (int i = 0; i < 16; i++) {
		deadline[i] = ~0ull;
		REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s[i], &s[i].timer), V3_OK);
	}
	for (int round = 0; round < 5000; round++) {
		unsigned i = tap_rand() % 16, fired = s[i].n;

		switch (tap_rand() % 4) {
		case 0:
			v3_timer_cancel(s[i].timer);
			deadline[i] = ~0ull;
			break;
		case 1:
			pass(vm, tap_rand() % 500);
			break;
		default:
			deadline[i] = v3_time_ns(vm) + tap_rand() % 1000;
			v3_timer_arm(s[i].timer, deadline[i]);
			CHECK_EQ(s[i].n, fired);
			break;
		}
		fake_service(vm);
		for (int k = 0; k < 16; k++) {
			bool due = deadline[k] <= v3_time_ns(vm);

			CHECK_EQ(v3_timer_armed(s[k].timer), deadline[k] != ~0ull && !due);
			CHECK_EQ(s[k].n, due ? 1 : 0);
			if (due)
				deadline[k] = ~0ull;
			s[k].n = 0;
		}
	}
	for (int i = 0; i < 16; i++)
		v3_timer_destroy(s[i].timer);
}

/* ---- TSC: the real one, so only bounds ---- */

#define TSC_SOON (1ull << 40) /* ticks that no test takes */
#define CENTURY	 (S * 86400 * 365 * 100)

static void test_time_tsc_starts_at_zero(void)
{
	struct v3_vm *vm = fake_vm_bare(2, 8);
	uint64_t t;

	REQUIRE(vm);
	for (unsigned i = 0; i < 2; i++) {
		t = v3_time_guest_tsc(vm->vcpu[i]);
		CHECK_MSG(t < TSC_SOON, "vcpu %u: TSC is %#llx", i, (unsigned long long)t);
	}
}

static void test_time_tsc_stands_still_while_paused(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	uint64_t before, after, host;

	REQUIRE(vm);
	host = v3_rdtsc();
	before = v3_time_guest_tsc(vm->vcpu[0]);
	v3_time_pause(vm);
	usleep(100000);
	v3_time_continue(vm);
	after = v3_time_guest_tsc(vm->vcpu[0]);
	host = v3_rdtsc() - host;
	CHECK(after > before);
	CHECK_MSG(after - before < host / 2, "%llu of %llu ticks passed",
		  (unsigned long long)(after - before), (unsigned long long)host);
}

static void test_time_tsc_after_reset_while_paused(void)
{
	struct v3_vm *vm = NULL;
	uint64_t t;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
	CHECK_EQ(v3_vm_reset(vm), V3_OK);
	usleep(20000);
	CHECK_EQ(v3_vm_continue(vm), V3_OK);
	REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
	t = v3_time_guest_tsc(vm->vcpu[0]);
	CHECK_MSG(t < TSC_SOON, "TSC is %#llx", (unsigned long long)t);
}

static void test_time_of_tsc(void)
{
	struct v3_vm *vm;
	uint64_t t;

	fake_tsc_khz(2000000); /* 2 ticks per ns */
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	CHECK_EQ(v3_time_tsc_khz(vm), 2000000);
	CHECK_EQ(v3_time_of_tsc(vm->vcpu[0], 0), 0);
	t = v3_time_of_tsc(vm->vcpu[0], v3_time_guest_tsc(vm->vcpu[0]) + 20 * S);
	CHECK_MSG(t > 9 * S && t <= 10 * S + 1, "%llu ns", (unsigned long long)t);
}

/* SDM 3A 10.5.4.1: the deadline is compared as an unsigned number: this one is in the far future.
 * */
static void test_time_of_tsc_far_future(void)
{
	struct v3_vm *vm;

	fake_tsc_khz(500000);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	CHECK(v3_time_of_tsc(vm->vcpu[0], ~0ull) > CENTURY);
	CHECK(v3_time_of_tsc(vm->vcpu[0], 1ull << 63) > CENTURY);
	CHECK(v3_time_of_tsc(vm->vcpu[0], (1ull << 63) - 1) > CENTURY);
}

/* ---- kvmclock ---- */

struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad[2];
};

#define MSR_KVM_WALL   0x4b564d00
#define MSR_KVM_SYSTEM 0x4b564d01

static uint64_t pvclock_ns(const struct pvclock *p, uint64_t ticks)
{
	ticks = p->shift < 0 ? ticks >> -p->shift : ticks << p->shift;
	return (uint64_t)(((unsigned __int128)ticks * p->mul) >> 32);
}

static void test_time_pvclock_page(void)
{
	struct pvclock p;
	struct v3_vm *vm;
	uint64_t now;

	fake_tsc_khz(2500000);
	vm = fake_vm_bare(1, 8);
	REQUIRE(vm);
	fake_clock_advance(3 * S);
	CHECK(fake_wrmsr(vm, MSR_KVM_SYSTEM, 0x300000 | 1));
	REQUIRE_EQ(v3_mem_read(vm, 0x300000, &p, sizeof(p)), V3_OK);
	CHECK_EQ(p.version & 1, 0);
	CHECK(p.version != 0);
	CHECK_EQ(p.system_time, 3 * S);
	now = v3_time_guest_tsc(vm->vcpu[0]);
	CHECK(p.tsc_timestamp <= now && now - p.tsc_timestamp < TSC_SOON);
	/* 2.5 ticks per ns; the factor has 32 bits. */
	CHECK(pvclock_ns(&p, 25 * S) >= 10 * S - 10 && pvclock_ns(&p, 25 * S) <= 10 * S + 10);
	CHECK(p.flags & 1);
}

/* ---- a TSC of the guest's own frequency ---- */

/* A VM whose definition asks for this. The host's TSC is said to run at 3 GHz. */
static int scaled_vm(uint32_t khz, struct v3_vm **vm)
{
	char text[256];
	int err;

	snprintf(text, sizeof(text),
		 "[vm]\nname = \"scaled\"\nplatform = \"none\"\nmemory = \"8M\"\ntsc_khz = %u\n"
		 "[boot]\ntype = \"multiboot\"\nkernel = \"kernel.elf\"\n",
		 khz);
	fake_tsc_khz(3000000);
	err = fake_vm_create(text, NULL, 0, vm);
	if (err == V3_OK)
		v3_time_continue(*vm);
	return err;
}

static const struct {
	uint32_t khz;
	uint8_t frac_bits;
	uint64_t ratio;
} ratios[] = {
	{1500000, 48, 0x800000000000}, {6000000, 48, 0x2000000000000},
	{1000000, 48, 0x555555555555}, {2999999, 48, 0xfffffa68581f},
	{1000, 48, 0x15d867c3ec},      {0xffffffff, 48, 0x597a7e0370cdc87},
	{1500000, 32, 0x80000000},     {1000000, 32, 0x55555555},
	{1000, 32, 0x15d867},	       {0xffffffff, 32, 0x597a7e0370c},
};

static void test_time_scaled_ratio(void)
{
	REQUIRE_EQ(fake_lib_init(), V3_OK);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(ratios); i++) {
		struct v3_vm *vm = NULL;

		v3_lib.caps.tsc_frac_bits = ratios[i].frac_bits;
		v3_lib.caps.tsc_int_bits = 16;
		REQUIRE_EQ(scaled_vm(ratios[i].khz, &vm), V3_OK);
		CHECK_MSG(vm->time.tsc_ratio == ratios[i].ratio, "%u kHz: %#llx", ratios[i].khz,
			  (unsigned long long)vm->time.tsc_ratio);
		CHECK_EQ(v3_time_tsc_khz(vm), ratios[i].khz);
		fake_vm_destroy(vm);
	}
}

static void test_time_scaled_is_refused_by_name(void)
{
	struct v3_vm *vm = NULL;

	CHECK_EQ(scaled_vm(1500000, &vm), V3_ENOTSUP);
	CHECK(fake_log_contains("tsc_khz = 1500000: this CPU cannot scale the time stamp counter, "
				"which runs at 3000000 kHz"));
	CHECK_EQ(scaled_vm(3000000, &vm), V3_OK); /* as it is */
	CHECK_EQ(vm->time.tsc_ratio, 0);
	fake_vm_destroy(vm);
	v3_lib.caps.tsc_frac_bits = 32;
	v3_lib.caps.tsc_int_bits = 1;
	CHECK_EQ(scaled_vm(6000000, &vm), V3_ENOTSUP);
	CHECK(fake_log_contains("at most 1 times as many"));
	CHECK_EQ(scaled_vm(5999999, &vm), V3_OK);
}

static bool scaled_half(struct v3_vm **vm)
{
	fake_arch_caps.tsc_frac_bits = 48;
	fake_arch_caps.tsc_int_bits = 16;
	return CHECK_EQ(scaled_vm(1500000, vm), V3_OK);
}

/* Whatever the ratio: what is written is read back, it goes on from there at the guest's rate. */
static void test_time_scaled_tsc(void)
{
	uint64_t host, guest, offset;
	struct v3_vm *vm = NULL;
	struct v3_vcpu *vcpu;

	REQUIRE(scaled_half(&vm));
	vcpu = vm->vcpu[0];
	CHECK(v3_time_guest_tsc(vcpu) < TSC_SOON);
	v3_time_set_tsc(vcpu, 0x7700000000000000);
	guest = v3_time_guest_tsc(vcpu);
	CHECK(guest >= 0x7700000000000000 && guest - 0x7700000000000000 < TSC_SOON);
	offset = fake_cpu(vm, 0)->tsc_offset;
	host = v3_rdtsc(); /* the hardware: half the host's, and the offset */
	guest = v3_time_guest_tsc(vcpu);
	CHECK(guest >= host / 2 + offset && guest <= v3_rdtsc() / 2 + offset);
	v3_time_pause(vm);
	guest = vm->time.paused_tsc / 2 + offset;
	usleep(1000);
	v3_time_continue(vm);
	CHECK(v3_time_guest_tsc(vcpu) - guest < TSC_SOON);
	CHECK(v3_time_guest_tsc(vcpu) >= guest - 1); /* both halves are rounded down */
	v3_time_reset_tsc(vm);
	CHECK(v3_time_guest_tsc(vcpu) < TSC_SOON);
}

/* Its deadlines and its clock count the guest's ticks; the hardware's deadline the host's. */
static void test_time_scaled_deadlines_and_clock(void)
{
	struct shot s = {0};
	struct v3_vm *vm = NULL;
	struct pvclock p;
	uint64_t t, host;

	REQUIRE(scaled_half(&vm));
	t = v3_time_of_tsc(vm->vcpu[0], v3_time_guest_tsc(vm->vcpu[0]) + 3 * S);
	CHECK_MSG(t > 2 * S - 100 * MS && t <= 2 * S + 2, "%llu ns", (unsigned long long)t);
	CHECK(fake_wrmsr(vm, MSR_KVM_SYSTEM, 0x300000 | 1));
	REQUIRE_EQ(v3_mem_read(vm, 0x300000, &p, sizeof(p)), V3_OK);
	CHECK(pvclock_ns(&p, 3 * S) >= 2 * S - 10 && pvclock_ns(&p, 3 * S) <= 2 * S + 10);
	CHECK(v3_time_guest_tsc(vm->vcpu[0]) - p.tsc_timestamp < TSC_SOON);
	fake_arch_deadlines = 100 * S;
	REQUIRE_EQ(v3_timer_create(vm, NULL, shot_fires, &s, &s.timer), V3_OK);
	v3_timer_arm(s.timer, 1 * S);
	host = v3_rdtsc();
	fake_service(vm);
	CHECK(fake_cpu(vm, 0)->deadline >= host + 3 * S);
	CHECK(fake_cpu(vm, 0)->deadline <= v3_rdtsc() + 3 * S + 1);
	v3_timer_destroy(s.timer);
}

static void test_time_pvclock_after_pause(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct pvclock a, b;

	REQUIRE(vm);
	CHECK(fake_wrmsr(vm, MSR_KVM_SYSTEM, 0x300000 | 1));
	REQUIRE_EQ(v3_mem_read(vm, 0x300000, &a, sizeof(a)), V3_OK);
	v3_time_pause(vm);
	fake_clock_advance(S);
	v3_time_continue(vm);
	REQUIRE_EQ(v3_mem_read(vm, 0x300000, &b, sizeof(b)), V3_OK);
	CHECK_EQ(b.system_time, a.system_time);
	CHECK_EQ(b.version, a.version + 2);
	CHECK(fake_wrmsr(vm, MSR_KVM_SYSTEM, 0)); /* off */
	v3_time_pause(vm);
	v3_time_continue(vm);
	REQUIRE_EQ(v3_mem_read(vm, 0x300000, &a, sizeof(a)), V3_OK);
	CHECK_EQ(a.version, b.version);
}

static void test_time_pvclock_outside_ram(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	CHECK(fake_wrmsr(vm, MSR_KVM_SYSTEM, (8 << 20) - 8 + 1));
	CHECK(fake_wrmsr(vm, MSR_KVM_SYSTEM, ~0ull));
	CHECK(fake_wrmsr(vm, MSR_KVM_WALL, ~0ull));
	v3_time_pause(vm);
	v3_time_continue(vm);
	CHECK(fake_log_contains("not RAM"));
}

static void test_time_pvclock_wall_clock_is_that_of_boot(void)
{
	struct v3_vm *vm;
	struct {
		uint32_t version, sec, nsec;
	} w;

	fake_wall_clock(1700000000);
	vm = fake_vm_bare(1, 8); /* at 1700000001 */
	REQUIRE(vm);
	for (int i = 0; i < 3; i++) {
		fake_clock_advance(700 * MS);
		CHECK(fake_wrmsr(vm, MSR_KVM_WALL, 0x300040));
		REQUIRE_EQ(v3_mem_read(vm, 0x300040, &w, sizeof(w)), V3_OK);
		CHECK_EQ(w.version & 1, 0);
		CHECK_EQ(w.sec, 1700000001);
		CHECK_EQ(w.nsec, 0);
	}
}

static const struct tap_test tests[] = {
	TAP(test_time_stands_still_until_the_vm_runs),
	TAP(test_time_pause_leaves_no_gap),
	TAP(test_time_wall_clock_follows_guest_time),
	TAP(test_time_timer_fires_once_at_its_deadline),
	TAP(test_time_timer_deadline_in_the_past_fires_at_once),
	TAP(test_time_timer_far_away_does_not_fire),
	TAP(test_time_timers_fire_in_order),
	TAP(test_time_timer_rearm_replaces_the_deadline),
	TAP(test_time_timer_cancel),
	TAP(test_time_periodic_timer_does_not_drift),
	TAP(test_time_pause_holds_timers),
	TAP(test_time_timer_belongs_to_its_vcpu),
	TAP(test_time_idle_vm_arms_nothing),
	TAP(test_time_deadline_in_the_guest),
	TAP(test_time_deadline_of_a_sleeper),
	TAP(test_time_deadline_saves_host_timers),
	TAP(test_time_timer_create_out_of_memory),
	TAP(test_time_random_timers),
	TAP(test_time_tsc_starts_at_zero),
	TAP(test_time_tsc_stands_still_while_paused),
	TAP(test_time_tsc_after_reset_while_paused),
	TAP(test_time_of_tsc),
	TAP(test_time_of_tsc_far_future),
	TAP(test_time_pvclock_page),
	TAP(test_time_scaled_ratio),
	TAP(test_time_scaled_is_refused_by_name),
	TAP(test_time_scaled_tsc),
	TAP(test_time_scaled_deadlines_and_clock),
	TAP(test_time_pvclock_after_pause),
	TAP(test_time_pvclock_outside_ram),
	TAP(test_time_pvclock_wall_clock_is_that_of_boot),
};
TAP_MAIN(tests)
