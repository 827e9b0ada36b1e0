/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vm_enter.c
 * Threads that do in a VM what its vcpus do: in which states they may, and that pause, reset and stop wait for them.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "palacios/vm.h"
#include "state.h"
#include "tap.h"

#include <pthread.h>

static struct v3_vm *vm;

static void guest_computes(struct fake_guest *g, void *arg)
{
	(void)arg;
	for (;;)
		g_compute(g);
}

static bool begin(void)
{
	if (!CHECK_EQ(fake_vm_create(fake_pc_toml(2, 16), NULL, 0, &vm), V3_OK))
		return false;
	fake_program(vm, 0, guest_computes, NULL);
	return true;
}

static void test_vm_enter_by_state(void)
{
	REQUIRE(begin());
	CHECK(!v3_vm_enter(vm)); /* never started */
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	CHECK(v3_vm_enter(vm));
	CHECK(v3_vm_enter(vm)); /* several at once */
	v3_vm_leave(vm);
	v3_vm_leave(vm);
	REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
	CHECK(!v3_vm_enter(vm));
	REQUIRE_EQ(v3_vm_continue(vm), V3_OK);
	CHECK(v3_vm_enter(vm));
	v3_vm_leave(vm);
	REQUIRE_EQ(v3_vm_stop(vm), V3_OK);
	CHECK(!v3_vm_enter(vm));
	CHECK_EQ(vm->inside, 0);
}

/* ---- who waits ---- */

static struct {
	int (*op)(struct v3_vm *vm);
	bool left, done; /* atomic */
	bool early;	 /* it was done before we had left */
} wait_for;

static void *wait_thread(void *arg)
{
	(void)arg;
	CHECK_EQ(wait_for.op(vm), V3_OK);
	wait_for.early = !__atomic_load_n(&wait_for.left, __ATOMIC_SEQ_CST);
	__atomic_store_n(&wait_for.done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool wanted(void *arg)
{
	(void)arg;
	return __atomic_load_n(&vm->want, __ATOMIC_SEQ_CST);
}

/* All that the vcpus have to do for it is done. */
static bool vcpus_are_out(void *arg)
{
	(void)arg;
	return __atomic_load_n(&vm->arrived, __ATOMIC_SEQ_CST) == vm->nvcpus ||
	       !__atomic_load_n(&vm->alive, __ATOMIC_SEQ_CST);
}

static void check_waits(int (*op)(struct v3_vm *vm))
{
	pthread_t thread;

	REQUIRE(begin());
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	memset(&wait_for, 0, sizeof(wait_for));
	wait_for.op = op;
	REQUIRE(v3_vm_enter(vm));
	REQUIRE_EQ(pthread_create(&thread, NULL, wait_thread, NULL), 0);
	CHECK(fake_wait_until(wanted, NULL, 10000));
	CHECK(fake_wait_until(vcpus_are_out, NULL, 10000));
	CHECK(!v3_vm_enter(vm)); /* nobody else comes in meanwhile */
	CHECK(!__atomic_load_n(&wait_for.done, __ATOMIC_SEQ_CST));
	__atomic_store_n(&wait_for.left, true, __ATOMIC_SEQ_CST);
	v3_vm_leave(vm);
	pthread_join(thread, NULL);
	CHECK(!wait_for.early);
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
}

static void test_vm_enter_holds_pause(void)
{
	check_waits(v3_vm_pause);
}

static void test_vm_enter_holds_stop(void)
{
	check_waits(v3_vm_stop);
}

static bool was_reset(void *arg)
{
	(void)arg;
	return __atomic_load_n(&vm->resets, __ATOMIC_SEQ_CST) == 1;
}

/* Asked for at once, performed when we have left. */
static void test_vm_enter_holds_reset(void)
{
	REQUIRE(begin());
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	REQUIRE(v3_vm_enter(vm));
	REQUIRE_EQ(v3_vm_reset(vm), V3_OK);
	CHECK(fake_wait_until(vcpus_are_out, NULL, 10000));
	CHECK(!was_reset(NULL));
	v3_vm_leave(vm);
	CHECK(fake_wait_until(was_reset, NULL, 10000));
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
}

static bool stop;		     /* atomic */
static unsigned visits, visits_seen; /* the first one is atomic */

static bool has_visited(void *arg)
{
	(void)arg;
	return __atomic_load_n(&visits, __ATOMIC_SEQ_CST) != visits_seen;
}

static void *visitor(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		if (!v3_vm_enter(vm))
			continue;
		if (__atomic_load_n(&vm->state, __ATOMIC_SEQ_CST) == (uint32_t)V3_VM_PAUSED)
			FAIL("inside a VM that is paused");
		__atomic_add_fetch(&visits, 1, __ATOMIC_SEQ_CST);
		v3_vm_leave(vm);
	}
	return NULL;
}

static void test_vm_enter_while_it_pauses_and_continues(void)
{
	pthread_t thread;

	REQUIRE(begin());
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	stop = false;
	visits = 0;
	REQUIRE_EQ(pthread_create(&thread, NULL, visitor, NULL), 0);
	for (unsigned i = 0; i < 100; i++) {
		visits_seen = __atomic_load_n(&visits, __ATOMIC_SEQ_CST);
		if (!CHECK(fake_wait_until(has_visited, NULL, 10000)))
			break;
		CHECK_EQ(v3_vm_pause(vm), V3_OK);
		CHECK_EQ(__atomic_load_n(&vm->arrived, __ATOMIC_SEQ_CST), 2);
		CHECK_EQ(v3_vm_continue(vm), V3_OK);
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
}

static const struct tap_test tests[] = {
	TAP(test_vm_enter_by_state),
	TAP(test_vm_enter_holds_pause),
	TAP(test_vm_enter_holds_stop),
	TAP(test_vm_enter_holds_reset),
	TAP(test_vm_enter_while_it_pauses_and_continues),
};
TAP_MAIN(tests)
