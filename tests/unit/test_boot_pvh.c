/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_boot_pvh.c
 * PVH kernels: the note that makes them, what they find at their entry, what is refused.
 */
#include "boot_elf.h"

#define TOML(mem, more) BOOT_TOML("pvh", mem, more)
#define NOTE_OFF	0x1400

static size_t note_len;

static void put_note(const char *name, uint32_t type, uint64_t desc, unsigned desc_len)
{
	size_t name_len = strlen(name) + 1, at = NOTE_OFF + note_len;

	put(at, name_len, 4);
	put(at + 4, desc_len, 4);
	put(at + 8, type, 4);
	memset(image + at + 12, 0, 16);
	memcpy(image + at + 12, name, name_len);
	at += 12 + ((name_len + 3) & ~3ull);
	put(at, desc, desc_len);
	note_len = at + ((desc_len + 3) & ~3ull) - NOTE_OFF;
}

static void make_kernel(bool elf64, uint64_t entry, unsigned entry_len)
{
	boot_elf(elf64);
	note_len = 0;
	put_note("GNU", 18, 0x666, 4);
	put_note("Xen", 6, 0x777, 2);
	put_note("Xen", 18, entry, entry_len);
	put_segment(elf64, 0, &(const struct seg){4, NOTE_OFF, 0, 0, note_len, note_len});
}

static void test_pvh_entry_state(void)
{
	struct v3_vcpu *vcpu = &boot_vm.vcpu;

	for (int elf64 = 0; elf64 < 2; elf64++) {
		make_kernel(elf64, 0x100234, elf64 ? 8 : 4);
		if (load(TOML("16M", ""))) {
			check_segments(0);
			CHECK_EQ(vcpu->regs.rip, 0x100234);
			CHECK_EQ(vcpu->regs.gpr[V3_RBX], boot_state.info);
			CHECK_EQ(vcpu->regs.rflags, 2);
			CHECK_EQ(vcpu->cr[0] & (V3_CR0_PE | V3_CR0_PG), V3_CR0_PE);
			CHECK_EQ(vcpu->cr[4], 0);
			CHECK_EQ(vcpu->seg[V3_CS].attr, 0xc9b);
		}
		boot_vm_end();
	}
}

/* Linux's ELF entry point is a physical address, which lies in no segment by its virtual one: the note alone counts. */
static void test_pvh_takes_its_entry_from_the_note(void)
{
	make_kernel(true, 0x100234, 8);
	put(24, 0x100200, 8);
	if (load(TOML("16M", "")))
		CHECK_EQ(boot_vm.vcpu.regs.rip, 0x100234);
	boot_vm_end();
}

static void test_pvh_information(void)
{
	static const char one[] = "first module";
	uint64_t modules, map;

	make_kernel(true, 0x100234, 8);
	REQUIRE(boot_vm_begin(TOML("16M", "cmdline='a b'\nmodules=['m x=1', 'n']\n")));
	boot_vm_file("k", image, image_len);
	boot_vm_file("m", one, sizeof(one));
	boot_vm_file("n", "", 0);
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK);
	CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
	CHECK_EQ(info32(0), 0x336ec578);
	CHECK_EQ(info32(4), 1);
	CHECK_EQ(info32(8), 0);
	CHECK_EQ(info32(12), 2);
	modules = info64(16);
	CHECK_STR(text_at(info64(24)), "a b");
	CHECK_EQ(info64(32), boot_state.rsdp);
	CHECK(boot_state.rsdp);
	map = info64(40);
	CHECK_EQ(info32(48), 5);
	CHECK_EQ(boot_vm_read(&boot_vm, map + 2 * 24, 8), 0x100000);
	CHECK_EQ(boot_vm_read(&boot_vm, map + 2 * 24 + 8, 8), 15 << 20);
	CHECK_EQ(boot_vm_read(&boot_vm, map + 2 * 24 + 16, 8), 1);
	CHECK_EQ(boot_vm_read(&boot_vm, modules, 8), 0x104000);
	CHECK_EQ(boot_vm_read(&boot_vm, modules + 8, 8), sizeof(one));
	CHECK_STR(text_at(boot_vm_read(&boot_vm, modules + 16, 8)), "m x=1");
	CHECK_STR(text_at(boot_vm_read(&boot_vm, modules + 32 + 16, 8)), "n");
	CHECK_STR(text_at(0x104000), "first module");
	boot_vm_end();
}

static void test_pvh_refuses(void)
{
	static const char none[] =
		"cannot boot k: not a PVH kernel (no note with a 32-bit entry point)";

	boot_elf(true);
	boot_elf_refused("pvh", V3_EBADMSG, none);
	make_kernel(true, 0x100234, 2);
	boot_elf_refused("pvh", V3_EBADMSG, none);
	make_kernel(true, 0x100100234ull, 8);
	boot_elf_refused("pvh", V3_EBADMSG,
			 "cannot boot k: PVH: the entry point 0x100100234 is not below 4 GiB");
	make_kernel(true, 0x100234, 8);
	put(NOTE_OFF, 0xfffffff0, 4); /* a name without end */
	boot_elf_refused("pvh", V3_EBADMSG,
			 "cannot boot k: ELF: program header 0: its notes are cut off");
	put(NOTE_OFF, 4, 4);
	put(NOTE_OFF + 4, 0xfffffff0, 4); /* a descriptor without end */
	boot_elf_refused("pvh", V3_EBADMSG,
			 "cannot boot k: ELF: program header 0: its notes are cut off");
	make_kernel(true, 0x100234, 8);
	put_segment(true, 0, &(const struct seg){4, 0x17f0, 0, 0, 0x11, 0});
	boot_elf_refused("pvh", V3_EBADMSG,
			 "cannot boot k: ELF: program header 0: its notes are cut off");
	image[0] = 0;
	boot_elf_refused("pvh", V3_EBADMSG, "cannot boot k: not an ELF file");
}

static void test_pvh_check_alone(void)
{
	char message[200];

	make_kernel(true, 0x100234, 8);
	REQUIRE(boot_vm_begin(TOML("16M", "")));
	CHECK_EQ(v3_boot_check(boot_vm_cfg, image, image_len, message, sizeof(message)), V3_OK);
	image[NOTE_OFF + note_len - 20] ^= 1; /* in the last note's head */
	CHECK_EQ(v3_boot_check(boot_vm_cfg, image, image_len, message, sizeof(message)),
		 V3_EBADMSG);
	CHECK(message[0]);
	boot_vm_end();
}

static const struct tap_test tests[] = {
	TAP(test_pvh_entry_state), TAP(test_pvh_takes_its_entry_from_the_note),
	TAP(test_pvh_information), TAP(test_pvh_refuses),
	TAP(test_pvh_check_alone),
};
TAP_MAIN(tests)
