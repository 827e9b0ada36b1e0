#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fetch32.sh FOLDER: Debian's 32-bit kernels and busybox into FOLDER, as vmlinuz32 (PAE), vmlinuz32-nopae and busybox32.
# Packages are downloaded and unpacked, never installed; package lists of that architecture are kept apart from the
# machine's own. What is there already is not fetched again.
set -eu

out=$1
[ ! -s "$out/vmlinuz32" ] || [ ! -s "$out/vmlinuz32-nopae" ] || [ ! -s "$out/busybox32" ] || exit 0
say=debian
. "$(dirname "$0")/packages.sh"

mkdir -p lists/partial cache/archives/partial
apt=(-o APT::Architectures::=amd64 -o APT::Architectures::=i386 -o Dir::State::Lists="$work/lists" \
	-o Dir::Cache="$work/cache" -qq)
root=()
get linux-image-686-pae:i386 linux-image-686:i386 busybox-static:i386
unpack './boot/vmlinuz-*' './bin/busybox' './usr/bin/busybox'
find . -name busybox -type f -exec install -m 755 {} "$out/busybox32" \;
install -m 644 boot/vmlinuz-*-686 "$out/vmlinuz32-nopae"
install -m 644 boot/vmlinuz-*-686-pae "$out/vmlinuz32.new"
mv "$out/vmlinuz32.new" "$out/vmlinuz32"
[ -s "$out/busybox32" ]
