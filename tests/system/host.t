#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# Does the bare-metal host keep the promises of palacios/host.h on each emulated machine? Runs its built-in
# self test and passes its TAP lines on, renumbered.
use strict;
use warnings;
use File::Temp 'tempfile';
use FindBin;

my $run = "$FindBin::Bin/../run_guest.sh";
my $n = 0;

sub report {
	my ($ok, $what) = @_;
	$n++;
	print $ok ? "ok" : "not ok", " $n - $what\n";
}

sub selftest {
	my ($name, @options) = @_;
	my ($seen, $failed, $plan) = (0, 0, -1);
	open my $out, '-|', $run, '--memory', 128, '--timeout', 60, '--selftest', @options or die "$run: $!\n";
	while (<$out>) {
		if (/^(not )?ok \d+ - (.*)/) {
			$seen++;
			report(!$1, "$name: $2");
		} elsif (/^1\.\.(\d+)/) {
			$plan = $1;
		} else {
			print "# $_";
		}
	}
	close $out;
	report($? == 0 && $seen == $plan, "$name: runs to its end (status " . ($? >> 8) . ")");
}

$| = 1;
selftest('QEMU, 1 CPU', '--smp', 1);
selftest('QEMU, 2 CPUs', '--smp', 2);
selftest('QEMU, 4 CPUs, counted instructions', '--smp', 4, '--icount');
selftest('Bochs with SVM, 2 CPUs', '--machine', 'bochs-svm', '--smp', 2);
selftest('Bochs with VMX, 1 CPU', '--machine', 'bochs-vmx', '--smp', 1);
selftest('Bochs without 1 GiB pages', '--machine', 'bochs-vmx', '--model', 'corei5_lynnfield_750');

# Several modules are several guests; here they share a CPU.
my $hello = ($ENV{V3_BUILD} // "$FindBin::Bin/../../build") . '/guests/hello.elf';
my ($file, $definition) = tempfile(UNLINK => 1);
print $file qq([vm]\nname = "hello"\nmemory = "16M"\n[boot]\ntype = "multiboot"\nkernel = "$hello"\n);
close $file;
my $both = `$run --memory 128 --timeout 60 --smp 1 $definition $definition`;
report(($? >> 8) == 33 && $both =~ /^vm1: 2 checks, 0 failed$/m && $both =~ /^vm2: 2 checks, 0 failed$/m,
	"two guests on one CPU run to their end");

my $dump = `$run --memory 128 --timeout 30 --selftest --append crash`;
report(($? >> 8) == 125 && $dump =~ /crash: exception 14 \(page fault\)/,
	"a crash of the host is dumped and gives status 125");
print "1..$n\n";
