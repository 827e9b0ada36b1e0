# SPDX-License-Identifier: BSD-3-Clause
# v3-mkimage: a program of the build machine around the library itself, so that both take the same
# definitions. The library never gets initialised; only its small allocations are given a host (see v3-mkimage.c).

mkimage-obj := $(B)/guest_tools/image/v3-mkimage.o
all-objs += $(mkimage-obj)
products += $(B)/bin/v3-mkimage

$(mkimage-obj): guest_tools/image/v3-mkimage.c | $(GENERATED)
	$(call cc,$(TOOL_CFLAGS) -fno-pie)
$(B)/bin/v3-mkimage: $(mkimage-obj) $(B)/libpalacios.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -no-pie -Wl,-z,noexecstack -o $@ $^
