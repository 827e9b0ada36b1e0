/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_boot_multiboot2.c
 * Multiboot 2 kernels: what they find at their entry, every header tag, relocation, what is refused.
 */
#include "boot_elf.h"

#define TOML(mem, more) BOOT_TOML("multiboot", mem, more)
#define MB2_OFF		0x300

static size_t tag_at; /* where the next tag goes */

static void begin_header(void)
{
	tag_at = MB2_OFF + 16;
}

static void put_tag(unsigned type, unsigned flags, const uint32_t *words, unsigned n)
{
	put(tag_at, type, 2);
	put(tag_at + 2, flags, 2);
	put(tag_at + 4, 8 + 4 * n, 4);
	for (unsigned i = 0; i < n; i++)
		put(tag_at + 8 + 4 * i, words[i], 4);
	tag_at += (8 + 4 * n + 7) & ~7u;
}

static void end_header(uint32_t arch)
{
	uint32_t len;

	put_tag(0, 0, NULL, 0);
	len = (uint32_t)(tag_at - MB2_OFF);
	put(MB2_OFF, 0xe85250d6, 4);
	put(MB2_OFF + 4, arch, 4);
	put(MB2_OFF + 8, len, 4);
	put(MB2_OFF + 12, -(0xe85250d6u + arch + len), 4);
}

/* An ELF kernel with one tag. */
static void make_kernel(unsigned type, unsigned flags, const uint32_t *words, unsigned n)
{
	boot_elf(false);
	begin_header();
	put_tag(type, flags, words, n);
	end_header(0);
}

static void make_plain(void)
{
	make_kernel(0, 0, NULL, 0);
}

/* Offset of the information tag number @p nth of a type, 0: there is none. Checks the list's form. */
static unsigned info_tag(uint32_t type, unsigned nth)
{
	uint32_t total = info32(0), pos = 8;

	while (pos < total) {
		uint32_t size = info32(pos + 4);

		if (!CHECK(size >= 8 && size <= total - pos))
			return 0;
		if (info32(pos) == type && !nth--)
			return pos;
		if (info32(pos) == 0) {
			CHECK_EQ(pos + 8, total);
			return 0;
		}
		pos += (size + 7) & ~7u;
	}
	CHECK_EQ(pos, 0); /* no end tag */
	return 0;
}

static void test_multiboot2_entry_state(void)
{
	struct v3_vcpu *vcpu = &boot_vm.vcpu;

	make_plain();
	if (load(TOML("16M", ""))) {
		check_loaded();
		CHECK_EQ(vcpu->regs.gpr[V3_RAX], 0x36d76289);
		CHECK_EQ(vcpu->regs.gpr[V3_RBX], boot_state.info);
		CHECK_EQ(boot_state.info & 7, 0);
		CHECK_EQ(vcpu->cr[0] & (V3_CR0_PE | V3_CR0_PG), V3_CR0_PE);
		CHECK_EQ(vcpu->seg[V3_CS].attr, 0xc9b);
	}
	boot_vm_end();
}

static void test_multiboot2_information(void)
{
	unsigned at;

	make_plain();
	REQUIRE(load(TOML("16M", "cmdline='a b'\n")));
	at = info_tag(1, 0);
	CHECK_EQ(info32(at + 4), 8 + 4);
	CHECK_STR(text_at(boot_state.info + at + 8), "a b");
	CHECK_STR(text_at(boot_state.info + info_tag(2, 0) + 8), "Palacios");
	at = info_tag(4, 0);
	CHECK_EQ(info32(at + 8), 640);
	CHECK_EQ(info32(at + 12), 15 << 10);
	at = info_tag(6, 0);
	CHECK_EQ(info32(at + 4), 16 + 5 * 24);
	CHECK_EQ(info32(at + 8), 24);
	CHECK_EQ(info32(at + 12), 0);
	CHECK_EQ(info64(at + 16 + 2 * 24), 0x100000);
	CHECK_EQ(info64(at + 24 + 2 * 24), 15 << 20);
	CHECK_EQ(info32(at + 32 + 2 * 24), 1);
	at = info_tag(15, 0);
	CHECK_EQ(info32(at + 4), 8 + 36);
	CHECK_MEM(boot_vm_ptr(&boot_vm, boot_state.info + at + 8, 36),
		  boot_vm_ptr(&boot_vm, boot_state.rsdp, 36), 36);
	CHECK_MEM(boot_vm_ptr(&boot_vm, boot_state.rsdp, 8), "RSD PTR ", 8);
	CHECK_EQ(info_tag(3, 0), 0);
	CHECK_EQ(info_tag(21, 0), 0);
	boot_vm_end();
}

static void test_multiboot2_modules(void)
{
	static const char one[] = "first module", two[5000] = "second";
	unsigned at;

	make_plain();
	REQUIRE(boot_vm_begin(TOML("16M", "modules=['a', 'b arg=1']\n")));
	boot_vm_file("k", image, image_len);
	boot_vm_file("a", one, sizeof(one));
	boot_vm_file("b", two, sizeof(two));
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	at = info_tag(3, 0);
	CHECK_EQ(info32(at + 8), 0x104000);
	CHECK_EQ(info32(at + 12), 0x104000 + sizeof(one));
	CHECK_STR(text_at(boot_state.info + at + 16), "a");
	at = info_tag(3, 1);
	CHECK_EQ(info32(at + 4), 16 + 8);
	CHECK_EQ(info32(at + 8), 0x105000);
	CHECK_STR(text_at(info32(at + 8)), "second");
	CHECK_STR(text_at(boot_state.info + at + 16), "b arg=1");
	CHECK_EQ(info_tag(3, 2), 0);
	boot_vm_end();
}

static void test_multiboot2_wins_over_multiboot1(void)
{
	make_plain();
	put(0x100, 0x1badb002, 4);
	put(0x104, 0, 4);
	put(0x108, -0x1badb002u, 4);
	if (load(TOML("16M", "")))
		CHECK_EQ(boot_vm.vcpu.regs.gpr[V3_RAX], 0x36d76289);
	boot_vm_end();
}

static void test_multiboot2_entry_tag(void)
{
	make_kernel(3, 0, (const uint32_t[]){0x100abc}, 1);
	if (load(TOML("16M", "")))
		CHECK_EQ(boot_vm.vcpu.regs.rip, 0x100abc);
	boot_vm_end();
}

/* header_addr, load_addr, load_end_addr, bss_end_addr; entry_addr */
static void make_flat(const uint32_t addr[4], uint32_t entry)
{
	memset(image, 0, sizeof(image));
	for (size_t i = 0; i < 0x2000; i++)
		image[i] = (uint8_t)(i * 5 + 3);
	image_len = 0x2000;
	begin_header();
	put_tag(2, 0, addr, 4);
	put_tag(3, 0, &entry, 1);
	end_header(0);
}

static void test_multiboot2_flat(void)
{
	make_flat((const uint32_t[]){0x200200, 0x200000, 0x201000, 0x203000}, 0x200444);
	if (load(TOML("16M", ""))) {
		CHECK_EQ(boot_vm.vcpu.regs.rip, 0x200444);
		CHECK_MEM(boot_vm_ptr(&boot_vm, 0x200000, 0x1000), image + 0x100, 0x1000);
		CHECK_EQ(boot_vm_read(&boot_vm, 0x201000, 8), 0);
		CHECK_EQ(boot_state.copy[0].mem_len, 0x3000);
	}
	boot_vm_end();
	make_flat((const uint32_t[]){0x200000 + MB2_OFF, ~0u, 0, 0}, 0x200010); /* the whole file */
	if (load(TOML("16M", "")))
		CHECK_MEM(boot_vm_ptr(&boot_vm, 0x200000, 0x2000), image, 0x2000);
	boot_vm_end();
}

/* The BIOS data area says how much RAM there is from 0 on, unless the kernel lies there or the machine is no PC. */
static void test_multiboot2_base_memory(void)
{
	make_plain();
	if (load(TOML("16M", ""))) {
		CHECK_EQ(boot_vm_read(&boot_vm, 0x413, 2), 640);
		CHECK_EQ(boot_vm_read(&boot_vm, 0x415, 8), 0);
	}
	boot_vm_end();
	if (load("[vm]\nname='t'\nmemory='16M'\nplatform='none'\n"
		 "[boot]\ntype='multiboot'\nkernel='k'\n"))
		CHECK_EQ(boot_vm_read(&boot_vm, 0x413, 2), 0);
	boot_vm_end();
	make_flat((const uint32_t[]){MB2_OFF, 0, 0, 0}, 0x100);
	if (load(TOML("16M", "")))
		CHECK_MEM(boot_vm_ptr(&boot_vm, 0, 0x2000), image, 0x2000);
	boot_vm_end();
}

/* lowest, highest, alignment, preference -> how far up */
static void check_relocated(const uint32_t words[4], uint64_t shift)
{
	unsigned at;

	make_kernel(10, 0, words, 4);
	if (load(TOML("16M", ""))) {
		check_segments(shift);
		CHECK_EQ(boot_vm.vcpu.regs.rip, 0x100200 + shift);
		at = info_tag(21, 0);
		CHECK(at);
		CHECK_EQ(info32(at + 8), 0x100000 + shift); /* where it begins */
	}
	boot_vm_end();
}

static void test_multiboot2_relocation(void)
{
	check_relocated((const uint32_t[]){0x100000, 0xffffff, 0x1000, 0}, 0);
	check_relocated((const uint32_t[]){0x200000, 0xffffff, 0x1000, 0}, 0x100000);
	check_relocated((const uint32_t[]){0x234567, 0xffffffff, 0x10000, 1}, 0x140000);
	check_relocated((const uint32_t[]){0x100000, 0xffffffff, 0x1000, 2}, 0xefc000);
	check_relocated((const uint32_t[]){0x100000, 0x7fffff, 0x100000, 2}, 0x600000);
}

/* Xen goes to the top of RAM and has modules, for which there is room below only. */
static void test_multiboot2_modules_below(void)
{
	static const char one[5000] = "first", two[] = "second";

	make_kernel(10, 0, (const uint32_t[]){0x100000, 0xffffffff, 0x1000, 2}, 4);
	REQUIRE(boot_vm_begin(TOML("16M", "modules=['a', 'b']\n")));
	boot_vm_file("k", image, image_len);
	boot_vm_file("a", one, sizeof(one));
	boot_vm_file("b", two, sizeof(two));
	REQUIRE_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	REQUIRE_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	check_segments(0xefc000);
	CHECK_EQ(info32(info_tag(3, 0) + 8), 0x100000);
	CHECK_STR(text_at(0x100000), "first");
	CHECK_EQ(info32(info_tag(3, 1) + 8), 0x102000);
	CHECK_STR(text_at(0x102000), "second");
	boot_vm_end();
}

static void test_multiboot2_tags_to_be_ignored(void)
{
	static const uint32_t zeros[4];

	for (unsigned type = 4; type <= 9; type++) { /* consoles, EFI; or optional */
		make_kernel(type, 1, zeros, 4);
		if (load(TOML("16M", "")))
			check_loaded();
		boot_vm_end();
	}
	make_kernel(99, 1, zeros, 1);
	CHECK(load(TOML("16M", "")));
	boot_vm_end();
	make_kernel(1, 0, (const uint32_t[]){1, 2, 3, 4, 6, 15, 21}, 7);
	CHECK(load(TOML("16M", "")));
	boot_vm_end();
	make_kernel(1, 1, (const uint32_t[]){8, 1000}, 2);
	CHECK(load(TOML("16M", "")));
	boot_vm_end();
}

static void test_multiboot2_refuses(void)
{
	static const struct {
		unsigned type, n;
		uint32_t words[4];
		int err;
		const char *line;
	} bad[] = {
		{1,
		 2,
		 {1, 8},
		 V3_ENOTSUP,
		 "cannot boot k: multiboot2: the kernel demands information 8, which is not "
		 "offered"},
		{1,
		 1,
		 {32},
		 V3_ENOTSUP,
		 "cannot boot k: multiboot2: the kernel demands information 32, which is not "
		 "offered"},
		{5,
		 3,
		 {640, 480, 32},
		 V3_ENOTSUP,
		 "cannot boot k: multiboot2: the kernel demands a graphics mode (tag 5)"},
		{7,
		 0,
		 {0},
		 V3_ENOTSUP,
		 "cannot boot k: multiboot2: the kernel demands EFI boot services (tag 7)"},
		{11,
		 0,
		 {0},
		 V3_ENOTSUP,
		 "cannot boot k: multiboot2: the kernel demands what is unknown (tag 11)"},
		{2,
		 3,
		 {0x200300, 0x200000, 0},
		 V3_EBADMSG,
		 "cannot boot k: multiboot2: tag 2 has 20 bytes, not 24"},
		{2,
		 4,
		 {0x200300, 0x200000, 0, 0},
		 V3_EBADMSG,
		 "cannot boot k: multiboot2: addresses but no entry point"},
		{10,
		 4,
		 {0, 0xffffff, 3, 0},
		 V3_EBADMSG,
		 "cannot boot k: multiboot2: relocatable tag: 0..0xffffff with alignment 0x3 makes "
		 "no sense"},
		{10,
		 4,
		 {0x10, 0, 16, 0},
		 V3_EBADMSG,
		 "cannot boot k: multiboot2: relocatable tag: 0x10..0 with alignment 0x10 makes no "
		 "sense"},
		{10,
		 4,
		 {0x2000000, 0x3000000, 4096, 0},
		 V3_E2BIG,
		 "cannot boot k: kernel: no room for 0x3800 bytes between 0x2000000 and 0x3000001"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_kernel(bad[i].type, 0, bad[i].words, bad[i].n);
		boot_elf_refused("multiboot", bad[i].err, bad[i].line);
	}
	boot_elf(false);
	begin_header();
	end_header(4);
	boot_elf_refused("multiboot", V3_ENOTSUP,
			 "cannot boot k: multiboot2: not a kernel for x86");
	boot_elf(false); /* moved up, but its entry point cannot follow */
	begin_header();
	put_tag(10, 0, (const uint32_t[]){0x200000, 0xffffff, 0x1000, 0}, 4);
	put_tag(3, 0, (const uint32_t[]){0xffffff00}, 1);
	end_header(0);
	boot_elf_refused(
		"multiboot", V3_EBADMSG,
		"cannot boot k: multiboot2: the entry point 0xffffff00 is outside the kernel");
	make_flat((const uint32_t[]){0x200300, 0x200000, 0x201000, 0x203000}, 0x100000);
	boot_elf_refused("multiboot", V3_EBADMSG,
			 "cannot boot k: multiboot: entry_addr 0x100000 is outside the kernel");
}

static void test_multiboot2_refuses_what_is_cut_off(void)
{
	make_plain();
	put(MB2_OFF + 8, 0x2000, 4);
	put(MB2_OFF + 12, -(0xe85250d6u + 0x2000), 4);
	boot_elf_refused("multiboot", V3_EBADMSG,
			 "cannot boot k: multiboot2: header of 8192 bytes, cut off");
	make_kernel(3, 0, (const uint32_t[]){0x100abc}, 1);
	put(MB2_OFF + 16 + 4, 7, 4);
	boot_elf_refused("multiboot", V3_EBADMSG,
			 "cannot boot k: multiboot2: tag of 7 bytes in a header of 40");
	put(MB2_OFF + 16 + 4, 100, 4);
	boot_elf_refused("multiboot", V3_EBADMSG,
			 "cannot boot k: multiboot2: tag of 100 bytes in a header of 40");
}

static const struct tap_test tests[] = {
	TAP(test_multiboot2_entry_state),   TAP(test_multiboot2_information),
	TAP(test_multiboot2_modules),	    TAP(test_multiboot2_wins_over_multiboot1),
	TAP(test_multiboot2_entry_tag),	    TAP(test_multiboot2_flat),
	TAP(test_multiboot2_base_memory),   TAP(test_multiboot2_relocation),
	TAP(test_multiboot2_modules_below), TAP(test_multiboot2_tags_to_be_ignored),
	TAP(test_multiboot2_refuses),	    TAP(test_multiboot2_refuses_what_is_cut_off),
};
TAP_MAIN(tests)
