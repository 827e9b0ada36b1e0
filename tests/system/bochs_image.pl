#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# bochs_image.pl ROM KERNEL MODULE|- MEMORY_MIB COMMAND_LINE FOLDER
#
# Lays a multiboot 1 kernel (ELF32), one module, the command line and the multiboot information out in one
# RAM image as a boot loader would: FOLDER/ram.bin, FOLDER/load_addr; and FOLDER/rom.bin, the ROM (see
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

my $elf = slurp($kernel_file);
die "$kernel_file: not an ELF32 file\n" if substr($elf, 0, 5) ne "\x7fELF\x01";
my ($entry, $phoff) = unpack 'VV', substr($elf, 24, 8);
my ($phsize, $phnum) = unpack 'vv', substr($elf, 42, 4);
my (@segments, $base, $end);
for my $i (0 .. $phnum - 1) {
	my ($type, $off, undef, $pa, $filesz, $memsz) = unpack 'V6', substr($elf, $phoff + $i * $phsize, 24);
	next if $type != 1 || !$memsz;
	push @segments, [$pa, $off, $filesz];
	$base = $pa if !defined $base || $pa < $base;
	$end = $pa + $memsz if !defined $end || $pa + $memsz > $end;
}
die "$kernel_file: nothing to load\n" if !@segments;
$base &= ~0x1ffff;    # a block of Bochs' RAM, see bochs_rom.S

my $ram = "\0" x ($end - $base);
substr($ram, $_->[0] - $base, $_->[2]) = substr($elf, $_->[1], $_->[2]) for @segments;

# Append at a 4 KiB boundary; returns the address.
sub place {
	my ($data) = @_;
	$ram .= "\0" x (-length($ram) % 4096);
	my $at = $base + length $ram;
	$ram .= $data;
	return $at;
}

my ($flags, $mods) = (5, 0);    # memory sizes, command line
if ($module_file ne '-') {
	my $module = slurp($module_file);
	my $at = place($module);
	$mods = place(pack 'V4', $at, $at + length $module, 0, 0);
	$flags |= 8;
}
my $info = place(pack 'V7 x64', $flags, 640, ($mib - 1) * 1024, 0, place("$cmdline\0"), $mods ? 1 : 0, $mods);
die "the kernel and its module do not fit into $mib MiB\n" if $base + length($ram) > $mib << 20;

my $rom = slurp($rom_file);
substr($rom, 0, 16) = pack 'V4', $base, $base + length $ram, $entry, $info;
spew("$out/rom.bin", $rom);
spew("$out/ram.bin", $ram);
spew("$out/load_addr", sprintf("0x%08x\n", $base));
