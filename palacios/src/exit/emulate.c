/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file emulate.c
 * The executor's operations on a real vcpu: segmentation, paging, RAM, devices, ports, vector registers.
 * Called by mem/ (faults), io/ (string I/O) and dispatch.c (system instructions).
 */
#include "exit/emulate.h"

#include "cpu/excp.h"
#include "cpu/fpu.h"
#include "cpu/segment.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "host/x86.h"
#include "palacios/util/str.h"
#include "state.h"

#define V3_LOG_TAG "emulate"

#define EMULATE_LINE 64 /* bytes of a cache line */

#define EMULATE_TSS32_BUSY 0xb
#define EMULATE_TSS_IOMAP  0x66 /* offset of the bitmap's offset, APM vol. 2 12.2.4, 12.2.5 */

/* Types of INVPCID, APM vol. 3 "INVPCID". */
#define EMULATE_INVPCID_ADDRESS 0
#define EMULATE_INVPCID_ALL	2 /* and 3: whatever the PCID */
#define EMULATE_INVPCID_MAX	3
#define EMULATE_PCID_MAX	0xfff

/* 48 bits are canonical whether or not there are 57; what is not goes the long way. */
static bool emulate_is_canonical(uint64_t first, size_t size)
{
	uint64_t last = first + size - 1;

	return ((first + (1ull << 47)) | (last + (1ull << 47))) >> 48 == 0 && last >= first;
}

static __attribute__((__noinline__)) int emulate_segment(struct v3_vcpu *vcpu, enum v3_seg_num num,
							 uint64_t offset, size_t size,
							 unsigned access, v3_gva_t *linear)
{
	bool protect = (vcpu->cr0 & V3_CR0_PE) && !(vcpu->regs.rflags & V3_RFLAGS_VM);
	struct v3_seg seg;
	int err;

	vcpu->arch->get_seg(vcpu, num, &seg);
	err = v3_seg_linear(&seg, num, v3_code_bits(vcpu), protect, offset, size, access, linear);
	if (err == V3_EFAULT)
		v3_vcpu_inject(vcpu, num == V3_SS ? V3_VEC_SS : V3_VEC_GP, true, 0);
	return err;
}

static int emulate_linear(void *priv, enum v3_seg_num num, uint64_t offset, size_t size,
			  unsigned access, v3_gva_t *linear)
{
	/* Flat 64-bit segments: what nearly every access is. */
	if (V3_LIKELY(num < V3_FS && v3_code_bits(priv) == 64 &&
		      emulate_is_canonical(offset, size))) {
		*linear = offset;
		return V3_OK;
	}
	return emulate_segment(priv, num, offset, size, access, linear);
}

/* Translate, or queue the page fault that the guest would see. */
static int emulate_translate(struct v3_vcpu *vcpu, v3_gva_t linear, unsigned access, v3_gpa_t *gpa)
{
	struct v3_walk walk;
	int err = v3_walk(vcpu, linear, access, vcpu->cpl, &walk);

	if (err == V3_OK)
		*gpa = walk.gpa;
	else
		v3_vcpu_inject_pf(vcpu, linear, walk.error);
	return err;
}

static size_t emulate_to_page_end(v3_gva_t linear)
{
	return V3_PAGE_SIZE - (linear & (V3_PAGE_SIZE - 1));
}

/* Both pages are translated before either is touched: a fault leaves nothing half done. */
static int emulate_transfer(struct v3_vcpu *vcpu, v3_gva_t linear, void *buf, size_t size,
			    unsigned access, bool write)
{
	size_t first = emulate_to_page_end(linear);
	v3_gpa_t gpa, gpa2 = 0;
	int err;

	err = emulate_translate(vcpu, linear, access, &gpa);
	if (err != V3_OK || V3_LIKELY(size <= first))
		return err != V3_OK ? err : v3_mem_access(vcpu, gpa, buf, size, write);
	err = emulate_translate(vcpu, linear + first, access, &gpa2);
	if (err == V3_OK)
		err = v3_mem_access(vcpu, gpa, buf, first, write);
	if (err < 0)
		return err;
	return v3_mem_access(vcpu, gpa2, (uint8_t *)buf + first, size - first, write);
}

static int emulate_read(void *priv, v3_gva_t linear, void *buf, size_t size, unsigned access)
{
	access = access & V3_ACC_WRITE ? V3_ACC_WRITE : V3_ACC_READ;
	return emulate_transfer(priv, linear, buf, size, access, false);
}

static int emulate_write(void *priv, v3_gva_t linear, const void *buf, size_t size)
{
	return emulate_transfer(priv, linear, (void *)(uintptr_t)buf, size, V3_ACC_WRITE, true);
}

static void *emulate_direct(struct v3_vcpu *vcpu, v3_gva_t linear, size_t size, unsigned access,
			    v3_gpa_t *gpa)
{
	struct v3_walk walk;

	if (size > emulate_to_page_end(linear) ||
	    v3_walk(vcpu, linear, access, vcpu->cpl, &walk) != V3_OK)
		return NULL;
	*gpa = walk.gpa;
	return v3_mem_direct(vcpu, walk.gpa, size, access == V3_ACC_WRITE);
}

/* The memory handed out last has been written. */
static void emulate_take_back(struct v3_vcpu *vcpu, void *arg)
{
	struct v3_lent *lent = &vcpu->mmu.lent;

	(void)arg;
	if (lent->ram)
		v3_dirty_wrote(vcpu, lent->gpa, lent->ram);
	lent->ram = NULL;
}

static void *emulate_ram(void *priv, v3_gva_t linear, size_t size, unsigned access)
{
	struct v3_vcpu *vcpu = priv;
	struct v3_lent *lent = &vcpu->mmu.lent;
	v3_gpa_t gpa;
	void *p;

	access = access & V3_ACC_WRITE ? V3_ACC_WRITE : V3_ACC_READ;
	p = emulate_direct(vcpu, linear, size, access, &gpa);
	if (!p || access != V3_ACC_WRITE)
		return p;
	emulate_take_back(vcpu, NULL);
	lent->gpa = gpa;
	lent->ram = p;
	lent->done.fn = emulate_take_back;
	v3_vcpu_queue_work(vcpu, &lent->done);
	return p;
}

#define EMULATE_CMPXCHG(type)                                                                      \
	*swapped = __atomic_compare_exchange_n((type *)p, (type *)old, *(const type *)val, false,  \
					       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

static bool emulate_cmpxchg16(void *p, uint64_t old[2], const uint64_t val[2])
{
	bool done;

	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@ccz"(done), "+m"(*(unsigned __int128 *)p), "+a"(old[0]), "+d"(old[1])
			 : "b"(val[0]), "c"(val[1])
			 : "memory");
	return done;
}

/*
 * A locked access across cache lines locks the bus. The host's CPU may raise #AC for that, and an operating system take
 * it for an error of its kernel (SDM 3A "Detection of Bus and Split Locks"): it is done in two steps, not atomically.
 */
static int emulate_cmpxchg(void *priv, v3_gva_t linear, void *old, const void *val, size_t size,
			   bool *swapped)
{
	v3_gpa_t gpa;
	void *p = emulate_direct(priv, linear, size, V3_ACC_WRITE, &gpa);

	if (!p || (size == 16 && (linear & 15)) || linear % EMULATE_LINE + size > EMULATE_LINE)
		return V3_ENOTSUP;
	switch (size) {
	case 1:
		EMULATE_CMPXCHG(uint8_t);
		break;
	case 2:
		EMULATE_CMPXCHG(uint16_t);
		break;
	case 4:
		EMULATE_CMPXCHG(uint32_t);
		break;
	case 8:
		EMULATE_CMPXCHG(uint64_t);
		break;
	default:
		*swapped = emulate_cmpxchg16(p, old, val);
		break;
	}
	v3_dirty_wrote((struct v3_vcpu *)priv, gpa, p);
	return V3_OK;
}

/* One bit per port in the 32- or 64-bit TSS, at least as many as the access touches; APM vol. 2 12.2.4. */
static bool emulate_bitmap_allows(struct v3_vcpu *vcpu, uint16_t port, unsigned size)
{
	uint16_t map, bits;
	struct v3_seg tr;

	vcpu->arch->get_seg(vcpu, V3_TR, &tr);
	if ((tr.attr & V3_SEG_TYPE) != EMULATE_TSS32_BUSY || tr.limit < EMULATE_TSS_IOMAP + 1)
		return false;
	if (v3_gva_read(vcpu, tr.base + EMULATE_TSS_IOMAP, &map, 2, V3_ACC_READ, 0, NULL) != V3_OK)
		return false;
	if ((uint32_t)map + port / 8 + 1 > tr.limit)
		return false;
	if (v3_gva_read(vcpu, tr.base + map + port / 8, &bits, 2, V3_ACC_READ, 0, NULL) != V3_OK)
		return false;
	return !((bits >> (port & 7)) & ((1u << size) - 1));
}

int v3_io_permitted(struct v3_vcpu *vcpu, uint16_t port, unsigned size)
{
	unsigned iopl = (unsigned)((vcpu->regs.rflags & V3_RFLAGS_IOPL) >> 12);
	bool vm86 = vcpu->regs.rflags & V3_RFLAGS_VM;

	if (!(vcpu->cr0 & V3_CR0_PE) || (!vm86 && vcpu->cpl <= iopl))
		return V3_OK;
	if (emulate_bitmap_allows(vcpu, port, size))
		return V3_OK;
	v3_vcpu_inject_gp(vcpu, 0);
	return V3_EFAULT;
}

static int emulate_io_check(void *priv, uint16_t port, unsigned size)
{
	return v3_io_permitted(priv, port, size);
}

static int emulate_io_in(void *priv, uint16_t port, unsigned size, uint32_t *value)
{
	struct v3_io io = {.port = port, .size = (uint8_t)size};
	int err = v3_io_access(priv, &io);

	*value = io.value;
	return err;
}

static int emulate_io_out(void *priv, uint16_t port, unsigned size, uint32_t value)
{
	struct v3_io io = {.port = port, .size = (uint8_t)size, .write = true, .value = value};

	return v3_io_access(priv, &io);
}

static int emulate_vec_get(void *priv, unsigned n, void *buf, size_t size)
{
	return v3_fpu_get_vec(priv, n, buf, size);
}

static int emulate_vec_set(void *priv, unsigned n, const void *buf, size_t size, bool zero_upper)
{
	return v3_fpu_set_vec(priv, n, buf, size, zero_upper);
}

static uint16_t emulate_get_sel(void *priv, enum v3_seg_num num)
{
	struct v3_vcpu *vcpu = priv;
	struct v3_seg seg;

	vcpu->arch->get_seg(vcpu, num, &seg);
	return seg.sel;
}

/*
 * Not done: loading SS holds interrupts off for one more instruction (APM vol. 3 "MOV"), but struct
 * v3_arch_ops can only end an interrupt shadow. A guest that loads SS from a device or hooked page, with
 * interrupts on, may take one before it loads its stack pointer.
 */
static int emulate_load_seg(void *priv, enum v3_seg_num num, uint16_t sel)
{
	struct v3_vcpu *vcpu = priv;

	if (num >= V3_LDTR)
		return v3_segment_load_system(vcpu, num, sel);
	return v3_segment_load(vcpu, num, sel, vcpu->cpl, V3_VEC_GP);
}

static int emulate_gp(struct v3_vcpu *vcpu)
{
	v3_vcpu_inject_gp(vcpu, 0);
	return V3_EFAULT;
}

/* Asked again although the CPU has checked it: another vcpu may have changed the instruction since. */
static int emulate_sys_check(void *priv, enum v3_emul_sys what)
{
	const struct v3_vcpu *vcpu = priv;
	bool stores = what == V3_EMUL_STORE_DTR || what == V3_EMUL_STORE_SEL;
	bool selector = what == V3_EMUL_STORE_SEL || what == V3_EMUL_LOAD_SEL;

	if (selector && (!(vcpu->cr0 & V3_CR0_PE) || (vcpu->regs.rflags & V3_RFLAGS_VM)))
		return V3_EINVAL;
	if (vcpu->cpl && (!stores || (vcpu->cr4 & V3_CR4_UMIP)))
		return emulate_gp(priv);
	return V3_OK;
}

static void emulate_get_dtr(void *priv, bool idt, struct v3_dtr *dtr)
{
	struct v3_vcpu *vcpu = priv;

	vcpu->arch->get_dtr(vcpu, idt, dtr);
}

static int emulate_set_dtr(void *priv, bool idt, const struct v3_dtr *dtr)
{
	struct v3_vcpu *vcpu = priv;

	if (!v3_gva_canonical(vcpu, dtr->base))
		return emulate_gp(vcpu);
	vcpu->arch->set_dtr(vcpu, idt, dtr);
	return V3_OK;
}

/* Which translations to drop: with nested paging all of the guest's own is as good, and rare. */
static int emulate_invpcid(void *priv, uint64_t type, const uint64_t desc[2])
{
	struct v3_vcpu *vcpu = priv;
	bool pcid = vcpu->cr4 & V3_CR4_PCIDE;

	if (type > EMULATE_INVPCID_MAX || desc[0] > EMULATE_PCID_MAX ||
	    (type < EMULATE_INVPCID_ALL && desc[0] && !pcid) ||
	    (type == EMULATE_INVPCID_ADDRESS && !v3_gva_canonical(vcpu, desc[1])))
		return emulate_gp(vcpu);
	v3_flush_vcpu(vcpu);
	return V3_OK;
}

static bool emulate_random(void *priv, bool seed, uint64_t *value)
{
	(void)priv;
	return seed ? v3_rdseed(value) : v3_rdrand(value);
}

static void emulate_fault(void *priv, enum v3_vector vector)
{
	v3_vcpu_inject(priv, vector, vector == V3_VEC_GP, 0);
}

static const struct v3_emul_ops emulate_ops = {
	.linear = emulate_linear,
	.read = emulate_read,
	.write = emulate_write,
	.cmpxchg = emulate_cmpxchg,
	.ram = emulate_ram,
	.io_check = emulate_io_check,
	.io_in = emulate_io_in,
	.io_out = emulate_io_out,
	.vec_get = emulate_vec_get,
	.vec_set = emulate_vec_set,
	.get_sel = emulate_get_sel,
	.load_seg = emulate_load_seg,
	.sys_check = emulate_sys_check,
	.get_dtr = emulate_get_dtr,
	.set_dtr = emulate_set_dtr,
	.invpcid = emulate_invpcid,
	.random = emulate_random,
	.fault = emulate_fault,
};

static uint8_t emulate_stack_bits(struct v3_vcpu *vcpu)
{
	struct v3_seg ss;

	if (v3_code_bits(vcpu) == 64)
		return 64;
	vcpu->arch->get_seg(vcpu, V3_SS, &ss);
	return ss.attr & V3_SEG_DB ? 32 : 16;
}

static int emulate_unknown(struct v3_vcpu *vcpu, const struct v3_insn *insn)
{
	V3_GUEST_WARN(vcpu->vm, "cannot emulate opcode %#x (map %u) at %#llx: #UD for the guest",
		      insn->opcode, insn->map, (unsigned long long)vcpu->regs.rip);
	v3_vcpu_inject_ud(vcpu);
	return V3_OK;
}

/* The access was part of delivering an event (IDT, TSS or stack in device memory), not of the instruction
 * at RIP. No kernel does that on purpose; the CPU itself would be at its end soon. */
static int emulate_delivery(struct v3_vcpu *vcpu, const struct v3_exit *exit)
{
	V3_GUEST_WARN(vcpu->vm, "delivery of vector %u needs emulated memory at %#llx",
		      exit->aborted.vector, (unsigned long long)exit->u.fault.gpa);
	v3_vm_request_reset(vcpu->vm, "event delivered through emulated memory");
	return V3_OK;
}

int v3_emulate_access(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	struct v3_emul emul = {.ops = &emulate_ops, .priv = vcpu, .regs = &vcpu->regs};
	const struct v3_insn *insn;
	int err;

	if (V3_UNLIKELY(exit->aborted.type != V3_EVENT_NONE))
		return emulate_delivery(vcpu, exit);
	insn = v3_insn_decode(vcpu, exit);
	if (!insn)
		return V3_OK; /* a fault is queued, or the guest runs what is there now */
	emul.stack_bits = emulate_stack_bits(vcpu);
	emul.features = vcpu->cpu.emul_features;
	err = v3_emulate(&emul, insn);
	switch (err) {
	case V3_OK:
	case V3_LEAVE:
		if (emul.retired)
			v3_insn_retire(vcpu, 0);
		return err;
	case V3_EFAULT:
		return V3_OK;
	case V3_EINVAL:
		v3_vcpu_inject_ud(vcpu);
		return V3_OK;
	case V3_ENOTSUP:
		return emulate_unknown(vcpu, insn);
	default:
		return err;
	}
}
