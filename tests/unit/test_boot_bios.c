/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_boot_bios.c
 * Firmware: its ROM, and the ACPI tables as a firmware places them by the commands it is given.
 */
#include "boot_vm.h"

#define TOML	"[vm]\nname='t'\nmemory='16M'\nvcpus=2\n[boot]\ntype='bios'\nfirmware='f'\n"
#define ROM_LEN 0x20000

static uint8_t rom[ROM_LEN];

/* As boot_vm_begin(), which comes before the files: the ROM's size is that of its file. */
static bool begin_as(const char *definition, size_t len)
{
	struct v3_cfg_error err;

	for (unsigned i = 0; i < ROM_LEN; i++)
		rom[i] = (uint8_t)(i * 31 + 7);
	memset(&boot_vm, 0, sizeof(boot_vm));
	memset(&boot_state, 0, sizeof(boot_state));
	boot_vm_file("f", rom, len);
	return CHECK_EQ(v3_vm_cfg_parse(definition, strlen(definition), "test", boot_vm_offered,
					&boot_vm_cfg, &err),
			V3_OK) &&
	       CHECK_EQ(v3_platform_add_memory(&boot_vm, boot_vm_cfg), V3_OK);
}

static bool begin(size_t len)
{
	return begin_as(TOML, len);
}

static void end(void)
{
	v3_boot_unload(&boot_state);
	boot_vm_end();
}

static void test_bios_rom_at_every_power_on(void)
{
	struct v3_vcpu before;

	REQUIRE(begin(ROM_LEN));
	CHECK_EQ(boot_vm.nranges, 2);
	CHECK_EQ(boot_vm.range[1].gpa, 0x100000000ull - ROM_LEN);
	CHECK(!boot_vm.range[1].ram);
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	before = boot_vm.vcpu;
	for (unsigned i = 0; i < 2; i++) {
		memset(boot_vm.range[1].host, 0xee, ROM_LEN);
		CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
		CHECK_MEM(boot_vm.range[1].host, rom, ROM_LEN);
	}
	/* The vcpu stays at the reset vector, and RAM is the firmware's. */
	CHECK_MEM(&boot_vm.vcpu, &before, sizeof(before));
	for (unsigned i = 0; i < 0x100000; i += 8)
		CHECK_EQ(boot_vm_read(&boot_vm, i, 8), 0);
	end();
}

static void test_bios_sizes(void)
{
	static const size_t bad[] = {0, 0xf000, 0x10001, 0x1000001};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad); i++) {
		REQUIRE(begin(bad[i]));
		CHECK_EQ(boot_vm.nranges, 1); /* no ROM for it */
		CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_EBADMSG);
		CHECK(strstr(boot_vm_log, "cannot boot f: firmware: expected 64 KiB to 16 MiB"));
		end();
	}
}

/* ---- a firmware that does what the commands say ---- */

static uint8_t fseg[64], *tables;
static uint32_t tables_at;
static size_t tables_len;

static const void *file(const char *name, size_t *len)
{
	for (unsigned i = 0; i < boot_vm.nfw; i++) {
		if (strcmp(boot_vm.fw[i].name, name))
			continue;
		*len = boot_vm.fw[i].len;
		return boot_vm.fw[i].data;
	}
	return NULL;
}

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint8_t *firmware_file(const char *name, size_t *size)
{
	bool is_rsdp = !strcmp(name, "etc/acpi/rsdp");

	CHECK(is_rsdp || !strcmp(name, "etc/acpi/tables"));
	*size = is_rsdp ? 36 : tables_len;
	return is_rsdp ? fseg : tables;
}

static void firmware_pointer(const uint8_t *cmd)
{
	size_t size;
	uint8_t *to = firmware_file((const char *)cmd + 4, &size);
	uint32_t offset = le32(cmd + 116), width = cmd[120];
	uint64_t value = 0;

	CHECK_STR((const char *)cmd + 60, "etc/acpi/tables");
	CHECK(width == 4 || width == 8);
	REQUIRE(offset + width <= size);
	memcpy(&value, to + offset, width);
	CHECK(value < tables_len);
	value += tables_at;
	memcpy(to + offset, &value, width);
}

static void firmware_checksum(const uint8_t *cmd)
{
	size_t size;
	uint8_t *at = firmware_file((const char *)cmd + 4, &size), sum = 0;
	uint32_t offset = le32(cmd + 60), start = le32(cmd + 64), len = le32(cmd + 68);

	REQUIRE(start + len <= size && offset < size);
	CHECK_EQ(at[offset], 0); /* some firmware stores the sum, other adds it */
	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + at[start + i]);
	at[offset] = (uint8_t)(at[offset] - sum);
}

/* Run the loader with the tables at @p base. */
static void firmware_run(uint32_t base)
{
	size_t len = 0, rsdp_len = 0;
	const uint8_t *cmd = file("etc/table-loader", &len);
	const void *rsdp = file("etc/acpi/rsdp", &rsdp_len);
	unsigned allocated = 0;
	const void *image;

	tables_at = base;
	REQUIRE(cmd && len % 128 == 0 && rsdp);
	CHECK_EQ(rsdp_len, 36);
	memcpy(fseg, rsdp, 36);
	tables = malloc(0x4000);
	image = file("etc/acpi/tables", &tables_len);
	REQUIRE(tables && image && tables_len <= 0x4000);
	memcpy(tables, image, tables_len);
	for (; len; len -= 128, cmd += 128) {
		switch (le32(cmd)) {
		case 1:
			allocated++;
			CHECK_EQ(cmd[64], strcmp((const char *)cmd + 4, "etc/acpi/rsdp") ? 1 : 2);
			break;
		case 2:
			firmware_pointer(cmd);
			break;
		case 3:
			firmware_checksum(cmd);
			break;
		default:
			tap_fail(__FILE__, __LINE__, "command %u", le32(cmd));
		}
	}
	CHECK_EQ(allocated, 2);
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static const uint8_t *table(uint64_t address)
{
	const uint8_t *t;

	if (!CHECK_MSG(address >= tables_at && address - tables_at < tables_len, "%#" PRIx64,
		       address))
		return NULL;
	t = tables + (address - tables_at);
	if (memcmp(t, "FACS", 4))
		CHECK_MSG(!sum(t, le32(t + 4)), "checksum of %.4s", (const char *)t);
	return t;
}

static void check_list(const uint8_t *list, const char *signature, unsigned width)
{
	bool facp = false, apic = false;
	uint64_t address;

	REQUIRE(list);
	CHECK(!memcmp(list, signature, 4));
	for (uint32_t off = 36; off < le32(list + 4); off += width) {
		const uint8_t *t;

		address = 0;
		memcpy(&address, list + off, width);
		t = table(address);
		REQUIRE(t);
		apic |= !memcmp(t, "APIC", 4);
		if (memcmp(t, "FACP", 4))
			continue;
		facp = true;
		CHECK(!memcmp(table(le32(t + 36)), "FACS", 4));
		CHECK(!memcmp(table(le32(t + 40)), "DSDT", 4));
		memcpy(&address, t + 140, 8);
		CHECK(!memcmp(table(address), "DSDT", 4));
	}
	CHECK(facp && apic);
}

static void test_bios_places_acpi_tables(void)
{
	uint64_t xsdt;

	REQUIRE(begin(ROM_LEN));
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	firmware_run(0x0ffe0000);
	CHECK(!memcmp(fseg, "RSD PTR ", 8));
	CHECK(!sum(fseg, 20) && !sum(fseg, 36));
	check_list(table(le32(fseg + 16)), "RSDT", 4);
	memcpy(&xsdt, fseg + 24, 8);
	check_list(table(xsdt), "XSDT", 8);
	free(tables);
	end();
}

static void test_bios_settings(void)
{
	size_t len = 0;
	const uint64_t *port, *menu;

	REQUIRE(begin(ROM_LEN));
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	port = file("etc/sercon-port", &len);
	REQUIRE(port);
	CHECK_EQ(*port, 0x3f8);
	menu = file("etc/show-boot-menu", &len);
	REQUIRE(menu);
	CHECK_EQ(*menu, 0);
	end();
}

static void test_bios_console_is_the_display(void)
{
	size_t len = 0;

	REQUIRE(begin_as(TOML "[[device]]\nclass='vga'\n", ROM_LEN));
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK(!file("etc/sercon-port", &len));
	CHECK(file("etc/show-boot-menu", &len) != NULL);
	end();
}

static void test_bios_fw_cfg_full(void)
{
	for (boot_vm_fw_limit = 0; boot_vm_fw_limit < 5; boot_vm_fw_limit++) {
		REQUIRE(begin(ROM_LEN));
		CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_ENOSPC);
		CHECK_STR(boot_vm_log,
			  "cannot boot f: fw_cfg has no room for what the firmware needs");
		end();
	}
	boot_vm_fw_limit = 8;
}

static void test_bios_out_of_memory(void)
{
	unsigned step;
	int err = V3_ENOMEM;

	for (step = 1; err == V3_ENOMEM && step < 10; step++) {
		REQUIRE(begin(ROM_LEN));
		small_alloc_fail_at(step, false);
		err = v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg);
		small_alloc_fail_at(0, false);
		end();
	}
	CHECK_EQ(err, V3_OK);
	CHECK(step > 3);
}

static const struct tap_test tests[] = {
	TAP(test_bios_rom_at_every_power_on),  TAP(test_bios_sizes),
	TAP(test_bios_places_acpi_tables),     TAP(test_bios_settings),
	TAP(test_bios_console_is_the_display), TAP(test_bios_fw_cfg_full),
	TAP(test_bios_out_of_memory),
};
TAP_MAIN(tests)
