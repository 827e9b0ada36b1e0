# SPDX-License-Identifier: BSD-3-Clause
# What unit tests need beside the Makefile's own rules; included by it before those rules.
#
# The simulated CPU takes the place of the instructions in host/x86.h, and the software back end of
# tests/fake_host/fake_arch.c that of palacios/src/arch/.
UNIT_CFLAGS += -iquote tests/fake_host/instr

# Only test_svm_* have the SVM back end: all of it but the world switch, which svm_rig.c plays. None in a
# configuration without it.
unit-svm-objs := $(filter-out %/entry.o,$(filter $(B)/unit/obj/palacios/src/arch/svm/%,$(unit-core-objs)))
unit-svm-tests := $(filter $(B)/unit/test_svm_%,$(unit-tests))
unit-tests := $(if $(unit-svm-objs),$(unit-tests),$(filter-out $(unit-svm-tests),$(unit-tests)))
all-objs += $(unit-svm-objs)
$(B)/unit/libsvm.a: $(unit-svm-objs)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) qcsD $@ $^
$(unit-svm-tests): $(B)/unit/libsvm.a

# The same for VMX and test_vmx_*; vmx_cpu.c is the simulated CPU, vmx_rig.c plays the world switch.
unit-vmx-objs := $(filter-out %/entry.o,$(filter $(B)/unit/obj/palacios/src/arch/vmx/%,$(unit-core-objs)))
unit-vmx-tests := $(filter $(B)/unit/test_vmx_%,$(unit-tests))
unit-tests := $(if $(unit-vmx-objs),$(unit-tests),$(filter-out $(unit-vmx-tests),$(unit-tests)))
all-objs += $(unit-vmx-objs)
$(B)/unit/libvmx.a: $(unit-vmx-objs)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) qcsD $@ $^
$(unit-vmx-tests): $(B)/unit/libvmx.a
$(unit-vmx-tests): UNIT_LDFLAGS += -Wl,--whole-archive $(B)/unit/libvmx.a -Wl,--no-whole-archive

unit-core-objs := $(filter-out $(B)/unit/obj/palacios/src/arch/%,$(unit-core-objs))
