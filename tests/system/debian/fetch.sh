#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fetch.sh FOLDER: Debian's cloud kernel and its static busybox into FOLDER, as vmlinuz and busybox, and the kernel's
# modules for virtio, IDE, ISO 9660, TAP and UEFI's variables into FOLDER/modules.
# Packages are downloaded and unpacked, never installed. What is there already is not fetched again.
set -eu

out=$1
if [ -s "$out/vmlinuz" ] && [ -s "$out/busybox" ] && [ -s "$out/modules/efivarfs.ko" ] &&
	[ -s "$out/modules/tun.ko" ]; then
	exit 0
fi
say=debian
. "$(dirname "$0")/packages.sh"

get linux-image-cloud-amd64 busybox-static
unpack './boot/vmlinuz-*' './bin/busybox' './usr/bin/busybox' \
	'*/drivers/*virtio*.ko' '*failover.ko' '*/x86/kernel/msr.ko' '*/scsi_common.ko' '*/scsi_mod.ko' '*/sd_mod.ko' \
	'*/sr_mod.ko' '*/cdrom.ko' '*/libata.ko' '*/ata_piix.ko' '*/isofs.ko' '*/efivarfs.ko' '*/net/tun.ko'
mkdir -p "$out/modules"
find . -name '*.ko' -exec install -m 644 {} "$out/modules/" \;
find . -name busybox -type f -exec install -m 755 {} "$out/busybox" \;
find ./boot -name 'vmlinuz-*' -exec install -m 644 {} "$out/vmlinuz.new" \;
mv "$out/vmlinuz.new" "$out/vmlinuz"
[ -s "$out/busybox" ] && [ -s "$out/modules/virtio_blk.ko" ] && [ -s "$out/modules/efivarfs.ko" ] &&
	[ -s "$out/modules/tun.ko" ]
