#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fetch32.sh FOLDER: Debian's 32-bit kernels and busybox into FOLDER, as vmlinuz32 (PAE), vmlinuz32-nopae and busybox32.
# Packages are downloaded and unpacked, never installed; package lists of that architecture are kept apart from the
# machine's own. What is there already is not fetched again.
set -eu

out=$1
[ ! -s "$out/vmlinuz32" ] || [ ! -s "$out/vmlinuz32-nopae" ] || [ ! -s "$out/busybox32" ] || exit 0
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p lists/partial cache/archives/partial
options=(-o APT::Architectures::=amd64 -o APT::Architectures::=i386 -o Dir::State::Lists="$work/lists" \
	-o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 -qq)
# one of several sources may be out of order: what counts is whether the packages are found
apt-get "${options[@]}" update </dev/null 2>/dev/null || true
kernels=$(apt-cache "${options[@]}" depends linux-image-686-pae:i386 linux-image-686:i386 |
	sed -n 's/^ *Depends: \(linux-image-\)/\1/p')
echo "debian: downloading" $kernels "and busybox-static:i386"
apt-get "${options[@]}" download $kernels busybox-static:i386 </dev/null
for deb in ./*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar x --wildcards './boot/vmlinuz-*' './bin/busybox' './usr/bin/busybox' \
		2>/dev/null || true
done
find . -name busybox -type f -exec install -m 755 {} "$out/busybox32" \;
install -m 644 boot/vmlinuz-*-686 "$out/vmlinuz32-nopae"
install -m 644 boot/vmlinuz-*-686-pae "$out/vmlinuz32.new"
mv "$out/vmlinuz32.new" "$out/vmlinuz32"
[ -s "$out/busybox32" ]
