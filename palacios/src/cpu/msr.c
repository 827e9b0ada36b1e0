/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file msr.c
 * MSR dispatch and the CPU model's own MSRs. What is not registered raises #GP; the context-like MSRs that
 * the hardware switches with the guest (FS base, STAR ...) never exit.
 * AMD APM vol. 2 appendix A, 7.8 (PAT); AMD BKDG/PPR for the family-specific ones.
 */
#include "cpu/msr.h"

#include "host/x86.h"
#include "cpu/cr.h"
#include "cpu/handlers.h"
#include "cpu/pvclock.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "state.h"

#define V3_LOG_TAG "msr"

#define MSR_PATCH_LEVEL 0x0000008bu
#define MSR_PERF_CTL	0xc0010000u /* four selectors, then four counters */
#define MSR_SYSCFG	0xc0010010u
#define MSR_HWCR	0xc0010015u
#define MSR_NB_CFG	0xc001001fu
#define MSR_INT_PENDING 0xc0010055u
#define MSR_DE_CFG	0xc0011029u
#define MSR_LS_CFG	0xc0011020u
#define MSR_BU_CFG2	0xc001102au

#define MSR_HWCR_TSC_FREQ_SEL (1ull << 24)
#define MSR_MISC_ENABLE_VALUE 0x1801ull /* fast strings; no branch trace store, no precise events */
#define MSR_DE_CFG_LFENCE     (1ull << 1) /* LFENCE is serialising */

int v3_msr_register(struct v3_vm *vm, uint32_t first, uint32_t count, v3_msr_read_fn rd,
		    v3_msr_write_fn wr, void *priv)
{
	struct v3_msr_map *map = &vm->msr;
	uint32_t last = first + count - 1;
	uint32_t at, i;

	if (!count || last < first)
		return V3_EINVAL;
	for (at = 0; at < map->nranges && map->range[at].last < first; at++)
		;
	if (at < map->nranges && map->range[at].first <= last)
		return V3_EEXIST;
	if (map->nranges == V3_MSR_MAX_RANGES)
		return V3_ENOSPC;
	for (i = map->nranges; i > at; i--)
		map->range[i] = map->range[i - 1];
	map->range[at] = (struct v3_msr_range){
		.first = first, .last = last, .rd = rd, .wr = wr, .priv = priv};
	map->nranges++;
	return V3_OK;
}

void v3_msr_unregister(struct v3_vm *vm, uint32_t first)
{
	struct v3_msr_map *map = &vm->msr;
	uint32_t i;

	for (i = 0; i < map->nranges && map->range[i].first != first; i++)
		;
	if (i == map->nranges)
		return;
	for (map->nranges--; i < map->nranges; i++)
		map->range[i] = map->range[i + 1];
}

static bool msr_in(const struct v3_msr_range *r, uint32_t msr)
{
	return msr >= r->first && msr <= r->last;
}

/* Guests use few MSRs often: the range of the last access is looked at first. */
static const struct v3_msr_range *msr_find(struct v3_vcpu *vcpu, uint32_t msr)
{
	const struct v3_msr_map *map = &vcpu->vm->msr;
	uint32_t lo = vcpu->cpu.msr_hint, hi = map->nranges;

	if (V3_LIKELY(lo < hi && msr_in(&map->range[lo], msr)))
		return &map->range[lo];
	lo = 0;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (map->range[mid].last < msr)
			lo = mid + 1;
		else
			hi = mid;
	}
	vcpu->cpu.msr_hint = lo;
	return lo < map->nranges && msr_in(&map->range[lo], msr) ? &map->range[lo] : NULL;
}

/* RIP moves on, or the #GP. */
static int msr_finish(struct v3_vcpu *vcpu, unsigned len, int err)
{
	if (err == V3_OK)
		v3_insn_retire(vcpu, len);
	else if (err == V3_EINVAL)
		v3_vcpu_inject_gp(vcpu, 0);
	else
		return err;
	return V3_OK;
}

int v3_rdmsr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	uint64_t *gpr = vcpu->regs.gpr;
	uint32_t msr = (uint32_t)gpr[V3_RCX];
	const struct v3_msr_range *r = msr_find(vcpu, msr);
	unsigned len = v3_insn_len(vcpu, exit, V3_OP_RDMSR);
	uint64_t value = 0;
	int err = V3_EINVAL;

	if (!len)
		return V3_OK;
	if (V3_LIKELY(r && r->rd))
		err = r->rd(vcpu, msr, &value, r->priv);
	else
		V3_GUEST_WARN(vcpu->vm, "RDMSR %#x: no such MSR here, #GP for the guest", msr);
	if (err == V3_OK) {
		gpr[V3_RAX] = (uint32_t)value;
		gpr[V3_RDX] = value >> 32;
	}
	return msr_finish(vcpu, len, err);
}

int v3_wrmsr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const uint64_t *gpr = vcpu->regs.gpr;
	uint32_t msr = (uint32_t)gpr[V3_RCX];
	uint64_t value = (uint32_t)gpr[V3_RAX] | gpr[V3_RDX] << 32;
	const struct v3_msr_range *r = msr_find(vcpu, msr);
	unsigned len = v3_insn_len(vcpu, exit, V3_OP_WRMSR);
	int err = V3_EINVAL;

	if (!len)
		return V3_OK; /* before anything has an effect */
	if (V3_LIKELY(r && r->wr))
		err = r->wr(vcpu, msr, value, r->priv);
	else
		V3_GUEST_WARN(vcpu->vm, "WRMSR %#x = %#llx: no such MSR here, #GP for the guest",
			      msr, (unsigned long long)value);
	return msr_finish(vcpu, len, err);
}

/* ---- the model's own MSRs ---- */

static int msr_efer_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	*value = vcpu->efer;
	return V3_OK;
}

static int msr_efer_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)msr;
	(void)priv;
	return v3_efer_write(vcpu, value);
}

static int msr_tsc_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	*value = v3_time_guest_tsc(vcpu);
	return V3_OK;
}

static int msr_tsc_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)msr;
	(void)priv;
	v3_time_set_tsc(vcpu, value);
	v3_pvclock_update(vcpu);
	return V3_OK;
}

/* SDM vol. 3B 17.17.3: a write moves the TSC by the difference, as a write of the TSC moves this one. */
static int msr_tsc_adjust_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	*value = vcpu->time.tsc_adjust;
	return V3_OK;
}

static int msr_tsc_adjust_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)msr;
	(void)priv;
	v3_time_adjust_tsc(vcpu, value);
	v3_pvclock_update(vcpu);
	return V3_OK;
}

static int msr_tsc_aux_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	if (!vcpu->cpu.has_tsc_aux)
		return V3_EINVAL;
	*value = vcpu->cpu.tsc_aux;
	return V3_OK;
}

static int msr_tsc_aux_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)priv;
	if (!vcpu->cpu.has_tsc_aux || value >> 32)
		return V3_EINVAL;
	vcpu->cpu.tsc_aux = value;
	if (vcpu->cpu.fpu_loaded)
		v3_wrmsr(msr, value);
	return V3_OK;
}

/* No supervisor component is offered: 0 is the only value. */
static int msr_xss_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	*value = 0;
	return vcpu->cpu.has_xss ? V3_OK : V3_EINVAL;
}

static int msr_xss_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)msr;
	(void)priv;
	return vcpu->cpu.has_xss && !value ? V3_OK : V3_EINVAL;
}

/* Memory types 0, 1, 4, 5, 6, 7 in each byte. */
static bool msr_pat_valid(uint64_t value)
{
	unsigned i;

	for (i = 0; i < 64; i += 8) {
		unsigned type = value >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static int msr_hw_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)priv;
	return vcpu->arch->get_msr(vcpu, msr, value) == V3_OK ? V3_OK : V3_EINVAL;
}

static int msr_pat_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)priv;
	return msr_pat_valid(value) ? vcpu->arch->set_msr(vcpu, msr, value) : V3_EINVAL;
}

/* HWCR: the guest may read what it wrote; it changes nothing. TscFreqSel says that the TSC is constant. */
static int msr_hwcr_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	*value = vcpu->cpu.amd_hwcr | MSR_HWCR_TSC_FREQ_SEL;
	return V3_OK;
}

static int msr_hwcr_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)msr;
	(void)priv;
	vcpu->cpu.amd_hwcr = value;
	return V3_OK;
}

static int msr_lfence_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)vcpu;
	(void)msr;
	(void)priv;
	*value = MSR_DE_CFG_LFENCE;
	return V3_OK;
}

/* Kernels read it on Intel CPUs before they can take an exception; what they write there is fine with us. */
static int msr_misc_enable_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)vcpu;
	(void)msr;
	(void)priv;
	*value = MSR_MISC_ENABLE_VALUE;
	return V3_OK;
}

static int msr_zero_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)vcpu;
	(void)msr;
	(void)priv;
	*value = 0;
	return V3_OK;
}

static int msr_ignore_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)vcpu;
	(void)msr;
	(void)value;
	(void)priv;
	return V3_OK;
}

/* Registered for every VM. The zero/ignore rows are MSRs that unmodified kernels touch on every CPU of
 * the family without being prepared for #GP; none of them has an effect a guest could miss. */
static const struct msr_builtin {
	uint32_t first, count;
	v3_msr_read_fn rd;
	v3_msr_write_fn wr;
} msr_builtins[] = {
	{V3_MSR_TSC, 1, msr_tsc_read, msr_tsc_write},
	{V3_MSR_TSC_ADJUST, 1, msr_tsc_adjust_read, msr_tsc_adjust_write},
	{MSR_PATCH_LEVEL, 1, msr_zero_read, msr_ignore_write},
	{V3_MSR_MCG_CAP, 2, msr_zero_read, msr_ignore_write}, /* no banks */
	{V3_MSR_MISC_ENABLE, 1, msr_misc_enable_read, msr_ignore_write},
	{V3_MSR_DEBUGCTL, 1, msr_zero_read, msr_ignore_write},
	{V3_MSR_PAT, 1, msr_hw_read, msr_pat_write},
	{V3_MSR_XSS, 1, msr_xss_read, msr_xss_write},
	{V3_MSR_EFER, 1, msr_efer_read, msr_efer_write},
	{V3_MSR_TSC_AUX, 1, msr_tsc_aux_read, msr_tsc_aux_write},
	{MSR_PERF_CTL, 8, msr_zero_read, msr_ignore_write}, /* on every AMD CPU: vol. 2, 13.2.1 */
	{MSR_SYSCFG, 1, msr_zero_read, msr_ignore_write},
	{MSR_HWCR, 1, msr_hwcr_read, msr_hwcr_write},
	{MSR_NB_CFG, 1, msr_zero_read, msr_ignore_write},
	{MSR_INT_PENDING, 1, msr_zero_read, msr_ignore_write},
	{MSR_LS_CFG, 1, msr_zero_read, msr_ignore_write},
	{MSR_DE_CFG, 1, msr_lfence_read, msr_ignore_write},
	{MSR_BU_CFG2, 1, msr_zero_read, msr_ignore_write},
};

/* Switched with the guest by the hardware: no exit. */
static const uint32_t msr_passed[] = {
	V3_MSR_SYSENTER_CS, V3_MSR_SYSENTER_ESP,   V3_MSR_SYSENTER_EIP, V3_MSR_STAR,
	V3_MSR_LSTAR,	    V3_MSR_CSTAR,	   V3_MSR_SFMASK,	V3_MSR_FS_BASE,
	V3_MSR_GS_BASE,	    V3_MSR_KERNEL_GS_BASE,
};

int v3_msr_vm_init(struct v3_vm *vm)
{
	unsigned i;
	int err;

	for (i = 0; i < V3_ARRAY_SIZE(msr_builtins); i++) {
		const struct msr_builtin *b = &msr_builtins[i];

		err = v3_msr_register(vm, b->first, b->count, b->rd, b->wr, NULL);
		if (err != V3_OK)
			return err;
	}
	for (i = 0; i < V3_ARRAY_SIZE(msr_passed); i++) {
		err = vm->arch->pass_msr(vm, msr_passed[i], true, true);
		if (err != V3_OK)
			return err;
	}
	err = v3_mtrr_register(vm);
	if (err == V3_OK)
		err = v3_pvclock_register(vm);
	return err != V3_OK ? err : v3_pv_register(vm);
}
