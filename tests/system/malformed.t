#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# Malformed containers, definitions and kernels: for each the library must say in one line what is wrong, the
# host must end with the status of a VMM failure, and nothing may crash, hang, leak or start.
#   V3_BUILD  build folder (default: build)
# Containers are written here, not by v3-mkimage, which would refuse most of them; format: palacios/doc/config.md.
use strict;
use warnings;
use Cwd qw(abs_path);
use Digest::SHA qw(sha256);
use File::Temp qw(tempdir);
use FindBin;

my $tests = "$FindBin::Bin/..";
my $build = abs_path($ENV{V3_BUILD} // "$tests/../build");
my $dir = tempdir(CLEANUP => 1);
my $n = 0;

use constant { HEADER => 64, ENTRY => 256 };
# offsets in a header, and in an entry of the table
use constant { H_VERSION => 8, H_COUNT => 12, H_LEN => 16, H_RESERVED => 24, H_SHA => 32 };
use constant { E_OFFSET => 0, E_LEN => 8, E_SHA => 16, E_RESERVED => 48, E_NAME => 64 };

sub report {
	my ($ok, $what) = @_;
	$n++;
	print $ok ? 'ok' : 'not ok', " $n - $what\n";
	return $ok;
}

sub slurp {
	my ($file, $len) = @_;
	my $data;
	open my $in, '<:raw', $file or die "$file: $!\n";
	defined read $in, $data, $len // -s $in or die "$file: $!\n";
	return $data;
}

sub spit {
	my ($file, $data) = @_;
	open my $out, '>:raw', $file or die "$file: $!\n";
	print $out $data;
	close $out or die "$file: $!\n";
}

# ---- how to damage bytes ----

# A copy of $data with $bytes at $offset.
sub put {
	my ($data, $offset, $bytes) = @_;
	substr($data, $offset, length $bytes) = $bytes;
	return $data;
}

sub flip {
	my ($data, $offset, $bit) = @_;
	return put($data, $offset, chr(ord(substr $data, $offset, 1) ^ 1 << $bit));
}

# The same bytes in every run.
sub noise {
	my ($len) = @_;
	my $data = '';
	$data .= sha256('noise ' . length $data) while length $data < $len;
	return substr $data, 0, $len;
}

# ---- containers ----

# Make the header's checksum true again; also its length, unless $keep_length.
sub seal {
	my ($img, $keep_length) = @_;
	$img = put($img, H_LEN, pack 'Q<', length $img) if !$keep_length;
	$img = put($img, H_SHA, "\0" x 32);
	my $count = unpack 'V', substr $img, H_COUNT, 4;
	return put($img, H_SHA, sha256(substr $img, 0, HEADER + ENTRY * $count));
}

sub pad {
	my ($data) = @_;
	return $data . "\0" x (-length($data) % 64);
}

# A container of sections given as name, contents, name, contents ...
sub container {
	my @sections = @_;
	my $count = @sections / 2;
	my ($table, $body, $start) = ('', '', HEADER + ENTRY * $count);
	while (my ($name, $data) = splice @sections, 0, 2) {
		$body = pad($body);
		$table .= pack 'Q< Q< a32 x16 a192', $start + length $body, length $data, sha256($data), $name;
		$body .= $data;
	}
	return seal(pack("a8 V V x48", "V3IMAGE\x1a", 1, $count) . $table . $body);
}

# ---- definitions and kernels ----

sub definition {
	my ($type, $kernel, %vm) = @_;
	my $memory = $vm{memory} // '64M';
	my $vcpus = $vm{vcpus} // 1;
	my $more = $vm{more} // '';
	return <<"END";
[vm]
name = "hello"
memory = "$memory"
vcpus = $vcpus

[boot]
type = "$type"
kernel = "$kernel"
$more
END
}

sub multiboot {
	my ($kernel) = @_;
	return container('guest.toml', definition('multiboot', 'hello.elf'), 'hello.elf', $kernel);
}

sub linux {
	my ($kernel, %vm) = @_;
	return container('guest.toml', definition('linux', 'bzimage', %vm), 'bzimage', $kernel);
}

sub defined_by {
	my ($text) = @_;
	return container('guest.toml', $text, 'hello.elf', slurp("$build/guests/hello.elf"));
}

# The smallest bzImage that a boot loader must take; its code writes 16 to port 0xf4.
sub bzimage {
	my $img = "\0" x 0x2000;
	my %field = (
		0x1f1 => chr 1, 0x1f4 => pack('V', 0x1c00 / 16), 0x1fe => "\x55\xaa", 0x200 => "\xeb\x6a",
		0x202 => 'HdrS', 0x206 => pack('v', 0x20c), 0x211 => chr 1, 0x22c => pack('V', 0x7fffffff),
		0x230 => pack('V', 0x200000), 0x234 => chr 1, 0x236 => pack('v', 1), 0x238 => pack('V', 2047),
		0x258 => pack('Q<', 0x1000000), 0x260 => pack('V', 0x100000),
		0x600 => "\x66\xba\xf4\x00\xb0\x10\xee\xf4",    # mov dx, 0xf4; mov al, 16; out dx, al; hlt
	);
	$img = put($img, $_, $field{$_}) for keys %field;
	return $img;
}

# A multiboot header with the five address fields, and code as above.
sub flat {
	my ($flags, $header_addr, $load, $load_end, $bss_end, $entry) = @_;
	my $checksum = -(0x1badb002 + $flags) & 0xffffffff;
	return pack('V8', 0x1badb002, $flags, $checksum, $header_addr, $load, $load_end, $bss_end, $entry) .
		"\x66\xba\xf4\x00\xb0\x10\xee\xf4";
}

# ---- runs ----

my @cases;    # [name, what judges its status and output, container]

sub run_image {
	my ($file) = @_;
	my $pid = open my $in, '-|';
	defined $pid or die "fork: $!\n";
	if (!$pid) {
		open STDERR, '>&', \*STDOUT;
		exec "$tests/run_guest.sh", '--memory', 128, '--timeout', 60, '--image', $file;
		exit 2;
	}
	local $/;
	my $output = <$in> // '';
	close $in;
	return ($? >> 8, $output);
}

sub runs {
	my ($name, $img) = @_;
	push @cases, ["$name runs", sub { $_[0] == 33 ? () : "status $_[0], expected 33" }, $img];
}

# What is wrong with the outcome; empty if nothing is.
sub judge_refusal {
	my ($status, $output, $sentence) = @_;
	my @said = grep { !/^(svm: \d+ ASIDs|init: svm on 1 CPUs)$/ } $output =~ /^v3(?:\[\S+\])? (.*?)\r?$/mg;
	my @wrong;
	push @wrong, "status $status, expected 125" if $status != 125;
	push @wrong, @said . ' lines of the library, expected one' if @said != 1;
	push @wrong, "no line that matches $sentence" if !grep { /^\w+: (.*)/ && $1 =~ $sentence } @said;
	push @wrong, 'the host does not name the error'
		if $output !~ /^palacios-host: cannot create the VM: V3_E[A-Z0-9]+\r?$/m;
	push @wrong, 'crash, leak or a running guest' if $output =~ /^palacios-host: (crash|panic|leak)|^hello/m;
	return @wrong;
}

sub refused {
	my ($name, $img, $sentence) = @_;
	push @cases, [$name, sub { judge_refusal(@_, $sentence) }, $img];
}

# Every $step-th case from number $i on; each result in a file.
sub run_cases {
	my ($i, $step) = @_;
	for (; $i < @cases; $i += $step) {
		my ($name, $judge, $img) = @{$cases[$i]};
		spit("$dir/$i.image", $img);
		my ($status, $output) = run_image("$dir/$i.image");
		my @wrong = $judge->($status, $output);
		spit("$dir/$i.result", @wrong ? join '', map { "# $_\n" } @wrong, split /\n/, $output : '');
		unlink "$dir/$i.image";
	}
}

sub run_all {
	my $jobs = 2;
	for my $job (0 .. $jobs - 1) {
		my $pid = fork // die "fork: $!\n";
		next if $pid;
		run_cases($job, $jobs);
		exit 0;
	}
	1 while wait != -1;
	for my $i (0 .. $#cases) {
		my $wrong = -e "$dir/$i.result" ? slurp("$dir/$i.result") : "# no result\n";
		report($wrong eq '', $cases[$i][0]) or print $wrong;
	}
}

-e "$build/guests/hello.elf" or die "$build/guests/hello.elf: $!\n";
my $elf = slurp("$build/guests/hello.elf");
my $good = multiboot($elf);
my $table = HEADER;
my $text = HEADER + 2 * ENTRY;
my $kernel = unpack 'Q<', substr $good, $table + ENTRY + E_OFFSET, 8;
my $end = $text + unpack 'Q<', substr $good, $table + E_LEN, 8;    # of the definition
$| = 1;

# What is broken below works as long as it is whole, and is what v3-mkimage makes.
spit("$dir/guest.toml", definition('multiboot', 'hello.elf'));
spit("$dir/hello.elf", $elf);
system "$build/bin/v3-mkimage", '-o', "$dir/made", "$dir/guest.toml";
report($? == 0 && slurp("$dir/made") eq $good, 'v3-mkimage makes the same container');
runs('the container to be damaged', $good);
runs('the bzImage to be damaged', linux(bzimage()));
runs('the flat kernel to be damaged', multiboot(flat(0x10000, 0x200000, 0x200000, 0, 0, 0x200020)));

# ---- no containers ----
refused('empty file', '', qr/^container: header: expected 64 bytes, got 0$/);
refused('63 random bytes', noise(63), qr/^container: header: expected 64 bytes, got 63$/);
refused("$_ random bytes", noise($_), qr/^container: header: not an image container made by v3-mkimage$/)
	for 64, 4097, 1000000;
refused('random bytes behind a good header', put(noise(65536), 0, pack 'a8 V V Q< x8', "V3IMAGE\x1a", 1, 7, 65536),
	qr/^container: header: checksum does not match/);
refused('a kernel without a container', $elf, qr/^container: header: not an image container/);

# ---- cut off ----
refused('cut inside the header', substr($good, 0, 40), qr/^container: header: expected 64 bytes, got 40$/);
for my $len (HEADER, $table + ENTRY + 5, $end - 3, $kernel, $kernel + 4096, length($good) - 1) {
	refused("cut after $len bytes", substr($good, 0, $len),
		qr/^container: header: the container has @{[length $good]} bytes, but $len were given$/);
}
refused('bytes behind the end', $good . "\0",
	qr/^container: header: the container has \d+ bytes, but \d+ were given$/);

# ---- one bit ----
refused('bit in the magic number', flip($good, 3, 0), qr/^container: header: not an image container/);
refused('bit in the version', flip($good, H_VERSION, 1), qr/^container: header: expected version 1, got 3$/);
refused('bit in the number of sections', flip($good, H_COUNT, 0), qr/^container: header: checksum does not match/);
refused('high bit in the number of sections', flip($good, H_COUNT + 3, 7),
	qr/^container: header: expected 1..64 sections, got 2147483650$/);
refused('high bit in the length', flip($good, H_LEN + 7, 7),
	qr/^container: header: the container has \d+ bytes, but \d+ were given$/);
refused("bit in the $_->[0]", flip($good, $_->[1], 4), qr/^container: header: checksum does not match/)
	for ["header's reserved field", H_RESERVED], ["header's checksum", H_SHA + 31],
	["table: offset", $table + E_OFFSET], ["table: length", $table + ENTRY + E_LEN + 7],
	["table: checksum", $table + E_SHA], ["table: name", $table + ENTRY + E_NAME + 5];
refused('bit in the definition', flip($good, $text + 20, 2),
	qr/^container: section "guest\.toml": SHA-256 does not match/);
refused('bit between the sections', flip($good, $end, 7),
	qr/^container: section "hello\.elf": bytes before it are not 0$/);
refused("bit in the kernel at $_", flip($good, $kernel + $_, 6),
	qr/^container: section "hello\.elf": SHA-256 does not match/) for 0, 4100, length($elf) - 1;

# ---- layout, checksums right ----
refused('no section', seal(put($good, H_COUNT, pack 'V', 0)),
	qr/^container: header: expected 1..64 sections, got 0$/);
refused('table cut off', seal(put(substr($good, 0, HEADER + ENTRY + 9), H_LEN, pack 'Q<', HEADER + ENTRY + 9)),
	qr/^container: section table: 2 entries do not fit 329 bytes$/);
refused('reserved field set', seal(put($good, H_RESERVED, "\1")), qr/^container: header: reserved field is not 0$/);
refused("an entry's reserved field set", seal(put($good, $table + ENTRY + E_RESERVED + 15, "\1")),
	qr/^container: section "hello\.elf": reserved field is not 0$/);
refused('sections overlap', seal(put($good, $table + ENTRY + E_OFFSET, pack 'Q<', $text)),
	qr/^container: section "hello\.elf": expected at offset 0x[0-9a-f]+, got 0x240$/);
refused('offset beyond the end', seal(put($good, $table + ENTRY + E_OFFSET, "\xff" x 8)),
	qr/^container: section "hello\.elf": expected at offset 0x[0-9a-f]+, got 0xf{16}$/);
refused("length $_->[0]", seal(put($good, $table + ENTRY + E_LEN, pack 'Q<', $_->[1])),
	qr/^container: section "hello\.elf": 0x[0-9a-f]+ bytes at 0x[0-9a-f]+ reach past the end 0x[0-9a-f]+$/)
	for ['one too large', length($elf) + 1], ['that wraps', ~$kernel + 2], ['of 2^64 - 1', ~0];
refused('length too small', seal(put(put($good, $table + ENTRY + E_LEN, pack 'Q<', 64), $table + ENTRY + E_SHA,
	sha256(substr $elf, 0, 64))), qr/^container: \d+ bytes follow the last section$/);
refused('name without end', seal(put($good, $table + ENTRY + E_NAME, 'n' x 192)),
	qr/^container: section 1: malformed name$/);
refused('name that is no UTF-8', seal(put($good, $table + ENTRY + E_NAME, "\xc0\xaf")),
	qr/^container: section 1: malformed name$/);
refused('name with a line break', seal(put($good, $table + ENTRY + E_NAME, "a\nb")),
	qr/^container: section 1: malformed name$/);
refused('bytes behind the name', seal(put($good, $table + ENTRY + E_NAME + 100, 'x')),
	qr/^container: section 1: malformed name$/);
refused('two definitions', container('guest.toml', definition('multiboot', 'guest.toml'), 'guest.toml', ''),
	qr/^container: section 1: a second "guest\.toml"$/);
refused('no definition', container('hello.elf', $elf),
	qr/^container: the first section must be guest\.toml, it is "hello\.elf"$/);

# ---- definitions ----
refused('empty definition', defined_by(''), qr/^guest\.toml:?\d*: /);
refused('random definition', defined_by(noise(3000)), qr/^guest\.toml:\d+: /);
refused('kernel in place of the definition', defined_by(substr $elf, 0, 60000), qr/^guest\.toml:\d+: /);
refused('definition too long', defined_by("#\n" x 40000), qr/^guest\.toml:?\d*: /);
refused('definition cut off', defined_by(substr definition('multiboot', 'hello.elf'), 0, 90),
	qr/^guest\.toml:\d+: /);
refused('unknown key', defined_by(definition('multiboot', 'hello.elf', more => 'initrb = "x"')),
	qr/^guest\.toml:9: initrb: /);
refused('no such boot type', defined_by(definition('elf', 'hello.elf')), qr/^guest\.toml:7: type: /);
refused('33 vcpus', defined_by(definition('multiboot', 'hello.elf', vcpus => 33)), qr/^guest\.toml:4: vcpus: /);
refused('odd memory size', defined_by(definition('multiboot', 'hello.elf', memory => '1025K')),
	qr/^guest\.toml:3: memory: /);
refused("$_ of guest memory on a host of 128 MiB", defined_by(definition('multiboot', 'hello.elf', memory => $_)),
	qr/^cannot get \d+ MiB of guest RAM: V3_ENOMEM$/) for '256M', '1T';
refused('kernel that is not there', defined_by(definition('multiboot', 'vmlinuz')),
	qr/^cannot boot vmlinuz: not in the container$/);
refused('module that is not there', defined_by(definition('multiboot', 'hello.elf', more => 'modules = ["m arg"]')),
	qr/^cannot boot hello\.elf: module m: not in the container$/);

# ---- multiboot kernels ----
refused("$_->[0] as kernel", multiboot($_->[1]), qr/^cannot boot hello\.elf: not a multiboot kernel/)
	for ['nothing', ''], ['a text', "#!/bin/sh\nexit 1\n" x 100], ['noise', noise(20000)];
my $header = index $elf, pack 'V', 0x1badb002;
refused('bit in the multiboot header', multiboot(flip($elf, $header + 8, 3)), qr/not a multiboot kernel/);
refused('multiboot header that demands the unknown', multiboot(flat(0x10040, 0x200000, 0x200000, 0, 0, 0x200020)),
	qr/multiboot: the kernel demands what is not offered: flags 0x40$/);
refused('no ELF', multiboot(put($elf, 0, 'FLE')), qr/^cannot boot hello\.elf: not an ELF file$/);
refused('ELF, cut off', multiboot(substr $elf, 0, 8192),
	qr/ELF: segment 0: cut off: 0x[0-9a-f]+ bytes at 0x1000 of 0x2000$/);
my $phdr = unpack 'V', substr $elf, 28, 4;
refused("ELF $_->[0]", multiboot(put($elf, $_->[1], $_->[2])), $_->[3]) for
	['class 3', 4, "\3", qr/ELF: class 3/],
	['of a shared library', 16, pack('v', 3), qr/ELF: type 3, machine 3: not an executable/],
	['for another machine', 18, pack('v', 40), qr/ELF: type 2, machine 40: not an executable/],
	['without program headers', 44, pack('v', 0), qr/ELF: expected 1\.\.\d+ program headers, got 0$/],
	['with 65535 program headers', 44, pack('v', 65535),
		qr/ELF: expected 1\.\.\d+ program headers, got 65535$/],
	['with program headers of 31 bytes', 42, pack('v', 31), qr/ELF: program headers of 31 bytes$/],
	['with program headers outside', 28, pack('V', 0xfffffff0),
		qr/ELF: cut off: program headers at 0xfffffff0/],
	['with an offset outside', $phdr + 4, pack('V', 0xfffff000),
		qr/ELF: segment 0: cut off: .* at 0xfffff000 /],
	['entered outside', 24, pack('V', 0x300000), qr/ELF: entry point 0x300000 lies in no segment$/],
	['smaller in memory', $phdr + 20, pack('V', 16),
		qr/ELF: segment 0: 0x[0-9a-f]+ bytes in the file, 0x10 in memory$/],
	['above RAM', $phdr + 12, pack('V', 0x8000000),
		qr/kernel: 0x[0-9a-f]+ bytes at 0x8000000 are not in the guest's RAM$/],
	['across the end of RAM', $phdr + 12, pack('V', 0x3fff000),
		qr/kernel: .* at 0x3fff000 are not in the guest's RAM$/],
	['in the display window', $phdr + 12, pack('V', 0xa0000),
		qr/kernel: .* at 0xa0000 are not in the guest's RAM$/],
	['on the local APIC', $phdr + 12, pack('V', 0xfee00000),
		qr/kernel: .* at 0xfee00000 are not in the guest's RAM$/],
	['that wraps at 4 GiB', $phdr + 12, pack('V', 0xfffff000),
		qr/ELF: segment 0: .* at 0xfffff000 are not below 4 GiB$/],
	['larger than RAM', $phdr + 20, pack('V', 0xff000000), qr/kernel: 0xff000000 bytes at 0x100000 are not in/];
refused("flat kernel, $_->[0]", multiboot(flat(0x10000, @{$_->[1]})), $_->[2]) for
	['header below its load address', [0x1000, 0x200000, 0, 0, 0x200020],
		qr/multiboot: header_addr 0x1000 does not fit/],
	['end before its start', [0x200000, 0x200000, 0x1000, 0, 0x200020],
		qr/multiboot: load_end_addr 0x1000 is not in/],
	['longer than the file', [0x200000, 0x200000, 0x300000, 0, 0x200020],
		qr/multiboot: load_end_addr 0x300000 is not in/],
	['bss that ends early', [0x200000, 0x200000, 0, 0x200004, 0x200020],
		qr/multiboot: bss_end_addr 0x200004 lies before/],
	['entry outside', [0x200000, 0x200000, 0, 0, 0x100000], qr/multiboot: entry_addr 0x100000 is outside/],
	['above RAM', [0x8000000, 0x8000000, 0, 0, 0x8000020],
		qr/kernel: 0x28 bytes at 0x8000000 are not in the guest's RAM$/];

# ---- bzImages ----
refused('bzImage too short for a header', linux(substr bzimage(), 0, 0x220),
	qr/^cannot boot bzimage: bzImage: 544 bytes are too short/);
refused('bzImage cut off', linux(substr bzimage(), 0, 0x1000),
	qr/^cannot boot bzimage: bzImage: cut off: 4096 bytes/);
refused("bzImage $_->[0]", linux(put(bzimage(), $_->[1], $_->[2])), $_->[3]) for
	['without boot flag', 0x1fe, "\0", qr/not a Linux bzImage/],
	['without magic number', 0x202, 'hDRs', qr/not a Linux bzImage/],
	['of protocol 2.01', 0x206, pack('v', 0x201),
		qr/bzImage: boot protocol 2\.01, 2\.02 or later is needed/],
	['loaded low', 0x211, "\0", qr/bzImage: a zImage/],
	['with a header too short', 0x201, "\x10", qr/bzImage: setup header ends at 0x212/],
	['with a header too long', 0x201, "\xff", qr/bzImage: setup header ends at 0x301/],
	['with too many setup sectors', 0x1f1, "\xff", qr/bzImage: cut off: 8192 bytes, syssize asks for 0x20000/],
	['with too large a syssize', 0x1f4, "\xff" x 4,
		qr/bzImage: cut off: 8192 bytes, syssize asks for 0x400 \+ 0xffffffff0$/],
	['with an empty kernel', 0x1f4, "\0" x 4, qr/bzImage: cut off/],
	['with its payload outside', 0x248, "\xff" x 8,
		qr/bzImage: payload ends at 0x1fffffffe, the kernel at 0x1c00$/],
	['aligned to 0', 0x230, pack('V', 0), qr/bzImage: kernel_alignment 0 is not a power/],
	['aligned to 3 MiB', 0x230, pack('V', 0x300000), qr/bzImage: kernel_alignment 0x300000 is not a power/],
	['aligned to 2 GiB', 0x230, pack('V', 0x80000000), qr/kernel \(init_size\): no room for 0x100000 bytes/],
	['at address 0', 0x258, pack('Q<', 0), qr/bzImage: pref_address 0 is not within/],
	['at the end of the address space', 0x258, "\xff" x 8, qr/bzImage: pref_address 0xf{16} is not within/],
	['above RAM', 0x258, pack('Q<', 0xfff00000),
		qr/kernel \(init_size\): no room for 0x100000 bytes between 0xfff00000/],
	['larger than RAM', 0x260, "\xff" x 4, qr/kernel \(init_size\): no room for 0xffffffff bytes/];
refused('bzImage above RAM that cannot move', linux(put(put(bzimage(), 0x234, "\0"), 0x258, pack 'Q<', 0xfff00000)),
	qr/kernel: 0x100000 bytes at 0xfff00000 are not in the guest's RAM$/);
refused('command line longer than the kernel takes',
	linux(put(bzimage(), 0x238, pack 'V', 3), more => 'cmdline = "quiet"'),
	qr/cmdline: 5 bytes, this kernel takes at most 3$/);
refused('initrd that is not there', linux(bzimage(), more => 'initrd = "disk"'),
	qr/initrd disk: not in the container$/);
refused('initrd above what the kernel reaches', container('guest.toml', definition('linux', 'bzimage', more =>
	'initrd = "disk"'), 'bzimage', put(bzimage(), 0x22c, pack 'V', 0xfffff), 'disk', 'x'),
		qr/initrd: no room for 0x1 bytes/);

my $debian = "$build/debian/vmlinuz";
if (-e $debian) {
	my $start = slurp($debian, 65536);
	refused("Debian's kernel cut off", linux($start), qr/^cannot boot bzimage: bzImage: cut off: 65536 bytes/);
} else {
	print "# $debian is not there: its start is not tried\n";
}

run_all();
print "1..$n\n";
