/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_arch.c
 * The software back end, see fake_arch.h. State after RESET and INIT: AMD APM vol. 2 14.1.3,
 * table 14-1.
 */
#include "fake_arch.h"

#include "fake_guest.h"
#include "fake_priv.h"
#include "palacios/regs.h"

#define ARCH_DR6_RESET 0xffff0ff0ull
#define ARCH_DR7_RESET 0x400ull

struct v3_arch_caps fake_arch_caps;
int fake_arch_probe_result;
int fake_arch_enable_fails_on;
uint64_t fake_arch_enabled;
unsigned fake_arch_passed;
const char *fake_arch_rule;
bool fake_arch_apic_by_cpu;
uint64_t fake_arch_deadlines;

/* MSRs the "hardware" keeps, as SVM's control block does. */
static const uint32_t arch_msrs[] = {V3_MSR_STAR,	  V3_MSR_LSTAR,		 V3_MSR_CSTAR,
				     V3_MSR_SFMASK,	  V3_MSR_KERNEL_GS_BASE, V3_MSR_SYSENTER_CS,
				     V3_MSR_SYSENTER_ESP, V3_MSR_SYSENTER_EIP,	 V3_MSR_PAT};

void fake_arch_reset(void)
{
	fake_arch_caps = (struct v3_arch_caps){.nested_1g = true,
					       .xsaves = true,
					       .hpa_bits = 48,
					       .nested_levels = 4,
					       .nested_format = V3_NESTED_NPT};
	fake_arch_probe_result = V3_OK;
	fake_arch_enable_fails_on = -1;
	fake_arch_enabled = 0;
	fake_arch_passed = 0;
	fake_arch_rule = NULL;
	fake_arch_apic_by_cpu = false;
	fake_arch_deadlines = 0;
}

struct fake_cpu *fake_cpu(struct v3_vm *vm, unsigned vcpu)
{
	return vm->vcpu[vcpu]->arch_vcpu;
}

/* ---- library, CPUs, VM ---- */

static int arch_probe(struct v3_arch_caps *caps, const char **why)
{
	if (fake_arch_probe_result) {
		*why = "the fake back end was told to refuse";
		return fake_arch_probe_result;
	}
	*caps = fake_arch_caps;
	return V3_OK;
}

static int arch_init(uint32_t ncpus, void **arch)
{
	uint32_t *state = v3_alloc(sizeof(*state));

	if (!state)
		return V3_ENOMEM;
	*state = ncpus;
	*arch = state;
	return V3_OK;
}

static void arch_fini(void *arch)
{
	if (fake_arch_enabled)
		fake_violation("back end's fini() while enabled on CPUs %#llx",
			       (unsigned long long)fake_arch_enabled);
	v3_free(arch);
}

static int arch_cpu_enable(void *arch)
{
	(void)arch;
	if (!fake_self.irq)
		fake_violation("cpu_enable() with interrupts on");
	if ((int)fake_self.cpu == fake_arch_enable_fails_on)
		return V3_EBUSY;
	if (fake_arch_enabled >> fake_self.cpu & 1)
		fake_violation("cpu_enable() twice on CPU %u", fake_self.cpu);
	fake_arch_enabled |= 1ull << fake_self.cpu;
	return V3_OK;
}

static void arch_cpu_disable(void *arch)
{
	(void)arch;
	if (!fake_self.irq)
		fake_violation("cpu_disable() with interrupts on");
	fake_arch_enabled &= ~(1ull << fake_self.cpu);
}

static int arch_vm_create(struct v3_vm *vm)
{
	vm->arch_vm = v3_alloc(16);
	return vm->arch_vm ? V3_OK : V3_ENOMEM;
}

static void arch_vm_destroy(struct v3_vm *vm)
{
	v3_free(vm->arch_vm);
	vm->arch_vm = NULL;
}

static int arch_vcpu_create(struct v3_vcpu *vcpu)
{
	struct fake_cpu *cpu = v3_alloc(sizeof(*cpu));

	if (!cpu)
		return V3_ENOMEM;
	cpu->vcpu = vcpu;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(arch_msrs); i++)
		cpu->msr[i].msr = arch_msrs[i];
	cpu->root = V3_HPA_NONE;
	vcpu->arch_vcpu = cpu;
	return V3_OK;
}

static void arch_vcpu_destroy(struct v3_vcpu *vcpu)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	if (!cpu)
		return;
	fake_guest_destroy(cpu);
	v3_free(cpu);
	vcpu->arch_vcpu = NULL;
}

static void arch_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	cpu->seg[num] = *seg;
	if (num == V3_CS)
		vcpu->cs = *seg;
}

static void arch_vcpu_reset(struct v3_vcpu *vcpu, bool init)
{
	static const struct v3_seg data = {.attr = V3_SEG_P | V3_SEG_S | 3, .limit = 0xffff};
	static const struct v3_seg code = {.sel = 0xf000,
					   .attr = V3_SEG_P | V3_SEG_S | 0xb,
					   .limit = 0xffff,
					   .base = 0xffff0000};
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs.gpr[V3_RDX] = 0x600;
	vcpu->regs.rip = 0xfff0;
	vcpu->regs.rflags = V3_RFLAGS_ONE;
	for (int i = 0; i < V3_NSEG; i++)
		arch_set_seg(vcpu, (enum v3_seg_num)i, i == V3_CS ? &code : &data);
	cpu->gdtr = cpu->idtr = (struct v3_dtr){.limit = 0xffff};
	vcpu->cr0 =
		V3_CR0_ET | (init ? vcpu->cr0 & (V3_CR0_CD | V3_CR0_NW) : V3_CR0_CD | V3_CR0_NW);
	vcpu->cr2 = vcpu->cr3 = vcpu->cr4 = vcpu->cr8 = vcpu->efer = 0;
	vcpu->cpl = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr[6] = ARCH_DR6_RESET;
	cpu->dr[7] = ARCH_DR7_RESET;
	if (!init) {
		for (unsigned i = 0; i < V3_ARRAY_SIZE(arch_msrs); i++)
			cpu->msr[i].value = arch_msrs[i] == V3_MSR_PAT ? 0x0007040600070406ull : 0;
	}
	cpu->shadow = cpu->nmi_masked = cpu->want_intr = cpu->want_nmi = false;
	cpu->inject.type = V3_EVENT_NONE;
	if (init)
		cpu->inits++;
	else
		cpu->resets++;
	fake_guest_restart(cpu);
}

/* ---- registers ---- */

static void arch_get_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg)
{
	*seg = ((struct fake_cpu *)vcpu->arch_vcpu)->seg[num];
}

static void arch_get_dtr(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	*dtr = idt ? cpu->idtr : cpu->gdtr;
}

static void arch_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	*(idt ? &cpu->idtr : &cpu->gdtr) = *dtr;
}

static void arch_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	switch (n) {
	case 0:
		vcpu->cr0 = value;
		break;
	case 2:
		vcpu->cr2 = value;
		break;
	case 3:
		vcpu->cr3 = value;
		break;
	case 4:
		vcpu->cr4 = value;
		break;
	case 8:
		vcpu->cr8 = value;
		break;
	default:
		fake_violation("set_cr(%u)", n);
	}
}

static void arch_set_efer(struct v3_vcpu *vcpu, uint64_t value)
{
	vcpu->efer = value;
}

static uint64_t arch_get_dr(struct v3_vcpu *vcpu, unsigned n)
{
	if (n > 7 || n == 4 || n == 5)
		fake_violation("get_dr(%u)", n);
	return ((struct fake_cpu *)vcpu->arch_vcpu)->dr[n & 7];
}

static void arch_set_dr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	if (n > 7 || n == 4 || n == 5)
		fake_violation("set_dr(%u)", n);
	((struct fake_cpu *)vcpu->arch_vcpu)->dr[n & 7] = value;
}

static void arch_set_cpl(struct v3_vcpu *vcpu, unsigned cpl)
{
	vcpu->cpl = (uint8_t)cpl;
}

/* NULL: not one the "hardware" keeps. FS and GS base are those of the segments. */
static uint64_t *arch_msr(struct v3_vcpu *vcpu, uint32_t msr)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	if (msr == V3_MSR_FS_BASE)
		return &cpu->seg[V3_FS].base;
	if (msr == V3_MSR_GS_BASE)
		return &cpu->seg[V3_GS].base;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(arch_msrs); i++) {
		if (cpu->msr[i].msr == msr)
			return &cpu->msr[i].value;
	}
	return NULL;
}

static int arch_get_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	const uint64_t *p = arch_msr(vcpu, msr);

	if (!p)
		return V3_ENOENT;
	*value = *p;
	return V3_OK;
}

static int arch_set_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	uint64_t *p = arch_msr(vcpu, msr);

	if (!p)
		return V3_ENOENT;
	*p = value;
	return V3_OK;
}

static int arch_pass_msr(struct v3_vm *vm, uint32_t msr, bool rd, bool wr)
{
	(void)vm;
	(void)rd;
	(void)wr;
	/* The three ranges of SVM's permission map, APM vol. 2 15.11. */
	if (msr >= 0x2000 && (msr < 0xc0000000u || msr >= 0xc0002000u) &&
	    (msr < 0xc0010000u || msr >= 0xc0012000u))
		return V3_ENOTSUP;
	fake_arch_passed++;
	return V3_OK;
}

/* ---- events ---- */

static bool arch_intr_ready(struct v3_vcpu *vcpu)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	return (vcpu->regs.rflags & V3_RFLAGS_IF) && !cpu->shadow &&
	       cpu->inject.type == V3_EVENT_NONE;
}

static bool arch_nmi_ready(struct v3_vcpu *vcpu)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	return !vcpu->nmi_blocked && !cpu->nmi_masked && !cpu->shadow &&
	       cpu->inject.type == V3_EVENT_NONE;
}

static void arch_want_intr_window(struct v3_vcpu *vcpu, uint8_t vector)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	cpu->want_intr = true;
	cpu->window_vector = vector;
}

static void arch_want_nmi_window(struct v3_vcpu *vcpu)
{
	((struct fake_cpu *)vcpu->arch_vcpu)->want_nmi = true;
}

static void arch_inject(struct v3_vcpu *vcpu, const struct v3_event *ev)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	if (cpu->inject.type != V3_EVENT_NONE)
		fake_violation("inject() of %u/%u while %u/%u waits for the same entry", ev->type,
			       ev->vector, cpu->inject.type, cpu->inject.vector);
	if (ev->type == V3_EVENT_INTR && !arch_intr_ready(vcpu))
		fake_violation("inject() of interrupt %u while it cannot be taken", ev->vector);
	if (ev->type == V3_EVENT_NONE)
		fake_violation("inject() of nothing");
	cpu->inject = *ev;
}

static void arch_clear_shadow(struct v3_vcpu *vcpu)
{
	((struct fake_cpu *)vcpu->arch_vcpu)->shadow = false;
}

static void arch_set_tsc_offset(struct v3_vcpu *vcpu, uint64_t offset)
{
	((struct fake_cpu *)vcpu->arch_vcpu)->tsc_offset = offset;
}

static bool arch_set_deadline(struct v3_vcpu *vcpu, uint64_t tsc)
{
	uint64_t now = v3_rdtsc();
	bool reaches = fake_arch_deadlines &&
		       (tsc == V3_NO_DEADLINE || tsc < now || tsc - now <= fake_arch_deadlines);

	((struct fake_cpu *)vcpu->arch_vcpu)->deadline = reaches ? tsc : V3_NO_DEADLINE;
	return reaches;
}

static void arch_set_exception_mask(struct v3_vcpu *vcpu, uint32_t mask)
{
	((struct fake_cpu *)vcpu->arch_vcpu)->exception_mask = mask;
}

static void arch_set_nested_root(struct v3_vcpu *vcpu, v3_hpa_t root)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	fake_pa_to_va(root); /* must be a page in use */
	cpu->root = root;
	cpu->roots++;
}

static void arch_flush(struct v3_vcpu *vcpu)
{
	((struct fake_cpu *)vcpu->arch_vcpu)->flushes++;
}

static const char *arch_check_entry(struct v3_vcpu *vcpu)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	cpu->checks++;
	return fake_arch_rule;
}

static void arch_dump(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;

	cpu->dumps++;
	v3_text_line(text, "  fake: %u entries", cpu->entries);
}

/* ---- entry ---- */

/* The event for this entry reaches the guest. */
static void enter_deliver(struct v3_vcpu *vcpu, struct fake_cpu *cpu)
{
	struct v3_event *ev = &cpu->inject;

	if (ev->type == V3_EVENT_NONE)
		return;
	cpu->event[cpu->nevents++ % FAKE_EVENTS] = *ev;
	if (ev->type == V3_EVENT_NMI)
		cpu->nmi_masked = true;
	fake_guest_event(cpu, ev); /* remembers IF as it is now */
	if (ev->type == V3_EVENT_NMI || ev->type == V3_EVENT_INTR)
		vcpu->regs.rflags &= ~V3_RFLAGS_IF;
	if (ev->type == V3_EVENT_EXCEPTION && ev->vector == V3_VEC_PF)
		vcpu->cr2 = ev->cr2;
	cpu->shadow = false;
	ev->type = V3_EVENT_NONE;
}

/* What the guest runs into before its next instruction. */
static bool enter_window(struct v3_vcpu *vcpu, struct fake_cpu *cpu, struct v3_exit *exit)
{
	if (cpu->want_intr && (vcpu->regs.rflags & V3_RFLAGS_IF) && !cpu->shadow) {
		cpu->want_intr = false;
		exit->kind = V3_EXIT_INTR_WINDOW;
		return true;
	}
	if (cpu->want_nmi && !cpu->nmi_masked && !cpu->shadow) {
		cpu->want_nmi = false;
		vcpu->nmi_blocked = false; /* the back end's part, as in arch/svm/exit.c */
		exit->kind = V3_EXIT_NMI_WINDOW;
		return true;
	}
	return false;
}

/* The next thing the guest does that exits. @return false: it computes */
static bool enter_next(struct v3_vcpu *vcpu, struct fake_cpu *cpu, struct v3_exit *exit)
{
	if (cpu->qhead != cpu->qtail) {
		*exit = cpu->queue[cpu->qhead++ % V3_ARRAY_SIZE(cpu->queue)];
		return true;
	}
	if (cpu->guest && fake_guest_step(cpu, exit))
		return true;
	return cpu->step && cpu->step(vcpu, exit, cpu->step_arg);
}

static int arch_enter(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	struct fake_cpu *cpu = vcpu->arch_vcpu;
	uint32_t here = fake_self.cpu;
	unsigned kicks = fake_cpu_kicks(here);

	if (fake_self.spins || fake_self.irq)
		fake_violation("enter() with spinlocks held or in interrupt context");
	if (!(fake_arch_enabled >> here & 1))
		fake_violation("enter() on CPU %u, where virtualization is off", here);
	__atomic_store_n(&vcpu->in_guest, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&vcpu->in_guest, 0, __ATOMIC_SEQ_CST);
		cpu->refused++;
		return V3_EAGAIN;
	}
	__atomic_fetch_add(&cpu->entries, 1, __ATOMIC_RELAXED); /* tests look at it */
	memset(exit, 0, sizeof(*exit));
	exit->kind = V3_EXIT_UNKNOWN;
	enter_deliver(vcpu, cpu);
	if (!enter_window(vcpu, cpu, exit) && !enter_next(vcpu, cpu, exit)) {
		/* Computing: only a kick ends it. The time-out turns a lost one into a test
		 * failure. */
		if (fake_cpu_wait_kick(here, kicks, 30000) == kicks)
			fake_violation("vcpu %u computed for 30 s without a kick", vcpu->index);
		exit->kind = V3_EXIT_INTR;
		exit->u.host_vector = -1;
	}
	__atomic_store_n(&vcpu->in_guest, 0, __ATOMIC_SEQ_CST);
	return V3_OK;
}

static bool arch_set_apic_mode(struct v3_vcpu *vcpu, enum v3_apic_mode mode, bool enabled)
{
	struct fake_cpu *c = vcpu->arch_vcpu;

	c->apic_mode = mode;
	c->apic_enabled = enabled;
	return fake_arch_apic_by_cpu && enabled && mode >= V3_APIC_XAPIC;
}

static void arch_sync_apic(struct v3_vcpu *vcpu)
{
	struct fake_cpu *c = vcpu->arch_vcpu;

	c->apic_syncs++;
}

const struct v3_arch_ops fake_arch_ops = {
	.name = "fake",
	.probe = arch_probe,
	.init = arch_init,
	.fini = arch_fini,
	.cpu_enable = arch_cpu_enable,
	.cpu_disable = arch_cpu_disable,
	.vm_create = arch_vm_create,
	.vm_destroy = arch_vm_destroy,
	.vcpu_create = arch_vcpu_create,
	.vcpu_destroy = arch_vcpu_destroy,
	.vcpu_reset = arch_vcpu_reset,
	.enter = arch_enter,
	.get_seg = arch_get_seg,
	.set_seg = arch_set_seg,
	.get_dtr = arch_get_dtr,
	.set_dtr = arch_set_dtr,
	.set_cr = arch_set_cr,
	.set_efer = arch_set_efer,
	.get_dr = arch_get_dr,
	.set_dr = arch_set_dr,
	.set_cpl = arch_set_cpl,
	.get_msr = arch_get_msr,
	.set_msr = arch_set_msr,
	.pass_msr = arch_pass_msr,
	.set_apic_mode = arch_set_apic_mode,
	.sync_apic = arch_sync_apic,
	.intr_ready = arch_intr_ready,
	.nmi_ready = arch_nmi_ready,
	.want_intr_window = arch_want_intr_window,
	.want_nmi_window = arch_want_nmi_window,
	.inject = arch_inject,
	.clear_shadow = arch_clear_shadow,
	.set_tsc_offset = arch_set_tsc_offset,
	.set_deadline = arch_set_deadline,
	.set_exception_mask = arch_set_exception_mask,
	.set_nested_root = arch_set_nested_root,
	.flush = arch_flush,
	.check_entry = arch_check_entry,
	.dump = arch_dump,
};

const struct v3_arch_ops *const v3_arch_backends[] = {&fake_arch_ops, NULL};

/* ---- for tests ---- */

void fake_push(struct fake_cpu *cpu, const struct v3_exit *exit)
{
	if (cpu->qtail - cpu->qhead == V3_ARRAY_SIZE(cpu->queue))
		abort();
	cpu->queue[cpu->qtail++ % V3_ARRAY_SIZE(cpu->queue)] = *exit;
}

void fake_set_step(struct fake_cpu *cpu, fake_step_fn step, void *arg)
{
	cpu->step = step;
	cpu->step_arg = arg;
}

void fake_iret(struct fake_cpu *cpu)
{
	if (cpu->nmi_masked) /* IRET is intercepted while an NMI is being handled */
		cpu->want_nmi = true;
	cpu->nmi_masked = false;
}

struct v3_event fake_event(const struct fake_cpu *cpu, unsigned n)
{
	if (n >= cpu->nevents || cpu->nevents - n > FAKE_EVENTS)
		return (struct v3_event){.type = V3_EVENT_NONE};
	return cpu->event[n % FAKE_EVENTS];
}

unsigned fake_count_events(const struct fake_cpu *cpu, enum v3_event_type type, unsigned vector)
{
	unsigned n = 0, first = cpu->nevents > FAKE_EVENTS ? cpu->nevents - FAKE_EVENTS : 0;

	for (unsigned i = first; i < cpu->nevents; i++)
		n += cpu->event[i % FAKE_EVENTS].type == type &&
		     cpu->event[i % FAKE_EVENTS].vector == vector;
	return n;
}

struct v3_exit fake_exit(enum v3_exit_kind kind, unsigned insn_len)
{
	return (struct v3_exit){.kind = kind, .insn_len = (uint8_t)insn_len};
}

struct v3_exit fake_exit_io(struct v3_vcpu *vcpu, uint16_t port, unsigned size, bool in)
{
	struct v3_exit exit = fake_exit(V3_EXIT_IO, size == 2 ? 2 : 1); /* 66 EF: 32-bit code */

	exit.u.io.port = port;
	exit.u.io.size = (uint8_t)size;
	exit.u.io.in = in;
	exit.u.io.next_rip = vcpu->regs.rip + exit.insn_len;
	return exit;
}

struct v3_exit fake_exit_cr(unsigned cr, unsigned gpr, bool write)
{
	struct v3_exit exit = fake_exit(write ? V3_EXIT_CR_WRITE : V3_EXIT_CR_READ, 3);

	exit.u.reg.n = (uint8_t)cr;
	exit.u.reg.gpr = (uint8_t)gpr;
	exit.u.reg.write = write;
	exit.u.reg.gpr_valid = true;
	return exit;
}
