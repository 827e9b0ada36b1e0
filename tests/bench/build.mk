# SPDX-License-Identifier: BSD-3-Clause
# The bench guest, a flat multiboot kernel.
BENCH_CFLAGS := $(filter-out -mcmodel=kernel,$(KERNEL_CFLAGS)) -Ipalacios/include
bench-objs := $(B)/bench/boot.o $(B)/bench/micro.o $(B)/bench/disk.o $(B)/bench/nic.o
all-objs += $(bench-objs)
products += $(B)/bench/micro.elf

$(eval $(call flags_file,bench,$(CC) $(BENCH_CFLAGS)))
$(B)/bench/%.o: tests/bench/%.c $(B)/.flags.bench
	$(call cc,$(BENCH_CFLAGS))
$(B)/bench/%.o: tests/bench/%.S $(B)/.flags.bench
	$(call cc,$(BENCH_CFLAGS))
# Multiboot loaders take a 32-bit ELF.
$(B)/bench/micro.elf: $(bench-objs) tests/bench/bench.ld
	$(call say,LD,$@)
	$(Q)$(LD) -nostdlib --no-warn-rwx-segments -z max-page-size=4096 -T tests/bench/bench.ld -o $@.64 $(bench-objs)
	$(Q)$(OBJCOPY) -O elf32-i386 $@.64 $@
