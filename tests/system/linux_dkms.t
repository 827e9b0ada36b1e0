#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The module from what "make install" leaves in /usr/src: the lines of dkms.conf, run as DKMS runs them, in a folder
# like its own, against the headers that "make linux" downloaded. Part of "make check-linux".
# V3_BUILD names the build folder (default: build).

cd "$(dirname "$0")/../.." || exit 1
build=${V3_BUILD:-build}
[[ $build == /* ]] || build=$PWD/$build
headers=$build/linux/headers
[ -s "$headers/release" ] || { echo "Bail out! no kernel headers in $headers: make linux"; exit 1; }
release=$(cat "$headers/release")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

number=0 failed=0
# ok NAME: takes the status of the command before it; $dir/log tells why
ok() {
	local status=$?
	number=$((number + 1))
	if [ $status = 0 ]; then
		echo "ok $number - dkms: $1"
	else
		failed=1
		echo "not ok $number - dkms: $1"
		tail -n 60 "$dir/log" | sed 's/^/# /' >&2
	fi
}
alone() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL "$@" </dev/null >"$dir/log" 2>&1; }

# B as it was given: another spelling would build all anew.
alone make -s B="${build#"$PWD"/}" DESTDIR="$dir/stage" install
ok "make install succeeds"
source=$(echo "$dir"/stage/usr/src/palacios-*)
version=${source##*/palacios-}
tree=$dir/dkms/palacios/$version/build
mkdir -p "${tree%/*}"
cp -r "$source" "$tree" || exit 1
# What dkms.conf may use.
kernel_source_dir=$headers/tree/usr/src/linux-headers-$release dkms_tree=$dir/dkms
# shellcheck disable=SC1091
source "$tree/dkms.conf"
[ "$PACKAGE_NAME-$PACKAGE_VERSION-$AUTOINSTALL" = "palacios-$version-yes" ]
ok "dkms.conf names the package and the version of its folder"
# shellcheck disable=SC2086
eval "alone ${MAKE[0]/#make /make -j2 KERNELRELEASE=$release }"
ok "the module builds"
! grep -i 'warning:' "$dir/log" | grep -v 'the compiler differs'
ok "without a warning"
grep -aq "vermagic=$release " "$tree/${BUILT_MODULE_NAME[0]}.ko"
ok "for that kernel"
eval "alone $CLEAN" && ! find "$tree" -name '*.o' -o -name '*.ko' | grep .
ok "and is cleaned away"
echo "1..$number"
exit $failed
