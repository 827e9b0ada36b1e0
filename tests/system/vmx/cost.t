#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# Light exits cost no more than 1.3 times as many instructions on VMX as on SVM. Both in Bochs, whose time stamp
# counter counts instructions; the guest is that of "make bench". RDMSR is one of the local APIC, left to software.
#   V3_BUILD  build folder (default: build)
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use FindBin;

my $tests = abs_path("$FindBin::Bin/../..");
my $build = abs_path($ENV{V3_BUILD} // "$tests/../build");
my $dir = tempdir(CLEANUP => 1);
my @kinds = ('cpuid', 'vmcall', 'rdmsr');
my $n = 0;

sub report {
	my ($ok, $what) = @_;
	$n++;
	print $ok ? 'ok' : 'not ok', " $n - $what\n";
}

# Instructions per exit, by kind.
sub measure {
	my ($machine) = @_;
	my $output = `$tests/run_guest.sh --machine $machine --icount --append 'hook=33554432 software_apic' $dir/bench.toml 2>&1`;
	my %cost = $output =~ /^bench (\w+) (\d+)$/mg;
	print STDERR map { "# $_\n" } split /\n/, $output if grep { !$cost{$_} } @kinds;
	return \%cost;
}

symlink "$build/bench/micro.elf", "$dir/micro.elf" or die "$dir/micro.elf: $!\n";
copy("$tests/bench/bench.toml", $dir) or die "$tests/bench/bench.toml: $!\n";
my ($vmx, $svm) = (measure('bochs-vmx'), measure('bochs-svm'));
for my $kind (@kinds) {
	my ($v, $s) = ($vmx->{$kind} // 0, $svm->{$kind} // 0);
	report($v && $s && $v <= 1.3 * $s, "$kind: $v instructions on VMX, $s on SVM");
}
print "1..$n\n";
