/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file lib.c
 * Output, checks, exceptions, time, ACPI lookup and vcpu start for the micro guests.
 */
#include "guest.h"

volatile int g_fault = X_NONE;
volatile uint64_t g_fault_error, g_fault_cr2;
void (*volatile g_handler[256])(struct g_frame *f);
uint8_t g_tss[104];

struct g_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, zero;
};

struct g_table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct g_gate idt[256];
static unsigned checks, failures;
static uint64_t random_state = 0x9e3779b97f4a7c15ull;
static uint32_t tsc_khz;

/* The compiler may call these for assignments of structures. */
void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return dst;
}

/* ---- output: %s %c %d %u %x with l, ll and zero-padded width ---- */

static void put(char c)
{
	outb(0xe9, (uint8_t)c);
}

static void put_number(uint64_t v, unsigned base, unsigned width, char pad)
{
	char buf[24];
	unsigned n = 0;

	do {
		buf[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	for (; width > n; width--)
		put(pad);
	while (n)
		put(buf[--n]);
}

static const char *put_conversion(const char *p, va_list *ap)
{
	unsigned width = 0, longs = 0;
	char pad = ' ';
	const char *s;
	uint64_t v;

	if (*p == '0')
		pad = '0';
	while (*p >= '0' && *p <= '9')
		width = width * 10 + (unsigned)(*p++ - '0');
	while (*p == 'l') {
		longs++;
		p++;
	}
	switch (*p) {
	case 's':
		for (s = va_arg(*ap, const char *); *s; s++)
			put(*s);
		break;
	case 'c':
		put((char)va_arg(*ap, int));
		break;
	case 'd':
		v = (uint64_t)(longs ? va_arg(*ap, long) : va_arg(*ap, int));
		if ((int64_t)v < 0) {
			put('-');
			v = -v;
		}
		put_number(v, 10, width, pad);
		break;
	case 'u':
	case 'x':
		v = longs ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned int);
		put_number(v, *p == 'x' ? 16 : 10, width, pad);
		break;
	default:
		put(*p);
	}
	return p + 1;
}

void g_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	while (*fmt) {
		if (*fmt == '%')
			fmt = put_conversion(fmt + 1, &ap);
		else
			put(*fmt++);
	}
	va_end(ap);
}

void g_exit(uint32_t value)
{
	for (;;) {
		outl(0xf4, value);
		cli();
		__asm__ volatile("hlt");
	}
}

void g_check(bool ok, const char *file, int line, const char *what)
{
	checks++;
	if (ok)
		return;
	failures++;
	g_print("FAILED %s:%d: %s\n", file, line, what);
}

int g_result(void)
{
	g_print("%u checks, %u failed\n", checks, failures);
	return checks && !failures ? G_PASS : G_FAIL;
}

void g_seed(uint64_t seed)
{
	random_state = seed ? seed : 1;
}

/* xorshift64* */
uint64_t g_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

/* ---- exceptions ---- */

struct g_fixup {
	uint64_t from, to;
};
extern const struct g_fixup g_fixups[], g_fixups_end[];

void g_trap(struct g_frame *f)
{
	const struct g_fixup *fix;
	uint64_t cr2 = read_cr2();

	if (g_handler[f->vector]) {
		g_handler[f->vector](f);
		return;
	}
	for (fix = g_fixups; fix < g_fixups_end; fix++) {
		if (f->vector < 32 && fix->from == f->rip) {
			g_fault = (int)f->vector;
			g_fault_error = f->error;
			g_fault_cr2 = cr2;
			f->rip = fix->to;
			return;
		}
	}
	g_print("FAILED: unexpected %s %lu error %lx rip %lx rsp %lx cr2 %lx\n",
		f->vector < 32 ? "exception" : "interrupt", f->vector, f->error, f->rip, f->rsp,
		cr2);
	g_exit(G_FAIL);
}

void g_set_gate(unsigned vector, unsigned ist, unsigned dpl)
{
	uint64_t stub = (uint64_t)g_vectors + 16 * vector;
	struct g_gate *g = &idt[vector];

	g->offset_low = (uint16_t)stub;
	g->offset_mid = (uint16_t)(stub >> 16);
	g->offset_high = (uint32_t)(stub >> 32);
	g->selector = 0x08;
	g->type = (uint8_t)(0x8e | dpl << 5);
	g->ist = (uint8_t)ist;
}

void g_load_idt(void)
{
	struct g_table idtr = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void g_init(void)
{
	uint64_t tss = (uint64_t)g_tss;
	unsigned i;

	for (i = 0; i < 256; i++)
		g_set_gate(i, 0, 0);
	g_load_idt();
	g_tss[102] = sizeof(g_tss);
	g_gdt[8] = (sizeof(g_tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24) << 56;
	g_gdt[9] = tss >> 32;
	__asm__ volatile("ltr %w0" : : "r"(0x40));
	outb(0x21, 0xff); /* nothing may interrupt that has not been asked for */
	outb(0xa1, 0xff);
}

/* ---- time ---- */

/* TSC and channel 2 of the i8254 at one moment: of several readings the one that took least time. */
static uint64_t sample_pit(uint64_t *tsc, uint32_t *pit)
{
	uint64_t best = ~0ull, t, took;
	unsigned i, count;

	for (i = 0; i < 6; i++) {
		t = rdtsc();
		outb(0x43, 0x80); /* latch */
		took = rdtsc() - t;
		count = inb(0x42);
		count |= (unsigned)inb(0x42) << 8;
		if (took < best) {
			best = took;
			*tsc = t + took / 2;
			*pit = count;
		}
	}
	return best;
}

/* 10 ms against the i8254, mode 0; again if something else took the CPU so long that it ran out (55 ms). */
static uint32_t measure_tsc_khz(void)
{
	uint64_t start, end = 0, uncertain;
	uint32_t first, last = 0, tries;

	for (tries = 0; tries < 100; tries++) {
		outb(0x61, (inb(0x61) & ~0x03) | 0x01);
		outb(0x43, 0xb0);
		outb(0x42, 0xff);
		outb(0x42, 0xff);
		uncertain = sample_pit(&start, &first);
		do {
			sample_pit(&end, &last);
		} while (first - last < 11932 && !(inb(0x61) & 0x20));
		uncertain += sample_pit(&end, &last);
		if (!(inb(0x61) & 0x20) && last < first && uncertain < (end - start) / 50)
			return (uint32_t)((end - start) * 1193182 / (first - last) / 1000);
	}
	g_print("FAILED: cannot measure the TSC\n");
	g_exit(G_FAIL);
}

uint32_t g_tsc_khz(void)
{
	if (!tsc_khz)
		tsc_khz = measure_tsc_khz();
	return tsc_khz;
}

void g_delay_us(uint32_t us)
{
	uint64_t end = rdtsc() + (uint64_t)g_tsc_khz() * us / 1000;

	while (rdtsc() < end)
		relax();
}

/* ---- ACPI ---- */

static bool same(const void *a, const char *b, unsigned n)
{
	const char *p = a;

	while (n--)
		if (*p++ != *b++)
			return false;
	return true;
}

static uint8_t sum(const uint8_t *p, uint32_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* ACPI 6.4 section 5.2.5.1: in the BIOS area at 16-byte boundaries. */
static const uint8_t *acpi_rsdp(void)
{
	uint64_t p;

	for (p = 0xe0000; p < 0x100000; p += 16)
		if (same((const void *)p, "RSD PTR ", 8) && !sum((const uint8_t *)p, 20))
			return (const uint8_t *)p;
	return NULL;
}

const uint8_t *g_acpi_table(const char *signature)
{
	const uint8_t *rsdp = acpi_rsdp(), *root, *table;
	unsigned size, off;
	uint32_t len;
	uint64_t at;

	if (!rsdp)
		return NULL;
	size = rsdp[15] >= 2 && *(const uint64_t *)(rsdp + 24) ? 8 : 4;
	root = (const uint8_t *)(size == 8 ? *(const uint64_t *)(rsdp + 24)
					   : *(const uint32_t *)(rsdp + 16));
	len = *(const uint32_t *)(root + 4);
	if (same(root, signature, 4))
		return root;
	for (off = 36; off + size <= len; off += size) {
		at = size == 8 ? *(const uint64_t *)(root + off) : *(const uint32_t *)(root + off);
		table = (const uint8_t *)at;
		if (same(table, signature, 4) && !sum(table, *(const uint32_t *)(table + 4)))
			return table;
	}
	return NULL;
}

/* Multiboot information: flags bit 2, address at offset 16. */
bool g_cmdline_has(const char *word)
{
	const uint32_t *info = (const uint32_t *)(uint64_t)g_mb_info;
	const char *p;
	unsigned len = 0;

	if (!(info[0] & 4))
		return false;
	while (word[len])
		len++;
	for (p = (const char *)(uint64_t)info[4]; *p; p++)
		if (same(p, word, len))
			return true;
	return false;
}

/* ---- what survives a reset ---- */

#define CMOS_COUNT 0x50 /* in the battery-backed RAM; no PC standard uses it */

uint8_t g_boot_count(void)
{
	outb(0x70, 0x80 | CMOS_COUNT);
	return inb(0x71);
}

void g_set_boot_count(uint8_t n)
{
	outb(0x70, 0x80 | CMOS_COUNT);
	outb(0x71, n);
}

/* ---- vcpus ---- */

#define TRAMPOLINE 0x8000ul

extern char g_ap_trampoline[], g_ap_trampoline_end[];
extern uint64_t g_ap_stack;
uint64_t g_ap_stack;
static char ap_stacks[8][8192] __attribute__((aligned(16)));
static unsigned ap_started;
static void (*volatile ap_fn)(void);
static volatile bool ap_up;

void g_ap_entry(void)
{
	void (*fn)(void) = ap_fn;

	g_load_idt();
	ap_up = true;
	fn();
}

void g_start_ap(uint32_t apic_id, void (*fn)(void))
{
	memcpy((void *)TRAMPOLINE, g_ap_trampoline,
	       (size_t)(g_ap_trampoline_end - g_ap_trampoline));
	g_ap_stack = (uint64_t)(ap_stacks[ap_started++ % 8] + sizeof(ap_stacks[0]));
	ap_fn = fn;
	ap_up = false;
	g_apic_icr(apic_id, 0x4500); /* INIT */
	g_delay_us(10000);
	g_apic_icr(apic_id, 0x4600 | TRAMPOLINE >> 12);
	g_delay_us(200);
	if (!ap_up)
		g_apic_icr(apic_id, 0x4600 | TRAMPOLINE >> 12);
	while (!ap_up)
		relax();
}
