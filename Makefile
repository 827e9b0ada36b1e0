# SPDX-License-Identifier: BSD-3-Clause
# Palacios. "make help" lists the targets; V=1 shows the commands, B=folder builds elsewhere than build/.
#
# Folders bring their own rules in a build.mk, included below. A fragment may use the variables of the
# next three sections; it adds its products to `products`, its objects to `all-objs` (their .d files are
# read then) and defines a pattern rule for its own folder, e.g.
#	$(B)/baremetal/%.o: tests/baremetal_host/%.c $(B)/.flags.baremetal
#		$(call cc,$(BAREMETAL_CFLAGS))

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash
.DEFAULT_GOAL := all

# ---- tools and folders ----
B	?= build
ifneq ($(filter default undefined,$(origin CC)),)
CC	:= gcc
endif
CLANG	?= clang
LD	:= ld
AR	:= ar
OBJCOPY	:= objcopy
PYTHON	?= /usr/bin/python3
CLANG_FORMAT ?= clang-format-14

V	?= 0
Q	:= $(if $(filter 1,$(V)),,@)
say	= $(if $(filter 1,$(V)),,@printf '  %-8s%s\n' '$(1)' '$(2)')
comma	:= ,
# $(call cc,flags): compile or assemble $< to $@ with dependency tracking. A comma in the flags is welcome.
asflags	= $(if $(filter %.S,$<),-Wa$(comma)--noexecstack -D__ASSEMBLY__)
define cc
$(call say,CC,$@)
@mkdir -p $(@D)
$(Q)$(CC) $(1)$(if $(2),$(comma)$(2)) $(asflags) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
endef

# ---- flags ----
WARN	:= -Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes
INCLUDES := -Ipalacios/include -Ipalacios/src -I$(B)/include
CONFIGH	:= -include $(B)/include/generated/autoconf.h
# Anything that runs in a kernel: the core and the bare-metal host.
KERNEL_CFLAGS := -std=gnu11 -ffreestanding -mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fno-pic -fno-pie \
	-fno-common -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -O2 -g $(WARN)
CORE_CFLAGS := $(KERNEL_CFLAGS) -Wframe-larger-than=512 $(INCLUDES) $(CONFIGH)
# Programs that run on the build machine.
TOOL_CFLAGS := -std=gnu11 -O2 -g -D_GNU_SOURCE $(WARN) $(INCLUDES)
# Unit tests and the core's sources inside them.
UNIT_CFLAGS := -std=gnu11 -O1 -g -D_GNU_SOURCE -fno-pie -fno-omit-frame-pointer -fno-common \
	-fsanitize=address,undefined -fno-sanitize-recover=all $(WARN) $(INCLUDES) $(CONFIGH) \
	-Itests/unit -Itests/fake_host
UNIT_LDFLAGS := -no-pie -fsanitize=address,undefined -pthread
ifdef COVERAGE
UNIT_CFLAGS := $(filter-out -fsanitize% -fno-sanitize%,$(UNIT_CFLAGS)) --coverage
UNIT_LDFLAGS := -no-pie --coverage -pthread
endif

# ---- collected by the sections and fragments below ----
products :=
all-objs :=

# ---- configuration ----
# Goals that work without compiler and configuration tool, which a fresh machine has not got yet.
EARLY_GOALS := setup run check bench help clean distclean
early	:= $(if $(MAKECMDGOALS),$(if $(filter-out $(EARLY_GOALS),$(MAKECMDGOALS)),,y))

KCONFIG	:= $(B)/kconfig
AUTOCONF_MK := $(KCONFIG)/include/config/auto.conf
AUTOCONF_H := $(B)/include/generated/autoconf.h
KCONFIG_FILES := Kconfig palacios/Kconfig
kconfig	= cd $(KCONFIG) && srctree='$(CURDIR)' CONFIG_=CONFIG_ KCONFIG_CONFIG=config

define have_kconfig
@command -v kconfig-conf >/dev/null || { echo 'kconfig-conf is missing: run "make setup"' >&2; exit 1; }
@mkdir -p $(KCONFIG)/include/config $(KCONFIG)/include/generated $(B)/include/generated
endef

# First use takes the committed defaults; later ones keep the choices made and add defaults of new symbols.
$(KCONFIG)/config: palacios/defconfig $(KCONFIG_FILES)
	$(have_kconfig)
	$(call say,CONFIG,$@)
	$(Q)if [ -e $@ ]; then ( $(kconfig) kconfig-conf --olddefconfig Kconfig >/dev/null ) && touch $@; \
	    else ( $(kconfig) kconfig-conf --defconfig='$(CURDIR)/palacios/defconfig' Kconfig >/dev/null ); fi

$(AUTOCONF_MK): $(KCONFIG)/config
	$(have_kconfig)
	$(Q)$(kconfig) kconfig-conf --silentoldconfig Kconfig </dev/null >/dev/null
	$(Q)sed 's,/\*,/* SPDX-License-Identifier: BSD-3-Clause,;t;' $(KCONFIG)/include/generated/autoconf.h > $(AUTOCONF_H).new
	$(Q)cmp -s $(AUTOCONF_H).new $(AUTOCONF_H) && rm $(AUTOCONF_H).new || mv $(AUTOCONF_H).new $(AUTOCONF_H)
	$(Q)touch $@

$(AUTOCONF_H): $(AUTOCONF_MK) ;

.PHONY: defconfig menuconfig
defconfig:
	$(have_kconfig)
	$(Q)$(kconfig) kconfig-conf --defconfig='$(CURDIR)/palacios/defconfig' Kconfig
menuconfig: $(KCONFIG)/config
	$(Q)$(kconfig) kconfig-mconf Kconfig

ifeq ($(early),)
ifeq ($(filter defconfig menuconfig,$(MAKECMDGOALS)),)
include $(AUTOCONF_MK)
endif
endif

# $(call flags_file,name,flags): rebuild what depends on $(B)/.flags.name when the flags change.
define flags_file
$(B)/.flags.$(1): FORCE
	@mkdir -p $$(@D)
	@echo '$(subst ','\'',$(2))' | cmp -s - $$@ || echo '$(subst ','\'',$(2))' > $$@
endef
.PHONY: FORCE
FORCE:
$(eval $(call flags_file,core,$(CC) $(CORE_CFLAGS)))
$(eval $(call flags_file,unit,$(CC) $(UNIT_CFLAGS)))

# ---- the library ----
include palacios/objects.mk
core-objs := $(addprefix $(B)/palacios/,$(sort $(v3-y)))
core-missing := $(strip $(foreach o,$(v3-y),$(if $(wildcard palacios/$(o:.o=.c) palacios/$(o:.o=.S)),,$(o))))
$(if $(core-missing),$(error palacios/objects.mk names files that do not exist: $(core-missing)))
all-objs += $(core-objs)

# Constants for assembly. Each line "->NAME value" of the compiler's output becomes a #define.
ASM_OFFSETS_H := $(B)/include/generated/asm_offsets.h
$(ASM_OFFSETS_H): palacios/src/arch/asm_offsets.c $(AUTOCONF_H) $(B)/.flags.core
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CORE_CFLAGS) -MMD -MP -MF $(@:.h=.d) -MT $@ -S -o $(@:.h=.s) $<
	$(Q){ echo '/* SPDX-License-Identifier: BSD-3-Clause */'; echo '/* Generated from $<. */'; \
	     sed -n 's/^[[:space:]]*->\([A-Za-z0-9_]*\) [$$]*\(.*\)$$/#define \1 \2/p' $(@:.h=.s); } > $@
-include $(ASM_OFFSETS_H:.h=.d)
GENERATED := $(AUTOCONF_H) $(ASM_OFFSETS_H)

# The call graph and the dump beside each object are what lint_stack.py reads.
$(B)/palacios/%.o: palacios/%.c $(B)/.flags.core | $(GENERATED)
	$(call cc,$(CORE_CFLAGS) -fcallgraph-info=su -fdump-tree-optimized=$(@:.o=.gimple))
$(B)/palacios/%.o: palacios/%.S $(B)/.flags.core | $(GENERATED)
	$(call cc,$(CORE_CFLAGS))

# One relocatable object, as a kernel links it; the archive holds just that.
$(B)/palacios/palacios.o: $(core-objs)
	$(call say,LD,$@)
	$(Q)$(LD) -r -o $@ $^
$(B)/libpalacios.a: $(B)/palacios/palacios.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $<
products += $(B)/libpalacios.a

# The core once more with clang: compiled only, never linked.
clang-objs := $(patsubst $(B)/palacios/%,$(B)/clang/%,$(core-objs))
all-objs += $(clang-objs)
$(B)/clang/%.o: palacios/%.c $(B)/.flags.core | $(GENERATED)
	$(call say,CLANG,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CORE_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
$(B)/clang/%.o: palacios/%.S $(B)/.flags.core | $(GENERATED)
	$(call say,CLANG,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CORE_CFLAGS) $(asflags) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
.PHONY: check-clang
check-clang: $(clang-objs)

# ---- unit tests: every core source, the fake host and the tests' helpers in user space ----
unit-core-objs := $(patsubst $(B)/palacios/%,$(B)/unit/obj/palacios/%,$(core-objs))
unit-help-src := $(wildcard tests/fake_host/*.c) $(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c))
unit-help-objs := $(patsubst %.c,$(B)/unit/obj/%.o,$(unit-help-src))
unit-tests := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
include tests/unit/build.mk
all-objs += $(unit-core-objs) $(unit-help-objs) $(patsubst $(B)/unit/%,$(B)/unit/obj/tests/unit/%.o,$(unit-tests))

$(B)/unit/obj/palacios/%.o: palacios/%.c $(B)/.flags.unit | $(GENERATED)
	$(call cc,$(UNIT_CFLAGS) -ffreestanding)
$(B)/unit/obj/palacios/%.o: palacios/%.S $(B)/.flags.unit | $(GENERATED)
	$(call cc,$(UNIT_CFLAGS))
$(B)/unit/obj/tests/%.o: tests/%.c $(B)/.flags.unit | $(GENERATED)
	$(call cc,$(UNIT_CFLAGS))
$(B)/unit/libcore.a: $(unit-core-objs)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) qcsD $@ $^
$(B)/unit/libhelp.a: $(unit-help-objs)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) qcsD $@ $^
$(unit-tests): $(B)/unit/%: $(B)/unit/obj/tests/unit/%.o $(B)/unit/libhelp.a $(B)/unit/libcore.a
	$(call say,LD,$@)
	$(Q)$(CC) $(UNIT_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
.PHONY: unit
unit: $(unit-tests)

# ---- fragments ----
include guest_tools/image/build.mk tests/baremetal_host/build.mk tests/guests/build.mk tests/bench/build.mk \
	tests/fuzz/build.mk tests/system/debian/build.mk tests/system/bios/build.mk linux_module/build.mk linux_module/tools/build.mk \
	linux_module/install.mk tests/system/linux/build.mk

# ---- targets ----
.PHONY: all setup run check check-lint check-unit check-svm check-vmx check-linux bench do-run do-bench format help clean distclean
all: $(products)

setup:
	$(Q)tests/setup.sh

# The fresh machine gets its packages first; only then can the rest of this file be read with meaning.
again	= +$(Q)tests/setup.sh --quiet && $(MAKE) --no-print-directory $(if $(findstring j,$(MAKEFLAGS)),,-j$$(nproc)) V=$(V) B=$(B) $(if $(GUEST),GUEST='$(GUEST)')
run:
	$(again) do-run$(addprefix -,$(HOST))
bench:
	$(again) do-bench$(addprefix -,$(HOST))
check:
	+$(Q)tests/setup.sh --quiet && \
	    MAKE='$(MAKE) --no-print-directory $(if $(findstring j,$(MAKEFLAGS)),,-j'$$(nproc)') V=$(V) B=$(B)' B='$(B)' tests/check.sh

# $(call prove,group,test files,options): run TAP producers, totals to $(B)/check/group.json.
define prove
@mkdir -p $(B)/check
$(Q)V3_BUILD='$(abspath $(B))' V3_SUMMARY='$(B)/check/$(1).json' \
	PERL5LIB=tests/lib prove --harness V3Harness $(if $(filter 1,$(V))$(CI),-v) $(PROVE_FLAGS) $(3) $(2) </dev/null
endef

LINTS	:= $(wildcard tests/lint/*.t)
check-lint: $(if $(early),,$(products) check-clang)
	$(call prove,lint,$(LINTS),-j2)
check-unit: $(if $(early),,unit $(B)/bin/v3-mkimage)
	$(call prove,unit,$(unit-tests) $(wildcard tests/unit/*.t),-j2)
check-svm: $(if $(early),,$(products) debian-guest bios-guest)
	$(call prove,svm,$(sort $(filter-out tests/system/linux%.t,$(wildcard tests/system/*.t))))

check-vmx: $(if $(early),,$(products) debian-guest)
	$(call prove,vmx,$(sort $(wildcard tests/system/vmx/*.t)))

do-run: $(products) $(if $(GUEST),,debian-guest)
	$(Q)V3_BUILD='$(abspath $(B))' tests/run_guest.sh --interactive '$(or $(GUEST),$(DEBIAN)/guest.toml)'

do-bench: $(products) debian-guest
	$(Q)V3_BUILD='$(abspath $(B))' tests/bench/bench.py

format:
	$(Q)find palacios guest_tools linux_module tests -name '*.[ch]' | xargs $(CLANG_FORMAT) -i

help:
	@echo 'make              build everything into $(B)/'
	@echo 'make run          boot a Debian guest with a shell; GUEST=file.toml runs another one, HOST=linux under Linux'
	@echo 'make check        all tests; or one group: check-lint check-unit check-fuzz check-svm check-vmx check-linux'
	@echo 'make fuzz         fuzz one device: TARGET=virtio_blk SECONDS=60'
	@echo 'make coverage     which lines that guests face the unit tests and fuzz corpora reach'
	@echo 'make linux        palacios.ko for Debian'"'"'s cloud kernel; KDIR=folder: for the kernel of these headers'
	@echo 'make install      v3, its manual, udev and systemd files, the module for DKMS; uninstall; DESTDIR=, PREFIX='
	@echo 'make bench        cost of exits, in instructions; HOST=linux in palacios.ko, too'
	@echo 'make setup        install the Debian packages all this needs (run, check and bench do it too)'
	@echo 'make format       rewrite all C files as .clang-format says'
	@echo 'make defconfig    the committed configuration; make menuconfig to change it'
	@echo 'make clean        remove products; make distclean removes the configuration and downloads, too'

clean:
	$(Q)[ ! -d $(B) ] || find $(B) -mindepth 1 -maxdepth 1 ! -name debian ! -name kconfig ! -name linux -exec rm -rf {} +
	$(Q)[ ! -d $(B)/linux ] || find $(B)/linux -mindepth 1 -maxdepth 1 ! -name headers -exec rm -rf {} +
distclean:
	$(Q)rm -rf $(B)

-include $(patsubst %.o,%.d,$(sort $(all-objs)))
