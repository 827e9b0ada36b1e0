/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vm.c
 * The life of a VM: create, start, pause, continue, reset, stop, destroy, in every state and
 * order, with guests that compute, halt, do I/O and talk to each other on real threads.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "palacios/platform.h"
#include "tap.h"

#include <unistd.h>

/* ---- guests ---- */

static void guest_computes(struct fake_guest *g, void *arg)
{
	(void)arg;
	for (;;)
		g_compute(g);
}

static void guest_halts(struct fake_guest *g, void *arg)
{
	(void)arg;
	g_sti(g);
	for (;;)
		g_hlt(g);
}

static void guest_does_io(struct fake_guest *g, void *arg)
{
	uint32_t value;

	(void)arg;
	for (;;) {
		g_out(g, 0x80, 1, 1);
		g_in(g, 0x71, 1, &value);
	}
}

static void guest_exits(struct fake_guest *g, void *arg)
{
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, *(uint32_t *)arg);
	FAIL("the guest runs on after its exit");
}

/* ---- creation ---- */

static void test_vm_create_and_destroy(void)
{
	struct v3_vm *vm;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 16), NULL, 0, &vm), V3_OK);
	CHECK_STR(v3_vm_name(vm), "pc");
	v3_vm_set_name(vm, "another-name-of-more-than-31-bytes");
	CHECK_STR(v3_vm_name(vm), "another-name-of-more-than-31-by");
	CHECK_EQ(v3_vm_vcpu_count(vm), 2);
	CHECK(v3_vm_vcpu(vm, 1) && !v3_vm_vcpu(vm, 2));
	CHECK_EQ(v3_vm_get_state(vm), V3_VM_READY);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_NONE);
	fake_vm_destroy(vm);
	v3_vm_destroy(NULL);
}

static void test_vm_create_boot_cpu_state(void)
{
	struct v3_vm *vm = fake_vm_bare(2, 16);

	REQUIRE(vm);
	CHECK_EQ(vm->vcpu[0]->regs.rip, 0x100020);
	CHECK_EQ((uint32_t)vm->vcpu[0]->regs.gpr[V3_RAX], 0x2badb002);
	CHECK(vm->vcpu[0]->cr0 & V3_CR0_PE);
	CHECK_EQ(vm->vcpu[0]->state, V3_VCPU_RUNNABLE);
	CHECK_EQ(vm->vcpu[1]->state, V3_VCPU_WAIT_SIPI);
}

static void test_vm_create_refuses_garbage(void)
{
	static const uint8_t zeros[4096];
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	CHECK_EQ(v3_vm_create(zeros, sizeof(zeros), NULL, &vm), V3_EBADMSG);
	CHECK_EQ(v3_vm_create(zeros, 0, NULL, &vm), V3_EBADMSG);
	CHECK_EQ(v3_vm_create(NULL, 10, NULL, &vm), V3_EINVAL);
	CHECK_EQ(v3_vm_create(zeros, sizeof(zeros), NULL, NULL), V3_EINVAL);
	CHECK(!vm);
}

static void test_vm_create_refuses_each_damaged_byte(void)
{
	struct v3_vm *vm = NULL;
	size_t len;
	const uint8_t *good;
	uint8_t *bad;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	good = fake_image(fake_pc_toml(1, 16), NULL, 0, &len);
	bad = malloc(len);
	REQUIRE(bad);
	for (size_t i = 0; i < len; i++) {
		memcpy(bad, good, len);
		bad[i] ^= (uint8_t)(1u << (tap_rand() & 7));
		CHECK_EQ(v3_vm_create(bad, len, NULL, &vm), V3_EBADMSG);
	}
	for (size_t n = 0; n < len; n += 7)
		CHECK_EQ(v3_vm_create(good, n, NULL, &vm), V3_EBADMSG);
	free(bad);
}

static void test_vm_create_names_the_wrong_line(void)
{
	struct v3_vm *vm = NULL;

	CHECK_EQ(fake_vm_create("[vm]\nname = \"x\"\nmemory = 12\n[boot]\ntype = \"multiboot\"\n"
				"kernel = \"kernel.elf\"\n",
				NULL, 0, &vm),
		 V3_EBADMSG);
	CHECK(fake_log_contains("guest.toml:3: memory:"));
}

static void test_vm_create_without_its_kernel(void)
{
	struct v3_vm *vm = NULL;

	CHECK_EQ(fake_vm_create(
			 "[vm]\nname = \"x\"\nmemory = \"16M\"\n[boot]\ntype = \"multiboot\"\n"
			 "kernel = \"missing\"\n",
			 NULL, 0, &vm),
		 V3_ENOENT);
	CHECK(fake_log_contains("missing"));
}

static void test_vm_create_on_a_cpu_the_host_has_not(void)
{
	struct v3_vm *vm = NULL;

	CHECK_EQ(fake_vm_create("[vm]\nname = \"x\"\nmemory = \"16M\"\ncpus = [4]\n[boot]\ntype = "
				"\"multiboot\"\n"
				"kernel = \"kernel.elf\"\n",
				NULL, 0, &vm),
		 V3_ERANGE);
	CHECK(fake_log_contains("cpus"));
}

struct image {
	const void *data;
	size_t len;
	struct v3_vm *vm;
};

static int create_image(void *arg)
{
	struct image *image = arg;

	image->vm = NULL;
	return v3_vm_create(image->data, image->len, NULL, &image->vm);
}

static void destroy_image(void *arg)
{
	v3_vm_destroy(((struct image *)arg)->vm);
}

static void test_vm_create_out_of_memory_at_each_step(void)
{
	struct image image;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	image.data = fake_image(fake_pc_toml(2, 8), NULL, 0, &image.len);
	CHECK(fake_host_oom_each_step(create_image, destroy_image, &image) > 40);
}

static void test_vm_create_in_4_kib_pieces_of_memory(void)
{
	struct v3_mem_stats stats;
	struct v3_vm *vm;

	fake_ram_fragment(V3_PAGE_SIZE);
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	v3_mem_get_stats(vm, &stats);
	CHECK_EQ(stats.ram_bytes, 8 << 20);
	CHECK_EQ(stats.backed_4k, 8 << 20);
}

static void test_vm_create_in_too_little_memory(void)
{
	struct image image;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	image.data = fake_image(fake_pc_toml(1, 8), NULL, 0, &image.len);
	fake_ram_limit(7 << 20);
	CHECK_EQ(create_image(&image), V3_ENOMEM);
	fake_ram_fragment(V3_PAGE_SIZE);
	CHECK_EQ(create_image(&image), V3_ENOMEM);
}

/* ---- start, stop ---- */

static struct v3_vm *running_vm(unsigned nvcpus, fake_program_fn program, void *arg)
{
	struct v3_vm *vm = NULL;

	if (!CHECK_EQ(fake_vm_create(fake_pc_toml(nvcpus, 8), NULL, 0, &vm), V3_OK))
		return NULL;
	fake_program(vm, 0, program, arg);
	if (!CHECK_EQ(v3_vm_start(vm), V3_OK))
		return NULL;
	return vm;
}

static void test_vm_runs_until_the_guest_exits(void)
{
	uint32_t value = 21;
	struct v3_vm *vm = running_vm(1, guest_exits, &value);
	int status;

	REQUIRE(vm);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_get_state(vm), V3_VM_STOPPED);
	CHECK_EQ(v3_vm_stop_reason(vm, &status), V3_STOP_EXIT);
	CHECK_EQ(status, 43);
}

static void test_vm_wait_without_start_returns(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_get_state(vm), V3_VM_READY);
}

static void test_vm_stop_while_computing(void)
{
	struct v3_vm *vm = running_vm(1, guest_computes, NULL);
	int status;

	REQUIRE(vm);
	usleep(2000);
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
	CHECK_EQ(v3_vm_get_state(vm), V3_VM_STOPPED);
	CHECK_EQ(v3_vm_stop_reason(vm, &status), V3_STOP_POWEROFF);
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
}

static bool is_halted(void *arg)
{
	return __atomic_load_n(&((struct v3_vcpu *)arg)->sleeping, __ATOMIC_SEQ_CST);
}

static void test_vm_stop_while_halted(void)
{
	struct v3_vm *vm = running_vm(1, guest_halts, NULL);

	REQUIRE(vm);
	CHECK(fake_wait_until(is_halted, vm->vcpu[0], 10000));
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
	CHECK_EQ(v3_vm_get_state(vm), V3_VM_STOPPED);
}

static void test_vm_destroy_while_running(void)
{
	struct v3_vm *vm = running_vm(4, guest_does_io, NULL);

	REQUIRE(vm);
	usleep(2000);
	fake_vm_destroy(vm);
	CHECK_EQ(fake_host_live(FAKE_THREAD), 0);
}

static void test_vm_first_stop_reason_counts(void)
{
	struct v3_vm *vm = running_vm(1, guest_computes, NULL);
	int status;

	REQUIRE(vm);
	v3_vm_request_stop(vm, V3_STOP_EXIT, 7);
	v3_vm_request_stop(vm, V3_STOP_FAILURE, V3_EIO);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, &status), V3_STOP_EXIT);
	CHECK_EQ(status, 7);
}

static int start_vm(void *arg)
{
	struct image *image = arg;
	int err;

	err = v3_vm_start(image->vm);
	if (err) {
		CHECK_EQ(v3_vm_get_state(image->vm), V3_VM_STOPPED);
		v3_vm_destroy(image->vm);
		fake_host_fail_at(0);
		image->vm = NULL;
	}
	return err;
}

static void test_vm_start_out_of_memory(void)
{
	struct image image;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	image.data = fake_image(fake_pc_toml(4, 8), NULL, 0, &image.len);
	for (unsigned k = 1; k <= 4; k++) {
		REQUIRE_EQ(create_image(&image), V3_OK);
		fake_host_fail_at(k);
		CHECK_EQ(start_vm(&image), V3_ENOMEM);
	}
}

static bool unknown_exit(struct v3_vcpu *vcpu, struct v3_exit *exit, void *arg)
{
	(void)vcpu;
	(void)arg;
	exit->kind = V3_EXIT_UNKNOWN;
	exit->code = 0x4711;
	return true;
}

static void test_vm_our_failure_stops_with_a_dump(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	int status;

	REQUIRE(vm);
	fake_set_step(fake_cpu(vm, 0), unknown_exit, NULL);
	CHECK_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, &status), V3_STOP_FAILURE);
	CHECK(status < 0);
	CHECK(fake_log_contains("0x4711"));
	CHECK(fake_log_contains("rip"));
	CHECK_EQ(fake_cpu(vm, 0)->dumps, 1);
}

/* With checks on, a VMCB or VMCS that the CPU would refuse is not tried. */
static void test_vm_checks_before_each_entry(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	v3_lib.watch = V3_WATCH_CHECKS;
	fake_arch_rule = "section 1.2: a rule";
	fake_set_step(fake_cpu(vm, 0), unknown_exit, NULL);
	CHECK_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_FAILURE);
	CHECK(fake_log_contains(": section 1.2: a rule"));
	CHECK_EQ(fake_cpu(vm, 0)->entries, 0);
	CHECK_EQ(fake_cpu(vm, 0)->dumps, 1);
}

static void test_vm_checks_let_sound_entries_through(void)
{
	uint32_t status = 3;
	struct v3_vm *vm;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	v3_lib.watch = V3_WATCH_CHECKS;
	vm = running_vm(1, guest_exits, &status);
	REQUIRE(vm);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_EXIT);
	CHECK(fake_cpu(vm, 0)->checks >= fake_cpu(vm, 0)->entries);
	CHECK(fake_cpu(vm, 0)->entries > 0);
}

static void test_vm_checks_are_off_by_default(void)
{
	uint32_t status = 3;
	struct v3_vm *vm = running_vm(1, guest_exits, &status);

	REQUIRE(vm);
	v3_vm_wait(vm);
	CHECK_EQ(fake_cpu(vm, 0)->checks, 0);
}

/* ---- states and orders ---- */

enum call { START, PAUSE, CONTINUE, RESET, STOP, NCALLS };
static const char *const call_names[NCALLS] = {"start", "pause", "continue", "reset", "stop"};

static int do_call(struct v3_vm *vm, enum call call)
{
	switch (call) {
	case START:
		return v3_vm_start(vm);
	case PAUSE:
		return v3_vm_pause(vm);
	case CONTINUE:
		return v3_vm_continue(vm);
	case RESET:
		return v3_vm_reset(vm);
	default:
		return v3_vm_stop(vm);
	}
}

/* State after a call that is allowed, -1: V3_EBUSY. By state before (READY, RUNNING, PAUSED,
 * STOPPED). */
static const int after_call[4][NCALLS] = {
	[V3_VM_READY] = {V3_VM_RUNNING, -1, -1, -1, V3_VM_STOPPED},
	[V3_VM_RUNNING] = {-1, V3_VM_PAUSED, -1, V3_VM_RUNNING, V3_VM_STOPPED},
	[V3_VM_PAUSED] = {-1, -1, V3_VM_RUNNING, V3_VM_PAUSED, V3_VM_STOPPED},
	[V3_VM_STOPPED] = {-1, -1, -1, -1, V3_VM_STOPPED},
};

static void check_call(struct v3_vm *vm, enum call call)
{
	enum v3_vm_state before = v3_vm_get_state(vm), now;
	int expected = after_call[before][call], err = do_call(vm, call);

	now = v3_vm_get_state(vm);
	CHECK_MSG(err == (expected < 0 ? V3_EBUSY : V3_OK), "%s in state %d: %s", call_names[call],
		  before, v3_strerror(err));
	CHECK_MSG((int)now == (expected < 0 ? (int)before : expected), "%s in state %d: now %d",
		  call_names[call], before, now);
}

static void test_vm_every_call_in_every_state(void)
{
	static const enum call way[4][2] = {
		{NCALLS}, {START, NCALLS}, {START, PAUSE}, {STOP, NCALLS}};

	for (int state = V3_VM_READY; state <= V3_VM_STOPPED; state++) {
		for (int call = 0; call < NCALLS; call++) {
			struct v3_vm *vm = fake_vm_bare(2, 8);

			REQUIRE(vm);
			fake_program(vm, 0, guest_does_io, NULL);
			for (int i = 0; i < 2 && way[state][i] != NCALLS; i++)
				REQUIRE_EQ(do_call(vm, way[state][i]), V3_OK);
			REQUIRE_EQ(v3_vm_get_state(vm), state);
			check_call(vm, (enum call)call);
			fake_vm_destroy(vm);
		}
	}
}

static void test_vm_random_orders(void)
{
	static const fake_program_fn guests[] = {guest_computes, guest_halts, guest_does_io};

	for (int round = 0; round < 20; round++) {
		struct v3_vm *vm = NULL;

		REQUIRE_EQ(fake_vm_create(fake_pc_toml(1 + round % 4, 8), NULL, 0, &vm), V3_OK);
		fake_program(vm, 0, guests[round % 3], NULL);
		for (int i = 0; i < 30; i++) {
			unsigned r = tap_rand() % 64;

			/* STOP is the end: seldom. */
			check_call(vm, r == 0 ? STOP : (enum call)(r % 4));
			if (tap_rand() % 4 == 0)
				usleep(tap_rand() % 500);
		}
		fake_vm_destroy(vm);
	}
}

/* ---- pause ---- */

static uint64_t entries(struct v3_vm *vm)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < vm->nvcpus; i++)
		n += __atomic_load_n(&fake_cpu(vm, i)->entries, __ATOMIC_SEQ_CST);
	return n;
}

static void test_vm_paused_guest_does_not_run(void)
{
	struct v3_vm *vm = running_vm(1, guest_does_io, NULL);
	uint64_t n, t;

	REQUIRE(vm);
	for (int i = 0; i < 20; i++) {
		usleep(500);
		REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
		n = entries(vm);
		t = v3_time_ns(vm);
		fake_clock_advance(1000000000);
		usleep(500);
		CHECK_EQ(entries(vm), n);
		CHECK_EQ(v3_time_ns(vm), t);
		CHECK_EQ(v3_vm_continue(vm), V3_OK);
	}
}

struct progress {
	struct v3_vm *vm;
	uint64_t seen;
};

static bool has_progressed(void *arg)
{
	struct progress *p = arg;

	return entries(p->vm) > p->seen + 10;
}

static void test_vm_continued_guest_runs_on(void)
{
	struct v3_vm *vm = running_vm(1, guest_does_io, NULL);
	struct progress p = {vm, 0};

	REQUIRE(vm);
	for (int i = 0; i < 20; i++) {
		REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
		p.seen = entries(vm);
		REQUIRE_EQ(v3_vm_continue(vm), V3_OK);
		CHECK(fake_wait_until(has_progressed, &p, 10000));
	}
}

/* ---- reset ---- */

struct starts {
	unsigned n;    /* programs started */
	unsigned want; /* resets to ask for */
	bool triple;   /* by triple fault, else by port 0xcf9 */
	uint64_t tsc, aux;
};

static void guest_resets(struct fake_guest *g, void *arg)
{
	struct starts *s = arg;
	struct v3_exit exit = fake_exit(V3_EXIT_TRIPLE_FAULT, 0);
	uint32_t value;

	s->n++;
	CHECK(g_rdmsr(g, V3_MSR_TSC_AUX, &s->aux));
	CHECK_EQ(s->aux, 0);
	CHECK(g_wrmsr(g, V3_MSR_TSC_AUX, 0x55));
	CHECK(g_in(g, V3_PC_PORT_RTC + 1, 1, &value));
	CHECK(g_rdmsr(g, V3_MSR_TSC, &s->tsc));
	if (s->n > s->want) {
		g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
	} else if (s->triple) {
		g_insn(g, &exit);
	} else {
		g_out(g, V3_PC_PORT_RESET, 1, 2);
		g_out(g, V3_PC_PORT_RESET, 1, V3_PC_RESET_VALUE);
	}
	FAIL("the guest runs on after its reset");
}

static void test_vm_guest_resets_itself(void)
{
	struct starts s = {.want = 3};
	struct v3_vm *vm = running_vm(2, guest_resets, &s);

	REQUIRE(vm);
	v3_vm_wait(vm);
	CHECK_EQ(s.n, 4);
	CHECK_EQ(vm->resets, 3);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_EXIT);
}

static void test_vm_triple_fault_resets(void)
{
	struct starts s = {.want = 2, .triple = true};
	struct v3_vm *vm = running_vm(1, guest_resets, &s);

	REQUIRE(vm);
	v3_vm_wait(vm);
	CHECK_EQ(s.n, 3);
	CHECK(fake_log_contains("triple fault"));
}

static void test_vm_reset_restores_the_boot_image(void)
{
	struct v3_vm *vm = running_vm(1, guest_computes, NULL);
	uint32_t word = 0, kept = 0x600dda7a;

	REQUIRE(vm);
	REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
	CHECK_EQ(v3_mem_write(vm, 0x100000, &word, 4), V3_OK);
	CHECK_EQ(v3_mem_write(vm, 0x500000, &kept, 4), V3_OK);
	CHECK_EQ(v3_vm_reset(vm), V3_OK);
	CHECK_EQ(v3_vm_continue(vm), V3_OK);
	usleep(5000);
	REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
	CHECK_EQ(v3_mem_read(vm, 0x100000, &word, 4), V3_OK);
	CHECK_EQ(word, 0x1badb002);
	CHECK_EQ(v3_mem_read(vm, 0x500000, &word, 4), V3_OK);
	CHECK_EQ(word, kept);
	CHECK_EQ(vm->resets, 1);
}

/* A reset asked for while the VM is paused is over before the VM runs on. */
static void test_vm_continue_waits_for_the_reset(void)
{
	struct v3_vm *vm = running_vm(4, guest_does_io, NULL);

	REQUIRE(vm);
	for (unsigned i = 1; i <= 50; i++) {
		REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
		CHECK_EQ(v3_vm_reset(vm), V3_OK);
		CHECK_EQ(v3_vm_continue(vm), V3_OK);
		if (!CHECK_EQ(vm->resets, i))
			break;
	}
}

/* ---- several vcpus ---- */

#define ICR_LOW	  (V3_PC_LAPIC_BASE + 0x300)
#define ICR_HIGH  (V3_PC_LAPIC_BASE + 0x310)
#define LAPIC_SVR (V3_PC_LAPIC_BASE + 0xf0)
#define LAPIC_EOI (V3_PC_LAPIC_BASE + 0xb0)
#define AP_VECTOR 0x0a /* starts at 0xa000 */
#define PING	  0x51

static void send_ipi(struct fake_guest *g, unsigned to, uint32_t command)
{
	g_store(g, ICR_HIGH, 4, to << 24);
	g_store(g, ICR_LOW, 4, command);
}

static void on_ping(struct fake_guest *g, uint8_t vector, void *arg)
{
	CHECK_EQ(vector, PING);
	__atomic_fetch_add((unsigned *)arg, 1, __ATOMIC_SEQ_CST);
	g_store(g, LAPIC_EOI, 4, 0);
}

struct party {
	unsigned up;	   /* application processors that run */
	unsigned pings[4]; /* received */
	unsigned rounds;
};

/* Each vcpu, woken by a ping, pings the next one. */
static void ring(struct fake_guest *g, struct party *p, unsigned self, unsigned n)
{
	g_on_irq(g, on_ping, &p->pings[self]);
	g_store(g, LAPIC_SVR, 4, 0x1ff);
	__atomic_fetch_add(&p->up, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < p->rounds; i++) {
		if (self == 0)
			send_ipi(g, 1 % n, PING);
		while (__atomic_load_n(&p->pings[self], __ATOMIC_SEQ_CST) <= i) {
			g_cli(g);
			if (__atomic_load_n(&p->pings[self], __ATOMIC_SEQ_CST) > i)
				break;
			g_sti(g);
			g_hlt(g);
		}
		if (self != 0)
			send_ipi(g, (self + 1) % n, PING);
	}
}

static void ring_ap(struct fake_guest *g, void *arg)
{
	CHECK_EQ(v3_vcpu_regs(g_vcpu(g))->rip, 0);
	g_flat32(g);
	ring(g, arg, v3_vcpu_index(g_vcpu(g)), v3_vm_vcpu_count(v3_vcpu_vm(g_vcpu(g))));
}

static void ring_boot_cpu(struct fake_guest *g, void *arg)
{
	struct party *p = arg;
	unsigned n = v3_vm_vcpu_count(v3_vcpu_vm(g_vcpu(g)));
	uint32_t value;

	for (unsigned i = 1; i < n; i++) {
		send_ipi(g, i, 0x4500);		    /* INIT */
		send_ipi(g, i, 0x4600 | AP_VECTOR); /* SIPI, twice as the manuals say */
		send_ipi(g, i, 0x4600 | AP_VECTOR);
	}
	while (__atomic_load_n(&p->up, __ATOMIC_SEQ_CST) < n - 1)
		g_in(g, 0x71, 1, &value);
	ring(g, p, 0, n);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

static void test_vm_four_vcpus_ping_each_other(void)
{
	struct party p = {.rounds = 200};
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(4, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, ring_boot_cpu, &p);
	for (unsigned i = 1; i < 4; i++)
		fake_program(vm, i, ring_ap, &p);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_EXIT);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(p.pings[i], p.rounds);
}

static void test_vm_pause_in_the_middle_of_pings(void)
{
	struct party p = {.rounds = 2000};
	struct v3_vm *vm = NULL;
	uint64_t n;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(4, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, ring_boot_cpu, &p);
	for (unsigned i = 1; i < 4; i++)
		fake_program(vm, i, ring_ap, &p);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	for (int i = 0; i < 50; i++) {
		usleep(200);
		if (v3_vm_pause(vm) != V3_OK)
			break; /* it was quicker */
		n = entries(vm);
		usleep(100);
		CHECK_EQ(entries(vm), n);
		if (v3_vm_continue(vm) != V3_OK)
			break;
	}
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_EXIT);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(p.pings[i], p.rounds);
}

static void test_vm_vcpus_run_on_the_cpus_named(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create("[vm]\nname = \"x\"\nmemory = \"8M\"\nvcpus = 2\ncpus = [3, "
				  "1]\nplatform = \"none\"\n"
				  "[boot]\ntype = \"multiboot\"\nkernel = \"kernel.elf\"\n",
				  NULL, 0, &vm),
		   V3_OK);
	CHECK_EQ(vm->vcpu[0]->host_cpu, 3);
	CHECK_EQ(vm->vcpu[1]->host_cpu, 1);
}

/* RAM comes from the node of the host that the guest's node names. */
static void test_vm_memory_comes_from_its_nodes(void)
{
	struct v3_mem_range range;
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(
		fake_vm_create("[vm]\nname='x'\nmemory='14M'\nvcpus=1\nplatform='none'\n"
			       "nodes=[{memory='8M',host=1}, {memory='4M',host=0}, {memory='2M'}]\n"
			       "[boot]\ntype='multiboot'\nkernel=\"kernel.elf\"\n",
			       NULL, 0, &vm),
		V3_OK);
	CHECK(fake_ram_of_node(1) >= 8 << 20); /* and the chunk table */
	CHECK(fake_ram_of_node(1) < 10 << 20);
	CHECK_EQ(fake_ram_of_node(0), 4 << 20);
	CHECK_EQ(fake_ram_of_node(-1), 2 << 20);
	REQUIRE_EQ(v3_mem_range(vm, 1, &range), V3_OK);
	CHECK_EQ(range.gpa, 8 << 20);
	CHECK_EQ(range.size, 4 << 20);
	CHECK(v3_mem_ptr(vm, (8 << 20) - 4, 4) && v3_mem_ptr(vm, 8 << 20, 4));
}

/* A SIPI that arrives together with a reset belongs to the life before it. */
static bool has_reset(void *arg)
{
	return __atomic_load_n(&((struct v3_vm *)arg)->resets, __ATOMIC_SEQ_CST) == 1;
}

static void test_vm_reset_drops_what_was_pending(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 8), NULL, 0, &vm), V3_OK);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
	v3_vcpu_nmi(vm->vcpu[0]);
	v3_vcpu_sipi(vm->vcpu[1], 0x10);
	CHECK_EQ(v3_vm_reset(vm), V3_OK);
	CHECK(fake_wait_until(has_reset, vm, 10000));
	CHECK_EQ(v3_vm_continue(vm), V3_OK);
	usleep(5000);
	REQUIRE_EQ(v3_vm_pause(vm), V3_OK);
	CHECK_EQ(vm->vcpu[1]->state, V3_VCPU_WAIT_SIPI);
	CHECK_EQ(fake_count_events(fake_cpu(vm, 0), V3_EVENT_NMI, 2), 0);
}

/* ---- several VMs ---- */

static void guest_prints(struct fake_guest *g, void *arg)
{
	for (const char *s = arg; *s; s++)
		g_out(g, V3_PC_PORT_COM1, 1, (uint8_t)*s);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, (uint8_t) * (const char *)arg);
}

static void test_vm_two_vms_share_nothing(void)
{
	struct v3_vm *a = running_vm(1, guest_prints, (void *)"aaaa"), *b;
	uint32_t word = 0x11111111;
	int status;

	REQUIRE(a);
	b = running_vm(1, guest_prints, (void *)"bb");
	REQUIRE(b);
	v3_vm_wait(a);
	v3_vm_wait(b);
	CHECK_STR(fake_console_output_of(v3_vm_host_ctx(a), "console"), "aaaa");
	CHECK_STR(fake_console_output_of(v3_vm_host_ctx(b), "console"), "bb");
	v3_vm_stop_reason(a, &status);
	CHECK_EQ(status, 'a' << 1 | 1);
	v3_vm_stop_reason(b, &status);
	CHECK_EQ(status, 'b' << 1 | 1);
	CHECK_EQ(v3_mem_write(a, 0x500000, &word, 4), V3_OK);
	CHECK_EQ(v3_mem_read(b, 0x500000, &word, 4), V3_OK);
	CHECK_EQ(word, 0);
	fake_vm_destroy(a);
	CHECK_EQ(v3_vm_get_state(b), V3_VM_STOPPED);
}

static void test_vm_fini_waits_for_the_last_vm(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	CHECK_EQ(v3_fini(), V3_EBUSY);
	fake_vm_destroy(vm);
	/* fake_lib_fini() at the end of the test checks that v3_fini() now succeeds */
}

static void test_vm_power_button_needs_a_device(void)
{
	struct v3_vm *bare = fake_vm_bare(1, 8), *pc = NULL;

	REQUIRE(bare);
	CHECK_EQ(v3_vm_power_button(bare), V3_ENOTSUP);
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &pc), V3_OK);
	CHECK_EQ(v3_vm_power_button(pc), V3_OK);
}

/* ---- yield, work ---- */

static void test_vm_yields_when_the_host_asks(void)
{
	struct v3_vm *vm = running_vm(1, guest_does_io, NULL);
	struct progress p = {vm, 0};

	REQUIRE(vm);
	CHECK(fake_wait_until(has_progressed, &p, 10000));
	CHECK_EQ(fake_yields(), 0);
	fake_should_yield(true);
	p.seen = entries(vm) + 100;
	CHECK(fake_wait_until(has_progressed, &p, 10000));
	CHECK(fake_yields() > 50);
}

struct job {
	struct v3_work work;
	unsigned runs;
	struct v3_vcpu *on;
};

static void job_runs(struct v3_vcpu *vcpu, void *arg)
{
	struct job *job = arg;

	job->on = vcpu;
	__atomic_fetch_add(&job->runs, 1, __ATOMIC_SEQ_CST);
}

static bool job_done(void *arg)
{
	return __atomic_load_n(&((struct job *)arg)->runs, __ATOMIC_SEQ_CST) != 0;
}

static void test_vm_work_runs_on_the_vcpu(void)
{
	struct v3_vm *vm = running_vm(2, guest_computes, NULL);
	struct job jobs[2] = {0};

	REQUIRE(vm);
	for (int i = 0; i < 2; i++) {
		jobs[i].work.fn = job_runs;
		jobs[i].work.arg = &jobs[i];
		v3_vcpu_queue_work(vm->vcpu[i],
				   &jobs[i].work); /* one computes, one waits for SIPI */
		CHECK(fake_wait_until(job_done, &jobs[i], 10000));
		CHECK(jobs[i].on == vm->vcpu[i]);
	}
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
}

static const struct tap_test tests[] = {
	TAP(test_vm_create_and_destroy),
	TAP(test_vm_create_boot_cpu_state),
	TAP(test_vm_create_refuses_garbage),
	TAP(test_vm_create_refuses_each_damaged_byte),
	TAP(test_vm_create_names_the_wrong_line),
	TAP(test_vm_create_without_its_kernel),
	TAP(test_vm_create_on_a_cpu_the_host_has_not),
	TAP(test_vm_create_out_of_memory_at_each_step),
	TAP(test_vm_create_in_4_kib_pieces_of_memory),
	TAP(test_vm_create_in_too_little_memory),
	TAP(test_vm_runs_until_the_guest_exits),
	TAP(test_vm_wait_without_start_returns),
	TAP(test_vm_stop_while_computing),
	TAP(test_vm_stop_while_halted),
	TAP(test_vm_destroy_while_running),
	TAP(test_vm_first_stop_reason_counts),
	TAP(test_vm_start_out_of_memory),
	TAP(test_vm_our_failure_stops_with_a_dump),
	TAP(test_vm_checks_before_each_entry),
	TAP(test_vm_checks_let_sound_entries_through),
	TAP(test_vm_checks_are_off_by_default),
	TAP(test_vm_every_call_in_every_state),
	TAP(test_vm_random_orders),
	TAP(test_vm_paused_guest_does_not_run),
	TAP(test_vm_continued_guest_runs_on),
	TAP(test_vm_guest_resets_itself),
	TAP(test_vm_triple_fault_resets),
	TAP(test_vm_reset_restores_the_boot_image),
	TAP(test_vm_continue_waits_for_the_reset),
	TAP(test_vm_four_vcpus_ping_each_other),
	TAP(test_vm_pause_in_the_middle_of_pings),
	TAP(test_vm_vcpus_run_on_the_cpus_named),
	TAP(test_vm_memory_comes_from_its_nodes),
	TAP(test_vm_reset_drops_what_was_pending),
	TAP(test_vm_two_vms_share_nothing),
	TAP(test_vm_fini_waits_for_the_last_vm),
	TAP(test_vm_power_button_needs_a_device),
	TAP(test_vm_yields_when_the_host_asks),
	TAP(test_vm_work_runs_on_the_vcpu),
};
TAP_MAIN(tests)
