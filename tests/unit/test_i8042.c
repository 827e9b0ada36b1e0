/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_i8042.c
 * Keyboard controller, keyboard and mouse: commands, interrupts, translation, input.
 */
#include "device_bench.h"
#include "devices/chipset/ps2.h"
#include "palacios/input.h"

#define KBD 1
#define AUX 12

static bool i8042_open(void)
{
	if (!bench_open(&v3_device_i8042, ""))
		return false;
	bench.vm->device[0].cls = &v3_device_i8042;
	bench.vm->device[0].state = bench.dev;
	return true;
}

/* Input finds the device as the builder's; the bench destroys it itself. */
static int key(unsigned code, bool down)
{
	int err;

	bench.vm->ndevices = 1;
	err = v3_input_key(bench.vm, code, down);
	bench.vm->ndevices = 0;
	return err;
}

static int pointer(int dx, int dy, int dz, unsigned buttons)
{
	int err;

	bench.vm->ndevices = 1;
	err = v3_input_pointer(bench.vm, dx, dy, dz, buttons);
	bench.vm->ndevices = 0;
	return err;
}

static bool was_reset(void)
{
	return __atomic_exchange_n(&bench.vm->reset_why, NULL, __ATOMIC_SEQ_CST) != NULL;
}

static void command(uint8_t value)
{
	out8(0x64, value);
}

static void set_command_byte(uint8_t value)
{
	command(0x60);
	out8(0x60, value);
}

static void to_mouse(uint8_t value)
{
	command(0xd4);
	out8(0x60, value);
}

/* The bytes that wait, in order, and from whom; ends when the output buffer stays empty. */
static void expect(const uint8_t *bytes, unsigned n, bool aux)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t status = in8(0x64), byte;

		CHECK_MSG(status & 1, "byte %u of %u is missing", i, n);
		CHECK_MSG(!(status & 0x20) == !aux, "byte %u is of the wrong device", i);
		byte = in8(0x60);
		CHECK_MSG(byte == bytes[i], "byte %u: %#x, expected %#x", i, byte, bytes[i]);
	}
	CHECK_MSG(!(in8(0x64) & 1), "%#x too much", in8(0x60));
}
#define EXPECT(aux, ...)                                                                           \
	do {                                                                                       \
		static const uint8_t bytes[] = {__VA_ARGS__};                                      \
		expect(bytes, sizeof(bytes), aux);                                                 \
	} while (0)

static void test_i8042_power_on(void)
{
	REQUIRE(i8042_open());
	CHECK_EQ(in8(0x64), 0x1c);
	command(0x20);
	EXPECT(false, 0x64); /* self test passed, mouse off, translation, no interrupts */
	command(0xd0);
	EXPECT(false, 0x03);
}

static void test_i8042_answers(void)
{
	static const struct {
		uint8_t command, answer;
	} cases[] = {{0xaa, 0x55}, {0xab, 0}, {0xa9, 0}, {0xc0, 0x80}, {0xe0, 0}};

	REQUIRE(i8042_open());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		command(cases[i].command);
		expect(&cases[i].answer, 1, false);
	}
	CHECK(!was_reset());
}

static void test_i8042_ram(void)
{
	REQUIRE(i8042_open());
	command(0x7f);
	out8(0x60, 0xa5);
	command(0x3f);
	EXPECT(false, 0xa5);
	command(0x20);
	EXPECT(false, 0x64);
}

static void test_i8042_output_port_resets(void)
{
	REQUIRE(i8042_open());
	command(0xd1);
	out8(0x60, 0xdd);
	CHECK(!was_reset());
	command(0xd0);
	EXPECT(false, 0x01); /* A20 reads back */
	command(0xd1);
	out8(0x60, 0xfe);
	CHECK(was_reset());
	out8(0x60, 0xfe); /* one operand per command: this is for the keyboard */
	CHECK(!was_reset());
}

static void test_i8042_pulse(void)
{
	static const struct {
		uint8_t command;
		bool reset;
	} cases[] = {{0xfe, true}, {0xff, false}, {0xf0, true}, {0xfd, false}};

	REQUIRE(i8042_open());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		command(cases[i].command);
		CHECK_EQ(was_reset(), cases[i].reset);
	}
}

static void test_i8042_keys_translated(void)
{
	REQUIRE(i8042_open());
	CHECK_EQ(key(0x1c, true), V3_OK);
	CHECK_EQ(key(0x1c, false), V3_OK);
	CHECK_EQ(key(0x175, true), V3_OK);
	CHECK_EQ(key(0x175, false), V3_OK);
	EXPECT(false, 0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8);
}

static void test_i8042_keys_raw(void)
{
	REQUIRE(i8042_open());
	set_command_byte(0x04);
	key(0x1c, true);
	key(0x1c, false);
	key(0x175, false);
	EXPECT(false, 0x1c, 0xf0, 0x1c, 0xe0, 0xf0, 0x75);
	out8(0x60, 0xf0); /* the keyboard translates itself in set 1 */
	EXPECT(false, 0xfa);
	out8(0x60, 1);
	EXPECT(false, 0xfa);
	key(0x1c, true);
	key(0x1c, false);
	EXPECT(false, 0x1e, 0x9e);
}

static void test_i8042_interrupt_per_byte(void)
{
	REQUIRE(i8042_open());
	key(0x1c, true);
	CHECK_EQ(bench.rises[KBD], 0);
	set_command_byte(0x45);
	CHECK_EQ(bench.rises[KBD], 1);
	key(0x1c, false);
	CHECK_EQ(bench.rises[KBD], 1); /* the first byte is still there */
	CHECK_EQ(in8(0x60), 0x1e);
	CHECK_EQ(bench.rises[KBD], 2);
	CHECK(bench.level[KBD]);
	CHECK_EQ(in8(0x60), 0x9e);
	CHECK(!bench.level[KBD]);
	CHECK_EQ(in8(0x60), 0x9e); /* the register keeps what was read */
	CHECK_EQ(bench.rises[AUX], 0);
}

static void test_i8042_keyboard_commands(void)
{
	static const struct {
		uint8_t in[2], nin, out[3], nout;
	} cases[] = {
		{{0xff}, 1, {0xfa, 0xaa}, 2},
		{{0xf2}, 1, {0xfa, 0xab, 0x83}, 3},
		{{0xee}, 1, {0xee}, 1},
		{{0xed, 0x07}, 2, {0xfa}, 1},
		{{0xf3, 0x20}, 2, {0xfa}, 1},
		{{0xf4}, 1, {0xfa}, 1},
		{{0xf5}, 1, {0xfa}, 1},
		{{0xf6}, 1, {0xfa}, 1},
		{{0xf0, 0x00}, 2, {0xfa, 0x02}, 2},
		{{0xf0, 0x03}, 2, {0xfe}, 1},
		{{0xf7}, 1, {0xfe}, 1},
		{{0x12}, 1, {0xfe}, 1},
		{{0xed, 0xf4}, 2, {0xfa}, 1}, /* a command ends the wait for the parameter */
	};

	REQUIRE(i8042_open());
	set_command_byte(0x04);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		out8(0x60, cases[i].in[0]);
		if (cases[i].nin > 1) {
			EXPECT(false, 0xfa);
			out8(0x60, cases[i].in[1]);
		}
		expect(cases[i].out, cases[i].nout, false);
	}
	out8(0x60, 0xee);
	EXPECT(false, 0xee);
	out8(0x60, 0xfe); /* once more */
	EXPECT(false, 0xee);
}

static void test_i8042_keyboard_off(void)
{
	REQUIRE(i8042_open());
	out8(0x60, 0xf5);
	EXPECT(false, 0xfa);
	CHECK_EQ(key(0x1c, true), V3_EAGAIN);
	out8(0x60, 0xf4);
	EXPECT(false, 0xfa);
	command(0xad);
	CHECK_EQ(key(0x1c, true), V3_OK); /* it waits in the keyboard */
	CHECK_EQ(in8(0x64) & 1, 0);
	command(0xae);
	EXPECT(false, 0x1e);
}

static void test_i8042_full_queue_loses_whole_keys(void)
{
	unsigned taken = 0;

	REQUIRE(i8042_open());
	set_command_byte(0x04);
	while (key(0x175, false) == V3_OK)
		taken++;
	CHECK(taken >= 10);
	while (taken--) {
		CHECK_EQ(in8(0x60), 0xe0);
		CHECK_EQ(in8(0x60), 0xf0);
		CHECK_EQ(in8(0x60), 0x75);
	}
	CHECK_EQ(in8(0x64) & 1, 0);
	CHECK_EQ(key(0x1c, true), V3_OK);
}

static void test_i8042_input_refuses(void)
{
	REQUIRE(i8042_open());
	CHECK_EQ(v3_input_key(bench.vm, 0x1c, true), V3_ENODEV);
	CHECK_EQ(v3_input_pointer(bench.vm, 0, 0, 0, 0), V3_ENODEV);
	CHECK_EQ(key(0, true), V3_EINVAL);
	CHECK_EQ(key(0x85, true), V3_EINVAL);
	CHECK_EQ(key(0x100, true), V3_EINVAL);
	CHECK_EQ(key(0x21c, true), V3_EINVAL);
	CHECK_EQ(pointer(0, 0, 0, 8), V3_EINVAL);
	CHECK_EQ(pointer(1, 0, 0, 0), V3_EAGAIN); /* the guest did not ask for reports */
}

static void test_i8042_mouse_reports(void)
{
	REQUIRE(i8042_open());
	set_command_byte(0x46);
	to_mouse(0xf4);
	EXPECT(true, 0xfa);
	CHECK_EQ(bench.rises[AUX], 1);
	CHECK_EQ(pointer(3, -2, 0, V3_POINTER_LEFT), V3_OK);
	CHECK_EQ(bench.rises[AUX], 2);
	EXPECT(true, 0x29, 0x03, 0xfe);
	CHECK_EQ(pointer(-1000, 1000, 0, 0), V3_OK);
	EXPECT(true, 0x18, 0x00, 0xff);
	CHECK_EQ(bench.rises[KBD], 0);
}

static void test_i8042_mouse_commands(void)
{
	REQUIRE(i8042_open());
	to_mouse(0xff);
	EXPECT(true, 0xfa, 0xaa, 0x00);
	to_mouse(0xf2);
	EXPECT(true, 0xfa, 0x00);
	to_mouse(0xe8);
	EXPECT(true, 0xfa);
	to_mouse(0x03);
	EXPECT(true, 0xfa);
	to_mouse(0xe7);
	EXPECT(true, 0xfa);
	to_mouse(0xe9);
	EXPECT(true, 0xfa, 0x10, 0x03, 100);
	to_mouse(0xf0);
	EXPECT(true, 0xfa);
	pointer(1, 1, 0, V3_POINTER_RIGHT);
	to_mouse(0xeb);
	EXPECT(true, 0xfa, 0x0a, 0x01, 0x01);
	to_mouse(0xee);
	EXPECT(true, 0xfa);
	to_mouse(0x55);
	EXPECT(true, 0x55);
	to_mouse(0xec);
	EXPECT(true, 0xfa);
	to_mouse(0x55);
	EXPECT(true, 0xfe);
}

static void test_i8042_mouse_wheel_by_knocking(void)
{
	static const uint8_t rates[] = {200, 200, 100, 80};

	REQUIRE(i8042_open());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(rates); i++) {
		to_mouse(0xf3);
		EXPECT(true, 0xfa);
		to_mouse(rates[i]);
		EXPECT(true, 0xfa);
	}
	to_mouse(0xf2);
	EXPECT(true, 0xfa, 0x03);
	to_mouse(0xf4);
	EXPECT(true, 0xfa);
	pointer(0, 0, -1, 0);
	EXPECT(true, 0x08, 0x00, 0x00, 0xff);
	to_mouse(0xff);
	EXPECT(true, 0xfa, 0xaa, 0x00);
}

static void test_i8042_mouse_gathers_when_full(void)
{
	REQUIRE(i8042_open());
	to_mouse(0xf4);
	EXPECT(true, 0xfa);
	for (unsigned i = 0; i < 20; i++)
		pointer(1, 0, 0, 0);
	while (in8(0x64) & 1)
		in8(0x60);
	pointer(0, 0, 0, 0);
	CHECK_EQ(in8(0x60), 0x08);
	CHECK(in8(0x60) > 5); /* what did not fit is in the next report */
}

static void test_i8042_written_as_if_sent(void)
{
	REQUIRE(i8042_open());
	command(0xd2);
	out8(0x60, 0x42);
	EXPECT(false, 0x42);
	command(0xd3);
	out8(0x60, 0x43);
	EXPECT(true, 0x43);
}

/* Pressed keys as they come out of the controller, translated; shift and ctrl as they go down. */
static void test_i8042_types(void)
{
	static const char keys[] = "aA!~\r\t\x7f\x03";

	REQUIRE(bench_open(&v3_device_i8042, "console = \"console\"\n"));
	fake_console_feed("console", keys);
	fake_service(bench.vm);
	EXPECT(false, 0x1e, 0x9e, 0x2a, 0x1e, 0x9e, 0xaa, 0x2a, 0x02, 0x82, 0xaa, 0x2a, 0x29, 0xa9,
	       0xaa, 0x1c, 0x9c, 0x0f, 0x8f, 0x0e, 0x8e, 0x1d, 0x2e, 0xae, 0x9d);
}

static void test_i8042_types_cursor_keys(void)
{
	static const char keys[] = "\x1b[A\x1b[D\x1b[Z\x1b\x80x\x1b";

	REQUIRE(bench_open(&v3_device_i8042, "console = \"console\"\n"));
	fake_console_feed("console", keys);
	fake_service(bench.vm);
	EXPECT(false, 0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x4b, 0xe0, 0xcb, 0x2d, 0xad, 0x01, 0x81);
}

/* Every printable character is one key, with or without shift, and no two are the same. */
static void test_i8042_types_each_character_differently(void)
{
	static uint16_t seen[0x400];

	for (uint8_t c = ' '; c < 0x7f; c++) {
		uint16_t stroke = v3_ps2_stroke(c);

		REQUIRE(stroke && stroke < 0x400);
		CHECK_MSG(!seen[stroke], "%c and %c", seen[stroke], c);
		seen[stroke] = c;
	}
}

/* More than the keyboard's queue holds: the rest waits in the stream. */
static void test_i8042_types_long_text(void)
{
	char text[200] = "";

	memset(text, 'a', sizeof(text) - 1);
	REQUIRE(bench_open(&v3_device_i8042, "console = \"console\"\n"));
	fake_console_feed("console", text);
	fake_service(bench.vm);
	for (unsigned i = 0; i < sizeof(text) - 1; i++) {
		CHECK_EQ(in8(0x60), 0x1e);
		CHECK_EQ(in8(0x60), 0x9e);
	}
	CHECK_EQ(in8(0x64) & 1, 0);
}

static void test_i8042_reset(void)
{
	REQUIRE(i8042_open());
	set_command_byte(0x47);
	key(0x1c, true);
	to_mouse(0xf4);
	bench_hostile(0x60, 1, 300);
	bench_hostile(0x64, 1, 300);
	was_reset();
	bench_reset();
	CHECK(!bench.level[KBD] && !bench.level[AUX]);
	CHECK_EQ(in8(0x64), 0x1c);
	command(0x20);
	EXPECT(false, 0x64);
}

static void test_i8042_ports(void)
{
	bench_ports_released(&v3_device_i8042, "", 0x60);
	fake_vm_destroy(bench.vm);
	bench_ports_released(&v3_device_i8042, "", 0x64);
}

static void test_i8042_oom(void)
{
	bench_oom(&v3_device_i8042, "console = \"console\"\n", 4);
}

static void test_i8042_hostile(void)
{
	REQUIRE(i8042_open());
	for (unsigned i = 0; i < 300; i++) {
		bench_hostile(0x60, 1, 100);
		bench_hostile(0x64, 1, 100);
		key((unsigned)tap_rand() & 0x1ff, tap_rand() & 1);
		pointer((int)tap_rand(), (int)tap_rand(), (int)tap_rand(), tap_rand() & 7);
	}
}

static const struct tap_test tests[] = {
	TAP(test_i8042_power_on),
	TAP(test_i8042_answers),
	TAP(test_i8042_ram),
	TAP(test_i8042_output_port_resets),
	TAP(test_i8042_pulse),
	TAP(test_i8042_keys_translated),
	TAP(test_i8042_keys_raw),
	TAP(test_i8042_interrupt_per_byte),
	TAP(test_i8042_keyboard_commands),
	TAP(test_i8042_keyboard_off),
	TAP(test_i8042_full_queue_loses_whole_keys),
	TAP(test_i8042_input_refuses),
	TAP(test_i8042_mouse_reports),
	TAP(test_i8042_mouse_commands),
	TAP(test_i8042_mouse_wheel_by_knocking),
	TAP(test_i8042_mouse_gathers_when_full),
	TAP(test_i8042_written_as_if_sent),
	TAP(test_i8042_types),
	TAP(test_i8042_types_cursor_keys),
	TAP(test_i8042_types_each_character_differently),
	TAP(test_i8042_types_long_text),
	TAP(test_i8042_reset),
	TAP(test_i8042_ports),
	TAP(test_i8042_oom),
	TAP(test_i8042_hostile),
};
TAP_MAIN(tests)
