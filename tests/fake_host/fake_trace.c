/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_trace.c
 * The optional trace group: each call becomes one line of a text that tests compare.
 */
#include "fake_priv.h"

#include "palacios/stats.h"

#include <stdarg.h>

static struct {
	pthread_mutex_t lock; /* guards all below */
	char text[8192];
	size_t len;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER};

void fake_trace_reset(void)
{
	trace.len = 0;
	trace.text[0] = '\0';
}

const char *fake_trace_text(void)
{
	return trace.text;
}

static void __attribute__((format(printf, 2, 3))) trace_line(uint32_t vcpu, const char *format, ...)
{
	char line[128];
	va_list args;
	int n;

	fake_need_atomic("trace");
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	pthread_mutex_lock(&trace.lock);
	n = snprintf(trace.text + trace.len, sizeof(trace.text) - trace.len, "%u: %s\n", vcpu,
		     line);
	if (n > 0 && (size_t)n < sizeof(trace.text) - trace.len)
		trace.len += (size_t)n;
	pthread_mutex_unlock(&trace.lock);
}

static void trace_entry(void *host_ctx, uint32_t vcpu, uint64_t rip)
{
	(void)host_ctx;
	trace_line(vcpu, "entry rip %#llx", (unsigned long long)rip);
}

static void trace_exit(void *host_ctx, uint32_t vcpu, uint32_t kind, uint64_t code, uint64_t rip)
{
	(void)host_ctx;
	trace_line(vcpu, "exit %s code %#llx rip %#llx", v3_exit_name((enum v3_exit_kind)kind),
		   (unsigned long long)code, (unsigned long long)rip);
}

static void trace_inject(void *host_ctx, uint32_t vcpu, uint32_t type, uint8_t vector)
{
	static const char *const names[] = {"?", "intr", "nmi", "exception", "soft_int"};

	(void)host_ctx;
	trace_line(vcpu, "inject %s %u", type < 5 ? names[type] : "?", vector);
}

static void trace_page_fault(void *host_ctx, uint32_t vcpu, uint64_t gpa, uint32_t access)
{
	(void)host_ctx;
	trace_line(vcpu, "page_fault %#llx access %u", (unsigned long long)gpa, access);
}

static void trace_io(void *host_ctx, uint32_t vcpu, uint16_t port, uint8_t size, bool write,
		     uint32_t value)
{
	(void)host_ctx;
	trace_line(vcpu, "io %s %#x size %u value %#x", write ? "out" : "in", port, size, value);
}

static void trace_mmio(void *host_ctx, uint32_t vcpu, uint64_t gpa, uint8_t size, bool write,
		       uint64_t value)
{
	(void)host_ctx;
	trace_line(vcpu, "mmio %s %#llx size %u value %#llx", write ? "write" : "read",
		   (unsigned long long)gpa, size, (unsigned long long)value);
}

const struct v3_host_trace_ops fake_trace_ops = {
	.entry = trace_entry,
	.exit = trace_exit,
	.inject = trace_inject,
	.page_fault = trace_page_fault,
	.io = trace_io,
	.mmio = trace_mmio,
};
