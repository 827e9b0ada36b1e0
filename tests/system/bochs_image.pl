#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# bochs_image.pl ROM KERNEL MODULE|- MEMORY_MIB COMMAND_LINE FOLDER
#
# Lays a multiboot 1 kernel (ELF32) or a Linux kernel (bzImage), one module, the command line and what the kernel wants to
# know out in one RAM image as a boot loader would: FOLDER/ram.bin, FOLDER/load_addr; and FOLDER/rom.bin, the ROM (see
# bochs_rom.S) with the addresses filled in.
use strict;
use warnings;

die "usage: bochs_image.pl ROM KERNEL MODULE|- MEMORY_MIB COMMAND_LINE FOLDER\n" if @ARGV != 6;
my ($rom_file, $kernel_file, $module_file, $mib, $cmdline, $out) = @ARGV;

sub slurp {
	my ($name) = @_;
	open my $f, '<:raw', $name or die "$name: $!\n";
	local $/;
	my $data = <$f>;
	return defined $data ? $data : '';
}

sub spew {
	my ($name, $data) = @_;
	open my $f, '>:raw', $name or die "$name: $!\n";
	print $f $data or die "$name: $!\n";
	close $f or die "$name: $!\n";
}

my $kernel = slurp($kernel_file);
my ($base, $entry, $info, $ram);

# Append at a 4 KiB boundary; returns the address.
sub place {
	my ($data) = @_;
	$ram .= "\0" x (-length($ram) % 4096);
	my $at = $base + length $ram;
	$ram .= $data;
	return $at;
}

# Multiboot 1, an ELF32 file.
sub load_multiboot {
	die "$kernel_file: not an ELF32 file\n" if substr($kernel, 0, 5) ne "\x7fELF\x01";
	(my $phoff, my $phsize, my $phnum) = (unpack('V', substr($kernel, 28, 4)), unpack('vv', substr($kernel, 42, 4)));
	$entry = unpack 'V', substr($kernel, 24, 4);
	my (@segments, $end);
	for my $i (0 .. $phnum - 1) {
		my ($type, $off, undef, $pa, $filesz, $memsz) =
			unpack 'V6', substr($kernel, $phoff + $i * $phsize, 24);
		next if $type != 1 || !$memsz;
		push @segments, [$pa, $off, $filesz];
		$base = $pa if !defined $base || $pa < $base;
		$end = $pa + $memsz if !defined $end || $pa + $memsz > $end;
	}
	die "$kernel_file: nothing to load\n" if !@segments;
	$base &= ~0x1ffff;    # a block of Bochs' RAM, see bochs_rom.S
	$ram = "\0" x ($end - $base);
	substr($ram, $_->[0] - $base, $_->[2]) = substr($kernel, $_->[1], $_->[2]) for @segments;

	my ($flags, $mods) = (5, 0);    # memory sizes, command line
	if ($module_file ne '-') {
		my $module = slurp($module_file);
		my $at = place($module);
		$mods = place(pack 'V4', $at, $at + length $module, 0, 0);
		$flags |= 8;
	}
	$info = place(pack 'V7 x64', $flags, 640, ($mib - 1) * 1024, 0, place("$cmdline\0"), $mods ? 1 : 0, $mods);
}

# Linux, a bzImage by the 32-bit boot protocol (the kernel's Documentation/x86/boot.rst); the module is its initrd.
sub load_linux {
	my $setup_sects = unpack 'C', substr($kernel, 0x1f1, 1);
	my ($preferred, $init_size) = unpack 'Q<V', substr($kernel, 0x258, 12);
	my $code = substr($kernel, (($setup_sects || 4) + 1) * 512);
	$base = $entry = 0x100000;
	# It unpacks itself to the address it prefers, and needs as much memory there.
	$ram = $code . "\0" x ($preferred + $init_size - $base - length $code);
	my $initrd = $module_file ne '-' ? slurp($module_file) : '';
	my $at = place($initrd);
	my $params = "\0" x 4096;
	my $header = unpack('C', substr($kernel, 0x201, 1)) + 0x202 - 0x1f1;
	substr($params, 0x1f1, $header) = substr($kernel, 0x1f1, $header);
	substr($params, 0x210, 1) = "\xff";    # a loader without a number of its own
	substr($params, 0x218, 8) = pack 'VV', $at, length $initrd;
	substr($params, 0x228, 4) = pack 'V', place("$cmdline\0");
	substr($params, 0x1e8, 1) = "\x02";
	substr($params, 0x2d0, 40) = pack 'Q<Q<VQ<Q<V', 0, 0x9f000, 1, 0x100000, ($mib - 1) << 20, 1;
	$info = place($params);
}

substr($kernel, 0x202, 4) eq 'HdrS' ? load_linux() : load_multiboot();
die "the kernel and its module do not fit into $mib MiB\n" if $base + length($ram) > $mib << 20;

my $rom = slurp($rom_file);
substr($rom, 0, 16) = pack 'V4', $base, $base + length $ram, $entry, $info;
spew("$out/rom.bin", $rom);
spew("$out/ram.bin", $ram);
spew("$out/load_addr", sprintf("0x%08x\n", $base));
