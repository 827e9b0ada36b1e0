/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_view.c
 * Views: page permissions and backing, switching, what the guest sees through emulated accesses and walks,
 * and that changes of the VM's map reach every view. All of it for both nested formats.
 */
#include "mem_vm.h"

#include "mmu/view.h"

#define MIB 0x100000ull

struct faults {
	unsigned calls;
	v3_gpa_t gpa;
	unsigned access;
	struct v3_view *view;
	int result;
	bool lift; /* give the page all permissions */
};

static int note(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
		void *priv)
{
	struct faults *f = priv;

	f->calls++;
	f->gpa = gpa;
	f->access = access;
	f->view = view;
	CHECK(v3_vcpu_view(vcpu) == view);
	if (f->lift)
		CHECK_EQ(v3_view_set_page(view, gpa & V3_PAGE_MASK, V3_ACC_ALL, V3_HPA_NONE),
			 V3_OK);
	return f->result;
}

static int ignore(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu, (void)priv;
	mmio->value = 0x77;
	return V3_OK;
}

static struct mem_leaf leaf_at(struct v3_view *view, v3_gpa_t gpa)
{
	return mem_walk(view->table.root, view->table.levels, gpa);
}

/* VM with 8 MiB, one view, vcpu 0 on it. */
static struct v3_vm *view_vm(struct v3_view **view, struct faults *f)
{
	struct v3_vm *vm = mem_vm_new(8 * MIB);

	memset(f, 0, sizeof(*f));
	if (!vm || !CHECK_EQ(v3_view_create(vm, note, f, view), V3_OK))
		return NULL;
	v3_vcpu_set_view(vm->vcpu[0], *view);
	return vm;
}

static void test_view_begins_as_the_vm(void)
{
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;
	bool rom;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	CHECK_EQ(mem_vm_fault(0, 0x300000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(view, 0x345678).size, V3_SIZE_2M);
	CHECK_EQ(leaf_at(view, 0x345678).perm, V3_ACC_ALL);
	CHECK_EQ(leaf_at(view, 0x300000).hpa, v3_mem_hpa(&vm->mem, 0x300000, &rom));
	CHECK(!mem_walk(vm->mmu.nested.root, 4, 0x300000)
		       .present); /* the VM's own is not touched */
	CHECK_EQ(f.calls, 0);
}

static void test_view_switch_changes_root(void)
{
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	CHECK_EQ(vm->vcpu[0]->requests, V3_REQ_VIEW);
	CHECK_EQ(v3_mmu_root(vm->vcpu[0]), view->table.root);
	CHECK_EQ(v3_mmu_root(vm->vcpu[1]), vm->mmu.nested.root);
	CHECK(view->table.root != vm->mmu.nested.root);
	vm->vcpu[0]->requests = 0;
	v3_vcpu_set_view(vm->vcpu[0], view); /* no change */
	CHECK_EQ(vm->vcpu[0]->requests, 0);
	v3_vcpu_set_view(vm->vcpu[0], NULL);
	CHECK_EQ(vm->vcpu[0]->requests, V3_REQ_VIEW);
	CHECK_EQ(v3_mmu_root(vm->vcpu[0]), vm->mmu.nested.root);
	CHECK(!v3_vcpu_view(vm->vcpu[0]));
}

static void test_view_destroy_only_when_unused(void)
{
	struct v3_view *view, *other;
	struct v3_vm *vm;
	struct faults f;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	REQUIRE_EQ(v3_view_create(vm, note, &f, &other), V3_OK);
	CHECK_EQ(v3_view_destroy(view), V3_EBUSY);
	CHECK_EQ(v3_view_destroy(other), V3_OK);
	v3_vcpu_set_view(vm->vcpu[0], NULL);
	CHECK_EQ(v3_view_destroy(view), V3_OK);
	CHECK_EQ(v3_view_destroy(NULL), V3_OK);
	CHECK(!vm->mmu.views);
}

static void test_view_checks_arguments(void)
{
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	CHECK_EQ(v3_view_create(vm, NULL, NULL, &view), V3_EINVAL);
	CHECK_EQ(v3_view_set_page(view, 0x1001, V3_ACC_ALL, V3_HPA_NONE), V3_EINVAL);
	CHECK_EQ(v3_view_set_page(view, 0x1000, 8, V3_HPA_NONE), V3_EINVAL);
	CHECK_EQ(v3_view_set_page(view, 0x1000, V3_ACC_ALL, 0x123), V3_EINVAL);
	CHECK_EQ(v3_view_set_page(view, 0x1000, V3_ACC_ALL, 1ull << 40), V3_EINVAL);
	CHECK_EQ(v3_view_set_page(view, 8 * MIB, V3_ACC_ALL, V3_HPA_NONE), V3_ENOENT);
	CHECK_EQ(v3_view_set_page(view, ~0xfffull, V3_ACC_ALL, V3_HPA_NONE), V3_ENOENT);
	CHECK_EQ(v3_view_set_page(view, 0x1000, V3_ACC_WRITE, V3_HPA_NONE), V3_ENOTSUP);
	CHECK_EQ(v3_view_set_page(view, 0x1000, V3_ACC_EXEC, V3_HPA_NONE),
		 v3_lib.caps.nested_exec_only ? V3_OK : V3_ENOTSUP);
	CHECK_EQ(v3_view_set_page(view, 0x1000, V3_ACC_WRITE | V3_ACC_EXEC, V3_HPA_NONE),
		 V3_ENOTSUP);
	CHECK_EQ(v3_view_clear_page(view, 0x1001), V3_EINVAL);
	CHECK_EQ(v3_view_clear_page(view, 0x1000), V3_OK);
	CHECK_EQ(v3_view_clear_page(view, ~0xfffull), V3_OK);
}

/* Every permission that the format can express, and every access against it. */
static void test_view_permissions(void)
{
	static const unsigned perms[] = {0, 1, 1 | 2, 1 | 4, 1 | 2 | 4, 4}; /* the last: EPT only */
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(perms) - !v3_lib.caps.nested_exec_only; i++) {
		v3_gpa_t gpa = 0x210000 + i * 4096;

		REQUIRE_EQ(v3_view_set_page(view, gpa, perms[i], V3_HPA_NONE), V3_OK);
		for (unsigned access = 1; access <= 4; access *= 2) {
			f.calls = 0;
			CHECK_EQ(mem_vm_fault(0, gpa + 0x123, access), V3_OK);
			CHECK_EQ(f.calls, !(access & perms[i]));
			if (f.calls)
				CHECK(f.gpa == gpa + 0x123 && f.access == access && f.view == view);
			else
				CHECK_EQ(leaf_at(view, gpa).perm, perms[i]);
		}
		CHECK_EQ(leaf_at(view, gpa).present, perms[i] != 0);
	}
	CHECK_EQ(mem_vm_fault(0, 0x21f000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(view, 0x21f000).size, 4096);
	CHECK_EQ(leaf_at(view, 0x21f000).perm, V3_ACC_ALL);
	f.result = V3_EIO;
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_READ), V3_EIO);
	/* The VM itself and its other vcpu are free. */
	f.calls = 0;
	CHECK_EQ(mem_vm_fault(1, 0x210000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(mem_walk(vm->mmu.nested.root, 4, 0x210000).size, V3_SIZE_2M);
	CHECK_EQ(f.calls, 0);
}

static void test_view_takes_mapped_pages_back(void)
{
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(view, 0x210000).size, V3_SIZE_2M);
	fake_take_requests(vm->vcpu[0]);
	CHECK_EQ(v3_view_set_page(view, 0x210000, V3_ACC_READ, V3_HPA_NONE), V3_OK);
	CHECK_EQ(fake_take_requests(vm->vcpu[0]) & V3_REQ_FLUSH, V3_REQ_FLUSH);
	CHECK(!leaf_at(view, 0x210000).present);
	CHECK_EQ(leaf_at(view, 0x211000).size, 4096);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_READ), V3_OK);
	CHECK_EQ(leaf_at(view, 0x210000).perm, V3_ACC_READ);
	CHECK_EQ(v3_view_clear_page(view, 0x210000), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(view, 0x210000).size, V3_SIZE_2M); /* nothing special is left there */
	CHECK_EQ(view->pages.count, 0);
}

static void test_view_own_host_page(void)
{
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;
	v3_hpa_t page;
	uint32_t word;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	page = v3_host_page_alloc(1, -1);
	REQUIRE(page != V3_HPA_NONE);
	strcpy(v3_host_pa_to_va(page), "own");
	strcpy((char *)v3_mem_hva(vm, 0x210000), "vms");
	REQUIRE_EQ(v3_view_set_page(view, 0x210000, V3_ACC_READ | V3_ACC_WRITE, page), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(view, 0x210000).hpa, page);
	CHECK_EQ(leaf_at(view, 0x210000).perm, V3_ACC_READ | V3_ACC_WRITE);
	/* Emulated accesses see what the guest sees; the VM's memory is another. */
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x210000, &word, 4, false), V3_OK);
	CHECK_MEM(&word, "own", 4);
	CHECK_EQ(v3_mem_access(vm->vcpu[1], 0x210000, &word, 4, false), V3_OK);
	CHECK_MEM(&word, "vms", 4);
	CHECK(v3_mem_direct(vm->vcpu[0], 0x210004, 4, true) ==
	      (uint8_t *)v3_host_pa_to_va(page) + 4);
	CHECK(v3_mem_direct(vm->vcpu[1], 0x210004, 4, true) == v3_mem_hva(vm, 0x210004));
	CHECK_EQ(v3_mem_read(vm, 0x210000, &word, 4), V3_OK);
	CHECK_MEM(&word, "vms", 4);
	memcpy(&word, "new", 4);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x210000, &word, 4, true), V3_OK);
	CHECK_STR((char *)v3_host_pa_to_va(page), "new");
	CHECK_EQ(v3_view_set_page(view, 0x210000, V3_ACC_READ, V3_HPA_NONE), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_READ), V3_OK);
	CHECK(leaf_at(view, 0x210000).hpa != page);
	v3_host_page_free(page, 1);
}

/* The guest's page tables and code are those the view shows. */
static void test_view_walks_its_own_pages(void)
{
	struct v3_view *view;
	struct v3_vcpu *v;
	struct v3_vm *vm;
	struct faults f;
	struct v3_walk w;
	v3_hpa_t table, code;
	uint8_t buf[4];
	size_t got;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	v = vm->vcpu[0];
	v->cr0 = V3_CR0_PE | V3_CR0_PG;
	v->cr3 = 0x210000;
	table = v3_host_page_alloc(1, -1);
	code = v3_host_page_alloc(1, -1);
	REQUIRE(table != V3_HPA_NONE && code != V3_HPA_NONE);
	*(uint32_t *)v3_host_pa_to_va(table) = 0x211007;
	((uint32_t *)v3_mem_hva(vm, 0x211000))[5] = 0x300007;
	strcpy(v3_host_pa_to_va(code), "abc");
	REQUIRE_EQ(v3_view_set_page(view, 0x210000, V3_ACC_READ, table), V3_OK);
	REQUIRE_EQ(v3_view_set_page(view, 0x300000, V3_ACC_READ | V3_ACC_EXEC, code), V3_OK);
	CHECK_EQ(v3_walk(v, 0x5123, V3_ACC_READ, 0, &w), V3_OK);
	CHECK_EQ(w.gpa, 0x300123);
	CHECK_EQ(*(uint32_t *)v3_host_pa_to_va(table), 0x211027);
	v->regs.rip = 0x5000;
	CHECK_EQ(v3_fetch(v, buf, 4, &got), V3_OK);
	CHECK_MEM(buf, "abc", 4);
	v3_vcpu_set_view(v, NULL);
	CHECK_EQ(v3_walk(v, 0x5123, V3_ACC_READ, 0, &w), V3_EFAULT);
	v3_host_page_free(table, 1);
	v3_host_page_free(code, 1);
}

static void test_view_stops_emulated_accesses(void)
{
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;
	uint32_t word = 5;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	REQUIRE_EQ(v3_view_set_page(view, 0x210000, V3_ACC_READ, V3_HPA_NONE), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x210000, &word, 4, false), V3_OK);
	CHECK_EQ(word, 0);
	word = 5;
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x210010, &word, 4, true), V3_EFAULT);
	CHECK(f.calls == 1 && f.gpa == 0x210010 && f.access == V3_ACC_WRITE);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vm, 0x210010), 0);
	CHECK(v3_mem_direct(vm->vcpu[0], 0x210010, 4, false));
	CHECK(!v3_mem_direct(vm->vcpu[0], 0x210010, 4, true));
	CHECK(v3_mem_direct(vm->vcpu[1], 0x210010, 4, true));
	f.lift = true; /* tried again, the access goes through */
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x210010, &word, 4, true), V3_EFAULT);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x210010, &word, 4, true), V3_OK);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vm, 0x210010), 5);
	f.result = V3_EIO;
	CHECK_EQ(v3_view_set_page(view, 0x210000, 0, V3_HPA_NONE), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x210010, &word, 4, true), V3_EIO);
}

static void test_view_follows_changes_of_the_map(void)
{
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;
	uint32_t word;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0xc0000000, 4096, ignore, NULL), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(v3_mem_hook(vm, 0x210000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	CHECK(!leaf_at(view, 0x210000).present);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_READ), V3_OK);
	CHECK_EQ(leaf_at(view, 0x210000).perm, V3_ACC_READ | V3_ACC_EXEC);
	CHECK_EQ(v3_mmio_move(vm, 0xc0000000, 0x212000), V3_OK);
	CHECK(!leaf_at(view, 0x212000).present);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x212000, &word, 4, false), V3_OK);
	CHECK_EQ(word, 0x77);
	CHECK_EQ(v3_mmio_move(vm, 0x212000, 0xc0000000), V3_OK);
	v3_mem_unhook(vm, 0x210000);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(view, 0x210000).size, V3_SIZE_2M);
	/* The view's permission and the hook's together. */
	CHECK_EQ(v3_view_set_page(view, 0x213000, V3_ACC_READ | V3_ACC_WRITE, V3_HPA_NONE), V3_OK);
	CHECK_EQ(v3_mem_hook(vm, 0x213000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x213000, V3_ACC_READ), V3_OK);
	CHECK_EQ(leaf_at(view, 0x213000).perm, V3_ACC_READ);
	CHECK_EQ(f.calls, 0);
}

static void test_view_tables_are_counted(void)
{
	struct v3_mem_stats before, after;
	struct v3_view *view;
	struct v3_vm *vm;
	struct faults f;

	vm = view_vm(&view, &f);
	REQUIRE(vm);
	v3_mem_get_stats(vm, &before);
	CHECK_EQ(mem_vm_fault(0, 0x210000, V3_ACC_WRITE), V3_OK);
	v3_mem_get_stats(vm, &after);
	CHECK_EQ(after.table_pages, before.table_pages + 2);
	CHECK_EQ(after.leaves_2m, before.leaves_2m); /* the VM's own */
	CHECK_EQ(v3_view_set_page(view, 0x210000, V3_ACC_READ, V3_HPA_NONE), V3_OK);
	v3_mem_get_stats(vm, &after);
	CHECK_EQ(after.table_pages, before.table_pages + 3);
	CHECK_EQ(v3_view_clear_page(view, 0x210000), V3_OK);
	v3_mem_get_stats(vm, &after);
	CHECK_EQ(after.table_pages, before.table_pages + 2);
}

/* Random pages, permissions and backings of two views: each shows what it was told, no more. */
static void test_view_random_pages(void)
{
	enum { PAGES = 1024, OWN = 8 };
	static uint8_t want[2][PAGES]; /* permissions | 8 if special | own page << 4 */
	struct v3_view *view[2];
	v3_hpa_t own[OWN];
	struct v3_vm *vm;
	struct faults f;

	vm = view_vm(&view[0], &f);
	REQUIRE(vm);
	REQUIRE_EQ(v3_view_create(vm, note, &f, &view[1]), V3_OK);
	memset(want, 0, sizeof(want));
	for (unsigned i = 0; i < OWN; i++)
		REQUIRE((own[i] = v3_host_page_alloc(1, -1)) != V3_HPA_NONE);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned n = tap_rand() % 2, page = tap_rand() % PAGES,
			 access = 1u << tap_rand() % 3;
		unsigned perm = tap_rand() % 3 ? 1 | (tap_rand() & 6) : 0,
			 with = tap_rand() % (OWN + 1);
		v3_gpa_t gpa = (v3_gpa_t)page << 12;
		struct mem_leaf leaf;
		bool rom;

		if (tap_rand() % 4 == 0) {
			CHECK_EQ(v3_view_set_page(view[n], gpa, perm,
						  with < OWN ? own[with] : V3_HPA_NONE),
				 V3_OK);
			want[n][page] = (uint8_t)(perm | 8 | (with < OWN ? with + 1 : 0) << 4);
		} else if (tap_rand() % 3 == 0) {
			CHECK_EQ(v3_view_clear_page(view[n], gpa), V3_OK);
			want[n][page] = 0;
		}
		v3_vcpu_set_view(vm->vcpu[0], view[n]);
		f.calls = 0;
		CHECK_EQ(mem_vm_fault(0, gpa, access), V3_OK);
		perm = want[n][page] ? want[n][page] & 7 : 7;
		CHECK_EQ(f.calls, !(perm & access));
		leaf = leaf_at(view[n], gpa);
		with = want[n][page] >> 4;
		if (leaf.present)
			CHECK(leaf.perm == perm &&
			      leaf.hpa == (with ? own[with - 1] : v3_mem_hpa(&vm->mem, gpa, &rom)));
		else
			CHECK_EQ(f.calls, 1);
	}
	for (unsigned i = 0; i < OWN; i++)
		v3_host_page_free(own[i], 1);
}

static int oom_create(void *arg)
{
	struct v3_view **view = arg;
	int err = v3_view_create(&mem_vm.vm, note, NULL, view);

	if (err)
		return err;
	err = v3_view_set_page(*view, 0x1000, V3_ACC_READ, V3_HPA_NONE);
	if (err)
		v3_view_destroy(*view);
	return err;
}

static void oom_destroy(void *arg)
{
	v3_view_destroy(*(struct v3_view **)arg);
}

static void test_view_out_of_memory_at_each_step(void)
{
	struct v3_view *view;

	REQUIRE(mem_vm_new(8 * MIB));
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, &view) >= 3);
}

#define TESTS(X)                                                                                   \
	X(view_begins_as_the_vm)                                                                   \
	X(view_switch_changes_root)                                                                \
	X(view_destroy_only_when_unused)                                                           \
	X(view_checks_arguments)                                                                   \
	X(view_permissions)                                                                        \
	X(view_takes_mapped_pages_back)                                                            \
	X(view_own_host_page)                                                                      \
	X(view_walks_its_own_pages)                                                                \
	X(view_stops_emulated_accesses)                                                            \
	X(view_follows_changes_of_the_map)                                                         \
	X(view_tables_are_counted)                                                                 \
	X(view_random_pages)                                                                       \
	X(view_out_of_memory_at_each_step)
TESTS(MEM_VM_BOTH)

static const struct tap_test tests[] = {TESTS(MEM_VM_ROWS)};
TAP_MAIN(tests)
