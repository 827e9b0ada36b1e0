/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_machine.c
 * A whole PC and its guest for libFuzzer: the input is a program of port, memory and MSR accesses, exits and time.
 * Compiled once per row of the table below, which says where that program may go. The VM is made once; each input
 * begins with a power-on. One row's program also changes bytes of its saved state and loads it. Sanitizers and the fake host judge; so does an access that is not served.
 */
#include "fuzz.h"

#include "fake_vm.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vm.h"
#include "save_tamper.h"
#include "state.h"
#include "tap.h"
#include "vm/vm.h"

#define FUZZ_RAM_MB    4
#define FUZZ_MAX_STEPS 300
#define FUZZ_MAX_LOADS 4
#define FUZZ_CODE      0x9000	  /* where the instructions of exits lie */
#define FUZZ_BARS      0xc0000000 /* where the corpus puts PCI devices */

enum space { PORT = 1, MMIO, MSR };

struct range {
	enum space space;
	uint32_t base, len;
};

struct target {
	const char *name;
	const char *devices; /* lines of the definition beyond those of a PC */
	struct range range[20];
	bool exits; /* any exit, too */
	bool loads; /* saved state, too */
};

static const struct target targets[] = {
	{"uart", "", {{PORT, V3_PC_PORT_COM1, 8}}, false, false},
	{"i8254", "", {{PORT, V3_PC_PORT_PIT, 4}, {PORT, V3_PC_PORT_SPEAKER, 1}}, false, false},
	{"i8259",
	 "",
	 {{PORT, V3_PC_PORT_PIC1, 2}, {PORT, V3_PC_PORT_PIC2, 2}, {PORT, V3_PC_PORT_ELCR, 2}},
	 false,
	 false},
	{"hpet", "[[device]]\nclass = \"hpet\"\n", {{MMIO, V3_PC_HPET_BASE, 0x160}}, false, false},
	{"rtc", "", {{PORT, V3_PC_PORT_RTC, 2}}, false, false},
	{"ioapic", "", {{MMIO, V3_PC_IOAPIC_BASE, 0x80}}, false, false},
	{"lapic",
	 "",
	 {{MMIO, V3_PC_LAPIC_BASE, 0x400}, {MSR, 0x800, 0x40}, {MSR, 0x1b, 1}, {MSR, 0x6e0, 1}},
	 false,
	 false},
	{"chipset",
	 "",
	 {{PORT, V3_PC_PM_BASE, 0x30},
	  {PORT, V3_PC_PORT_KBC - 4, 5},
	  {PORT, V3_PC_PORT_SYSTEM_A, 1},
	  {PORT, V3_PC_PORT_RESET, 1},
	  {PORT, V3_PC_PORT_DEBUGCON, 1},
	  {PORT, V3_PC_PORT_DEBUGEXIT, 4}},
	 false,
	 false},
	{"piix4_pm",
	 "",
	 {{PORT, V3_PC_PORT_PCI_ADDR, 8},
	  {PORT, V3_PC_PM_BASE, V3_PC_PM_LEN},
	  {PORT, V3_PC_SMBUS_BASE, V3_PC_SMBUS_LEN}},
	 false,
	 false},
	{"i8042", "", {{PORT, V3_PC_PORT_KBC_DATA, 1}, {PORT, V3_PC_PORT_KBC, 1}}, false, false},
	{"vga",
	 "[[device]]\nclass = \"vga\"\nconsole = \"console\"\n",
	 {{PORT, 0x3c0, 16},
	  {PORT, 0x3d4, 2},
	  {PORT, 0x3da, 1},
	  {MMIO, V3_PC_VGA_BASE, V3_PC_VGA_SIZE}},
	 false,
	 false},
	{"fw_cfg", "", {{PORT, V3_PC_PORT_FW_CFG, V3_PC_PORT_FW_CFG_LEN}}, false, false},
	{"pci",
	 "[[device]]\nclass = \"virtio_rng\"\n[[device]]\nclass = \"virtio_blk\"\nsize = \"64K\"\n",
	 {{PORT, V3_PC_PORT_PCI_ADDR, 8}, {MMIO, FUZZ_BARS, 0x8000}},
	 false,
	 false},
	{"msr",
	 "",
	 {{MSR, 0, 0x400},
	  {MSR, 0x800, 0x40},
	  {MSR, 0x40000000, 2},
	  {MSR, 0x4b564d00, 8},
	  {MSR, 0xc0000080, 0x90},
	  {MSR, 0xc0010000, 0x200}},
	 false,
	 false},
	{"exits", "", {{PORT, 0, 0x10000}}, true, false},
	{"save",
	 "[[device]]\nclass = \"hpet\"\n[[device]]\nclass = \"vga\"\nconsole = \"console\"\n"
	 "[[device]]\nclass = \"virtio_blk\"\nsize = \"64K\"\n[[device]]\nclass = \"virtio_net\"\n"
	 "[[device]]\nclass = \"ide\"\nsize = \"64K\"\n",
	 {{PORT, V3_PC_PORT_COM1, 8},
	  {PORT, V3_PC_PORT_PIT, 4},
	  {PORT, V3_PC_PORT_PIC1, 2},
	  {PORT, V3_PC_PORT_PIC2, 2},
	  {MMIO, V3_PC_HPET_BASE, 0x160},
	  {PORT, V3_PC_PORT_RTC, 2},
	  {MMIO, V3_PC_IOAPIC_BASE, 0x80},
	  {MMIO, V3_PC_LAPIC_BASE, 0x400},
	  {PORT, V3_PC_PM_BASE, 0x30},
	  {PORT, V3_PC_PORT_KBC_DATA, 5},
	  {PORT, 0x3c0, 0x1b},
	  {MMIO, V3_PC_VGA_BASE, V3_PC_VGA_SIZE},
	  {PORT, V3_PC_PORT_FW_CFG, V3_PC_PORT_FW_CFG_LEN},
	  {PORT, V3_PC_PORT_PCI_ADDR, 8},
	  {MMIO, V3_PC_PCI_MMIO_BASE, 0x8000},
	  {PORT, 0x1f0, 8}},
	 false,
	 true},
};

static const struct target *target;
static unsigned nranges;
static struct v3_vm *vm;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char text[1024];

	(void)argc;
	(void)argv;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(targets); i++)
		if (!strcmp(targets[i].name, FUZZ_TARGET))
			target = &targets[i];
	if (!target)
		abort();
	while (nranges < V3_ARRAY_SIZE(target->range) && target->range[nranges].space)
		nranges++;
	fake_host_test_begin();
	snprintf(text, sizeof(text), "%s%s", fake_pc_toml(2, FUZZ_RAM_MB), target->devices);
	if (fake_vm_create(text, NULL, 0, &vm))
		abort();
	v3_log_set_level(vm, V3_LOG_ERR);
	v3_time_continue(vm);
	return 0;
}

/* Whatever the last input asked for is forgotten. */
static void power_on(void)
{
	fake_log_clear();
	fake_console_limit("console", 1000000);
	vm->want = 0;
	vm->stop = 0;
	if (v3_vm_power_on(vm))
		abort();
	vm->want = 0;
	vm->vcpu[0]->state = V3_VCPU_RUNNABLE;
}

/* No answer may stop the VM but a wish of the guest's own. */
static void served(int err)
{
	if (err < 0)
		abort();
}

static void step_access(uint8_t op)
{
	static const uint8_t sizes[] = {1, 2, 4, 8};
	unsigned n = nranges > 8 ? (unsigned)take(1) : op & 7;
	const struct range *r = &target->range[n % nranges];
	struct v3_vcpu *vcpu = vm->vcpu[op >> 6 & 1];
	unsigned size = sizes[op >> 4 & 3];
	bool write = op & 8;
	uint32_t at;
	uint64_t value;

	at = r->base + (r->len > 1 ? (uint32_t)take(r->len > 256 ? 2 : 1) % r->len : 0);
	switch (r->space) {
	case PORT:
		size = size == 8 ? 1 : size;
		if (write)
			served(fake_vcpu_out(vcpu, (uint16_t)at, size, (uint32_t)take(size)));
		else
			fake_vcpu_in(vcpu, (uint16_t)at, size);
		break;
	case MMIO:
		at &= -size;
		if (write)
			served(fake_vcpu_mmio_write(vcpu, at, size, take(size)));
		else
			fake_vcpu_mmio_read(vcpu, at, size);
		break;
	case MSR:
		if (write)
			fake_vcpu_wrmsr(vcpu, at, take(8));
		else
			fake_vcpu_rdmsr(vcpu, at, &value);
		break;
	}
}

/* A register may hold anything, but what a program does most is an address in RAM. */
static uint64_t take_word(void)
{
	uint8_t how = (uint8_t)take(1);

	return how & 0x80 ? take(8) : (uint64_t)(how & 0x7f) << 12;
}

/* What hardware says of an exit may be anything that hardware can say. */
static void take_details(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	uint64_t bits = take(4);

	switch (exit->kind) {
	case V3_EXIT_IO:
		*exit = fake_exit_io(vcpu, (uint16_t)bits, 1u << (bits >> 16) % 3, bits >> 20 & 1);
		exit->u.io.string = bits >> 21 & 1;
		exit->u.io.rep = exit->u.io.string && (bits >> 22 & 1);
		break;
	case V3_EXIT_NESTED_FAULT:
		exit->u.fault.gpa = take_word();
		exit->u.fault.access = (uint8_t)(1u << bits % 3);
		break;
	case V3_EXIT_TASK_SWITCH:
		exit->u.task.sel = (uint16_t)bits;
		exit->u.task.source = bits >> 16 & 3;
		break;
	case V3_EXIT_CR_READ:
	case V3_EXIT_CR_WRITE:
		exit->u.reg.n = (uint8_t[]){0, 3, 4, 8}[bits & 3];
		exit->u.reg.gpr = bits >> 2 & 15;
		exit->u.reg.gpr_valid = bits >> 6 & 1;
		break;
	case V3_EXIT_DR_ACCESS:
		exit->u.reg.n = bits & 7;
		exit->u.reg.gpr = bits >> 3 & 15;
		exit->u.reg.write = bits >> 7 & 1;
		exit->u.reg.gpr_valid = true;
		break;
	default: /* the others say nothing */
		break;
	}
}

static void step_exit(void)
{
	static const enum v3_exit_kind kinds[] = {
		V3_EXIT_CPUID,	   V3_EXIT_CR_READ, V3_EXIT_CR_WRITE,	  V3_EXIT_DR_ACCESS,
		V3_EXIT_HYPERCALL, V3_EXIT_XSETBV,  V3_EXIT_NESTED_FAULT, V3_EXIT_RDTSC,
		V3_EXIT_RDTSCP,	   V3_EXIT_INVLPG,  V3_EXIT_CACHE,	  V3_EXIT_TASK_SWITCH,
		V3_EXIT_IO,	   V3_EXIT_HLT,	    V3_EXIT_PAUSE,	  V3_EXIT_RDPMC,
		V3_EXIT_MONITOR,   V3_EXIT_RDMSR,   V3_EXIT_WRMSR,	  V3_EXIT_VIRT_INSN,
		V3_EXIT_SYS_INSN,  V3_EXIT_STEP,    V3_EXIT_TIMER,	  V3_EXIT_BUS_LOCK};
	struct v3_vcpu *vcpu = vm->vcpu[0];
	struct v3_exit exit = fake_exit(kinds[take(1) % V3_ARRAY_SIZE(kinds)], 0);
	uint8_t code[15];
	struct v3_event ev;

	for (unsigned i = 0; i < V3_NGPR; i++)
		vcpu->regs.gpr[i] = take_word();
	vcpu->regs.rip = FUZZ_CODE;
	vcpu->regs.rflags = V3_RFLAGS_ONE | (take(4) & 0x10cd5);
	for (unsigned i = 0; i < sizeof(code); i++)
		code[i] = (uint8_t)take(1);
	v3_mem_write(vm, FUZZ_CODE, code, sizeof(code));
	take_details(vcpu, &exit);
	served(fake_dispatch(vcpu, &exit, &ev));
	vcpu->state = V3_VCPU_RUNNABLE;
}

static void step_memory(void)
{
	uint64_t gpa = take(2) << 6, value = take(8);

	v3_mem_write(vm, gpa, &value, sizeof(value));
}

/* Time passes, input arrives, the vcpus look after what is pending. */
static void step_world(void)
{
	fake_clock_advance(take(3) << 4);
	fake_console_feed("console", "in\n");
	fake_service(vm);
	fake_take_interrupt(vm->vcpu[0]);
	fake_take_interrupt(vm->vcpu[1]);
}

/* Change a few bytes of the saved state: each by the number of its field and its place in it. */
static void change_image(uint8_t *image, size_t len)
{
	for (unsigned n = (unsigned)take(1) % 8; n--;) {
		unsigned field = (unsigned)take(2);
		uint8_t *p = image, *bytes = NULL;
		uint32_t bytes_len = 0, at = (uint32_t)take(2);

		do
			p = save_record(p, &bytes, &bytes_len);
		while (field-- && p < image + len);
		if (bytes_len)
			bytes[at % bytes_len] = (uint8_t)take(1);
	}
}

/* The machine is saved, changed behind its back, switched on anew and loaded; or what is refused leaves it reset. */
static void step_load(void)
{
	struct v3_save_buf buf = {.data = NULL};
	uint8_t *image;

	v3_time_pause(vm);
	v3_devices_save(vm, &buf);
	image = malloc(buf.pos);
	buf = (struct v3_save_buf){.data = image, .size = buf.pos};
	if (!image || v3_devices_save(vm, &buf) || buf.pos != buf.size)
		abort();
	change_image(image, buf.size);
	power_on();
	buf.pos = 0;
	v3_devices_load(vm, &buf);
	free(image);
	v3_time_continue(vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned loads = 0;

	fuzz_begin(data, size);
	power_on();
	for (unsigned i = 0; fuzz_in.left && i < FUZZ_MAX_STEPS; i++) {
		uint8_t op = (uint8_t)take(1);

		if (!(op & 0x80))
			step_access(op);
		else if ((op & 3) == 3 && target->exits)
			step_exit();
		else if ((op & 3) == 3 && target->loads && loads++ < FUZZ_MAX_LOADS)
			step_load();
		else if (op & 1)
			step_memory();
		else
			step_world();
	}
	fake_service(vm);
	if (tap.failures)
		abort();
	return 0;
}
