/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_hot_path.c
 * What the frequent exits must not do: ask the host for anything, switch FPU state, take a lock that is
 * not the accessed device's own. The real run loop, dispatch and devices; counted by the fake host.
 */
#include "fake_vm.h"
#include "palacios/abi/hypercall.h"
#include "palacios/platform.h"
#include "tap.h"

#define HOT_ROUNDS   1000u
#define HOT_X2APIC   0xd00ull /* EXTD, EN, BSP in APIC_BASE */
#define HOT_MSR_TPR  0x808u
#define HOT_UART_SCR (V3_PC_PORT_COM1 + 7u)

static bool hot_started; /* atomic */

/* What the host has been asked for. */
struct hot_count {
	unsigned requests; /* memory, threads, timers, locks made */
	unsigned fpu_begins, fpu_ends;
	unsigned locks;
	unsigned arms, kicks, yields, log;
	uint64_t exits;
};

static struct hot_count hot_now(struct fake_guest *g)
{
	const struct v3_vcpu *vcpu = g_vcpu(g);

	return (struct hot_count){
		.requests = fake_host_requests(),
		.fpu_begins = fake_fpu_begins(),
		.fpu_ends = fake_fpu_ends(),
		.locks = fake_locks_taken(),
		.arms = fake_clock_arms(),
		.kicks = fake_cpu_kicks(vcpu->host_cpu),
		.yields = fake_yields(),
		.log = fake_log_count(""),
		.exits = vcpu->stats.entries,
	};
}

/* HOT_ROUNDS exits lie between @p was and now, each with at most @p locks lock operations. */
static void hot_check(struct fake_guest *g, const char *what, const struct hot_count *was,
		      unsigned exits_per_round, unsigned locks_per_exit)
{
	const unsigned exits = HOT_ROUNDS * exits_per_round;
	struct hot_count now = hot_now(g);

	CHECK_MSG(now.exits - was->exits == exits, "%s: %llu exits, expected %u", what,
		  (unsigned long long)(now.exits - was->exits), exits);
	CHECK_MSG(now.requests == was->requests, "%s: %u requests to the host", what,
		  now.requests - was->requests);
	CHECK_MSG(now.fpu_begins == was->fpu_begins && now.fpu_ends == was->fpu_ends,
		  "%s: FPU begun %u times, ended %u times", what, now.fpu_begins - was->fpu_begins,
		  now.fpu_ends - was->fpu_ends);
	CHECK_MSG(now.locks - was->locks <= exits * locks_per_exit, "%s: %u locks taken", what,
		  now.locks - was->locks);
	CHECK_MSG(now.arms == was->arms, "%s: a timer was armed", what);
	CHECK_MSG(now.kicks == was->kicks && now.yields == was->yields, "%s: kicked or yielded",
		  what);
	CHECK_MSG(now.log == was->log, "%s: a log line was written", what);
}

/* Only the guest's own thread is to be counted: v3_vm_start() has returned, the other vcpu sleeps. */
static bool hot_is_quiet(void *arg)
{
	const struct v3_vm *vm = arg;

	return __atomic_load_n(&hot_started, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&vm->vcpu[1]->sleeping, __ATOMIC_SEQ_CST);
}

static void hot_settle(struct fake_guest *g)
{
	CHECK(fake_wait_until(hot_is_quiet, g_vcpu(g)->vm, 10000));
}

/* The first exit of a kind may do what later ones need not. */
static void hot_cpuid(struct fake_guest *g, void *arg)
{
	struct hot_count was;
	uint32_t r[4];

	(void)arg;
	hot_settle(g);
	CHECK(g_cpuid(g, 0, 0, r));
	was = hot_now(g);
	for (unsigned i = 0; i < HOT_ROUNDS; i++)
		CHECK(g_cpuid(g, i % 8, 0, r));
	hot_check(g, "cpuid", &was, 1, 0);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

static void hot_hypercall(struct fake_guest *g, void *arg)
{
	const uint64_t args[4] = {0};
	struct hot_count was;
	int64_t result = -1;

	(void)arg;
	hot_settle(g);
	g_flat32(g);
	CHECK(g_hypercall(g, V3_HYPERCALL_NOP, args, &result));
	was = hot_now(g);
	for (unsigned i = 0; i < HOT_ROUNDS; i++)
		CHECK(g_hypercall(g, V3_HYPERCALL_NOP, args, &result));
	CHECK_EQ(result, 0);
	hot_check(g, "hypercall", &was, 1, 0);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

static void hot_msr(struct fake_guest *g, void *arg)
{
	struct hot_count was;
	uint64_t value;

	(void)arg;
	hot_settle(g);
	CHECK(g_rdmsr(g, V3_MSR_APIC_BASE, &value));
	CHECK(g_wrmsr(g, V3_MSR_APIC_BASE, (value & ~0xfffull) | HOT_X2APIC));
	CHECK(g_wrmsr(g, HOT_MSR_TPR, 0x10));
	was = hot_now(g);
	for (unsigned i = 0; i < HOT_ROUNDS; i++) {
		CHECK(g_wrmsr(g, HOT_MSR_TPR, i & 0xff));
		CHECK(g_rdmsr(g, HOT_MSR_TPR, &value));
		CHECK_EQ(value, i & 0xff);
	}
	hot_check(g, "x2APIC TPR", &was, 2, 0);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

/* A port that no device answers: the way through the core alone takes no lock at all. */
static void hot_port_of_nobody(struct fake_guest *g, void *arg)
{
	struct hot_count was;
	uint32_t value;

	(void)arg;
	hot_settle(g);
	CHECK(g_out(g, V3_PC_PORT_POST, 1, 0));
	CHECK(g_in(g, V3_PC_PORT_POST, 1, &value));
	was = hot_now(g);
	for (unsigned i = 0; i < HOT_ROUNDS; i++) {
		CHECK(g_out(g, V3_PC_PORT_POST, 1, i & 0xff));
		CHECK(g_in(g, V3_PC_PORT_POST, 1, &value));
	}
	hot_check(g, "port 0x80", &was, 2, 0);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

/* One lock per access at most, and it is the device's: the same each time, another one for another device. */
static void hot_port_of_device(struct fake_guest *g, void *arg)
{
	const void *uart_lock, *rtc_lock;
	struct hot_count was;
	uint32_t value;

	(void)arg;
	hot_settle(g);
	CHECK(g_out(g, V3_PC_PORT_RTC, 1, 0x40));
	rtc_lock = fake_lock_last();
	CHECK(g_out(g, HOT_UART_SCR, 1, 0x55));
	uart_lock = fake_lock_last();
	CHECK(uart_lock && rtc_lock && uart_lock != rtc_lock);
	was = hot_now(g);
	for (unsigned i = 0; i < HOT_ROUNDS; i++) {
		CHECK(g_out(g, HOT_UART_SCR, 1, i & 0xff));
		CHECK(g_in(g, HOT_UART_SCR, 1, &value));
		CHECK_EQ(value, i & 0xff);
		CHECK(fake_lock_last() == uart_lock);
	}
	hot_check(g, "UART scratch register", &was, 2, 1);
	/* so the counters count; the guest's FPU state was loaded at the first entry */
	CHECK(fake_locks_taken() > was.locks);
	CHECK(fake_fpu_begins() > 0);

	was = hot_now(g);
	for (unsigned i = 0; i < HOT_ROUNDS; i++) {
		CHECK(g_out(g, V3_PC_PORT_RTC, 1, 0x40));
		CHECK(fake_lock_last() == rtc_lock);
	}
	hot_check(g, "RTC index", &was, 1, 1);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

static bool hot_is_stopped(void *arg)
{
	return v3_vm_get_state(arg) == V3_VM_STOPPED;
}

/* A PC of two vcpus, the second waiting for its SIPI, runs @p program to its end. */
static void hot_run(fake_program_fn program)
{
	struct v3_vm *vm = NULL;
	int status = -1;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, program, NULL);
	__atomic_store_n(&hot_started, false, __ATOMIC_SEQ_CST);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	__atomic_store_n(&hot_started, true, __ATOMIC_SEQ_CST);
	CHECK(fake_wait_until(hot_is_stopped, vm, 60000)); /* v3_vm_wait() would take locks */
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, &status), V3_STOP_EXIT);
	CHECK_EQ(status, 1);
}

static void test_hot_path_cpuid(void)
{
	hot_run(hot_cpuid);
}

static void test_hot_path_hypercall(void)
{
	hot_run(hot_hypercall);
}

static void test_hot_path_msr(void)
{
	hot_run(hot_msr);
}

static void test_hot_path_port_of_nobody(void)
{
	hot_run(hot_port_of_nobody);
}

static void test_hot_path_port_of_device(void)
{
	hot_run(hot_port_of_device);
}

static const struct tap_test tests[] = {
	TAP(test_hot_path_cpuid),
	TAP(test_hot_path_hypercall),
	TAP(test_hot_path_msr),
	TAP(test_hot_path_port_of_nobody),
	TAP(test_hot_path_port_of_device),
};
TAP_MAIN(tests)
