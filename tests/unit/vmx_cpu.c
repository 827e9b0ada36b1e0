/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmx_cpu.c
 * The simulated CPUs behind instr/arch/vmx/insn.h: VMX operation, VMCSs and the rules of their instructions.
 * What a real CPU would refuse fails the test. SDM 3C 25.11, chapter 31.
 */
#include "arch/vmx/vmx.h"
#include "fake_priv.h"
#include "host/x86.h"
#include "host/host.h"
#include "tap.h"
#include "vmx_models.h"
#include "vmx_rig.h"

#define CPU_CR0 0x80050033ull
#define CPU_CR4                                                                                    \
	(V3_CR4_PAE | V3_CR4_PGE | V3_CR4_OSFXSR | V3_CR4_OSXMMEXCPT | V3_CR4_OSXSAVE | V3_CR4_MCE)
#define CPU_EFER    (V3_EFER_SCE | V3_EFER_LME | V3_EFER_LMA | V3_EFER_NXE)
#define CPU_TSS	    0xffff800012345000ull
#define CPU_TR	    0x18
#define CPU_CONTROL 0 /* IA32_FEATURE_CONTROL: left open by the firmware */

struct vrig_machine vrig_machine;

/* The descriptor of the task state segment is all that is looked at. */
static uint64_t cpu_gdt[5];

static struct vrig_cpu *cpu_self(void)
{
	return &vrig_machine.cpu[fake_self.cpu];
}

static const struct vmx_model *cpu_model(const char *name)
{
	for (size_t i = 0; i < V3_ARRAY_SIZE(vmx_models); i++)
		if (!strcmp(vmx_models[i].name, name))
			return &vmx_models[i];
	abort();
}

static void cpu_init_msrs(const struct vmx_model *model)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} host[] = {
		{V3_MSR_EFER, CPU_EFER},
		{V3_MSR_PAT, 0x0007040600070406ull},
		{V3_MSR_FS_BASE, 0x7f0000001000ull},
		{V3_MSR_GS_BASE, 0xffff888000000000ull},
		{V3_MSR_KERNEL_GS_BASE, 0x7f0000002000ull},
		{V3_MSR_STAR, 0x23001000000000ull},
		{V3_MSR_LSTAR, 0xffffffff81000000ull},
		{V3_MSR_CSTAR, 0xffffffff81001000ull},
		{V3_MSR_SFMASK, 0x47700},
		{V3_MSR_SYSENTER_CS, 0x10},
		{V3_MSR_SYSENTER_ESP, 0xffff888000100000ull},
		{V3_MSR_SYSENTER_EIP, 0xffffffff81002000ull},
		{V3_MSR_PRED_CMD, 0},
		{V3_MSR_DEBUGCTL, 1},
		{VMX_MSR_FEATURE_CONTROL, CPU_CONTROL},
	};
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(host); i++)
		fake_msr_set(host[i].msr, host[i].value);
	for (i = 0; i < VMX_MODEL_MSRS; i++)
		if (model->msr[i])
			fake_msr_set(VMX_MSR_BASIC + i, model->msr[i]);
}

void vrig_machine_init(const char *name)
{
	const struct vmx_model *model = cpu_model(name);
	uint32_t r[4];

	memset(&vrig_machine, 0, sizeof(vrig_machine));
	cpu_gdt[CPU_TR / 8] =
		0x67 | (CPU_TSS & 0xffffff) << 16 | 0x8bull << 40 | (CPU_TSS >> 24 & 0xff) << 56;
	cpu_gdt[CPU_TR / 8 + 1] = CPU_TSS >> 32;
	fake_cpu_count(VRIG_NCPUS);
	fake_instr_cpuid(1, 0, r);
	r[2] |= 1u << 5;
	fake_cpuid_set(1, 0, r);
	fake_cr4_set(CPU_CR4);
	for (uint32_t i = VRIG_NCPUS; i-- > 0;) {
		struct vrig_cpu *c = &vrig_machine.cpu[i];

		fake_cpu_set(i);
		cpu_init_msrs(model);
		c->flags = V3_RFLAGS_IF;
		c->cr3 = 0x1000 * (i + 1);
		c->gdtr = (struct vmx_dtr){sizeof(cpu_gdt) - 1, (uintptr_t)cpu_gdt};
		c->idtr = (struct vmx_dtr){0xfff, 0xffff800000001000ull};
	}
	vrig_machine.revision = VMX_BASIC_REVISION(fake_msr_get(VMX_MSR_BASIC));
}

uint64_t *vrig_field(struct vrig_vmcs *vmcs, uint32_t field)
{
	return &vmcs->field[((field >> 13 & 3) * 4 + (field >> 10 & 3)) * 64 + (field >> 1 & 63)];
}

struct vrig_vmcs *vrig_current(void)
{
	struct vrig_cpu *c = cpu_self();

	if (!c->vmxon || !c->current) {
		fake_violation("no VMCS is current on CPU %u", fake_self.cpu);
		return &vrig_machine.vmcs[0];
	}
	return c->current;
}

static void cpu_need_irq_off(const char *insn)
{
	if (cpu_self()->flags & V3_RFLAGS_IF)
		fake_violation("%s with interrupts on", insn);
}

uint64_t vmx_read(uint32_t field)
{
	vrig_machine.reads++;
	return *vrig_field(vrig_current(), field);
}

void vmx_write(uint32_t field, uint64_t value)
{
	vrig_machine.writes++;
	if (VMCS_KIND(field) == VMCS_KIND_EXIT)
		fake_violation("VMWRITE of the read-only field %#x", field);
	*vrig_field(vrig_current(), field) = value;
}

bool vmx_on(v3_hpa_t pa)
{
	struct vrig_cpu *c = cpu_self();
	uint64_t control = fake_msr_get(VMX_MSR_FEATURE_CONTROL);

	if (!(fake_instr_cr4() & V3_CR4_VMXE) || (control & 5) != 5)
		fake_violation("VMXON: #UD or #GP");
	if (c->vmxon || vrig_machine.vmxon_fails ||
	    *(uint32_t *)v3_host_pa_to_va(pa) != vrig_machine.revision)
		return false;
	c->vmxon = pa;
	return true;
}

void vmx_off(void)
{
	if (!cpu_self()->vmxon)
		fake_violation("VMXOFF: #UD");
	cpu_self()->vmxon = 0;
	cpu_self()->current = NULL;
}

static struct vrig_vmcs *cpu_vmcs(v3_hpa_t pa)
{
	struct vrig_vmcs *free = NULL;

	if (!cpu_self()->vmxon)
		fake_violation("VMX instruction outside VMX operation");
	for (unsigned i = 0; i < VRIG_NVMCS; i++) {
		if (vrig_machine.vmcs[i].pa == pa)
			return &vrig_machine.vmcs[i];
		if (!free && !vrig_machine.vmcs[i].pa)
			free = &vrig_machine.vmcs[i];
	}
	if (!free)
		abort();
	free->pa = pa;
	return free;
}

void vmx_ptrld(v3_hpa_t pa)
{
	struct vrig_vmcs *v = cpu_vmcs(pa);

	cpu_need_irq_off("VMPTRLD");
	if (*(uint32_t *)v3_host_pa_to_va(pa) != vrig_machine.revision)
		fake_violation("VMPTRLD: revision");
	if (v->active && v->cpu != fake_self.cpu)
		fake_violation("VMCS active on CPUs %u and %u", v->cpu, fake_self.cpu);
	v->active = true;
	v->cpu = fake_self.cpu;
	cpu_self()->current = v;
}

void vmx_clear(v3_hpa_t pa)
{
	struct vrig_vmcs *v = cpu_vmcs(pa);

	cpu_need_irq_off("VMCLEAR");
	if (v->active && v->cpu != fake_self.cpu)
		fake_violation("VMCLEAR on CPU %u of a VMCS active on CPU %u", fake_self.cpu,
			       v->cpu);
	v->active = v->launched = false;
	if (cpu_self()->current == v)
		cpu_self()->current = NULL;
}

void vmx_invept(uint64_t type, uint64_t eptp)
{
	vrig_machine.invepts++;
	vrig_machine.last_invept[0] = type;
	vrig_machine.last_invept[1] = eptp;
}

void vmx_invvpid(uint64_t type, uint16_t vpid)
{
	if (!vpid)
		fake_violation("INVVPID of VPID 0");
	vrig_machine.invvpids++;
	vrig_machine.last_invvpid[0] = type;
	vrig_machine.last_invvpid[1] = vpid;
}

unsigned long vmx_irq_save(void)
{
	unsigned long flags = cpu_self()->flags;

	cpu_self()->flags = 0;
	return flags;
}

void vmx_irq_restore(unsigned long flags)
{
	cpu_self()->flags = flags;
}

void vmx_raise_nmi(void)
{
	cpu_need_irq_off("INT 2");
	vrig_machine.nmis++;
}

uint64_t vmx_read_cr0(void)
{
	return CPU_CR0;
}

uint64_t vmx_read_cr2(void)
{
	return cpu_self()->cr2;
}

uint64_t vmx_read_cr3(void)
{
	return cpu_self()->cr3;
}

void vmx_write_cr2(uint64_t v)
{
	cpu_self()->cr2 = v;
}

/* The simulated CPUs share CR4: each test looks at one at a time. */
void vmx_write_cr4(uint64_t v)
{
	if (cpu_self()->vmxon && !(v & V3_CR4_VMXE))
		fake_violation("CR4.VMXE cleared in VMX operation: #GP");
	fake_cr4_set(v);
}

uint16_t vmx_read_es(void)
{
	return 0x2b; /* a user's */
}

uint16_t vmx_read_cs(void)
{
	return 0x08;
}

uint16_t vmx_read_ss(void)
{
	return 0x10;
}

uint16_t vmx_read_ds(void)
{
	return 0;
}

uint16_t vmx_read_tr(void)
{
	return CPU_TR;
}

struct vmx_dtr vmx_read_gdtr(void)
{
	return cpu_self()->gdtr;
}

struct vmx_dtr vmx_read_idtr(void)
{
	return cpu_self()->idtr;
}

void vmx_load_gdtr(struct vmx_dtr d)
{
	cpu_self()->gdtr = d;
}

void vmx_load_idtr(struct vmx_dtr d)
{
	cpu_self()->idtr = d;
}
