# SPDX-License-Identifier: BSD-3-Clause
# Fuzz harnesses: libFuzzer with ASan and UBSan on the core in user space and the fake host, compiled by clang.
#
#	make fuzz TARGET=virtio_blk SECONDS=60      what is found new goes to $(B)/fuzz/corpus/TARGET
#	make check-fuzz                             the committed corpora, then 5 seconds of each, two at a time
#
# A harness is $(B)/fuzz/TARGET; its corpus lies in tests/fuzz/corpus/TARGET.

# $(call fuzz-target,TARGET,FILE,FLAGS): the harness TARGET is tests/fuzz/fuzz_FILE.c compiled with FLAGS.
FUZZ_TARGETS :=
define fuzz-target
FUZZ_TARGETS += $(1)
$(B)/fuzz/obj/$(1).o: tests/fuzz/fuzz_$(2).c $(B)/.flags.fuzz | $$(GENERATED)
	$$(call fuzzcc,$(3))
$(B)/replay/obj/$(1).o: tests/fuzz/fuzz_$(2).c $(B)/.flags.unit | $$(GENERATED)
	$$(call cc,$$(UNIT_CFLAGS) -Wno-unused-function $(3))
endef

FUZZ_CFLAGS := $(subst -O1,-O1 -fsanitize=fuzzer-no-link,$(UNIT_CFLAGS)) -Wno-unused-function -Wno-pass-failed
$(eval $(call flags_file,fuzz,$(CLANG) $(FUZZ_CFLAGS)))

fuzz-core-objs := $(patsubst $(B)/unit/obj/%,$(B)/fuzz/obj/%,$(unit-core-objs) $(unit-help-objs))
all-objs += $(fuzz-core-objs)

define fuzzcc
$(call say,CLANG,$@)
@mkdir -p $(@D)
$(Q)$(CLANG) $(FUZZ_CFLAGS) $(1) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
endef
$(B)/fuzz/obj/palacios/%.o: palacios/%.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc,-ffreestanding)
$(B)/fuzz/obj/tests/%.o: tests/%.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc)

$(eval $(call fuzz-target,definition,definition))
$(eval $(call fuzz-target,container,container))
$(eval $(call fuzz-target,kernel,kernel))
$(eval $(call fuzz-target,emulator,emulator))
$(eval $(call fuzz-target,walk,walk))
$(eval $(call fuzz-target,inflate,inflate))
$(eval $(call fuzz-target,qcow2,qcow2))
fuzz-device = -DFUZZ_DEVICE=v3_device_$(1) -DFUZZ_KEYS='$(2)'
$(eval $(call fuzz-target,virtio_blk,virtio,$(call fuzz-device,virtio_blk,"size = \"256K\"\nqueues = 2")))
$(eval $(call fuzz-target,virtio_net,virtio,$(call fuzz-device,virtio_net,"queues = 2")))
$(eval $(call fuzz-target,virtio_console,virtio,$(call fuzz-device,virtio_console,"console = \"console\"")))
$(eval $(call fuzz-target,virtio_balloon,virtio,$(call fuzz-device,virtio_balloon,"target = \"1M\"")))
$(eval $(call fuzz-target,ide,ide))
# The rows of fuzz_machine.c's table.
FUZZ_MACHINE := uart i8254 i8259 hpet rtc ioapic lapic chipset piix4_pm i8042 vga fw_cfg pci msr exits save
$(foreach t,$(FUZZ_MACHINE),$(eval $(call fuzz-target,$(t),machine,-DFUZZ_TARGET='"$(t)"')))
all-objs += $(patsubst %,$(B)/fuzz/obj/%.o,$(FUZZ_TARGETS)) $(patsubst %,$(B)/replay/obj/%.o,$(FUZZ_TARGETS))

$(B)/fuzz/libcore.a: $(fuzz-core-objs)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcsD $@ $^
fuzz-bins := $(addprefix $(B)/fuzz/,$(FUZZ_TARGETS))
$(fuzz-bins): $(B)/fuzz/%: $(B)/fuzz/obj/%.o $(B)/fuzz/libcore.a
	$(call say,LD,$@)
	$(Q)$(CLANG) -no-pie -fsanitize=fuzzer,address,undefined -pthread -o $@ $< $(B)/fuzz/libcore.a

FUZZ_FOR ?= $(if $(filter command environment,$(firstword $(origin SECONDS))),$(SECONDS),60)
.PHONY: fuzz check-fuzz
fuzz: $(if $(early),,$(B)/fuzz/$(TARGET))
	@mkdir -p $(B)/fuzz/corpus/$(TARGET)
	$(Q)$(B)/fuzz/$(TARGET) -max_total_time=$(FUZZ_FOR) -max_len=2048 -print_final_stats=1 \
		-artifact_prefix=$(B)/fuzz/ $(B)/fuzz/corpus/$(TARGET) $(wildcard tests/fuzz/corpus/$(TARGET))
check-fuzz: $(if $(early),,$(fuzz-bins))
	$(call prove,fuzz,tests/fuzz/fuzz.t)

# What unit tests and corpora reach of the code that guests face. COVERAGE=1 compiles for gcov, in a folder of its own.
replay-bins := $(addprefix $(B)/replay/,$(FUZZ_TARGETS))
$(replay-bins): $(B)/replay/%: $(B)/replay/obj/%.o $(B)/unit/obj/tests/fuzz/replay.o $(B)/unit/libhelp.a $(B)/unit/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(UNIT_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
.PHONY: coverage do-coverage
coverage:
	+$(Q)$(MAKE) --no-print-directory B='$(abspath $(B))/coverage' COVERAGE=1 do-coverage
do-coverage: $(if $(early),,$(unit-tests) $(replay-bins))
	$(Q)tests/coverage.py '$(B)'
