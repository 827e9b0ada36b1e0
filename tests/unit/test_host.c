/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_host.c
 * v3_init() and v3_fini(): what is refused, and that nothing stays behind.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "tap.h"

static int init_with(const struct v3_host_ops *ops)
{
	struct v3_init_params params = {.host = ops, .devices = v3_pc_devices};

	return v3_init(&params);
}

static void test_host_init_and_fini(void)
{
	for (int i = 0; i < 3; i++) {
		REQUIRE_EQ(init_with(&fake_host_ops), V3_OK);
		CHECK_EQ(fake_arch_enabled, 0xf);
		CHECK(fake_log_contains("fake"));
		REQUIRE_EQ(v3_fini(), V3_OK);
		CHECK_EQ(fake_arch_enabled, 0);
		CHECK_EQ(fake_host_live_all(), 0);
	}
	CHECK_EQ(v3_fini(), V3_OK); /* nothing to do */
}

static void test_host_init_twice(void)
{
	REQUIRE_EQ(init_with(&fake_host_ops), V3_OK);
	CHECK_EQ(init_with(&fake_host_ops), V3_EBUSY);
	CHECK_EQ(v3_fini(), V3_OK);
}

static void test_host_init_copies_the_functions(void)
{
	struct v3_host_ops ops = fake_host_ops;
	void *p;

	REQUIRE_EQ(init_with(&ops), V3_OK);
	memset(&ops, 0, sizeof(ops));
	p = v3_alloc(10);
	CHECK(p);
	v3_free(p);
	v3_free(NULL);
	CHECK_EQ(v3_fini(), V3_OK);
}

#define MEMBER(name)                                                                               \
	{                                                                                          \
#name, offsetof(struct v3_host_ops, name)                                          \
	}

/* All but the optional groups. */
static const struct {
	const char *name;
	size_t offset;
} members[] = {
	MEMBER(log),	      MEMBER(page_alloc),    MEMBER(page_free),	    MEMBER(ram_alloc),
	MEMBER(ram_free),     MEMBER(alloc),	     MEMBER(free),	    MEMBER(pa_to_va),
	MEMBER(va_to_pa),     MEMBER(cpu_count),     MEMBER(cpu_id),	    MEMBER(cpu_call),
	MEMBER(cpu_kick),     MEMBER(thread_create), MEMBER(thread_join),   MEMBER(thread_move),
	MEMBER(yield),	      MEMBER(should_yield),  MEMBER(wq_create),	    MEMBER(wq_destroy),
	MEMBER(wq_sleep),     MEMBER(wq_wake),	     MEMBER(mutex_create),  MEMBER(mutex_destroy),
	MEMBER(mutex_lock),   MEMBER(mutex_unlock),  MEMBER(spin_create),   MEMBER(spin_destroy),
	MEMBER(spin_lock),    MEMBER(spin_unlock),   MEMBER(time_ns),	    MEMBER(wall_clock_s),
	MEMBER(tsc_khz),      MEMBER(timer_create),  MEMBER(timer_destroy), MEMBER(timer_arm),
	MEMBER(timer_cancel), MEMBER(irq_pass),	     MEMBER(fpu_begin),	    MEMBER(fpu_end),
};

static void test_host_init_refuses_each_missing_function_by_name(void)
{
	/* Beside api, size, the groups console, trace, file and packet, random source and owner there is nothing else. */
	CHECK_EQ(V3_ARRAY_SIZE(members) * sizeof(void *),
		 sizeof(struct v3_host_ops) - 2 * sizeof(uint32_t) - 6 * sizeof(void *));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(members); i++) {
		struct v3_host_ops ops = fake_host_ops;
		char text[64];

		memset((char *)&ops + members[i].offset, 0, sizeof(void *));
		fake_log_clear();
		CHECK_MSG(init_with(&ops) == V3_EINVAL, "without %s", members[i].name);
		snprintf(text, sizeof(text), ".%s ", members[i].name);
		if (strcmp(members[i].name, "log"))
			CHECK_MSG(fake_log_contains(text), "%s is not named in the log",
				  members[i].name);
		CHECK_EQ(fake_arch_enabled, 0);
	}
}

static void test_host_init_refuses_another_api_or_size(void)
{
	struct v3_host_ops ops = fake_host_ops;

	ops.api = V3_HOST_API + 1;
	CHECK_EQ(init_with(&ops), V3_EINVAL);
	CHECK(fake_log_contains("api"));
	ops = fake_host_ops;
	ops.size--;
	CHECK_EQ(init_with(&ops), V3_EINVAL);
	CHECK(fake_log_contains("size"));
	ops.size = 0;
	CHECK_EQ(init_with(&ops), V3_EINVAL);
}

static void test_host_init_refuses_missing_parameters(void)
{
	struct v3_init_params params = {.host = &fake_host_ops};

	CHECK_EQ(v3_init(NULL), V3_EINVAL);
	CHECK_EQ(v3_init(&params), V3_EINVAL);
	params.devices = v3_pc_devices;
	params.host = NULL;
	CHECK_EQ(v3_init(&params), V3_EINVAL);
}

static void test_host_init_says_why_there_is_no_virtualization(void)
{
	static const int refusals[] = {V3_ENODEV, V3_EPERM, V3_EBUSY};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(refusals); i++) {
		fake_log_clear();
		fake_arch_probe_result = refusals[i];
		CHECK_EQ(init_with(&fake_host_ops), refusals[i]);
		CHECK(fake_log_contains("told to refuse"));
		CHECK_EQ(fake_log_level("told to refuse"), V3_LOG_ERR);
		CHECK_EQ(fake_host_live_all(), 0);
	}
}

/* CPU 2 of 4 refuses: those before it must be switched off again, and only those. */
static void test_host_init_undoes_when_a_cpu_refuses(void)
{
	for (int cpu = 0; cpu < 4; cpu++) {
		fake_arch_enable_fails_on = cpu;
		CHECK_EQ(init_with(&fake_host_ops), V3_EBUSY);
		CHECK_EQ(fake_arch_enabled, 0);
		CHECK_EQ(fake_host_live_all(), 0);
	}
	fake_arch_enable_fails_on = -1;
	CHECK_EQ(init_with(&fake_host_ops), V3_OK);
	CHECK_EQ(v3_fini(), V3_OK);
}

static int init_once(void *arg)
{
	(void)arg;
	return init_with(&fake_host_ops);
}

static void fini_once(void *arg)
{
	(void)arg;
	CHECK_EQ(v3_fini(), V3_OK);
}

static void test_host_init_out_of_memory(void)
{
	CHECK(fake_host_oom_each_step(init_once, fini_once, NULL) > 0);
	CHECK_EQ(fake_arch_enabled, 0);
}

static void test_host_init_without_console(void)
{
	struct v3_host_ops ops = fake_host_ops;
	struct v3_vm *vm = NULL;
	const void *image;
	size_t len;

	ops.console = NULL;
	REQUIRE_EQ(init_with(&ops), V3_OK);
	image = fake_image(fake_pc_toml(1, 8), NULL, 0, &len);
	/* The UART of a PC needs a console: refused by name, nothing left. */
	CHECK_EQ(v3_vm_create(image, len, NULL, &vm), V3_ENOTSUP);
	CHECK(fake_log_contains("uart"));
	CHECK_EQ(v3_fini(), V3_OK);
}

static void test_host_init_refuses_half_a_trace_group(void)
{
	unsigned i, n = sizeof(struct v3_host_trace_ops) / sizeof(void *);

	for (i = 0; i < n; i++) {
		struct v3_host_trace_ops trace = *fake_host_ops.trace;
		struct v3_host_ops ops = fake_host_ops;

		memset((char *)&trace + i * sizeof(void *), 0, sizeof(void *));
		ops.trace = &trace;
		fake_log_clear();
		CHECK_EQ(init_with(&ops), V3_EINVAL);
		CHECK(fake_log_contains("v3_host_ops.trace"));
	}
}

static void test_host_init_refuses_half_a_file_group(void)
{
	unsigned i, n = sizeof(struct v3_host_file_ops) / sizeof(void *);

	for (i = 0; i < n; i++) {
		struct v3_host_file_ops file = *fake_host_ops.file;
		struct v3_host_ops ops = fake_host_ops;

		memset((char *)&file + i * sizeof(void *), 0, sizeof(void *));
		ops.file = &file;
		fake_log_clear();
		CHECK_EQ(init_with(&ops), V3_EINVAL);
		CHECK(fake_log_contains("v3_host_ops.file"));
	}
}

static void test_host_init_refuses_half_a_packet_group(void)
{
	unsigned i, n = sizeof(struct v3_host_packet_ops) / sizeof(void *);

	for (i = 0; i < n; i++) {
		struct v3_host_packet_ops packet = *fake_host_ops.packet;
		struct v3_host_ops ops = fake_host_ops;

		memset((char *)&packet + i * sizeof(void *), 0, sizeof(void *));
		ops.packet = &packet;
		fake_log_clear();
		CHECK_EQ(init_with(&ops), V3_EINVAL);
		CHECK(fake_log_contains("v3_host_ops.packet"));
	}
}

static void test_host_calls_before_init(void)
{
	struct v3_vm *vm = NULL;

	CHECK_EQ(v3_vm_create("x", 1, NULL, &vm), V3_EINVAL);
	CHECK(!vm);
}

static void test_host_locks(void)
{
	struct v3_lock lock = {0};
	unsigned long flags;

	fake_lib_install();
	v3_lock_destroy(&lock); /* a zeroed one is allowed */
	REQUIRE_EQ(v3_lock_init(&lock), V3_OK);
	flags = v3_lock_acquire(&lock);
	v3_lock_release(&lock, flags);
	v3_lock_destroy(&lock);
	v3_lock_destroy(&lock);
	fake_host_fail_at(1);
	CHECK_EQ(v3_lock_init(&lock), V3_ENOMEM);
}

static const struct tap_test tests[] = {
	TAP(test_host_init_and_fini),
	TAP(test_host_init_twice),
	TAP(test_host_init_copies_the_functions),
	TAP(test_host_init_refuses_each_missing_function_by_name),
	TAP(test_host_init_refuses_another_api_or_size),
	TAP(test_host_init_refuses_missing_parameters),
	TAP(test_host_init_says_why_there_is_no_virtualization),
	TAP(test_host_init_undoes_when_a_cpu_refuses),
	TAP(test_host_init_out_of_memory),
	TAP(test_host_init_without_console),
	TAP(test_host_init_refuses_half_a_trace_group),
	TAP(test_host_init_refuses_half_a_file_group),
	TAP(test_host_init_refuses_half_a_packet_group),
	TAP(test_host_calls_before_init),
	TAP(test_host_locks),
};
TAP_MAIN(tests)
