/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_acpi.c
 * ACPI tables: found as a guest finds them, checksums, contents against platform.h; and, where the
 * ACPI compiler iasl is installed, what it makes of every table.
 */
#include "boot_vm.h"

#include "boot/aml.h"
#include "boot/loader.h"

#define TOML(vcpus, more)                                                                          \
	"[vm]\nname='t'\nmemory='16M'\nvcpus=" #vcpus "\n[boot]\ntype='linux'\nkernel='k'\n" more

static uint8_t sum(const uint8_t *p, uint32_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static bool make(const char *definition)
{
	if (!boot_vm_begin(definition))
		return false;
	boot_state.cfg = boot_vm_cfg;
	return CHECK_EQ(v3_acpi_setup(&boot_vm, &boot_state), V3_OK);
}

/* As an operating system does: 16-byte steps through the BIOS area. */
static uint64_t find_rsdp(void)
{
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16) {
		if (!memcmp(boot_vm_ptr(&boot_vm, at, 8), "RSD PTR ", 8) &&
		    sum(boot_vm_ptr(&boot_vm, at, 20), 20) == 0)
			return at;
	}
	return 0;
}

/* Table by signature through the XSDT, or the RSDT if @p old. Its checksum is right. */
static const uint8_t *find_table(const char *signature, bool old)
{
	uint64_t rsdp = find_rsdp(), at, list;
	unsigned width = old ? 4 : 8;
	const uint8_t *p;
	uint32_t len;

	if (!CHECK(rsdp != 0))
		return NULL;
	list = boot_vm_read(&boot_vm, rsdp + (old ? 16 : 24), width);
	if (!CHECK_MEM(boot_vm_ptr(&boot_vm, list, 4), old ? "RSDT" : "XSDT", 4))
		return NULL;
	len = (uint32_t)boot_vm_read(&boot_vm, list + 4, 4);
	CHECK_EQ(sum(boot_vm_ptr(&boot_vm, list, len), len), 0);
	for (uint64_t e = list + 36, end = list + len; e < end; e += width) {
		at = boot_vm_read(&boot_vm, e, width);
		p = boot_vm_ptr(&boot_vm, at, 36);
		len = (uint32_t)boot_vm_read(&boot_vm, at + 4, 4);
		CHECK_EQ(sum(boot_vm_ptr(&boot_vm, at, len), len), 0);
		CHECK(at >= V3_PC_TABLES_BASE && at + len <= V3_PC_TABLES_END);
		if (!memcmp(p, signature, 4))
			return p;
	}
	return NULL;
}

static uint64_t field(const uint8_t *table, unsigned off, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, table + off, size);
	return value;
}

static void test_acpi_rsdp(void)
{
	const uint8_t *rsdp;

	if (make(TOML(1, ""))) {
		CHECK_EQ(boot_state.rsdp, V3_PC_TABLES_BASE);
		CHECK_EQ(find_rsdp(), boot_state.rsdp);
		rsdp = boot_vm_ptr(&boot_vm, boot_state.rsdp, 36);
		CHECK_EQ(rsdp[15], 2);
		CHECK_EQ(field(rsdp, 20, 4), 36);
		CHECK_EQ(sum(rsdp, 36), 0);
		CHECK(find_table("FACP", false) == find_table("FACP", true));
		CHECK(find_table("APIC", false) == find_table("APIC", true));
	}
	boot_vm_end();
}

static void test_acpi_fadt(void)
{
	const uint8_t *t, *facs;

	REQUIRE(make(TOML(1, "")));
	t = find_table("FACP", false);
	REQUIRE(t != NULL);
	CHECK_EQ(field(t, 4, 4), 276);
	CHECK_EQ(t[8], 6);
	CHECK_EQ(field(t, 46, 2), V3_PC_IRQ_SCI);
	CHECK_EQ(field(t, 48, 4), 0); /* no SMI command port */
	CHECK_EQ(field(t, 56, 4), V3_PC_PM1_EVT);
	CHECK_EQ(field(t, 64, 4), V3_PC_PM1_CNT);
	CHECK_EQ(field(t, 76, 4), V3_PC_PM_TMR);
	CHECK_EQ(field(t, 80, 4), V3_PC_GPE0);
	CHECK_EQ(t[88], 4);
	CHECK_EQ(t[89], 2);
	CHECK_EQ(t[91], 4);
	CHECK_EQ(t[92], 4);
	CHECK_EQ(t[108], 0x32);
	CHECK_EQ(field(t, 109, 2), 1 | 4); /* ISA devices, no VGA; this one has no 8042 */
	CHECK_EQ(field(t, 112, 4), 1 | 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 12);
	CHECK_EQ(field(t, 116, 4), 0x01000801); /* I/O, 8 bits */
	CHECK_EQ(field(t, 120, 8), 0xcf9);
	CHECK_EQ(t[128], 6);
	CHECK_EQ(field(t, 140, 8), field(t, 40, 4));
	CHECK_EQ(field(t, 148, 4), 0x03002001); /* X_PM1a_EVT_BLK: I/O, 32 bits */
	CHECK_EQ(field(t, 152, 8), V3_PC_PM1_EVT);
	CHECK_EQ(field(t, 172, 4), 0x02001001);
	CHECK_EQ(field(t, 176, 8), V3_PC_PM1_CNT);
	CHECK_EQ(field(t, 208, 4), 0x03002001);
	CHECK_EQ(field(t, 212, 8), V3_PC_PM_TMR);
	CHECK_EQ(field(t, 220, 4), 0x03002001);
	CHECK_EQ(field(t, 224, 8), V3_PC_GPE0);
	CHECK_EQ(field(t, 36, 4) & 63, 0);
	facs = boot_vm_ptr(&boot_vm, field(t, 36, 4), 64);
	CHECK_MEM(facs, "FACS\x40\0\0\0", 8);
	CHECK_EQ(facs[32], 2);
	boot_vm_end();
}

static void test_acpi_madt(void)
{
	unsigned count[16] = {0};
	const uint8_t *t, *e;

	REQUIRE(make(TOML(32, "")));
	t = find_table("APIC", false);
	REQUIRE(t != NULL);
	CHECK_EQ(field(t, 36, 4), V3_PC_LAPIC_BASE);
	CHECK_EQ(field(t, 40, 4), 1);
	for (e = t + 44; e < t + field(t, 4, 4); e += e[1]) {
		REQUIRE(e[1] >= 2 && e[0] < 16);
		count[e[0]]++;
		switch (e[0]) {
		case 0:
			CHECK_EQ(e[2], count[0] - 1);
			CHECK_EQ(e[3], count[0] - 1);
			CHECK_EQ(field(e, 4, 4), 1);
			break;
		case 1:
			CHECK_EQ(e[2], V3_PC_IOAPIC_ID);
			CHECK_EQ(field(e, 4, 4), V3_PC_IOAPIC_BASE);
			CHECK_EQ(field(e, 8, 4), 0);
			break;
		case 2:
			CHECK_EQ(e[3], count[2] == 1 ? 0 : 9);
			CHECK_EQ(field(e, 4, 4), count[2] == 1 ? 2 : 9);
			CHECK_EQ(field(e, 8, 2), count[2] == 1 ? 0 : 0xd);
			break;
		case 4:
			CHECK_EQ(e[2], 0xff);
			CHECK_EQ(e[5], 1);
			break;
		default:
			tap_fail(__FILE__, __LINE__, "entry type %u", e[0]);
		}
	}
	CHECK_EQ(e - t, field(t, 4, 4));
	CHECK_EQ(count[0], 32);
	CHECK_EQ(count[1], 1);
	CHECK_EQ(count[2], 2);
	CHECK_EQ(count[4], 1);
	boot_vm_end();
}

/* The ids of the topology, in the order of the vcpus. */
static void test_acpi_madt_topology(void)
{
	static const uint8_t ids[6] = {0, 1, 2, 4, 5, 6};
	const uint8_t *t;

	REQUIRE(make("[vm]\nname='t'\nmemory='16M'\nvcpus=6\nsockets=2\n"
		     "[boot]\ntype='linux'\nkernel='k'\n"));
	t = find_table("APIC", false);
	REQUIRE(t != NULL);
	for (unsigned i = 0; i < 6; i++) {
		CHECK_EQ(t[44 + 8 * i], 0);
		CHECK_EQ(t[44 + 8 * i + 2], i);
		CHECK_EQ(t[44 + 8 * i + 3], ids[i]);
	}
	CHECK(!find_table("SRAT", false) && !find_table("SLIT", false) &&
	      !find_table("HPET", false));
	boot_vm_end();
}

/* Three nodes; the second one's memory has the hole below 4 GiB in it. */
static void test_acpi_srat_and_slit(void)
{
	static const struct {
		uint32_t node;
		uint64_t gpa, size;
	} ram[] = {{0, 0, 2ull << 30},
		   {1, 2ull << 30, 1ull << 30},
		   {1, 4ull << 30, 1ull << 30},
		   {2, 5ull << 30, 512ull << 20}};
	const uint8_t *t, *e;

	REQUIRE(make("[vm]\nname='t'\nmemory='4608M'\nvcpus=3\nnodes=[{memory='2G'},{memory='2G'},"
		     "{memory='512M'}]\ncpus=[0,{cpu=1,node=2},2]\n"
		     "[boot]\ntype='linux'\nkernel='k'\n"));
	t = find_table("SRAT", true);
	REQUIRE(t != NULL);
	CHECK_EQ(t[8], 3);
	CHECK_EQ(field(t, 36, 4), 1);
	CHECK_EQ(field(t, 4, 4), 48 + 3 * 16 + 4 * 40);
	for (unsigned i = 0; i < 3; i++) {
		e = t + 48 + 16 * i;
		CHECK_EQ(field(e, 0, 2), 0x1000);
		CHECK_EQ(e[2], i == 0 ? 0 : 2); /* the third vcpu: spread evenly */
		CHECK_EQ(e[3], i);
		CHECK_EQ(field(e, 4, 4), 1);
	}
	for (unsigned i = 0; i < 4; i++) {
		e = t + 96 + 40 * i;
		CHECK_EQ(field(e, 0, 2), 0x2801);
		CHECK_EQ(field(e, 2, 4), ram[i].node);
		CHECK_EQ(field(e, 8, 8), ram[i].gpa);
		CHECK_EQ(field(e, 16, 8), ram[i].size);
		CHECK_EQ(field(e, 28, 4), 1);
	}
	t = find_table("SLIT", false);
	REQUIRE(t != NULL);
	CHECK_EQ(field(t, 36, 8), 3);
	CHECK_EQ(field(t, 4, 4), 44 + 9);
	for (unsigned i = 0; i < 9; i++)
		CHECK_EQ(t[44 + i], i % 4 ? 20 : 10);
	boot_vm_end();
}

static void test_acpi_hpet(void)
{
	const uint8_t *t;

	REQUIRE(make("[vm]\nname='t'\nmemory='64M'\n[boot]\ntype='linux'\nkernel='k'\n"
		     "[[device]]\nclass='hpet'\n"));
	t = find_table("HPET", true);
	REQUIRE(t != NULL);
	CHECK_EQ(field(t, 4, 4), 56);
	CHECK_EQ(field(t, 36, 4), 0x8086a201);
	CHECK_EQ(field(t, 40, 4), 64 << 8);
	CHECK_EQ(field(t, 44, 8), 0xfed00000);
	CHECK_EQ(field(t, 53, 2), 5000);
	boot_vm_end();
}

static void test_acpi_none_without_its_device(void)
{
	REQUIRE(boot_vm_begin(
		"[vm]\nname='t'\nmemory='16M'\nplatform='none'\n[boot]\ntype='linux'\nkernel='k'\n"
		"[[device]]\nclass='acpi_pm'\n"));
	boot_state.cfg = boot_vm_cfg;
	boot_state.rsdp = 1;
	CHECK_EQ(v3_acpi_setup(&boot_vm, &boot_state), V3_OK);
	CHECK_EQ(boot_state.rsdp, 0);
	CHECK_EQ(find_rsdp(), 0);
	boot_vm_end();
}

static void test_acpi_out_of_memory(void)
{
	REQUIRE(boot_vm_begin(TOML(1, "")));
	boot_state.cfg = boot_vm_cfg;
	small_alloc_fail_at(1, false);
	CHECK_EQ(v3_acpi_setup(&boot_vm, &boot_state), V3_ENOMEM);
	small_alloc_fail_at(0, false);
	CHECK_EQ(boot_state.rsdp, 0);
	boot_vm_end();
}

static void test_aml_encodings(void)
{
	static const uint8_t want[] = {
		0x00, 0x01, 0x0a, 0x02, 0x0b, 0x00, 0x01, 0x0c, 0x00, 0x00, 0x01, 0x00, 0x0e, 0x00,
		0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x5c, 0x5f, 0x53, 0x35, 0x5f, /* \_S5_ */
		0x08, 0x5f, 0x48, 0x49, 0x44, 0x0c, 0x41, 0xd0, 0x0a, 0x03, /* PNP0A03 */
		0x5b, 0x82, 0x88, 0x00, 0x00, 0x41, 0x42, 0x5f, 0x5f, 0x01, /* Device (AB) */
		0x08, 0x5f, 0x43, 0x52, 0x53, 0x11, 0x80, 0x01, 0x00, 0x0b, 0x0a, 0x00, /* _CRS */
		0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, 0x79, 0x00,
	};
	uint8_t buf[sizeof(want)];
	struct v3_aml aml = {.buf = buf, .size = sizeof(buf)};
	uint32_t mark;

	v3_aml_number(&aml, 0);
	v3_aml_number(&aml, 1);
	v3_aml_number(&aml, 2);
	v3_aml_number(&aml, 0x100);
	v3_aml_number(&aml, 0x10000);
	v3_aml_number(&aml, 0x100000000);
	v3_aml_name(&aml, "\\_S5");
	v3_aml_hid(&aml, "PNP0A03");
	mark = v3_aml_device(&aml, "AB");
	v3_aml_op(&aml, 1);
	v3_aml_end(&aml, mark);
	mark = v3_aml_resources(&aml);
	v3_aml_res_io(&aml, 0x3f8, 8);
	v3_aml_end_resources(&aml, mark);
	CHECK(!aml.overflow);
	CHECK_EQ(aml.len, sizeof(want));
	CHECK_MEM(buf, want, sizeof(want));
}

static void test_aml_overflow_is_remembered(void)
{
	uint8_t buf[16];
	struct v3_aml aml = {.buf = buf, .size = sizeof(buf)};
	uint32_t mark = v3_aml_resources(&aml);

	v3_aml_res_io(&aml, 0x3f8, 8);
	v3_aml_end_resources(&aml, mark);
	v3_aml_align(&aml, 64);
	CHECK(aml.overflow);
	CHECK(aml.len <= sizeof(buf));
}

/* ---- what the ACPI compiler says ---- */

static bool have_iasl(void)
{
	if (!system("command -v iasl >/dev/null 2>&1"))
		return true;
	tap_skip("iasl (package acpica-tools) is not installed");
	return false;
}

static char *slurp(const char *path)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(path, "r");

	if (f) {
		if (!fread(text, 1, (1 << 20) - 1, f))
			text[0] = '\0';
		fclose(f);
	}
	return text;
}

/* Give @p table to iasl: disassemble; @return its source. @p dir is a fresh folder. */
static char *disassemble(const uint8_t *table, const char *dir, const char *name)
{
	char path[300], cmd[1000];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	f = fopen(path, "w");
	CHECK(f && fwrite(table, 1, field(table, 4, 4), f) == field(table, 4, 4));
	if (f)
		fclose(f);
	snprintf(cmd, sizeof(cmd), "cd %s && iasl -p %s -d %s.dat >%s.out 2>&1", dir, name, name,
		 name);
	CHECK_EQ(system(cmd), 0);
	snprintf(path, sizeof(path), "%s/%s.dsl", dir, name);
	return slurp(path);
}

static void check_contains(const char *text, const char *what)
{
	CHECK_MSG(strstr(text, what) != NULL, "the disassembly lacks: %s", what);
}

static void test_acpi_tables_by_iasl(void)
{
	char dir[] = "/tmp/test_acpi.XXXXXX", cmd[1000], *text, path[300];
	const uint8_t *fadt;

	if (!have_iasl())
		return;
	REQUIRE(mkdtemp(dir) != NULL);
	REQUIRE(make(TOML(12, "[[device]]\nclass='uart'\nport=0x2f8\n")));
	fadt = find_table("FACP", false);

	text = disassemble(boot_vm_ptr(&boot_vm, field(fadt, 40, 4), 36), dir, "dsdt");
	check_contains(text,
		       "DefinitionBlock (\"\", \"DSDT\", 2, \"V3VEE \", \"PALACIOS\", 0x00000001)");
	check_contains(text, "Name (\\_S5, Package (0x04)");
	check_contains(text, "Method (_PIC, 1, NotSerialized)");
	check_contains(text, "Device (C000)");
	check_contains(text, "Device (C011)");
	check_contains(text, "EisaId (\"PNP0A03\") /* PCI Bus */");
	check_contains(text, "WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,");
	check_contains(text, "0xC0000000,         // Range Minimum");
	check_contains(text, "0xFEBFFFFF,         // Range Maximum");
	check_contains(text, "EisaId (\"PNP0501\") /* 16550A-compatible COM Serial Port */");
	check_contains(text, "IRQNoFlags ()");
	check_contains(text, "EisaId (\"PNP0B00\") /* AT Real-Time Clock */");
	check_contains(text, "Name (_HID, \"QEMU0002\")");
	CHECK(!strstr(text, "C012"));
	free(text);

	/* what was disassembled compiles again, without an error or warning */
	snprintf(cmd, sizeof(cmd), "cd %s && iasl -p again dsdt.dsl >again.out 2>&1", dir);
	CHECK_EQ(system(cmd), 0);
	snprintf(path, sizeof(path), "%s/again.out", dir);
	text = slurp(path);
	if (!CHECK_MSG(strstr(text, "0 Errors, 0 Warnings") != NULL,
		       "iasl complains about the DSDT"))
		printf("# %s\n", text);
	free(text);

	text = disassemble(fadt, dir, "facp");
	check_contains(text, "PM Profile : 04 [Enterprise Server]");
	check_contains(text, "Reset Register Supported (V2) : 1");
	check_contains(text, "Headless - No Video (V3) : 1");
	check_contains(text, "8042 Present on ports 60/64 (V2) : 0");
	check_contains(text, "PM1A Control Block Address : 00000604");
	CHECK(!strstr(text, "rror"));
	free(text);
	text = disassemble(find_table("APIC", false), dir, "apic");
	check_contains(text, "Subtable Type : 01 [I/O APIC]");
	check_contains(text, "Interrupt : 00000002");
	free(text);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	CHECK_EQ(system(cmd), 0);
	boot_vm_end();
}

/* Is a name in the DSDT of a definition? */
static bool dsdt_names(const char *name, const char *definition)
{
	const uint8_t *fadt, *dsdt;
	bool found = false;

	if (make(definition)) {
		fadt = find_table("FACP", false);
		dsdt = boot_vm_ptr(&boot_vm, field(fadt, 40, 4), 36);
		found = memmem(dsdt, field(dsdt, 4, 4), name, 4) != NULL;
	}
	boot_vm_end();
	return found;
}

/* The interrupt of COM1 is the one that the definition gives it; one that no ISA descriptor holds is left out. */
static void test_acpi_com1_interrupt(void)
{
	static const struct {
		const char *definition;
		uint16_t mask; /* 0: no descriptor */
	} uart[] = {
		{TOML(1, ""), 1u << 4},
		{TOML(1, "[[device]]\nclass='uart'\nirq=11\n"), 1u << 11},
		{TOML(1, "[[device]]\nclass='uart'\nirq=20\n"), 0},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(uart); i++) {
		/* 8 ports from 0x3f8 on; then the descriptor of the interrupt, or the end */
		const uint8_t ports[] = {0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8};
		const uint8_t *fadt, *dsdt, *p = NULL;

		if (make(uart[i].definition)) {
			fadt = find_table("FACP", false);
			dsdt = boot_vm_ptr(&boot_vm, field(fadt, 40, 4), 36);
			p = memmem(dsdt, field(dsdt, 4, 4), ports, sizeof(ports));
		}
		if (CHECK(p != NULL)) {
			CHECK_EQ(p[8], uart[i].mask ? 0x22 : 0x79);
			if (uart[i].mask)
				CHECK_EQ(p[9] | p[10] << 8, uart[i].mask);
		}
		boot_vm_end();
	}
}

static void test_acpi_names_only_what_is_there(void)
{
	static const char moved[] = TOML(1, "[[device]]\nclass='uart'\nport=0x2f8\n");
	const struct v3_device_class *const all[] = {PLAIN(acpi_pm), PLAIN(rtc), PLAIN(fw_cfg),
						     PLAIN(pci_host), &boot_vm_uart};
	static const char *const names[] = {"PMIO", "RTC_", "FWCF", "PCI0", "COM1"};

	CHECK(dsdt_names("COM1", moved)); /* the platform's own stays at COM1 */
	for (unsigned i = 1; i < 5; i++) {
		/* an embedder that offers all classes, then one that leaves out number i */
		const struct v3_device_class *some[] = {all[0], all[1], all[2],
							all[3], all[4], NULL};

		boot_vm_offered = some;
		CHECK(dsdt_names(names[i], TOML(1, "")));
		some[i] = PLAIN(other);
		CHECK(!dsdt_names(names[i], TOML(1, "")));
		CHECK(dsdt_names("PMIO", TOML(1, "")));
	}
	boot_vm_offered = boot_vm_classes;
}

/* The bridge's memory window: lowest and highest address, from its double-word address space descriptor. */
static void pci_window(uint64_t memory, uint32_t *first, uint32_t *last)
{
	static const uint8_t head[] = {0x87, 0x17, 0x00, 0x00};
	struct v3_vm_cfg cfg = *boot_vm_cfg;
	struct v3_acpi_block block;
	uint8_t *buf = calloc(1, V3_ACPI_BUF_SIZE), *at;

	cfg.memory = memory;
	REQUIRE(buf);
	CHECK_EQ(v3_acpi_make(&cfg, 0, buf, &block), V3_OK);
	at = memmem(buf, block.len, head, sizeof(head));
	if (CHECK(at != NULL)) {
		memcpy(first, at + 10, 4);
		memcpy(last, at + 14, 4);
	}
	free(buf);
}

/* Firmware gives places from 2 GiB on, or behind RAM. */
static void test_acpi_pci_window(void)
{
	static const struct {
		uint64_t memory;
		uint32_t first;
	} cases[] = {
		{16ull << 20, 0x80000000},	   {2ull << 30, 0x80000000},
		{0x80001000, 0x80001000},	   {3ull << 30, 0xc0000000},
		{(3ull << 30) + 4096, 0xc0000000}, {1ull << 40, 0xc0000000},
	};
	uint32_t first = 0, last = 0;

	REQUIRE(boot_vm_begin(TOML(1, "")));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		pci_window(cases[i].memory, &first, &last);
		CHECK_EQ(first, cases[i].first);
		CHECK_EQ(last, 0xfebfffff);
	}
	boot_vm_end();
}

static const struct tap_test tests[] = {
	TAP(test_acpi_pci_window),
	TAP(test_acpi_rsdp),
	TAP(test_acpi_fadt),
	TAP(test_acpi_madt),
	TAP(test_acpi_madt_topology),
	TAP(test_acpi_hpet),
	TAP(test_acpi_srat_and_slit),
	TAP(test_acpi_none_without_its_device),
	TAP(test_acpi_out_of_memory),
	TAP(test_acpi_com1_interrupt),
	TAP(test_acpi_names_only_what_is_there),
	TAP(test_aml_encodings),
	TAP(test_aml_overflow_is_remembered),
	TAP(test_acpi_tables_by_iasl),
};
TAP_MAIN(tests)
