/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_fw_cfg.c
 * The fw_cfg device: items, directory, files of the definition and of other code, and DMA commands.
 */
#include "device_bench.h"
#include "palacios/fw_cfg.h"
#include "palacios/mem.h"

#define SELECTOR 0x510
#define DATA	 0x511
#define DMA_HIGH 0x514
#define DMA_LOW	 0x518

#define CMD 0x8000 /* guest address of DMA commands */
#define BUF 0x9000 /* and of their buffers */

static void choose(uint16_t key)
{
	CHECK_EQ(fake_out(bench.vm, SELECTOR, 2, key), V3_OK);
}

static void read_bytes(void *buf, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		((uint8_t *)buf)[i] = in8(DATA);
}

static uint64_t read_number(uint16_t key, unsigned size)
{
	uint64_t value = 0;

	choose(key);
	read_bytes(&value, size);
	return value;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Key and size of a file, by the directory. @return 0: no such file */
static uint16_t find_file(const char *name, uint32_t *size)
{
	uint8_t count[4], entry[64];

	choose(0x19);
	read_bytes(count, 4);
	for (uint32_t n = be32(count); n; n--) {
		read_bytes(entry, 64);
		if (strcmp((char *)entry + 8, name))
			continue;
		*size = be32(entry);
		CHECK_EQ(entry[6] | entry[7], 0);
		return (uint16_t)(entry[4] << 8 | entry[5]);
	}
	return 0;
}

/* Issue a DMA command at @p cmd. @return its control field afterwards */
static uint32_t dma_at(uint64_t cmd, uint32_t control, uint32_t len, uint64_t addr)
{
	uint8_t c[16];

	put_be32(c, control);
	put_be32(c + 4, len);
	put_be32(c + 8, (uint32_t)(addr >> 32));
	put_be32(c + 12, (uint32_t)addr);
	CHECK_EQ(v3_mem_write(bench.vm, cmd, c, 16), V3_OK);
	CHECK_EQ(fake_out(bench.vm, DMA_HIGH, 4, __builtin_bswap32((uint32_t)(cmd >> 32))), V3_OK);
	CHECK_EQ(fake_out(bench.vm, DMA_LOW, 4, __builtin_bswap32((uint32_t)cmd)), V3_OK);
	CHECK_EQ(v3_mem_read(bench.vm, cmd, c, 4), V3_OK);
	return be32(c);
}

static uint32_t dma(uint32_t control, uint32_t len, uint64_t addr)
{
	return dma_at(CMD, control, len, addr);
}

/* Add a file as boot code would, with the device among the VM's as the builder puts it. */
static int add_file(const char *name, const void *data, size_t len)
{
	struct v3_vm *vm = bench.vm;
	int err;

	vm->device[vm->ndevices].cls = &v3_device_fw_cfg;
	vm->device[vm->ndevices++].state = bench.dev;
	err = v3_fw_cfg_add_file(vm, name, data, len);
	vm->ndevices--;
	return err;
}

static void test_fw_cfg_signature_and_id(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(read_number(0x00, 4), 0x554d4551);
	CHECK_EQ(in8(DATA), 0); /* past the end */
	CHECK_EQ(read_number(0x01, 4), 3);
	CHECK_EQ(fake_in(bench.vm, DMA_HIGH, 4), 0x554d4551);
	CHECK_EQ(fake_in(bench.vm, DMA_LOW, 4), 0x47464320);
	CHECK_EQ(in8(DMA_HIGH), 'Q');
	CHECK_EQ(in8(DMA_LOW + 3), 'G');
}

static void test_fw_cfg_machine_numbers(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(read_number(0x03, 8), 16 << 20);
	CHECK_EQ(read_number(0x05, 2), v3_vm_vcpu_count(bench.vm));
	CHECK_EQ(read_number(0x0f, 2), v3_vm_vcpu_count(bench.vm));
	CHECK_EQ(read_number(0x8002, 4), 1);
}

static void test_fw_cfg_unknown_items_read_zero(void)
{
	static const uint16_t keys[] = {0x02, 0x11, 0x1a, 0x21, 0x3fff, 0x8000, 0x8003, 0xffff};

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(keys); i++)
		CHECK_EQ(read_number(keys[i], 8), 0);
}

static void test_fw_cfg_e820(void)
{
	uint32_t size = 0, type = 0;
	uint64_t base, len;
	uint16_t key;

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	key = find_file("etc/e820", &size);
	CHECK_EQ(key, 0x20);
	CHECK_EQ(size, 20);
	choose(key);
	read_bytes(&base, 8);
	read_bytes(&len, 8);
	read_bytes(&type, 4);
	CHECK_EQ(base, 0);
	CHECK_EQ(len, 16 << 20);
	CHECK_EQ(type, 1);
}

static void test_fw_cfg_text_of_the_definition(void)
{
	uint32_t size = 0;
	char text[6] = "";
	uint16_t key;

	REQUIRE(bench_open(&v3_device_fw_cfg,
			   "name3 = \"opt/org.example/greeting\"\ntext3 = \"hello\"\n"));
	key = find_file("opt/org.example/greeting", &size);
	CHECK_EQ(key, 0x21);
	CHECK_EQ(size, 5);
	choose(key);
	read_bytes(text, 5);
	CHECK_STR(text, "hello");
}

static void test_fw_cfg_wrong_definitions(void)
{
	static const struct {
		const char *keys;
		int err;
	} cases[] = {
		{"name0 = \"etc/e820\"\ntext0 = \"x\"\n", V3_EINVAL}, /* not below opt/ */
		{"name0 = \"op\"\ntext0 = \"x\"\n", V3_EINVAL},
		{"name0 = \"opt/a\"\n", V3_EINVAL}, /* no contents */
		{"text0 = \"x\"\n", V3_EINVAL},	    /* no name */
		{"name0 = \"opt/a\"\ntext0 = \"x\"\nname1 = \"opt/a\"\ntext1 = \"y\"\n", V3_EEXIST},
		{"name0 = \"opt/a\"\nfile0 = \"not-packed.bin\"\n", V3_ENOENT},
	};

	memset(&bench, 0, sizeof(bench));
	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++)
		CHECK_EQ(fake_device_create(bench.vm, &v3_device_fw_cfg, cases[i].keys, &bench.dev),
			 cases[i].err);
}

static void test_fw_cfg_add_file(void)
{
	static const char longest[] = "a/name/of/fifty-five/bytes/which/is/the/longest/allowed";
	char too_long[sizeof(longest) + 1];
	uint32_t size = 0;
	uint16_t key;

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(v3_fw_cfg_add_file(bench.vm, "etc/x", "abc", 3), V3_ENODEV);
	CHECK_EQ(strlen(longest), V3_FW_CFG_NAME_LEN);
	CHECK_EQ(add_file(longest, "abc", 3), V3_OK);
	CHECK_EQ(add_file(longest, "abc", 3), V3_EEXIST);
	snprintf(too_long, sizeof(too_long), "%sx", longest);
	CHECK_EQ(add_file(too_long, "abc", 3), V3_EINVAL);
	CHECK_EQ(add_file("", "abc", 3), V3_EINVAL);
	CHECK_EQ(add_file("etc/huge", "abc", 0x100000000ull), V3_EINVAL);
	key = find_file(longest, &size);
	CHECK_EQ(size, 3);
	CHECK_EQ(read_number(key, 4), 'c' << 16 | 'b' << 8 | 'a');
	CHECK_EQ(read_number(key | 0x4000, 4), 'c' << 16 | 'b' << 8 | 'a'); /* write channel */
	for (unsigned i = 2; i < V3_FW_CFG_MAX_FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "etc/%u", i);
		CHECK_EQ(add_file(name, "", 0), V3_OK);
	}
	CHECK_EQ(add_file("etc/more", "", 0), V3_ENOSPC);
	CHECK_EQ(find_file("etc/31", &size), 0x20 + 31);
	CHECK_EQ(size, 0);
}

static void test_fw_cfg_selecting_starts_over(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	choose(0);
	CHECK_EQ(in8(DATA), 'Q');
	CHECK_EQ(in8(DATA), 'E');
	choose(0);
	CHECK_EQ(in8(DATA), 'Q');
}

static void test_fw_cfg_wrong_access_sizes(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	choose(0);
	CHECK_EQ(fake_in(bench.vm, DATA, 2), 0xffff);
	CHECK_EQ(fake_in(bench.vm, SELECTOR, 2), 0xffff);
	out8(SELECTOR, 1);
	CHECK_EQ(fake_out(bench.vm, SELECTOR, 4, 1), V3_OK);
	CHECK_EQ(in8(DATA), 'Q');
	out8(DATA, 'x'); /* items are read-only */
	CHECK_EQ(in8(DATA), 'E');
}

static void test_fw_cfg_dma_read(void)
{
	uint8_t buf[8];

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(v3_mem_set(bench.vm, BUF, 0xaa, 8), V3_OK);
	CHECK_EQ(dma(0x0000000a, 4, BUF), 0); /* select item 0, read */
	CHECK_EQ(v3_mem_read(bench.vm, BUF, buf, 8), V3_OK);
	CHECK_MEM(buf, "QEMU\xaa\xaa\xaa\xaa", 8);
	CHECK_EQ(dma(0x0000000a, 8, BUF), 0); /* past the end: zeros */
	CHECK_EQ(v3_mem_read(bench.vm, BUF, buf, 8), V3_OK);
	CHECK_MEM(buf, "QEMU\0\0\0\0", 8);
}

static void test_fw_cfg_dma_in_steps(void)
{
	uint8_t buf[2];

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(dma(0x00000008, 0, 0), 0); /* select only */
	CHECK_EQ(dma(0x00000004, 1, 0), 0); /* skip */
	CHECK_EQ(dma(0x00000002, 2, BUF), 0);
	CHECK_EQ(v3_mem_read(bench.vm, BUF, buf, 2), V3_OK);
	CHECK_MEM(buf, "EM", 2);
	CHECK_EQ(in8(DATA), 'U');
	CHECK_EQ(dma(0x00000004, 0xffffffff, 0), 0);
	CHECK_EQ(dma(0x00000004, 0xffffffff, 0), 0); /* no wrap */
	CHECK_EQ(in8(DATA), 0);
}

static void test_fw_cfg_dma_select_a_file(void)
{
	uint32_t size = 0;
	uint16_t key;
	uint8_t buf[3];

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(add_file("etc/x", "xyz", 3), V3_OK);
	key = find_file("etc/x", &size);
	CHECK_EQ(dma((uint32_t)key << 16 | 0x0a, 3, BUF), 0);
	CHECK_EQ(v3_mem_read(bench.vm, BUF, buf, 3), V3_OK);
	CHECK_MEM(buf, "xyz", 3);
}

static void test_fw_cfg_dma_errors(void)
{
	static const struct {
		uint32_t control, len;
		uint64_t addr;
	} cases[] = {
		{0x0a, 4, 16 << 20},		 /* no RAM there */
		{0x0a, 4, (16 << 20) - 2},	 /* ends outside */
		{0x0a, 4, ~0ull - 1},		 /* wraps */
		{0x0a, 0xffffffff, ~0ull - 100}, /* wraps, far past the item */
		{0x0a, 0xffffffff, 0},		 /* far past the item */
		{0x18, 4, BUF},			 /* write: read-only */
	};

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++)
		CHECK_EQ(dma(cases[i].control, cases[i].len, cases[i].addr), 1);
}

/* Zeros past an item's end: a megabyte at most. */
static void test_fw_cfg_dma_padding_is_limited(void)
{
	uint8_t byte = 0xff;

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(v3_mem_set(bench.vm, 0x100000, 0xff, 0x200000), V3_OK);
	CHECK_EQ(dma(0x0a, 4 + 0x100000, 0x100000), 0);
	CHECK_EQ(v3_mem_read(bench.vm, 0x200003, &byte, 1), V3_OK);
	CHECK_EQ(byte, 0);
	CHECK_EQ(v3_mem_read(bench.vm, 0x200004, &byte, 1), V3_OK);
	CHECK_EQ(byte, 0xff);
	CHECK_EQ(dma(0x0a, 4 + 0x100001, 0x100000), 1);
}

/* Each command needs its own upper half of the address. */
static void test_fw_cfg_dma_high_half_is_used_up(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(dma(0x0a, 4, BUF), 0);
	fake_out(bench.vm, DMA_HIGH, 4, __builtin_bswap32(1));
	fake_out(bench.vm, DMA_LOW, 4, __builtin_bswap32(CMD));
	CHECK_EQ(fake_log_count("not in RAM"), 1);
	fake_out(bench.vm, DMA_LOW, 4, __builtin_bswap32(CMD));
	CHECK_EQ(fake_log_count("not in RAM"), 1);
}

/* A command that cannot be read is not performed, and the address register is used up. */
static void test_fw_cfg_dma_command_outside_ram(void)
{
	static const uint64_t places[] = {16 << 20, (16 << 20) - 8, ~0ull, ~0ull - 15, 1ull << 40};

	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	choose(0);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(places); i++) {
		fake_out(bench.vm, DMA_HIGH, 4, __builtin_bswap32((uint32_t)(places[i] >> 32)));
		fake_out(bench.vm, DMA_LOW, 4, __builtin_bswap32((uint32_t)places[i]));
	}
	CHECK_EQ(in8(DATA), 'Q');
	CHECK(fake_log_contains("not in RAM"));
	CHECK_EQ(dma(0x0000000a, 4, BUF), 0);
}

/* The command may lie in its own buffer: it was copied before. */
static void test_fw_cfg_dma_over_its_own_command(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	CHECK_EQ(dma(0x0000000a, 64, CMD), 0);
}

static void test_fw_cfg_reset(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	choose(0x19);
	in8(DATA);
	fake_out(bench.vm, DMA_HIGH, 4, 0xffffffff);
	bench_reset();
	CHECK_EQ(in8(DATA), 'Q');
	fake_out(bench.vm, DMA_LOW, 4, __builtin_bswap32(CMD)); /* the upper half is 0 again */
	CHECK(!fake_log_contains("not in RAM"));
}

static void test_fw_cfg_ports(void)
{
	bench_ports_released(&v3_device_fw_cfg, "", DMA_LOW + 3);
}

static void test_fw_cfg_oom(void)
{
	bench_oom(&v3_device_fw_cfg, "name0 = \"opt/a\"\ntext0 = \"x\"\n", 2);
}

static void test_fw_cfg_hostile(void)
{
	REQUIRE(bench_open(&v3_device_fw_cfg, ""));
	bench_hostile(SELECTOR, 12, 50000);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t r = tap_rand();
		uint32_t len = r & 1 ? bench_hostile_value() : (uint32_t)(r >> 40);
		uint64_t addr = r & 2 ? tap_rand() : tap_rand() % (17 << 20);
		uint32_t result = dma_at(CMD + (r >> 8 & 0xff), bench_hostile_value(), len,
					 r & 4 ? addr : BUF);

		/* done, refused, or overwritten by the data it asked for */
		CHECK(result == 0 || result == 1 || addr < CMD + 0x1000);
		bench_hostile(SELECTOR, 12, 2);
	}
	CHECK_EQ(read_number(0x00, 4), 0x554d4551);
}

static const struct tap_test tests[] = {
	TAP(test_fw_cfg_signature_and_id),
	TAP(test_fw_cfg_machine_numbers),
	TAP(test_fw_cfg_unknown_items_read_zero),
	TAP(test_fw_cfg_e820),
	TAP(test_fw_cfg_text_of_the_definition),
	TAP(test_fw_cfg_wrong_definitions),
	TAP(test_fw_cfg_add_file),
	TAP(test_fw_cfg_selecting_starts_over),
	TAP(test_fw_cfg_wrong_access_sizes),
	TAP(test_fw_cfg_dma_read),
	TAP(test_fw_cfg_dma_in_steps),
	TAP(test_fw_cfg_dma_select_a_file),
	TAP(test_fw_cfg_dma_errors),
	TAP(test_fw_cfg_dma_padding_is_limited),
	TAP(test_fw_cfg_dma_high_half_is_used_up),
	TAP(test_fw_cfg_dma_command_outside_ram),
	TAP(test_fw_cfg_dma_over_its_own_command),
	TAP(test_fw_cfg_reset),
	TAP(test_fw_cfg_ports),
	TAP(test_fw_cfg_oom),
	TAP(test_fw_cfg_hostile),
};
TAP_MAIN(tests)
