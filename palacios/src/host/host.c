/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file host.c
 * The host-ops copy, its check, and the public wrappers for memory and locks.
 */
#include "host/host.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/random.h"
#include "palacios/util/fmt.h"

struct v3_library v3_lib;

#define HOST_MEMBER(m)                                                                             \
	{                                                                                          \
		offsetof(struct v3_host_ops, m), #m                                                \
	}

/* Every mandatory member, so that a missing one is refused by name. */
static const struct host_member {
	size_t offset;
	const char *name;
} host_mandatory[] = {
	HOST_MEMBER(log),	   HOST_MEMBER(page_alloc),    HOST_MEMBER(page_free),
	HOST_MEMBER(ram_alloc),	   HOST_MEMBER(ram_free),      HOST_MEMBER(alloc),
	HOST_MEMBER(free),	   HOST_MEMBER(pa_to_va),      HOST_MEMBER(va_to_pa),
	HOST_MEMBER(cpu_count),	   HOST_MEMBER(cpu_id),	       HOST_MEMBER(cpu_call),
	HOST_MEMBER(cpu_kick),	   HOST_MEMBER(thread_create), HOST_MEMBER(thread_join),
	HOST_MEMBER(thread_move),  HOST_MEMBER(yield),	       HOST_MEMBER(should_yield),
	HOST_MEMBER(wq_create),	   HOST_MEMBER(wq_destroy),    HOST_MEMBER(wq_sleep),
	HOST_MEMBER(wq_wake),	   HOST_MEMBER(mutex_create),  HOST_MEMBER(mutex_destroy),
	HOST_MEMBER(mutex_lock),   HOST_MEMBER(mutex_unlock),  HOST_MEMBER(spin_create),
	HOST_MEMBER(spin_destroy), HOST_MEMBER(spin_lock),     HOST_MEMBER(spin_unlock),
	HOST_MEMBER(time_ns),	   HOST_MEMBER(wall_clock_s),  HOST_MEMBER(tsc_khz),
	HOST_MEMBER(timer_create), HOST_MEMBER(timer_destroy), HOST_MEMBER(timer_arm),
	HOST_MEMBER(timer_cancel), HOST_MEMBER(irq_pass),      HOST_MEMBER(fpu_begin),
	HOST_MEMBER(fpu_end),
};

static void host_complain(const struct v3_host_ops *ops, const char *line)
{
	if (ops->log)
		ops->log(V3_LOG_ERR, line);
}

/* NULL: the host has not got the group. */
static bool host_trace_complete(const struct v3_host_trace_ops *trace)
{
	return !trace || (trace->entry && trace->exit && trace->inject && trace->page_fault &&
			  trace->io && trace->mmio);
}

static bool host_file_complete(const struct v3_host_file_ops *f)
{
	return !f || (f->open && f->close && f->size && f->read && f->write && f->zero &&
		      f->discard && f->flush && f->worker_create && f->worker_wake &&
		      f->worker_wait && f->worker_destroy);
}

static bool host_packet_complete(const struct v3_host_packet_ops *p)
{
	return !p || (p->open && p->close && p->up && p->read && p->write);
}

/* The optional groups are whole, or not there at all. */
static int host_check_groups(const struct v3_host_ops *ops)
{
	const struct {
		bool complete;
		const char *name;
	} group[] = {
		{host_trace_complete(ops->trace), "trace"},
		{host_file_complete(ops->file), "file"},
		{host_packet_complete(ops->packet), "packet"},
	};
	char line[96];
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(group); i++) {
		if (group[i].complete)
			continue;
		v3_snprintf(line, sizeof(line),
			    "v3 host: v3_host_ops.%s lacks a function: all are mandatory",
			    group[i].name);
		host_complain(ops, line);
		return V3_EINVAL;
	}
	return V3_OK;
}

int v3_host_check(const struct v3_host_ops *ops)
{
	const char *const *member;
	char line[96];
	unsigned i;

	if (!ops)
		return V3_EINVAL;
	if (ops->api != V3_HOST_API) {
		host_complain(ops, "v3 host: v3_host_ops.api is not this library's V3_HOST_API: "
				   "recompile the glue");
		return V3_EINVAL;
	}
	if (ops->size != sizeof(*ops)) {
		host_complain(ops, "v3 host: v3_host_ops.size is not this library's: "
				   "recompile the glue");
		return V3_EINVAL;
	}
	for (i = 0; i < V3_ARRAY_SIZE(host_mandatory); i++) {
		member = (const char *const *)((const char *)ops + host_mandatory[i].offset);
		if (*member)
			continue;
		v3_snprintf(line, sizeof(line),
			    "v3 host: v3_host_ops.%s is missing: it is mandatory",
			    host_mandatory[i].name);
		host_complain(ops, line);
		return V3_EINVAL;
	}
	return host_check_groups(ops);
}

void *v3_alloc(size_t size)
{
	return v3_lib.ops.alloc(size);
}

void v3_free(void *p)
{
	if (p)
		v3_lib.ops.free(p);
}

void *v3_alloc_pages(uint32_t npages)
{
	v3_hpa_t pa = v3_lib.ops.page_alloc(npages, V3_NODE_ANY);

	return pa == V3_HPA_NONE ? NULL : v3_lib.ops.pa_to_va(pa);
}

void v3_free_pages(void *p, uint32_t npages)
{
	if (p)
		v3_lib.ops.page_free(v3_lib.ops.va_to_pa(p), npages);
}

bool v3_random_offered(void)
{
	return v3_lib.ops.random != NULL;
}

size_t v3_random(void *buf, size_t len)
{
	size_t n = v3_lib.ops.random ? v3_lib.ops.random(buf, len) : 0;

	return n < len ? n : len;
}

int v3_lock_init(struct v3_lock *lock)
{
	lock->host = v3_lib.ops.spin_create();
	return lock->host ? V3_OK : V3_ENOMEM;
}

void v3_lock_destroy(struct v3_lock *lock)
{
	if (lock->host)
		v3_lib.ops.spin_destroy(lock->host);
	lock->host = NULL;
}

unsigned long v3_lock_acquire(struct v3_lock *lock)
{
	return v3_lib.ops.spin_lock(lock->host);
}

void v3_lock_release(struct v3_lock *lock, unsigned long flags)
{
	v3_lib.ops.spin_unlock(lock->host, flags);
}
