#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fetch.sh FOLDER: what software.t boots, from Debian's packages, into FOLDER: ISOLINUX and SYSLINUX with their modules,
# memtest86+, iPXE, Xen.
# What is there already is not fetched again.
set -eu

out=$1
[ ! -s "$out/xen.gz" ] || exit 0
say=software
. "$(dirname "$0")/../debian/packages.sh"

get isolinux syslinux syslinux-common memtest86+ ipxe xen-hypervisor-4.17-amd64
unpack './boot/*' './usr/bin/*' './usr/lib/ISOLINUX/*' './usr/lib/SYSLINUX/*' './usr/lib/syslinux/modules/bios/*' \
	'./usr/lib/memtest86+/*' './usr/lib/ipxe/*'
cd usr/lib/syslinux/modules/bios
install -m 644 ldlinux.c32 libcom32.c32 libutil.c32 menu.c32 "$out"
cd "$work"
install -m 644 usr/lib/ISOLINUX/isolinux.bin usr/lib/SYSLINUX/mbr.bin usr/lib/memtest86+/memtest86+x64.iso usr/lib/ipxe/ipxe.iso \
	"$out"
install -m 755 usr/bin/syslinux "$out"
install -m 644 boot/xen-*.gz "$out/xen.gz"
