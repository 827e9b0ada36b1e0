/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_vm.c
 * VMs and devices for unit tests, see fake_vm.h.
 */
#include "fake_vm.h"

#include "config/cfg.h"
#include "config/container.h"
#include "fake_priv.h"
#include "host/host.h"
#include "palacios/util/sha256.h"
#include "tap.h"

#define VM_MAX_IMAGES  64
#define VM_MAX_VMS     16
#define VM_MAX_DEVICES 64
#define VM_MAX_CFGS    256

static struct {
	bool hooked;	/* vm_cleanup() is registered */
	bool installed; /* v3_lib.ops set by hand */
	bool inited;
	void *image[VM_MAX_IMAGES]; /* owned */
	unsigned nimages;
	struct v3_vm *vm[VM_MAX_VMS];
	struct {
		const struct v3_device_class *cls;
		struct v3_vm *vm;
		void *state;
	} device[VM_MAX_DEVICES];
	unsigned ndevices;
	struct v3_cfg_arena *arena[VM_MAX_CFGS]; /* owned */
	unsigned narenas;
} fake;

/* ---- library ---- */

static void vm_cleanup(void *arg)
{
	(void)arg;
	for (int i = 0; i < VM_MAX_VMS; i++) {
		if (fake.vm[i])
			fake_vm_destroy(fake.vm[i]);
	}
	while (fake.narenas)
		v3_cfg_arena_destroy(fake.arena[--fake.narenas]);
	if (fake.inited)
		CHECK_EQ(v3_fini(), V3_OK);
	if (fake.installed)
		memset(&v3_lib.ops, 0, sizeof(v3_lib.ops));
	while (fake.nimages)
		free(fake.image[--fake.nimages]);
	memset(&fake, 0, sizeof(fake));
}

static void vm_hook(void)
{
	if (!fake.hooked)
		fake_host_at_end(vm_cleanup, NULL);
	fake.hooked = true;
}

void fake_lib_install(void)
{
	vm_hook();
	v3_lib.ops = fake_host_ops;
	fake.installed = true;
}

int fake_lib_init_with(const struct v3_device_class *const *devices,
		       const struct v3_extension *const *extensions)
{
	static const struct v3_device_class *const none[] = {NULL};
	struct v3_init_params params = {.host = &fake_host_ops,
					.devices = devices ? devices : none,
					.extensions = extensions};
	int err;

	if (fake.inited)
		return V3_OK;
	vm_hook();
	err = v3_init(&params);
	fake.inited = err == V3_OK;
	return err;
}

int fake_lib_init(void)
{
	return fake_lib_init_with(v3_pc_devices, NULL);
}

void fake_lib_fini(void)
{
	bool hooked = fake.hooked;

	vm_cleanup(NULL);
	fake.hooked = hooked;
}

/* ---- images ---- */

/* ELF32 with one segment: 4 KiB at 1 MiB that holds the multiboot header and CLI; HLT; JMP. */
const void *fake_kernel(size_t *len)
{
	static const uint32_t image[] = {
		0x464c457f, 0x00010101, 0,
		0, /* ELF, 32 bits, little-endian */
		0x00030002, 1,		0x00100020,
		52,	    0,		0, /* executable, 386; entry; program headers at 52 */
		0x00200034, 0x00000001, 0, /* header sizes, one program header */
		1,	    84,		0x00100000,
		0x00100000, 64,		4096,
		7,	    4, /* PT_LOAD: offset, addresses, sizes */
		0x1badb002, 0,		0u - 0x1badb002,
		0, /* multiboot header, at 84 */
		0,	    0,		0,
		0,	    0x90fdebf4, 0x90909090, /* 0x100020: HLT; JMP to it */
		0,	    0,		0,
		0,	    0,		0,
	};

	*len = sizeof(image);
	return image;
}

const void *fake_image(const char *toml, const struct fake_file *files, unsigned nfiles,
		       size_t *len)
{
	struct v3_container_section *sec = calloc(nfiles + 2, sizeof(*sec));
	struct fake_file *all = calloc(nfiles + 2, sizeof(*all));
	struct v3_container_header hdr;
	unsigned n = 0;
	uint8_t *image;

	if (!sec || !all || fake.nimages == VM_MAX_IMAGES)
		abort();
	vm_hook();
	all[n++] = (struct fake_file){V3_CONTAINER_DEFINITION, toml, strlen(toml)};
	for (unsigned i = 0; i < nfiles; i++)
		all[n++] = files[i];
	if (strstr(toml, "\"kernel.elf\"")) {
		all[n].name = "kernel.elf";
		all[n].data = fake_kernel(&all[n].len);
		for (unsigned i = 0; i < nfiles; i++) {
			if (!strcmp(files[i].name, "kernel.elf"))
				n--;
		}
		n++;
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(sec[i].name, sizeof(sec[i].name), "%s", all[i].name);
		sec[i].len = all[i].len;
		v3_sha256(all[i].data, all[i].len, sec[i].sha256);
	}
	*len = v3_container_layout(sec, n);
	v3_container_seal(&hdr, sec, n, *len);
	image = calloc(1, *len);
	if (!image)
		abort();
	memcpy(image, &hdr, sizeof(hdr));
	memcpy(image + sizeof(hdr), sec, n * sizeof(*sec));
	for (unsigned i = 0; i < n; i++)
		memcpy(image + sec[i].offset, all[i].data, all[i].len);
	free(sec);
	free(all);
	fake.image[fake.nimages++] = image;
	return image;
}

/* ---- VMs ---- */

static struct v3_vm **vm_slot(struct v3_vm *vm)
{
	for (int i = 0; i < VM_MAX_VMS; i++) {
		if (fake.vm[i] == vm)
			return &fake.vm[i];
	}
	abort();
}

int fake_vm_create(const char *toml, const struct fake_file *files, unsigned nfiles,
		   struct v3_vm **vm)
{
	const void *image;
	size_t len;
	int err;

	err = fake_lib_init();
	if (err)
		return err;
	image = fake_image(toml, files, nfiles, &len);
	/* Any address that is not another VM's will do. */
	err = v3_vm_create(image, len, (void *)image, vm);
	if (err == V3_OK)
		*vm_slot(NULL) = *vm;
	return err;
}

void fake_vm_destroy(struct v3_vm *vm)
{
	if (!vm)
		return;
	for (unsigned i = fake.ndevices; i-- > 0;) {
		if (fake.device[i].vm == vm)
			fake_device_destroy(vm, fake.device[i].state);
	}
	*vm_slot(vm) = NULL;
	v3_vm_destroy(vm);
}

const char *fake_pc_toml(unsigned nvcpus, unsigned ram_mb)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "[vm]\nname = \"pc\"\nmemory = \"%uM\"\nvcpus = %u\n"
		 "[boot]\ntype = \"multiboot\"\nkernel = \"kernel.elf\"\n",
		 ram_mb, nvcpus);
	return text;
}

struct v3_vm *fake_vm_bare(unsigned nvcpus, unsigned ram_mb)
{
	struct v3_vm *vm = NULL;
	char text[512];
	int err;

	snprintf(text, sizeof(text),
		 "[vm]\nname = \"bare\"\nplatform = \"none\"\nmemory = \"%uM\"\nvcpus = %u\n"
		 "[boot]\ntype = \"multiboot\"\nkernel = \"kernel.elf\"\n",
		 ram_mb, nvcpus);
	err = fake_vm_create(text, NULL, 0, &vm);
	if (err) {
		tap_fail(__FILE__, __LINE__, "fake_vm_bare(%u, %u): %s", nvcpus, ram_mb,
			 v3_strerror(err));
		return NULL;
	}
	v3_time_continue(vm);
	return vm;
}

/* ---- devices ---- */

const struct v3_cfg *fake_cfg(const struct v3_device_class *cls, const char *text)
{
	struct v3_cfg_error err = {.file = "device"};
	struct v3_cfg_arena *arena;
	struct v3_cfg *table = NULL;
	char whole[4096];
	int len, result;

	vm_hook();
	if (!v3_lib.ops.alloc)
		fake_lib_install();
	if (fake.narenas == VM_MAX_CFGS)
		abort();
	arena = fake.arena[fake.narenas++] = v3_cfg_arena_create();
	len = snprintf(whole, sizeof(whole), "[device]\n%s", text);
	result = v3_toml_parse(whole, (size_t)len, arena, &table, &err);
	if (!result)
		result = v3_cfg_check(table, cls->keys, NULL, &err);
	if (result) {
		tap_fail(err.file, (int)err.line, "%s: %s (%s)", cls->name, err.message,
			 v3_strerror(result));
		return NULL;
	}
	return table;
}

int fake_device_create(struct v3_vm *vm, const struct v3_device_class *cls, const char *text,
		       void **state)
{
	const struct v3_cfg *cfg = fake_cfg(cls, text);
	int err;

	if (!cfg || fake.ndevices == VM_MAX_DEVICES)
		return V3_EINVAL;
	err = cls->create(vm, cfg, state);
	if (err)
		return err;
	if (cls->reset)
		cls->reset(*state);
	fake.device[fake.ndevices].cls = cls;
	fake.device[fake.ndevices].vm = vm;
	fake.device[fake.ndevices++].state = *state;
	return V3_OK;
}

void fake_device_destroy(struct v3_vm *vm, void *state)
{
	for (unsigned i = fake.ndevices; i-- > 0;) {
		if (fake.device[i].vm != vm || fake.device[i].state != state)
			continue;
		fake.device[i].cls->destroy(state);
		fake.ndevices--;
		memmove(&fake.device[i], &fake.device[i + 1],
			(fake.ndevices - i) * sizeof(fake.device[0]));
		return;
	}
	tap_fail(__FILE__, __LINE__, "fake_device_destroy(): no such device");
}

/* ---- what the guest does ---- */

int fake_vcpu_out(struct v3_vcpu *vcpu, uint16_t port, unsigned size, uint32_t value)
{
	struct v3_io io = {.port = port, .size = (uint8_t)size, .write = true, .value = value};

	return v3_io_access(vcpu, &io);
}

uint32_t fake_vcpu_in(struct v3_vcpu *vcpu, uint16_t port, unsigned size)
{
	struct v3_io io = {.port = port, .size = (uint8_t)size, .value = 0xdeadbeef};
	int err = v3_io_access(vcpu, &io);

	if (err < 0)
		tap_fail(__FILE__, __LINE__, "IN from port %#x: %s", port, v3_strerror(err));
	return size == 4 ? io.value : io.value & ((1u << size * 8) - 1);
}

int fake_out(struct v3_vm *vm, uint16_t port, unsigned size, uint32_t value)
{
	return fake_vcpu_out(vm->vcpu[0], port, size, value);
}

uint32_t fake_in(struct v3_vm *vm, uint16_t port, unsigned size)
{
	return fake_vcpu_in(vm->vcpu[0], port, size);
}

uint64_t fake_vcpu_mmio_read(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned size)
{
	uint64_t value = 0;
	int err = v3_mem_access(vcpu, gpa, &value, size, false);

	if (err < 0)
		tap_fail(__FILE__, __LINE__, "read at %#llx: %s", (unsigned long long)gpa,
			 v3_strerror(err));
	return value;
}

int fake_vcpu_mmio_write(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned size, uint64_t value)
{
	return v3_mem_access(vcpu, gpa, &value, size, true);
}

uint64_t fake_mmio_read(struct v3_vm *vm, v3_gpa_t gpa, unsigned size)
{
	return fake_vcpu_mmio_read(vm->vcpu[0], gpa, size);
}

int fake_mmio_write(struct v3_vm *vm, v3_gpa_t gpa, unsigned size, uint64_t value)
{
	return fake_vcpu_mmio_write(vm->vcpu[0], gpa, size, value);
}

int fake_dispatch(struct v3_vcpu *vcpu, const struct v3_exit *exit, struct v3_event *event)
{
	struct v3_exit copy = *exit;
	int result = v3_exit_dispatch(vcpu, &copy);

	if (event) {
		*event = vcpu->pending;
		vcpu->pending.type = V3_EVENT_NONE;
		__atomic_fetch_and(&vcpu->requests, ~V3_REQ_EVENT, __ATOMIC_SEQ_CST);
	}
	return result;
}

/* RDMSR or WRMSR; registers as they were, but for a result. @return false: #GP */
static bool vm_msr(struct v3_vcpu *vcpu, enum v3_exit_kind kind, uint32_t msr, uint64_t *value)
{
	struct v3_exit exit = fake_exit(kind, 2);
	struct v3_regs saved = vcpu->regs;
	struct v3_event ev;
	int result;

	vcpu->regs.gpr[V3_RCX] = msr;
	vcpu->regs.gpr[V3_RAX] = (uint32_t)*value;
	vcpu->regs.gpr[V3_RDX] = *value >> 32;
	result = fake_dispatch(vcpu, &exit, &ev);
	if (result < 0)
		tap_fail(__FILE__, __LINE__, "%s %#x: %s", v3_exit_name(kind), msr,
			 v3_strerror(result));
	if (vcpu->regs.rip != saved.rip + (ev.type == V3_EVENT_NONE ? 2 : 0))
		tap_fail(__FILE__, __LINE__, "%s %#x: rip moved by %lld", v3_exit_name(kind), msr,
			 (long long)(vcpu->regs.rip - saved.rip));
	if (ev.type != V3_EVENT_NONE && ev.vector != V3_VEC_GP)
		tap_fail(__FILE__, __LINE__, "%s %#x: exception %u", v3_exit_name(kind), msr,
			 ev.vector);
	if (kind == V3_EXIT_RDMSR && ev.type == V3_EVENT_NONE)
		*value = vcpu->regs.gpr[V3_RDX] << 32 | (uint32_t)vcpu->regs.gpr[V3_RAX];
	vcpu->regs = saved;
	return ev.type == V3_EVENT_NONE;
}

bool fake_vcpu_rdmsr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	*value = 0;
	return vm_msr(vcpu, V3_EXIT_RDMSR, msr, value);
}

bool fake_vcpu_wrmsr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return vm_msr(vcpu, V3_EXIT_WRMSR, msr, &value);
}

bool fake_rdmsr(struct v3_vm *vm, uint32_t msr, uint64_t *value)
{
	return fake_vcpu_rdmsr(vm->vcpu[0], msr, value);
}

bool fake_wrmsr(struct v3_vm *vm, uint32_t msr, uint64_t value)
{
	return fake_vcpu_wrmsr(vm->vcpu[0], msr, value);
}

/* ---- between two entries ---- */

void fake_run_due_timers(struct v3_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++) {
		__atomic_fetch_and(&vm->vcpu[i]->requests, ~V3_REQ_TIMER, __ATOMIC_SEQ_CST);
		v3_time_service(vm->vcpu[i]);
	}
}

/* In the order in which it was queued. */
void fake_run_work(struct v3_vcpu *vcpu)
{
	struct v3_work *list, *next, *work = NULL;

	__atomic_fetch_and(&vcpu->requests, ~V3_REQ_WORK, __ATOMIC_SEQ_CST);
	for (list = __atomic_exchange_n(&vcpu->work, NULL, __ATOMIC_SEQ_CST); list; list = next) {
		next = list->next;
		list->next = work;
		work = list;
	}
	for (; work; work = next) {
		next = work->next;
		__atomic_store_n(&work->queued, 0, __ATOMIC_SEQ_CST);
		work->fn(vcpu, work->arg);
	}
}

void fake_service(struct v3_vm *vm)
{
	fake_run_due_timers(vm);
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		fake_run_work(vm->vcpu[i]);
}

int fake_take_interrupt(struct v3_vcpu *vcpu)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;
	uint64_t rflags = vcpu->regs.rflags;
	int vector = -1;

	__atomic_fetch_and(&vcpu->requests, ~V3_REQ_IRQ, __ATOMIC_SEQ_CST);
	vcpu->regs.rflags |= V3_RFLAGS_IF;
	cpu->shadow = false;
	v3_intr_service(vcpu);
	vcpu->regs.rflags = rflags;
	if (cpu->inject.type == V3_EVENT_INTR)
		vector = cpu->inject.vector;
	cpu->inject.type = V3_EVENT_NONE;
	cpu->want_intr = false;
	return vector;
}

uint32_t fake_take_requests(struct v3_vcpu *vcpu)
{
	return __atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);
}
