# SPDX-License-Identifier: BSD-3-Clause
# Harness class for "PERL5LIB=tests/lib prove --harness V3Harness": prove as always, and the totals of the run go as JSON
# to the file that V3_SUMMARY names. Read by tests/check.sh.
package V3Harness;

use strict;
use warnings;
use parent 'TAP::Harness';

# A file that dies, exits non-zero or breaks its plan without a failed test counts as one failed test.
sub count {
	my ($parser) = @_;
	my $passed  = $parser->passed;
	my $skipped = $parser->skipped;
	my $failed  = $parser->failed;
	my $missing = ($parser->tests_planned // 0) - ($parser->tests_run // 0);

	$failed += $missing if $missing > 0;
	$failed = 1 if !$failed && $parser->has_problems;
	return ($passed - $skipped, $failed, $skipped);
}

sub runtests {
	my ($self, @tests) = @_;
	my $aggregate = $self->SUPER::runtests(@tests);
	my ($passed, $failed, $skipped) = (0, 0, 0);

	for my $parser ($aggregate->parsers) {
		my ($p, $f, $s) = count($parser);
		$passed  += $p;
		$failed  += $f;
		$skipped += $s;
	}
	if (my $file = $ENV{V3_SUMMARY}) {
		open my $out, '>', $file or die "$file: $!";
		print $out qq({"passed": $passed, "failed": $failed, "skipped": $skipped}\n);
		close $out;
	}
	return $aggregate;
}

1;
