#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Run the groups of tests given (default: all), each by "make check-GROUP", and print the closing line
# "N passed, N failed". A group that cannot be built counts as one failed test.
# Called by "make check"; MAKE and B come from there. The totals go to $B/check/summary.json.
set -u

B=${B:-build}
[ $# -gt 0 ] || set -- lint unit fuzz svm vmx linux
mkdir -p "$B/check"
rm -f "$B"/check/*.json

passed=0 failed=0 skipped=0 groups=
for group; do
	echo "==== check-$group"
	start=$SECONDS
	${MAKE:-make} "check-$group"
	status=$?
	p=0 f=0 s=0
	if [ -e "$B/check/$group.json" ]; then
		read -r p f s < <(sed 's/[^0-9]\+/ /g' "$B/check/$group.json")
	fi
	[ $status -eq 0 ] || [ "$f" -gt 0 ] || f=1
	echo "==== check-$group: $p passed, $f failed, $s skipped in $((SECONDS - start)) s"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	groups+="${groups:+, }\"$group\": {\"passed\": $p, \"failed\": $f, \"skipped\": $s}"
done
echo "{\"passed\": $passed, \"failed\": $failed, \"skipped\": $skipped, \"groups\": {$groups}}" \
	>"$B/check/summary.json"
[ $skipped -eq 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
