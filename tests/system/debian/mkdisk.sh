#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# mkdisk.sh OUT.img: an ext4 image of 16 MiB with a file and its checksum, and an ISO 9660 image of them, OUT.iso.
set -eu

out=$(realpath "$1")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
seq 1 100000 >"$root/packed"
(cd "$root" && sha256sum packed >packed.sha256)
find "$root" -exec touch -h -d @0 {} +
rm -f "$out.new"
truncate -s 16M "$out.new"
E2FSPROGS_FAKE_TIME=1 /usr/sbin/mke2fs -q -t ext4 -U 01234567-89ab-cdef-0123-456789abcdef -E root_owner=0:0 -d "$root" "$out.new"
xorriso -as mkisofs -quiet -r -V PALACIOS -o "${out%.img}.iso" "$root"
mv "$out.new" "$out"
