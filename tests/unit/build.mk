# SPDX-License-Identifier: BSD-3-Clause
# What unit tests need beside the Makefile's own rules; included by it before those rules.
#
# The simulated CPU takes the place of the instructions in host/x86.h, and the software back end of
# tests/fake_host/fake_arch.c that of palacios/src/arch/.
UNIT_CFLAGS += -iquote tests/fake_host/instr
unit-core-objs := $(filter-out $(B)/unit/obj/palacios/src/arch/%,$(unit-core-objs))
