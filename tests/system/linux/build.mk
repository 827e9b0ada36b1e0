# SPDX-License-Identifier: BSD-3-Clause
# Programs for the Debian host of tests/system/linux.t, and its targets. Needs from the top Makefile: B,
# TOOL_CFLAGS, DEBIAN, say, prove, products.

linux-programs := $(patsubst tests/system/linux/%.c,$(B)/linux/%,$(wildcard tests/system/linux/*.c))
products += $(linux-programs)

$(linux-programs): $(B)/linux/%: tests/system/linux/%.c linux_module/uapi/palacios.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TOOL_CFLAGS) -static -s -o $@ $<

# The module is no product of a plain "make" before its headers have been downloaded; here it is needed.
.PHONY: check-linux do-run-linux do-bench-linux
check-linux: $(if $(early),,$(products) debian-guest linux)
	$(call prove,linux,$(sort $(wildcard tests/system/linux*.t)))
do-run-linux: $(products) debian-guest linux
	$(Q)V3_BUILD='$(abspath $(B))' tests/system/linux/machine.py $(if $(GUEST),'$(GUEST)')
do-bench-linux: $(products) debian-guest linux
	$(Q)V3_BUILD='$(abspath $(B))' tests/bench/bench.py linux
