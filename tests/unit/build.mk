# SPDX-License-Identifier: BSD-3-Clause
# The unit tests' simulated CPU takes the place of the instructions in arch/x86/cpu.h; read by the Makefile.
UNIT_CFLAGS += -iquote tests/fake_host/instr
