/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_boot_multiboot.c
 * Multiboot kernels: ELF of both classes and flat ones, what they find at their entry, what is
 * refused.
 */
#include "boot_elf.h"

#define TOML(mem, more) BOOT_TOML("multiboot", mem, more)
#define MB_OFF		0x100

static void put_header(size_t off, uint32_t flags)
{
	put(off, 0x1badb002, 4);
	put(off + 4, flags, 4);
	put(off + 8, -(0x1badb002u + flags), 4);
}

/* boot_elf()'s kernel with a header. */
static void make_elf(bool elf64)
{
	boot_elf(elf64);
	put_header(elf64 ? 0x180 : MB_OFF, 3);
}

static void test_multiboot_entry_state(void)
{
	struct v3_vcpu *vcpu = &boot_vm.vcpu;

	make_elf(false);
	REQUIRE(boot_vm_begin(TOML("16M", "")));
	memset(boot_vm_ptr(&boot_vm, 0x102000, 0x2000), 0xee, 0x2000);
	boot_vm_file("k", image, image_len);
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	check_loaded();
	CHECK_EQ(boot_vm_read(&boot_vm, 0x103800, 1), 0xee); /* only its own memory is cleared */
	CHECK_EQ(vcpu->regs.gpr[V3_RAX], 0x2badb002);
	CHECK_EQ(vcpu->regs.gpr[V3_RBX], boot_state.info);
	CHECK_EQ(vcpu->regs.rflags, 2);
	CHECK_EQ(vcpu->cr[0] & (V3_CR0_PE | V3_CR0_PG | V3_CR0_CD | V3_CR0_NW), V3_CR0_PE);
	CHECK_EQ(vcpu->cr[4], 0);
	CHECK_EQ(vcpu->efer, 0);
	CHECK_EQ(vcpu->seg[V3_CS].attr, 0xc9b);
	for (int i = V3_ES; i <= V3_GS; i++) {
		CHECK_EQ(vcpu->seg[i].base, 0);
		CHECK_EQ(vcpu->seg[i].limit, 0xffffffff);
		if (i != V3_CS)
			CHECK_EQ(vcpu->seg[i].attr, 0xc93);
	}
	boot_vm_end();
}

static void test_multiboot_elf64(void)
{
	make_elf(true);
	if (load(TOML("16M", "")))
		check_loaded();
	boot_vm_end();
}

static void test_multiboot_information(void)
{
	static const struct {
		uint64_t start, len;
		uint32_t type;
	} map[] = {{0, 0xa0000, 1},
		   {0xe0000, 0x20000, 2},
		   {0x100000, 15 << 20, 1},
		   {0xfec00000, 0x1000, 2},
		   {0xfee00000, 0x1000, 2}};
	uint32_t entry;

	make_elf(false);
	REQUIRE(load(TOML("16M", "cmdline='root=/dev/x y'\n")));
	CHECK_EQ(info32(0), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	CHECK_EQ(info32(4), 640);
	CHECK_EQ(info32(8), 15 << 10);
	CHECK_STR(text_at(info32(16)), "root=/dev/x y");
	CHECK_EQ(info32(20), 0);
	CHECK_STR(text_at(info32(64)), "Palacios");
	CHECK_EQ(info32(44), 5 * 24);
	entry = info32(48);
	for (unsigned i = 0; i < 5; i++, entry += 24) {
		CHECK_EQ(boot_vm_read(&boot_vm, entry, 4), 20);
		CHECK_EQ(boot_vm_read(&boot_vm, entry + 4, 8), map[i].start);
		CHECK_EQ(boot_vm_read(&boot_vm, entry + 12, 8), map[i].len);
		CHECK_EQ(boot_vm_read(&boot_vm, entry + 20, 4), map[i].type);
	}
	CHECK(boot_state.info >= 0x1000 && boot_state.info < 0xa0000);
	boot_vm_end();
}

static void test_multiboot_modules(void)
{
	static const char one[] = "first module", two[5000] = "second";
	uint32_t mods, start[3], end[3];

	make_elf(false);
	REQUIRE(boot_vm_begin(TOML("16M", "modules=['a', 'sub/b  arg=1 x', 'e']\n")));
	boot_vm_file("k", image, image_len);
	boot_vm_file("a", one, sizeof(one));
	boot_vm_file("sub/b", two, sizeof(two));
	boot_vm_file("e", "", 0);
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	CHECK_EQ(info32(20), 3);
	mods = info32(24);
	for (unsigned i = 0; i < 3; i++) {
		start[i] = (uint32_t)boot_vm_read(&boot_vm, mods + 16 * i, 4);
		end[i] = (uint32_t)boot_vm_read(&boot_vm, mods + 16 * i + 4, 4);
		CHECK_EQ(start[i] & 0xfff, 0);
		CHECK_EQ(boot_vm_read(&boot_vm, mods + 16 * i + 12, 4), 0);
	}
	CHECK_EQ(start[0], 0x104000); /* right above the kernel */
	CHECK_EQ(end[0] - start[0], sizeof(one));
	CHECK_STR(text_at(start[0]), "first module");
	CHECK_EQ(start[1], 0x105000);
	CHECK_EQ(end[1] - start[1], sizeof(two));
	CHECK_STR(text_at(start[1]), "second");
	CHECK_EQ(start[2], 0x107000);
	CHECK_EQ(end[2], start[2]);
	CHECK_STR(text_at((uint32_t)boot_vm_read(&boot_vm, mods + 8, 4)), "a");
	CHECK_STR(text_at((uint32_t)boot_vm_read(&boot_vm, mods + 24, 4)), "sub/b  arg=1 x");
	CHECK_STR(text_at((uint32_t)boot_vm_read(&boot_vm, mods + 40, 4)), "e");
	boot_vm_end();
}

static void test_multiboot_information_avoids_the_kernel(void)
{
	const struct seg low = {1, 0, 0x1000, 0x1000, 0x1000, 0x9e000};

	make_elf(false);
	put_segment(false, 2, &low); /* takes 0x1000..0x9f000 */
	if (load(TOML("16M", "")))
		CHECK_EQ(boot_state.info, 0x9f000);
	boot_vm_end();
}

/* header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr */
static void make_flat(const uint32_t addr[5])
{
	memset(image, 0, sizeof(image));
	for (size_t i = 0; i < 0x2000; i++)
		image[i] = (uint8_t)(i * 5 + 3);
	image_len = 0x2000;
	put_header(0x400, 0x10003);
	for (unsigned i = 0; i < 5; i++)
		put(0x40c + 4 * i, addr[i], 4);
}

static void test_multiboot_flat(void)
{
	make_flat((const uint32_t[5]){0x200300, 0x200000, 0x201000, 0x203000, 0x200444});
	if (load(TOML("16M", ""))) {
		CHECK_EQ(boot_vm.vcpu.regs.rip, 0x200444);
		CHECK_MEM(boot_vm_ptr(&boot_vm, 0x200000, 0x1000), image + 0x100, 0x1000);
		CHECK_EQ(boot_vm_read(&boot_vm, 0x201000, 8), 0);
		CHECK_EQ(boot_state.copy[0].mem_len, 0x3000);
	}
	boot_vm_end();
	make_flat((const uint32_t[5]){0x200400, 0x200000, 0, 0,
				      0x200000}); /* to the end of the file */
	if (load(TOML("16M", "")))
		CHECK_MEM(boot_vm_ptr(&boot_vm, 0x200000, 0x2000), image, 0x2000);
	boot_vm_end();
}

/* ---- refused ---- */

static void check_refused(int err, const char *line)
{
	boot_elf_refused("multiboot", err, line);
}

static void test_multiboot_refuses_bad_header(void)
{
	make_elf(false);
	put(MB_OFF + 8, 1, 4);
	check_refused(V3_EBADMSG,
		      "cannot boot k: not a multiboot kernel (no header with a valid checksum in "
		      "its first 8 KiB)");
	make_elf(false);
	put(MB_OFF, 0, 4);
	put_header(MB_OFF + 2, 0); /* not aligned */
	check_refused(V3_EBADMSG,
		      "cannot boot k: not a multiboot kernel (no header with a valid checksum in "
		      "its first 8 KiB)");
	make_elf(false);
	put(MB_OFF, 0, 4);
	image_len = sizeof(image);
	put_header(8192, 0); /* too far inside */
	check_refused(V3_EBADMSG,
		      "cannot boot k: not a multiboot kernel (no header with a valid checksum in "
		      "its first 8 KiB)");
	make_elf(false);
	put_header(MB_OFF, 7);
	check_refused(
		V3_ENOTSUP,
		"cannot boot k: multiboot: the kernel demands what is not offered: flags 0x4");
}

static void test_multiboot_refuses_bad_elf(void)
{
	static const struct {
		size_t off;
		uint64_t value;
		unsigned size;
		int err;
		const char *line;
	} bad[] = {
		{0, 0, 1, V3_EBADMSG, "cannot boot k: not an ELF file"},
		{4, 3, 1, V3_EBADMSG,
		 "cannot boot k: ELF: class 3, byte order 1 are not those of x86"},
		{5, 2, 1, V3_EBADMSG,
		 "cannot boot k: ELF: class 1, byte order 2 are not those of x86"},
		{16, 3, 2, V3_ENOTSUP,
		 "cannot boot k: ELF: type 3, machine 3: not an executable for x86"},
		{18, 40, 2, V3_ENOTSUP,
		 "cannot boot k: ELF: type 2, machine 40: not an executable for x86"},
		{24, 0xc0105000, 4, V3_EBADMSG,
		 "cannot boot k: ELF: entry point 0xc0105000 lies in no segment"},
		{28, 0xffffffff, 4, V3_EBADMSG,
		 "cannot boot k: ELF: cut off: program headers at 0xffffffff, file ends at 0x1800"},
		{28, 0x17b0, 4, V3_EBADMSG,
		 "cannot boot k: ELF: cut off: program headers at 0x17b0, file ends at 0x1800"},
		{42, 56, 2, V3_EBADMSG, "cannot boot k: ELF: program headers of 56 bytes"},
		{44, 0, 2, V3_EBADMSG, "cannot boot k: ELF: expected 1..32 program headers, got 0"},
		{44, 33, 2, V3_EBADMSG,
		 "cannot boot k: ELF: expected 1..32 program headers, got 33"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_elf(false);
		put(bad[i].off, bad[i].value, bad[i].size);
		check_refused(bad[i].err, bad[i].line);
	}
}

static void test_multiboot_refuses_bad_segments(void)
{
	static const struct {
		struct seg seg; /* in place of the second one */
		int err;
		const char *line;
	} bad[] = {
		{{1, 0x1000, 0, 0x102000, 0x801, 0x1800},
		 V3_EBADMSG,
		 "cannot boot k: ELF: segment 2: cut off: 0x801 bytes at 0x1000 of 0x1800"},
		{{1, 0xfffffff0, 0, 0x102000, 0x20, 0x1800},
		 V3_EBADMSG,
		 "cannot boot k: ELF: segment 2: cut off: 0x20 bytes at 0xfffffff0 of 0x1800"},
		{{1, 0x1000, 0, 0x102000, 0x800, 0x7ff},
		 V3_EBADMSG,
		 "cannot boot k: ELF: segment 2: 0x800 bytes in the file, 0x7ff in memory"},
		{{1, 0x1000, 0, 0xfffff000, 0x800, 0x1001},
		 V3_EBADMSG,
		 "cannot boot k: ELF: segment 2: 0x1001 bytes at 0xfffff000 are not below 4 GiB"},
		{{1, 0x1000, 0, 0x1000000, 0x800, 0x800},
		 V3_E2BIG,
		 "cannot boot k: kernel: 0x800 bytes at 0x1000000 are not in the guest's RAM"},
		{{1, 0x1000, 0, 0xfff000, 0x800, 0x1001},
		 V3_E2BIG,
		 "cannot boot k: kernel: 0x1001 bytes at 0xfff000 are not in the guest's RAM"},
		{{1, 0x1000, 0, 0x9ff00, 0x800, 0x800},
		 V3_E2BIG,
		 "cannot boot k: kernel: 0x800 bytes at 0x9ff00 are not in the guest's RAM"},
		{{1, 0x1000, 0, 0x100fff, 0x800, 0x800},
		 V3_EBADMSG,
		 "cannot boot k: kernel: 0x800 bytes at 0x100fff overlap kernel at 0x100000"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_elf(false);
		put_segment(false, 2, &bad[i].seg);
		check_refused(bad[i].err, bad[i].line);
	}
}

static void test_multiboot_refuses_wrapping_elf64(void)
{
	const struct seg wrap = {1, 0x1000, 0, 0x102000, 0x10, ~0ull},
			 high = {1, ~0ull, 0, 0x102000, 2, 2}, far = {1, 0x1000, 0, ~0ull, 1, 1};

	make_elf(true);
	put_segment(true, 2, &wrap);
	check_refused(V3_EBADMSG,
		      "cannot boot k: ELF: segment 2: 0xffffffffffffffff bytes at 0x102000 are not "
		      "below 4 GiB");
	put_segment(true, 2, &high);
	check_refused(V3_EBADMSG, "cannot boot k: ELF: segment 2: cut off: 0x2 bytes at "
				  "0xffffffffffffffff of 0x1800");
	put_segment(true, 2, &far);
	check_refused(V3_EBADMSG, "cannot boot k: ELF: segment 2: 0x1 bytes at 0xffffffffffffffff "
				  "are not below 4 GiB");
	put(32, ~0ull, 8);
	check_refused(V3_EBADMSG, "cannot boot k: ELF: cut off: program headers at "
				  "0xffffffffffffffff, file ends at 0x1800");
}

static void test_multiboot_refuses_bad_addresses(void)
{
	make_flat((const uint32_t[5]){0x1fffff, 0x200000, 0, 0, 0x200000});
	check_refused(
		V3_EBADMSG,
		"cannot boot k: multiboot: header_addr 0x1fffff does not fit load_addr 0x200000");
	make_flat((const uint32_t[5]){0x200401, 0x200000, 0, 0, 0x200000});
	check_refused(
		V3_EBADMSG,
		"cannot boot k: multiboot: header_addr 0x200401 does not fit load_addr 0x200000");
	make_flat((const uint32_t[5]){0x200400, 0x200000, 0x1fffff, 0, 0x200000});
	check_refused(V3_EBADMSG,
		      "cannot boot k: multiboot: load_end_addr 0x1fffff is not in the file");
	make_flat((const uint32_t[5]){0x200400, 0x200000, 0x202001, 0, 0x200000});
	check_refused(V3_EBADMSG,
		      "cannot boot k: multiboot: load_end_addr 0x202001 is not in the file");
	make_flat((const uint32_t[5]){0x200400, 0x200000, 0x202000, 0x201fff, 0x200000});
	check_refused(V3_EBADMSG,
		      "cannot boot k: multiboot: bss_end_addr 0x201fff lies before load_end_addr");
	make_flat((const uint32_t[5]){0x200400, 0x200000, 0x202000, 0, 0x202000});
	check_refused(V3_EBADMSG,
		      "cannot boot k: multiboot: entry_addr 0x202000 is outside the kernel");
	make_flat((const uint32_t[5]){0xf0000400, 0xf0000000, 0, 0, 0xf0000000});
	check_refused(
		V3_E2BIG,
		"cannot boot k: kernel: 0x2000 bytes at 0xf0000000 are not in the guest's RAM");
	make_flat((const uint32_t[5]){0x200400, 0x200000, 0, 0, 0x200000});
	image_len = 0x410;
	check_refused(V3_EBADMSG, "cannot boot k: multiboot: cut off inside the header");
}

static void test_multiboot_refuses_bad_modules(void)
{
	static uint8_t byte;

	make_elf(false);
	REQUIRE(boot_vm_begin(TOML("16M", "modules=['m x']\n")));
	boot_vm_file("k", image, image_len);
	boot_vm_refused(V3_ENOENT, "cannot boot k: module m: not in the container");
	boot_vm_file("m", &byte, 16 << 20); /* never read: it does not fit */
	memset(&boot_state, 0, sizeof(boot_state));
	boot_vm_refused(V3_E2BIG, "cannot boot k: module: no room for 0x1000000 bytes between "
				  "0x100000 and 0x100000000");
	boot_vm_end();
}

static void test_multiboot_most_modules(void)
{
	char text[2000], *p = text;

	make_elf(false);
	p += sprintf(p, "%s", TOML("16M", "modules=["));
	for (int i = 0; i < 32; i++)
		p += sprintf(p, "'m %d',", i);
	strcpy(p, "]\n");
	REQUIRE(boot_vm_begin(text));
	boot_vm_file("k", image, image_len);
	boot_vm_file("m", "abc", 3);
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	CHECK_EQ(info32(20), 32);
	boot_vm_end();
}

static void test_multiboot_survives_random_images(void)
{
	unsigned good = 0;
	uint8_t *copy;
	size_t len;
	int err;

	for (unsigned i = 0; i < 4000; i++) {
		make_elf(i & 1);
		if (i % 3 == 0)
			make_flat((const uint32_t[5]){0x200400, 0x200000, 0x201000, 0x203000,
						      0x200444});
		for (unsigned n = tap_rand() % 6; n; n--)
			image[tap_rand() % (i % 3 ? 0x110 : 0x420)] = (uint8_t)tap_rand();
		len = tap_rand() % 4 ? image_len : tap_rand() % image_len;
		copy = malloc(len ? len : 1);
		memcpy(copy, image, len);
		REQUIRE(boot_vm_begin(TOML("16M", "")));
		boot_vm_file("k", copy, len);
		err = v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg);
		CHECK(err == V3_OK || err == V3_EBADMSG || err == V3_E2BIG || err == V3_ENOTSUP);
		CHECK(!err || boot_vm_log[0]);
		if (!err) {
			good++;
			CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
		}
		boot_vm_end();
		free(copy);
	}
	CHECK(good > 100);
}

static void test_multiboot_check_alone(void)
{
	char message[200];

	make_elf(false);
	REQUIRE(boot_vm_begin(TOML("16M", "")));
	CHECK_EQ(v3_boot_check(boot_vm_cfg, image, image_len, message, sizeof(message)), V3_OK);
	CHECK_STR(message, "");
	image[0] = 0;
	CHECK_EQ(v3_boot_check(boot_vm_cfg, image, image_len, message, sizeof(message)),
		 V3_EBADMSG);
	CHECK_STR(message, "not an ELF file");
	boot_vm_end();
}

static const struct tap_test tests[] = {
	TAP(test_multiboot_entry_state),
	TAP(test_multiboot_elf64),
	TAP(test_multiboot_information),
	TAP(test_multiboot_modules),
	TAP(test_multiboot_information_avoids_the_kernel),
	TAP(test_multiboot_flat),
	TAP(test_multiboot_refuses_bad_header),
	TAP(test_multiboot_refuses_bad_elf),
	TAP(test_multiboot_refuses_bad_segments),
	TAP(test_multiboot_refuses_wrapping_elf64),
	TAP(test_multiboot_refuses_bad_addresses),
	TAP(test_multiboot_refuses_bad_modules),
	TAP(test_multiboot_most_modules),
	TAP(test_multiboot_survives_random_images),
	TAP(test_multiboot_check_alone),
};
TAP_MAIN(tests)
