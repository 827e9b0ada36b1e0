#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# The Debian kernel as guest under VMX, in Bochs: to user space and power-off.
#   V3_BUILD  build folder (default: build)
use strict;
use warnings;
use Cwd qw(abs_path);
use FindBin;

my $tests = "$FindBin::Bin/../..";
my $build = abs_path($ENV{V3_BUILD} // "$tests/../build");
my $model = 'corei7_skylake_x';
my $output = `$tests/run_guest.sh --machine bochs-vmx --model $model --icount --timeout 300 $build/debian/poweroff.toml 2>&1`;
my $status = $? >> 8;
my $arrived = $output =~ /^guest: user space after [\d.]+ s/m;

print $arrived ? 'ok' : 'not ok', " 1 - $model: Debian reaches user space\n";
print $status == 0 ? 'ok' : 'not ok', " 2 - $model: power-off ends the VM with status 0 (is $status)\n";
print STDERR map { "# $_\n" } split /\n/, $output if $status || !$arrived;
print "1..2\n";
