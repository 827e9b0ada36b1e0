#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fetch.sh FOLDER VMLINUZ: the headers that belong to one of Debian's kernels into FOLDER, ready for out-of-tree
# modules; the file FOLDER/release then holds the kernel's release. Packages are downloaded and unpacked, never
# installed. What is there already is not fetched again.
set -eu

out=$1 vmlinuz=$2
# Offset 0x20e of a bzImage: where the version is, less 0x200 (the kernel's Documentation/x86/boot.rst).
at=$(($(od -An -tu2 -j $((0x20e)) -N 2 "$vmlinuz") + 0x200))
read -r release _ < <(dd if="$vmlinuz" bs=1 skip=$at count=128 status=none | tr '\0' '\n')
if [ -s "$out/release" ] && [ "$(cat "$out/release")" = "$release" ]; then
	touch "$out/release"
	exit 0
fi
headers=linux-headers-$release
common=linux-headers-${release%-cloud-amd64}-common
series=${release%%-*}
kbuild=linux-kbuild-${series%.*}

rm -rf "$out"
mkdir -p "$out/tree" "$out/deb"
out=$(cd "$out" && pwd)
cd "$out/deb"
echo "linux: downloading $headers, $common, $kbuild"
# With root the download would be done by a user that may not write here.
apt-get -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 -qq download "$headers" "$common" "$kbuild" </dev/null || {
	echo "linux: Debian has no headers for $release any more, or the package lists are old:" \
		"run apt-get update, or fetch a newer kernel with \"make distclean\"" >&2
	exit 1
}
for deb in ./*.deb; do
	dpkg-deb -x "$deb" "$out/tree"
done
cd "$out"
rm -rf deb
# The headers' Makefile names the place where the package would have been installed.
src=$out/tree/usr/src
echo "include $src/$common/Makefile" >"$src/$headers/Makefile"
echo "$release" >release
