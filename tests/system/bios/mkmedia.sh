#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# mkmedia.sh VMLINUZ INITRAMFS FOLDER "CMDLINE": a hard disk for BIOS (disk.img: MBR, one ext4 partition), one for UEFI
# (esp.img: an EFI system partition) and a CD for both (cd.iso, El Torito) from which GRUB boots the kernel, made without
# root by Debian's own GRUB tools.
set -eu

kernel=$1 initramfs=$2 cmdline=$4
mkdir -p "$3"
out=$(realpath "$3")
grub=/usr/lib/grub/i386-pc
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/fs/boot/grub"
install -m 644 "$kernel" "$root/fs/boot/vmlinuz"
install -m 644 "$initramfs" "$root/fs/boot/initramfs.cpio"
# On the disk GRUB speaks at the serial port and resets the machine once, to see the firmware again; it notes that by the firmware's disk writes.
cat >"$root/fs/boot/grub/grub.cfg" <<END
serial --unit=0 --speed=115200
terminal_output serial
if [ -s /boot/grub/grubenv ]; then
	load_env again
	if [ "\$again" != yes ]; then
		set again=yes
		save_env again
		echo "grub: reset"
		reboot
	fi
fi
echo "grub: from \$root"
linux /boot/vmlinuz $cmdline from=\$root
initrd /boot/initramfs.cpio
boot
END
grub-editenv "$root/fs/boot/grub/grubenv" create
find "$root/fs" -exec touch -h -d @0 {} +

# The boot loader lies between the MBR and the partition, which begins at 1 MiB.
echo 'set prefix=(hd0,msdos1)/boot/grub' >"$root/early.cfg"
grub-mkimage -O i386-pc -o "$root/core.img" -c "$root/early.cfg" -p '(hd0,msdos1)/boot/grub' \
	biosdisk part_msdos ext2 normal linux serial terminal echo loadenv test reboot
[ "$(stat -c %s "$root/core.img")" -lt $((2047 * 512)) ]
truncate -s 32M "$root/part.img"
E2FSPROGS_FAKE_TIME=1 /usr/sbin/mke2fs -q -t ext4 -U 01234567-89ab-cdef-0123-456789abcdef -E root_owner=0:0 \
	-d "$root/fs" "$root/part.img"
put() { dd if="$1" of="$root/disk.img" conv=notrunc status=none bs="$3" seek="$2"; }
# A disk with part.img as its partition of type $1: active, from sector 2048, 65536 sectors; then the signature.
mkdisk() {
	rm -f "$root/disk.img"
	truncate -s 33M "$root/disk.img"
	printf '\x80\xfe\xff\xff\x'"$1"'\xfe\xff\xff\x00\x08\x00\x00\x00\x00\x01\x00' >"$root/entry"
	put "$root/entry" 446 1
	printf '\x55\xaa' >"$root/signature"
	put "$root/signature" 510 1
	put "$root/part.img" 2048 512
}
mkdisk 83
head -c 440 $grub/boot.img >"$root/boot.img"
put "$root/boot.img" 0 1
put "$root/core.img" 1 512
mv "$root/disk.img" "$out/disk.img"

# The same by UEFI: GRUB is a file in the system partition, and speaks through the firmware.
boot_part() { sed -n '/^echo "grub: from/,$p' "$root/fs/boot/grub/grub.cfg"; }
boot_part >"$root/esp.cfg"
grub-mkimage -O x86_64-efi -o "$root/bootx64.efi" -c "$root/early.cfg" -p '(hd0,msdos1)/boot/grub' \
	part_msdos fat normal linux echo
rm "$root/part.img"
truncate -s 32M "$root/part.img"
export SOURCE_DATE_EPOCH=0
mformat -i "$root/part.img" -v ESP -N 01234567 ::
mmd -i "$root/part.img" ::EFI ::EFI/BOOT ::boot ::boot/grub
mcopy -i "$root/part.img" "$root/bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
mcopy -i "$root/part.img" "$root/fs/boot/vmlinuz" "$root/fs/boot/initramfs.cpio" ::boot
mcopy -i "$root/part.img" "$root/esp.cfg" ::boot/grub/grub.cfg
mkdisk ef
mv "$root/disk.img" "$out/esp.img"

# From the CD it shows its texts on the display; if the disk is there, too, it wants a line typed, and that is all.
rm "$root/fs/boot/grub/grubenv"
{
	cat <<-'END'
	terminal_output console
	search --fs-uuid --set=disk 01234567-89ab-cdef-0123-456789abcdef
	if [ -n "$disk" ]; then
		echo "grub: what shall it be?"
		read line
		echo "grub: read $line"
		if [ "$line" = "Keys: 1-2!" ]; then outb 0xf4 0x10; fi
		outb 0xf4 0x11
	fi
	END
	boot_part
} >"$root/cd.cfg"
mv "$root/cd.cfg" "$root/fs/boot/grub/grub.cfg"
grub-mkrescue --locales= --fonts= --themes= -o "$root/cd.iso" "$root/fs" >"$root/log" 2>&1 || {
	cat "$root/log" >&2
	exit 1
}
mv "$root/cd.iso" "$out/cd.iso"
