#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# Every micro guest of tests/guests/guests.list in Bochs, model corei7_skylake_x.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use V3Guests;

V3Guests::run('bochs-vmx', 'corei7_skylake_x');
