/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_console.c
 * The virtio console: bytes both ways, several ports and their control messages, streams that are full, drivers that
 * are wrong.
 */
#include "virtio_console_rig.h"

#define V1	  VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define MULTIPORT VIRTIO_BIT(1)

static bool open_console(const char *keys, uint64_t features)
{
	void *dev;

	fake_console_add("debug");
	return rig_open(&v3_device_virtio_console, keys, features, &dev);
}

static void test_virtio_console_configuration(void)
{
	REQUIRE(open_console("console = \"console\"\nports = [\"debug\"]\n", 0));
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x10431af4);
	CHECK_EQ(rig_offered() & 0xffffff, 6);
	CHECK_EQ(rig_read(RIG_NUMQ, 2), 6);
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 0);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 2);
}

static void test_virtio_console_output(void)
{
	char text[600];

	REQUIRE(open_console("console = \"console\"\n", 0));
	send(TX, "hello, ", 7);
	send(TX, "world\n", 6);
	CHECK_STR(fake_console_output("console"), "hello, world\n");
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(pci_bench_vector() != -1, true);
	memset(text, 'x', sizeof(text));
	send(TX, text, sizeof(text));
	CHECK_EQ(strlen(fake_console_output("console")), 13 + sizeof(text));
}

static void test_virtio_console_without_stream(void)
{
	REQUIRE(open_console("", 0));
	send(TX, "into the void", 13);
	CHECK_EQ(rig_used(TX, NULL), 0);
	rig_write(RIG_CONFIG + 8, 4, '!');
	CHECK_EQ(rig_status(), 0x0f);
}

static void test_virtio_console_input(void)
{
	REQUIRE(open_console("console = \"console\"\n", 0));
	feed("console", "abc");
	CHECK_STR(received(RX), "");
	offer(RX, 0, 3, 5);
	CHECK_STR(received(RX), "abc");
	feed("console", "defghijkl");
	CHECK_STR(received(RX), "defgh");
	CHECK_STR(received(RX), "ijkl");
	feed("console", "mno");
	CHECK_STR(received(RX), "");
	rig_write(RIG_STATUS, 1, 0); /* what has not been read waits through a reset */
	REQUIRE(rig_init(V1));
	offer(RX, 0, 3, 100);
	CHECK_STR(received(RX), "mno");
}

/* The host's stream takes what it can; the rest is tried again, in order, and the buffer is used at the end. */
static void test_virtio_console_full_stream(void)
{
	char text[1000];

	REQUIRE(open_console("console = \"console\"\n", 0));
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	fake_console_limit("console", 300);
	send(TX, text, sizeof(text));
	rig_desc(TX, 1, BUF(TX, 0), 3, 0, 0);
	rig_offer(TX, 1);
	rig_kick(TX);
	CHECK_EQ(rig_used(TX, NULL), -1);
	CHECK_EQ(strlen(fake_console_output("console")), 300);
	bench_run(5 * BENCH_MS);
	CHECK_EQ(rig_used(TX, NULL), -1);
	fake_console_limit("console", 5000);
	bench_run(5 * BENCH_MS);
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(strlen(fake_console_output("console")), 1003);
	CHECK_MEM(fake_console_output("console"), text, 1000);
	CHECK_STR(fake_console_output("console") + 1000, "abc");
}

/* What is sent at one go ends soon, however long the chain. */
static void test_virtio_console_long_chain(void)
{
	const uint32_t part = 0x6000, total = (RIG_QSIZE - 1) * part;
	const char *text;

	REQUIRE(open_console("console = \"console\"\n", 0));
	CHECK_EQ(v3_mem_set(bench.vm, BUF(TX, 0), 'x', part), V3_OK);
	for (unsigned i = 0; i < RIG_QSIZE - 1; i++)
		rig_desc(TX, i, BUF(TX, 0), part, i < RIG_QSIZE - 2 ? RIG_NEXT : 0,
			 (uint16_t)(i + 1));
	rig_offer(TX, 0);
	rig_desc(TX, RIG_QSIZE - 1, BUF(RX, 0), 4, 0, 0);
	rig_poke(BUF(RX, 0), 0x646e6520, 4); /* " end" */
	rig_offer(TX, RIG_QSIZE - 1);
	rig_kick(TX);
	for (unsigned i = 1; i * 0x10000 < total; i++) {
		CHECK_EQ(strlen(fake_console_output("console")), i * 0x10000);
		CHECK_EQ(rig_used(TX, NULL), -1);
		fake_service(bench.vm);
	}
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(rig_used(TX, NULL), 0);
	text = fake_console_output("console");
	REQUIRE_EQ(strlen(text), total + 4);
	CHECK_STR(text + strlen(text) - 6, "xx end");
	CHECK_EQ(rig_status(), 0x0f);
}

static void test_virtio_console_full_stream_and_reset(void)
{
	REQUIRE(open_console("console = \"console\"\n", 0));
	fake_console_limit("console", 0);
	send(TX, "lost", 4);
	rig_write(RIG_STATUS, 1, 0);
	fake_console_limit("console", 100);
	bench_run(5 * BENCH_MS);
	REQUIRE(rig_init(V1));
	send(TX, "kept", 4);
	CHECK_STR(fake_console_output("console"), "kept");
}

static void test_virtio_console_emergency_write(void)
{
	REQUIRE(open_console("console = \"console\"\n", 0));
	rig_write(RIG_STATUS, 1, 0);
	rig_write(RIG_CONFIG + 8, 4, 'p');
	rig_write(RIG_CONFIG + 8, 1, 'q');
	rig_write(RIG_CONFIG + 4, 4, 9); /* read-only */
	CHECK_STR(fake_console_output("console"), "pq");
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 1);
}

/* The conversation of 5.3.6.2, with fewer buffers than messages. */
static void test_virtio_console_ports(void)
{
	uint32_t head;
	char name[16] = "";

	REQUIRE(open_console("console = \"console\"\nports = [\"debug\"]\n", MULTIPORT));
	offer(CTL_RX, 0, 3, 64);
	control(0, 0, 1); /* device ready */
	CHECK_EQ(told(), 0 << 16 | 1);
	CHECK_EQ(told(), 1 << 16 | 1);
	CHECK_EQ(told(), -1);
	control(0, 3, 1); /* port 0 ready: two messages, one buffer */
	CHECK_EQ(told(), 0 << 16 | 4);
	CHECK_EQ(told(), -1);
	offer(CTL_RX, 3, 3, 64);
	CHECK_EQ(told(), 0 << 16 | 6);
	control(1, 3, 1); /* port 1 has a name */
	CHECK_EQ(rig_used(CTL_RX, &head), 8 + 5);
	CHECK_EQ(rig_peek(BUF(CTL_RX, head) + 4, 2), 7);
	CHECK_EQ(v3_mem_read(bench.vm, BUF(CTL_RX, head) + 8, name, 5), V3_OK);
	CHECK_STR(name, "debug");
	CHECK_EQ(told(), 1 << 16 | 6);
}

static void test_virtio_console_port_must_be_open(void)
{
	REQUIRE(open_console("ports = [\"debug\"]\n", MULTIPORT));
	offer(RX1, 0, 3, 64);
	feed("debug", "early ");
	CHECK_STR(received(RX1), "");
	control(1, 6, 1); /* the guest opens it */
	CHECK_STR(received(RX1), "early ");
	feed("debug", "late");
	CHECK_STR(received(RX1), "late");
	control(1, 6, 0);
	feed("debug", "closed");
	CHECK_STR(received(RX1), "");
	send(TX1, "from port 1", 11);
	CHECK_STR(fake_console_output("debug"), "from port 1");
}

static void test_virtio_console_odd_messages(void)
{
	static const struct {
		uint32_t port;
		uint16_t event, value;
	} odd[] = {{2, 3, 1}, {~0u, 6, 1}, {0, 0, 0}, {0, 1, 1}, {0, 99, 1}, {1, 3, 0}, {0, 5, 1}};

	REQUIRE(open_console("ports = [\"debug\"]\n", MULTIPORT));
	offer(CTL_RX, 0, 8, 64);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(odd); i++)
		control(odd[i].port, odd[i].event, odd[i].value);
	send(CTL_TX, "short", 5);
	CHECK_EQ(rig_used(CTL_TX, NULL), 0);
	CHECK_EQ(told(), -1);
	CHECK_EQ(rig_status(), 0x0f);
}

static void test_virtio_console_short_control_buffer(void)
{
	REQUIRE(open_console("ports = [\"debug\"]\n", MULTIPORT));
	offer(CTL_RX, 0, 1, 7);
	control(0, 0, 1);
	CHECK_EQ(rig_status(), 0x4f);
	REQUIRE(rig_init(V1 | MULTIPORT));
	offer(CTL_RX, 0, 1, 12);
	control(1, 3, 1); /* the name does not fit */
	CHECK_EQ(rig_status(), 0x4f);
}

static void test_virtio_console_create_refuses(void)
{
	void *dev;

	REQUIRE(pci_bench_open());
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_console, "console = \"none\"\n",
				    &dev),
		 V3_ENOENT);
	CHECK_EQ(fake_device_create(
			 bench.vm, &v3_device_virtio_console,
			 "ports = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\"]\n",
			 &dev),
		 V3_E2BIG);
	bench.vm->ndevices--;
}

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = v3_device_virtio_console.create(bench.vm, bench_cfg, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_virtio_console.destroy(bench.dev);
}

static void test_virtio_console_oom(void)
{
	fake_console_add("debug");
	REQUIRE(pci_bench_open());
	bench_cfg =
		fake_cfg(&v3_device_virtio_console, "console = \"console\"\nports = [\"debug\"]\n");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 12);
}

static void test_virtio_console_hostile(void)
{
	REQUIRE(open_console("console = \"console\"\nports = [\"debug\"]\n", MULTIPORT));
	for (unsigned i = 0; i < 20000 && !tap.failures; i++) {
		uint64_t r = tap_rand();
		unsigned q = (unsigned)(r % 6);
		uint64_t message = (r >> 8 & 3) | (r >> 10 & 7) << 32 | (r >> 13 & 1) << 48;

		rig_poke(BUF(q, 0), message, 8);
		for (unsigned k = 0; k < 3; k++) {
			uint64_t d = tap_rand();

			rig_desc(q, k, d & 31 ? BUF(q, 0) : d, (uint32_t)(d >> 8 & 0x3f),
				 (uint16_t)(d >> 16 & 1) |
					 (q & 1 || !(d >> 17 & 31) ? 0 : RIG_WRITE),
				 (uint16_t)(d >> 24 & 3));
		}
		rig_offer(q, (uint16_t)(r >> 16 & 3));
		rig_kick(q);
		if (!(r >> 20 & 7))
			feed(r >> 23 & 1 ? "console" : "debug", "input");
		if (!(r >> 24 & 31))
			fake_console_limit("console", 100000 + (r >> 30 & 0xff));
		if (!(r >> 29 & 15))
			bench_run(BENCH_MS);
		if (rig_status() & 0x40 || !(r >> 40 & 0xff))
			REQUIRE(rig_init(V1 | (r >> 50 & 1 ? MULTIPORT : 0)));
	}
	fake_console_limit("console", 1000000);
	REQUIRE(rig_init(V1));
	send(TX, "still here", 10);
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(rig_status(), 0x0f);
}

static const struct tap_test tests[] = {
	TAP(test_virtio_console_configuration),
	TAP(test_virtio_console_output),
	TAP(test_virtio_console_without_stream),
	TAP(test_virtio_console_input),
	TAP(test_virtio_console_full_stream),
	TAP(test_virtio_console_long_chain),
	TAP(test_virtio_console_full_stream_and_reset),
	TAP(test_virtio_console_emergency_write),
	TAP(test_virtio_console_ports),
	TAP(test_virtio_console_port_must_be_open),
	TAP(test_virtio_console_odd_messages),
	TAP(test_virtio_console_short_control_buffer),
	TAP(test_virtio_console_create_refuses),
	TAP(test_virtio_console_oom),
	TAP(test_virtio_console_hostile),
};
TAP_MAIN(tests)
