#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# On a machine that cannot run guests the library must say so in one sentence that tells what to do, and the
# host must end with the status of a VMM failure. Machines of QEMU whose CPU lacks what is needed.
#   V3_BUILD  build folder (default: build)
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin;

my $tests = "$FindBin::Bin/..";
my $build = abs_path($ENV{V3_BUILD} // "$tests/../build");
my $dir = tempdir(CLEANUP => 1);
my $n = 0;

my @machines = (
	['no SVM', 'qemu64,-svm', 'this CPU has no AMD SVM (CPUID 0x80000001 ECX bit 2)'],
	['SVM without nested paging', 'EPYC,-npt,+svm',
		"this CPU's SVM has no nested paging: a newer CPU is needed"],
);

sub report {
	my ($ok, $what) = @_;
	$n++;
	print $ok ? 'ok' : 'not ok', " $n - $what\n";
	return $ok;
}

sub refuses {
	my ($name, $model, $sentence) = @_;
	my $pid = open my $in, '-|';
	defined $pid or die "fork: $!\n";
	if (!$pid) {
		open STDERR, '>&', \*STDOUT;
		exec "$tests/run_guest.sh", '--model', $model, '--memory', 128, '--timeout', 60, "$dir/hello.toml";
		exit 2;
	}
	local $/;
	my $output = <$in> // '';
	close $in;
	my $status = $? >> 8;
	my $good = report($status == 125, "$name: status of a VMM failure");
	$good &= report($output =~ /^v3 init: no virtualization: \Q$sentence\E\r?$/m, "$name: the console says why");
	$good &= report($output !~ /^palacios-host: (crash|panic|leak)|^hello/m, "$name: no crash, and no guest runs");
	print map { "# $_\n" } "status $status", split /\n/, $output if !$good;
}

-e "$build/guests/hello.elf" or die "$build/guests/hello.elf: $!\n";
symlink "$build/guests/hello.elf", "$dir/hello.elf";
open my $toml, '>', "$dir/hello.toml" or die "$dir/hello.toml: $!\n";
print $toml <<'END';
[vm]
name = "hello"
memory = "64M"
vcpus = 1

[boot]
type = "multiboot"
kernel = "hello.elf"
END
close $toml;

$| = 1;
refuses(@$_) for @machines;
print "1..$n\n";
