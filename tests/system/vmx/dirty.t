#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# Written pages are found in each of the three ways that CPUs with VMX offer, also by two
# vcpus. Bochs; the guest compares every harvest with what it wrote (tests/guests/dirty.c).
#   V3_BUILD  build folder (default: build)
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin;

my $tests = abs_path("$FindBin::Bin/../..");
my $build = abs_path($ENV{V3_BUILD} // "$tests/../build");
my $dir = tempdir(CLEANUP => 1);
my $n = 0;

# [model, how its log says pages are tracked, exits because a log was full]
my @models = (
	['corei7_ivy_bridge_3770k', 'write protection', 0],
	['corei7_haswell_4770', 'dirty bits', 0],
	['corei7_skylake_x', 'the CPU\'s log', 1],
);

sub report {
	my ($ok, $what, $output) = @_;
	$n++;
	print $ok ? 'ok' : 'not ok', " $n - $what\n";
	print STDERR map { "# $_\n" } (split /\n/, $output)[-40 .. -1] if !$ok;
}

symlink "$build/guests/dirty.elf", "$dir/dirty.elf" or die "$dir/dirty.elf: $!\n";
open my $out, '>', "$dir/dirty.toml" or die "$dir/dirty.toml: $!\n";
print $out <<'END';
[vm]
name = "dirty"
memory = "64M"
vcpus = 2

[boot]
type = "multiboot"
kernel = "dirty.elf"
cmdline = "smp"
END
close $out;

for my $row (@models) {
	my ($model, $how, $full) = @$row;
	my $output = `$tests/run_guest.sh --machine bochs-vmx --model $model --smp 2 --timeout 120 --stats --append dirty $dir/dirty.toml 2>&1`;
	my $status = $? >> 8;
	my $log_exits = 0;
	$log_exits += $1 while $output =~ /stats:\s+dirty_log\s+(\d+)\s/g;
	report($status == 33, "$model: every harvest is right", $output);
	report(scalar $output =~ /written pages are tracked by \Q$how\E$/m, "$model: by $how", $output);
	report($full ? $log_exits > 0 : !$log_exits, "$model: $log_exits exits because a log was full", $output);
}
print "1..$n\n";
