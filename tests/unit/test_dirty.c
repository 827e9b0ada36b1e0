/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_dirty.c
 * Tracking of written pages, in each of the three ways and for both nested formats. The guest is played by a
 * model of a CPU that walks the nested tables itself: it caches translations until it is told to drop them, sets
 * dirty bits, and keeps a log.
 */
#include "mem_vm.h"

#include "mmu/nested/table.h"
#include "mmu/view.h"

#include <pthread.h>

#define MIB	 0x100000ull
#define RAM	 (16 * MIB)
#define NPAGES	 (RAM / V3_PAGE_SIZE)
#define ALL	 (~0ull & ~(V3_SIZE_2M - 1))
#define LOG_SIZE 8

/* ---- the CPU ---- */

static struct cpu {
	bool cached[NPAGES]; /* translations with write permission and dirty bit set */
	v3_gpa_t log[LOG_SIZE];
	unsigned logged;
	unsigned faults, full;
} cpu[MEM_VM_VCPUS];

static enum v3_dirty_how how;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void cpu_drain_log(struct v3_vcpu *vcpu, bool full)
{
	struct cpu *c = &cpu[vcpu->index];

	(void)full;
	pthread_mutex_lock(&log_lock);
	for (unsigned i = 0; i < c->logged; i++)
		v3_dirty_note(&vcpu->vm->mem, c->log[i]);
	c->logged = 0;
	pthread_mutex_unlock(&log_lock);
}

static void cpu_log(struct cpu *c, v3_gpa_t gpa)
{
	pthread_mutex_lock(&log_lock);
	c->log[c->logged++] = gpa & V3_PAGE_MASK;
	pthread_mutex_unlock(&log_lock);
}

static const struct v3_arch_ops cpu_ops = {.name = "model", .drain_log = cpu_drain_log};

/* The entry of 4 KiB or more that translates @p gpa, as a place. APM vol. 2 15.25, SDM 3C 29.3.2. */
static uint64_t *cpu_walk(const struct v3_nested *table, v3_gpa_t gpa, unsigned *level)
{
	const uint64_t present = mem_vm_format == V3_NESTED_EPT ? 7 : 1;
	uint64_t *t = v3_host_pa_to_va(table->root);

	for (*level = 3;; --*level) {
		uint64_t *e = &t[gpa >> (12 + 9 * *level) & 511];

		if (!(__atomic_load_n(e, __ATOMIC_ACQUIRE) & present))
			return NULL;
		if (!*level || (*e & 0x80))
			return e;
		t = v3_host_pa_to_va(*e & MEM_ADDR);
	}
}

/* @return false: the access faults, or the log is full */
static bool cpu_may_write(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	const uint64_t dirty = mem_vm_format == V3_NESTED_EPT ? 1ull << 9 : 1ull << 6;
	struct cpu *c = &cpu[vcpu->index];
	unsigned level;
	uint64_t *e = cpu_walk(v3_mmu_table(vcpu), gpa, &level), old = e ? *e : 0;

	if (!e || !(old & 2)) {
		c->faults++;
		CHECK_EQ(mem_vm_fault(vcpu->index, gpa, V3_ACC_WRITE), V3_OK);
		return false;
	}
	if (old & dirty) {
		c->cached[gpa >> V3_PAGE_SHIFT] = true;
		return true;
	}
	CHECK_EQ(level, 0); /* else nobody knows which page it was */
	if (how == V3_DIRTY_LOG && c->logged == LOG_SIZE) {
		c->full++;
		CHECK_EQ(v3_dirty_log_exit(vcpu, NULL), V3_OK);
		return false;
	}
	if (!__atomic_compare_exchange_n(e, &old, old | dirty, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return false; /* it was changed meanwhile: walk again */
	if (how == V3_DIRTY_LOG)
		cpu_log(c, gpa);
	c->cached[gpa >> V3_PAGE_SHIFT] = true;
	return true;
}

/* An entry: requests are served first. */
static void cpu_enter(struct v3_vcpu *vcpu)
{
	if (fake_take_requests(vcpu) & (V3_REQ_FLUSH | V3_REQ_VIEW))
		memset(cpu[vcpu->index].cached, 0, sizeof(cpu[0].cached));
}

/* The guest writes to the page. */
static void guest_write(struct v3_vm *vm, unsigned n, v3_gpa_t gpa)
{
	struct v3_vcpu *vcpu = vm->vcpu[n];

	cpu_enter(vcpu);
	for (unsigned tries = 0; !cpu[n].cached[gpa >> V3_PAGE_SHIFT]; tries++) {
		if (!CHECK_MSG(tries < 5, "%#llx faults for ever", (unsigned long long)gpa))
			return;
		(void)cpu_may_write(vcpu, gpa);
	}
}

static void guest_read(struct v3_vm *vm, v3_gpa_t gpa)
{
	unsigned level;

	if (!cpu_walk(&vm->mmu.nested, gpa, &level))
		CHECK_EQ(mem_vm_fault(0, gpa, V3_ACC_READ), V3_OK);
}

/* ---- what is expected ---- */

static uint64_t bitmap[NPAGES / 64];

static struct v3_vm *dirty_vm(enum v3_dirty_how wanted)
{
	struct v3_vm *vm;

	how = wanted;
	memset(cpu, 0, sizeof(cpu));
	mem_vm_free(NULL);
	vm = mem_vm_new(RAM);
	v3_lib.caps.nested_dirty = wanted != V3_DIRTY_PROTECT;
	v3_lib.caps.dirty_log = wanted == V3_DIRTY_LOG;
	for (unsigned i = 0; vm && i < MEM_VM_VCPUS; i++)
		vm->vcpu[i]->arch = &cpu_ops;
	return vm;
}

static bool in_bitmap(v3_gpa_t gpa)
{
	return bitmap[gpa >> V3_PAGE_SHIFT >> 6] >> (gpa >> V3_PAGE_SHIFT & 63) & 1;
}

/* Harvest everything: these pages and no others; up to the first 1. */
static void check_harvest_(struct v3_vm *vm, int line, const v3_gpa_t *pages)
{
	int n = 0;

	memset(bitmap, 0xff, sizeof(bitmap));
	for (; *pages != 1; pages++)
		n++;
	CHECK_MSG(v3_dirty_harvest(vm, 0, RAM, bitmap) == n, "line %d: not %d pages", line, n);
	for (; n; n--)
		CHECK_MSG(in_bitmap(*--pages), "line %d: %#llx is missing", line,
			  (unsigned long long)*pages);
}
#define check_harvest(vm, ...) check_harvest_(vm, __LINE__, (const v3_gpa_t[]){__VA_ARGS__ 1})

/* Each test for every way, and both formats but for the log, which only EPT has. */
#define DIRTY_TEST(name)                                                                           \
	static void dirty_##name(struct v3_vm *vm);                                                \
	static void test_##name(void)                                                              \
	{                                                                                          \
		int last = mem_vm_format == V3_NESTED_EPT ? V3_DIRTY_LOG : V3_DIRTY_BITS;          \
                                                                                                   \
		for (int w = V3_DIRTY_PROTECT; w <= last; w++) {                                   \
			struct v3_vm *vm = dirty_vm((enum v3_dirty_how)w);                         \
                                                                                                   \
			REQUIRE(vm);                                                               \
			dirty_##name(vm);                                                          \
		}                                                                                  \
	}                                                                                          \
	MEM_VM_BOTH(name)                                                                          \
	static void dirty_##name(struct v3_vm *vm)

/* ---- the guest's writes ---- */

DIRTY_TEST(finds_what_the_guest_writes)
{
	guest_write(vm, 0, 0x3000); /* before */
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	CHECK_EQ(vm->mem.dirty.how, how);
	check_harvest(vm, );
	guest_read(vm, 0x1000);
	guest_read(vm, 4 * MIB);
	check_harvest(vm, );
	guest_write(vm, 0, 0x1000);
	guest_write(vm, 1, 0x1000);
	guest_write(vm, 1, RAM - 1);
	check_harvest(vm, 0x1000, RAM - V3_PAGE_SIZE, );
	check_harvest(vm, );
	guest_write(vm, 0, 0x2000);
	guest_write(vm, 1, 0x1000);
	check_harvest(vm, 0x1000, 0x2000, );
	guest_write(vm, 0, 0x1000);
	check_harvest(vm, 0x1000, );
}

/* Only where the guest writes are small leaves. */
DIRTY_TEST(splits_only_what_is_written)
{
	struct v3_mem_stats s;

	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	for (v3_gpa_t gpa = 0; gpa < RAM; gpa += V3_SIZE_2M)
		guest_read(vm, gpa);
	v3_mem_get_stats(vm, &s);
	CHECK_EQ(s.leaves_2m, RAM / V3_SIZE_2M);
	guest_write(vm, 0, 3 * MIB);
	v3_mem_get_stats(vm, &s);
	CHECK_EQ(s.leaves_2m, RAM / V3_SIZE_2M - 1);
	CHECK_EQ(s.leaves_4k, 512);
	/* One fault for 2 MiB, if the CPU tells the rest. */
	guest_write(vm, 0, 3 * MIB + V3_PAGE_SIZE);
	CHECK_EQ(cpu[0].faults, how == V3_DIRTY_PROTECT ? 2 : 1);
	check_harvest(vm, 3 * MIB, 3 * MIB + V3_PAGE_SIZE, );
}

/* A vcpu comes with a read fault for a page that another has just written. */
DIRTY_TEST(late_read_fault_loses_nothing)
{
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	guest_write(vm, 0, 0x5000);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x5000, V3_ACC_READ), V3_OK);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x5000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x6000, V3_ACC_READ), V3_OK);
	check_harvest(vm, 0x5000, );
	guest_write(vm, 1, 0x6000);
	check_harvest(vm, 0x6000, );
}

static int ignore(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu, (void)mmio, (void)priv;
	return V3_OK;
}

/* The leaf that knows goes. */
DIRTY_TEST(page_that_is_hooked_afterwards)
{
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	guest_write(vm, 0, 0x5000);
	guest_write(vm, 0, 0x6000);
	CHECK_EQ(v3_mem_hook(vm, 0x5000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	check_harvest(vm, 0x5000, 0x6000, );
	guest_write(vm, 0, 0x6000);
	v3_mem_unhook(vm, 0x5000);
	guest_write(vm, 0, 0x7000);
	check_harvest(vm, 0x6000, 0x7000, );
	guest_write(vm, 0, 0x5000);
	check_harvest(vm, 0x5000, );
}

static int no_fault(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
		    void *priv)
{
	(void)vcpu, (void)view, (void)gpa, (void)access, (void)priv;
	return V3_EIO;
}

/* A page of the VM is its page on whatever view; a view's own page is not guest memory. */
DIRTY_TEST(writes_on_a_view)
{
	v3_hpa_t own = v3_host_page_alloc(1, V3_NODE_ANY);
	struct v3_view *view, *late;
	uint32_t word = 0;

	REQUIRE_EQ(v3_view_create(vm, no_fault, NULL, &view), V3_OK);
	CHECK_EQ(v3_view_set_page(view, 0x8000, V3_ACC_ALL, own), V3_OK);
	CHECK_EQ(v3_view_set_page(view, 0x9000, V3_ACC_READ | V3_ACC_WRITE, V3_HPA_NONE), V3_OK);
	v3_vcpu_set_view(vm->vcpu[1], view);
	guest_write(vm, 1, 0xa000);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	guest_write(vm, 1, 0x8000);
	CHECK_EQ(v3_mem_access(vm->vcpu[1], 0x8000, &word, 4, true), V3_OK);
	check_harvest(vm, );
	guest_write(vm, 1, 0x9000);
	guest_write(vm, 1, 0xa000);
	guest_write(vm, 0, 0xa000);
	guest_write(vm, 0, 0x8000);
	CHECK_EQ(v3_mem_access(vm->vcpu[1], 0xb000, &word, 4, true), V3_OK);
	check_harvest(vm, 0x8000, 0x9000, 0xa000, 0xb000, );
	guest_write(vm, 1, 0xa000);
	CHECK_EQ(v3_view_clear_page(view, 0x8000), V3_OK);
	guest_write(vm, 1, 0x8000);
	check_harvest(vm, 0x8000, 0xa000, );
	REQUIRE_EQ(v3_view_create(vm, no_fault, NULL, &late), V3_OK);
	v3_vcpu_set_view(vm->vcpu[1], late);
	guest_write(vm, 1, 0xc000);
	check_harvest(vm, 0xc000, );
	v3_vcpu_set_view(vm->vcpu[1], NULL);
	v3_host_page_free(own, 1);
}

/* ---- the VMM's writes ---- */

DIRTY_TEST(finds_what_the_vmm_writes)
{
	uint8_t buf[64] = {1};

	CHECK_EQ(v3_mem_write(vm, 0x1000, buf, 1), V3_OK);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	CHECK_EQ(v3_mem_read(vm, 0x1000, buf, 64), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x2000, buf, 8, false), V3_OK);
	CHECK_EQ(v3_gva_read(vm->vcpu[0], 0x3000, buf, 8, V3_ACC_READ, 0, NULL), V3_OK);
	check_harvest(vm, );
	CHECK_EQ(v3_mem_write(vm, 0x1000, buf, 1), V3_OK);
	CHECK_EQ(v3_mem_write(vm, 0x2ffe, buf, 4), V3_OK);
	CHECK_EQ(v3_mem_set(vm, V3_SIZE_2M - 1, 0, 2), V3_OK);
	CHECK_EQ(v3_mem_write(vm, RAM - 1, buf, 2), V3_EFAULT);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x5008, buf, 8, true), V3_OK);
	CHECK_EQ(v3_gva_write(vm->vcpu[0], 0x6ffe, buf, 4, 0, NULL), V3_OK);
	v3_mem_wrote(vm, 0x9fff, 2);
	v3_mem_wrote(vm, 0xb000, 0);
	check_harvest(vm, 0x1000, 0x2000, 0x3000, V3_SIZE_2M - V3_PAGE_SIZE, V3_SIZE_2M, 0x5000,
		      0x6000, 0x7000, 0x9000, 0xa000, );
	check_harvest(vm, );
	/* The same page, by both. */
	guest_write(vm, 0, 0x1000);
	CHECK_EQ(v3_mem_write(vm, 0x1000, buf, 1), V3_OK);
	check_harvest(vm, 0x1000, );
	guest_write(vm, 0, 0x1000);
	check_harvest(vm, 0x1000, );
}

/* The walker sets accessed and dirty bits in the guest's tables: 32-bit paging, tables at 0x10000. */
DIRTY_TEST(finds_accessed_bits_of_the_walker)
{
	const uint32_t pde = 0x11007, pte = 0x12007;
	struct v3_vcpu *vcpu = vm->vcpu[0];
	v3_gpa_t gpa;

	CHECK_EQ(v3_mem_write(vm, 0x10000, &pde, 4), V3_OK);
	CHECK_EQ(v3_mem_write(vm, 0x11000, &pte, 4), V3_OK);
	vcpu->cr0 = V3_CR0_PE | V3_CR0_PG;
	vcpu->cr3 = 0x10000;
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	CHECK_EQ(v3_gva_translate(vcpu, 0, V3_ACC_READ, 0, &gpa, NULL), V3_OK);
	check_harvest(vm, 0x10000, 0x11000, );
	CHECK_EQ(v3_gva_translate(vcpu, 0, V3_ACC_READ, 0, &gpa, NULL), V3_OK);
	check_harvest(vm, );
	CHECK_EQ(v3_gva_translate(vcpu, 0, V3_ACC_WRITE, 0, &gpa, NULL), V3_OK);
	check_harvest(vm, 0x11000, );
}

/* ---- ranges, start and stop ---- */

DIRTY_TEST(range)
{
	uint64_t words[16];
	uint8_t byte = 0;

	CHECK_EQ(v3_dirty_harvest(vm, 0, RAM, bitmap), V3_ENOENT);
	CHECK_EQ(v3_dirty_start(vm, 0x1000, V3_SIZE_2M), V3_EINVAL);
	CHECK_EQ(v3_dirty_start(vm, 0, V3_SIZE_2M + 1), V3_EINVAL);
	CHECK_EQ(v3_dirty_start(vm, 0, 0), V3_EINVAL);
	CHECK_EQ(v3_dirty_start(vm, 1ull << 40, V3_SIZE_2M), V3_EINVAL);
	CHECK_EQ(v3_dirty_start(vm, 4 * MIB, 4 * MIB), V3_OK);
	CHECK_EQ(v3_dirty_start(vm, 4 * MIB, 4 * MIB), V3_EBUSY);
	CHECK_EQ(v3_dirty_harvest(vm, 2 * MIB, 4 * MIB, bitmap), V3_EINVAL);
	CHECK_EQ(v3_dirty_harvest(vm, 4 * MIB, 6 * MIB, bitmap), V3_EINVAL);
	CHECK_EQ(v3_dirty_harvest(vm, 4 * MIB, 0, bitmap), V3_EINVAL);
	CHECK_EQ(v3_dirty_harvest(vm, 4 * MIB, ALL, bitmap), V3_EINVAL);
	CHECK_EQ(v3_dirty_harvest(vm, 5 * MIB, V3_SIZE_2M, bitmap), V3_EINVAL);
	guest_write(vm, 0, 2 * MIB);
	CHECK_EQ(mem_walk(vm->mmu.nested.root, 4, 2 * MIB).size, V3_SIZE_2M);
	guest_write(vm, 0, 4 * MIB);
	guest_write(vm, 0, 8 * MIB - 1);
	CHECK_EQ(v3_mem_write(vm, 8 * MIB, &byte, 1), V3_OK);
	CHECK_EQ(v3_dirty_harvest(vm, 6 * MIB, V3_SIZE_2M, words), 1);
	CHECK_EQ(words[7], 1ull << 63);
	CHECK_EQ(v3_dirty_harvest(vm, 4 * MIB, 4 * MIB, words), 1);
	CHECK_EQ(words[0], 1);
	v3_dirty_stop(vm);
}

DIRTY_TEST(stop_and_start_again)
{
	uint8_t byte = 0;

	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	guest_write(vm, 0, 0x1000);
	guest_read(vm, 8 * MIB);
	CHECK_EQ(v3_mem_write(vm, 0x2000, &byte, 1), V3_OK);
	v3_dirty_stop(vm);
	v3_dirty_stop(vm);
	CHECK_EQ(v3_dirty_harvest(vm, 0, RAM, bitmap), V3_ENOENT);
	CHECK_EQ(v3_mem_write(vm, 0x3000, &byte, 1), V3_OK);
	guest_write(vm, 0, 0x4000);
	guest_write(vm, 1, 8 * MIB);
	CHECK_EQ(mem_walk(vm->mmu.nested.root, 4, 0x4000).size, V3_SIZE_2M);
	CHECK_EQ(mem_walk(vm->mmu.nested.root, 4, 8 * MIB).size, V3_SIZE_2M);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	check_harvest(vm, );
	guest_write(vm, 0, 0x4000);
	check_harvest(vm, 0x4000, );
}

/* Each vcpu loads its root again, and drops what it has cached, when the way of tracking changes. */
DIRTY_TEST(vcpus_hear_of_it)
{
	struct v3_vcpu *vcpu = vm->vcpu[1];

	fake_take_requests(vcpu);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	CHECK_EQ(fake_take_requests(vcpu), V3_REQ_VIEW | V3_REQ_FLUSH);
	CHECK(v3_dirty_harvest(vm, 0, RAM, bitmap) == 0);
	CHECK_EQ(fake_take_requests(vcpu), 0);
	guest_write(vm, 0, 0x1000);
	CHECK(v3_dirty_harvest(vm, 0, RAM, bitmap) == 1);
	CHECK_EQ(fake_take_requests(vcpu), V3_REQ_FLUSH);
	v3_dirty_stop(vm);
	CHECK_EQ(fake_take_requests(vcpu), V3_REQ_VIEW | V3_REQ_FLUSH);
}

/* ---- shortage ---- */

static int start(void *arg)
{
	return v3_dirty_start(arg, 0, ALL);
}

static void stop(void *arg)
{
	struct v3_vm *vm = arg;

	v3_dirty_stop(vm);
	v3_dirty_fini(&vm->mem);
}

DIRTY_TEST(out_of_memory)
{
	CHECK(fake_host_oom_each_step(start, stop, vm) > 0);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	guest_read(vm, 0x1000);
	fake_host_fail_at(1);
	CHECK_EQ(mem_vm_fault(0, 0x1000, V3_ACC_WRITE), V3_ENOMEM);
	CHECK(fake_host_refused());
	fake_host_fail_at(0);
	guest_write(vm, 0, 0x1000);
	check_harvest(vm, 0x1000, );
}

/* ---- anything in any order ---- */

DIRTY_TEST(random)
{
	bool expected[NPAGES] = {false};
	bool rom;

	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	for (unsigned step = 0; step < 4000; step++) {
		unsigned n = (unsigned)(tap_rand() % NPAGES), wrong = 0;
		v3_gpa_t gpa = n * V3_PAGE_SIZE;
		int count = 0, got;

		switch (tap_rand() % 64) {
		case 0:
			for (unsigned i = 0; i < NPAGES; i++)
				count += expected[i];
			got = v3_dirty_harvest(vm, 0, RAM, bitmap);
			CHECK_EQ(got, count);
			for (unsigned i = 0; i < NPAGES; i++)
				wrong += expected[i] != in_bitmap(i * V3_PAGE_SIZE);
			CHECK_EQ(wrong, 0);
			memset(expected, 0, sizeof(expected));
			break;
		case 1:
			if (v3_mem_hook(vm, gpa, V3_ACC_WRITE, ignore, NULL) == V3_OK)
				v3_mem_unhook(vm, gpa);
			break;
		case 2 ... 10:
			guest_read(vm, gpa);
			break;
		case 11 ... 20:
			v3_mem_wrote(vm, gpa, 1);
			expected[n] = true;
			break;
		default:
			guest_write(vm, (unsigned)(tap_rand() % MEM_VM_VCPUS), gpa);
			expected[n] = true;
			break;
		}
	}
	CHECK(v3_mem_hpa(&vm->mem, 0, &rom) != V3_HPA_NONE);
}

/* A vcpu that runs while another thread copies what it changes: in the end the copy is the memory. */
static void *copy_thread(void *arg)
{
	struct v3_vm *vm = arg;
	struct v3_vcpu *vcpu = vm->vcpu[0];
	uint64_t rnd = 88172645463325252ull;

	for (unsigned n = 0; n < 30000; n++) {
		v3_gpa_t gpa;

		rnd ^= rnd << 13;
		rnd ^= rnd >> 7;
		rnd ^= rnd << 17;
		gpa = (rnd % 64) * (V3_SIZE_2M / 16);
		__atomic_store_n(&vcpu->in_guest, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST)) {
			__atomic_store_n(&vcpu->in_guest, 0, __ATOMIC_SEQ_CST);
			cpu_enter(vcpu);
			continue;
		}
		if (cpu[0].cached[gpa >> V3_PAGE_SHIFT])
			__atomic_store_n((uint64_t *)v3_mem_hva(vm, gpa), n, __ATOMIC_SEQ_CST);
		__atomic_store_n(&vcpu->in_guest, 0, __ATOMIC_SEQ_CST);
		if (!cpu[0].cached[gpa >> V3_PAGE_SHIFT])
			(void)cpu_may_write(vcpu, gpa); /* and writes next time */
	}
	return NULL;
}

static bool copy_pages(struct v3_vm *vm, uint64_t *copy)
{
	if (!CHECK(v3_dirty_harvest(vm, 0, RAM, bitmap) >= 0))
		return false;
	for (unsigned i = 0; i < 64; i++)
		if (in_bitmap(i * (V3_SIZE_2M / 16)))
			copy[i] = __atomic_load_n((uint64_t *)v3_mem_hva(vm, i * (V3_SIZE_2M / 16)),
						  __ATOMIC_SEQ_CST);
	return true;
}

DIRTY_TEST(concurrent_copy)
{
	uint64_t copy[64] = {0};
	pthread_t thread;

	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	REQUIRE_EQ(pthread_create(&thread, NULL, copy_thread, vm), 0);
	for (unsigned i = 0; i < 200 && copy_pages(vm, copy); i++)
		continue;
	pthread_join(thread, NULL);
	copy_pages(vm, copy);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQ(copy[i], *(uint64_t *)v3_mem_hva(vm, i * (V3_SIZE_2M / 16)));
}

/* ---- the log ---- */

static void test_log_overflows(void)
{
	struct v3_vm *vm;

	mem_vm_format = V3_NESTED_EPT;
	vm = dirty_vm(V3_DIRTY_LOG);
	REQUIRE(vm);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	for (unsigned i = 0; i < 3 * LOG_SIZE; i++)
		guest_write(vm, 0, i * V3_PAGE_SIZE);
	CHECK_EQ(cpu[0].full, 2);
	CHECK_EQ(v3_dirty_harvest(vm, 0, RAM, bitmap), 3 * LOG_SIZE);
	CHECK_EQ(cpu[0].logged, 0);
	check_harvest(vm, );
}

/* What an earlier tracker left in a log is not what the next one finds. */
static void test_log_is_empty_at_start(void)
{
	struct v3_vm *vm;

	mem_vm_format = V3_NESTED_EPT;
	vm = dirty_vm(V3_DIRTY_LOG);
	REQUIRE(vm);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	guest_write(vm, 0, 0x1000);
	v3_dirty_stop(vm);
	CHECK_EQ(cpu[0].logged, 1);
	CHECK_EQ(v3_dirty_start(vm, 0, ALL), V3_OK);
	CHECK_EQ(cpu[0].logged, 0);
	check_harvest(vm, );
}

static const struct tap_test tests[] = {
	MEM_VM_ROWS(finds_what_the_guest_writes) MEM_VM_ROWS(splits_only_what_is_written)
		MEM_VM_ROWS(late_read_fault_loses_nothing)
			MEM_VM_ROWS(page_that_is_hooked_afterwards) MEM_VM_ROWS(writes_on_a_view)
				MEM_VM_ROWS(finds_what_the_vmm_writes)
					MEM_VM_ROWS(finds_accessed_bits_of_the_walker)
						MEM_VM_ROWS(range) MEM_VM_ROWS(stop_and_start_again)
							MEM_VM_ROWS(vcpus_hear_of_it) MEM_VM_ROWS(
								out_of_memory) MEM_VM_ROWS(random)
								MEM_VM_ROWS(concurrent_copy)
									TAP(test_log_overflows),
	TAP(test_log_is_empty_at_start),
};

TAP_MAIN(tests)
