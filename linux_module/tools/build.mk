# SPDX-License-Identifier: BSD-3-Clause
# The v3 command: static, so that it runs in an initramfs, too. The packing of definitions is v3-mkimage's
# own object under another name, with the library's parser behind it; see guest_tools/image/build.mk.
# Needs from the top Makefile: B, TOOL_CFLAGS, GENERATED, cc, say, OBJCOPY, core-objs, mkimage-obj.

v3-objs := $(patsubst %.c,$(B)/%.o,$(wildcard linux_module/tools/*.c))
all-objs += $(v3-objs)
products += $(if $(core-objs),$(B)/bin/v3)

$(v3-objs): $(B)/linux_module/tools/%.o: linux_module/tools/%.c | $(GENERATED)
	$(call cc,$(TOOL_CFLAGS) -fno-pie)
$(B)/linux_module/tools/mkimage_main.o: $(mkimage-obj)
	$(call say,OBJCOPY,$@)
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --redefine-sym main=v3_mkimage_main $< $@
$(B)/bin/v3: $(v3-objs) $(B)/linux_module/tools/mkimage_main.o $(host-files-obj) $(core-objs)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -static -no-pie -Wl,--wrap=v3_alloc -Wl,--wrap=v3_free -Wl,-z,noexecstack -o $@ $^

# The same command on the device of tests/fake_device/, with sanitizers: what tests/unit/v3.t runs.
v3-unit-src := $(wildcard linux_module/tools/*.c tests/fake_device/*.c)
v3-unit-objs := $(patsubst %.c,$(B)/unit/obj/%.o,$(v3-unit-src))
all-objs += $(v3-unit-objs)

$(B)/unit/obj/linux_module/tools/%.o: linux_module/tools/%.c $(B)/.flags.unit | $(GENERATED)
	$(call cc,$(UNIT_CFLAGS))
$(B)/unit/v3: $(v3-unit-objs) $(B)/linux_module/tools/mkimage_main.o $(host-files-obj) $(core-objs)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_LDFLAGS) -Wl,--wrap=open -Wl,--wrap=ioctl -Wl,--wrap=v3_alloc -Wl,--wrap=v3_free \
		-Wl,-z,noexecstack -o $@ $^
check-unit: $(if $(early),,$(B)/bin/v3 $(B)/unit/v3)
