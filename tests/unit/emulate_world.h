/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file emulate_world.h
 * An owner of the executor for tests: a small world of a few pages with registers, ports and a log of what
 * was accessed.
 */
#ifndef TESTS_UNIT_EMULATE_WORLD_H
#define TESTS_UNIT_EMULATE_WORLD_H

#include "tap.h"

#include "palacios/decode.h"
#include "palacios/error.h"
#include "palacios/mem.h"

#define BASE   0x10000 /* linear address of page 0 */
#define NPAGES 4

enum page { RAM, DEVICE, READ_ONLY, ABSENT };

struct access {
	char what; /* r read, w write, x compare-exchange, i in, o out, s segment load, p INVPCID */
	uint64_t at;
	unsigned size;
};

static struct {
	struct v3_regs regs;
	struct v3_emul emul;
	struct v3_seg segs[V3_NSEG];
	unsigned bits;
	uint8_t mem[NPAGES * 4096];
	enum page pages[NPAGES];
	struct access log[32];
	unsigned nlog;
	uint8_t vec[16][32];
	bool vec_zeroed;
	int fault; /* vector queued, or -1; V3_VEC_PF for a page */
	uint64_t cr2;
	unsigned steals; /* compare-exchanges to be lost to another vcpu */
	bool ports_denied;
	uint16_t bad_sel; /* selector whose load raises #NP */
	uint32_t port_value;
	struct v3_dtr dtr[2]; /* GDTR, IDTR */
	int sys;	      /* enum v3_emul_sys asked for last, or -1 */
	int sys_result;
	uint64_t invpcid[3]; /* type and descriptor */
	bool no_random;
	unsigned leave_at; /* number of the logged access that returns V3_LEAVE, from 1 */
	int fail_at, fail; /* number of the logged access that fails, and how */
} w;

static int logged(char what, uint64_t at, unsigned size)
{
	unsigned n = ++w.nlog;

	if (n <= sizeof(w.log) / sizeof(w.log[0]))
		w.log[n - 1] = (struct access){what, at, size};
	if (w.fail && (int)n == w.fail_at)
		return w.fail;
	return n == w.leave_at ? V3_LEAVE : V3_OK;
}

static void was(unsigned n, char what, uint64_t at, unsigned size)
{
	const struct access *a = &w.log[n];

	CHECK_MSG(n < w.nlog && a->what == what && a->at == at && a->size == size,
		  "access %u of %u is %c %#" PRIx64 " of %u, expected %c %#" PRIx64 " of %u", n,
		  w.nlog, n < w.nlog ? a->what : '-', a->at, a->size, what, at, size);
}

/* All pages of the range must allow the access. */
static bool reachable(v3_gva_t linear, size_t size, bool write)
{
	for (size_t i = 0; i < size; i++) {
		v3_gva_t at = linear + i;
		uint64_t page = (at - BASE) / 4096;

		if (page >= NPAGES || w.pages[page] == ABSENT ||
		    (write && w.pages[page] == READ_ONLY)) {
			w.fault = V3_VEC_PF;
			w.cr2 = at;
			return false;
		}
	}
	return true;
}

static int op_linear(void *priv, enum v3_seg_num seg, uint64_t offset, size_t size, unsigned access,
		     v3_gva_t *linear)
{
	(void)priv;
	if (v3_seg_linear(&w.segs[seg], seg, w.bits, true, offset, size, access, linear) == V3_OK)
		return V3_OK;
	w.fault = seg == V3_SS ? V3_VEC_SS : V3_VEC_GP;
	return V3_EFAULT;
}

static int op_read(void *priv, v3_gva_t linear, void *buf, size_t size, unsigned access)
{
	(void)priv;
	if (!reachable(linear, size, access & V3_ACC_WRITE))
		return V3_EFAULT;
	memcpy(buf, w.mem + (linear - BASE), size);
	return logged('r', linear, (unsigned)size);
}

static int op_write(void *priv, v3_gva_t linear, const void *buf, size_t size)
{
	int ret;

	(void)priv;
	if (!reachable(linear, size, true))
		return V3_EFAULT;
	ret = logged('w', linear, (unsigned)size);
	if (ret >= 0)
		memcpy(w.mem + (linear - BASE), buf, size);
	return ret;
}

static int op_cmpxchg(void *priv, v3_gva_t linear, void *old, const void *val, size_t size,
		      bool *swapped)
{
	uint8_t *p = w.mem + (linear - BASE);

	(void)priv;
	if (w.pages[(linear - BASE) / 4096] == DEVICE)
		return V3_ENOTSUP;
	if (w.steals) { /* the other vcpu adds one */
		w.steals--;
		p[0]++;
	}
	*swapped = !memcmp(p, old, size);
	memcpy(*swapped ? (void *)p : old, *swapped ? val : p, size);
	return logged('x', linear, (unsigned)size);
}

static void *op_ram(void *priv, v3_gva_t linear, size_t size, unsigned access)
{
	uint64_t n = (linear - BASE) / 4096;
	enum page page = n < NPAGES ? w.pages[n] : ABSENT;

	(void)priv;
	CHECK_MSG(size && (linear & 4095) + size <= 4096, "ram() asked for %zu bytes at %#" PRIx64,
		  size, linear);
	if (page == RAM || (page == READ_ONLY && access == V3_ACC_READ))
		return w.mem + (linear - BASE);
	return NULL;
}

static int op_io_check(void *priv, uint16_t port, unsigned size)
{
	(void)priv;
	(void)port;
	(void)size;
	if (!w.ports_denied)
		return V3_OK;
	w.fault = V3_VEC_GP;
	return V3_EFAULT;
}

static int op_io_in(void *priv, uint16_t port, unsigned size, uint32_t *value)
{
	(void)priv;
	*value = w.port_value++;
	return logged('i', port, size);
}

static int op_io_out(void *priv, uint16_t port, unsigned size, uint32_t value)
{
	(void)priv;
	w.port_value = value;
	return logged('o', port, size);
}

static int op_vec_get(void *priv, unsigned n, void *buf, size_t size)
{
	(void)priv;
	memcpy(buf, w.vec[n], size);
	return V3_OK;
}

static int op_vec_set(void *priv, unsigned n, const void *buf, size_t size, bool zero_upper)
{
	(void)priv;
	memcpy(w.vec[n], buf, size);
	w.vec_zeroed = zero_upper;
	return V3_OK;
}

static uint16_t op_get_sel(void *priv, enum v3_seg_num seg)
{
	(void)priv;
	return w.segs[seg].sel;
}

static int op_load_seg(void *priv, enum v3_seg_num seg, uint16_t sel)
{
	(void)priv;
	CHECK(seg != V3_CS);
	if (w.bad_sel && sel == w.bad_sel) {
		w.fault = V3_VEC_NP;
		return V3_EFAULT;
	}
	w.segs[seg].sel = sel;
	return logged('s', seg, 2);
}

static int op_sys_check(void *priv, enum v3_emul_sys what)
{
	(void)priv;
	w.sys = (int)what;
	if (w.sys_result == V3_EFAULT)
		w.fault = V3_VEC_GP;
	return w.sys_result;
}

static void op_get_dtr(void *priv, bool idt, struct v3_dtr *dtr)
{
	(void)priv;
	*dtr = w.dtr[idt];
}

static int op_set_dtr(void *priv, bool idt, const struct v3_dtr *dtr)
{
	(void)priv;
	w.dtr[idt] = *dtr;
	return V3_OK;
}

static int op_invpcid(void *priv, uint64_t type, const uint64_t desc[2])
{
	(void)priv;
	memcpy(w.invpcid, (uint64_t[]){type, desc[0], desc[1]}, sizeof(w.invpcid));
	return logged('p', type, 16);
}

static bool op_random(void *priv, bool seed, uint64_t *value)
{
	(void)priv;
	*value = seed ? 0x5eed5eed5eed5eed : 0x1122334455667788;
	return !w.no_random;
}

static void op_fault(void *priv, enum v3_vector vector)
{
	(void)priv;
	w.fault = (int)vector;
}

static const struct v3_emul_ops ops = {
	.linear = op_linear,
	.read = op_read,
	.write = op_write,
	.cmpxchg = op_cmpxchg,
	.ram = op_ram,
	.io_check = op_io_check,
	.io_in = op_io_in,
	.io_out = op_io_out,
	.vec_get = op_vec_get,
	.vec_set = op_vec_set,
	.get_sel = op_get_sel,
	.load_seg = op_load_seg,
	.sys_check = op_sys_check,
	.get_dtr = op_get_dtr,
	.set_dtr = op_set_dtr,
	.invpcid = op_invpcid,
	.random = op_random,
	.fault = op_fault,
};

/* A world with flat segments and RAM only. */
static void world(unsigned bits)
{
	memset(&w, 0, sizeof(w));
	w.bits = bits;
	w.fault = w.sys = -1;
	for (unsigned i = 0; i < V3_NSEG; i++)
		w.segs[i] = (struct v3_seg){.attr = V3_SEG_P | V3_SEG_S | V3_SEG_DB | 3,
					    .limit = 0xffffffff};
	w.regs.rip = 0x1000;
	w.regs.rflags = V3_RFLAGS_ONE;
	w.emul = (struct v3_emul){.ops = &ops, .regs = &w.regs, .stack_bits = (uint8_t)bits};
}

/* Decode and execute one instruction once. */
static int run(const char *hex)
{
	struct v3_insn insn;
	uint8_t bytes[16];
	unsigned n = 0, byte;

	for (const char *p = hex; sscanf(p, "%2x", &byte) == 1; p += 2)
		bytes[n++] = (uint8_t)byte;
	if (!CHECK_MSG(v3_decode(bytes, n, w.bits, &insn) == V3_OK, "cannot decode %s", hex))
		return V3_EIO;
	CHECK_EQ(insn.length, n);
	return v3_emulate(&w.emul, &insn);
}

static uint64_t mem64(uint64_t at)
{
	uint64_t v;

	memcpy(&v, w.mem + (at - BASE), 8);
	return v;
}

static void set_mem64(uint64_t at, uint64_t v)
{
	memcpy(w.mem + (at - BASE), &v, 8);
}

/* Result of an instruction that must not have done anything. */
static void refused(const char *hex, int result)
{
	struct v3_regs before = w.regs;
	static uint8_t mem[sizeof(w.mem)];

	memcpy(mem, w.mem, sizeof(mem));
	CHECK_MSG(run(hex) == result, "%s: not %d", hex, result);
	CHECK(!w.emul.retired);
	CHECK_MSG(!memcmp(&before, &w.regs, sizeof(before)), "%s: registers changed", hex);
	CHECK_MSG(!memcmp(mem, w.mem, sizeof(mem)), "%s: memory changed", hex);
}

#endif
