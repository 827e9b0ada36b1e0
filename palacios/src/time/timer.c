/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file timer.c
 * Guest time, and timers multiplexed on one host timer per vcpu. A host timer's interrupt only sets a
 * request; the callbacks run on the vcpu's thread. Called by devices (arm) and vm/run.c (service).
 */
#include "time/time.h"

#include "cpu/pvclock.h"
#include "host/host.h"
#include "state.h"

#define V3_LOG_TAG "time"

#define TIME_NS_PER_S 1000000000ull

/* ---- guest time ---- */

uint64_t v3_time_ns(struct v3_vm *vm)
{
	return vm->time.paused ? vm->time.paused_ns : v3_host_time_ns() - vm->time.base_ns;
}

/* As the CPU does it in the guest: APM vol. 2 15.30.5, SDM 3C 26.3. */
static uint64_t time_scale(const struct v3_vm *vm, uint64_t host_tsc)
{
	if (V3_LIKELY(!vm->time.tsc_ratio))
		return host_tsc;
	return (uint64_t)((unsigned __int128)host_tsc * vm->time.tsc_ratio >>
			  v3_lib.caps.tsc_frac_bits);
}

uint64_t v3_time_guest_tsc(struct v3_vcpu *vcpu)
{
	return time_scale(vcpu->vm, v3_rdtsc()) + vcpu->time.tsc_offset;
}

uint32_t v3_time_tsc_khz(struct v3_vm *vm)
{
	return vm->time.tsc_khz;
}

uint64_t v3_time_of_tsc(struct v3_vcpu *vcpu, uint64_t tsc)
{
	uint64_t now_tsc = v3_time_guest_tsc(vcpu);
	uint64_t now = v3_time_ns(vcpu->vm) + 1; /* rounded up: a timer must not fire early */
	unsigned __int128 ns;

	if (tsc <= now_tsc)
		return 0;
	ns = (unsigned __int128)(tsc - now_tsc) * vcpu->vm->time.ns_per_tick >> 32;
	return ns > ~0ull - now ? ~0ull : now + (uint64_t)ns;
}

uint64_t v3_time_wall_s(struct v3_vm *vm)
{
	return vm->time.wall_base_s + v3_time_ns(vm) / TIME_NS_PER_S;
}

static void time_set_offset(struct v3_vcpu *vcpu, uint64_t offset)
{
	vcpu->time.tsc_offset = offset;
	vcpu->arch->set_tsc_offset(vcpu, offset);
}

void v3_time_set_tsc(struct v3_vcpu *vcpu, uint64_t value)
{
	v3_time_adjust_tsc(vcpu, vcpu->time.tsc_adjust + value - v3_time_guest_tsc(vcpu));
}

void v3_time_adjust_tsc(struct v3_vcpu *vcpu, uint64_t adjust)
{
	time_set_offset(vcpu, vcpu->time.tsc_offset + adjust - vcpu->time.tsc_adjust);
	vcpu->time.tsc_adjust = adjust;
}

void v3_time_reset_tsc(struct v3_vm *vm)
{
	uint64_t now = vm->time.paused ? vm->time.paused_tsc : v3_rdtsc();
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++) {
		time_set_offset(vm->vcpu[i], -time_scale(vm, now));
		vm->vcpu[i]->time.tsc_adjust = 0;
	}
}

/* @p a / @p b with @p bits of fraction, at most 32 at a time: there is no wider division. */
static uint64_t time_ratio(uint32_t a, uint32_t b, unsigned bits)
{
	uint64_t quotient = a / b, rest = a % b;

	while (bits) {
		unsigned step = bits < 32 ? bits : 32;

		quotient = quotient << step | (rest << step) / b;
		rest = (rest << step) % b;
		bits -= step;
	}
	return quotient;
}

static int time_set_ratio(struct v3_vm *vm, uint32_t guest_khz, uint32_t host_khz)
{
	const struct v3_arch_caps *caps = &v3_lib.caps;

	if (guest_khz == host_khz)
		return V3_OK;
	if (!caps->tsc_frac_bits) {
		V3_ERR(vm,
		       "tsc_khz = %u: this CPU cannot scale the time stamp counter, which runs at "
		       "%u kHz",
		       guest_khz, host_khz);
		return V3_ENOTSUP;
	}
	if (guest_khz / host_khz >> caps->tsc_int_bits) {
		V3_ERR(vm, "tsc_khz = %u: this CPU can make its %u kHz at most %u times as many",
		       guest_khz, host_khz, (1u << caps->tsc_int_bits) - 1);
		return V3_ENOTSUP;
	}
	vm->time.tsc_ratio = time_ratio(guest_khz, host_khz, caps->tsc_frac_bits);
	return V3_OK;
}

/* A VM is made standing still at time 0; v3_time_continue() lets it run. */
int v3_time_vm_init(struct v3_vm *vm, uint32_t tsc_khz)
{
	struct v3_vm_time *t = &vm->time;
	uint32_t host_khz = v3_host_tsc_khz();
	int err;

	if (!host_khz)
		return V3_EINVAL;
	t->tsc_khz = tsc_khz ? tsc_khz : host_khz;
	err = time_set_ratio(vm, t->tsc_khz, host_khz);
	if (err != V3_OK)
		return err;
	t->ns_per_tick = (1000000ull << 32) / t->tsc_khz;
	t->tick_per_ns = ((uint64_t)host_khz << 32) / 1000000;
	t->wall_base_s = v3_host_wall_clock_s();
	t->paused_tsc = v3_rdtsc();
	t->paused = true;
	return V3_OK;
}

void v3_time_pause(struct v3_vm *vm)
{
	vm->time.paused_ns = v3_time_ns(vm);
	vm->time.paused_tsc = v3_rdtsc();
	vm->time.paused = true;
}

void v3_time_continue(struct v3_vm *vm)
{
	uint64_t stood = time_scale(vm, v3_rdtsc()) - time_scale(vm, vm->time.paused_tsc);
	uint32_t i;

	vm->time.base_ns = v3_host_time_ns() - vm->time.paused_ns;
	vm->time.paused = false;
	for (i = 0; i < vm->nvcpus; i++) {
		time_set_offset(vm->vcpu[i], vm->vcpu[i]->time.tsc_offset - stood);
		v3_pvclock_update(vm->vcpu[i]);
		v3_vcpu_request(vm->vcpu[i], V3_REQ_TIMER);
	}
}

/* ---- timers ---- */

/* Interrupt context. */
static void time_fired(void *arg)
{
	struct v3_vcpu *vcpu = arg;

	__atomic_store_n(&vcpu->time.fired, true, __ATOMIC_RELEASE);
	v3_vcpu_request(vcpu, V3_REQ_TIMER);
}

void v3_time_rearm(struct v3_vcpu *vcpu)
{
	time_fired(vcpu);
}

int v3_time_vcpu_init(struct v3_vcpu *vcpu)
{
	int err = v3_lock_init(&vcpu->time.lock);

	if (err != V3_OK)
		return err;
	vcpu->time.host_timer = v3_host_timer_create(time_fired, vcpu);
	if (!vcpu->time.host_timer) {
		v3_lock_destroy(&vcpu->time.lock);
		return V3_ENOMEM;
	}
	return V3_OK;
}

void v3_time_vcpu_fini(struct v3_vcpu *vcpu)
{
	if (vcpu->time.host_timer)
		v3_host_timer_destroy(vcpu->time.host_timer);
	vcpu->time.host_timer = NULL;
	v3_lock_destroy(&vcpu->time.lock);
}

int v3_timer_create(struct v3_vm *vm, struct v3_vcpu *vcpu, v3_timer_fn fn, void *priv,
		    struct v3_timer **timer)
{
	struct v3_timer *t = v3_alloc(sizeof(*t));

	if (!t)
		return V3_ENOMEM;
	t->vcpu = vcpu ? vcpu : vm->vcpu[0];
	t->fn = fn;
	t->priv = priv;
	*timer = t;
	return V3_OK;
}

void v3_timer_destroy(struct v3_timer *timer)
{
	if (timer)
		v3_timer_cancel(timer);
	v3_free(timer);
}

/* Both under the queue's lock. @return true if the head of the queue changed. */
static bool timer_unlink(struct v3_vcpu_time *q, struct v3_timer *timer)
{
	struct v3_timer **p;

	if (!timer->armed)
		return false;
	for (p = &q->queue; *p != timer; p = &(*p)->next)
		;
	*p = timer->next;
	timer->armed = false;
	return p == &q->queue;
}

static bool timer_link(struct v3_vcpu_time *q, struct v3_timer *timer)
{
	struct v3_timer **p;

	for (p = &q->queue; *p && (*p)->deadline_ns <= timer->deadline_ns; p = &(*p)->next)
		;
	timer->next = *p;
	*p = timer;
	timer->armed = true;
	return p == &q->queue;
}

/* The owner arms its host timer itself, before its next entry: it must be armed on its CPU. */
void v3_timer_arm(struct v3_timer *timer, uint64_t deadline_ns)
{
	struct v3_vcpu_time *q = &timer->vcpu->time;
	unsigned long flags = v3_lock_acquire(&q->lock);
	bool head = timer_unlink(q, timer);

	timer->deadline_ns = deadline_ns;
	head = timer_link(q, timer) || head;
	v3_lock_release(&q->lock, flags);
	if (head)
		v3_vcpu_request(timer->vcpu, V3_REQ_TIMER);
}

void v3_timer_cancel(struct v3_timer *timer)
{
	struct v3_vcpu_time *q = &timer->vcpu->time;
	unsigned long flags = v3_lock_acquire(&q->lock);
	bool head = timer_unlink(q, timer);

	v3_lock_release(&q->lock, flags);
	if (head)
		v3_vcpu_request(timer->vcpu, V3_REQ_TIMER);
}

bool v3_timer_armed(const struct v3_timer *timer)
{
	return __atomic_load_n(&timer->armed, __ATOMIC_RELAXED);
}

uint64_t v3_timer_deadline(const struct v3_timer *timer)
{
	return timer->deadline_ns;
}

static struct v3_timer *timer_take_due(struct v3_vcpu_time *q, uint64_t now)
{
	unsigned long flags = v3_lock_acquire(&q->lock);
	struct v3_timer *t = q->queue;

	if (t && t->deadline_ns <= now)
		timer_unlink(q, t);
	else
		t = NULL;
	v3_lock_release(&q->lock, flags);
	return t;
}

/* Host time of the queue's head, 0 if there is none or it is beyond all host time. */
static uint64_t timer_head_ns(const struct v3_vcpu *vcpu)
{
	const struct v3_timer *head = vcpu->time.queue;
	uint64_t base = vcpu->vm->time.base_ns;

	return head && head->deadline_ns <= ~0ull - base ? head->deadline_ns + base : 0;
}

/* Host TSC at a host time, rounded up: an exit must not come early. */
static uint64_t timer_tsc(const struct v3_vcpu *vcpu, uint64_t ns)
{
	uint64_t now = v3_host_time_ns(), tsc = v3_rdtsc();
	unsigned __int128 ticks;

	if (ns <= now)
		return tsc;
	ticks = ((unsigned __int128)(ns - now) * vcpu->vm->time.tick_per_ns >> 32) + 1;
	return ticks < V3_NO_DEADLINE - tsc ? tsc + (uint64_t)ticks : V3_NO_DEADLINE - 1;
}

/* Have the hardware end the guest at this host time, 0: never. @return false: it cannot */
static bool timer_in_guest(struct v3_vcpu *vcpu, uint64_t ns)
{
	return vcpu->arch->set_deadline &&
	       vcpu->arch->set_deadline(vcpu, ns ? timer_tsc(vcpu, ns) : V3_NO_DEADLINE);
}

/*
 * Arm the host timer for the head of the queue, if it is not armed for just that. In the guest the hardware may take
 * its place; if it is armed already, for a sleep that ended earlier, it stays: the next sleep may need it.
 */
static void timer_arm(struct v3_vcpu *vcpu, bool asleep)
{
	struct v3_vcpu_time *q = &vcpu->time;
	unsigned long flags = v3_lock_acquire(&q->lock);
	uint64_t want = timer_head_ns(vcpu);
	/* What fired is spent, on time or not: an equal deadline must be armed anew. */
	bool fired = __atomic_exchange_n(&q->fired, false, __ATOMIC_ACQUIRE);

	v3_lock_release(&q->lock, flags);
	if (!asleep && timer_in_guest(vcpu, want) && (fired || want != q->armed_ns))
		want = 0;
	if (want == q->armed_ns && !fired)
		return;
	q->armed_ns = want;
	if (want)
		v3_host_timer_arm(q->host_timer, want);
	else
		v3_host_timer_cancel(q->host_timer);
}

void v3_time_service(struct v3_vcpu *vcpu)
{
	uint64_t now = v3_time_ns(vcpu->vm);
	struct v3_timer *t;

	while ((t = timer_take_due(&vcpu->time, now)) != NULL)
		t->fn(vcpu, t->priv);
	timer_arm(vcpu, false);
}

void v3_time_sleep(struct v3_vcpu *vcpu)
{
	if (vcpu->arch->set_deadline)
		timer_arm(vcpu, true);
}
