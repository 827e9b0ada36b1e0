# SPDX-License-Identifier: BSD-3-Clause
# palacios.ko for Debian's cloud kernel. kbuild puts its products beside the sources, so it gets a folder of its
# own, $(B)/linux/module, with links to them. The headers are a download and live in $(B)/linux/headers.
# make clean keeps them. KDIR=folder builds for another kernel: the build folder of its headers.

LINUX_OUT := $(B)/linux
LINUX_HEADERS := $(LINUX_OUT)/headers
linux-release = $(shell cat $(LINUX_HEADERS)/release)
linux-kdir = $(or $(KDIR),$(abspath $(LINUX_HEADERS))/tree/usr/src/linux-headers-$(linux-release))
linux-module := $(LINUX_OUT)/module
linux-tops := Kbuild main.c cpus.c hooks.c irq.S pool.c trace.c trace.h console.c files.c tap.c vms.c vm_dev.c ioctl.c debugfs.c glue.h \
	compat.h asm_compat.h shim uapi
linux-files := $(foreach f,$(linux-tops),$(or $(wildcard linux_module/$(f)/*),linux_module/$(f)))
linux-sources := $(linux-files) $(shell find palacios/src palacios/include -name '*.[chS]') palacios/objects.mk

$(LINUX_HEADERS)/release: $(DEBIAN)/vmlinuz linux_module/fetch.sh
	$(call say,FETCH,$(LINUX_HEADERS))
	$(Q)linux_module/fetch.sh $(LINUX_HEADERS) $(DEBIAN)/vmlinuz

# The links follow the list of files; kbuild itself finds out what changed in them.
$(LINUX_OUT)/palacios.ko: $(linux-sources) $(AUTOCONF_MK) $(if $(KDIR),,$(LINUX_HEADERS)/release)
	$(call say,KBUILD,$@)
	@mkdir -p $(linux-module)/palacios
	$(Q)find $(linux-module) -type l -delete
	$(Q)cp -as $(addprefix '$(CURDIR)'/linux_module/,$(linux-tops)) $(linux-module)/
	$(Q)cp -as $(addprefix '$(CURDIR)'/palacios/,src include objects.mk) $(linux-module)/palacios/
	$(Q)grep '^CONFIG_V3_' $(AUTOCONF_MK) > $(linux-module)/config.mk
	$(Q)$(MAKE) -C '$(linux-kdir)' M='$(abspath $(linux-module))' \
		--no-print-directory CONFIG_DEBUG_INFO_BTF_MODULES= $(if $(filter 1,$(V)),,-s) modules
	$(Q)cp $(linux-module)/palacios.ko $@

.PHONY: linux
linux: $(LINUX_OUT)/palacios.ko
products += $(if $(wildcard $(LINUX_HEADERS)/release),$(LINUX_OUT)/palacios.ko)
