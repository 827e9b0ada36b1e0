/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_hostile.c
 * A hostile guest on a whole PC: random and boundary values into every port, MSR, MMIO register,
 * control register and hypercall, from one vcpu and from four at once. Nothing of it may be a
 * failure of ours, break the host's contract, hang, leak or touch memory it should not (the
 * sanitizers watch).
 */
#include "fake_vm.h"
#include "palacios/platform.h"
#include "tap.h"

#include <unistd.h>

static const uint32_t edges[] = {0,	     1,		 2,	     0x7f,	 0x80,
				 0xff,	     0x100,	 0x7fff,     0x8000,	 0xffff,
				 0x10000,    0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
				 0x55555555, 0xaaaaaaaa, 0x12345678};

static uint64_t rnd_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull); /* as tap_rand(), one per thread */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint32_t rnd_value(uint64_t *state)
{
	uint64_t r = rnd_next(state);

	return r & 1 ? edges[(r >> 1) % V3_ARRAY_SIZE(edges)]
		     : (uint32_t)(r >> 32) >> (r >> 8 & 31);
}

/* Half of them where devices are. Never those that end or reset the VM. */
static uint16_t rnd_port(uint64_t *state)
{
	static const uint16_t busy[] = {V3_PC_PORT_PIC1,     V3_PC_PORT_PIT,	V3_PC_PORT_SPEAKER,
					V3_PC_PORT_RTC,	     V3_PC_PORT_PIC2,	V3_PC_PORT_COM1,
					V3_PC_PORT_ELCR,     V3_PC_PORT_FW_CFG, V3_PC_PORT_PCI_ADDR,
					V3_PC_PM_BASE,	     V3_PC_GPE0,	V3_PC_PORT_POST,
					V3_PC_PORT_DEBUGCON, V3_PC_PORT_KBC,	0};
	uint64_t r = rnd_next(state);
	uint16_t port = (uint16_t)(r >> 16);

	if (r & 3)
		port = (uint16_t)(busy[(r >> 2) % V3_ARRAY_SIZE(busy)] + (r >> 40 & 15));
	return port;
}

static bool ends_the_vm(uint16_t port)
{
	return (port >= V3_PC_PORT_DEBUGEXIT - 3 && port < V3_PC_PORT_DEBUGEXIT + 4) ||
	       (port >= V3_PC_PORT_RESET - 3 && port <= V3_PC_PORT_RESET) ||
	       (port >= V3_PC_PORT_SYSTEM_A - 3 && port <= V3_PC_PORT_SYSTEM_A) ||
	       (port >= V3_PC_PORT_KBC - 3 && port <= V3_PC_PORT_KBC) ||
	       (port >= V3_PC_PM1_CNT - 3 && port < V3_PC_PM1_CNT + 4);
}

static v3_gpa_t rnd_gpa(uint64_t *state, unsigned size)
{
	uint64_t r = rnd_next(state);

	switch (r & 7) {
	case 0:
	case 1:
	case 2:
		return V3_PC_LAPIC_BASE + (r >> 8 & 0xff0) + (r & 8 ? (r >> 20 & 15 & -size) : 0);
	case 3:
	case 4:
		return V3_PC_IOAPIC_BASE + (r >> 8 & 0x30) + (r >> 20 & 3 & -size);
	case 5:
		return (r >> 8 & 0xfffff) & -(uint64_t)size;
	default:
		return (r >> 8) & 0xffffffff & -(uint64_t)size;
	}
}

static struct v3_vm *hostile_vm(unsigned nvcpus)
{
	struct v3_vm *vm = NULL;

	CHECK_EQ(fake_vm_create(fake_pc_toml(nvcpus, 8), NULL, 0, &vm), V3_OK);
	if (vm)
		v3_log_set_level(vm, V3_LOG_ERR);
	return vm;
}

/* ---- one vcpu, on the test's thread ---- */

static void test_hostile_ports(void)
{
	struct v3_vm *vm = hostile_vm(1);
	uint64_t state = tap_rand();

	REQUIRE(vm);
	v3_time_continue(vm);
	for (int i = 0; i < 200000; i++) {
		static const uint8_t sizes[] = {1, 2, 4, 1};
		uint16_t port = rnd_port(&state);
		unsigned size = sizes[rnd_next(&state) & 3];
		uint32_t value = rnd_value(&state);
		int err = V3_OK;

		if (rnd_next(&state) & 1)
			fake_in(vm, port, size);
		else if (!ends_the_vm(port))
			err = fake_out(vm, port, size,
				       size == 4 ? value : value & ((1u << size * 8) - 1));
		if (!CHECK_MSG(err >= 0, "OUT %#x size %u value %#x: %s", port, size, value,
			       v3_strerror(err)))
			break;
		if (i % 64 == 0) {
			fake_clock_advance(rnd_next(&state) >> (34 + (rnd_next(&state) & 15)));
			fake_service(vm);
			fake_take_interrupt(vm->vcpu[0]);
		}
	}
}

static void test_hostile_every_port_every_size(void)
{
	struct v3_vm *vm = hostile_vm(1);

	REQUIRE(vm);
	for (uint32_t port = 0; port < 0x10000; port++) {
		for (unsigned size = 1; size <= 4; size *= 2)
			fake_in(vm, (uint16_t)port, size);
	}
	for (uint32_t port = 0; port < 0x10000; port++) {
		for (unsigned size = 1; size <= 4 && !ends_the_vm((uint16_t)port); size *= 2)
			CHECK(fake_out(vm, (uint16_t)port, size,
				       size == 4 ? ~0u : (1u << size * 8) - 1) >= 0);
	}
}

static void test_hostile_mmio(void)
{
	struct v3_vm *vm = hostile_vm(2);
	uint64_t state = tap_rand();

	REQUIRE(vm);
	v3_time_continue(vm);
	for (int i = 0; i < 200000; i++) {
		unsigned size = 1u << (rnd_next(&state) & 3);
		v3_gpa_t gpa = rnd_gpa(&state, size);
		struct v3_vcpu *vcpu = vm->vcpu[rnd_next(&state) & 1];
		uint64_t value = rnd_value(&state) | rnd_next(&state) << 32;
		int err = V3_OK;

		if (rnd_next(&state) & 1)
			fake_vcpu_mmio_read(vcpu, gpa, size);
		else
			err = fake_vcpu_mmio_write(vcpu, gpa, size, value);
		if (!CHECK_MSG(err >= 0, "write %#llx size %u: %s", (unsigned long long)gpa, size,
			       v3_strerror(err)))
			break;
		if (i % 64 == 0) {
			fake_clock_advance(rnd_next(&state) >> (34 + (rnd_next(&state) & 15)));
			fake_service(vm);
			fake_take_interrupt(vm->vcpu[0]);
			fake_take_interrupt(vm->vcpu[1]);
		}
	}
}

static void test_hostile_msrs(void)
{
	static const uint32_t bases[] = {
		0,	    0x10,	0x1b,	    0x3a,	0x79,	   0xc1,       0xfe,
		0x170,	    0x1a0,	0x1d9,	    0x200,	0x250,	   0x277,      0x2ff,
		0x400,	    0x6e0,	0x800,	    0x830,	0xda0,	   0x40000000, 0x4b564d00,
		0xc0000080, 0xc0000100, 0xc0010000, 0xc0010110, 0xc0011020};
	struct v3_vm *vm = hostile_vm(1);
	uint64_t state = tap_rand(), value;

	REQUIRE(vm);
	v3_time_continue(vm);
	for (int i = 0; i < 100000; i++) {
		uint32_t msr =
			bases[rnd_next(&state) % V3_ARRAY_SIZE(bases)] + (rnd_next(&state) & 31);

		if (rnd_next(&state) & 7)
			value = rnd_value(&state) | (uint64_t)rnd_value(&state) << 32;
		else
			value = rnd_next(&state);
		fake_wrmsr(vm, msr, value);
		fake_rdmsr(vm, msr, &value);
		if (i % 64 == 0) {
			fake_clock_advance(rnd_next(&state) >> 40);
			fake_service(vm);
		}
	}
}

static void test_hostile_exits(void)
{
	struct v3_vm *vm = hostile_vm(1);
	uint64_t state = tap_rand();
	struct v3_vcpu *vcpu;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	for (int i = 0; i < 100000; i++) {
		static const enum v3_exit_kind kinds[] = {
			V3_EXIT_CPUID,	   V3_EXIT_CR_READ, V3_EXIT_CR_WRITE,	  V3_EXIT_DR_ACCESS,
			V3_EXIT_HYPERCALL, V3_EXIT_XSETBV,  V3_EXIT_NESTED_FAULT, V3_EXIT_RDTSC,
			V3_EXIT_INVLPG,	   V3_EXIT_CACHE,   V3_EXIT_TASK_SWITCH,  V3_EXIT_IO,
			V3_EXIT_HLT,	   V3_EXIT_PAUSE,   V3_EXIT_RDPMC,	  V3_EXIT_MONITOR,
			V3_EXIT_SYS_INSN,  V3_EXIT_STEP,    V3_EXIT_TIMER,	  V3_EXIT_BUS_LOCK};
		struct v3_exit exit = fake_exit(kinds[rnd_next(&state) % V3_ARRAY_SIZE(kinds)], 0);
		uint64_t code[2] = {rnd_next(&state), rnd_next(&state)};
		struct v3_event ev;
		int err;

		/* Random instruction bytes at a random place, random registers, sometimes long
		 * mode. */
		for (int r = 0; r < V3_NGPR; r++)
			vcpu->regs.gpr[r] = rnd_next(&state) >> (rnd_next(&state) & 63);
		vcpu->regs.rip = rnd_next(&state) & 1 ? 0x9000 : rnd_next(&state) & 0xfffff;
		vcpu->regs.rflags = 2 | (rnd_next(&state) & 0x10cd5);
		memcpy(exit.insn, code, sizeof(exit.insn));
		if (exit.kind == V3_EXIT_IO) {
			exit = fake_exit_io(vcpu, rnd_port(&state), 1u << rnd_next(&state) % 3,
					    true);
			exit.u.io.string = exit.u.io.rep = rnd_next(&state) & 1;
		} else if (exit.kind == V3_EXIT_NESTED_FAULT) {
			exit.u.fault.gpa = rnd_gpa(&state, 1);
			exit.u.fault.access = 1u << rnd_next(&state) % 3;
			exit.u.fault.present = rnd_next(&state) & 1;
		} else if (exit.kind == V3_EXIT_TASK_SWITCH) {
			exit.u.task.sel = (uint16_t)rnd_next(&state);
			exit.u.task.source = rnd_next(&state) & 3;
		}
		v3_mem_write(vm, vcpu->regs.rip, code, sizeof(code));
		err = fake_dispatch(vcpu, &exit, &ev);
		if (!CHECK_MSG(err >= 0, "exit %s, bytes %016llx %016llx: %s",
			       v3_exit_name(exit.kind), (unsigned long long)code[0],
			       (unsigned long long)code[1], v3_strerror(err)))
			break;
		vcpu->state = V3_VCPU_RUNNABLE;
	}
}

/* ---- four vcpus at once, through the run loop ---- */

struct crowd {
	uint64_t seed;
	unsigned rounds;
	unsigned done; /* vcpus that have finished, atomic */
};

static void crowd_irq(struct fake_guest *g, uint8_t vector, void *arg)
{
	(void)vector;
	(void)arg;
	g_store(g, V3_PC_LAPIC_BASE + 0xb0, 4, 0);
	g_out(g, V3_PC_PORT_PIC2, 1, 0x20);
	g_out(g, V3_PC_PORT_PIC1, 1, 0x20);
}

static void crowd_step(struct fake_guest *g, uint64_t *state)
{
	unsigned size = 1u << rnd_next(state) % 3;
	uint32_t value = rnd_value(state);
	uint16_t port = rnd_port(state);
	v3_gpa_t gpa = rnd_gpa(state, size);
	uint64_t wide;

	/* Code and APIC mode stay as they are, else the program could not go on. */
	if (gpa < 0x20000)
		gpa += 0x40000;
	switch (rnd_next(state) % 8) {
	case 0:
		g_in(g, port, size, &value);
		break;
	case 1:
	case 2:
		if (!ends_the_vm(port))
			g_out(g, port, size, value);
		break;
	case 3:
		g_load(g, gpa, size, &value);
		break;
	case 4:
	case 5:
		/* Not ICR: INIT and NMI to each other is a test of its own. */
		if ((gpa & ~0xfffull) != V3_PC_LAPIC_BASE || (gpa & 0xff0) != 0x300)
			g_store(g, gpa, size, value);
		break;
	case 6:
		g_rdmsr(g, 0x6e0, &wide);
		break;
	default:
		if (rnd_next(state) & 1)
			g_sti(g);
		else
			g_cli(g);
		break;
	}
}

static void crowd_run(struct fake_guest *g, struct crowd *c)
{
	struct v3_vm *vm = v3_vcpu_vm(g_vcpu(g));
	uint64_t state = c->seed + v3_vcpu_index(g_vcpu(g)) * 7919;

	g_on_irq(g, crowd_irq, NULL);
	for (unsigned i = 0; i < c->rounds; i++)
		crowd_step(g, &state);
	if (__atomic_add_fetch(&c->done, 1, __ATOMIC_SEQ_CST) == v3_vm_vcpu_count(vm))
		v3_vm_request_stop(vm, V3_STOP_EXIT, 0);
}

static void crowd_ap(struct fake_guest *g, void *arg)
{
	g_flat32(g);
	crowd_run(g, arg);
}

static void crowd_boot_cpu(struct fake_guest *g, void *arg)
{
	g_store(g, V3_PC_LAPIC_BASE + 0x300, 4, 0xc4500); /* INIT and SIPI to all but self */
	g_store(g, V3_PC_LAPIC_BASE + 0x300, 4, 0xc460a);
	crowd_run(g, arg);
}

static void test_hostile_four_vcpus_at_once(void)
{
	struct crowd c = {.seed = tap_rand(), .rounds = 5000};
	struct v3_vm *vm = hostile_vm(4);
	int status = 0;

	REQUIRE(vm);
	fake_program(vm, 0, crowd_boot_cpu, &c);
	for (unsigned i = 1; i < 4; i++)
		fake_program(vm, i, crowd_ap, &c);
	fake_clock_auto(true);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, &status), V3_STOP_EXIT);
	CHECK_EQ(status, 0);
	CHECK_EQ(c.done, 4);
}

/* INIT, NMI, SIPI, fixed and lowest-priority messages to everybody, from everybody. */
static void storm(struct fake_guest *g, void *arg)
{
	struct crowd *c = arg;
	struct v3_vm *vm = v3_vcpu_vm(g_vcpu(g));
	unsigned self = v3_vcpu_index(g_vcpu(g));
	uint64_t state =
		c->seed + self + __atomic_add_fetch(&c->done, 1, __ATOMIC_SEQ_CST) * 104729;

	g_flat32(g);
	g_on_irq(g, crowd_irq, NULL);
	g_store(g, V3_PC_LAPIC_BASE + 0xf0, 4, 0x1ff);
	if (self == 0) {
		g_store(g, V3_PC_LAPIC_BASE + 0x300, 4, 0xc4500);
		g_store(g, V3_PC_LAPIC_BASE + 0x300, 4, 0xc460a);
	}
	for (unsigned i = 0; i < c->rounds; i++) {
		uint32_t command = (uint32_t)rnd_next(&state) & 0xccfff;

		if ((command >> 8 & 7) == 5) /* INIT: now and then, and not to vcpu 0 */
			command = rnd_next(&state) & 15 ? 0x4031 : 0xc4500;
		if (self && (command >> 8 & 7) == 5)
			command = 0x4032;
		g_store(g, V3_PC_LAPIC_BASE + 0x310, 4, (uint32_t)rnd_next(&state) & 0x07000000);
		g_store(g, V3_PC_LAPIC_BASE + 0x300, 4, command);
		if (rnd_next(&state) & 1)
			g_sti(g);
	}
	if (self == 0)
		v3_vm_request_stop(vm, V3_STOP_EXIT, 0);
}

static void test_hostile_ipi_storm(void)
{
	struct crowd c = {.seed = tap_rand(), .rounds = 3000};
	struct v3_vm *vm = hostile_vm(4);

	REQUIRE(vm);
	for (unsigned i = 0; i < 4; i++)
		fake_program(vm, i, storm, &c);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_stop_reason(vm, NULL), V3_STOP_EXIT);
	CHECK(c.done >= 2);
}

static const struct tap_test tests[] = {
	TAP(test_hostile_ports),     TAP(test_hostile_every_port_every_size),
	TAP(test_hostile_mmio),	     TAP(test_hostile_msrs),
	TAP(test_hostile_exits),     TAP(test_hostile_four_vcpus_at_once),
	TAP(test_hostile_ipi_storm),
};
TAP_MAIN(tests)
