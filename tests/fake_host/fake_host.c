/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_host.c
 * The table of functions, the books on what is in use, refusals, the log, and the frame around
 * each test.
 */
#include "fake_host.h"

#include "fake_priv.h"
#include "tap.h"

/* Only if the test links the software back end. */
extern void fake_arch_reset(void) __attribute__((weak));

#define FAKE_CHAIN     10 /* return addresses kept per resource */
#define FAKE_BUCKETS   4096
#define FAKE_LOG_LINES 4096

/* One resource in use. */
struct fake_record {
	struct fake_record *next;
	enum fake_kind kind;
	uint64_t id, size;
	void *chain[FAKE_CHAIN];
};

static const char *const kind_name[FAKE_NKINDS] = {
	"allocation", "page block", "RAM piece", "thread", "wait queue", "mutex",
	"spinlock",   "timer",	    "stream",	 "file",   "interface"};

static struct {
	pthread_mutex_t lock; /* guards all below */
	struct fake_record *bucket[FAKE_BUCKETS];
	unsigned live[FAKE_NKINDS];
	unsigned requests, fail_at, fail_from, refused;
	enum fake_kind refused_kind;
	void *refused_chain[FAKE_CHAIN];
	struct {
		int level;
		char *text;
	} line[FAKE_LOG_LINES];
	unsigned nlines; /* all, also those dropped */
	struct {
		void (*fn)(void *arg);
		void *arg;
	} at_end[8];
	unsigned nat_end;
} host = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Thread_local struct fake_self fake_self;

/* ---- call chains ---- */

/* From the address sanitizer's run-time library. */
extern void __sanitizer_symbolize_pc(void *pc, const char *fmt, char *out, size_t size)
	__attribute__((weak));

/* Return addresses by frame pointer: everything here is compiled with -fno-omit-frame-pointer. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static void host_chain(void **chain)
{
	uintptr_t *frame = __builtin_frame_address(0), *next;
	unsigned n = 0;

	memset(chain, 0, FAKE_CHAIN * sizeof(*chain));
	while (n < FAKE_CHAIN) {
		next = (uintptr_t *)frame[0];
		chain[n++] = (void *)frame[1];
		if (next <= frame || (char *)next - (char *)frame > 1 << 20 || (uintptr_t)next & 7)
			break;
		frame = next;
	}
}

static void host_print_chain(void *const *chain)
{
	char text[512];

	for (unsigned i = 0; i < FAKE_CHAIN && chain[i]; i++) {
		if (__sanitizer_symbolize_pc)
			__sanitizer_symbolize_pc((char *)chain[i] - 1, "%f %s:%l", text,
						 sizeof(text));
		else
			snprintf(text, sizeof(text), "%p", chain[i]);
		if (strncmp(text, "host_", 5) && strncmp(text, "fake_track", 10))
			printf("#       by %s\n", text);
		if (!strncmp(text, "tap_run", 7))
			break;
	}
}

void fake_violation(const char *fmt, ...)
{
	void *chain[FAKE_CHAIN];
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tap_fail("host contract", 0, "%s", text);
	if (tap.failures < TAP_MAX_REPORTS) {
		host_chain(chain);
		host_print_chain(chain);
	}
}

void fake_need_thread(const char *op)
{
	if (fake_self.irq)
		fake_violation("%s() in interrupt context", op);
	else if (fake_self.spins)
		fake_violation("%s() with %u spinlock(s) held", op, fake_self.spins);
}

void fake_need_atomic(const char *op)
{
	if (fake_self.irq)
		fake_violation("%s() in interrupt context", op);
}

/* ---- books ---- */

static struct fake_record **host_find(enum fake_kind kind, uint64_t id)
{
	struct fake_record **pos = &host.bucket[(id >> 4 ^ id >> 12 ^ id >> 24) % FAKE_BUCKETS];

	while (*pos && ((*pos)->kind != kind || (*pos)->id != id))
		pos = &(*pos)->next;
	return pos;
}

void fake_track(enum fake_kind kind, uint64_t id, uint64_t size)
{
	struct fake_record *rec = calloc(1, sizeof(*rec)), **pos;

	if (!rec)
		abort();
	rec->kind = kind;
	rec->id = id;
	rec->size = size;
	host_chain(rec->chain);
	pthread_mutex_lock(&host.lock);
	pos = host_find(kind, id);
	rec->next = *pos;
	*pos = rec;
	host.live[kind]++;
	pthread_mutex_unlock(&host.lock);
}

bool fake_untrack(enum fake_kind kind, uint64_t id, uint64_t size)
{
	struct fake_record **pos, *rec;
	uint64_t had = 0;

	pthread_mutex_lock(&host.lock);
	pos = host_find(kind, id);
	rec = *pos;
	if (rec) {
		had = rec->size;
		*pos = rec->next;
		host.live[kind]--;
	}
	pthread_mutex_unlock(&host.lock);
	free(rec);
	if (!rec)
		fake_violation("%s %#" PRIx64 " given back but not in use", kind_name[kind], id);
	else if (size && had != size)
		fake_violation("%s %#" PRIx64 " of %" PRIu64 " given back as %" PRIu64,
			       kind_name[kind], id, had, size);
	return rec;
}

bool fake_tracked(enum fake_kind kind, uint64_t id)
{
	bool found;

	pthread_mutex_lock(&host.lock);
	found = *host_find(kind, id);
	pthread_mutex_unlock(&host.lock);
	return found;
}

unsigned fake_host_live(enum fake_kind kind)
{
	return __atomic_load_n(&host.live[kind], __ATOMIC_RELAXED);
}

unsigned fake_host_live_all(void)
{
	unsigned n = 0;

	for (int i = 0; i < FAKE_NKINDS; i++)
		n += fake_host_live(i);
	return n;
}

/* ---- refusals ---- */

bool fake_grant(enum fake_kind kind)
{
	bool refuse;

	pthread_mutex_lock(&host.lock);
	host.requests++;
	refuse = host.requests == host.fail_at ||
		 (host.fail_from && host.requests >= host.fail_from);
	if (refuse && !host.refused++) {
		host.refused_kind = kind;
		host_chain(host.refused_chain);
	}
	pthread_mutex_unlock(&host.lock);
	return !refuse;
}

static void host_fail(unsigned at, unsigned from)
{
	pthread_mutex_lock(&host.lock);
	host.requests = host.refused = 0;
	host.fail_at = at;
	host.fail_from = from;
	pthread_mutex_unlock(&host.lock);
}

void fake_host_fail_at(unsigned k)
{
	host_fail(k, 0);
}

void fake_host_fail_from(unsigned k)
{
	host_fail(0, k);
}

bool fake_host_refused(void)
{
	return host.refused;
}

unsigned fake_host_requests(void)
{
	return host.requests;
}

/* Print what is in use and was not at the mark (record addresses are not reused: only new ones
 * differ). */
static void host_print_live(unsigned limit)
{
	for (unsigned i = 0; i < FAKE_BUCKETS; i++) {
		for (struct fake_record *rec = host.bucket[i]; rec; rec = rec->next) {
			if (!limit--)
				return;
			printf("#   %s %#" PRIx64 " (size %" PRIu64 ")\n", kind_name[rec->kind],
			       rec->id, rec->size);
			host_print_chain(rec->chain);
		}
	}
}

/* One step of fake_host_oom_each_step(). @return 1: go on, 0: nothing was refused, -1: a check
 * failed */
static int host_oom_step(unsigned k, bool from, int (*create)(void *arg),
			 void (*destroy)(void *arg), void *arg)
{
	unsigned before = fake_host_live_all(), failures = tap.failures, refused;
	bool may_do_without;
	int err;

	host_fail(from ? 0 : k, from ? k : 0);
	err = create(arg);
	refused = host.refused;
	may_do_without = host.refused_kind == FAKE_RAM && !from;
	host_fail(0, 0);

	if (err == V3_OK && destroy)
		destroy(arg);
	if (err == V3_OK && refused && !may_do_without)
		tap_fail("oom step", k, "V3_OK although %s request %u was refused",
			 kind_name[host.refused_kind], k);
	else if (err != V3_OK && (err != V3_ENOMEM || !refused))
		tap_fail("oom step", k, "result is %s, expected V3_ENOMEM%s", v3_strerror(err),
			 refused ? "" : " (nothing was refused)");
	if (fake_host_live_all() != before) {
		tap_fail("oom step", k, "%u left behind", fake_host_live_all() - before);
		host_print_live(5);
	}
	if (tap.failures == failures)
		return refused ? 1 : 0;
	if (refused) {
		printf("#   refused: %s\n", kind_name[host.refused_kind]);
		host_print_chain(host.refused_chain);
	}
	return -1;
}

unsigned fake_host_oom_each_step(int (*create)(void *arg), void (*destroy)(void *arg), void *arg)
{
	unsigned k = 0, steps = 0;
	int more = 1;

	for (int from = 0; from <= 1; from++) {
		for (k = 1, more = 1; more > 0; k++, steps++)
			more = host_oom_step(k, from, create, destroy, arg);
		if (more < 0)
			return 0;
	}
	return steps;
}

void fake_host_at_end(void (*fn)(void *arg), void *arg)
{
	if (host.nat_end == V3_ARRAY_SIZE(host.at_end))
		abort();
	host.at_end[host.nat_end].fn = fn;
	host.at_end[host.nat_end++].arg = arg;
}

/* ---- log ---- */

static void host_log(int level, const char *line)
{
	size_t len = strlen(line);
	unsigned i;

	if (len > 255 || strchr(line, '\n'))
		fake_violation("log line of %zu bytes or with newline: \"%.40s...\"", len, line);
	if (getenv("FAKE_LOG"))
		fprintf(stderr, "%d %s\n", level, line);
	pthread_mutex_lock(&host.lock);
	i = host.nlines++ % FAKE_LOG_LINES;
	free(host.line[i].text);
	host.line[i].text = strdup(line);
	host.line[i].level = level;
	pthread_mutex_unlock(&host.lock);
}

/* Number of lines with the text, and the level of the last one. */
static unsigned host_log_search(const char *text, int *level)
{
	unsigned n = 0, first;

	pthread_mutex_lock(&host.lock);
	first = host.nlines > FAKE_LOG_LINES ? host.nlines - FAKE_LOG_LINES : 0;
	for (unsigned i = first; i < host.nlines; i++) {
		if (strstr(host.line[i % FAKE_LOG_LINES].text, text)) {
			*level = host.line[i % FAKE_LOG_LINES].level;
			n++;
		}
	}
	pthread_mutex_unlock(&host.lock);
	return n;
}

bool fake_log_contains(const char *text)
{
	return fake_log_count(text) != 0;
}

unsigned fake_log_count(const char *text)
{
	int level;

	return host_log_search(text, &level);
}

int fake_log_level(const char *text)
{
	int level = -1;

	host_log_search(text, &level);
	return level;
}

void fake_log_clear(void)
{
	pthread_mutex_lock(&host.lock);
	for (unsigned i = 0; i < FAKE_LOG_LINES; i++) {
		free(host.line[i].text);
		host.line[i].text = NULL;
	}
	host.nlines = 0;
	pthread_mutex_unlock(&host.lock);
}

/* ---- tests ---- */

void fake_host_test_begin(void)
{
	host_fail(0, 0);
	fake_log_clear();
	memset(&fake_self, 0, sizeof(fake_self));
	fake_mem_reset();
	fake_thread_reset();
	fake_clock_reset();
	fake_console_reset();
	fake_trace_reset();
	fake_file_reset();
	fake_packet_reset();
	fake_random_limit(SIZE_MAX);
	if (fake_arch_reset)
		fake_arch_reset();
}

/* What is still in use is forgotten, not freed: somebody may still use it. */
static void host_forget(void)
{
	struct fake_record *rec, *next;

	for (unsigned i = 0; i < FAKE_BUCKETS; i++) {
		for (rec = host.bucket[i]; rec; rec = next) {
			next = rec->next;
			free(rec);
		}
		host.bucket[i] = NULL;
	}
	memset(host.live, 0, sizeof(host.live));
}

unsigned fake_host_test_end(void)
{
	unsigned left;

	host_fail(0, 0);
	while (host.nat_end) {
		host.nat_end--;
		host.at_end[host.nat_end].fn(host.at_end[host.nat_end].arg);
	}
	fake_clock_auto(false);
	if (fake_self.spins || fake_self.fpu)
		fake_violation("the test ends with %u spinlock(s) held, FPU %s", fake_self.spins,
			       fake_self.fpu ? "owned" : "not owned");
	left = fake_host_live_all();
	if (left) {
		printf("# %u left over:\n", left);
		for (int i = 0; i < FAKE_NKINDS; i++) {
			if (host.live[i])
				printf("#   %u x %s\n", host.live[i], kind_name[i]);
		}
		host_print_live(10);
		host_forget();
	}
	if ((tap.failures || left) && host.nlines) {
		printf("# last lines of the log:\n");
		for (unsigned i = host.nlines > 30 ? host.nlines - 30 : 0; i < host.nlines; i++)
			printf("#   %s\n", host.line[i % FAKE_LOG_LINES].text);
	}
	fake_log_clear();
	return left;
}

/* ---- random bytes ---- */

static struct {
	uint64_t given; /* bytes */
	size_t left;
} source;

/* Byte number @p n of all. */
static uint8_t random_byte(uint64_t n)
{
	return (uint8_t)((n + 1) * 0x9e3779b97f4a7c15ull >> 56);
}

static size_t host_random(void *buf, size_t len)
{
	size_t n = len < source.left ? len : source.left;

	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = random_byte(source.given++);
	source.left -= n;
	return n;
}

void fake_random_peek(void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = random_byte(source.given + i);
}

void fake_random_limit(size_t bytes)
{
	source.left = bytes;
}

const struct v3_host_ops fake_host_ops = {
	.api = V3_HOST_API,
	.size = sizeof(struct v3_host_ops),
	.log = host_log,
	.page_alloc = fake_page_alloc,
	.page_free = fake_page_free,
	.ram_alloc = fake_ram_alloc,
	.ram_free = fake_ram_free,
	.alloc = fake_alloc,
	.free = fake_free,
	.pa_to_va = fake_pa_to_va,
	.va_to_pa = fake_va_to_pa,
	.cpu_count = fake_op_cpu_count,
	.cpu_id = fake_op_cpu_id,
	.cpu_call = fake_op_cpu_call,
	.cpu_kick = fake_op_cpu_kick,
	.thread_create = fake_thread_create,
	.thread_join = fake_thread_join,
	.thread_move = fake_thread_move,
	.yield = fake_yield,
	.should_yield = fake_op_should_yield,
	.wq_create = fake_wq_create,
	.wq_destroy = fake_wq_destroy,
	.wq_sleep = fake_wq_sleep,
	.wq_wake = fake_wq_wake,
	.mutex_create = fake_mutex_create,
	.mutex_destroy = fake_mutex_destroy,
	.mutex_lock = fake_mutex_lock,
	.mutex_unlock = fake_mutex_unlock,
	.spin_create = fake_spin_create,
	.spin_destroy = fake_spin_destroy,
	.spin_lock = fake_spin_lock,
	.spin_unlock = fake_spin_unlock,
	.time_ns = fake_op_time_ns,
	.wall_clock_s = fake_op_wall_clock_s,
	.tsc_khz = fake_op_tsc_khz,
	.timer_create = fake_timer_create,
	.timer_destroy = fake_timer_destroy,
	.timer_arm = fake_timer_arm,
	.timer_cancel = fake_timer_cancel,
	.irq_pass = fake_irq_pass,
	.fpu_begin = fake_fpu_begin,
	.fpu_end = fake_fpu_end,
	.console = &fake_console_ops,
	.trace = &fake_trace_ops,
	.random = host_random,
	.file = &fake_file_ops,
	.packet = &fake_packet_ops,
	.owner = fake_op_owner,
};
