/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_trace.c
 * What the host's trace group sees of a guest, in which order, and that it sees nothing unless it asks.
 */
#include "fake_arch.h"
#include "fake_host.h"
#include "fake_vm.h"
#include "tap.h"

#include "cpu/excp.h"
#include "host/host.h"
#include "palacios/platform.h"
#include "state.h"

static void on_irq(struct fake_guest *g, uint8_t vector, void *arg)
{
	(void)g;
	(void)arg;
	CHECK(vector == V3_VEC_NMI || vector == 0x41);
}

/* One of each: port, memory-mapped register, refused MSR, NMI, interrupt, end. */
static void guest_everything(struct fake_guest *g, void *arg)
{
	uint32_t value;

	(void)arg;
	g_flat32(g);
	g_out(g, 0x80, 1, 0x155);
	g_in(g, 0x81, 2, &value);
	g_load(g, 0xfee00030, 4, &value);
	g_wrmsr(g, 0x12345, 0);
	g_on_irq(g, on_irq, NULL);
	v3_vcpu_nmi(g_vcpu(g));
	g_out(g, 0x80, 1, 1);
	g_wrmsr(g, 0x1b, 0xfee00d00); /* x2APIC */
	g_wrmsr(g, 0x80f, 0x1ff);
	g_sti(g);
	g_wrmsr(g, 0x83f, 0x41); /* self-IPI */
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

static const char *run_traced(bool on)
{
	struct v3_vm *vm = NULL;

	if (!CHECK_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK))
		return "";
	v3_trace_enable(on);
	fake_program(vm, 0, guest_everything, NULL);
	if (!CHECK_EQ(v3_vm_start(vm), V3_OK))
		return "";
	v3_vm_wait(vm);
	return fake_trace_text();
}

static void test_trace_shows_each_exit_in_order(void)
{
	/* The fake guest's instructions lie at 0x9000; the fake back end has no codes. */
	CHECK_STR(run_traced(true), "0: entry rip 0x100020\n"
				    "0: exit io code 0 rip 0x9000\n"
				    "0: io out 0x80 size 1 value 0x55\n"
				    "0: entry rip 0x9001\n"
				    "0: exit io code 0 rip 0x9000\n"
				    "0: io in 0x81 size 2 value 0xffff\n"
				    "0: entry rip 0x9002\n"
				    "0: exit nested_fault code 0 rip 0x9000\n"
				    "0: page_fault 0xfee00030 access 1\n"
				    "0: mmio read 0xfee00030 size 4 value 0x50014\n"
				    "0: entry rip 0x9002\n"
				    "0: exit wrmsr code 0 rip 0x9000\n"
				    "0: inject exception 13\n"
				    "0: entry rip 0x9000\n"
				    "0: exit io code 0 rip 0x9000\n"
				    "0: io out 0x80 size 1 value 0x1\n"
				    "0: inject nmi 2\n"
				    "0: entry rip 0x9001\n"
				    "0: exit wrmsr code 0 rip 0x9000\n"
				    "0: entry rip 0x9002\n"
				    "0: exit nmi_window code 0 rip 0x9002\n"
				    "0: entry rip 0x9002\n"
				    "0: exit wrmsr code 0 rip 0x9000\n"
				    "0: entry rip 0x9002\n"
				    "0: exit wrmsr code 0 rip 0x9000\n"
				    "0: inject intr 65\n"
				    "0: entry rip 0x9002\n"
				    "0: exit io code 0 rip 0x9000\n"
				    "0: io out 0xf4 size 1 value 0\n");
}

static void test_trace_off_is_silent(void)
{
	CHECK_STR(run_traced(false), "");
}

static void test_trace_can_be_switched_off(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 2);

	REQUIRE(vm);
	v3_trace_enable(true);
	fake_out(vm, 0x80, 1, 7);
	v3_trace_enable(false);
	fake_out(vm, 0x80, 1, 8);
	CHECK_STR(fake_trace_text(), "0: io out 0x80 size 1 value 0x7\n");
}

/* Exceptions, interrupts and NMIs come from three places. */
static void test_trace_shows_each_injection(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 2);

	REQUIRE(vm);
	v3_trace_enable(true);
	v3_vcpu_inject_ud(vm->vcpu[0]);
	v3_event_service(vm->vcpu[0]);
	v3_nmi_service(vm->vcpu[0]); /* held back by the exception: nothing is injected */
	CHECK_STR(fake_trace_text(), "0: inject exception 6\n");
}

static void test_trace_without_the_group(void)
{
	fake_lib_install();
	v3_lib.ops.trace = NULL;
	v3_trace_enable(true);
	CHECK(!v3_host_tracing());
}

static const struct tap_test tests[] = {
	TAP(test_trace_shows_each_exit_in_order), TAP(test_trace_off_is_silent),
	TAP(test_trace_can_be_switched_off),	  TAP(test_trace_shows_each_injection),
	TAP(test_trace_without_the_group),
};
TAP_MAIN(tests)
