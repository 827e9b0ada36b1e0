#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Every fuzz harness: its committed corpus, then 5 seconds of new inputs. TAP; V3_BUILD names the build folder.
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${V3_BUILD:-$top/build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0
for corpus in "$top"/tests/fuzz/corpus/*/; do
	target=$(basename "$corpus")
	for mode in "-runs=0" "-max_total_time=5"; do
		n=$((n + 1))
		mkdir -p "$dir/$target"
		if "$build/fuzz/$target" $mode -max_len=1024 -artifact_prefix="$dir/" "$dir/$target" "$corpus" \
			>"$dir/log" 2>&1 </dev/null; then
			echo "ok $n - fuzz $target $mode"
		else
			echo "not ok $n - fuzz $target $mode"
			tail -n 40 "$dir/log" | sed 's/^/# /' >&2
		fi
	done
done
echo "1..$n"
[ $n -gt 0 ]
