#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# Guests that bring the CPU into every state an entry must describe, with the library's own checks before each entry:
# the rules in software agree with the CPU's. Bochs, model corei7_skylake_x.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

BEGIN {
	$ENV{V3_GUESTS} //= '^(cr|modes|task_switch|exceptions|nmi|nmi_step|irq_window|dr_hits|usermode|event_npf|dirty)$';
}
use V3Guests;

V3Guests::run('bochs-vmx', 'corei7_skylake_x', 'checks');
