/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file main.c
 * From the multiboot information to the verdict: bring the machine up, hand the modules (each an image container of
 * v3-mkimage, and a VM) to the library, run them, switch off. Multiboot Specification 0.6.96, section 3.3.
 *
 * Command line:
 *   cpus=N       number of CPUs of this machine; else those that answer within 100 ms
 *   tsc_khz=N    frequency of the time stamp counter; else measured
 *   console=e9   console on port 0xe9 (Bochs) instead of COM1
 *   stats        print the exit statistics at the end of each run
 *   repeat=N     create, run and destroy the guests N times
 *   hook=GPA     intercept reads and writes of this page of guest RAM, and perform them
 *   view=GPA     vcpu 0 sees another page there, full of 0x5a and read-only; its first write ends that
 *   dirty        the guest can track its written pages, by ports (dirty.c)
 *   mirror       copy the guest's memory while it runs, and compare at the end (dirty.c)
 *   selftest     test the host functions instead of running a guest
 *   checks       let the library look for mistakes of its own before each entry
 *   software_apic  emulate local APICs also where the CPU can virtualize them
 *   vmxcaps      print the VMX capability MSRs instead of running a guest
 *   crash        write through a null pointer: tests that a crash is reported
 *
 * What is done to a guest beside running it is done to the first one.
 *
 * The last line printed is "palacios-host: exit STATUS": 0 power-off, the guest's own isa-debug-exit status, of several
 * guests that of the first one that is not 0; 125 when the VMM failed or this host crashed.
 */
#include "baremetal.h"
#include "cpu.h"
#include "hostops.h"

#include "palacios/palacios.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/view.h"

#define MULTIBOOT_MAGIC 0x2badb002
#define MBI_MEMORY	(1u << 0)
#define MBI_CMDLINE	(1u << 2)
#define MBI_MODULES	(1u << 3)
#define MBI_MMAP	(1u << 6)

#define LOW_MEMORY 0x100000ull /* below: firmware, trampoline */
#define MAX_RANGES 32
#define MAX_VMS	   4

struct mbi {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr;
};

struct mbi_module {
	uint32_t start, end, string, reserved;
};

struct mbi_mmap {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type; /* 1: RAM */
} __attribute__((packed));

static char main_cmdline[512];
static struct bm_range main_module[MAX_VMS]; /* the guests' image containers */
static unsigned main_nvms;

/* Does the word at @p begin with @name, and end there or at '='? @return what follows, or NULL. */
static const char *option_match(const char *p, const char *name)
{
	while (*name && *p == *name) {
		p++;
		name++;
	}
	return *name ? NULL : p;
}

static const char *option_find(const char *name)
{
	const char *p = main_cmdline, *end;

	while (*p) {
		while (*p == ' ')
			p++;
		end = option_match(p, name);
		if (end && (*end == ' ' || *end == '=' || !*end))
			return end;
		while (*p && *p != ' ')
			p++;
	}
	return NULL;
}

uint64_t bm_option(const char *name, uint64_t missing)
{
	const char *p = option_find(name);
	uint64_t v = 0;

	if (!p)
		return missing;
	if (*p != '=')
		return 1;
	for (p++; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v;
}

bool bm_option_is(const char *text)
{
	const char *p = option_find(text);

	return p && *p != '=';
}

/* isa-debug-exit ends QEMU, the word "Shutdown" at port 0x8900 ends Bochs; the verdict is the printed line. */
void bm_exit(int status)
{
	const char *word = "Shutdown";

	irq_off();
	bm_print("palacios-host: exit %d", status);
	bm_console_drain();
	outl(0xf4, (uint32_t)status);
	while (*word)
		outb(0x8900, (uint8_t)*word++);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* RAM ranges from the loader's map; without one, what it says about memory above 1 MiB. */
static unsigned main_read_ram(const struct mbi *mbi, struct bm_range *ram)
{
	const char *p = (const char *)(uint64_t)mbi->mmap_addr;
	const char *end = p + mbi->mmap_length;
	const struct mbi_mmap *e;
	unsigned n = 0;

	if (!(mbi->flags & MBI_MMAP)) {
		ram[0] = (struct bm_range){LOW_MEMORY, LOW_MEMORY + mbi->mem_upper * 1024ull};
		return mbi->flags & MBI_MEMORY ? 1 : 0;
	}
	for (; p < end && n < MAX_RANGES; p += e->size + sizeof(e->size)) {
		e = (const struct mbi_mmap *)p;
		if (e->type == 1 && e->length)
			ram[n++] = (struct bm_range){e->base, e->base + e->length};
	}
	return n;
}

static void main_init_memory(const struct mbi *mbi)
{
	const struct mbi_module *mods = (const struct mbi_module *)(uint64_t)mbi->mods_addr;
	struct bm_range ram[MAX_RANGES], taken[2 + MAX_VMS];
	unsigned nram = main_read_ram(mbi, ram), ntaken = 0;

	taken[ntaken++] = (struct bm_range){0, LOW_MEMORY};
	taken[ntaken++] = (struct bm_range){(uint64_t)bm_image_start, (uint64_t)bm_image_end};
	if (mbi->flags & MBI_MODULES)
		main_nvms = mbi->mods_count;
	if (main_nvms > MAX_VMS)
		bm_panic("more than %u modules", MAX_VMS);
	for (unsigned i = 0; i < main_nvms; i++) {
		main_module[i] = (struct bm_range){mods[i].start, mods[i].end};
		taken[ntaken++] = main_module[i];
	}
	if (!nram)
		bm_panic("the boot loader names no memory");
	bm_mem_init(ram, nram, taken, ntaken);
}

static void main_dump_line(void *priv, const char *line)
{
	(void)priv;
	bm_print("%s", line);
}

/* What the guest's end means for our exit status. */
static int main_verdict(struct v3_vm *vm)
{
	static const struct v3_text text = {main_dump_line, NULL};
	int status = 0;

	switch (v3_vm_stop_reason(vm, &status)) {
	case V3_STOP_POWEROFF:
		return 0;
	case V3_STOP_EXIT:
		return status & 0xff;
	case V3_STOP_FAILURE:
		v3_vm_dump(vm, &text);
		bm_print("palacios-host: the VM failed: %s", v3_strerror(status));
		return BM_EXIT_BROKEN;
	default:
		bm_print("palacios-host: the VM stopped without a reason");
		return BM_EXIT_BROKEN;
	}
}

/* A page hook that changes nothing but the price: for benches and tests of hooks. */
static int main_hooked(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	if (mmio->write)
		return v3_mem_write(priv, mmio->gpa, &mmio->value, mmio->size);
	mmio->value = 0;
	(void)vcpu;
	return v3_mem_read(priv, mmio->gpa, &mmio->value, mmio->size);
}

static int main_hook(struct v3_vm *vm)
{
	uint64_t page = bm_option("hook", 0);

	if (!page)
		return V3_OK;
	return v3_mem_hook(vm, page, V3_ACC_READ | V3_ACC_WRITE, main_hooked, vm);
}

/* A view in which one page is ours: for tests of views on real tables. */
struct main_view {
	struct v3_view *view;
	v3_hpa_t page; /* owned; V3_HPA_NONE: no view wanted */
};

static int main_view_fault(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa,
			   unsigned access, void *priv)
{
	(void)view;
	(void)priv;
	if (!(access & V3_ACC_WRITE))
		return V3_EINVAL; /* nothing else is forbidden */
	bm_print("view: write to %#llx", (unsigned long long)gpa);
	v3_vcpu_set_view(vcpu, NULL);
	return V3_OK;
}

static int main_make_view(struct v3_vm *vm, struct main_view *v)
{
	uint64_t gpa = bm_option("view", 0);
	int err;

	v->view = NULL;
	v->page = V3_HPA_NONE;
	if (!gpa)
		return V3_OK;
	v->page = bm_page_alloc(1, -1);
	if (v->page == V3_HPA_NONE)
		return V3_ENOMEM;
	memset((void *)v->page, 0x5a, V3_PAGE_SIZE);
	err = v3_view_create(vm, main_view_fault, NULL, &v->view);
	if (!err)
		err = v3_view_set_page(v->view, gpa, V3_ACC_READ | V3_ACC_EXEC, v->page);
	if (!err)
		v3_vcpu_set_view(v3_vm_vcpu(vm, 0), v->view);
	return err;
}

/* The VM does not run any more. A view that a vcpu is on must stay; one without must go. */
static int main_drop_view(struct v3_vm *vm, const struct main_view *v)
{
	struct v3_vcpu *vcpu = v3_vm_vcpu(vm, 0);
	int err = V3_OK;

	if (v->view && v3_vcpu_view(vcpu) == v->view) {
		err = v3_view_destroy(v->view) == V3_EBUSY ? V3_OK : V3_EINVAL;
		v3_vcpu_set_view(vcpu, NULL);
	}
	if (!err)
		err = v3_view_destroy(v->view);
	if (err)
		bm_print("palacios-host: cannot destroy the view: %s", v3_strerror(err));
	if (v->page != V3_HPA_NONE)
		bm_page_free(v->page, 1);
	return err;
}

/* A guest, from create to destroy. */
struct main_guest {
	struct bm_guest_tag tag;
	struct v3_vm *vm;      /* owned; NULL: not created */
	struct main_view view; /* of the first one */
};

static int main_wait(struct v3_vm *vm, bool first)
{
	int err = V3_OK;

	if (first && bm_option_is("mirror"))
		err = bm_mirror_run(vm);
	else
		v3_vm_wait(vm);
	return err ? BM_EXIT_BROKEN : main_verdict(vm);
}

static int main_create(struct main_guest *guest, unsigned i)
{
	size_t len = main_module[i].end - main_module[i].start;
	int err;

	guest->view.page = V3_HPA_NONE;
	guest->tag.first = !i;
	v3_snprintf(guest->tag.prefix, sizeof(guest->tag.prefix), "vm%u: ", i + 1);
	err = v3_vm_create((const void *)main_module[i].start, len,
			   main_nvms > 1 ? &guest->tag : NULL, &guest->vm);
	if (err)
		bm_print("palacios-host: cannot create the VM: %s", v3_strerror(err));
	return err;
}

/* What is done to the first guest beside running it. */
static int main_prepare(struct main_guest *guest)
{
	int err = main_make_view(guest->vm, &guest->view);

	if (!err)
		err = main_hook(guest->vm);
	if (!err && bm_option_is("dirty"))
		err = bm_dirty_init(guest->vm);
	if (!err && bm_option_is("mirror"))
		err = bm_mirror_start(guest->vm);
	return err;
}

static int main_start(struct main_guest *guest, bool first)
{
	int err = first ? main_prepare(guest) : V3_OK;

	if (!err)
		err = v3_vm_start(guest->vm);
	if (err)
		bm_print("palacios-host: cannot start the VM: %s", v3_strerror(err));
	return err;
}

/* @return 0, or BM_EXIT_BROKEN */
static int main_destroy(struct main_guest *guest, bool first)
{
	int status = 0;

	if (!guest->vm)
		return 0;
	if (first)
		bm_mirror_end();
	if (bm_option_is("stats"))
		v3_vm_print_stats(guest->vm);
	if (first && main_drop_view(guest->vm, &guest->view))
		status = BM_EXIT_BROKEN;
	v3_vm_destroy(guest->vm);
	return status;
}

/* All of them at once. @return the status of the first one whose status is not 0 */
static int main_run_guests(void)
{
	static struct main_guest guest[MAX_VMS];
	int err = V3_OK, status = 0, result;
	unsigned i;

	memset(guest, 0, sizeof(guest));
	for (i = 0; i < main_nvms && !err; i++)
		err = main_create(&guest[i], i);
	for (i = 0; i < main_nvms && !err; i++)
		err = main_start(&guest[i], !i);
	for (i = 0; i < main_nvms && !err; i++) {
		result = main_wait(guest[i].vm, !i);
		status = status ? status : result;
	}
	for (i = 0; i < main_nvms; i++) {
		if (main_destroy(&guest[i], !i))
			err = V3_EINVAL;
	}
	return err ? BM_EXIT_BROKEN : status;
}

/* @return status, or BM_EXIT_BROKEN if the library kept anything */
static int main_check_leaks(const struct bm_usage *before, int status)
{
	struct bm_usage now;

	bm_mem_usage(&now);
	if (!memcmp(&now, before, sizeof(now)))
		return status;
	bm_print("palacios-host: leak: %lld pages, %lld RAM pages, %lld blocks (%lld bytes)",
		 (long long)(now.pages - before->pages),
		 (long long)(now.ram_pages - before->ram_pages),
		 (long long)(now.blocks - before->blocks), (long long)(now.bytes - before->bytes));
	return BM_EXIT_BROKEN;
}

static int main_use_library(void)
{
	const struct v3_init_params params = {.host = &bm_host_ops,
					      .devices = v3_pc_devices,
					      .checks = bm_option_is("checks"),
					      .software_apic = bm_option_is("software_apic")};
	uint64_t runs = bm_option("repeat", 1);
	struct bm_usage before, inside;
	int err, status = 0;

	if (!main_nvms) {
		bm_print("palacios-host: the boot loader passed no module: nothing to run");
		return BM_EXIT_BROKEN;
	}
	bm_mem_usage(&before);
	err = v3_init(&params);
	if (err) {
		bm_print("palacios-host: cannot use this machine: %s", v3_strerror(err));
		return main_check_leaks(&before, BM_EXIT_BROKEN);
	}
	bm_mem_usage(&inside);
	for (; runs && status != BM_EXIT_BROKEN; runs--)
		status = main_check_leaks(&inside, main_run_guests());
	err = v3_fini();
	if (err) {
		bm_print("palacios-host: cannot leave the library: %s", v3_strerror(err));
		return BM_EXIT_BROKEN;
	}
	return main_check_leaks(&before, status);
}

static void main_thread(void *arg)
{
	(void)arg;
	if (bm_option_is("crash")) {
		volatile char *volatile null = NULL;

		*null = 1;
	}
	if (bm_option_is("vmxcaps"))
		bm_exit(bm_vmxcaps());
	if (bm_option_is("selftest"))
		bm_exit(bm_selftest() ? BM_EXIT_BROKEN : 0);
	bm_exit(main_use_library());
}

void bm_main(uint32_t magic, uint32_t mbi_pa)
{
	const struct mbi *mbi = (const struct mbi *)(uint64_t)mbi_pa;

	if (magic == MULTIBOOT_MAGIC && mbi->flags & MBI_CMDLINE)
		v3_strlcpy(main_cmdline, (const char *)(uint64_t)mbi->cmdline,
			   sizeof(main_cmdline));
	bm_console_init();
	if (magic != MULTIBOOT_MAGIC)
		bm_panic("not started by a multiboot loader");
	main_init_memory(mbi);
	bm_smp_init_boot_cpu();
	bm_time_init();
	bm_console_listen();
	bm_smp_start_others();
	if (!bm_thread_create("main", 0, main_thread, NULL))
		bm_panic("no memory for the main thread");
	bm_sched_idle();
}
