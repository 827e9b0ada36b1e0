/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file device_bench.h
 * One device on a VM without any other: its ports, the interrupt lines it drives, and the clock.
 */
#ifndef TESTS_DEVICE_BENCH_H
#define TESTS_DEVICE_BENCH_H

#include "devices/devices.h"
#include "fake_vm.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/platform.h"
#include "palacios/timer.h"
#include "palacios/vm.h"
#include "state.h"
#include "tap.h"

#define BENCH_MS 1000000ull
#define BENCH_S	 1000000000ull

struct bench {
	struct v3_vm *vm;
	const struct v3_device_class *cls;
	void *dev;
	bool level[V3_NR_GSI];
	unsigned rises[V3_NR_GSI];
	uint64_t rise_ns[V3_NR_GSI]; /* guest time of the last one */
};

static struct bench bench; /* of the running test */

static inline void bench_irq(void *priv, unsigned gsi, bool level)
{
	(void)priv;
	if (level && !bench.level[gsi]) {
		bench.rises[gsi]++;
		bench.rise_ns[gsi] = v3_time_ns(bench.vm);
	}
	bench.level[gsi] = level;
}

/* A VM of one vcpu and 16 MiB with just this device. @return false: reported */
static inline bool bench_open(const struct v3_device_class *cls, const char *keys)
{
	memset(&bench, 0, sizeof(bench));
	bench.cls = cls;
	bench.vm = fake_vm_bare(1, 16);
	return CHECK(bench.vm != NULL) &&
	       CHECK_EQ(v3_irq_sink_register(bench.vm, bench_irq, &bench), V3_OK) &&
	       CHECK_EQ(fake_device_create(bench.vm, cls, keys, &bench.dev), V3_OK);
}

static inline void out8(uint16_t port, uint8_t value)
{
	CHECK_EQ(fake_out(bench.vm, port, 1, value), V3_OK);
}

static inline uint8_t in8(uint16_t port)
{
	return (uint8_t)fake_in(bench.vm, port, 1);
}

/* Time of the host's clock at which the VM's next timer is due; 0: none is armed. */
static inline uint64_t bench_next(void)
{
	fake_service(bench.vm);
	return fake_clock_next();
}

/* Let guest time pass, serving the vcpu at each timer. */
static inline void bench_run(uint64_t ns)
{
	uint64_t end = fake_clock_now() + ns, next;

	for (;;) {
		next = bench_next();
		if (!next || next > end)
			break;
		fake_clock_advance(next > fake_clock_now() ? next - fake_clock_now() : 0);
	}
	fake_clock_advance(end - fake_clock_now());
	fake_service(bench.vm);
}

/* As after a reset of the VM. */
static inline void bench_reset(void)
{
	bench.cls->reset(bench.dev);
}

/* A number a bad driver might write: small, a single bit, all ones, or anything. */
static inline uint32_t bench_hostile_value(void)
{
	uint64_t r = tap_rand();

	switch (r & 3) {
	case 0:
		return (uint32_t)(r >> 8) & 0xff;
	case 1:
		return 1u << (r >> 8 & 31);
	case 2:
		return ~0u;
	default:
		return (uint32_t)(r >> 32);
	}
}

/*
 * @p n random accesses of any size and direction to the ports [first, first + count), now and then with time
 * passing. Sanitizers and the fake host watch; an access must always be served.
 */
static inline void bench_hostile(uint16_t first, unsigned count, unsigned n)
{
	static const unsigned sizes[] = {1, 1, 1, 1, 1, 2, 2, 4};

	for (unsigned i = 0; i < n && !tap.failures; i++) {
		uint64_t r = tap_rand();
		uint16_t port = (uint16_t)(first + r % count);
		unsigned size = sizes[r >> 32 & 7];

		if (r >> 40 & 1)
			CHECK_EQ(fake_out(bench.vm, port, size,
					  bench_hostile_value() & (~0u >> (32 - 8 * size))),
				 V3_OK);
		else
			fake_in(bench.vm, port, size);
		if (!(r >> 41 & 63)) {
			fake_clock_advance(tap_rand() % BENCH_MS);
			fake_service(bench.vm);
		}
	}
}

/* ---- create under memory pressure ---- */

static const struct v3_cfg *bench_cfg;

static inline int bench_oom_create(void *arg)
{
	(void)arg;
	return bench.cls->create(bench.vm, bench_cfg, &bench.dev);
}

static inline void bench_oom_destroy(void *arg)
{
	(void)arg;
	bench.cls->destroy(bench.dev);
}

/* Creates with each allocation refused in turn; at least @p steps of them. */
static inline void bench_oom(const struct v3_device_class *cls, const char *keys, unsigned steps)
{
	memset(&bench, 0, sizeof(bench));
	bench.cls = cls;
	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	bench_cfg = fake_cfg(cls, keys);
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(bench_oom_create, bench_oom_destroy, NULL) >= steps);
}

/* Every port of the device is free again after destroy, and taken before. */
static inline void bench_ports_released(const struct v3_device_class *cls, const char *keys,
					uint16_t port)
{
	REQUIRE(bench_open(cls, keys));
	CHECK_EQ(v3_io_register(bench.vm, port, 1, NULL, NULL), V3_EEXIST);
	fake_device_destroy(bench.vm, bench.dev);
	CHECK_EQ(fake_device_create(bench.vm, cls, keys, &bench.dev), V3_OK);
}

#endif
