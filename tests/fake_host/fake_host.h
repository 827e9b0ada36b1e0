/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_host.h
 * A host in user space for unit tests: every member of struct v3_host_ops over pthreads, malloc
 * and a simulated clock. It counts what the library takes, can refuse any request, and checks
 * that the library keeps the contract of palacios/host.h (context, sizes, pairing): each breach
 * fails the running test.
 *
 * tap.h resets it before each test and counts what is left after it. FAKE_LOG=1 in the
 * environment copies the log to standard error.
 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include "palacios/host.h"
#include "palacios/log.h"

/** The functions, for v3_init(). */
extern const struct v3_host_ops fake_host_ops;

/* ---- resources ---- */

enum fake_kind {
	FAKE_ALLOC, /* alloc() */
	FAKE_PAGES, /* page_alloc() */
	FAKE_RAM,   /* ram_alloc() */
	FAKE_THREAD,
	FAKE_WQ,
	FAKE_MUTEX,
	FAKE_SPIN,
	FAKE_TIMER,
	FAKE_STREAM, /* console streams; "refused" means "no such stream" */
	FAKE_FILE,   /* open files */
	FAKE_PACKET, /* open interfaces */
	FAKE_NKINDS
};

/** How many of a kind are in use now. */
unsigned fake_host_live(enum fake_kind kind);
/** How many of all kinds are in use now. */
unsigned fake_host_live_all(void);
/** Requests of all kinds (but streams) since the test began or fake_host_fail_at() was called. */
unsigned fake_host_requests(void);
/**
 * Refuse the @p k-th request from now on, counting from 1; only that one. 0: none. Restarts the
 * count.
 */
void fake_host_fail_at(unsigned k);
/** Refuse the @p k-th and all later ones. 0: none. Restarts the count. */
void fake_host_fail_from(unsigned k);
/** Was a request refused since fake_host_fail_at() or fake_host_fail_from()? */
bool fake_host_refused(void);

/**
 * "Out of memory at each step": call @p create with the first request refused, then the second,
 * and so on until all of them are granted, then the same with all requests from the k-th on
 * refused. Each time
 * @p create must return V3_ENOMEM and leave nothing behind; where the library can do without (a
 * smaller piece of guest RAM), V3_OK is right, too. @p destroy undoes a successful create; it may
 * be NULL.
 *
 * @return number of steps tested, 0 if a check failed (it has been reported)
 */
unsigned fake_host_oom_each_step(int (*create)(void *arg), void (*destroy)(void *arg), void *arg);

/**
 * Call @p fn at the end of the running test, before resources are counted. At most 8; last one
 * first.
 */
void fake_host_at_end(void (*fn)(void *arg), void *arg);

/* ---- physical memory ---- */

/* Physical addresses are nowhere equal to virtual ones and lie above 4 GiB. */
#define FAKE_PA_BASE 0x100000000ull

/** Bytes of guest RAM that ram_alloc() may give out in all, at most 3 GiB (default: all). */
void fake_ram_limit(uint64_t bytes);
/** Bytes of guest RAM that were asked for on host node @p node (-1: any; at most 7) since the test began. */
uint64_t fake_ram_of_node(int node);
/** Bytes of guest RAM that are in use. */
uint64_t fake_ram_used(void);
/** Parts smaller than @p bytes are not taken back any more (default: all are). */
void fake_ram_part(uint64_t bytes);
/**
 * From now on guest RAM exists only in pieces of @p piece bytes (power of two >= 4096, 0: no
 * limit), no two of them adjacent. Only while no guest RAM is in use.
 */
void fake_ram_fragment(uint64_t piece);

/* ---- CPUs, threads ---- */

/** Number of CPUs, 1..64 (default 4). Before v3_init(). */
void fake_cpu_count(uint32_t n);
/** The CPU is not there (any more): calls and threads cannot go to it. All are there at the beginning of each test. */
void fake_cpu_offline(uint32_t cpu, bool off);
/** Pretend that the calling thread runs on @p cpu. */
void fake_cpu_set(uint32_t cpu);
/** Kicks that a CPU has got since the test began. */
unsigned fake_cpu_kicks(uint32_t cpu);
/**
 * Sleep until the CPU's kicks differ from @p seen or @p timeout_ms passed. @return the number
 * now.
 */
unsigned fake_cpu_wait_kick(uint32_t cpu, unsigned seen, unsigned timeout_ms);
/** What should_yield() answers (default false). */
void fake_should_yield(bool yes);
/** Calls of yield() since the test began. */
unsigned fake_yields(void);
/** Calls of fpu_begin() since the test began. */
unsigned fake_fpu_begins(void);
/** Calls of fpu_end() since the test began. */
unsigned fake_fpu_ends(void);
/** Locks (mutexes and spinlocks) taken since the test began. */
unsigned fake_locks_taken(void);
/** The one taken last, to tell one from another; NULL if none was. */
const void *fake_lock_last(void);
/** Interrupts passed with irq_pass() since the test began; @p last_vector may be NULL. */
unsigned fake_irqs_passed(int *last_vector);
/** Wait in real time until @p cond(arg) is true; false after @p timeout_ms. */
bool fake_wait_until(bool (*cond)(void *arg), void *arg, unsigned timeout_ms);

/* ---- time ---- */

#define FAKE_CLOCK_START 1000000000ull /* time_ns() at the beginning of each test */

/**
 * Let @p ns pass: each timer that becomes due fires at its own moment, has returned when this
 * returns.
 */
void fake_clock_advance(uint64_t ns);
uint64_t fake_clock_now(void);
/** Earliest deadline of all armed host timers, 0 if none is armed. */
uint64_t fake_clock_next(void);
/** Times any host timer was armed since the test began. */
unsigned fake_clock_arms(void);
/** UTC seconds at fake clock 0 (default 1600000000); 0: the host does not know the date. */
void fake_wall_clock(uint64_t seconds);
void fake_tsc_khz(uint32_t khz);
/**
 * Let simulated time run by itself in the background: whenever a timer is armed, to its deadline,
 * a little after it was armed. For tests that run guests in threads. Off at the beginning of each
 * test.
 */
void fake_clock_auto(bool on);
/** Let @p ns pass whenever the library has looked at the clock: a device that looks twice sees two times. */
void fake_clock_step(uint64_t ns);

/* ---- random bytes ---- */

/** The @p len bytes that random() gives out next, without taking them. */
void fake_random_peek(void *buf, size_t len);
/** Bytes random() has from now on (default: no limit). */
void fake_random_limit(size_t bytes);

/* ---- log ---- */

/** Is there a log line that contains @p text? */
bool fake_log_contains(const char *text);
/** How many lines contain @p text ("" = all)? */
unsigned fake_log_count(const char *text);
void fake_log_clear(void);
/** Level of the last line that contains @p text, -1 if there is none. */
int fake_log_level(const char *text);

/* ---- console streams ---- */

/*
 * Each VM (embedder's pointer given to v3_vm_create(); fake_vm_create() makes one up) has its own
 * streams; the functions below that only take a name mean those of the first VM.
 */
/** Allow a name to be opened; "console" is allowed at the beginning of each test. */
void fake_console_add(const char *name);
/** What was written to the stream since the test began, as a text; valid until the next call. */
const char *fake_console_output(const char *name);
/** The same for the VM with this embedder's pointer. */
const char *fake_console_output_of(const void *host_ctx, const char *name);
/** Bytes the stream takes before write() returns short counts (default: no limit). */
void fake_console_limit(const char *name, size_t bytes);
/** Give input to the stream and call its ready function. */
void fake_console_feed(const char *name, const char *text);
void fake_console_feed_of(const void *host_ctx, const char *name, const char *text);
/** Bytes of input nobody has read yet. */
size_t fake_console_unread(const char *name);
/** The stream of a VM takes that many bytes more. */
void fake_console_room_of(const void *host_ctx, const char *name, size_t bytes);
/** The stream of one VM becomes as that of another: output, room, input that nobody has read. */
void fake_console_move(const void *from_ctx, const void *to_ctx, const char *name);
/** Are the outputs of two VMs the same, and is as much of their input unread? */
bool fake_console_same(const void *host_ctx, const void *other_ctx, const char *name);

/* ---- files ---- */

/** Make a file that can be opened; none is there at the beginning of each test. */
void fake_file_add(const char *name, const void *bytes, size_t len, bool read_only);
/** What is in it now; valid until it is written. */
const void *fake_file_bytes(const char *name, size_t *len);
/** Let the @p k-th call on any file from now on fail with @p error; 0: none. */
void fake_file_fail_at(unsigned k, int error);
/** Files flushed since the test began. */
unsigned fake_file_flushes(void);
/** While held, workers do not begin what they were woken for. */
void fake_worker_hold(bool hold);
/** Wait until no worker runs or was asked to; none is held. */
void fake_worker_settle(void);

/* ---- an interface of the host's network, "tap0" ---- */

struct v3_net_offload;

/** Let it be there, with no frame in it. It is not there at the beginning of each test. */
void fake_packet_add(void);
/** A frame comes in; at most 64 may wait. */
void fake_packet_send(const struct v3_net_offload *offload, const void *bytes, uint32_t len);
/** The oldest frame that went out. @return its length, -1: none */
long fake_packet_receive(struct v3_net_offload *offload, void *bytes, uint32_t size);
/** Frames that came in and were not read. */
unsigned fake_packet_unread(void);
/** How many frames that went out may wait to be received (default: 64). */
void fake_packet_room(unsigned frames);
/** Switch it on or off. */
void fake_packet_up(bool up);
/** It is gone for good. */
void fake_packet_remove(void);
/** Whose VM is that with this embedder's pointer? Default: all are 0's. */
void fake_owner_set(uint64_t (*owner)(void *host_ctx));

/* ---- trace ---- */

/**
 * What the library traced since the test began, one line "VCPU: what" per call, the first 8 KiB. Valid until the next
 * test; complete while no vcpu runs.
 */
const char *fake_trace_text(void);

#endif
