/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_guest.c
 * Guest programs, see fake_guest.h. Program and vcpu thread take turns under one lock.
 */
#include "fake_guest.h"

#include "fake_arch.h"
#include "fake_priv.h"
#include "palacios/regs.h"

/* RIP of the instructions: conventional memory that nothing else uses, apart for each vcpu. */
#define GUEST_CODE(g) (0x9000u + 64 * (g)->cpu->vcpu->index)

struct fake_guest {
	struct fake_cpu *cpu;
	fake_program_fn program;
	void *arg;
	fake_irq_fn irq;
	void *irq_arg;

	pthread_mutex_t lock; /* guards what is up to the next blank line */
	pthread_cond_t cond;
	pthread_t thread;
	bool alive;   /* the thread exists */
	bool turn;    /* it is the program's */
	bool quit;    /* the program is to end where it is */
	bool ended;   /* the program has returned */
	bool compute; /* no exit this time */

	struct v3_exit *exit;  /* to be filled; the program's turn only */
	struct v3_event event; /* delivered at this entry; type NONE */
	uint64_t event_rflags; /* before its delivery */
	struct v3_event excp;
	unsigned irqs[257];
	unsigned ninsns, code_len;
};

/* ---- taking turns ---- */

/* In the program: let the VMM run until the next entry. */
static void guest_pause(struct fake_guest *g)
{
	bool quit;

	pthread_mutex_lock(&g->lock);
	g->turn = false;
	pthread_cond_broadcast(&g->cond);
	while (!g->turn && !g->quit)
		pthread_cond_wait(&g->cond, &g->lock);
	quit = g->quit;
	pthread_mutex_unlock(&g->lock);
	if (quit)
		pthread_exit(NULL);
}

static void *guest_main(void *arg)
{
	struct fake_guest *g = arg;

	g->program(g, g->arg);
	pthread_mutex_lock(&g->lock);
	g->ended = true;
	g->turn = false;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

bool fake_guest_step(struct fake_cpu *cpu, struct v3_exit *exit)
{
	struct fake_guest *g = cpu->guest;
	bool exited;

	pthread_mutex_lock(&g->lock);
	if (g->ended) {
		pthread_mutex_unlock(&g->lock);
		return false;
	}
	g->exit = exit;
	g->compute = false;
	g->turn = true;
	if (!g->alive && pthread_create(&g->thread, NULL, guest_main, g))
		abort();
	g->alive = true;
	pthread_cond_broadcast(&g->cond);
	while (g->turn)
		pthread_cond_wait(&g->cond, &g->lock);
	exited = !g->compute && !g->ended;
	pthread_mutex_unlock(&g->lock);
	return exited;
}

void fake_guest_restart(struct fake_cpu *cpu)
{
	struct fake_guest *g = cpu->guest;

	if (!g)
		return;
	if (g->alive) {
		pthread_mutex_lock(&g->lock);
		g->quit = true;
		pthread_cond_broadcast(&g->cond);
		pthread_mutex_unlock(&g->lock);
		pthread_join(g->thread, NULL);
	}
	g->alive = g->quit = g->ended = g->turn = false;
	g->event.type = g->excp.type = V3_EVENT_NONE;
	g->irq = NULL;
	memset(g->irqs, 0, sizeof(g->irqs));
}

void fake_guest_destroy(struct fake_cpu *cpu)
{
	struct fake_guest *g = cpu->guest;

	if (!g)
		return;
	fake_guest_restart(cpu);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->cond);
	free(g);
	cpu->guest = NULL;
}

void fake_program(struct v3_vm *vm, unsigned index, fake_program_fn program, void *arg)
{
	struct fake_cpu *cpu = fake_cpu(vm, index);
	struct fake_guest *g;

	fake_guest_destroy(cpu);
	g = calloc(1, sizeof(*g));
	if (!g)
		abort();
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
	g->cpu = cpu;
	g->program = program;
	g->arg = arg;
	cpu->guest = g;
}

void fake_guest_event(struct fake_cpu *cpu, const struct v3_event *ev)
{
	if (!cpu->guest)
		return;
	cpu->guest->event = *ev;
	cpu->guest->event_rflags = cpu->vcpu->regs.rflags;
}

/* ---- in the program ---- */

/* An interrupt handler, as through the IDT: registers and flags are those of the interrupted
 * place again when it is over. */
static void guest_interrupt(struct fake_guest *g, const struct v3_event *ev)
{
	struct v3_regs saved = *g_regs(g);

	saved.rflags = g->event_rflags;
	g->irqs[ev->vector]++;
	g->irqs[256]++;
	if (g->irq)
		g->irq(g, ev->vector, g->irq_arg);
	*g_regs(g) = saved;
	if (ev->type == V3_EVENT_NMI)
		fake_iret(g->cpu);
}

/* Exit and come back. @return true: an exception was delivered (g->excp) */
static bool guest_exit(struct fake_guest *g, const struct v3_exit *exit)
{
	struct v3_event ev;

	if (exit)
		*g->exit = *exit;
	else
		g->compute = true;
	g->excp.type = V3_EVENT_NONE;
	guest_pause(g);
	/* An interrupt handler's own instructions deliver their own events: take this one first. */
	ev = g->event;
	g->event.type = V3_EVENT_NONE;
	if (ev.type == V3_EVENT_EXCEPTION || ev.type == V3_EVENT_SOFT_INT) {
		g->excp = ev;
		return true;
	}
	if (ev.type != V3_EVENT_NONE)
		guest_interrupt(g, &ev);
	return false;
}

/*
 * Put the instruction where it is executed; guests of unit tests do not page. Every other time
 * the exit does not tell its length: then the library has to find it out, as on a CPU without
 * next-RIP.
 */
static void guest_code(struct fake_guest *g, struct v3_exit *exit, const char *code, unsigned len)
{
	g_regs(g)->rip = GUEST_CODE(g);
	if (v3_mem_write(g->cpu->vcpu->vm, g->cpu->seg[V3_CS].base + GUEST_CODE(g), code, len))
		abort();
	g->code_len = len;
	exit->insn_len = g->ninsns++ & 1 || exit->kind == V3_EXIT_IO ? (uint8_t)len : 0;
}

/* The exit of @p kind with the instruction @p code. */
static struct v3_exit guest_exit_of(struct fake_guest *g, enum v3_exit_kind kind, const char *code,
				    unsigned len)
{
	struct v3_exit exit = fake_exit(kind, len);

	guest_code(g, &exit, code, len);
	return exit;
}

bool g_insn(struct fake_guest *g, const struct v3_exit *exit)
{
	struct v3_regs *regs = g_regs(g);
	uint64_t rip = regs->rip, next = rip + (exit->insn_len ? exit->insn_len : g->code_len);
	bool fault = guest_exit(g, exit);
	if (regs->rip != (fault ? rip : next))
		fake_violation("vcpu %u: exit %s at rip %#llx continues at %#llx, expected %#llx",
			       g->cpu->vcpu->index, v3_exit_name(exit->kind),
			       (unsigned long long)rip, (unsigned long long)regs->rip,
			       (unsigned long long)(fault ? rip : next));
	return !fault;
}

void g_on_irq(struct fake_guest *g, fake_irq_fn fn, void *arg)
{
	g->irq = fn;
	g->irq_arg = arg;
}

/* IN or OUT with DX, in 32-bit code. */
static void guest_io(struct fake_guest *g, struct v3_exit *exit)
{
	char code[2] = {0x66};
	unsigned n = exit->u.io.size == 2;

	code[n++] = (char)((exit->u.io.in ? 0xec : 0xee) | (exit->u.io.size > 1));
	g_regs(g)->gpr[V3_RDX] = exit->u.io.port;
	guest_code(g, exit, code, n);
	exit->u.io.next_rip = GUEST_CODE(g) + n;
}

bool g_in(struct fake_guest *g, uint16_t port, unsigned size, uint32_t *value)
{
	struct v3_exit exit = fake_exit_io(g->cpu->vcpu, port, size, true);

	guest_io(g, &exit);
	if (!g_insn(g, &exit))
		return false;
	*value = (uint32_t)g_regs(g)->gpr[V3_RAX] & (size == 4 ? ~0u : (1u << size * 8) - 1);
	return true;
}

bool g_out(struct fake_guest *g, uint16_t port, unsigned size, uint32_t value)
{
	struct v3_exit exit = fake_exit_io(g->cpu->vcpu, port, size, false);

	guest_io(g, &exit);
	g_regs(g)->gpr[V3_RAX] = value;
	return g_insn(g, &exit);
}

bool g_rdmsr(struct fake_guest *g, uint32_t msr, uint64_t *value)
{
	struct v3_exit exit = guest_exit_of(g, V3_EXIT_RDMSR, "\x0f\x32", 2);

	g_regs(g)->gpr[V3_RCX] = msr;
	if (!g_insn(g, &exit))
		return false;
	*value = g_regs(g)->gpr[V3_RDX] << 32 | (uint32_t)g_regs(g)->gpr[V3_RAX];
	return true;
}

bool g_wrmsr(struct fake_guest *g, uint32_t msr, uint64_t value)
{
	struct v3_exit exit = guest_exit_of(g, V3_EXIT_WRMSR, "\x0f\x30", 2);

	g_regs(g)->gpr[V3_RCX] = msr;
	g_regs(g)->gpr[V3_RAX] = (uint32_t)value;
	g_regs(g)->gpr[V3_RDX] = value >> 32;
	return g_insn(g, &exit);
}

bool g_cpuid(struct fake_guest *g, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	struct v3_exit exit = guest_exit_of(g, V3_EXIT_CPUID, "\x0f\xa2", 2);
	struct v3_regs *regs = g_regs(g);

	regs->gpr[V3_RAX] = leaf;
	regs->gpr[V3_RCX] = subleaf;
	if (!g_insn(g, &exit))
		return false;
	out[0] = (uint32_t)regs->gpr[V3_RAX];
	out[1] = (uint32_t)regs->gpr[V3_RBX];
	out[2] = (uint32_t)regs->gpr[V3_RCX];
	out[3] = (uint32_t)regs->gpr[V3_RDX];
	return true;
}

/* MOV CRn, EAX or back; CR8 outside 64-bit code is LOCK MOV CR0. */
static void guest_cr(struct fake_guest *g, struct v3_exit *exit)
{
	char code[4];
	unsigned n = 0;

	if (exit->u.reg.n == 8)
		code[n++] = (char)0xf0;
	code[n++] = 0x0f;
	code[n++] = exit->u.reg.write ? 0x22 : 0x20;
	code[n++] = (char)(0xc0 | (exit->u.reg.n & 7) << 3);
	guest_code(g, exit, code, n);
}

bool g_set_cr(struct fake_guest *g, unsigned cr, uint64_t value)
{
	struct v3_exit exit = fake_exit_cr(cr, V3_RAX, true);

	guest_cr(g, &exit);
	g_regs(g)->gpr[V3_RAX] = value;
	return g_insn(g, &exit);
}

bool g_get_cr(struct fake_guest *g, unsigned cr, uint64_t *value)
{
	struct v3_exit exit = fake_exit_cr(cr, V3_RAX, false);

	guest_cr(g, &exit);
	if (!g_insn(g, &exit))
		return false;
	*value = g_regs(g)->gpr[V3_RAX];
	return true;
}

bool g_xsetbv(struct fake_guest *g, uint32_t index, uint64_t value)
{
	struct v3_exit exit = guest_exit_of(g, V3_EXIT_XSETBV, "\x0f\x01\xd1", 3);

	g_regs(g)->gpr[V3_RCX] = index;
	g_regs(g)->gpr[V3_RAX] = (uint32_t)value;
	g_regs(g)->gpr[V3_RDX] = value >> 32;
	return g_insn(g, &exit);
}

bool g_hypercall(struct fake_guest *g, uint64_t nr, const uint64_t args[4], int64_t *result)
{
	struct v3_exit exit = guest_exit_of(g, V3_EXIT_HYPERCALL, "\x0f\x01\xd9", 3);
	struct v3_regs *regs = g_regs(g);

	regs->gpr[V3_RAX] = nr;
	regs->gpr[V3_RBX] = args ? args[0] : 0;
	regs->gpr[V3_RCX] = args ? args[1] : 0;
	regs->gpr[V3_RDX] = args ? args[2] : 0;
	regs->gpr[V3_RSI] = args ? args[3] : 0;
	if (!g_insn(g, &exit))
		return false;
	*result = (int64_t)regs->gpr[V3_RAX];
	return true;
}

/* The instruction faults in the nested table. Emulated: RIP has moved. Mapped: it runs again, by
 * itself. */
static bool guest_mov(struct fake_guest *g, v3_gpa_t gpa, unsigned size, bool write, bool *emulated)
{
	struct v3_exit exit = fake_exit(V3_EXIT_NESTED_FAULT, 0);
	struct v3_regs *regs = g_regs(g);
	uint8_t code[3], n = 0;
	bool fault;

	if (size == 2)
		code[n++] = 0x66;
	code[n++] = (uint8_t)((write ? 0x88 : 0x8a) |
			      (size > 1)); /* MOV Eb,Gb 88; Ev,Gv 89; Gb,Eb 8A; Gv,Ev 8B */
	code[n++] = 0x03;		   /* [EBX], EAX or AL */
	guest_code(g, &exit, (const char *)code, n);
	regs->gpr[V3_RBX] = gpa;
	exit.insn_len = 0;
	exit.u.fault.gpa = gpa;
	exit.u.fault.access = write ? V3_ACC_WRITE : V3_ACC_READ;
	fault = guest_exit(g, &exit);
	*emulated = regs->rip == GUEST_CODE(g) + n;
	if (!*emulated && regs->rip != GUEST_CODE(g))
		fake_violation("vcpu %u: memory access continues at rip %#llx", g->cpu->vcpu->index,
			       (unsigned long long)regs->rip);
	if (!*emulated)
		g->cpu->shadow = false;
	return !fault;
}

bool g_load(struct fake_guest *g, v3_gpa_t gpa, unsigned size, uint32_t *value)
{
	bool emulated;

	if (!guest_mov(g, gpa, size, false, &emulated))
		return false;
	*value = (uint32_t)g_regs(g)->gpr[V3_RAX] & (size == 4 ? ~0u : (1u << size * 8) - 1);
	if (!emulated) {
		*value = 0;
		if (v3_mem_read(g->cpu->vcpu->vm, gpa, value, size))
			fake_violation("guest entered again at a load from %#llx, which is not RAM",
				       (unsigned long long)gpa);
	}
	return true;
}

bool g_store(struct fake_guest *g, v3_gpa_t gpa, unsigned size, uint32_t value)
{
	bool emulated;

	g_regs(g)->gpr[V3_RAX] = value;
	if (!guest_mov(g, gpa, size, true, &emulated))
		return false;
	if (!emulated && v3_mem_write(g->cpu->vcpu->vm, gpa, &value, size))
		fake_violation("guest entered again at a store to %#llx, which is not RAM",
			       (unsigned long long)gpa);
	return true;
}

bool g_hlt(struct fake_guest *g)
{
	struct v3_exit exit = guest_exit_of(g, V3_EXIT_HLT, "\xf4", 1);

	return g_insn(g, &exit);
}

void g_sti(struct fake_guest *g)
{
	if (!(g_regs(g)->rflags & V3_RFLAGS_IF))
		g->cpu->shadow = true;
	g_regs(g)->rflags |= V3_RFLAGS_IF;
}

void g_cli(struct fake_guest *g)
{
	g_regs(g)->rflags &= ~V3_RFLAGS_IF;
}

void g_compute(struct fake_guest *g)
{
	g->cpu->shadow = false;
	guest_exit(g, NULL);
}

void g_flat32(struct fake_guest *g)
{
	static const struct v3_seg code = {.sel = 8,
					   .attr = V3_SEG_P | V3_SEG_S | V3_SEG_DB | V3_SEG_G | 0xb,
					   .limit = 0xffffffff};
	static const struct v3_seg data = {.sel = 16,
					   .attr = V3_SEG_P | V3_SEG_S | V3_SEG_DB | V3_SEG_G | 3,
					   .limit = 0xffffffff};
	struct v3_vcpu *vcpu = g->cpu->vcpu;

	vcpu->cr0 |= V3_CR0_PE;
	vcpu->cs = g->cpu->seg[V3_CS] = code;
	for (int i = V3_ES; i <= V3_GS; i++) {
		if (i != V3_CS)
			g->cpu->seg[i] = data;
	}
}

struct v3_event g_exception(const struct fake_guest *g)
{
	return g->excp;
}

unsigned g_irqs(const struct fake_guest *g, unsigned vector)
{
	return g->irqs[vector];
}

struct v3_vcpu *g_vcpu(const struct fake_guest *g)
{
	return g->cpu->vcpu;
}

struct v3_regs *g_regs(const struct fake_guest *g)
{
	return &g->cpu->vcpu->regs;
}
