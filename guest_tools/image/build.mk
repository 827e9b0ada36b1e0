# SPDX-License-Identifier: BSD-3-Clause
# v3-mkimage: a program of the build machine around the library itself, so that both take the same
# definitions. The library is never initialised; calls of its small allocations are wrapped (see
# v3-mkimage.c). That needs the single objects: in libpalacios.a these calls are resolved already.

mkimage-obj := $(B)/guest_tools/image/v3-mkimage.o
host-files-obj := $(B)/guest_tools/image/host_files.o
all-objs += $(mkimage-obj) $(host-files-obj)
products += $(if $(core-objs),$(B)/bin/v3-mkimage)

# Which files of the host a container names: for the v3 command.
$(mkimage-obj) $(host-files-obj): $(B)/guest_tools/image/%.o: guest_tools/image/%.c | $(GENERATED)
	$(call cc,$(TOOL_CFLAGS) -fno-pie)
$(B)/bin/v3-mkimage: $(mkimage-obj) $(core-objs)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -no-pie -Wl,--wrap=v3_alloc -Wl,--wrap=v3_free -Wl,-z,noexecstack -o $@ $^
