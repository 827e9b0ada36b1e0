/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_uart.c
 * The 16550A: registers, FIFO, interrupts and their priorities, loopback, flow to and from the host stream.
 */
#include "device_bench.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

#define IRQ   bench.level[4]
#define EDGES bench.rises[4]

static void wr(unsigned reg, uint8_t value)
{
	out8((uint16_t)(0x3f8 + reg), value);
}

static uint8_t rd(unsigned reg)
{
	return in8((uint16_t)(0x3f8 + reg));
}

static void feed(const char *text)
{
	fake_console_feed("console", text);
	fake_service(bench.vm);
}

/* A UART as a driver sets it up: 115200 8N1, FIFO with trigger level 14, OUT2 on. */
static bool uart_open(uint8_t ier)
{
	if (!bench_open(&v3_device_uart, ""))
		return false;
	wr(LCR, 0x83);
	wr(DATA, 1);
	wr(IER, 0);
	wr(LCR, 0x03);
	wr(FCR, 0xc7);
	wr(MCR, 0x0b);
	wr(IER, ier);
	return true;
}

static void test_uart_power_on_values(void)
{
	static const uint8_t expected[8] = {0, 0, 0x01, 0, 0, 0x60, 0xb0, 0};

	REQUIRE(bench_open(&v3_device_uart, ""));
	for (unsigned i = 0; i < 8; i++)
		CHECK_MSG(rd(i) == expected[i], "register %u is %#x, expected %#x", i, rd(i),
			  expected[i]);
	CHECK(!IRQ);
	CHECK_EQ(bench_next(), 0);
}

static void test_uart_writable_bits(void)
{
	static const struct {
		uint8_t reg, written, read;
	} cases[] = {
		{IER, 0xff, 0x0f}, {IER, 0x00, 0x00}, {LCR, 0x7f, 0x7f}, {MCR, 0xef, 0x0f},
		{MCR, 0xff, 0x1f}, {SCR, 0xa5, 0xa5}, {SCR, 0x5a, 0x5a}, {LSR, 0xff, 0x60},
		{FCR, 0x01, 0xc1}, {FCR, 0xce, 0x01}, {FCR, 0xc9, 0xc1},
	};

	REQUIRE(bench_open(&v3_device_uart, ""));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		uint8_t value;

		wr(cases[i].reg, cases[i].written);
		value = rd(cases[i].reg);
		CHECK_MSG(value == cases[i].read, "register %u wrote %#x: reads %#x, expected %#x",
			  cases[i].reg, cases[i].written, value, cases[i].read);
	}
}

static void test_uart_divisor_latch(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	wr(LCR, 0x80);
	CHECK_EQ(rd(DATA), 12);
	wr(DATA, 0x34);
	wr(IER, 0x12);
	CHECK_EQ(fake_in(bench.vm, 0x3f8, 2), 0x1234);
	wr(LCR, 0x03);
	CHECK_EQ(rd(IER), 0);
	wr(LCR, 0x83);
	CHECK_EQ(rd(DATA), 0x34);
	CHECK_STR(fake_console_output("console"), "");
}

static void test_uart_transmits_at_once(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	for (const char *p = "Hello\n"; *p; p++) {
		CHECK_EQ(rd(LSR), 0x60);
		wr(DATA, (uint8_t)*p);
	}
	CHECK_STR(fake_console_output("console"), "Hello\n");
	CHECK_EQ(fake_clock_arms(), 0);
}

static void test_uart_receives_without_fifo(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	feed("abc");
	CHECK_EQ(fake_console_unread("console"), 2); /* the others wait with the host */
	for (const char *p = "abc"; *p; p++) {
		CHECK_EQ(rd(LSR), 0x61);
		CHECK_EQ(rd(DATA), *p);
	}
	CHECK_EQ(rd(LSR), 0x60);
}

static void test_uart_receives_more_than_the_fifo(void)
{
	char text[101];

	REQUIRE(uart_open(0));
	for (unsigned i = 0; i < 100; i++)
		text[i] = (char)('!' + i % 90);
	text[100] = 0;
	feed(text);
	CHECK_EQ(fake_console_unread("console"), 84);
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(rd(LSR), 0x61);
		CHECK_EQ(rd(DATA), text[i]);
	}
	CHECK_EQ(rd(LSR), 0x60);
}

static void test_uart_input_before_the_first_look(void)
{
	fake_console_feed("console", "early");
	REQUIRE(uart_open(0));
	CHECK_EQ(rd(LSR), 0x61);
	CHECK_EQ(rd(DATA), 'e');
}

/* Trigger levels of FCR bits 7..6, with the interrupt and its end. */
static void test_uart_fifo_trigger_levels(void)
{
	static const unsigned levels[4] = {1, 4, 8, 14};

	REQUIRE(uart_open(0x01));
	for (unsigned i = 0; i < 4; i++) {
		wr(FCR, (uint8_t)(i << 6 | 0x03));
		for (unsigned n = 1; n < levels[i]; n++) {
			feed("x");
			CHECK(!IRQ);
		}
		feed("x");
		CHECK(IRQ);
		CHECK_EQ(rd(IIR), 0xc4);
		rd(DATA);
		CHECK(!IRQ);
		CHECK_EQ(rd(IIR), 0xc1);
	}
}

/* Below the trigger level: after four characters of ten bits at 115200 baud, 347222 ns. */
static void test_uart_character_timeout(void)
{
	REQUIRE(uart_open(0x01));
	feed("ab");
	CHECK(!IRQ);
	bench_run(347000);
	CHECK(!IRQ);
	CHECK_EQ(rd(IIR), 0xc1);
	bench_run(300);
	CHECK(IRQ);
	CHECK_EQ(rd(IIR), 0xcc);
	CHECK_EQ(rd(DATA), 'a'); /* acknowledges, and starts anew for the one that is left */
	CHECK(!IRQ);
	bench_run(347000);
	CHECK(!IRQ);
	bench_run(300);
	CHECK(IRQ);
	CHECK_EQ(rd(DATA), 'b');
	CHECK(!IRQ);
	bench_run(BENCH_S);
	CHECK(!IRQ);
	CHECK_EQ(bench_next(), 0);
}

static void test_uart_character_timeout_restarts_with_each_byte(void)
{
	REQUIRE(uart_open(0x01));
	for (unsigned i = 0; i < 10; i++) {
		feed("x");
		bench_run(300000);
		CHECK(!IRQ);
	}
	bench_run(50000);
	CHECK(IRQ);
	CHECK_EQ(rd(IIR), 0xcc);
}

static void test_uart_character_timeout_follows_the_speed(void)
{
	REQUIRE(uart_open(0x01));
	wr(LCR, 0x80);
	wr(DATA, 96);  /* 1200 baud */
	wr(LCR, 0x1f); /* 8 bits, parity, 2 stop bits: 12 bits a character, 40 ms */
	feed("x");
	bench_run(39 * BENCH_MS);
	CHECK(!IRQ);
	bench_run(2 * BENCH_MS);
	CHECK(IRQ);
}

/* A time-out that was begun at a low speed does not delay the ones at a higher speed. */
static void test_uart_character_timeout_after_a_change_of_speed(void)
{
	REQUIRE(uart_open(0x01));
	wr(LCR, 0x83);
	wr(IER, 0xff); /* 1.76 baud */
	wr(LCR, 0x03);
	feed("x");
	bench_run(BENCH_MS);
	wr(LCR, 0x83);
	wr(IER, 0);
	wr(LCR, 0x03);
	feed("y");
	bench_run(BENCH_MS);
	CHECK(IRQ);
	CHECK_EQ(rd(IIR), 0xcc);
}

static void test_uart_timeout_only_if_enabled(void)
{
	REQUIRE(uart_open(0));
	feed("x");
	CHECK_EQ(bench_next(), 0);
	bench_run(BENCH_S);
	CHECK(!IRQ);
	wr(IER, 0x01);
	bench_run(BENCH_MS);
	CHECK(IRQ);
}

static void test_uart_thre_interrupt(void)
{
	REQUIRE(uart_open(0));
	wr(IER, 0x02); /* enabling with an empty transmitter interrupts */
	CHECK(IRQ);
	CHECK_EQ(rd(IIR), 0xc2);
	CHECK(!IRQ); /* reading IIR acknowledges */
	CHECK_EQ(rd(IIR), 0xc1);
	wr(IER, 0x02);
	CHECK(!IRQ); /* no change, no interrupt */
	wr(DATA, 'a');
	CHECK(IRQ);
	CHECK_EQ(EDGES, 2);
	wr(DATA, 'b'); /* a new edge, though nobody looked at the last */
	CHECK(IRQ);
	CHECK_EQ(EDGES, 3);
	wr(IER, 0);
	CHECK(!IRQ);
	CHECK_STR(fake_console_output("console"), "ab");
}

/* The check Linux makes at start-up for chips that do not interrupt when THRE is enabled a second time. */
static void test_uart_thre_interrupt_after_reenabling(void)
{
	REQUIRE(uart_open(0));
	wr(IER, 0x02);
	CHECK_EQ(rd(IIR) & 0x0f, 0x02);
	wr(IER, 0);
	wr(IER, 0x02);
	CHECK_EQ(rd(IIR) & 0x0f, 0x02);
	wr(IER, 0);
}

static void test_uart_interrupt_priorities(void)
{
	REQUIRE(uart_open(0));
	wr(MCR, 0x10); /* loopback; MCR outputs off: delta bits */
	wr(FCR, 0x01);
	for (unsigned i = 0; i < 17; i++)
		wr(DATA, (uint8_t)i); /* one too many: overrun */
	wr(IER, 0x0f);
	CHECK_EQ(rd(IIR), 0xc6);
	CHECK_EQ(rd(LSR), 0x63);
	CHECK_EQ(rd(IIR), 0xc4);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(rd(DATA), i);
	CHECK_EQ(rd(IIR), 0xc2);
	CHECK_EQ(rd(IIR), 0xc0);
	CHECK_EQ(rd(MSR) & 0x0f, 0x0b);
	CHECK_EQ(rd(IIR), 0xc1);
	CHECK_EQ(EDGES, 0); /* loopback turns OUT2 off */
}

/* The only line error there is, an overrun, happens in loopback and is reported after it. */
static void test_uart_line_status_interrupt(void)
{
	REQUIRE(uart_open(0));
	wr(MCR, 0x10);
	for (unsigned i = 0; i < 17; i++)
		wr(DATA, (uint8_t)i);
	wr(IER, 0x04);
	wr(MCR, 0x0b);
	CHECK(IRQ);
	CHECK_EQ(rd(IIR), 0xc6);
	CHECK(IRQ); /* reading LSR ends it, not reading IIR */
	CHECK_EQ(rd(LSR), 0x63);
	CHECK(!IRQ);
	CHECK_EQ(rd(LSR), 0x61);
}

static void test_uart_out2_gates_the_line(void)
{
	REQUIRE(uart_open(0x02));
	CHECK(IRQ);
	wr(MCR, 0x03);
	CHECK(!IRQ);
	wr(MCR, 0x0b);
	CHECK(IRQ);
	CHECK_EQ(rd(IIR), 0xc2);
	CHECK(!IRQ);
}

/* MCR bits DTR RTS OUT1 OUT2 come back as DSR CTS RI DCD. */
static void test_uart_loopback_modem_lines(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	for (unsigned m = 0; m < 16; m++) {
		uint8_t lines = (uint8_t)((m & 1 ? 0x20 : 0) | (m & 2 ? 0x10 : 0) |
					  (m & 4 ? 0x40 : 0) | (m & 8 ? 0x80 : 0));

		wr(MCR, (uint8_t)(0x10 | m));
		CHECK_EQ(rd(MSR) & 0xf0, lines);
	}
	wr(MCR, 0x00);
	CHECK_EQ(rd(MSR) & 0xf0, 0xb0);
}

static void test_uart_modem_deltas(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	wr(MCR, 0x1f);
	CHECK_EQ(rd(MSR), 0xf0); /* RI going up is no event */
	wr(MCR, 0x1d);
	CHECK_EQ(rd(MSR), 0xe1); /* CTS changed */
	wr(MCR, 0x1c);
	CHECK_EQ(rd(MSR), 0xc2); /* DSR changed */
	wr(MCR, 0x18);
	CHECK_EQ(rd(MSR), 0x84); /* RI ended */
	wr(MCR, 0x10);
	CHECK_EQ(rd(MSR), 0x08); /* DCD changed */
	CHECK_EQ(rd(MSR), 0x00); /* reading clears */
}

static void test_uart_loopback_data(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	wr(MCR, 0x10);
	feed("zz"); /* the serial input is disconnected */
	CHECK_EQ(rd(LSR), 0x60);
	wr(DATA, 0x5a);
	CHECK_EQ(rd(LSR), 0x61);
	wr(DATA, 0xa5); /* without FIFO an overrun replaces the byte */
	CHECK_EQ(rd(LSR), 0x63);
	CHECK_EQ(rd(LSR), 0x61);
	CHECK_EQ(rd(DATA), 0xa5);
	CHECK_STR(fake_console_output("console"), "");
	wr(MCR, 0x00);
	CHECK_EQ(rd(DATA), 'z');
	CHECK_EQ(rd(DATA), 'z');
	CHECK_EQ(rd(LSR), 0x60);
}

static void test_uart_fcr_clears_fifo(void)
{
	REQUIRE(uart_open(0));
	wr(MCR, 0x10);
	wr(DATA, 1);
	wr(DATA, 2);
	wr(FCR, 0x03);
	CHECK_EQ(rd(LSR), 0x60);
	wr(DATA, 3);
	wr(FCR, 0x00); /* switching the FIFO off clears it, too */
	CHECK_EQ(rd(LSR), 0x60);
	CHECK_EQ(rd(IIR), 0x01);
}

static void test_uart_slow_stream_loses_nothing(void)
{
	char expected[2049];

	REQUIRE(bench_open(&v3_device_uart, ""));
	fake_console_limit("console", 10);
	for (unsigned i = 0; i < 2048; i++) {
		expected[i] = (char)('0' + i % 70);
		wr(DATA, (uint8_t)expected[i]);
		CHECK_EQ(rd(LSR), 0x60);
	}
	expected[2048] = 0;
	CHECK_EQ(strlen(fake_console_output("console")), 10);
	CHECK(bench_next() != 0);
	fake_console_limit("console", 1500);
	bench_run(10 * BENCH_MS);
	CHECK_EQ(strlen(fake_console_output("console")), 1500);
	fake_console_limit("console", 100000);
	bench_run(10 * BENCH_MS);
	CHECK_STR(fake_console_output("console"), expected);
	CHECK_EQ(bench_next(), 0);
	wr(DATA, '!');
	CHECK_EQ(strlen(fake_console_output("console")), 2049);
}

static void test_uart_order_is_kept_behind_the_ring(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	fake_console_limit("console", 1);
	wr(DATA, 'a');
	wr(DATA, 'b');
	fake_console_limit("console", 100);
	wr(DATA, 'c');
	bench_run(10 * BENCH_MS);
	CHECK_STR(fake_console_output("console"), "abc");
}

static void test_uart_dead_stream_drops_and_says_so(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	fake_console_limit("console", 0);
	for (unsigned i = 0; i < 5000; i++)
		wr(DATA, (uint8_t)('0' + i % 70));
	CHECK(fake_log_contains("lost"));
	CHECK(fake_log_count("lost") < 20);
	fake_console_limit("console", 100000);
	bench_run(10 * BENCH_MS);
	CHECK_EQ(strlen(fake_console_output("console")), 4096);
	CHECK_EQ(fake_console_output("console")[4095], '0' + 4095 % 70);
}

static void test_uart_destroy_flushes(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	fake_console_limit("console", 0);
	wr(DATA, 'x');
	fake_console_limit("console", 100);
	fake_device_destroy(bench.vm, bench.dev);
	CHECK_STR(fake_console_output("console"), "x");
}

static void test_uart_keys(void)
{
	fake_console_add("second");
	REQUIRE(bench_open(&v3_device_uart, "port = 0x2f8\nirq = 3\nconsole = \"second\"\n"));
	out8(0x2f8 + SCR, 0x77);
	CHECK_EQ(in8(0x2f8 + SCR), 0x77);
	CHECK_EQ(in8(0x3f8 + SCR), 0xff);
	out8(0x2f8 + MCR, 0x08);
	out8(0x2f8 + IER, 0x02);
	CHECK(bench.level[3]);
	out8(0x2f8 + DATA, '2');
	CHECK_STR(fake_console_output("second"), "2");
}

static void test_uart_without_stream(void)
{
	REQUIRE(bench_open(&v3_device_uart, "console = \"\"\n"));
	wr(DATA, 'x');
	CHECK_EQ(rd(LSR), 0x60);
	CHECK_STR(fake_console_output("console"), "");
	CHECK_EQ(fake_host_live(FAKE_STREAM), 0);
}

static void test_uart_unknown_stream(void)
{
	void *dev;

	memset(&bench, 0, sizeof(bench));
	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_uart, "console = \"nope\"\n", &dev),
		 V3_ENOENT);
}

static void test_uart_reset(void)
{
	static const uint8_t expected[8] = {0, 0, 0x01, 0, 0, 0x60, 0xb0, 0};

	REQUIRE(bench_open(&v3_device_uart, ""));
	bench_hostile(0x3f8, 8, 5000);
	wr(LCR, 0);
	wr(MCR, 0x08);
	wr(IER, 0x0f);
	wr(DATA, 1);
	CHECK(IRQ);
	bench_reset();
	CHECK(!IRQ);
	for (unsigned i = 1; i < 8; i++)
		CHECK_MSG(rd(i) == expected[i], "register %u is %#x, expected %#x", i, rd(i),
			  expected[i]);
	wr(LCR, 0x80);
	CHECK_EQ(rd(DATA), 12);
}

static void test_uart_wide_accesses_are_split(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	fake_out(bench.vm, 0x3f8 + LCR, 2, 0x0a03); /* LCR and MCR */
	CHECK_EQ(rd(LCR), 0x03);
	CHECK_EQ(rd(MCR), 0x0a);
	fake_out(bench.vm, 0x3f8 + SCR, 4, 0x11223344); /* beyond the last register */
	CHECK_EQ(rd(SCR), 0x44);
	CHECK_EQ(fake_in(bench.vm, 0x3f8 + SCR, 4), 0xffffff44);
}

static void test_uart_ports(void)
{
	bench_ports_released(&v3_device_uart, "", 0x3ff);
}

static void test_uart_oom(void)
{
	bench_oom(&v3_device_uart, "", 5);
}

/* COM1 to COM4 of one PC: none sees what another gets, each has its line. */
static void test_uart_four_on_a_pc(void)
{
	static const uint16_t ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	static const uint8_t irqs[] = {4, 3, 5, 7};
	char text[1200], name[4] = "tty";
	int n = snprintf(text, sizeof(text), "%s", fake_pc_toml(1, 8));

	memset(&bench, 0, sizeof(bench));
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		fake_console_add(name);
		n += snprintf(
			text + n, sizeof(text) - (size_t)n,
			"[[device]]\nclass = \"uart\"\nport = %u\nirq = %u\nconsole = \"%s\"\n",
			ports[i], irqs[i], name);
	}
	REQUIRE_EQ(fake_vm_create(text, NULL, 0, &bench.vm), V3_OK);
	v3_time_continue(bench.vm);
	REQUIRE_EQ(v3_irq_sink_register(bench.vm, bench_irq, &bench), V3_OK);
	for (unsigned i = 0; i < 4; i++) {
		out8(ports[i] + 1, 1); /* interrupt for received data */
		out8(ports[i] + 4, 8); /* OUT2 */
		out8(ports[i], (uint8_t)('a' + i));
	}
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		fake_console_feed(name, "z");
		fake_service(bench.vm);
		for (unsigned k = 0; k < 4; k++)
			CHECK_EQ(bench.level[irqs[k]], k == i);
		CHECK_EQ(in8(ports[i]), 'z');
		CHECK_EQ(fake_console_output(name)[0], (char)('a' + i));
		CHECK_EQ(fake_console_output(name)[1], 0);
	}
}

static void test_uart_hostile(void)
{
	REQUIRE(bench_open(&v3_device_uart, ""));
	fake_console_limit("console", 20000);
	for (unsigned i = 0; i < 100; i++) {
		feed("some input for the hostile guest\n");
		bench_hostile(0x3f8, 8, 1000);
		CHECK_EQ(rd(LSR) & 0xfc, 0x60); /* nothing but DR and OE ever shows */
		CHECK_EQ(rd(MCR) & 0xe0, 0);
	}
}

static const struct tap_test tests[] = {
	TAP(test_uart_power_on_values),
	TAP(test_uart_writable_bits),
	TAP(test_uart_divisor_latch),
	TAP(test_uart_transmits_at_once),
	TAP(test_uart_receives_without_fifo),
	TAP(test_uart_receives_more_than_the_fifo),
	TAP(test_uart_input_before_the_first_look),
	TAP(test_uart_fifo_trigger_levels),
	TAP(test_uart_character_timeout),
	TAP(test_uart_character_timeout_restarts_with_each_byte),
	TAP(test_uart_character_timeout_follows_the_speed),
	TAP(test_uart_character_timeout_after_a_change_of_speed),
	TAP(test_uart_timeout_only_if_enabled),
	TAP(test_uart_thre_interrupt),
	TAP(test_uart_thre_interrupt_after_reenabling),
	TAP(test_uart_interrupt_priorities),
	TAP(test_uart_line_status_interrupt),
	TAP(test_uart_out2_gates_the_line),
	TAP(test_uart_loopback_modem_lines),
	TAP(test_uart_modem_deltas),
	TAP(test_uart_loopback_data),
	TAP(test_uart_fcr_clears_fifo),
	TAP(test_uart_slow_stream_loses_nothing),
	TAP(test_uart_order_is_kept_behind_the_ring),
	TAP(test_uart_dead_stream_drops_and_says_so),
	TAP(test_uart_destroy_flushes),
	TAP(test_uart_keys),
	TAP(test_uart_without_stream),
	TAP(test_uart_unknown_stream),
	TAP(test_uart_reset),
	TAP(test_uart_wide_accesses_are_split),
	TAP(test_uart_ports),
	TAP(test_uart_oom),
	TAP(test_uart_four_on_a_pc),
	TAP(test_uart_hostile),
};
TAP_MAIN(tests)
