/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_emulate_diff.c
 * The executor against the CPU: made-up instructions run once natively in this process and once by
 * v3_emulate(), from the same registers, flags, vector registers and memory; then all of it is
 * compared, but for flags the manual leaves undefined. 64-bit code runs as it is, 32-bit code in
 * the kernel's compatibility segment, 16-bit code in a segment of the LDT. SEED repeats a run;
 * CASES=number lengthens it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tap.h"

#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "palacios/decode.h"
#include "palacios/error.h"
#include "palacios/mem.h"

/* Fixed low addresses, so that the trampoline and every addressing form can reach them. */
#define CTX	   0x100000 /* struct native, and what the trampoline needs */
#define CODE	   0x101000 /* the trampoline with the instruction in its middle */
#define BUF_LOW	   0x8000   /* memory operands; within 16 bits where the kernel lets us map it */
#define BUF_HIGH   0x108000
#define WINDOW	   2048 /* bytes of it that are compared */
#define LDT_CODE16 ((1 << 3) | 7)
#define LDT_DATA16 ((2 << 3) | 7)
#define ARITH                                                                                      \
	(V3_RFLAGS_CF | V3_RFLAGS_PF | V3_RFLAGS_AF | V3_RFLAGS_ZF | V3_RFLAGS_SF | V3_RFLAGS_OF)

struct state {
	uint64_t gpr[16];
	uint64_t rflags;
	uint64_t pad[15];
	uint8_t vec[16][32];
};

struct native {
	struct state in, out;
	uint64_t host_rsp;
	uint64_t stack_end;
	struct __attribute__((packed)) {
		uint32_t offset;
		uint16_t sel;
	} enter, leave;
	uint16_t ss;
};
_Static_assert(sizeof(struct state) == 0x300 && offsetof(struct native, host_rsp) == 0x600,
	       "used by asm");

/*
 * The trampoline, in pieces copied to CODE. Only absolute addresses below 2 GiB are used. Order:
 * head, vector loads, gprs, [far jump to other code], the instruction, a jump to the tail, vector
 * stores.
 */
/* clang-format off */
#define STR_(x) #x
#define STR(x)	STR_(x)
#define IN	STR(CTX)
#define OUT	STR(CTX) "+0x300"
#define HOST	STR(CTX) "+0x600"
#define EACH16(f)                                                                                  \
	f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define YLOAD(n)  "vmovdqu " IN "+0x100+32*" #n ", %ymm" #n "\n"
#define YSTORE(n) "vmovdqu %ymm" #n ", " OUT "+0x100+32*" #n "\n"
#define XLOAD(n)  "movdqu " IN "+0x100+32*" #n ", %xmm" #n "\n"
#define XSTORE(n) "movdqu %xmm" #n ", " OUT "+0x100+32*" #n "\n"
#define GPRS(f)                                                                                    \
	f(0, rax) f(1, rcx) f(2, rdx) f(3, rbx) f(5, rbp) f(6, rsi) f(7, rdi) f(8, r8) f(9, r9)   \
		f(10, r10) f(11, r11) f(12, r12) f(13, r13) f(14, r14) f(15, r15)
#define GLOAD(n, r)  "mov " IN "+8*" #n ", %" #r "\n"
#define GSTORE(n, r) "mov %" #r ", " OUT "+8*" #n "\n"
#define PIECE(name, text) "native_" name ":\n" text "native_" name "_end:\n"

__asm__(".pushsection .rodata\n"
	PIECE("head", "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
		      "mov %rsp, " HOST "\n"
		      "mov $0x2b, %eax\nmov %eax, %ds\nmov %eax, %es\n"
		      "mov " HOST "+0x1c, %ss\n")
	PIECE("yload", EACH16(YLOAD))
	PIECE("xload", EACH16(XLOAD))
	PIECE("gprs", "mov $" STR(CTX) "+0x1000, %rsp\npushq " IN "+0x80\npopfq\n"
		      "mov " IN "+8*4, %rsp\n" GPRS(GLOAD))
	PIECE("far", "ljmp *" HOST "+0x10\n")
	PIECE("tail", "mov %rsp, " OUT "+8*4\nmov $" STR(CTX) "+0x1000, %rsp\n" GPRS(GSTORE)
		      "pushfq\npopq " OUT "+0x80\ncld\n")
	PIECE("ystore", EACH16(YSTORE) "vzeroupper\n")
	PIECE("xstore", EACH16(XSTORE))
	PIECE("end", "mov $0x2b, %eax\nmov %eax, %ss\nmov " HOST ", %rsp\n"
		     "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n")
	".popsection\n");

/* clang-format on */

#define PIECE_DECLARE(name) extern const uint8_t native_##name[], native_##name##_end[]
PIECE_DECLARE(head);
PIECE_DECLARE(yload);
PIECE_DECLARE(xload);
PIECE_DECLARE(gprs);
PIECE_DECLARE(far);
PIECE_DECLARE(tail);
PIECE_DECLARE(ystore);
PIECE_DECLARE(xstore);
PIECE_DECLARE(end);

static struct {
	struct native *native; /* at CTX */
	uint8_t *buf;	       /* BUF_LOW or BUF_HIGH */
	uint8_t *insn[3];      /* where the instruction goes, by mode: 16, 32, 64 */
	uint8_t *tail;
	bool ready, low, avx, movbe, ldt;
	uint8_t features;
	volatile sig_atomic_t running, signal;
	uint64_t fault_rip;
} m;

/* A fault of the instruction under test goes on at the tail, which stores the registers. */
static void native_fault(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)info;
	if (!m.running) {
		signal(sig, SIG_DFL);
		return;
	}
	m.signal = sig;
	m.fault_rip = (uint64_t)regs[REG_RIP];
	regs[REG_RIP] = (greg_t)(uintptr_t)m.tail;
	regs[REG_CSGSFS] = (greg_t)(((uint64_t)regs[REG_CSGSFS] & 0x0000ffffffff0000ull) | 0x33 |
				    0x2bull << 48);
}

static uint8_t *put(uint8_t *at, const uint8_t *from, const uint8_t *to)
{
	memcpy(at, from, (size_t)(to - from));
	return at + (to - from);
}
#define PUT(at, name) put(at, native_##name, native_##name##_end)

/* Three entries (one per mode) of 1 KiB, then the tail. */
static void native_build(void)
{
	uint8_t *code = (uint8_t *)(uintptr_t)CODE, *p;

	for (unsigned mode = 0; mode < 3; mode++) {
		p = PUT(code + 0x400 * mode, head);
		p = m.avx ? PUT(p, yload) : PUT(p, xload);
		p = PUT(p, gprs);
		m.insn[mode] = mode == 2 ? p : PUT(p, far);
	}
	m.tail = code + 0xc00;
	p = PUT(m.tail, tail);
	p = m.avx ? PUT(p, ystore) : PUT(p, xstore);
	PUT(p, end);
}

static bool native_ldt(unsigned entry, unsigned contents, uint32_t base)
{
	struct user_desc desc = {
		.entry_number = entry, .base_addr = base, .limit = 0xffff, .contents = contents};

	return syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) == 0;
}

static void *map_fixed(uintptr_t at, size_t size)
{
	void *p = mmap((void *)at, size, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p == (void *)at ? p : NULL;
}

static bool native_setup(void)
{
	static uint8_t stack[65536];
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = native_fault,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK};
	unsigned a, b, c, d;

	if (m.ready)
		return true;
	if (!map_fixed(CTX, 0x10000))
		return false;
	m.native = (struct native *)(uintptr_t)CTX;
	m.buf = map_fixed(BUF_LOW, 0x2000);
	m.low = m.buf != NULL;
	if (!m.low)
		m.buf = (uint8_t *)(uintptr_t)BUF_HIGH;
	m.avx = __builtin_cpu_supports("avx");
	m.movbe = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 22));
	if (__builtin_cpu_supports("bmi"))
		m.features |= V3_EMUL_BMI1;
	if (__get_cpuid(0x80000001, &a, &b, &c, &d) && (c & (1u << 5)))
		m.features |= V3_EMUL_LZCNT;
	m.ldt = m.low && native_ldt(1, 2, CTX) && native_ldt(2, 0, 0);
	native_build();
	sigaltstack(&alt, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	m.ready = true;
	return true;
}

/* Put the instruction in place; returns its RIP in its code segment. */
static uint64_t native_rip(unsigned bits)
{
	uint64_t at = (uintptr_t)m.insn[bits >> 5];

	return bits == 16 ? at - CTX : at;
}

static void native_place(const uint8_t *bytes, unsigned len, unsigned bits)
{
	uint32_t rel = (uint32_t)(m.tail - (m.insn[bits >> 5] + len + 5)),
		 ptr = CTX + offsetof(struct native, leave);
	uint8_t *p = m.insn[bits >> 5];

	memcpy(p, bytes, len);
	p += len;
	if (bits == 64) {
		*p++ = 0xe9;
		memcpy(p, &rel, 4);
		return;
	}
	if (bits == 16)
		*p++ = 0x66, *p++ = 0x67;
	*p++ = 0xff;
	*p++ = 0x2d; /* far jump through ptr */
	memcpy(p, &ptr, 4);
}

static void native_run(unsigned bits)
{
	struct native *n = m.native;
	unsigned mode = bits >> 5;

	n->ss = bits == 16 ? LDT_DATA16 : 0x2b;
	n->enter.offset = (uint32_t)native_rip(bits);
	n->enter.sel = bits == 16 ? LDT_CODE16 : 0x23;
	n->leave.offset = (uint32_t)(uintptr_t)m.tail;
	n->leave.sel = 0x33;
	m.signal = 0;
	m.running = 1;
	((void (*)(void))(uintptr_t)(CODE + 0x400 * mode))();
	m.running = 0;
}

/* The emulator's side. Memory operands are redirected from m.buf to a shadow of it. */
static struct {
	uint8_t buf[WINDOW];
	uint8_t vec[16][32];
	unsigned bits;
	bool use_ram, device; /* offer ram(), refuse cmpxchg() */
	int vector;	      /* fault asked for, or -1 */
	unsigned outside;     /* accesses that left the window */
} e;

static uint8_t *emul_at(v3_gva_t linear, size_t size)
{
	uint64_t off = linear - (uintptr_t)m.buf;

	if (off >= WINDOW || size > WINDOW - off) {
		e.outside++;
		return NULL;
	}
	return e.buf + off;
}

static int emul_linear(void *priv, enum v3_seg_num seg, uint64_t offset, size_t size,
		       unsigned access, v3_gva_t *linear)
{
	struct v3_seg flat = {.attr = V3_SEG_P | V3_SEG_S | V3_SEG_DB | 3, .limit = 0xffffffff};

	(void)priv;
	if (seg == V3_CS) {
		flat.attr |= 8;
		flat.base = e.bits == 16 ? CTX : 0;
	}
	if (seg == V3_SS && e.bits == 16)
		flat.limit = 0xffff;
	if (v3_seg_linear(&flat, seg, e.bits, true, offset, size, access, linear) == V3_OK)
		return V3_OK;
	e.vector = seg == V3_SS ? V3_VEC_SS : V3_VEC_GP;
	return V3_EFAULT;
}

static int emul_read(void *priv, v3_gva_t linear, void *buf, size_t size, unsigned access)
{
	uint8_t *p = emul_at(linear, size);

	(void)priv;
	if (!p || !(access & V3_ACC_READ))
		return V3_EIO;
	memcpy(buf, p, size);
	return V3_OK;
}

static int emul_write(void *priv, v3_gva_t linear, const void *buf, size_t size)
{
	uint8_t *p = emul_at(linear, size);

	(void)priv;
	if (!p)
		return V3_EIO;
	memcpy(p, buf, size);
	return V3_OK;
}

static int emul_cmpxchg(void *priv, v3_gva_t linear, void *old, const void *val, size_t size,
			bool *swapped)
{
	uint8_t *p = emul_at(linear, size);

	(void)priv;
	if (!p)
		return V3_EIO;
	if (e.device)
		return V3_ENOTSUP;
	*swapped = !memcmp(p, old, size);
	if (*swapped)
		memcpy(p, val, size);
	else
		memcpy(old, p, size);
	return V3_OK;
}

static void *emul_ram(void *priv, v3_gva_t linear, size_t size, unsigned access)
{
	(void)priv;
	(void)access;
	return e.use_ram ? emul_at(linear, size) : NULL;
}

static int emul_no_port(void *priv, uint16_t port, unsigned size)
{
	(void)priv;
	(void)port;
	(void)size;
	return V3_EIO;
}

static int emul_vec_get(void *priv, unsigned n, void *buf, size_t size)
{
	(void)priv;
	memcpy(buf, e.vec[n], size);
	return V3_OK;
}

static int emul_vec_set(void *priv, unsigned n, const void *buf, size_t size, bool zero_upper)
{
	(void)priv;
	if (zero_upper)
		memset(e.vec[n], 0, 32);
	memcpy(e.vec[n], buf, size);
	return V3_OK;
}

/* DS and ES as the trampoline loads them; no shape asks for CS and SS. */
static uint16_t emul_get_sel(void *priv, enum v3_seg_num seg)
{
	uint16_t sel = 0x2b;

	(void)priv;
	if (seg == V3_FS)
		__asm__ volatile("mov %%fs, %0" : "=r"(sel));
	else if (seg == V3_GS)
		__asm__ volatile("mov %%gs, %0" : "=r"(sel));
	return sel;
}

static void emul_fault(void *priv, enum v3_vector vector)
{
	(void)priv;
	e.vector = vector;
}

static const struct v3_emul_ops emul_ops = {
	.linear = emul_linear,
	.read = emul_read,
	.write = emul_write,
	.cmpxchg = emul_cmpxchg,
	.ram = emul_ram,
	.io_check = emul_no_port,
	.vec_get = emul_vec_get,
	.vec_set = emul_vec_set,
	.get_sel = emul_get_sel,
	.fault = emul_fault,
};

/* What instructions are made of. */
#define T_MODRM	 0x0001
#define T_MEM	 0x0002 /* memory form only */
#define T_LOCK	 0x0004 /* LOCK in a third of the memory forms */
#define T_66	 0x0008 /* may have 66 */
#define T_W	 0x0010 /* may have REX.W */
#define T_REP	 0x0020 /* string: may have F2 or F3 */
#define T_OLD	 0x0040 /* not in 64-bit code */
#define T_NEW	 0x0080 /* only in 64-bit code */
#define T_BRANCH 0x0100 /* goes to the next instruction, in whatever way */
#define T_VEX	 0x0200 /* VEX encoded */
#define T_VVVV	 0x0400 /* ... with a second source */
#define T_L0	 0x0800 /* ... of 128 bits only */
#define T_MOVBE	 0x1000
#define T_F3	 0x2000 /* needs F3 */
#define T_ALL66	 (T_MODRM | T_66 | T_W)

struct shape {
	uint8_t map, first, last;
	uint8_t regs; /* ModRM.reg & 7 allowed, as bits */
	uint16_t flags;
	uint8_t pp; /* SIMD prefix, as v3_insn.pp */
};

/* clang-format off */
#define ONE(first, last, regs, flags) { V3_MAP_ONE, first, last, regs, flags, 0 }
#define TWO(first, last, regs, flags) { V3_MAP_0F, first, last, regs, flags, 0 }
#define VEC(first, last, pp, more)                                                                 \
	{ V3_MAP_0F, first, last, 0xff, T_MODRM | T_MEM | T_W, pp },                               \
	{ V3_MAP_0F, first, last, 0xff, T_MODRM | T_MEM | T_W | T_VEX | (more), pp }

static const struct shape shapes[] = {
	ONE(0x00, 0x01, 0xff, T_ALL66 | T_LOCK), ONE(0x02, 0x03, 0xff, T_ALL66),
	ONE(0x04, 0x05, 0, T_66 | T_W), ONE(0x08, 0x09, 0xff, T_ALL66 | T_LOCK),
	ONE(0x0a, 0x0b, 0xff, T_ALL66), ONE(0x0c, 0x0d, 0, T_66 | T_W),
	ONE(0x10, 0x11, 0xff, T_ALL66 | T_LOCK), ONE(0x12, 0x13, 0xff, T_ALL66),
	ONE(0x14, 0x15, 0, T_66 | T_W), ONE(0x18, 0x19, 0xff, T_ALL66 | T_LOCK),
	ONE(0x1a, 0x1b, 0xff, T_ALL66), ONE(0x1c, 0x1d, 0, T_66 | T_W),
	ONE(0x20, 0x21, 0xff, T_ALL66 | T_LOCK), ONE(0x22, 0x23, 0xff, T_ALL66),
	ONE(0x24, 0x25, 0, T_66 | T_W), ONE(0x28, 0x29, 0xff, T_ALL66 | T_LOCK),
	ONE(0x2a, 0x2b, 0xff, T_ALL66), ONE(0x2c, 0x2d, 0, T_66 | T_W),
	ONE(0x30, 0x31, 0xff, T_ALL66 | T_LOCK), ONE(0x32, 0x33, 0xff, T_ALL66),
	ONE(0x34, 0x35, 0, T_66 | T_W), ONE(0x38, 0x3b, 0xff, T_ALL66),
	ONE(0x3c, 0x3d, 0, T_66 | T_W), ONE(0x40, 0x4f, 0, T_66 | T_OLD), ONE(0x50, 0x5f, 0, T_66),
	ONE(0x60, 0x61, 0, T_66 | T_OLD), ONE(0x63, 0x63, 0xff, T_ALL66 | T_NEW),
	ONE(0x68, 0x68, 0, T_66), ONE(0x69, 0x69, 0xff, T_ALL66), ONE(0x6a, 0x6a, 0, T_66),
	ONE(0x6b, 0x6b, 0xff, T_ALL66), ONE(0x80, 0x81, 0x7f, T_ALL66 | T_LOCK),
	ONE(0x80, 0x81, 0x80, T_ALL66), ONE(0x82, 0x82, 0x7f, T_ALL66 | T_LOCK | T_OLD),
	ONE(0x83, 0x83, 0x7f, T_ALL66 | T_LOCK), ONE(0x83, 0x83, 0x80, T_ALL66),
	ONE(0x84, 0x85, 0xff, T_ALL66), ONE(0x86, 0x87, 0xff, T_ALL66 | T_LOCK),
	ONE(0x88, 0x8b, 0xff, T_ALL66), ONE(0x8c, 0x8c, 0x39, T_ALL66), ONE(0x8f, 0x8f, 0x01, T_MODRM | T_66),
	ONE(0x9c, 0x9c, 0, T_66), ONE(0xa0, 0xa3, 0, T_66 | T_W),
	ONE(0xa4, 0xa5, 0, T_66 | T_W | T_REP), ONE(0xa6, 0xa7, 0, T_66 | T_W | T_REP),
	ONE(0xa8, 0xa9, 0, T_66 | T_W), ONE(0xaa, 0xab, 0, T_66 | T_W | T_REP),
	ONE(0xac, 0xad, 0, T_66 | T_W | T_REP), ONE(0xae, 0xaf, 0, T_66 | T_W | T_REP),
	ONE(0xb0, 0xbf, 0, T_66 | T_W), ONE(0xc0, 0xc1, 0xff, T_ALL66),
	ONE(0xc2, 0xc3, 0, T_BRANCH), ONE(0xc6, 0xc7, 0x01, T_ALL66), ONE(0xc8, 0xc8, 0, T_66),
	ONE(0xc9, 0xc9, 0, T_66), ONE(0xd0, 0xd3, 0xff, T_ALL66), ONE(0xd7, 0xd7, 0, 0),
	ONE(0xe8, 0xe9, 0, T_BRANCH), ONE(0xeb, 0xeb, 0, T_BRANCH), ONE(0xf6, 0xf7, 0xf3, T_ALL66),
	ONE(0xf6, 0xf7, 0xf0, T_ALL66), ONE(0xf6, 0xf7, 0x0c, T_ALL66 | T_LOCK),
	ONE(0xfe, 0xfe, 0x03, T_MODRM | T_LOCK), ONE(0xff, 0xff, 0x03, T_ALL66 | T_LOCK),
	ONE(0xff, 0xff, 0x14, T_MODRM | T_MEM | T_BRANCH), ONE(0xff, 0xff, 0x40, T_MODRM | T_66),
	TWO(0x0d, 0x0d, 0x03, T_MODRM | T_MEM), TWO(0x18, 0x18, 0x0f, T_MODRM | T_MEM),
	TWO(0x1f, 0x1f, 0x01, T_ALL66), TWO(0x40, 0x4f, 0xff, T_ALL66),
	TWO(0xa0, 0xa0, 0, T_66 | T_NEW), TWO(0xa8, 0xa8, 0, T_66 | T_NEW),
	TWO(0x90, 0x9f, 0xff, T_MODRM), TWO(0xa3, 0xa3, 0xff, T_ALL66),
	TWO(0xa4, 0xa5, 0xff, T_ALL66), TWO(0xac, 0xad, 0xff, T_ALL66),
	TWO(0xab, 0xab, 0xff, T_ALL66 | T_LOCK), TWO(0xae, 0xae, 0x80, T_MODRM | T_MEM),
	TWO(0xaf, 0xaf, 0xff, T_ALL66), TWO(0xb0, 0xb1, 0xff, T_ALL66 | T_LOCK),
	TWO(0xb3, 0xb3, 0xff, T_ALL66 | T_LOCK), TWO(0xb6, 0xb7, 0xff, T_ALL66),
	TWO(0xba, 0xba, 0x10, T_ALL66), TWO(0xba, 0xba, 0xe0, T_ALL66 | T_LOCK),
	TWO(0xbb, 0xbb, 0xff, T_ALL66 | T_LOCK), TWO(0xbc, 0xbd, 0xff, T_ALL66),
	TWO(0xbe, 0xbf, 0xff, T_ALL66), { V3_MAP_0F, 0xb8, 0xb8, 0xff, T_ALL66 | T_F3, 0 },
	{ V3_MAP_0F, 0xbc, 0xbd, 0xff, T_ALL66 | T_F3, 0 },
	TWO(0xc0, 0xc1, 0xff, T_ALL66 | T_LOCK), TWO(0xc3, 0xc3, 0xff, T_MODRM | T_MEM | T_W),
	TWO(0xc7, 0xc7, 0x02, T_MODRM | T_MEM | T_LOCK | T_W),
	{ V3_MAP_0F38, 0xf0, 0xf1, 0xff, T_ALL66 | T_MEM | T_MOVBE, 0 }, VEC(0x10, 0x11, 0, 0),
	VEC(0x10, 0x11, 1, 0), VEC(0x10, 0x11, 2, 0), VEC(0x10, 0x11, 3, 0),
	VEC(0x12, 0x12, 0, T_VVVV | T_L0), VEC(0x12, 0x12, 1, T_VVVV | T_L0),
	VEC(0x12, 0x12, 2, 0), VEC(0x12, 0x12, 3, 0), VEC(0x13, 0x13, 0, T_L0),
	VEC(0x13, 0x13, 1, T_L0), VEC(0x16, 0x16, 0, T_VVVV | T_L0),
	VEC(0x16, 0x16, 1, T_VVVV | T_L0), VEC(0x16, 0x16, 2, 0), VEC(0x17, 0x17, 0, T_L0),
	VEC(0x17, 0x17, 1, T_L0), VEC(0x28, 0x29, 0, 0), VEC(0x28, 0x29, 1, 0),
	VEC(0x2b, 0x2b, 0, 0), VEC(0x2b, 0x2b, 1, 0), VEC(0x6e, 0x6e, 1, T_L0),
	VEC(0x6f, 0x6f, 1, 0), VEC(0x6f, 0x6f, 2, 0), VEC(0x7e, 0x7e, 1, T_L0),
	VEC(0x7e, 0x7e, 2, T_L0), VEC(0x7f, 0x7f, 1, 0), VEC(0x7f, 0x7f, 2, 0),
	VEC(0xd6, 0xd6, 1, T_L0), VEC(0xe7, 0xe7, 1, 0), VEC(0xf0, 0xf0, 3, 0),
};
/* clang-format on */

/* One made-up case. */
struct trial {
	const struct shape *shape;
	unsigned bits;
	uint8_t bytes[32];
	struct v3_insn insn;
	struct state in;
	uint64_t rip;
	uint8_t mem[WINDOW];
};

static unsigned below(unsigned n)
{
	return (unsigned)(tap_rand() % n);
}

/* Numbers at the edges more often than chance would have it. */
static uint64_t value(void)
{
	uint64_t r = tap_rand();

	switch (below(6)) {
	case 0:
		return r & 0xff;
	case 1:
		return 0 - (r & 15);
	case 2:
		return (1ull << (r & 63)) - ((r >> 8) & 1);
	case 3:
		return (uint64_t)(int64_t)(int32_t)r;
	}
	return r;
}

static unsigned trial_prefixes(struct trial *t, unsigned n)
{
	static const uint8_t simd[4] = {0, 0x66, 0xf3, 0xf2};
	static const uint8_t overrides[3] = {0x3e, 0x26, 0x36};
	unsigned flags = t->shape->flags;

	if (flags & T_LOCK && below(3) == 0)
		t->bytes[n++] = 0xf0;
	if (below(8) == 0)
		t->bytes[n++] = overrides[below(3)];
	if (t->bits == 64 && below(8) == 0)
		t->bytes[n++] = 0x65; /* GS, whose base is 0 in user space */
	if (flags & T_66 && below(3) == 0)
		t->bytes[n++] = 0x66;
	/* The other address size; 16-bit addresses only if the buffer can be reached by them. */
	if (below(8) == 0 && (t->bits != 32 || m.low))
		t->bytes[n++] = 0x67;
	if (flags & T_REP && below(3))
		t->bytes[n++] = 0xf2 | (uint8_t)below(2);
	if (flags & T_F3)
		t->bytes[n++] = 0xf3;
	if (t->shape->pp && !(flags & T_VEX))
		t->bytes[n++] = simd[t->shape->pp];
	if (t->bits == 64 && !(flags & T_VEX) && below(2))
		t->bytes[n++] = (uint8_t)(0x40 | below(8) | (flags & T_W && below(2) ? 8 : 0));
	return n;
}

static unsigned trial_vex(struct trial *t, unsigned n)
{
	unsigned flags = t->shape->flags, rxb = t->bits == 64 ? below(8) : 7;
	unsigned vvvv =
		flags & T_VVVV ? below(t->bits == 64 ? 16 : 8) | (t->bits == 64 ? 0 : 8) : 15;
	unsigned low = vvvv << 3 | (flags & T_L0 ? 0 : below(2) << 2) | t->shape->pp;
	bool is_w =
		t->bits == 64 && t->shape->first != 0x6e && t->shape->first != 0x7e ? below(2) : 0;

	if (t->bits == 64 &&
	    (t->shape->first == 0x6e || (t->shape->first == 0x7e && t->shape->pp == 1)))
		is_w = below(2);
	if (below(2)) {
		t->bytes[n++] = 0xc5;
		t->bytes[n++] = (uint8_t)((rxb & 4) << 5 | low);
	} else {
		t->bytes[n++] = 0xc4;
		t->bytes[n++] = (uint8_t)(rxb << 5 | 1);
		t->bytes[n++] = (uint8_t)(is_w << 7 | low);
	}
	return n;
}

static void trial_encode(struct trial *t)
{
	const struct shape *s = t->shape;
	unsigned n = trial_prefixes(t, 0), reg, mod;

	if (s->flags & T_VEX) {
		n = trial_vex(t, n);
	} else {
		if (s->map != V3_MAP_ONE)
			t->bytes[n++] = 0x0f;
		if (s->map == V3_MAP_0F38)
			t->bytes[n++] = 0x38;
	}
	t->bytes[n++] = (uint8_t)(s->first + below(s->last - s->first + 1u));
	if (s->flags & T_MODRM) {
		do
			reg = below(8);
		while (!(s->regs >> reg & 1));
		mod = s->flags & T_MEM || below(5) ? below(3) : 3;
		t->bytes[n++] = (uint8_t)(mod << 6 | reg << 3 | below(8));
	}
	for (unsigned i = 0; i < 14;
	     i++) /* SIB, displacement, immediate, as the decoder finds them */
		t->bytes[n++] = (uint8_t)tap_rand();
	if (s->flags & T_BRANCH && !(s->flags & T_MODRM))
		memset(t->bytes + n - 14, 0, 14);
}

/* Patch a displacement or immediate that ends tail bytes before the end of the instruction. */
static void trial_patch(struct trial *t, unsigned tail, unsigned size, uint64_t to)
{
	memcpy(t->bytes + t->insn.length - tail - size, &to, size);
}

static bool trial_uses(const struct trial *t, unsigned reg)
{
	return t->insn.flags & V3_INSN_MEM && (t->insn.base == reg || t->insn.index == reg);
}

/* Make the ModRM memory operand lie at target, by its displacement or by its base register. */
static bool trial_aim(struct trial *t, uint64_t target)
{
	const struct v3_insn *insn = &t->insn;
	struct v3_regs regs = {.rip = t->rip};
	unsigned mod = insn->modrm >> 6, disp = insn->base == V3_REG_NONE || mod == 2 ? 4 : 0;
	uint64_t delta;

	memcpy(regs.gpr, t->in.gpr, sizeof(regs.gpr));
	delta = target - v3_insn_offset(insn, &regs);
	if (insn->addr_size == 2 && disp)
		disp = 2;
	if (insn->base != V3_REG_NONE && insn->base != insn->index) {
		t->in.gpr[insn->base] += delta;
	} else if (disp) {
		uint64_t to = (uint64_t)(int64_t)insn->disp + delta;

		trial_patch(t, insn->imm_size, disp, to);
	} else {
		return false;
	}
	if (v3_decode(t->bytes, sizeof(t->bytes), t->bits, &t->insn))
		return false;
	memcpy(regs.gpr, t->in.gpr, sizeof(regs.gpr));
	return v3_insn_offset(&t->insn, &regs) == target;
}

static bool is_bit_reg(const struct v3_insn *insn)
{
	return insn->map == V3_MAP_0F && (insn->opcode & 0xe7) == 0xa3;
}

static bool is_string(const struct v3_insn *insn)
{
	return insn->map == V3_MAP_ONE && ((insn->opcode >= 0xa4 && insn->opcode <= 0xa7) ||
					   (insn->opcode >= 0xaa && insn->opcode <= 0xaf));
}

static void trial_registers(struct trial *t)
{
	uint64_t mid = (uintptr_t)m.buf + WINDOW / 2, limit = t->bits == 64 ? ~0ull : 0xffffffffu;
	const struct v3_insn *insn = &t->insn;

	for (unsigned i = 0; i < 16; i++)
		t->in.gpr[i] = value() & limit;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 4; k++)
			((uint64_t *)t->in.vec[i])[k] = tap_rand();
	t->in.rflags = (tap_rand() & (ARITH | V3_RFLAGS_DF)) | V3_RFLAGS_ONE | V3_RFLAGS_IF;
	if (!(t->shape->flags & T_REP) || below(2))
		t->in.rflags &= ~V3_RFLAGS_DF;
	t->in.gpr[V3_RSP] = mid + 256 + below(64);
	if (insn->map == V3_MAP_ONE && insn->opcode == 0xc9)
		t->in.gpr[V3_RBP] = mid + below(64);
	if (insn->map == V3_MAP_ONE && insn->opcode == 0xd7)
		t->in.gpr[V3_RBX] = mid + below(64);
	if (is_bit_reg(insn))
		t->in.gpr[insn->reg] = (uint64_t)((int64_t)below(4000) - 2000) & limit;
	if (is_string(insn)) {
		t->in.gpr[V3_RSI] = mid - 200 + below(400);
		t->in.gpr[V3_RDI] = mid - 200 + below(400);
		t->in.gpr[V3_RCX] = below(3) ? below(40) : 0;
	}
	if ((insn->opcode & 0xfe) == 0xf6 && below(2)) /* let some divisions succeed */
		t->in.gpr[V3_RDX] = insn->reg & 1 ? 0 - (uint64_t)below(2) : below(3);
	t->in.gpr[V3_RDX] &= limit;
}

static void trial_memory(struct trial *t, uint64_t target)
{
	uint64_t next = t->rip + t->insn.length, at = target - (uintptr_t)m.buf;
	unsigned kinds = below(2) ? 3 : 256; /* few different bytes make comparisons succeed */

	for (unsigned i = 0; i < WINDOW; i += 8) {
		uint64_t r = tap_rand();

		memcpy(t->mem + i, &r, 8);
		for (unsigned k = 0; kinds == 3 && k < 8; k++)
			t->mem[i + k] = (uint8_t)(t->mem[i + k] % 3 * 0x55);
	}
	if (is_string(&t->insn) && kinds == 3 && below(2))
		memset(t->mem, 0x55, WINDOW);
	if (is_string(&t->insn) && below(2))
		t->in.gpr[V3_RAX] = 0x5555555555555555ull & (t->bits == 64 ? ~0ull : 0xffffffffu);
	if (t->insn.flags & V3_INSN_MEM &&
	    below(2)) { /* let some exchanges find what they compare with */
		memcpy(t->mem + at, &t->in.gpr[V3_RAX], t->insn.opnd_size);
		if (t->insn.opcode == 0xc7)
			memcpy(t->mem + at + t->insn.opnd_size, &t->in.gpr[V3_RDX],
			       t->insn.opnd_size);
		if (t->insn.opcode == 0xc7 && t->insn.opnd_size == 2)
			memcpy(t->mem + at + 4, &t->in.gpr[V3_RDX], 4),
				memcpy(t->mem + at, &t->in.gpr[V3_RAX], 4);
	}
	if (t->shape->flags & T_BRANCH) {
		if (t->shape->flags & T_MODRM)
			memcpy(t->mem + at, &next, 8);
		else
			memcpy(t->mem + (t->in.gpr[V3_RSP] - (uintptr_t)m.buf), &next, 8);
	}
}

/* Make up one case for bits of code. @return false if this throw of the dice cannot be run. */
static bool trial_make(struct trial *t, unsigned bits)
{
	uint64_t target = (uintptr_t)m.buf + WINDOW / 2 - 128 + below(256);
	unsigned flags;

	memset(t, 0, sizeof(*t));
	t->bits = bits;
	t->shape = &shapes[below(sizeof(shapes) / sizeof(shapes[0]))];
	flags = t->shape->flags;
	t->rip = native_rip(bits);
	if ((flags & (bits == 64 ? T_OLD : T_NEW)) || (flags & T_VEX && !m.avx) ||
	    (flags & T_MOVBE && !m.movbe))
		return false;
	if (below(3)) /* vectors, mostly aligned */
		target &= ~31ull;
	trial_encode(t);
	if (v3_decode(t->bytes, sizeof(t->bytes), bits, &t->insn))
		return false;
	trial_registers(t);
	if (t->insn.prefix & V3_PFX_LOCK && !(t->insn.flags & V3_INSN_MEM))
		return false;
	if (t->insn.map == V3_MAP_ONE && t->insn.opcode >= 0xa0 && t->insn.opcode <= 0xa3)
		trial_patch(t, 0, t->insn.imm_size, target);
	if (t->insn.map == V3_MAP_ONE && t->insn.opcode == 0xc8) /* ENTER without nesting, small */
		trial_patch(t, 0, 3, below(64));
	if (t->insn.map == V3_MAP_0F && (t->insn.opcode & 0xf6) == 0xa4 && t->insn.opnd_size == 2) {
		/* SHLD and SHRD of 16 bits by more than 16 are undefined altogether */
		t->in.gpr[V3_RCX] &= 15;
		if (t->insn.imm_size)
			trial_patch(t, 0, 1, below(16));
	}
	if (v3_decode(t->bytes, sizeof(t->bytes), bits, &t->insn))
		return false;
	if (t->insn.flags & V3_INSN_MEM) {
		uint64_t rcx = t->in.gpr[V3_RCX], bit = t->in.gpr[t->insn.reg];

		if ((is_bit_reg(&t->insn) && trial_uses(t, t->insn.reg)) || !trial_aim(t, target))
			return false;
		if (t->insn.map == V3_MAP_0F && (t->insn.opcode & 0xf6) == 0xa4 &&
		    rcx != t->in.gpr[V3_RCX])
			return false;
		if (is_bit_reg(&t->insn) && bit != t->in.gpr[t->insn.reg])
			return false;
		/* A stack operation whose operand moved the stack pointer away. */
		if (trial_uses(t, V3_RSP) && flags & (T_BRANCH | T_66) &&
		    t->in.gpr[V3_RSP] - target + 256 > 512)
			if (t->shape->map == V3_MAP_ONE &&
			    (t->insn.opcode == 0xff || t->insn.opcode == 0x8f))
				return false;
	}
	trial_memory(t, target);
	return true;
}

/* Flags the manual leaves undefined after this instruction (APM vol. 3, by instruction). */
static uint64_t undefined_flags(const struct trial *t)
{
	const struct v3_insn *insn = &t->insn;
	const uint64_t all = ARITH, shift = V3_RFLAGS_AF;
	unsigned reg = insn->reg & 7, op = insn->opcode;
	unsigned size = op & 1 ? insn->opnd_size : 1, count;

	if (insn->enc != V3_ENC_LEGACY)
		return 0;
	if (insn->map == V3_MAP_0F) {
		if ((op & 0xf6) == 0xa4) { /* SHLD, SHRD */
			count = (unsigned)(op & 1 ? t->in.gpr[V3_RCX] : insn->imm) &
				(insn->opnd_size == 8 ? 63 : 31);
			return !count ? 0 : count == 1 ? shift : shift | V3_RFLAGS_OF;
		}
		if (op == 0xaf)
			return all & ~(V3_RFLAGS_CF | V3_RFLAGS_OF);
		if (is_bit_reg(insn) || op == 0xba)
			return all & ~(V3_RFLAGS_CF | V3_RFLAGS_ZF);
		if (op == 0xbc || op == 0xbd)
			return t->shape->flags & T_F3 && (m.features &
							  (op & 1 ? V3_EMUL_LZCNT : V3_EMUL_BMI1))
				       ? all & ~(V3_RFLAGS_CF | V3_RFLAGS_ZF)
				       : all & ~V3_RFLAGS_ZF;
		return 0;
	}
	if (insn->map != V3_MAP_ONE)
		return 0;
	if (op >= 0x80 && op <= 0x83)
		return reg == 1 || reg == 4 || reg == 6 ? V3_RFLAGS_AF : 0;
	if (op < 0x40)
		return op >> 3 == 1 || op >> 3 == 4 || op >> 3 == 6 ? V3_RFLAGS_AF : 0;
	if (op == 0x84 || op == 0x85 || op == 0xa8 || op == 0xa9)
		return V3_RFLAGS_AF;
	if (op == 0x69 || op == 0x6b)
		return all & ~(V3_RFLAGS_CF | V3_RFLAGS_OF);
	if (op == 0xf6 || op == 0xf7)
		return reg < 2	 ? V3_RFLAGS_AF
		       : reg < 4 ? 0
		       : reg < 6 ? all & ~(V3_RFLAGS_CF | V3_RFLAGS_OF)
				 : all;
	if ((op >= 0xd0 && op <= 0xd3) || op == 0xc0 || op == 0xc1) {
		count = op < 0xd0   ? (unsigned)insn->imm
			: op < 0xd2 ? 1
				    : (unsigned)t->in.gpr[V3_RCX];
		count &= size == 8 ? 63 : 31;
		if (!count)
			return 0;
		if (reg < 4)
			return count == 1 ? 0 : V3_RFLAGS_OF;
		return shift | (count == 1 ? 0 : V3_RFLAGS_OF) |
		       (count >= 8 * size && reg != 7 ? V3_RFLAGS_CF : 0);
	}
	return 0;
}

static void trial_show(const struct trial *t, const char *what)
{
	char hex[64] = "";

	for (unsigned i = 0; i < t->insn.length; i++)
		sprintf(hex + 3 * i, "%02x ", t->bytes[i]);
	tap_fail(__FILE__, __LINE__, "%u bit, %s: %s", t->bits, hex, what);
}

/* Registers as wide as the mode shows them. */
static bool trial_same_regs(const struct trial *t, const struct v3_regs *regs,
			    const struct state *want)
{
	uint64_t mask = t->bits == 64 ? ~0ull : 0xffffffffu,
		 flags = (ARITH | V3_RFLAGS_DF) & ~undefined_flags(t);
	bool same = true;
	char text[160];

	for (unsigned i = 0; i < (t->bits == 64 ? 16 : 8); i++) {
		if (!((regs->gpr[i] ^ want->gpr[i]) & mask))
			continue;
		snprintf(text, sizeof(text),
			 "gpr %u is %#" PRIx64 ", the CPU has %#" PRIx64 " (before: %#" PRIx64 ")",
			 i, regs->gpr[i], want->gpr[i], t->in.gpr[i]);
		trial_show(t, text);
		same = false;
	}
	if ((regs->rflags ^ want->rflags) & flags) {
		snprintf(text, sizeof(text),
			 "flags are %#" PRIx64 ", the CPU has %#" PRIx64 " (before: %#" PRIx64 ")",
			 regs->rflags, want->rflags, t->in.rflags);
		trial_show(t, text);
		same = false;
	}
	return same;
}

static void trial_compare(struct trial *t, int ret, const struct v3_emul *emul)
{
	const struct state *out = &m.native->out;
	size_t len = m.avx ? 32 : 16;
	uint64_t rip = t->rip + (m.signal ? 0 : t->insn.length);
	char text[160];

	if (e.outside) {
		trial_show(t, "the emulator left the buffer");
		return;
	}
	if (m.signal ? ret != V3_EFAULT || e.vector != (m.signal == SIGFPE ? V3_VEC_DE : V3_VEC_GP)
		     : ret != V3_OK || !emul->retired) {
		snprintf(text, sizeof(text), "result %d, vector %d; the CPU: signal %d", ret,
			 e.vector, m.signal);
		trial_show(t, text);
		return;
	}
	if (!trial_same_regs(t, emul->regs, m.signal ? &t->in : out))
		return;
	if (emul->regs->rip != rip)
		trial_show(t, "RIP differs");
	if (memcmp(e.buf, m.buf, WINDOW))
		trial_show(t, "memory differs");
	for (unsigned i = 0; i < (t->bits == 64 ? 16 : 8); i++)
		if (memcmp(e.vec[i], out->vec[i], len)) {
			snprintf(text, sizeof(text), "vector register %u differs", i);
			trial_show(t, text);
		}
}

static void trial_run(struct trial *t)
{
	struct v3_regs regs = {.rip = t->rip, .rflags = t->in.rflags};
	struct v3_emul emul = {.ops = &emul_ops, .regs = &regs, .features = m.features};
	int ret = V3_OK;

	m.native->in = t->in;
	memcpy(m.buf, t->mem, WINDOW);
	native_place(t->bytes, t->insn.length, t->bits);
	native_run(t->bits);

	memcpy(regs.gpr, t->in.gpr, sizeof(regs.gpr));
	memcpy(e.buf, t->mem, WINDOW);
	memcpy(e.vec, t->in.vec, sizeof(e.vec));
	e.bits = t->bits;
	e.use_ram = below(2);
	e.device = below(2);
	e.vector = -1;
	e.outside = 0;
	emul.stack_bits = (uint8_t)t->bits;
	for (unsigned i = 0; i < 4 && ret == V3_OK && !emul.retired; i++)
		ret = v3_emulate(&emul, &t->insn);
	trial_compare(t, ret, &emul);
}

static void run_mode(unsigned bits, unsigned long cases)
{
	static unsigned long per_shape[sizeof(shapes) / sizeof(shapes[0])];
	unsigned long done = 0, faults = 0, thrown = 0;
	const char *more = getenv("CASES");
	static struct trial t;

	memset(per_shape, 0, sizeof(per_shape));
	if (more)
		cases = strtoul(more, NULL, 0);
	while (done < cases && tap.failures < 10) {
		if (!trial_make(&t, bits)) {
			thrown++;
			continue;
		}
		trial_run(&t);
		faults += m.signal != 0;
		per_shape[t.shape - shapes]++;
		done++;
	}
	printf("# %u bit: %lu cases, %lu of them faults; %lu throws not usable\n", bits, done,
	       faults, thrown);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (!per_shape[i] && !(shapes[i].flags & (T_OLD | T_NEW | T_VEX | T_MOVBE)))
			tap_fail(__FILE__, __LINE__, "no case of opcode %#x was made",
				 shapes[i].first);
	CHECK_EQ(done, cases);
}

static void test_emulate_diff_64(void)
{
	if (!native_setup()) {
		tap_skip("cannot map memory at a fixed address");
		return;
	}
	run_mode(64, 100000);
}

static void test_emulate_diff_32(void)
{
	if (!native_setup()) {
		tap_skip("cannot map memory at a fixed address");
		return;
	}
	run_mode(32, 40000);
}

static void test_emulate_diff_16(void)
{
	if (!native_setup() || !m.ldt) {
		tap_skip("no 16-bit segments (modify_ldt, or mmap_min_addr above 0x8000)");
		return;
	}
	run_mode(16, 40000);
}

static const struct tap_test tests[] = {
	TAP(test_emulate_diff_64),
	TAP(test_emulate_diff_32),
	TAP(test_emulate_diff_16),
};
TAP_MAIN(tests)
