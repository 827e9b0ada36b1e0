# SPDX-License-Identifier: BSD-3-Clause
# Micro guests: each tests/guests/NAME.c becomes $(B)/guests/NAME.elf with the runtime of lib/.
# Needs from the top Makefile: B, WARN, cc, say, flags_file, LD, OBJCOPY, all-objs, products.

guest-names := $(basename $(notdir $(wildcard tests/guests/*.c)))
guest-elfs  := $(addprefix $(B)/guests/,$(addsuffix .elf,$(guest-names)))
guest-lib   := $(addprefix $(B)/guests/lib/,crt.o lib.o apic.o virtio.o)
GUEST_CFLAGS := -std=gnu11 -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie -fno-common \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-jump-tables -O2 -g $(WARN) \
	-Itests/guests/lib -Ipalacios/include/palacios/abi
all-objs += $(guest-lib) $(guest-elfs:.elf=.o)
products += $(guest-elfs)
.SECONDARY: $(guest-lib) $(guest-elfs:.elf=.o)

$(eval $(call flags_file,guests,$(CC) $(GUEST_CFLAGS)))
$(B)/guests/%.o: tests/guests/%.c $(B)/.flags.guests
	$(call cc,$(GUEST_CFLAGS))
$(B)/guests/lib/%.o: tests/guests/lib/%.S $(B)/.flags.guests
	$(call cc,$(GUEST_CFLAGS) -Wa,--noexecstack)

# As 32-bit ELF, so that QEMU's own -kernel takes them too: the same guest on the bare emulated machine.
$(B)/guests/%.elf: $(B)/guests/%.o $(guest-lib) tests/guests/lib/guest.ld
	$(call say,LD,$@)
	$(Q)$(LD) -static -nostdlib -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
		-T tests/guests/lib/guest.ld -o $(@:.elf=.elf64) $(guest-lib) $<
	$(Q)$(OBJCOPY) -O elf32-i386 $(@:.elf=.elf64) $@
