/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file smp_stress.c
 * Traffic between the CPUs of the Debian guest: futexes, membarriers, TLB shootdowns, migrations and timers, with CPUs
 * that go away and come back. Each step counts what happened and says "selftest: ok|FAILED what"; one that hangs is
 * found by an alarm. Called by the script smp. Exit status: number of failures.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_CPUS       32
#define HANG_S	       120 /* of a few seconds, on a machine that has nothing else to do */
#define PINGS	       200
#define BARRIERS       100
#define REMAPS	       200
#define HOPS	       25
#define TICKS	       40
#define TICK_NS	       5000000
#define HOTPLUG_ROUNDS 3

static int ncpus, failed;
static const char *step = "start";
static atomic_bool stop;

static void stress_result(bool ok)
{
	printf("selftest: %s %s\n", ok ? "ok" : "FAILED", step);
	failed += !ok;
}

static void stress_hung(int sig)
{
	(void)sig;
	printf("selftest: FAILED %s: hangs\n", step);
	fflush(stdout);
	_exit(100);
}

static void stress_step(const char *what)
{
	step = what;
	atomic_store(&stop, false);
	alarm(HANG_S);
}

static void stress_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static void stress_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	if (pthread_create(thread, NULL, fn, arg)) {
		perror("pthread_create");
		exit(101);
	}
}

/* ---- futexes: pairs of threads wake each other ---- */

struct pair {
	_Atomic uint32_t turn;
	int cpu[2];
	uint32_t seen[2];
	bool pinned;
};
struct player {
	struct pair *pair;
	uint32_t me;
};

static void *pair_play(void *arg)
{
	struct player *p = arg;
	struct pair *pair = p->pair;
	uint32_t i, turn;

	if (pair->pinned)
		stress_pin(pair->cpu[p->me]);
	for (i = 0; i < PINGS; i++) {
		while ((turn = atomic_load(&pair->turn)) != 2 * i + p->me)
			syscall(SYS_futex, &pair->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
		pair->seen[p->me]++;
		atomic_store(&pair->turn, turn + 1);
		syscall(SYS_futex, &pair->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return NULL;
}

/* @return did each thread see each of its turns? */
static bool pairs_run(bool pinned)
{
	struct pair pair[MAX_CPUS] = {0};
	struct player player[2 * MAX_CPUS];
	pthread_t thread[2 * MAX_CPUS];
	bool ok = true;
	int i;

	for (i = 0; i < 2 * ncpus; i++) {
		pair[i / 2].pinned = pinned;
		pair[i / 2].cpu[i % 2] = (i / 2 + i % 2) % ncpus;
		player[i] = (struct player){&pair[i / 2], (uint32_t)(i % 2)};
		stress_start(&thread[i], pair_play, &player[i]);
	}
	for (i = 0; i < 2 * ncpus; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < ncpus; i++)
		ok = ok && pair[i].seen[0] == PINGS && pair[i].seen[1] == PINGS &&
		     pair[i].turn == 2 * PINGS;
	return ok;
}

/* ---- membarrier: an IPI to each CPU that runs one of our threads ---- */

static atomic_int spinning;

static void *barrier_spin(void *arg)
{
	stress_pin((int)(intptr_t)arg);
	atomic_fetch_add(&spinning, 1);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		;
	return NULL;
}

static bool barriers_run(void)
{
	pthread_t thread[MAX_CPUS];
	int i, done = 0;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0))
		return false;
	stress_pin(0);
	for (i = 1; i < ncpus; i++)
		stress_start(&thread[i], barrier_spin, (void *)(intptr_t)i);
	while (atomic_load(&spinning) < ncpus - 1)
		sched_yield();
	for (i = 0; i < BARRIERS; i++)
		done += !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0);
	atomic_store(&stop, true);
	for (i = 1; i < ncpus; i++)
		pthread_join(thread[i], NULL);
	return done == BARRIERS;
}

/* ---- TLB shootdown: once page k is mapped, nobody may read an older one ---- */

static volatile const uint32_t *window;
static _Atomic uint32_t newest;
static atomic_int stale;
static _Atomic uint64_t reads;

static void *remap_read(void *arg)
{
	uint32_t least;

	if ((intptr_t)arg >= 0)
		stress_pin((int)(intptr_t)arg);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		least = atomic_load(&newest);
		if (*window < least)
			atomic_fetch_add(&stale, 1);
		atomic_fetch_add_explicit(&reads, 1, memory_order_relaxed);
	}
	return NULL;
}

static int remap_file(void)
{
	int fd = memfd_create("pages", 0);
	uint32_t i;

	for (i = 0; i < REMAPS; i++)
		if (pwrite(fd, &i, sizeof(i), i * 4096) != sizeof(i))
			return -1;
	return ftruncate(fd, REMAPS * 4096) ? -1 : fd;
}

static bool remaps_run(void)
{
	int fd = remap_file(), i;
	pthread_t thread[MAX_CPUS];
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || at == MAP_FAILED)
		return false;
	window = at;
	stress_pin(0);
	for (i = 1; i < ncpus; i++)
		stress_start(&thread[i], remap_read, (void *)(intptr_t)i);
	for (i = 1; i < REMAPS; i++) {
		if (mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, i * 4096L) !=
		    at)
			return false;
		atomic_store(&newest, (uint32_t)i);
		if (mprotect(at, 4096, PROT_READ))
			return false;
	}
	atomic_store(&stop, true);
	for (i = 1; i < ncpus; i++)
		pthread_join(thread[i], NULL);
	close(fd);
	return !atomic_load(&stale) && atomic_load(&reads) > 0;
}

/* ---- migration ---- */

static bool hops_run(void)
{
	int i, right = 0;

	for (i = 0; i < HOPS * ncpus; i++) {
		stress_pin(i % ncpus);
		right += sched_getcpu() == i % ncpus;
	}
	return right == HOPS * ncpus;
}

/* ---- timers: a periodic one on each CPU ---- */

static void *timer_wait(void *arg)
{
	const struct itimerspec spec = {{0, TICK_NS}, {0, TICK_NS}};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t n, ticks = 0;

	stress_pin((int)(intptr_t)arg);
	timerfd_settime(fd, 0, &spec, NULL);
	while (ticks < TICKS && read(fd, &n, sizeof(n)) == sizeof(n))
		ticks += n;
	close(fd);
	return (void *)(intptr_t)(ticks >= TICKS);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* No tick is early: TICKS of them take their time. How late they are is the machine's affair. */
static bool timers_run(void)
{
	pthread_t thread[MAX_CPUS];
	int64_t start = now_ns();
	bool ok = true;
	void *good;
	int i;

	for (i = 0; i < ncpus; i++)
		stress_start(&thread[i], timer_wait, (void *)(intptr_t)i);
	for (i = 0; i < ncpus; i++) {
		pthread_join(thread[i], &good);
		ok = ok && good;
	}
	return ok && now_ns() - start >= (int64_t)TICKS * TICK_NS;
}

/* ---- hotplug, under load ---- */

static bool cpu_switch(int cpu, bool on)
{
	char path[64];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY);
	ok = write(fd, on ? "1" : "0", 1) == 1;
	close(fd);
	return ok && sysconf(_SC_NPROCESSORS_ONLN) == (on ? ncpus : ncpus - 1);
}

static void *hotplug_load(void *arg)
{
	unsigned long *rounds = arg;

	while (!atomic_load(&stop)) {
		if (!pairs_run(false))
			return NULL;
		++*rounds;
	}
	return arg;
}

static bool hotplug_run(void)
{
	unsigned long rounds = 0;
	pthread_t load;
	void *good;
	int i, cpu, done = 0;

	stress_start(&load, hotplug_load, &rounds);
	for (i = 0; i < HOTPLUG_ROUNDS; i++)
		for (cpu = ncpus - 1; cpu > 0; cpu--)
			done += cpu_switch(cpu, false) && cpu_switch(cpu, true);
	atomic_store(&stop, true);
	pthread_join(load, &good);
	printf("selftest: %lu rounds of futexes during hotplug\n", rounds);
	return good && done == HOTPLUG_ROUNDS * (ncpus - 1);
}

/* A CPU that came back must serve its timers and interrupts again. */
int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, stress_hung);
	ncpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (ncpus < 2 || ncpus > MAX_CPUS)
		return 102;
	stress_step("futexes between CPUs wake each other every time");
	stress_result(pairs_run(true));
	stress_step("membarrier reaches every CPU");
	stress_result(barriers_run());
	stress_step("no CPU reads a page that was unmapped");
	stress_result(remaps_run());
	stress_step("a thread migrates to each CPU");
	stress_result(hops_run());
	stress_step("timers fire on every CPU");
	stress_result(timers_run());
	stress_step("CPUs go offline and come back under load");
	stress_result(hotplug_run());
	stress_step("timers fire on every CPU after that");
	stress_result(timers_run());
	stress_step("futexes wake after that");
	stress_result(pairs_run(true));
	return failed;
}
