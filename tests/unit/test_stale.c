/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_stale.c
 * Checks for flushes that are missing: each way to make a cached translation wrong is found unless a flush
 * follows, also in a VM that runs; what needs no flush is not complained about.
 */
#include "fake_arch.h"
#include "mem_vm.h"
#include "mmu/nested/table.h"
#include "mmu/view.h"
#include "palacios/io.h"

#define MIB    0x100000ull
#define SECOND 1000000000ull

/* ---- one vcpu, no threads ---- */

static struct v3_vcpu *entered_vcpu(void)
{
	struct v3_vm *vm = mem_vm_new(8 * MIB);

	if (!vm || !CHECK_EQ(mem_vm_fault(0, 0x5000, V3_ACC_WRITE), V3_OK) ||
	    !CHECK_EQ(v3_stale_check(vm->vcpu[0]), V3_OK))
		return NULL;
	CHECK_EQ(v3_stale_check(vm->vcpu[0]), V3_OK);
	return vm->vcpu[0];
}

static void serve(struct v3_vcpu *vcpu)
{
	if (fake_take_requests(vcpu) & (V3_REQ_FLUSH | V3_REQ_VIEW))
		v3_stale_flushed(&vcpu->mmu);
}

/* Something was changed: the vcpu may not enter, and after a second that is a failure. */
static void check_found(struct v3_vcpu *vcpu, const char *gpa)
{
	CHECK_EQ(v3_stale_check(vcpu), V3_EAGAIN);
	fake_clock_advance(SECOND - 1);
	CHECK_EQ(v3_stale_check(vcpu), V3_EAGAIN);
	fake_clock_advance(1);
	CHECK_EQ(v3_stale_check(vcpu), V3_EIO);
	CHECK(fake_log_contains(gpa));
	v3_stale_flushed(&vcpu->mmu);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
}

static void test_stale_entry_taken_out(void)
{
	struct v3_vcpu *vcpu = entered_vcpu();

	REQUIRE(vcpu);
	CHECK(v3_nested_drop(&vcpu->vm->mmu.nested, 0x5000, 4096)); /* splits, takes one out */
	check_found(vcpu, "the nested entry for 0x5000 was taken out or tightened, not flushed");
	CHECK(!v3_nested_drop(&vcpu->vm->mmu.nested, 0x5000, 4096)); /* nothing there */
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
}

static void test_stale_entry_changed(void)
{
	struct v3_vcpu *vcpu = entered_vcpu();
	struct v3_nested *t;

	REQUIRE(vcpu);
	t = &vcpu->vm->mmu.nested;
	REQUIRE_EQ(v3_nested_map(t, 0x600000, 0x600000, V3_ACC_READ, 1), V3_OK);
	CHECK_EQ(v3_nested_map(t, 0x600000, 0x600000, V3_ACC_READ, 1), V3_OK);
	CHECK_EQ(v3_nested_map(t, 0x600000, 0x600000, V3_ACC_READ | V3_ACC_WRITE, 1), V3_OK);
	CHECK_EQ(v3_nested_map(t, 0x600000, 0x600000, V3_ACC_ALL, 1), V3_OK);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK); /* more is allowed than before: no harm */
	CHECK_EQ(v3_nested_map(t, 0x600000, 0x800000, V3_ACC_ALL, 1), V3_OK);
	check_found(vcpu, "0x600000");
	CHECK_EQ(v3_nested_map(t, 0x600000, 0x800000, V3_ACC_READ | V3_ACC_WRITE, 1), V3_OK);
	check_found(vcpu, "0x600000");
	CHECK_EQ(v3_nested_map(t, 0x600000, 0x800000, V3_ACC_READ, 1), V3_OK);
	check_found(vcpu, "0x600000");
	CHECK_EQ(v3_nested_map(t, 0x600000, 0x800000, V3_ACC_READ | V3_NESTED_UC, 1), V3_OK);
	check_found(vcpu, "0x600000");
}

static void test_stale_table_retired(void)
{
	struct v3_vcpu *vcpu = entered_vcpu();
	v3_hpa_t list = V3_NESTED_NONE;

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_nested_map(&vcpu->vm->mmu.nested, 0x400000, 0, V3_ACC_ALL, 0), V3_OK);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
	CHECK(v3_nested_retire(&vcpu->vm->mmu.nested, 0x412000, &list));
	v3_nested_reap(list);
	check_found(vcpu, "0x412000");
}

static int ignore(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu, (void)mmio, (void)priv;
	return V3_OK;
}

/* What mem/ does is always followed by a flush; without it the same steps are found. */
static void test_stale_hooks_flush(void)
{
	struct v3_vcpu *vcpu = entered_vcpu();

	REQUIRE(vcpu);
	CHECK_EQ(v3_mem_hook(vcpu->vm, 0x5000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK); /* the request is there: the entry is refused */
	serve(vcpu);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
	v3_mem_unhook(vcpu->vm, 0x5000);
	serve(vcpu);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x5000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(v3_mem_hook(vcpu->vm, 0x5000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	fake_take_requests(vcpu); /* lost */
	check_found(vcpu, "0x5000");
}

/* A flush that comes too early is none. */
static void test_stale_flush_before_the_change(void)
{
	struct v3_vcpu *vcpu = entered_vcpu();

	REQUIRE(vcpu);
	v3_flush_vm(vcpu->vm);
	serve(vcpu);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
	CHECK(v3_nested_drop(&vcpu->vm->mmu.nested, 0x5000, 4096));
	check_found(vcpu, "0x5000");
}

static int never(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
		 void *priv)
{
	(void)vcpu, (void)view, (void)gpa, (void)access, (void)priv;
	return V3_EIO;
}

/* Only the table that the vcpu is on counts, and changing it flushes. */
static void test_stale_views(void)
{
	struct v3_vcpu *vcpu = entered_vcpu();
	struct v3_view *view;

	REQUIRE(vcpu);
	REQUIRE_EQ(v3_view_create(vcpu->vm, never, NULL, &view), V3_OK);
	v3_vcpu_set_view(vcpu, view);
	serve(vcpu);
	CHECK_EQ(mem_vm_fault(0, 0x7000, V3_ACC_READ), V3_OK);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
	CHECK(v3_nested_drop(&vcpu->vm->mmu.nested, 0x5000, 4096));
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
	CHECK(v3_nested_drop(&view->table, 0x7000, 4096));
	check_found(vcpu, "0x7000");
	v3_vcpu_set_view(vcpu, NULL);
	serve(vcpu);
	CHECK_EQ(v3_stale_check(vcpu), V3_OK);
}

static void test_stale_registers(void)
{
	static const struct {
		uint64_t cr0, cr3, cr4, efer; /* changed */
		bool matters;
	} cases[] = {
		{V3_CR0_PG, 0, 0, 0, true},	  {0, 0x1000, 0, 0, true},
		{0, 0, V3_CR4_PSE, 0, true},	  {0, 0, V3_CR4_PAE, 0, true},
		{0, 0, V3_CR4_PGE, 0, true},	  {0, 0, V3_CR4_LA57, 0, true},
		{0, 0, 0, V3_EFER_NXE, true},	  {V3_CR0_TS, 0, 0, 0, false},
		{0, 0, V3_CR4_OSXSAVE, 0, false}, {0, 0, 0, V3_EFER_SCE, false},
	};
	struct v3_vcpu *vcpu = entered_vcpu();

	REQUIRE(vcpu);
	for (size_t i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		v3_stale_left(vcpu);
		CHECK_EQ(v3_stale_check(vcpu), V3_OK);
		vcpu->cr0 ^= cases[i].cr0;
		vcpu->cr3 ^= cases[i].cr3;
		vcpu->cr4 ^= cases[i].cr4;
		vcpu->efer ^= cases[i].efer;
		CHECK_EQ(v3_stale_check(vcpu), cases[i].matters ? V3_EIO : V3_OK);
		v3_stale_flushed(&vcpu->mmu);
		CHECK_EQ(v3_stale_check(vcpu), V3_OK);
	}
	CHECK(fake_log_contains("vcpu 0: paging was changed, not flushed"));
}

/* ---- VMs that run ---- */

static bool spin(struct v3_vcpu *vcpu, struct v3_exit *exit, void *arg)
{
	(void)vcpu, (void)arg;
	*exit = fake_exit(V3_EXIT_INTR, 0);
	exit->u.host_vector = -1;
	return true;
}

static struct v3_vm *spinning_vm(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	if (!vm)
		return NULL;
	v3_lib.watch = V3_WATCH_CHECKS;
	fake_set_step(fake_cpu(vm, 0), spin, NULL);
	if (!CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x5000, V3_ACC_WRITE), V3_OK) ||
	    !CHECK_EQ(v3_vm_start(vm), V3_OK))
		return NULL;
	return vm;
}

struct progress {
	const struct fake_cpu *cpu;
	unsigned entries;
};

static bool has_progressed(void *arg)
{
	const struct progress *p = arg;

	return __atomic_load_n(&p->cpu->entries, __ATOMIC_RELAXED) > p->entries;
}

/* Does it go on entering? */
static bool runs(struct v3_vm *vm)
{
	struct progress p = {.cpu = fake_cpu(vm, 0)};

	p.entries = __atomic_load_n(&p.cpu->entries, __ATOMIC_RELAXED) + 100;
	return fake_wait_until(has_progressed, &p, 10000);
}

static bool waits(void *arg)
{
	return __atomic_load_n(&((struct v3_vcpu *)arg)->mmu.cached.since_ns, __ATOMIC_RELAXED);
}

/* Whoever forgets to flush: as v3_mem_hook() without its last line. */
static void drop_and_forget(struct v3_vm *vm, v3_gpa_t gpa)
{
	unsigned long flags = v3_lock_acquire(&vm->mem.lock);

	CHECK(v3_mmu_drop(vm, gpa, V3_PAGE_SIZE));
	v3_lock_release(&vm->mem.lock, flags);
}

static void test_stale_forgotten_flush_stops_the_vm(void)
{
	struct v3_vm *vm = spinning_vm();

	REQUIRE(vm);
	CHECK(runs(vm));
	drop_and_forget(vm, 0x5000);
	CHECK(fake_wait_until(waits, vm->vcpu[0], 10000));
	CHECK_EQ(v3_vm_get_state(vm), V3_VM_RUNNING);
	fake_clock_advance(SECOND);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_FAILURE);
	CHECK(fake_log_contains("the nested entry for 0x5000 was taken out or tightened"));
	CHECK_EQ(fake_cpu(vm, 0)->dumps, 1);
}

static void test_stale_late_flush_is_waited_for(void)
{
	struct v3_vm *vm = spinning_vm();

	REQUIRE(vm);
	CHECK(runs(vm));
	drop_and_forget(vm, 0x5000);
	CHECK(fake_wait_until(waits, vm->vcpu[0], 10000));
	v3_flush_vm_sync(vm);
	fake_clock_advance(2 * SECOND);
	CHECK(runs(vm));
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
	CHECK(v3_vm_stop_reason(vm, NULL) != V3_STOP_FAILURE);
}

static void test_stale_hooks_do_not_stop_a_vm(void)
{
	struct v3_vm *vm = spinning_vm();

	REQUIRE(vm);
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(v3_mem_hook(vm, 0x5000, V3_ACC_WRITE, ignore, NULL), V3_OK);
		CHECK(runs(vm));
		v3_mem_unhook(vm, 0x5000);
		CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x5000, V3_ACC_WRITE), V3_OK);
		fake_clock_advance(2 * SECOND);
	}
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
	CHECK(v3_vm_stop_reason(vm, NULL) != V3_STOP_FAILURE);
}

/* A handler that changes CR3 behind the walker's back. */
static int careless(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	(void)io, (void)priv;
	v3_vcpu_set_cr(vcpu, 3, 0x2000);
	return V3_OK;
}

static bool do_io(struct v3_vcpu *vcpu, struct v3_exit *exit, void *arg)
{
	(void)arg;
	*exit = fake_exit_io(vcpu, 0x80, 1, false);
	return true;
}

static void test_stale_register_change_stops_the_vm(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	v3_lib.watch = V3_WATCH_CHECKS;
	REQUIRE_EQ(v3_io_register(vm, 0x80, 1, careless, NULL), V3_OK);
	fake_set_step(fake_cpu(vm, 0), do_io, NULL);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_FAILURE);
	CHECK(fake_log_contains("paging was changed, not flushed"));
	CHECK_EQ(fake_cpu(vm, 0)->entries, 1);
}

#define TESTS(X)                                                                                   \
	X(stale_entry_taken_out)                                                                   \
	X(stale_entry_changed)                                                                     \
	X(stale_table_retired)                                                                     \
	X(stale_hooks_flush)                                                                       \
	X(stale_flush_before_the_change)                                                           \
	X(stale_views)                                                                             \
	X(stale_registers)
TESTS(MEM_VM_BOTH)

static const struct tap_test tests[] = {
	TESTS(MEM_VM_ROWS) /* for each nested format */
	TAP(test_stale_forgotten_flush_stops_the_vm),
	TAP(test_stale_late_flush_is_waited_for),
	TAP(test_stale_hooks_do_not_stop_a_vm),
	TAP(test_stale_register_change_stops_the_vm),
};
TAP_MAIN(tests)
