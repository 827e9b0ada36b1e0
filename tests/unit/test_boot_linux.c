/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_boot_linux.c
 * bzImages by the 64-bit and the 32-bit boot protocol: what the kernel finds at its entry, where things lie, and
 * what is refused.
 */
#include "boot_vm.h"

#include "boot/loader.h"

#define KERNEL_LEN	0x3000
#define IMAGE_LEN	(5 * 512 + KERNEL_LEN)
#define TOML(mem, more) "[vm]\nname='t'\nmemory='" mem "'\n[boot]\ntype='linux'\nkernel='k'\n" more

static uint8_t image[IMAGE_LEN + 512];

static void put(unsigned off, uint64_t value, unsigned size)
{
	memcpy(image + off, &value, size);
}

/* A bzImage without code: protocol 2.15, 4 setup sectors, 64-bit, relocatable. */
static void make_image(void)
{
	memset(image, 0, sizeof(image));
	for (unsigned i = 0; i < KERNEL_LEN; i++)
		image[5 * 512 + i] = (uint8_t)(i * 13 + (i >> 8));
	put(0x1f1, 4, 1);		/* setup_sects */
	put(0x1f4, KERNEL_LEN / 16, 4); /* syssize */
	put(0x1fe, 0xaa55, 2);
	put(0x200, 0x6aeb, 2);	   /* jump; header ends at 0x26c */
	put(0x202, 0x53726448, 4); /* HdrS */
	put(0x206, 0x20f, 2);
	put(0x211, 0x81, 1);	   /* LOADED_HIGH, CAN_USE_HEAP */
	put(0x22c, 0x7fffffff, 4); /* initrd_addr_max */
	put(0x230, 0x200000, 4);   /* kernel_alignment */
	put(0x234, 1, 1);	   /* relocatable */
	put(0x236, 0x7f, 2);	   /* xloadflags */
	put(0x238, 2047, 4);	   /* cmdline_size */
	put(0x248, 0x1000, 4);	   /* payload */
	put(0x24c, 0x1000, 4);
	put(0x258, 0x1000000, 8); /* pref_address */
	put(0x260, 0x2000000, 4); /* init_size: 32 MiB */
}

static bool load(const char *definition)
{
	if (!boot_vm_begin(definition))
		return false;
	boot_vm_file("k", image, IMAGE_LEN);
	if (!CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK)) {
		printf("# %s\n", boot_vm_log);
		return false;
	}
	return CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
}

/* Translate through the guest's page tables as 4-level paging does. */
static uint64_t walk(uint64_t va)
{
	uint64_t table = boot_vm.vcpu.cr[3], entry = 0;

	for (int shift = 39; shift >= 21; shift -= 9) {
		entry = boot_vm_read(&boot_vm, table + ((va >> shift) & 511) * 8, 8);
		if ((entry & 3) != 3)
			return ~0ull;
		table = entry & 0x000ffffffffff000ull;
	}
	return entry & 0x80 ? table | (va & 0x1fffff) : ~0ull;
}

static void test_linux_entry_state(void)
{
	struct v3_vcpu *vcpu = &boot_vm.vcpu;
	uint64_t gdt;

	make_image();
	if (!load(TOML("64M", "")))
		return;
	CHECK_EQ(vcpu->regs.rip, 0x1000200);
	CHECK_EQ(vcpu->regs.gpr[V3_RSI], boot_state.info);
	CHECK_EQ(vcpu->regs.rflags, 2);
	CHECK_EQ(vcpu->efer, V3_EFER_LME | V3_EFER_LMA);
	CHECK_EQ(vcpu->cr[0] &
			 (V3_CR0_PE | V3_CR0_PG | V3_CR0_CD | V3_CR0_NW | V3_CR0_TS | V3_CR0_EM),
		 V3_CR0_PE | V3_CR0_PG);
	CHECK_EQ(vcpu->cr[4], V3_CR4_PAE);
	CHECK_EQ(vcpu->seg[V3_CS].sel, 0x10);
	CHECK_EQ(vcpu->seg[V3_CS].attr, 0xa9b); /* G, L, present, code, accessed */
	CHECK_EQ(vcpu->seg[V3_SS].sel, 0x18);
	CHECK_EQ(vcpu->seg[V3_DS].attr, 0xc93);
	CHECK_EQ(vcpu->seg[V3_ES].limit, 0xffffffff);
	CHECK_EQ(vcpu->seg[V3_TR].attr, 0x8b);
	/* the descriptors in memory agree with the hidden parts */
	gdt = boot_vm_read(&boot_vm, vcpu->gdt.base + 0x10, 8);
	CHECK_EQ((gdt >> 40 & 0xff) | (gdt >> 52 & 0xf) << 8, vcpu->seg[V3_CS].attr);
	gdt = boot_vm_read(&boot_vm, vcpu->gdt.base + 0x18, 8);
	CHECK_EQ((gdt >> 40 & 0xff) | (gdt >> 52 & 0xf) << 8, vcpu->seg[V3_DS].attr);
	CHECK_EQ(vcpu->gdt.limit, 31);
	CHECK_EQ(vcpu->idt.limit, 0);
	for (uint64_t va = 0; va < 1ull << 32; va += 0x1ff000)
		CHECK_EQ(walk(va), va);
	CHECK_EQ(walk(1ull << 32), ~0ull);
	CHECK_MEM(boot_vm_ptr(&boot_vm, 0x1000000, KERNEL_LEN), image + 5 * 512, KERNEL_LEN);
	boot_vm_end();
}

/* Without a 64-bit entry, or with a protocol that knows none: protected mode at the first byte. */
static void test_linux_entry_state_32(void)
{
	static const struct {
		uint16_t version, xloadflags;
	} kernels[] = {{0x20f, 0x7e}, {0x20b, 0x7f}};
	struct v3_vcpu *vcpu = &boot_vm.vcpu;

	for (size_t i = 0; i < V3_ARRAY_SIZE(kernels); i++) {
		make_image();
		put(0x206, kernels[i].version, 2);
		put(0x236, kernels[i].xloadflags, 2);
		REQUIRE(load(TOML("64M", "")));
		CHECK_EQ(vcpu->regs.rip, 0x1000000);
		CHECK_EQ(vcpu->regs.gpr[V3_RSI], boot_state.info);
		CHECK_EQ(vcpu->regs.gpr[V3_RBX] | vcpu->regs.gpr[V3_RBP] | vcpu->regs.gpr[V3_RDI],
			 0);
		CHECK_EQ(vcpu->regs.rflags, 2);
		CHECK_EQ(vcpu->efer, 0);
		CHECK_EQ(vcpu->cr[0] & (V3_CR0_PE | V3_CR0_PG), V3_CR0_PE);
		CHECK_EQ(vcpu->seg[V3_CS].sel, 0x10);
		CHECK_EQ(vcpu->seg[V3_CS].attr, 0xc9b);
		CHECK_EQ(vcpu->seg[V3_DS].sel, 0x18);
		CHECK_EQ(boot_vm_read(&boot_vm, vcpu->gdt.base + 0x10, 8), 0x00cf9b000000ffff);
		CHECK_EQ(boot_vm_read(&boot_vm, vcpu->gdt.base + 0x18, 8), 0x00cf93000000ffff);
		CHECK_EQ(vcpu->gdt.limit, 31);
		boot_vm_end();
	}
}

/* A header of protocol 2.02 ends before most fields: what is there instead is code. */
static void test_linux_old_header(void)
{
	static const uint8_t initrd[0x2000];
	uint8_t *params;

	make_image();
	put(0x206, 0x202, 2);
	put(0x201, 0x2a, 1);
	memset(image + 0x22c, 0xcc, 0x40);
	REQUIRE(boot_vm_begin(TOML("1G", "initrd='i'\n")));
	boot_vm_file("k", image, IMAGE_LEN);
	boot_vm_file("i", initrd, sizeof(initrd));
	REQUIRE_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	CHECK_EQ(boot_vm.vcpu.regs.rip, 0x100000);
	CHECK_EQ(boot_state.copy[boot_state.initrd].gpa, 0x38000000 - sizeof(initrd));
	params = boot_vm_ptr(&boot_vm, boot_state.info, 4096);
	CHECK_EQ(params[0x22c], 0);
	boot_vm_end();
}

/* The display, if there is one, is in text mode 3. */
static void test_linux_screen(void)
{
	static const uint8_t none[0x20],
		vga[0x20] = {[0x06] = 3, [0x07] = 80, [0x0e] = 25, [0x0f] = 1, [0x10] = 16};

	make_image();
	if (load(TOML("64M", "")))
		CHECK_MEM(boot_vm_ptr(&boot_vm, boot_state.info, 0x20), none, 0x20);
	boot_vm_end();
	if (load(TOML("64M", "[[device]]\nclass='vga'\n")))
		CHECK_MEM(boot_vm_ptr(&boot_vm, boot_state.info, 0x20), vga, 0x20);
	boot_vm_end();
}

static void test_linux_boot_params(void)
{
	const uint8_t *params;

	make_image();
	put(0x250, 0x1122, 8); /* setup_data and the like come over */
	if (!load(TOML("64M", "cmdline='console=ttyS0 quiet'\n")))
		return;
	params = boot_vm_ptr(&boot_vm, boot_state.info, 4096);
	CHECK_MEM(params + 0x1f1, image + 0x1f1, 4);
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x250, 8), 0x1122);
	CHECK_EQ(params[0x210], 0xff);
	CHECK_EQ(params[0x211], 0x01);
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x1fa, 2), 0xffff);
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x218, 8), 0); /* no initrd */
	CHECK_STR((const char *)boot_vm_ptr(&boot_vm,
					    boot_vm_read(&boot_vm, boot_state.info + 0x228, 4), 64),
		  "console=ttyS0 quiet");
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x70, 8), V3_PC_TABLES_BASE);
	CHECK_MEM(boot_vm_ptr(&boot_vm, V3_PC_TABLES_BASE, 8), "RSD PTR ", 8);
	/* nothing of the image but its header */
	for (unsigned i = 0x26c; i < 0x2d0; i++)
		CHECK_EQ(params[i], 0);
	for (unsigned i = 0x78; i < 0x1e8; i++)
		CHECK_EQ(params[i], 0);
	boot_vm_end();
}

struct e820 {
	uint64_t start, size;
	uint32_t type;
};

static void check_e820(const struct e820 *want, unsigned n)
{
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x1e8, 1), n);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x2d0 + i * 20, 8),
			 want[i].start);
		CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x2d0 + i * 20 + 8, 8),
			 want[i].size);
		CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x2d0 + i * 20 + 16, 4),
			 want[i].type);
	}
}

static void test_linux_memory_map_small(void)
{
	static const struct e820 map[] = {{0, 0xa0000, 1},
					  {0xe0000, 0x20000, 2},
					  {0x100000, (64 << 20) - 0x100000, 1},
					  {0xfec00000, 0x1000, 2},
					  {0xfee00000, 0x1000, 2}};

	make_image();
	if (load(TOML("64M", "")))
		check_e820(map, 5);
	boot_vm_end();
}

static void test_linux_memory_map_above_4g(void)
{
	static const struct e820 map[] = {{0, 0xa0000, 1},
					  {0xe0000, 0x20000, 2},
					  {0x100000, 0xc0000000 - 0x100000, 1},
					  {0xfec00000, 0x1000, 2},
					  {0xfee00000, 0x1000, 2},
					  {0x100000000, 0x80000000, 1}};

	make_image();
	if (load(TOML("5G", "")))
		check_e820(map, 6);
	boot_vm_end();
}

static void test_linux_memory_map_without_platform(void)
{
	static const struct e820 map[] = {
		{0, 64 << 20, 1}, {0x8000000, 0x1000, 2}, {0x9000000, 0x3000, 1}};

	make_image();
	REQUIRE(boot_vm_begin("[vm]\nname='t'\nplatform='none'\nmemory='64M'\n[boot]\ntype='linux'"
			      "\nkernel='k'\n"));
	/* ROM is reserved; RAM that touches RAM is one entry */
	boot_vm_add(&boot_vm, 0x8000000, 0x1000, false);
	boot_vm_add(&boot_vm, 0x9000000, 0x1000, true);
	boot_vm_add(&boot_vm, 0x9001000, 0x2000, true);
	boot_vm_file("k", image, IMAGE_LEN);
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	check_e820(map, 3);
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x70, 8), 0); /* no ACPI */
	CHECK(!boot_vm.mmio);
	boot_vm_end();
}

static void test_linux_vga_window_reads_ones(void)
{
	struct v3_mmio mmio = {.gpa = V3_PC_VGA_BASE, .size = 2};

	make_image();
	REQUIRE(load(TOML("64M", "")));
	CHECK_EQ(boot_vm.mmio_base, 0xa0000);
	CHECK_EQ(boot_vm.mmio_size, 0x20000);
	CHECK_EQ(boot_vm.mmio(&boot_vm.vcpu, &mmio, NULL), V3_OK);
	CHECK_EQ(mmio.value, ~0ull);
	mmio = (struct v3_mmio){.gpa = V3_PC_VGA_BASE, .size = 2, .write = true, .value = 5};
	CHECK_EQ(boot_vm.mmio(&boot_vm.vcpu, &mmio, NULL), V3_OK);
	boot_vm_end();
}

static void test_linux_initrd(void)
{
	static uint8_t initrd[0x12345];
	uint64_t at;

	for (unsigned i = 0; i < sizeof(initrd); i++)
		initrd[i] = (uint8_t)(i * 31);
	make_image();
	REQUIRE(boot_vm_begin(TOML("64M", "initrd='i'\n")));
	boot_vm_file("k", image, IMAGE_LEN);
	boot_vm_file("i", initrd, sizeof(initrd));
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	at = boot_vm_read(&boot_vm, boot_state.info + 0x218, 4);
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x21c, 4), sizeof(initrd));
	CHECK_EQ(at, (64 << 20) - 0x13000); /* the highest page it fits */
	CHECK_MEM(boot_vm_ptr(&boot_vm, at, sizeof(initrd)), initrd, sizeof(initrd));

	/* the second power-on restores what the guest has overwritten */
	memset(boot_vm_ptr(&boot_vm, at, sizeof(initrd)), 0, sizeof(initrd));
	memset(boot_vm_ptr(&boot_vm, 0x1000, 0x9000), 0xff, 0x9000);
	memset(&boot_vm.vcpu, 0xff, sizeof(boot_vm.vcpu));
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	CHECK_MEM(boot_vm_ptr(&boot_vm, at, sizeof(initrd)), initrd, sizeof(initrd));
	CHECK_EQ(boot_vm_read(&boot_vm, boot_state.info + 0x21c, 4), sizeof(initrd));
	CHECK_EQ(boot_vm.vcpu.regs.rip, 0x1000200);
	CHECK_EQ(walk(0x12345678), 0x12345678);
	boot_vm_end();
}

static void test_linux_initrd_below_its_limit(void)
{
	static uint8_t initrd[0x2000];

	make_image();
	put(0x22c, 0x37fffff, 4); /* initrd_addr_max: 56 MiB - 1 */
	REQUIRE(boot_vm_begin(TOML("5G", "initrd='i'\n")));
	boot_vm_file("k", image, IMAGE_LEN);
	boot_vm_file("i", initrd, sizeof(initrd));
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(boot_state.copy[boot_state.initrd].gpa, 0x37fe000);
	boot_vm_end();

	put(0x22c, 0x1003fff, 4); /* between kernel's start and its end: below it is room */
	REQUIRE(boot_vm_begin(TOML("5G", "initrd='i'\n")));
	boot_vm_file("k", image, IMAGE_LEN);
	boot_vm_file("i", initrd, sizeof(initrd));
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(boot_state.copy[boot_state.initrd].gpa, 0x0ffe000);
	boot_vm_end();
}

static void test_linux_fixed_address(void)
{
	make_image();
	put(0x234, 0, 1);
	put(0x230, 3, 4); /* alignment does not count */
	put(0x258, 0x1234000, 8);
	if (load(TOML("64M", "")))
		CHECK_EQ(boot_vm.vcpu.regs.rip, 0x1234200);
	boot_vm_end();
}

static void test_linux_relocated_to_alignment(void)
{
	make_image();
	put(0x258, 0x1000001, 8);
	if (load(TOML("64M", "")))
		CHECK_EQ(boot_vm.vcpu.regs.rip, 0x1200200);
	boot_vm_end();
}

static void test_linux_syssize_may_round_up(void)
{
	make_image();
	put(0x1f4, KERNEL_LEN / 16 + 1, 4);
	put(0x1f1, 0, 1); /* 0 means 4 */
	boot_vm_begin(TOML("64M", ""));
	boot_vm_file("k", image, IMAGE_LEN + 1);
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(boot_state.copy[0].len, KERNEL_LEN + 1);
	boot_vm_end();
}

/* ---- refused ---- */

struct patch {
	unsigned off;
	uint64_t value;
	unsigned size;
	int err;
	const char *line;
};

static void test_linux_refuses_bad_fields(void)
{
	static const struct patch bad[] = {
		{0x1fe, 0, 2, V3_EBADMSG, "cannot boot k: not a Linux bzImage (no setup header)"},
		{0x202, 0, 4, V3_EBADMSG, "cannot boot k: not a Linux bzImage (no setup header)"},
		{0x206, 0x201, 2, V3_ENOTSUP,
		 "cannot boot k: bzImage: boot protocol 2.01, 2.02 or later is needed"},
		{0x211, 0, 1, V3_ENOTSUP,
		 "cannot boot k: bzImage: a zImage, loaded below 1 MiB (loadflags)"},
		{0x201, 0x29, 1, V3_EBADMSG,
		 "cannot boot k: bzImage: setup header ends at 0x22b, expected 0x22c..0x290"},
		{0x201, 0x8f, 1, V3_EBADMSG,
		 "cannot boot k: bzImage: setup header ends at 0x291, expected 0x22c..0x290"},
		{0x200, 0xe9, 1, V3_EBADMSG,
		 "cannot boot k: bzImage: setup header ends at 0x26c, expected 0x22c..0x290"},
		{0x1f1, 0xff, 1, V3_EBADMSG,
		 "cannot boot k: bzImage: cut off: 14848 bytes, syssize asks for 0x20000 + 0x3000"},
		{0x1f1, 5, 1, V3_EBADMSG,
		 "cannot boot k: bzImage: cut off: 14848 bytes, syssize asks for 0xc00 + 0x3000"},
		{0x1f4, 0xffffffff, 4, V3_EBADMSG,
		 "cannot boot k: bzImage: cut off: 14848 bytes, syssize asks for 0xa00 + "
		 "0xffffffff0"},
		{0x1f4, 0x20, 4, V3_EBADMSG,
		 "cannot boot k: bzImage: cut off: 14848 bytes, syssize asks for 0xa00 + 0x200"},
		{0x1f4, 0, 4, V3_EBADMSG,
		 "cannot boot k: bzImage: cut off: 14848 bytes, syssize asks for 0xa00 + 0"},
		{0x24c, 0xffffffff, 4, V3_EBADMSG,
		 "cannot boot k: bzImage: payload ends at 0x100000fff, the kernel at 0x3000"},
		{0x230, 0, 4, V3_EBADMSG,
		 "cannot boot k: bzImage: kernel_alignment 0 is not a power of two >= 4096"},
		{0x230, 0x300000, 4, V3_EBADMSG,
		 "cannot boot k: bzImage: kernel_alignment 0x300000 is not a power of two >= 4096"},
		{0x258, 0xfffff, 8, V3_EBADMSG,
		 "cannot boot k: bzImage: pref_address 0xfffff is not within 1 MiB..4 GiB"},
		{0x258, 1ull << 32, 8, V3_EBADMSG,
		 "cannot boot k: bzImage: pref_address 0x100000000 is not within 1 MiB..4 GiB"},
		{0x258, ~0ull, 8, V3_EBADMSG,
		 "cannot boot k: bzImage: pref_address 0xffffffffffffffff is not within 1 MiB..4 "
		 "GiB"},
		{0x260, 0xffffffff, 4, V3_E2BIG,
		 "cannot boot k: kernel (init_size): no room for 0xffffffff bytes between "
		 "0x1000000 and 0x100000000"},
		{0x230, 0x80000000, 4, V3_E2BIG,
		 "cannot boot k: kernel (init_size): no room for 0x2000000 bytes between 0x1000000 "
		 "and 0x100000000"},
		{0x238, 3, 4, V3_E2BIG,
		 "cannot boot k: cmdline: 5 bytes, this kernel takes at most 3"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_image();
		put(bad[i].off, bad[i].value, bad[i].size);
		REQUIRE(boot_vm_begin(TOML("64M", "cmdline='quiet'\n")));
		boot_vm_file("k", image, IMAGE_LEN);
		boot_vm_refused(bad[i].err, bad[i].line);
		boot_vm_end();
	}
}

static void test_linux_refuses_fixed_address_outside_ram(void)
{
	make_image();
	put(0x234, 0, 1);
	put(0x258, 0x3000000, 8);
	REQUIRE(boot_vm_begin(TOML("64M", "")));
	boot_vm_file("k", image, IMAGE_LEN);
	boot_vm_refused(
		V3_E2BIG,
		"cannot boot k: kernel: 0x2000000 bytes at 0x3000000 are not in the guest's RAM");
	boot_vm_end();
}

static void test_linux_refuses_too_little_ram(void)
{
	make_image();
	REQUIRE(boot_vm_begin(TOML("47M", "")));
	boot_vm_file("k", image, IMAGE_LEN);
	boot_vm_refused(V3_E2BIG,
			"cannot boot k: kernel (init_size): no room for 0x2000000 bytes between "
			"0x1000000 and 0x100000000");
	boot_vm_end();
}

static void test_linux_refuses_big_initrd(void)
{
	static uint8_t byte;

	make_image();
	REQUIRE(boot_vm_begin(TOML("64M", "initrd='i'\n")));
	boot_vm_file("k", image, IMAGE_LEN);
	boot_vm_file("i", &byte, 17 << 20); /* never read: it does not fit */
	boot_vm_refused(V3_E2BIG, "cannot boot k: initrd: no room for 0x1100000 bytes between "
				  "0x100000 and 0x80000000");
	boot_vm_end();
}

static void test_linux_refuses_missing_files(void)
{
	make_image();
	REQUIRE(boot_vm_begin(TOML("64M", "initrd='i'\n")));
	boot_vm_refused(V3_ENOENT, "cannot boot k: not in the container");
	boot_vm_file("k", image, IMAGE_LEN);
	memset(&boot_state, 0, sizeof(boot_state));
	boot_vm_refused(V3_ENOENT, "cannot boot k: initrd i: not in the container");
	boot_vm_end();
}

static void test_linux_refuses_every_cut(void)
{
	uint8_t *copy;

	make_image();
	for (size_t len = 0; len < IMAGE_LEN - 15; len += len < 0x300 ? 1 : 97) {
		copy = malloc(len ? len : 1); /* exact size: a read past the end is caught */
		memcpy(copy, image, len);
		REQUIRE(boot_vm_begin(TOML("64M", "")));
		boot_vm_file("k", copy, len);
		CHECK_MSG(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg) == V3_EBADMSG,
			  "%zu bytes", len);
		boot_vm_end();
		free(copy);
	}
}

static void test_linux_survives_random_headers(void)
{
	unsigned good = 0;
	int err;

	for (unsigned i = 0; i < 3000; i++) {
		make_image();
		for (unsigned n = tap_rand() % 6; n; n--)
			image[0x1f1 + tap_rand() % 0x80] = (uint8_t)tap_rand();
		REQUIRE(boot_vm_begin(TOML("64M", "initrd='k'\n")));
		boot_vm_file("k", image, IMAGE_LEN);
		err = v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg);
		CHECK(err == V3_OK || err == V3_EBADMSG || err == V3_E2BIG || err == V3_ENOTSUP);
		CHECK(!err || boot_vm_log[0]);
		if (!err) {
			good++;
			CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
		}
		boot_vm_end();
	}
	CHECK(good > 100);
}

static void test_linux_setup_out_of_memory_at_each_step(void)
{
	unsigned k;
	int err = V3_OK;

	make_image();
	REQUIRE(load(TOML("64M", "")));
	for (k = 1; k < 10; k++) {
		unsigned live = small_alloc.live;

		small_alloc_fail_at(k, true);
		err = v3_boot_setup(&boot_vm, &boot_state);
		CHECK_EQ(small_alloc.live, live);
		if (!small_alloc_refused())
			break;
		CHECK_EQ(err, V3_ENOMEM);
	}
	small_alloc_fail_at(0, false);
	CHECK_EQ(err, V3_OK);
	CHECK(k > 1);
	boot_vm_end();
}

static const struct tap_test tests[] = {
	TAP(test_linux_entry_state),
	TAP(test_linux_entry_state_32),
	TAP(test_linux_old_header),
	TAP(test_linux_screen),
	TAP(test_linux_boot_params),
	TAP(test_linux_memory_map_small),
	TAP(test_linux_memory_map_above_4g),
	TAP(test_linux_memory_map_without_platform),
	TAP(test_linux_vga_window_reads_ones),
	TAP(test_linux_initrd),
	TAP(test_linux_initrd_below_its_limit),
	TAP(test_linux_fixed_address),
	TAP(test_linux_relocated_to_alignment),
	TAP(test_linux_syssize_may_round_up),
	TAP(test_linux_refuses_bad_fields),
	TAP(test_linux_refuses_fixed_address_outside_ram),
	TAP(test_linux_refuses_too_little_ram),
	TAP(test_linux_refuses_big_initrd),
	TAP(test_linux_refuses_missing_files),
	TAP(test_linux_refuses_every_cut),
	TAP(test_linux_survives_random_headers),
	TAP(test_linux_setup_out_of_memory_at_each_step),
};
TAP_MAIN(tests)
