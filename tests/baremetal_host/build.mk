# SPDX-License-Identifier: BSD-3-Clause
# The bare-metal host: a kernel like the core, but with the public headers only. Also the ROM that starts it
# in Bochs. Needs from the top Makefile: B, KERNEL_CFLAGS, cc, say, LD, OBJCOPY, all-objs, products.

bm-src	:= boot.S apic.c balloon.c console.c dirty.c hostops.c main.c mem.c sched.c screen.c selftest.c smp.c string.c time.c trap.c \
	vmxcaps.c
bm-objs	:= $(addprefix $(B)/baremetal/,$(addsuffix .o,$(basename $(bm-src))))
BAREMETAL_CFLAGS := $(KERNEL_CFLAGS) -Ipalacios/include
all-objs += $(bm-objs)
products += $(B)/baremetal/palacios.elf $(B)/baremetal/bochs_rom.bin

$(eval $(call flags_file,baremetal,$(CC) $(BAREMETAL_CFLAGS)))
$(B)/baremetal/%.o: tests/baremetal_host/%.c $(B)/.flags.baremetal
	$(call cc,$(BAREMETAL_CFLAGS))
$(B)/baremetal/%.o: tests/baremetal_host/%.S $(B)/.flags.baremetal
	$(call cc,$(BAREMETAL_CFLAGS) -Wa,--noexecstack)

# QEMU's -kernel takes multiboot kernels as 32-bit ELF only.
$(B)/baremetal/palacios64.elf: tests/baremetal_host/link.ld $(bm-objs) $(B)/libpalacios.a
	$(call say,LD,$@)
	$(Q)$(LD) -static -nostdlib -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments -o $@ -T $^
$(B)/baremetal/palacios.elf: $(B)/baremetal/palacios64.elf
	$(call say,OBJCOPY,$@)
	$(Q)$(OBJCOPY) -O elf32-i386 $< $@

$(B)/baremetal/bochs_rom.o: tests/system/bochs_rom.S
	$(call cc,-Wa,--noexecstack)
$(B)/baremetal/bochs_rom.bin: $(B)/baremetal/bochs_rom.o
	$(call say,OBJCOPY,$@)
	$(Q)$(OBJCOPY) -O binary -j .text $< $@
