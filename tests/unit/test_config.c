/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_config.c
 * Guest definitions: what is accepted means what it should, and everything else is refused with the
 * right line and words.
 */
#include "config/vm_cfg.h"
#include "palacios/device.h"
#include "palacios/error.h"

#include "small_alloc.h"
#include "tap.h"

static const struct v3_cfg_key uart_keys[] = {
	{.name = "port", .type = V3_CFG_UINT, .low = 0x100, .high = 0xfff8, .def = 0x3f8},
	{.name = "irq", .type = V3_CFG_UINT, .low = 3, .high = 15, .def = 4},
	{.name = "console", .type = V3_CFG_STRING, .high = 31, .def_str = "console"},
	{.name = NULL},
};
static const struct v3_cfg_key disk_keys[] = {
	{.name = "image", .type = V3_CFG_FILE, .required = true},
	{.name = "cache", .type = V3_CFG_SIZE, .low = 65536, .high = 1ull << 30, .def = 1 << 20},
	{.name = "readonly", .type = V3_CFG_BOOL, .def = 1},
	{.name = "queues", .type = V3_CFG_UINTS, .low = 1, .high = 8},
	{.name = "tags", .type = V3_CFG_STRINGS, .high = 8},
	{.name = "weight", .type = V3_CFG_UINT, .low = 2},
	{.name = NULL},
};
static const struct v3_device_class lapic = {.name = "lapic"}, i8259 = {.name = "i8259"};
static const struct v3_device_class uart = {.name = "uart", .keys = uart_keys};
static const struct v3_device_class disk = {.name = "disk", .keys = disk_keys};
static const struct v3_device_class *const classes[] = {&disk, &uart, &i8259, &lapic, NULL};

static struct v3_cfg_error error;

/* @return the definition, NULL if it was refused with a message */
static struct v3_vm_cfg *parse_len(const char *text, size_t len)
{
	struct v3_vm_cfg *cfg = NULL;
	char *copy = malloc(len ? len : 1); /* exact size: a read past the end is caught */
	int err;

	memcpy(copy, text, len);
	memset(&error, 0xee, sizeof(error));
	err = v3_vm_cfg_parse(copy, len, "guest.toml", classes, &cfg, &error);
	free(copy); /* the result must not point into it */
	if (err) {
		CHECK_EQ(err, V3_EBADMSG);
		CHECK(!cfg && error.message[0] && !strcmp(error.file, "guest.toml"));
		CHECK(memchr(error.message, 0, sizeof(error.message)) != NULL);
	}
	return cfg;
}

static struct v3_vm_cfg *parse(const char *text)
{
	return parse_len(text, strlen(text));
}

static void no_leak(void)
{
	CHECK_EQ(small_alloc.live, 0);
}

#define VM   "[vm]\nname = \"g\"\nmemory = \"64M\"\n" /* 3 lines */
#define BOOT "[boot]\ntype = \"linux\"\nkernel = \"k\"\n"

static void test_config_full(void)
{
	static const char text[] =
		"# a comment with \xc3\xa4\r\n"
		"[ vm ] # blanks are allowed\r\n"
		"name = \"deb-1\"\n"
		"memory = \"1536M\"\n"
		"vcpus = 0x2\t# hexadecimal\n"
		"cpus = [\n  3, # third\n  1,\n]\n"
		"numa_node = 0\n"
		"tsc_khz = 2_500_000\n"
		"log = 'debug'\n"
		"\n[boot]\n"
		"type = \"multiboot\"\n"
		"kernel = \"sub/kernel.elf\"\n"
		"cmdline = \"a=\\\"b\\\" \\u00e4\\t\\\\\"\n"
		"modules = [\"disk.img\", \"initrd.cpio root ro\", 'disk.img twice']\n"
		"[[device]]\n"
		"class = \"disk\"\n"
		"image = \"disk.img\"\n"
		"queues = [ 1, 2, 1_0, ]\n"
		"[[device]]\n"
		"class = \"uart\"\n"
		"irq = 0b111\n"
		"[[device]]\n"
		"port = 0o1370\n"
		"class = \"uart\"";
	char good[sizeof(text)];
	struct v3_vm_cfg *cfg;

	CHECK(!parse(text)); /* queues: 10 is out of range */
	CHECK_STR(error.message, "queues: expected a number 1..8, got 10");
	CHECK_EQ(error.line, 22);
	memcpy(good, text, sizeof(text));
	memcpy(strstr(good, "1_0"), "  8", 3);
	cfg = parse(good);
	REQUIRE(cfg != NULL);
	CHECK_STR(cfg->name, "deb-1");
	CHECK_EQ(cfg->memory, 1536ull << 20);
	CHECK_EQ(cfg->vcpus, 2);
	CHECK_EQ(cfg->ncpus, 2);
	CHECK_EQ(cfg->cpus[0], 3);
	CHECK_EQ(cfg->cpus[1], 1);
	CHECK_EQ(cfg->numa_node, 0);
	CHECK_EQ(cfg->tsc_khz, 2500000);
	CHECK_EQ(cfg->log_level, V3_LOG_DEBUG);
	CHECK_EQ(cfg->platform, V3_PLATFORM_PC);
	CHECK_EQ(cfg->boot, V3_BOOT_MULTIBOOT);
	CHECK_STR(cfg->kernel, "sub/kernel.elf");
	CHECK_STR(cfg->cmdline, "a=\"b\" \xc3\xa4\t\\");
	CHECK(!cfg->initrd);
	CHECK_EQ(cfg->nmodules, 3);
	CHECK_STR(cfg->modules[1].file, "initrd.cpio");
	CHECK_STR(cfg->modules[1].cmdline, "initrd.cpio root ro");
	CHECK_EQ(cfg->nfiles, 3); /* disk.img counts once */
	CHECK_STR(cfg->files[0], "sub/kernel.elf");
	CHECK_STR(cfg->files[1], "disk.img");
	CHECK_STR(cfg->files[2], "initrd.cpio");

	/* platform order: lapic, i8259, uart; then disk and the second uart */
	REQUIRE_EQ(cfg->ndevices, 5);
	CHECK(cfg->devices[0].class == &lapic && cfg->devices[1].class == &i8259);
	CHECK_EQ(cfg->devices[0].line, 0);
	CHECK(cfg->devices[2].class == &uart);
	CHECK_EQ(cfg->devices[2].line, 23);
	CHECK_EQ(v3_cfg_uint(cfg->devices[2].cfg, "irq"), 7);
	CHECK_EQ(v3_cfg_uint(cfg->devices[2].cfg, "port"), 0x3f8);
	CHECK(v3_cfg_has(cfg->devices[2].cfg, "irq") && !v3_cfg_has(cfg->devices[2].cfg, "port"));
	CHECK_STR(v3_cfg_string(cfg->devices[2].cfg, "console"), "console");
	CHECK(cfg->devices[3].class == &disk);
	CHECK_STR(v3_cfg_string(cfg->devices[3].cfg, "image"), "disk.img");
	CHECK_EQ(v3_cfg_uint(cfg->devices[3].cfg, "cache"), 1 << 20);
	CHECK(v3_cfg_bool(cfg->devices[3].cfg, "readonly"));
	CHECK_EQ(v3_cfg_count(cfg->devices[3].cfg, "queues"), 3);
	CHECK_EQ(v3_cfg_uint_at(cfg->devices[3].cfg, "queues", 2), 8);
	CHECK_EQ(v3_cfg_uint_at(cfg->devices[3].cfg, "queues", 3), 0);
	CHECK_EQ(v3_cfg_count(cfg->devices[3].cfg, "tags"), 0);
	CHECK_EQ(v3_cfg_uint(cfg->devices[4].cfg, "port"), 0x2f8);
	CHECK(v3_vm_cfg_has_device(cfg, "disk") && !v3_vm_cfg_has_device(cfg, "rtc"));
	v3_vm_cfg_free(cfg);
	no_leak();
}

static void test_config_minimal(void)
{
	struct v3_vm_cfg *cfg = parse(VM BOOT);

	REQUIRE(cfg != NULL);
	CHECK_EQ(cfg->vcpus, 1);
	CHECK_EQ(cfg->ncpus, 0);
	CHECK_EQ(cfg->numa_node, -1);
	CHECK_EQ(cfg->nnodes, 0);
	CHECK_EQ(cfg->topology.sockets, 1);
	CHECK_EQ(cfg->topology.cores, 1);
	CHECK_EQ(cfg->topology.threads, 1);
	CHECK_EQ(cfg->yield, V3_YIELD_FRIENDLY);
	CHECK_EQ(cfg->log_level, V3_LOG_INFO);
	CHECK_STR(cfg->cmdline, "");
	CHECK_EQ(cfg->ndevices, 3);
	CHECK_EQ(cfg->nmodules, 0);
	v3_vm_cfg_free(cfg);
	v3_vm_cfg_free(NULL);
	no_leak();
}

static void test_config_placement(void)
{
	struct v3_vm_cfg *cfg =
		parse(VM "vcpus = 4\nsockets = 2\nthreads = 2\nyield = 'adaptive'\n"
			 "cpus = [ {cpu = 7}, { node = 0, cpu = 5 },\n\t9,\n"
			 "\t{cpu=0x1,node=0}, # on node 0, too\n]\n"
			 "nodes = [{memory = \"16M\", host = 3}, {memory = \"48M\"}]\n" BOOT);

	REQUIRE(cfg != NULL);
	CHECK_EQ(cfg->topology.sockets, 2);
	CHECK_EQ(cfg->topology.cores, 1);
	CHECK_EQ(cfg->topology.threads, 2);
	CHECK_EQ(cfg->yield, V3_YIELD_ADAPTIVE);
	REQUIRE_EQ(cfg->ncpus, 4);
	CHECK_EQ(cfg->cpus[0], 7);
	CHECK_EQ(cfg->cpus[1], 5);
	CHECK_EQ(cfg->cpus[2], 9);
	CHECK_EQ(cfg->cpus[3], 1);
	CHECK_EQ(cfg->vcpu_node[0], 0);
	CHECK_EQ(cfg->vcpu_node[1], 0);
	CHECK_EQ(cfg->vcpu_node[2], 1); /* the second half */
	CHECK_EQ(cfg->vcpu_node[3], 0);
	REQUIRE_EQ(cfg->nnodes, 2);
	CHECK_EQ(cfg->node[0].memory, 16 << 20);
	CHECK_EQ(cfg->node[0].host_node, 3);
	CHECK_EQ(cfg->node[1].memory, 48 << 20);
	CHECK_EQ(cfg->node[1].host_node, -1);
	v3_vm_cfg_free(cfg);
	no_leak();
}

static void test_config_platform_none_has_no_devices(void)
{
	struct v3_vm_cfg *cfg =
		parse(VM "platform = \"none\"\n" BOOT "[[device]]\nclass = \"lapic\"\n");

	REQUIRE(cfg != NULL);
	CHECK_EQ(cfg->platform, V3_PLATFORM_NONE);
	CHECK_EQ(cfg->ndevices, 1);
	v3_vm_cfg_free(cfg);
	no_leak();
}

static void test_config_all_value_forms(void)
{
	struct v3_vm_cfg *cfg;

	cfg = parse(
		"[vm]\nname='-0a-'\nmemory=\"1T\"\nvcpus=3_2\n[boot]\ntype='linux'\nkernel='a\\b'\n"
		"initrd='i'\ncmdline=\"\\b\\f\\n\\r\\U0001F600\\\"\"\n"
		"[[device]]\nclass='disk'\nimage='k'\ncache='64K'\nreadonly=false\ntags=['','"
		"12345678']\n"
		"weight=18_446_744_073_709_551_615\n"
		"[[device]]\nclass='disk'\nimage='k'\nweight=0xffff_FFFF_ffff_ffff\nqueues=[]\n");
	REQUIRE(cfg != NULL);
	CHECK_EQ(cfg->memory, 1ull << 40);
	CHECK_EQ(cfg->vcpus, 32);
	CHECK_STR(cfg->kernel, "a\\b"); /* no escapes in single quotes */
	CHECK_STR(cfg->cmdline, "\b\f\n\r\xf0\x9f\x98\x80\"");
	REQUIRE_EQ(cfg->ndevices, 5);
	CHECK(!v3_cfg_bool(cfg->devices[3].cfg, "readonly"));
	CHECK_EQ(v3_cfg_uint(cfg->devices[3].cfg, "cache"), 65536);
	CHECK_EQ(v3_cfg_uint(cfg->devices[3].cfg, "weight"), UINT64_MAX);
	CHECK_STR(v3_cfg_string_at(cfg->devices[3].cfg, "tags", 1), "12345678");
	CHECK_STR(v3_cfg_string_at(cfg->devices[3].cfg, "tags", 2), "");
	CHECK_EQ(v3_cfg_uint(cfg->devices[4].cfg, "weight"), UINT64_MAX);
	CHECK(v3_cfg_has(cfg->devices[4].cfg, "queues"));
	v3_vm_cfg_free(cfg);
	no_leak();
}

/* ---- what is refused ---- */

struct bad {
	const char *text;
	unsigned line;
	const char *message;
};

static void check_bad(const struct bad *bad, size_t n)
{
	struct v3_vm_cfg *cfg;

	for (size_t i = 0; i < n; i++) {
		cfg = parse(bad[i].text);
		if (!CHECK_MSG(!cfg, "accepted: %s", bad[i].text)) {
			v3_vm_cfg_free(cfg);
			continue;
		}
		CHECK_MSG(error.line == bad[i].line, "line %u, expected %u: %s", error.line,
			  bad[i].line, bad[i].text);
		CHECK_STR(error.message, bad[i].message);
	}
	no_leak();
}

static void test_config_refuses_bad_values(void)
{
	static const struct bad bad[] = {
		/* the example of the issue, with its line */
		{"\n\n\n\n\n\n\n\n[vm]\nname = \"x\"\n\nmemory = 12\n" BOOT, 12,
		 "memory: expected a size such as \"256M\", got 12 (number)"},
		{"[vm]\nname=1\nmemory=\"1M\"\n" BOOT, 2,
		 "name: expected a text in quotes, got 1 (number)"},
		{"[vm]\nname=\"A\"\nmemory=\"1M\"\n" BOOT, 2,
		 "name: expected 1 to 31 of a-z, 0-9 and '-', got \"A\""},
		{"[vm]\nname=\"\"\nmemory=\"1M\"\n" BOOT, 2,
		 "name: expected 1 to 31 of a-z, 0-9 and '-', got \"\""},
		{"[vm]\nname=\"01234567890123456789012345678901\"\nmemory=\"1M\"\n" BOOT, 2,
		 "name: expected at most 31 bytes, got 32"},
		{"[vm]\nname=\"a\"\nmemory=\"512K\"\n" BOOT, 3,
		 "memory: expected a size 1M..1T, got 512K"},
		{"[vm]\nname=\"a\"\nmemory=\"2T\"\n" BOOT, 3,
		 "memory: expected a size 1M..1T, got 2T"},
		{"[vm]\nname=\"a\"\nmemory=\"1025K\"\n" BOOT, 3,
		 "memory: expected a multiple of 4K, got 1025K"},
		{"[vm]\nname=\"a\"\nmemory=\"12X\"\n" BOOT, 3,
		 "memory: expected a size such as \"256M\", got \"12X\" (text)"},
		{"[vm]\nname=\"a\"\nmemory=\"12MB\"\n" BOOT, 3,
		 "memory: expected a size such as \"256M\", got \"12MB\" (text)"},
		{"[vm]\nname=\"a\"\nmemory=\"4096\"\n" BOOT, 3,
		 "memory: expected a size such as \"256M\", got \"4096\" (text)"},
		{"[vm]\nname=\"a\"\nmemory=\"-1M\"\n" BOOT, 3,
		 "memory: expected a size such as \"256M\", got \"-1M\" (text)"},
		{"[vm]\nname=\"a\"\nmemory=\"\"\n" BOOT, 3,
		 "memory: expected a size such as \"256M\", got \"\" (text)"},
		{"[vm]\nname=\"a\"\nmemory=\"99999999999999999999M\"\n" BOOT, 3,
		 "memory: the size does not fit 64 bits"},
		{"[vm]\nname=\"a\"\nmemory=\"16777216T\"\n" BOOT, 3,
		 "memory: the size does not fit 64 bits"},
		{"[vm]\nname=\"a\"\nmemory=true\n" BOOT, 3,
		 "memory: expected a size such as \"256M\", got true (boolean)"},
		{"[vm]\nname=\"a\"\nmemory=[1]\n" BOOT, 3,
		 "memory: expected a size such as \"256M\", got a list"},
		{VM "vcpus=0\n" BOOT, 4, "vcpus: expected a number 1..32, got 0"},
		{VM "vcpus=33\n" BOOT, 4, "vcpus: expected a number 1..32, got 33"},
		{VM "vcpus=\"2\"\n" BOOT, 4, "vcpus: expected a number, got \"2\" (text)"},
		{VM "log=\"loud\"\n" BOOT, 4,
		 "log: expected \"error\", \"warn\", \"info\" or \"debug\", got \"loud\""},
		{VM "platform=\"mac\"\n" BOOT, 4,
		 "platform: expected \"pc\" or \"none\", got \"mac\""},
		{VM "cpus=3\n" BOOT, 4,
		 "cpus: expected a list of numbers or tables such as [0, {key = 1}], got 3 "
		 "(number)"},
		{VM "cpus=[\"a\"]\n" BOOT, 4,
		 "cpus: expected a list of numbers or tables such as [0, {key = 1}], got \"a\" "
		 "(text)"},
		{VM "cpus=[0, 1]\n" BOOT, 4,
		 "cpus: expected one element per vcpu, 1 in all, got 2"},
		{VM "cpus=[]\n" BOOT, 4, "cpus: expected one element per vcpu, 1 in all, got 0"},
		{VM "cpus=[4096]\n" BOOT, 4, "cpus: expected a number 0..4095, got 4096"},
		{VM "cpus=[{cpu=4096}]\n" BOOT, 4, "cpu: expected a number 0..4095, got 4096"},
		{VM "cpus=[\n{node=0}]\n" BOOT, 5, "cpu: missing in [cpus], expected a number"},
		{VM "cpus=[{cpu=1, nod=0}]\n" BOOT, 4,
		 "nod: unknown key in [cpus], did you mean \"node\"?"},
		{VM "cpus=[{cpu=1, node=0}]\n" BOOT, 4,
		 "cpus: node 0 is not one of the 0 in \"nodes\""},
		{VM "cpus=[\n{cpu=1, node=1}]\nnodes=[{memory=\"64M\"}]\n" BOOT, 5,
		 "cpus: node 1 is not one of the 1 in \"nodes\""},
		{VM "nodes=[]\n" BOOT, 4, "nodes: expected 1 to 8, got 0"},
		{VM "nodes=[1]\n" BOOT, 4,
		 "nodes: expected a list of tables such as [{key = 1}], got 1 (number)"},
		{VM "nodes=[{}]\n" BOOT, 4, "expected a key, got '}'"},
		{VM "nodes=[{host=1}]\n" BOOT, 4,
		 "memory: missing in [nodes], expected a size such as \"256M\""},
		{VM "nodes=[{memory=\"64M\", host=256}]\n" BOOT, 4,
		 "host: expected a number 0..255, got 256"},
		{VM "nodes=[{memory=\"32M\"}]\n" BOOT, 4,
		 "nodes: expected multiples of 4K, 64M in all"},
		{VM "nodes=[{memory=\"32M\"}, {memory=\"33M\"}]\n" BOOT, 4,
		 "nodes: expected multiples of 4K, 64M in all"},
		{VM "nodes=[{memory=\"1T\"}, {memory=\"16777215T\"}]\n" BOOT, 4,
		 "nodes: expected multiples of 4K, 64M in all"},
		{VM "nodes=[{memory=\"5K\"}, {memory=\"65531K\"}]\n" BOOT, 4,
		 "nodes: expected multiples of 4K, 64M in all"},
		{VM "numa_node=0\nnodes=[{memory=\"64M\"}]\n" BOOT, 5,
		 "nodes: not together with numa_node"},
		{VM "vcpus=4\nsockets=3\n" BOOT, 5,
		 "sockets: sockets, cores and threads do not multiply to 4 vcpus"},
		{VM "vcpus=4\nthreads=2\ncores=1\n" BOOT, 6,
		 "cores: sockets, cores and threads do not multiply to 4 vcpus"},
		{VM "threads=2\n" BOOT, 4,
		 "threads: sockets, cores and threads do not multiply to 1 vcpus"},
		{VM "sockets=0\n" BOOT, 4, "sockets: expected a number 1..32, got 0"},
		{VM "cores=33\n" BOOT, 4, "cores: expected a number 1..32, got 33"},
		{VM "yield=\"never\"\n" BOOT, 4,
		 "yield: expected \"friendly\", \"greedy\" or \"adaptive\", got \"never\""},
		{VM "numa_node=256\n" BOOT, 4, "numa_node: expected a number 0..255, got 256"},
		{VM "tsc_khz=999\n" BOOT, 4,
		 "tsc_khz: expected a number 0x3e8..0xffffffff, got 0x3e7"},
		{VM "[boot]\ntype=\"uefi\"\nkernel=\"k\"\n", 5,
		 "type: expected \"linux\", \"multiboot\", \"pvh\" or \"bios\", got \"uefi\""},
		{VM "[boot]\ntype=\"bios\"\nkernel=\"k\"\n", 6,
		 "kernel: only for type = \"linux\", \"multiboot\" and \"pvh\""},
		{VM "[boot]\ntype=\"bios\"\nfirmware=\"f\"\ncmdline=\"c\"\n", 7,
		 "cmdline: only for type = \"linux\", \"multiboot\" and \"pvh\""},
		{VM "[boot]\ntype=\"bios\"\n", 4,
		 "firmware: missing in [boot], expected a file name in quotes"},
		{VM "[boot]\ntype=\"linux\"\nkernel=\"k\"\nfirmware=\"f\"\n", 7,
		 "firmware: only for type = \"bios\""},
		{VM "platform=\"none\"\n[boot]\ntype=\"bios\"\nfirmware=\"f\"\n", 6,
		 "type: \"bios\" needs platform = \"pc\""},
		{VM "[boot]\ntype=\"linux\"\nkernel=\"\"\n", 6,
		 "kernel: expected a file name in quotes, got \"\" (text)"},
		{VM "[boot]\ntype=\"linux\"\nkernel=\"a\\nb\"\n", 6,
		 "kernel: control character in a file name"},
		{VM "[boot]\ntype=\"linux\"\nkernel=\"guest.toml\"\n", 6,
		 "kernel: \"guest.toml\" is the definition's own name in the container"},
		{VM BOOT "modules=[\"a\"]\n", 7,
		 "modules: only for type = \"multiboot\" and \"pvh\""},
		{VM "[boot]\ntype=\"multiboot\"\nkernel=\"k\"\ninitrd=\"i\"\n", 7,
		 "initrd: only for type = \"linux\""},
		{VM "[boot]\ntype=\"multiboot\"\nkernel=\"k\"\nmodules=[\" a\"]\n", 7,
		 "modules: expected a file name of 1 to 191 bytes, then arguments"},
		{VM "[boot]\ntype=\"multiboot\"\nkernel=\"k\"\nmodules=[\"a\\tb\"]\n", 7,
		 "modules: control character in a file name"},
		{VM "[boot]\ntype=\"multiboot\"\nkernel=\"k\"\nmodules=[1]\n", 7,
		 "modules: expected a list of texts such as [\"a\", \"b\"], got 1 (number)"},
		{VM BOOT "[[device]]\nclass=\"uart\"\nport=0x10\n", 9,
		 "port: expected a number 0x100..0xfff8, got 0x10"},
		{VM BOOT "[[device]]\nclass=\"disk\"\nimage=\"d\"\nreadonly=\"yes\"\n", 10,
		 "readonly: expected true or false, got \"yes\" (text)"},
		{VM BOOT "[[device]]\nclass=\"disk\"\nimage=\"d\"\nweight=1\n", 10,
		 "weight: expected a number from 2, got 1"},
		{VM BOOT "[[device]]\nclass=\"disk\"\nimage=\"d\"\ntags=[\"123456789\"]\n", 10,
		 "tags: expected at most 8 bytes, got 9"},
		{VM BOOT "[[device]]\nclass=7\n", 8,
		 "class: expected a text in quotes, got 7 (number)"},
	};

	check_bad(bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_config_refuses_unknown_and_missing(void)
{
	static const struct bad bad[] = {
		{VM "memroy=\"1M\"\n" BOOT, 4,
		 "memroy: unknown key in [vm], did you mean \"memory\"?"},
		{VM "speed=1\n" BOOT, 4, "speed: unknown key in [vm]"},
		{VM BOOT "kernal=\"k\"\n", 7,
		 "kernal: unknown key in [boot], did you mean \"kernel\"?"},
		{VM BOOT "[[device]]\nclas=\"uart\"\n", 7,
		 "class: missing in [device], expected a text in quotes"},
		{VM BOOT "[[device]]\nclass=\"uart\"\nclas=\"uart\"\n", 9,
		 "clas: unknown key in [device], did you mean \"class\"?"},
		{VM BOOT "[[device]]\nclass=\"uart\"\nprot=1\n", 9,
		 "prot: unknown key in [device], did you mean \"port\"?"},
		{VM BOOT "[[device]]\nclass=\"lapic\"\nx=1\n", 9, "x: unknown key in [device]"},
		{VM BOOT "[[device]]\nclass=\"uarts\"\n", 8,
		 "class: unknown device class \"uarts\", did you mean \"uart\"?"},
		{VM BOOT "[[device]]\nclass=\"floppy\"\n", 8,
		 "class: unknown device class \"floppy\""},
		{VM BOOT "[[device]]\nclass=\"disk\"\n", 7,
		 "image: missing in [device], expected a file name in quotes"},
		{"[vm]\nname=\"a\"\n" BOOT, 1,
		 "memory: missing in [vm], expected a size such as \"256M\""},
		{"[vm]\nmemory=\"1M\"\n" BOOT, 1,
		 "name: missing in [vm], expected a text in quotes"},
		{VM "[boot]\ntype=\"linux\"\n", 4,
		 "kernel: missing in [boot], expected a file name in quotes"},
		{VM, 0, "[boot]: missing table"},
		{BOOT, 0, "[vm]: missing table"},
		{"", 0, "[vm]: missing table"},
		{"# nothing", 0, "[vm]: missing table"},
		{VM BOOT "[devices]\n", 7,
		 "[devices]: unknown table, expected [vm], [boot] or [[device]]"},
		{"[[vm]]\n" BOOT, 1, "vm: expected [vm]"},
		{VM BOOT "[device]\nclass=\"uart\"\n", 7, "device: expected [[device]]"},
	};

	check_bad(bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_config_refuses_duplicates(void)
{
	static const struct bad bad[] = {
		{VM "name=\"b\"\n" BOOT, 4, "name: given twice, first in line 2"},
		{VM BOOT "[vm]\nvcpus=1\n", 7, "[vm]: given twice, first in line 1"},
		{VM BOOT "[[vm]]\n", 7, "both [vm] and [[vm]], first in line 1"},
		{VM BOOT "[[device]]\nclass=\"uart\"\n[[device]]\nclass=\"uart\"\nport=0x3f8\n", 9,
		 "class: a second \"uart\" at the same port, first in line 7"},
		{VM BOOT
		 "[[device]]\nclass=\"uart\"\nport=0x2f8\n[[device]]\nclass=\"uart\"\nport=0x2f8\n",
		 10, "class: a second \"uart\" at the same port, first in line 7"},
		{VM BOOT "[[device]]\nclass=\"lapic\"\n[[device]]\nclass=\"lapic\"\n", 9,
		 "class: a second \"lapic\" in one machine, first in line 7"},
	};

	check_bad(bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_config_refuses_bad_syntax(void)
{
	static const struct bad bad[] = {
		{"name=1\n", 1, "name: stands before the first [table]"},
		{"[vm]\nname\n", 2, "name: expected '=', got the end of the line"},
		{"[vm]\nname =", 2, "name: expected a value, got the end of the file"},
		{"[vm]\nname =\n1\n", 2, "name: expected a value, got the end of the line"},
		{"[vm]\nname = # x\n", 2, "name: expected a value, got '#'"},
		{"[vm]\n= 1\n", 2, "expected a key, got '='"},
		{"[vm]\n\xc3\xa4 = 1\n", 2, "expected a key, got '\xc3\xa4'"},
		{"[vm]\n\"name\" = 1\n", 2, "a quoted key is not supported"},
		{"[vm]\na.b = 1\n", 2, "a dotted key is not supported"},
		{"[vm]\na . b = 1\n", 2, "a dotted key is not supported"},
		{"[vm]\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 1\n", 2,
		 "key longer than 31 characters"},
		{"[a.b]\n", 1, "a dotted table name is not supported"},
		{"['a']\n", 1, "a quoted table name is not supported"},
		{"[]\n", 1, "expected a table name, got ']'"},
		{"[vm\n", 1, "[vm: expected ']', got the end of the line"},
		{"[[vm]\n", 1, "[vm: expected ']]', got ']'"},
		{"[vm]]\n", 1, "unexpected ']' after the table name"},
		{"[vm] x\n", 1, "unexpected 'x' after the table name"},
		{"[vm]\na = 1 2\n", 2, "a: unexpected '2' after the value"},
		{"[vm]\na = \"b\" \"c\"\n", 2, "a: unexpected '\"' after the value"},
		{"[vm]\na = \"b\n", 2, "a: the text has no closing quote"},
		{"[vm]\na = 'b", 2, "a: the text has no closing quote"},
		{"[vm]\na = \"b\\", 2,
		 "a: unknown escape, expected one of \\\" \\\\ \\b \\f \\n \\r \\t \\u \\U"},
		{"[vm]\na = \"\\x41\"\n", 2,
		 "a: unknown escape, expected one of \\\" \\\\ \\b \\f \\n \\r \\t \\u \\U"},
		{"[vm]\na = \"\\u12g4\"\n", 2, "a: expected 4 hexadecimal digits after \\u"},
		{"[vm]\na = \"\\U0001\"\n", 2, "a: expected 8 hexadecimal digits after \\U"},
		{"[vm]\na = \"\\ud800\"\n", 2, "a: the escape is not a Unicode character"},
		{"[vm]\na = \"\\U00110000\"\n", 2, "a: the escape is not a Unicode character"},
		{"[vm]\na = \"\\u0000\"\n", 2, "a: a text cannot hold NUL"},
		{"[vm]\na = \"\"\"b\"\"\"\n", 2, "a: a multi-line text is not supported"},
		{"[vm]\na = '''b'''\n", 2, "a: a multi-line text is not supported"},
		{"[vm]\na = {b=1}\n", 2, "a: an inline table is only supported in a list"},
		{"[vm]\na = [[1]]\n", 2, "a: a list in a list is not supported"},
		{"[vm]\na = [{}]\n", 2, "expected a key, got '}'"},
		{"[vm]\na = [{b}]\n", 2, "b: expected '=', got '}'"},
		{"[vm]\na = [{b=1,}]\n", 2, "expected a key, got '}'"},
		{"[vm]\na = [{b=1 c=2}]\n", 2, "a: expected ',' or '}', got 'c'"},
		{"[vm]\na = [{b=1\n}]\n", 2, "a: expected ',' or '}', got the end of the line"},
		{"[vm]\na = [{b=1, b=2}]\n", 2, "b: given twice, first in line 2"},
		{"[vm]\na = [{b=[1]}]\n", 2, "b: expected a value, got '['"},
		{"[vm]\na = [{b={c=1}}]\n", 2, "b: an inline table is only supported in a list"},
		{"[vm]\na = [{b=1", 2, "a: expected ',' or '}', got the end of the file"},
		{"[vm]\na = [1 2]\n", 2, "a: expected ',' or ']', got '2'"},
		{"[vm]\na = [1,\n\n,2]\n", 4, "a: expected a value, got ','"},
		{"[vm]\na = [1,\n", 3, "a: expected a value, got the end of the file"},
		{"[vm]\na = yes\n", 2,
		 "a: expected a value: a text in quotes, a number, true, false or a list"},
		{"[vm]\na = True\n", 2,
		 "a: expected a value: a text in quotes, a number, true, false or a list"},
		{"[vm]\na = -1\n", 2, "a: a negative number is not allowed"},
		{"[vm]\na = +1\n", 2, "a: a sign is not allowed"},
		{"[vm]\na = 1.5\n", 2, "a: only whole numbers are supported"},
		{"[vm]\na = 1e3\n", 2, "a: only whole numbers are supported"},
		{"[vm]\na = 1979-05-27\n", 2, "a: a date or time is not supported"},
		{"[vm]\na = 07:32:00\n", 2, "a: a date or time is not supported"},
		{"[vm]\na = 512M\n", 2,
		 "a: malformed number (a size is a text in quotes, such as \"256M\")"},
		{"[vm]\na = 1__2\n", 2,
		 "a: malformed number (a size is a text in quotes, such as \"256M\")"},
		{"[vm]\na = 1_\n", 2,
		 "a: malformed number (a size is a text in quotes, such as \"256M\")"},
		{"[vm]\na = 0x\n", 2,
		 "a: malformed number (a size is a text in quotes, such as \"256M\")"},
		{"[vm]\na = 0x_1\n", 2,
		 "a: malformed number (a size is a text in quotes, such as \"256M\")"},
		{"[vm]\na = 0b2\n", 2,
		 "a: malformed number (a size is a text in quotes, such as \"256M\")"},
		{"[vm]\na = 010\n", 2,
		 "a: a number cannot begin with 0 (octal numbers begin with 0o)"},
		{"[vm]\na = 18446744073709551616\n", 2, "a: the number does not fit 64 bits"},
		{"[vm]\na = 0x10000000000000000\n", 2, "a: the number does not fit 64 bits"},
	};

	check_bad(bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_config_refuses_bad_bytes(void)
{
	static const struct {
		const char *text;
		size_t len;
		unsigned line;
		const char *message;
	} bad[] = {
		{"[vm]\n\0", 6, 2, "control character 0x00"},
		{"# \x01", 3, 1, "control character 0x01"},
		{"# \x7f", 3, 1, "control character 0x7f"},
		{"[vm]\rx", 6, 1, "control character 0x0d"},
		{"\r", 1, 1, "control character 0x0d"},
		{"\n\n# \xff", 5, 3, "not valid UTF-8: byte 0xff"},
		{"# \xc3", 3, 1, "not valid UTF-8: byte 0xc3"},
		{"# \xc0\xaf", 4, 1, "not valid UTF-8: byte 0xc0"}, /* over-long */
		{"# \xe0\x80\xaf", 5, 1, "not valid UTF-8: byte 0xe0"},
		{"# \xed\xa0\x80", 5, 1, "not valid UTF-8: byte 0xed"},	    /* surrogate */
		{"# \xf4\x90\x80\x80", 6, 1, "not valid UTF-8: byte 0xf4"}, /* above U+10FFFF */
		{"# \xf0\x8f\xbf\xbf", 6, 1, "not valid UTF-8: byte 0xf0"},
		{"# \xe2\x82\x28", 5, 1, "not valid UTF-8: byte 0xe2"},
		{"\xef\xbb\xbf[vm]", 7, 1, "begins with a byte-order mark, expected plain UTF-8"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(!parse_len(bad[i].text, bad[i].len));
		CHECK_EQ(error.line, bad[i].line);
		CHECK_STR(error.message, bad[i].message);
	}
	no_leak();
}

static void test_config_refuses_over_long(void)
{
	static char text[80000];
	struct v3_vm_cfg *cfg;
	size_t len;

	memset(text, '#', sizeof(text));
	CHECK(!parse_len(text, V3_VM_CFG_MAX_TEXT + 1));
	CHECK_STR(error.message, "too long: 65537 bytes, the limit is 65536");
	CHECK_EQ(error.line, 0);
	CHECK(!parse_len(text, V3_VM_CFG_MAX_TEXT)); /* one comment */
	CHECK_STR(error.message, "[vm]: missing table");

	/* 4095 bytes of command line are allowed, 4096 are not */
	len = (size_t)sprintf(text, VM BOOT "cmdline = \"");
	memset(text + len, 'x', 4096);
	strcpy(text + len + 4096, "\"\n");
	CHECK(!parse(text));
	CHECK_STR(error.message, "cmdline: text longer than 4095 bytes");
	CHECK_EQ(error.line, 7);
	strcpy(text + len + 4095, "\"\n");
	cfg = parse(text);
	if (CHECK(cfg != NULL))
		CHECK_EQ(strlen(cfg->cmdline), 4095);
	v3_vm_cfg_free(cfg);

	len = (size_t)sprintf(text, VM BOOT);
	for (int i = 0; i < 79; i++)
		len += (size_t)sprintf(text + len, "[[device]]\n");
	CHECK(!parse(text));
	CHECK_STR(error.message, "more than 80 tables");
	CHECK_EQ(error.line, 85);

	len = (size_t)sprintf(text, VM BOOT);
	for (int i = 0; i < 62; i++)
		len += (size_t)sprintf(text + len, "[[device]]\nclass='disk'\nimage='%d'\n", i);
	CHECK(!parse(text));
	CHECK_STR(error.message, "more than 64 devices");

	len = (size_t)sprintf(text, "[vm]\n");
	for (int i = 0; i < 65; i++)
		len += (size_t)sprintf(text + len, "a%d = 1\n", i);
	CHECK(!parse(text));
	CHECK_STR(error.message, "more than 64 keys in one table");
	CHECK_EQ(error.line, 66);

	len = (size_t)sprintf(text, "[vm]\ncpus = [");
	for (int i = 0; i < 65; i++)
		len += (size_t)sprintf(text + len, "%d,\n", i);
	strcpy(text + len, "]\n");
	CHECK(!parse(text));
	CHECK_STR(error.message, "cpus: more than 64 elements");
	CHECK_EQ(error.line, 66);

	len = (size_t)sprintf(text, VM "[boot]\ntype = \"multiboot\"\nkernel = \"k\"\nmodules = [");
	for (int i = 0; i < 33; i++)
		len += (size_t)sprintf(text + len, "\"m\",");
	strcpy(text + len, "]\n");
	CHECK(!parse(text));
	CHECK_STR(error.message, "modules: expected at most 32, got 33");
	no_leak();
}

static void test_config_long_values_in_messages_are_cut(void)
{
	char text[600];

	snprintf(text, sizeof(text),
		 VM "log = \"%s\\n\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"\n" BOOT,
		 "0123456789012345678901234567890123456789012");
	CHECK(!parse(text));
	CHECK_STR(error.message,
		  "log: expected \"error\", \"warn\", \"info\" or \"debug\", got "
		  "\"0123456789012345678901234567890123456789012?\xc3\xa4\xc3\xa4\xc3\xa4\"...");
	no_leak();
}

/* A good definition, changed at random: never a crash, a leak or a message without text. */
static void test_config_survives_random_changes(void)
{
	static const char good[] = VM
		"vcpus = 2\ncpus = [ 0, {cpu = 1, node=1} ]\n"
		"nodes = [{memory='1M'},{memory='63M',host=1}]\n" BOOT
		"initrd = 'i'\ncmdline = \"a\\u00e4\" # c\n[[device]]\nclass = \"disk\"\nimage = "
		"\"d\"\n"
		"queues = [1,\n2]\nreadonly = true\n[[device]]\nclass = \"uart\"\nport = 0x2f8\n";
	static const char spice[] = "\"'[]=#\\\n\r\t .,{}-_0x9uU\xc3\xa4\xff";
	unsigned accepted = 0;
	char text[sizeof(good) + 8];
	struct v3_vm_cfg *cfg;
	size_t len, pos;

	for (unsigned i = 0; i < 20000; i++) {
		len = sizeof(good) - 1;
		memcpy(text, good, len);
		for (unsigned n = 1 + tap_rand() % 4; n; n--) {
			pos = tap_rand() % len;
			switch (tap_rand() % 4) {
			case 0:
				text[pos] = (char)tap_rand();
				break;
			case 1:
				text[pos] = spice[tap_rand() % (sizeof(spice) - 1)];
				break;
			case 2:
				memmove(text + pos, text + pos + 1, --len - pos);
				break;
			default:
				memmove(text + pos + 1, text + pos, len++ - pos);
				break;
			}
		}
		cfg = parse_len(text, len);
		accepted += cfg != NULL;
		v3_vm_cfg_free(cfg);
	}
	CHECK(accepted > 0 && accepted < 20000);
	no_leak();
}

static void test_config_refuses_every_cut(void)
{
	static const char good[] =
		VM BOOT "cmdline = \"x\\u00e4\" \n[[device]]\nclass = \"disk\"\nimage = \"d\"";
	struct v3_vm_cfg *cfg;

	for (size_t len = 0; len < sizeof(good); len++) {
		cfg = parse_len(good, len);
		/* complete after the boot table's keys, and from there only between keys */
		CHECK_MSG(!cfg || len >= sizeof(VM BOOT) - 2, "accepted %zu bytes", len);
		v3_vm_cfg_free(cfg);
	}
	no_leak();
}

static void test_config_out_of_memory_at_each_step(void)
{
	static char text[40000];
	struct v3_vm_cfg *cfg = NULL;
	unsigned k = 0;
	size_t len;
	int err;

	len = (size_t)sprintf(text, VM BOOT);
	for (int i = 0; i < 50; i++)
		len += (size_t)sprintf(text + len, "[[device]]\nclass='disk'\nimage='%0150d'\n", i);
	for (int after = 0; after < 2; after++) {
		for (k = 1; k < 100; k++) {
			small_alloc_fail_at(k, after);
			err = v3_vm_cfg_parse(text, len, "guest.toml", classes, &cfg, &error);
			if (!small_alloc_refused())
				break;
			CHECK_EQ(err, V3_ENOMEM);
			CHECK_STR(error.message, "out of memory");
			no_leak();
		}
		CHECK(k > 3 && k < 100);
		CHECK_EQ(err, V3_OK);
		small_alloc_fail_at(0, false);
		v3_vm_cfg_free(cfg);
		no_leak();
	}
}

static const struct tap_test tests[] = {
	TAP(test_config_full),
	TAP(test_config_minimal),
	TAP(test_config_placement),
	TAP(test_config_platform_none_has_no_devices),
	TAP(test_config_all_value_forms),
	TAP(test_config_refuses_bad_values),
	TAP(test_config_refuses_unknown_and_missing),
	TAP(test_config_refuses_duplicates),
	TAP(test_config_refuses_bad_syntax),
	TAP(test_config_refuses_bad_bytes),
	TAP(test_config_refuses_over_long),
	TAP(test_config_long_values_in_messages_are_cut),
	TAP(test_config_survives_random_changes),
	TAP(test_config_refuses_every_cut),
	TAP(test_config_out_of_memory_at_each_step),
};
TAP_MAIN(tests)
