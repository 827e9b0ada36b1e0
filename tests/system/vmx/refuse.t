#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# VMX that cannot run guests, in Bochs: refused in one sentence that names what is missing.
#   V3_BUILD  build folder (default: build)
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use FindBin;

my $tests = "$FindBin::Bin/../..";
my $build = abs_path($ENV{V3_BUILD} // "$tests/../build");
my $dir = tempdir(CLEANUP => 1);
my $n = 0;

my @models = (
	['core2_penryn_t9600', 'this CPU\'s VMX has no extended page tables: a newer CPU is needed'],
	['corei5_lynnfield_750', 'this CPU\'s VMX has no unrestricted guest (real mode): a newer CPU is needed'],
);

sub report {
	my ($ok, $what) = @_;
	$n++;
	print $ok ? 'ok' : 'not ok', " $n - $what\n";
	return $ok;
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
for (@models) {
	my ($model, $sentence) = @$_;
	my $output = `$tests/run_guest.sh --machine bochs-vmx --model $model --memory 128 $dir/hello.toml 2>&1`;
	my $status = $? >> 8;
	my $says = $output =~ /^v3 init: no virtualization: \Q$sentence\E$/m;
	my $crash = $output =~ /^palacios-host: (crash|panic|leak)|^hello/m;
	my $good = report($status == 125, "$model: status of a VMM failure");
	$good &= report($says, "$model: the console says why");
	$good &= report(!$crash, "$model: no crash, and no guest runs");
	print map { "# $_\n" } split /\n/, $output if !$good;
}
print "1..$n\n";
