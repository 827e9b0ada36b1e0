/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_inject.c
 * Exceptions, NMIs and interrupts on their way to the guest: merging to #DF and triple fault (AMD
 * APM vol. 2 8.2.9, table 8-3), events whose delivery was interrupted (15.20), windows, HLT.
 */
#include "fake_vm.h"
#include "tap.h"

/* ---- merging ---- */

static const uint8_t benign[] = {V3_VEC_DB, V3_VEC_BP, V3_VEC_OF, V3_VEC_BR, V3_VEC_UD,
				 V3_VEC_NM, V3_VEC_MF, V3_VEC_AC, V3_VEC_XF};
static const uint8_t contributory[] = {V3_VEC_DE, V3_VEC_TS, V3_VEC_NP, V3_VEC_SS, V3_VEC_GP};

static void inject(struct v3_vcpu *vcpu, uint8_t vector)
{
	if (vector == V3_VEC_PF)
		v3_vcpu_inject_pf(vcpu, 0x1234, 0);
	else
		v3_vcpu_inject(vcpu, vector,
			       vector == V3_VEC_DF || (vector >= V3_VEC_TS && vector != V3_VEC_MF),
			       0x10);
}

/* Both raised before one entry, nothing before them. */
static struct v3_event merge(struct v3_vm *vm, uint8_t first, uint8_t second)
{
	struct v3_vcpu *vcpu = vm->vcpu[0];
	struct v3_event ev;

	vcpu->pending.type = V3_EVENT_NONE;
	inject(vcpu, first);
	inject(vcpu, second);
	ev = vcpu->pending;
	vcpu->pending.type = V3_EVENT_NONE;
	return ev;
}

static void check_merge(struct v3_vm *vm, uint8_t first, uint8_t second, uint8_t expected)
{
	struct v3_event ev = merge(vm, first, second);

	CHECK_MSG(ev.type == V3_EVENT_EXCEPTION && ev.vector == expected,
		  "%u then %u gives %u, expected %u", first, second, ev.vector, expected);
	if (expected == V3_VEC_DF)
		CHECK_MSG(ev.has_error && ev.error == 0, "#DF of %u and %u: error code %#x", first,
			  second, ev.error);
}

static void test_inject_two_contributory_make_df(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	for (unsigned i = 0; i < sizeof(contributory); i++) {
		for (unsigned k = 0; k < sizeof(contributory); k++)
			check_merge(vm, contributory[i], contributory[k], V3_VEC_DF);
	}
}

static void test_inject_page_fault_then_another_makes_df(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	check_merge(vm, V3_VEC_PF, V3_VEC_PF, V3_VEC_DF);
	for (unsigned i = 0; i < sizeof(contributory); i++)
		check_merge(vm, V3_VEC_PF, contributory[i], V3_VEC_DF);
}

static void test_inject_contributory_then_page_fault_is_serial(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	for (unsigned i = 0; i < sizeof(contributory); i++)
		check_merge(vm, contributory[i], V3_VEC_PF, V3_VEC_PF);
}

static void test_inject_benign_is_serial(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	for (unsigned i = 0; i < sizeof(benign); i++) {
		check_merge(vm, benign[i], V3_VEC_GP, V3_VEC_GP);
		check_merge(vm, benign[i], V3_VEC_PF, V3_VEC_PF);
		check_merge(vm, V3_VEC_GP, benign[i], benign[i]);
		check_merge(vm, V3_VEC_PF, benign[i], benign[i]);
		check_merge(vm, benign[i], V3_VEC_UD, V3_VEC_UD);
	}
}

static bool reset_wanted(struct v3_vm *vm)
{
	return fake_take_requests(vm->vcpu[0]) & V3_REQ_STATE;
}

static void test_inject_fault_in_df_is_a_triple_fault(void)
{
	static const uint8_t fatal[] = {V3_VEC_DE, V3_VEC_TS, V3_VEC_NP,
					V3_VEC_SS, V3_VEC_GP, V3_VEC_PF};
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	for (unsigned i = 0; i < sizeof(fatal); i++) {
		fake_take_requests(vm->vcpu[0]);
		merge(vm, V3_VEC_DF, fatal[i]);
		CHECK_MSG(reset_wanted(vm), "#DF then %u: no reset", fatal[i]);
	}
	check_merge(vm, V3_VEC_DF, V3_VEC_UD, V3_VEC_UD);
	CHECK(!reset_wanted(vm));
}

static void test_inject_three_faults_in_a_row(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	fake_take_requests(vm->vcpu[0]);
	inject(vm->vcpu[0], V3_VEC_NP);
	inject(vm->vcpu[0], V3_VEC_GP);
	CHECK_EQ(vm->vcpu[0]->pending.vector, V3_VEC_DF);
	CHECK(!reset_wanted(vm));
	inject(vm->vcpu[0], V3_VEC_GP);
	CHECK(reset_wanted(vm));
	vm->vcpu[0]->pending.type = V3_EVENT_NONE;
}

static void test_inject_no_error_code_in_real_mode(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	v3_vcpu_set_cr(vm->vcpu[0], 0, V3_CR0_ET);
	v3_vcpu_inject_gp(vm->vcpu[0], 0);
	CHECK(!vm->vcpu[0]->pending.has_error);
	vm->vcpu[0]->pending.type = V3_EVENT_NONE;
	v3_vcpu_set_cr(vm->vcpu[0], 0, V3_CR0_ET | V3_CR0_PE);
	v3_vcpu_inject_gp(vm->vcpu[0], 0x18);
	CHECK(vm->vcpu[0]->pending.has_error && vm->vcpu[0]->pending.error == 0x18);
	vm->vcpu[0]->pending.type = V3_EVENT_NONE;
}

/* ---- through the run loop ---- */

/* A guest of scripted exits: number n of the table, then it computes. */
struct script {
	const struct v3_exit *exit;
	unsigned n, next;
	uint64_t rflags; /* or-ed in before each */
	unsigned idle;	 /* the guest was entered again after the last one, atomic */
	struct v3_vm *vm;
};

static bool script_step(struct v3_vcpu *vcpu, struct v3_exit *exit, void *arg)
{
	struct script *s = arg;

	vcpu->regs.rflags |= s->rflags;
	if (s->next == s->n) {
		__atomic_store_n(&s->idle, 1, __ATOMIC_SEQ_CST);
		return false;
	}
	*exit = s->exit[s->next++];
	return true;
}

/* What the last exit led to has been delivered, or the VM has stopped over it. */
static bool script_done(void *arg)
{
	struct script *s = arg;

	return __atomic_load_n(&s->idle, __ATOMIC_SEQ_CST) ||
	       v3_vm_get_state(s->vm) == V3_VM_STOPPED;
}

static struct v3_vm *script_vm(struct script *s)
{
	struct v3_vm *vm = NULL;

	if (!CHECK_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK))
		return NULL;
	fake_set_step(fake_cpu(vm, 0), script_step, s);
	return vm;
}

/* Start, let the script run to its end and one entry more, stop. */
static void script_run(struct v3_vm *vm, struct script *s)
{
	s->vm = vm;
	CHECK_EQ(v3_vm_start(vm), V3_OK);
	CHECK(fake_wait_until(script_done, s, 30000));
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
}

static struct v3_exit aborted(enum v3_event_type type, uint8_t vector, bool has_error,
			      uint32_t error)
{
	struct v3_exit exit = fake_exit(V3_EXIT_INTR, 0);

	exit.u.host_vector = -1;
	exit.aborted = (struct v3_event){.type = (uint8_t)type,
					 .vector = vector,
					 .has_error = has_error,
					 .error = error,
					 .cr2 = 0xabc};
	return exit;
}

static void test_inject_interrupted_event_is_delivered_again(void)
{
	static const struct {
		enum v3_event_type type;
		uint8_t vector;
		bool has_error;
	} events[] = {{V3_EVENT_INTR, 0x31, false},
		      {V3_EVENT_NMI, 2, false},
		      {V3_EVENT_EXCEPTION, V3_VEC_GP, true},
		      {V3_EVENT_EXCEPTION, V3_VEC_PF, true}};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(events); i++) {
		struct v3_exit exit =
			aborted(events[i].type, events[i].vector, events[i].has_error, 0x18);
		struct script s = {.exit = &exit, .n = 1, .rflags = V3_RFLAGS_IF};
		struct v3_vm *vm = script_vm(&s);
		struct v3_event ev;

		REQUIRE(vm);
		script_run(vm, &s);
		ev = fake_event(fake_cpu(vm, 0), 0);
		CHECK_EQ(fake_cpu(vm, 0)->nevents, 1);
		CHECK_EQ(ev.type, events[i].type);
		CHECK_EQ(ev.vector, events[i].vector);
		CHECK_EQ(ev.has_error, events[i].has_error);
		if (ev.has_error)
			CHECK_EQ(ev.error, 0x18);
		if (ev.vector == V3_VEC_PF)
			CHECK_EQ(vm->vcpu[0]->cr2, 0xabc);
		CHECK_EQ(vm->vcpu[0]->nmi_blocked, events[i].type == V3_EVENT_NMI);
		fake_vm_destroy(vm);
	}
}

static void test_inject_fault_while_an_exception_is_delivered(void)
{
	struct v3_exit exit = aborted(V3_EVENT_EXCEPTION, V3_VEC_GP, true, 0);
	struct script s = {.exit = &exit, .n = 1};
	struct v3_vm *vm = script_vm(&s);

	REQUIRE(vm);
	/* A handler that raises a fault itself: RDPMC gives #GP. */
	exit.kind = V3_EXIT_RDPMC;
	script_run(vm, &s);
	CHECK_EQ(fake_event(fake_cpu(vm, 0), 0).vector, V3_VEC_DF);
	CHECK_EQ(fake_cpu(vm, 0)->nevents, 1);
}

static void test_inject_hidden_instructions_raise_ud(void)
{
	struct v3_exit exits[2] = {fake_exit(V3_EXIT_MONITOR, 3), fake_exit(V3_EXIT_VIRT_INSN, 3)};
	struct script s = {.exit = exits, .n = 2};
	struct v3_vm *vm = script_vm(&s);

	REQUIRE(vm);
	script_run(vm, &s);
	CHECK_EQ(fake_count_events(fake_cpu(vm, 0), V3_EVENT_EXCEPTION, V3_VEC_UD), 2);
}

static void test_inject_exceptions_taken_go_back_to_the_guest(void)
{
	struct v3_exit exits[2] = {fake_exit(V3_EXIT_EXCEPTION, 0),
				   fake_exit(V3_EXIT_EXCEPTION, 0)};
	struct script s = {.exit = exits, .n = 2};
	struct v3_vm *vm = script_vm(&s);

	REQUIRE(vm);
	exits[0].u.excp.vector = V3_VEC_DB;
	exits[1].u.excp.vector = V3_VEC_AC;
	script_run(vm, &s);
	CHECK_EQ(fake_event(fake_cpu(vm, 0), 0).vector, V3_VEC_DB);
	CHECK_EQ(fake_event(fake_cpu(vm, 0), 1).vector, V3_VEC_AC);
	CHECK(fake_event(fake_cpu(vm, 0), 1).has_error);
}

static void test_inject_host_machine_check_stops_the_vm(void)
{
	struct v3_exit exit = fake_exit(V3_EXIT_EXCEPTION, 0);
	struct script s = {.exit = &exit, .n = 1};
	struct v3_vm *vm = script_vm(&s);

	REQUIRE(vm);
	exit.u.excp.vector = V3_VEC_MC;
	script_run(vm, &s);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_FAILURE);
}

static void test_inject_single_step_over_an_emulated_instruction(void)
{
	struct v3_exit exit = fake_exit(V3_EXIT_CPUID, 2);
	struct script s = {.exit = &exit, .n = 1, .rflags = V3_RFLAGS_TF | V3_RFLAGS_RF};
	struct v3_vm *vm = script_vm(&s);

	REQUIRE(vm);
	script_run(vm, &s);
	CHECK_EQ(fake_event(fake_cpu(vm, 0), 0).vector, V3_VEC_DB);
	CHECK(fake_cpu(vm, 0)->dr[6] & 1u << 14); /* BS */
}

static void test_inject_host_interrupts_are_passed_on(void)
{
	struct v3_exit exits[3] = {fake_exit(V3_EXIT_INTR, 0), fake_exit(V3_EXIT_INTR, 0),
				   fake_exit(V3_EXIT_INTR, 0)};
	struct script s = {.exit = exits, .n = 3};
	struct v3_vm *vm = script_vm(&s);
	int vector;

	REQUIRE(vm);
	for (int i = 0; i < 3; i++)
		exits[i].u.host_vector = 0x40 + i;
	script_run(vm, &s);
	CHECK(fake_irqs_passed(&vector) >= 3);
	CHECK_EQ(fake_cpu(vm, 0)->nevents, 0);
}

/* ---- NMI ---- */

static void on_nmi(struct fake_guest *g, uint8_t vector, void *arg)
{
	unsigned *n = arg;

	CHECK_EQ(vector, 2);
	if (++*n == 1) {
		v3_vcpu_nmi(g_vcpu(g)); /* must wait until this handler's IRET */
		for (int i = 0; i < 3; i++)
			g_out(g, 0x80, 1, 0);
		CHECK_EQ(*n, 1);
	}
}

static void guest_takes_nmis(struct fake_guest *g, void *arg)
{
	unsigned *n = arg;
	uint32_t value;

	g_on_irq(g, on_nmi, n);
	g_cli(g); /* does not hold NMIs back */
	v3_vcpu_nmi(g_vcpu(g));
	for (int i = 0; i < 10; i++)
		g_in(g, 0x80, 1, &value);
	CHECK_EQ(*n, 2);
	v3_vcpu_nmi(g_vcpu(g));
	g_hlt(g); /* an NMI ends it */
	CHECK_EQ(*n, 3);
	v3_vm_request_stop(v3_vcpu_vm(g_vcpu(g)), V3_STOP_POWEROFF, 0);
	g_compute(g);
}

static void test_inject_nmis_do_not_nest(void)
{
	struct v3_vm *vm = NULL;
	unsigned n = 0;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, guest_takes_nmis, &n);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(n, 3);
}

/* ---- interrupts through a controller of the test's own ---- */

struct pic {
	struct v3_vm *vm;
	unsigned queued; /* interrupts asked for and not taken, atomic */
	unsigned taken;
};

static bool pic_pending(void *priv)
{
	return __atomic_load_n(&((struct pic *)priv)->queued, __ATOMIC_SEQ_CST);
}

static uint8_t pic_ack(void *priv)
{
	struct pic *pic = priv;

	__atomic_fetch_sub(&pic->queued, 1, __ATOMIC_SEQ_CST);
	pic->taken++;
	return 0x70;
}

static const struct v3_extint_ops pic_ops = {.pending = pic_pending, .ack = pic_ack};

static void pic_raise(struct pic *pic)
{
	__atomic_fetch_add(&pic->queued, 1, __ATOMIC_SEQ_CST);
	v3_extint_request(pic->vm);
}

static void guest_masks_interrupts(struct fake_guest *g, void *arg)
{
	struct pic *pic = arg;

	g_cli(g);
	pic_raise(pic);
	for (int i = 0; i < 5; i++)
		g_out(g, 0x80, 1, 0);
	CHECK_EQ(g_irqs(g, 0x70), 0); /* IF is off */
	g_sti(g);
	CHECK_EQ(g_irqs(g, 0x70), 0);
	g_out(g, 0x80, 1, 0); /* the instruction behind STI */
	g_out(g, 0x80, 1, 0);
	CHECK_EQ(g_irqs(g, 0x70), 1);
	pic_raise(pic); /* STI; HLT with one pending: no wake-up may be lost */
	g_cli(g);
	g_sti(g);
	g_hlt(g);
	CHECK_EQ(g_irqs(g, 0x70), 2);
	for (int i = 0; i < 4; i++) /* several at once: all of them, one after the other */
		pic_raise(pic);
	for (int i = 0; i < 12; i++)
		g_out(g, 0x80, 1, 0);
	CHECK_EQ(g_irqs(g, 0x70), 6);
	v3_vm_request_stop(pic->vm, V3_STOP_POWEROFF, 0);
	g_compute(g);
}

static void test_inject_interrupts_wait_for_if_and_shadow(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct pic pic = {.vm = vm};

	REQUIRE(vm);
	REQUIRE_EQ(v3_extint_register(vm, &pic_ops, &pic), V3_OK);
	fake_program(vm, 0, guest_masks_interrupts, &pic);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(pic.taken, 6);
	v3_extint_unregister(vm);
}

/* Another thread raises interrupts while the guest halts and computes: none is lost. */
static void guest_counts(struct fake_guest *g, void *arg)
{
	struct pic *pic = arg;
	uint32_t value;

	while (g_irqs(g, 0x70) < 2000) {
		g_cli(g);
		if (g_irqs(g, 0x70) >= 2000)
			break;
		g_sti(g);
		if (g_irqs(g, 0x70) & 1)
			g_hlt(g);
		else
			g_in(g, 0x80, 1, &value);
	}
	v3_vm_request_stop(pic->vm, V3_STOP_POWEROFF, 0);
	g_compute(g);
}

static void test_inject_no_wake_up_is_lost(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct pic pic = {.vm = vm};

	REQUIRE(vm);
	REQUIRE_EQ(v3_extint_register(vm, &pic_ops, &pic), V3_OK);
	fake_program(vm, 0, guest_counts, &pic);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	for (int i = 0; i < 2000; i++) {
		while (__atomic_load_n(&pic.queued, __ATOMIC_SEQ_CST))
			;
		pic_raise(&pic);
	}
	v3_vm_wait(vm);
	CHECK_EQ(pic.taken, 2000);
	v3_extint_unregister(vm);
}

/* An interrupt waits behind an exception of the same entry. */
static void test_inject_exception_goes_before_the_interrupt(void)
{
	struct v3_exit exit = fake_exit(V3_EXIT_VIRT_INSN, 3);
	struct script s = {.exit = &exit, .n = 1, .rflags = V3_RFLAGS_IF};
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct pic pic = {.vm = vm, .queued = 1};

	REQUIRE(vm);
	REQUIRE_EQ(v3_extint_register(vm, &pic_ops, &pic), V3_OK);
	fake_set_step(fake_cpu(vm, 0), script_step, &s);
	v3_vcpu_inject_ud(vm->vcpu[0]);
	v3_extint_request(vm);
	script_run(vm, &s);
	CHECK_EQ(fake_event(fake_cpu(vm, 0), 0).type, V3_EVENT_EXCEPTION);
	CHECK_EQ(fake_count_events(fake_cpu(vm, 0), V3_EVENT_INTR, 0x70), 1);
	v3_extint_unregister(vm);
}

static const struct tap_test tests[] = {
	TAP(test_inject_two_contributory_make_df),
	TAP(test_inject_page_fault_then_another_makes_df),
	TAP(test_inject_contributory_then_page_fault_is_serial),
	TAP(test_inject_benign_is_serial),
	TAP(test_inject_fault_in_df_is_a_triple_fault),
	TAP(test_inject_three_faults_in_a_row),
	TAP(test_inject_no_error_code_in_real_mode),
	TAP(test_inject_interrupted_event_is_delivered_again),
	TAP(test_inject_fault_while_an_exception_is_delivered),
	TAP(test_inject_hidden_instructions_raise_ud),
	TAP(test_inject_exceptions_taken_go_back_to_the_guest),
	TAP(test_inject_host_machine_check_stops_the_vm),
	TAP(test_inject_single_step_over_an_emulated_instruction),
	TAP(test_inject_host_interrupts_are_passed_on),
	TAP(test_inject_nmis_do_not_nest),
	TAP(test_inject_interrupts_wait_for_if_and_shadow),
	TAP(test_inject_no_wake_up_is_lost),
	TAP(test_inject_exception_goes_before_the_interrupt),
};
TAP_MAIN(tests)
