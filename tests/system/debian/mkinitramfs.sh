#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# mkinitramfs.sh BUSYBOX OUT FILE...: the guest's user space as an uncompressed cpio (an emulated machine
# spends seconds on decompression). FILEs go to /bin, except init, which goes to /, and kernel modules, which go to
# /lib/modules; programs that need libraries bring them.
set -eu

busybox=$1 out=$(realpath "$2")
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,etc,proc,root,run,sys,tmp}
install -m 755 "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
for file; do
	case $(basename "$file") in
	init) install -m 755 "$file" "$root/init" ;;
	*.ko) install -D -m 644 "$file" "$root/lib/modules/$(basename "$file")" ;;
	*) install -m 755 "$file" "$root/bin/" ;;
	esac
	for lib in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
		install -D -m 755 "$lib" "$root/$lib"
	done
done
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --reproducible -R 0:0 --quiet) >"$out.new"
mv "$out.new" "$out"
