/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Six vcpus in two sockets of three cores: APIC ids with a gap. Interprocessor interrupts of every mode, destination and
 * shorthand, in xAPIC and x2APIC mode; KVM's hypercalls for the same; equal TSCs; TLB shootdowns. Each step counts what
 * every vcpu has received since the beginning, so a message that went astray is found at the next step.
 * SDM 3A 10.6, 10.12; Linux Documentation/virt/kvm/x86/hypercalls.rst.
 */
#include "guest.h"

#include "hypercall.h"

#define NCPUS	6
#define ALL	((1u << NCPUS) - 1)
#define VECTOR	0x60
#define WAKE	0x61
#define ASSERT	0x4000
#define LOWEST	0x100
#define LOGICAL 0x800
#define ICR_ALL 0x80000
#define ROUNDS	50

static const uint8_t ids[NCPUS] = {0, 1, 2, 4, 5, 6};
static volatile uint32_t got[NCPUS], nmis[NCPUS], want[NCPUS], want_nmi[NCPUS];

/* What the others are asked to do; done by each in its main loop. */
enum { JOB_NONE, JOB_LDR_CLUSTER, JOB_X2APIC, JOB_TSC, JOB_HALT, JOB_READ };
static volatile uint32_t job, job_number, jobs_done, halts, halt_ready;
static volatile uint64_t tsc_of[NCPUS];
static volatile uint32_t seen[NCPUS];

static volatile uint32_t *const window =
	(volatile uint32_t *)0x40000000; /* mapped anew by the test */

static unsigned self(void)
{
	uint32_t id = cpuid(0xb, 0).d;

	return id > 3 ? id - 1 : id;
}

static void on_vector(struct g_frame *f)
{
	(void)f;
	__atomic_fetch_add(&got[self()], 1, __ATOMIC_SEQ_CST);
	g_apic_eoi();
}

static void on_nmi(struct g_frame *f)
{
	(void)f;
	__atomic_fetch_add(&nmis[self()], 1, __ATOMIC_SEQ_CST);
}

static void invalidate(void)
{
	__asm__ volatile("invlpg (%0)" : : "r"(window) : "memory");
}

static void set_ldr(unsigned cpu, bool cluster)
{
	g_apic_write(APIC_DFR, cluster ? 0x0fffffff : 0xffffffff);
	g_apic_write(APIC_LDR, (cluster ? (cpu / 4) << 4 | 1u << cpu % 4 : 1u << cpu) << 24);
}

static void do_job(unsigned cpu)
{
	switch (job) {
	case JOB_LDR_CLUSTER:
		set_ldr(cpu, true);
		break;
	case JOB_X2APIC:
		g_x2apic_enable();
		break;
	case JOB_TSC:
		tsc_of[cpu] = rdtsc();
		break;
	case JOB_HALT: /* interrupts are off: only a kick ends it */
		if (cpu != 1)
			break;
		halt_ready = 1;
		while (halts < ROUNDS) {
			__asm__ volatile("hlt" : : : "memory");
			halts++;
		}
		break;
	case JOB_READ:
		invalidate();
		seen[cpu] = *window;
		break;
	}
}

static void other(void)
{
	unsigned cpu = self();
	uint32_t last = 0;

	g_apic_enable();
	set_ldr(cpu, false);
	__atomic_fetch_add(&jobs_done, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		while (__atomic_load_n(&job_number, __ATOMIC_SEQ_CST) != last) {
			last++;
			do_job(cpu);
			__atomic_fetch_add(&jobs_done, 1, __ATOMIC_SEQ_CST);
		}
		sti_hlt();
	}
}

static bool in_time(uint64_t start)
{
	return rdtsc() - start < (uint64_t)g_tsc_khz() * 60000;
}

static void wait_jobs(uint32_t n)
{
	uint64_t start = rdtsc();

	while (__atomic_load_n(&jobs_done, __ATOMIC_SEQ_CST) < n && in_time(start))
		relax();
	CHECK_M(jobs_done >= n, "%u of %u\n", jobs_done, n);
}

static void start_job(uint32_t what)
{
	jobs_done = 0;
	job = what;
	__atomic_fetch_add(&job_number, 1, __ATOMIC_SEQ_CST);
	g_apic_icr(0, ICR_ALL_BUT_SELF | ASSERT | WAKE);
}

static void all_do(uint32_t what)
{
	start_job(what);
	wait_jobs(NCPUS - 1);
}

static void take_interrupts(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	relax();
}

static bool arrived(void)
{
	unsigned i;

	for (i = 0; i < NCPUS; i++)
		if (got[i] < want[i] || nmis[i] < want_nmi[i])
			return false;
	return true;
}

/* Vector (or NMI) once more at each vcpu of @p mask, and at no other. */
static void expect(unsigned mask, volatile uint32_t *counter, const char *what)
{
	uint64_t start = rdtsc();
	unsigned i;

	for (i = 0; i < NCPUS; i++)
		counter[i] += mask >> i & 1;
	while (!arrived() && in_time(start)) {
		take_interrupts();
	}
	for (i = 0; i < NCPUS; i++)
		CHECK_M(got[i] == want[i] && nmis[i] == want_nmi[i],
			"%s: vcpu %u has %u and %u, expected %u and %u\n", what, i, got[i], nmis[i],
			want[i], want_nmi[i]);
}

static void sends(uint32_t dest, uint32_t command, unsigned mask, const char *what)
{
	g_apic_icr(dest, ASSERT | command);
	expect(mask, (command & 0x700) == ICR_NMI ? want_nmi : want, what);
}

/* One of @p mask gets it; whichever. */
static void sends_lowest(uint32_t dest, unsigned mask, const char *what)
{
	uint32_t before[NCPUS];
	uint64_t start = rdtsc();
	unsigned i, n = 0;

	for (i = 0; i < NCPUS; i++)
		before[i] = got[i];
	g_apic_icr(dest, ASSERT | LOWEST | LOGICAL | VECTOR);
	while (!n && in_time(start)) {
		take_interrupts();
		for (i = 0; i < NCPUS; i++)
			if (mask >> i & 1 && got[i] != before[i])
				n++;
	}
	CHECK_M(n == 1, "%s: %u took it\n", what, n);
	for (i = 0; i < NCPUS; i++)
		want[i] = got[i];
}

static void every_mode(bool x2)
{
	uint32_t everybody = x2 ? 0xffffffff : 0xff;
	unsigned i;

	for (i = 1; i < NCPUS; i++)
		sends(ids[i], VECTOR, 1u << i, "physical");
	sends(3, VECTOR, 0, "physical, nobody's id");
	sends(everybody, VECTOR, ALL, "physical, everybody");
	sends(0, ICR_SELF | VECTOR, 1, "self");
	sends(0, ICR_ALL | VECTOR, ALL, "all");
	sends(0, ICR_ALL_BUT_SELF | VECTOR, ALL & ~1u, "all but self");
	sends(5, ICR_NMI, 1u << 4, "NMI");
	sends(0, ICR_ALL_BUT_SELF | ICR_NMI, ALL & ~1u, "NMI to all but self");
}

static int64_t kvm_call(uint64_t nr, uint64_t b, uint64_t c, uint64_t d, uint64_t s)
{
	__asm__ volatile("vmmcall" : "+a"(nr) : "b"(b), "c"(c), "d"(d), "S"(s) : "memory");
	return (int64_t)nr;
}

static void paravirtual(void)
{
	uint64_t start;
	uint32_t i;

	CHECK((cpuid(V3_CPUID_KVM_BASE + 1, 0).a & 0xaa0) == 0xaa0);
	CHECK(kvm_call(V3_HYPERCALL_KVM_SEND_IPI, 0x7f, 0, 0, VECTOR) == 6);
	expect(ALL, want, "hypercall");
	CHECK(kvm_call(V3_HYPERCALL_KVM_SEND_IPI, 1ull << 63, 6, 0, ICR_NMI) == 0);
	CHECK(kvm_call(V3_HYPERCALL_KVM_SEND_IPI, 0x18, 0, 2, ICR_NMI) == 2);
	expect(3u << 4, want_nmi, "hypercall, NMI");
	CHECK(kvm_call(V3_HYPERCALL_KVM_SEND_IPI, 0x7f, 0, 0, 0x600) < 0);
	CHECK(kvm_call(V3_HYPERCALL_KVM_KICK_CPU, 0, 3, 0, 0) < 0);
	start_job(JOB_HALT);
	/* A kick now would end the HLT of its main loop. */
	for (start = rdtsc(); !halt_ready && in_time(start);)
		relax();
	for (i = 0; i < ROUNDS; i++) {
		CHECK(kvm_call(V3_HYPERCALL_KVM_KICK_CPU, 0, ids[1], 0, 0) == 0);
		for (start = rdtsc(); halts <= i && in_time(start);)
			relax();
		CHECK(halts == i + 1);
	}
	wait_jobs(NCPUS - 1);
}

/* All vcpus' time stamps lie between two of ours. */
static void time_stamps(void)
{
	uint64_t before, after;
	unsigned i, n;

	for (n = 0; n < 10; n++) {
		before = rdtsc();
		all_do(JOB_TSC);
		after = rdtsc();
		for (i = 1; i < NCPUS; i++)
			CHECK(tsc_of[i] >= before && tsc_of[i] <= after);
	}
}

/* Two frames of 2 MiB in turn at one address: after the shootdown everybody sees the new one. */
static void shootdowns(void)
{
	volatile uint32_t *const frame[2] = {(volatile uint32_t *)0x2000000,
					     (volatile uint32_t *)0x2200000};
	unsigned i, n;

	frame[0][0] = 100;
	frame[1][0] = 101;
	for (n = 0; n < ROUNDS; n++) {
		g_pd[512] = (uint64_t)frame[n & 1] | 0x83;
		invalidate();
		all_do(JOB_READ);
		for (i = 1; i < NCPUS; i++)
			CHECK(seen[i] == 100 + (n & 1));
	}
}

int main(void)
{
	unsigned i;

	g_apic_enable();
	set_ldr(0, false);
	g_handler[VECTOR] = on_vector;
	g_handler[WAKE] = g_count_apic;
	g_handler[X_NMI] = on_nmi;
	CHECK((cpuid(1, 0).b >> 16 & 0xff) >= 3);
	CHECK(cpuid(0xb, 0).b == 1 && cpuid(0xb, 1).b == 3 && cpuid(0xb, 1).a == 2);
	for (i = 1; i < NCPUS; i++)
		g_start_ap(ids[i], other);
	wait_jobs(NCPUS - 1);

	every_mode(false);
	sends(0x2a, LOGICAL | VECTOR, 0x2a, "flat");
	sends(0x40, LOGICAL | VECTOR, 0, "flat, nobody's bit");
	sends_lowest(0x3e, 0x3e, "lowest priority, flat");
	all_do(JOB_LDR_CLUSTER);
	set_ldr(0, true);
	sends(0x0a, LOGICAL | VECTOR, 0x0a, "cluster 0");
	sends(0x13, LOGICAL | VECTOR, 0x30, "cluster 1");
	sends(0x2f, LOGICAL | VECTOR, 0, "cluster 2: nobody");
	time_stamps();

	all_do(JOB_X2APIC);
	g_x2apic_enable();
	for (i = 0; i < NCPUS; i++)
		want[i] = got[i];
	every_mode(true);
	sends(1u << 2 | 1u << 4 | 1u << 6, LOGICAL | VECTOR, 0x2c, "x2APIC cluster 0");
	sends(1u << 3, LOGICAL | VECTOR, 0, "x2APIC, nobody's bit");
	sends(0x10000 | 1u << 2, LOGICAL | VECTOR, 0, "x2APIC cluster 1: nobody");
	sends_lowest(0x76, 0x3e, "lowest priority, x2APIC");
	wrmsr(0x83f, VECTOR);
	expect(1, want, "self-IPI register");
	paravirtual();
	shootdowns();
	return g_result();
}
