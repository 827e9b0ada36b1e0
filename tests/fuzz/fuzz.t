#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Every fuzz harness: its committed corpus, then 5 seconds of new inputs; as many at a time as there are CPUs. TAP;
# V3_BUILD names the build folder.
top=$(cd "$(dirname "$0")/../.." && pwd)
export top build=${V3_BUILD:-$top/build}
dir=$(mktemp -d)
export dir
trap 'rm -rf "$dir"' EXIT

# One harness: leaves $dir/TARGET.failed with the log of the mode that failed.
one() {
	local target=$1 mode
	mkdir "$dir/$target"
	for mode in -runs=0 -max_total_time=5; do
		"$build/fuzz/$target" $mode -max_len=2048 -artifact_prefix="$dir/" "$dir/$target" \
			"$top/tests/fuzz/corpus/$target" >"$dir/$target.log" 2>&1 </dev/null && continue
		{ echo "$mode"; tail -n 40 "$dir/$target.log"; } >"$dir/$target.failed"
		return
	done
}
export -f one

targets=$(cd "$top/tests/fuzz/corpus" && echo *)
echo "$targets" | tr ' ' '\n' | xargs -P "$(nproc)" -I{} bash -c 'one {}'
n=0
for target in $targets; do
	n=$((n + 1))
	if [ -e "$dir/$target.failed" ]; then
		echo "not ok $n - fuzz $target"
		sed 's/^/# /' "$dir/$target.failed" >&2
	else
		echo "ok $n - fuzz $target: corpus and 5 seconds"
	fi
done
echo "1..$n"
[ $n -gt 0 ]
