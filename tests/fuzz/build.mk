# SPDX-License-Identifier: BSD-3-Clause
# Fuzz harnesses: libFuzzer with ASan and UBSan on the core in user space and the fake host, compiled by clang.
#
#	make fuzz TARGET=virtio_blk SECONDS=60      what is found new goes to $(B)/fuzz/corpus/TARGET
#	make check-fuzz                             the committed corpora, then 5 seconds of each
#
# A harness is $(B)/fuzz/TARGET; its corpus lies in tests/fuzz/corpus/TARGET.

FUZZ_TARGETS := virtio_blk virtio_net virtio_console definition qcow2
FUZZ_CFLAGS := $(subst -O1,-O1 -fsanitize=fuzzer-no-link,$(UNIT_CFLAGS)) -Wno-unused-function -Wno-pass-failed
$(eval $(call flags_file,fuzz,$(CLANG) $(FUZZ_CFLAGS)))

fuzz-core-objs := $(patsubst $(B)/unit/obj/%,$(B)/fuzz/obj/%,$(unit-core-objs) $(unit-help-objs))
fuzz-objs := $(patsubst %,$(B)/fuzz/obj/%.o,$(FUZZ_TARGETS))
all-objs += $(fuzz-core-objs) $(fuzz-objs)

define fuzzcc
$(call say,CLANG,$@)
@mkdir -p $(@D)
$(Q)$(CLANG) $(FUZZ_CFLAGS) $(1) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
endef
$(B)/fuzz/obj/palacios/%.o: palacios/%.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc,-ffreestanding)
$(B)/fuzz/obj/tests/%.o: tests/%.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc)
fuzz-device = -DFUZZ_DEVICE=v3_device_$(1) -DFUZZ_KEYS='$(2)'
$(B)/fuzz/obj/virtio_blk.o: tests/fuzz/fuzz_virtio.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc,$(call fuzz-device,virtio_blk,"size = \"256K\""))
$(B)/fuzz/obj/virtio_net.o: tests/fuzz/fuzz_virtio.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc,$(call fuzz-device,virtio_net,""))
$(B)/fuzz/obj/virtio_console.o: tests/fuzz/fuzz_virtio.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc,$(call fuzz-device,virtio_console,"console = \"console\""))
$(B)/fuzz/obj/definition.o $(B)/fuzz/obj/qcow2.o: $(B)/fuzz/obj/%.o: tests/fuzz/fuzz_%.c $(B)/.flags.fuzz | $(GENERATED)
	$(call fuzzcc)

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
	$(Q)$(B)/fuzz/$(TARGET) -max_total_time=$(FUZZ_FOR) -max_len=1024 -print_final_stats=1 \
		-artifact_prefix=$(B)/fuzz/ $(B)/fuzz/corpus/$(TARGET) $(wildcard tests/fuzz/corpus/$(TARGET))
check-fuzz: $(if $(early),,$(fuzz-bins))
	$(call prove,fuzz,tests/fuzz/fuzz.t)
