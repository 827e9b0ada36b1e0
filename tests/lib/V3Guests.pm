# SPDX-License-Identifier: BSD-3-Clause
# Run every micro guest of tests/guests/guests.list and report one TAP line for each.
#   V3_BUILD   build folder (default: build)
#   V3_GUESTS  regular expression: only guests whose name matches
#   V3_JOBS    machines at a time (default: 2)
# The format of the list is explained at its top. Used by tests/system/check-svm.t and tests/system/vmx/.
package V3Guests;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $tests = dirname(dirname(abs_path(__FILE__)));
my $build = $ENV{V3_BUILD} // "$tests/../build";
my $only = $ENV{V3_GUESTS} // '';
my $jobs = $ENV{V3_JOBS} // 2;
my $dir = tempdir(CLEANUP => 1);
my ($machine, $model, $append);    # instead of those of the list; more words for the host's command line

sub read_list {
	my ($file) = @_;
	my @list;
	open my $in, '<', $file or die "$file: $!\n";
	while (<$in>) {
		chomp;
		next if /^\s*(#|$)/;
		if (/^\s+(expect|reject)\s+(.*)/) {
			die "$file:$.: no guest before this\n" if !@list;
			push @{$list[-1]{$1}}, $2;
		} elsif (/^\s+skip\s+(\S+)\s+(\S.*)/) {
			$list[-1]{skip}{$1} = $2;
		} elsif (/^\s+large\s+>=\s+(\d+)$/) {
			$list[-1]{large} = $1;
		} elsif (/^\s+exits\s+(\S+)\s+(<=|>=)\s+(\d+)(?:\s+on\s+(\S+))?$/) {
			push @{$list[-1]{exits}}, [$1, $2, $3, $4];
		} elsif (/^(\S+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)((?:\s+\w+=\S+)*)$/) {
			my $keys = $7;
			my %guest = (name => $1, machine => $2, smp => $3, vcpus => $4, timeout => $5, status => $6);
			$guest{$1} = $2 while $keys =~ /(\w+)=(\S+)/g;
			push @list, \%guest;
		} else {
			die "$file:$.: not understood: $_\n";
		}
	}
	return @list;
}

sub definition {
	my ($guest) = @_;
	(my $name = $guest->{name}) =~ s/[^a-z0-9-]/-/g;
	my $kernel = ($guest->{kernel} // $guest->{name}) . '.elf';
	my $memory = $guest->{memory} // '64M';
	my $cmdline = $guest->{cmdline} // '';
	my $more = join '', map { s/:/ = /r . "\n" } split /;/, $guest->{set} // '';
	my $boot = $guest->{boot} // 'multiboot';
	my $path = "$dir/$guest->{name}.toml";
	die "$build/guests/$kernel: $!\n" if !-e "$build/guests/$kernel";
	symlink "$build/guests/$kernel", "$dir/$kernel";
	open my $out, '>', $path or die "$path: $!\n";
	print $out <<"END";
[vm]
name = "$name"
memory = "$memory"
vcpus = $guest->{vcpus}
$more
[boot]
type = "$boot"
kernel = "$kernel"
cmdline = "$cmdline"
END
	print $out "\n[[device]]\nclass = \"virtio_blk\"\nsize = \"$guest->{disk}\"\n" if $guest->{disk};
	print $out "\n[[device]]\nclass = \"$guest->{device}\"\n" if $guest->{device};
	close $out;
	return $path;
}

# Share of the mapped guest memory that has 2 MiB leaves or larger, in percent.
sub judge_leaves {
	my ($least, $output) = @_;
	return 'no memory figures' if $output !~ /leaves_1g (\d+) leaves_2m (\d+) leaves_4k (\d+)/;
	my $large = $1 * 262144 + $2 * 512;
	my $percent = 100 * $large / ($large + $3 || 1);
	return $percent >= $least ? () : sprintf 'only %.1f %% of the memory in large leaves', $percent;
}

# What is wrong with the outcome; empty if nothing is.
sub judge {
	my ($guest, $status, $output) = @_;
	my @wrong;
	push @wrong, "status $status, expected $guest->{status}" if $status != $guest->{status};
	for my $re (@{$guest->{expect} // []}) {
		push @wrong, "no output that matches $re" if $output !~ /$re/m;
	}
	for my $re ('^FAILED', '^palacios-host: (crash|panic|leak)', @{$guest->{reject} // []}) {
		push @wrong, "output matches $re" if $output =~ /$re/m;
	}
	push @wrong, judge_leaves($guest->{large}, $output) if $guest->{large};
	push @wrong, 'no statistics printed' if $guest->{exits} && $output !~ /stats: vcpu 0: entries [1-9]/;
	for my $rule (@{$guest->{exits} // []}) {
		my ($kind, $op, $limit, $on) = @$rule;
		next if $on && $on ne ($machine // $guest->{machine});
		my $count = 0;
		$count += $1 while $output =~ /stats:\s+$kind\s+(\d+)\s/g;
		my $good = $op eq '<=' ? $count <= $limit : $count >= $limit;
		push @wrong, "$count exits of kind $kind, expected $op $limit" if !$good;
	}
	return @wrong;
}

sub run_guest {
	my ($guest, $result) = @_;
	my $on = $machine // $guest->{machine};
	my @cmd = ("$tests/run_guest.sh", '--machine', $on, '--smp', $guest->{smp}, '--timeout', $guest->{timeout});
	push @cmd, '--model', $model if $model;
	push @cmd, '--stats' if $guest->{exits} || $guest->{large};
	push @cmd, '--icount' if $guest->{icount};
	push @cmd, '--append', $_ for grep { $_ } $guest->{append}, $append;
	push @cmd, '--repeat', $guest->{repeat} if $guest->{repeat};
	push @cmd, '--memory', $guest->{host_memory} // 256;
	push @cmd, definition($guest);
	my $pid = open my $in, '-|';
	if (!$pid) {
		open STDERR, '>&', \*STDOUT;
		exec @cmd;
		exit 125;
	}
	local $/;
	my $output = <$in> // '';
	close $in;
	my @wrong = judge($guest, $? >> 8, $output);
	open my $out, '>', $result or die "$result: $!\n";
	if (@wrong) {
		my @lines = split /\n/, $output;
		@lines = (@lines[0 .. 29], '...', @lines[-30 .. -1]) if @lines > 61;
		print $out map { "# $_\n" } @wrong, @lines;
	}
	close $out;
}

# Why the guest is not run on the other machine; '' if it is.
sub skip_reason {
	my ($guest) = @_;
	return '' if !$machine;
	return $guest->{skip}{"$machine:$model"} // $guest->{skip}{$machine} // '';
}

# All guests of the list, each on its machine; or all on this one, with these words on the host's command line.
sub run {
	($machine, $model, $append) = @_;
	my @list = grep { $_->{name} =~ /$only/ } read_list("$tests/guests/guests.list");
	die "no guest matches $only\n" if !@list;
	$| = 1;
	print '1..' . @list . "\n";
	my ($started, $reported, %running, @finished) = (0, 0);
	while ($reported < @list) {
		while ($started < @list && keys %running < $jobs) {
			my $i = $started++;
			if (skip_reason($list[$i])) {
				$finished[$i] = 1;
				next;
			}
			my $pid = fork // die "fork: $!\n";
			if (!$pid) {
				$dir = tempdir(DIR => $dir, CLEANUP => 0);
				run_guest($list[$i], "$dir/../$i.result");
				exit 0;
			}
			$running{$pid} = $i;
		}
		my $pid = wait;
		$finished[delete $running{$pid}] = 1 if exists $running{$pid};
		while ($reported < @list && $finished[$reported]) {
			if (my $why = skip_reason($list[$reported])) {
				print 'ok ', $reported + 1, " - $list[$reported]{name} # SKIP $why\n";
				$reported++;
				next;
			}
			my $text = "# no result\n";
			if (open my $in, '<', "$dir/$reported.result") {
				local $/;
				$text = <$in> // '';
			}
			print $text eq '' ? '' : 'not ', 'ok ', $reported + 1, " - $list[$reported]{name}\n";
			print STDERR $text if $text ne '';
			$reported++;
		}
	}
}

1;
