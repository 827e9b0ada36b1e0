#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# What APIC virtualization saves, and that guests see the same without it and with less of it. Bochs: corei7_skylake_x
# has all of it, corei7_ivy_bridge_3770k a TPR shadow and the memory-mapped TPR.
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

sub report {
	my ($ok, $what) = @_;
	$n++;
	print $ok ? 'ok' : 'not ok', " $n - $what\n";
}

sub run_guest {
	my ($kernel, $cmdline, $model, $append) = @_;
	symlink "$build/guests/$kernel.elf", "$dir/$kernel.elf";
	open my $out, '>', "$dir/guest.toml" or die "guest.toml: $!\n";
	print $out "[vm]\nname = \"apic\"\nmemory = \"64M\"\nvcpus = 1\n\n",
		"[boot]\ntype = \"multiboot\"\nkernel = \"$kernel.elf\"\ncmdline = \"$cmdline\"\n";
	close $out;
	my @append = map { ('--append', $_) } grep { $_ } $append;
	open my $in, '-|', "$tests/run_guest.sh", '--machine', 'bochs-vmx', '--model', $model, '--stats', '--timeout', 120,
		'--memory', 256, @append, "$dir/guest.toml" or die "run_guest.sh: $!\n";
	local $/;
	my $output = <$in> // '';
	close $in;
	my $status = $? >> 8;
	print STDERR map { "# $_\n" } split /\n/, $output if $status != 33;
	my ($entries) = $output =~ /stats: vcpu 0: entries (\d+)/;
	return ($status, $entries // 1e9);
}

# 1000 times each, one exit at least without, hardly any with.
for my $case (['cr8', 1000], ['tpr', 2000], ['irq', 2000], ['x2apic,tpr', 2000], ['x2apic,irq', 2000]) {
	my ($cmdline, $least) = @$case;
	my ($s0, $without) = run_guest('apic_exits', $cmdline, 'corei7_skylake_x', 'software_apic');
	my ($s1, $with) = run_guest('apic_exits', $cmdline, 'corei7_skylake_x');
	report($s0 == 33 && $s1 == 33 && $without >= $least && $with <= $without / 10,
		"$cmdline: $with exits, by software $without");
}
my ($s0, $without) = run_guest('apic_exits', 'cr8,tpr', 'corei7_ivy_bridge_3770k', 'software_apic');
my ($s1, $with) = run_guest('apic_exits', 'cr8,tpr', 'corei7_ivy_bridge_3770k');
report($s0 == 33 && $s1 == 33 && $without >= 3000 && $with <= $without / 10,
	"cr8,tpr with a TPR shadow: $with exits, by software $without");
# All that looks at the APIC, where the CPU does it all (guests_*.t), nothing, or only the TPR.
for my $kernel ('tpr', 'self_ipi', 'x2apic', 'level_eoi') {
	for my $on (['corei7_skylake_x', 'software_apic'], ['corei7_ivy_bridge_3770k', 'checks']) {
		my ($status) = run_guest($kernel, '', @$on);
		report($status == 33, "$kernel on $on->[0], $on->[1]");
	}
}
print "1..$n\n";
