#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# mkmedia.sh VMLINUZ INITRAMFS FOLDER "CMDLINE": a hard disk (disk.img: MBR, one ext4 partition) and a CD (cd.iso, El Torito)
# from which GRUB boots the kernel, made without root by Debian's own GRUB tools.
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
truncate -s 33M "$root/disk.img"
put() { dd if="$1" of="$root/disk.img" conv=notrunc status=none bs=512 seek="$2" ${3:+count="$3"}; }
dd if=$grub/boot.img of="$root/disk.img" conv=notrunc status=none bs=440 count=1
# The one entry of the partition table: active, Linux, from sector 2048, 65536 sectors; then the signature.
printf '\x80\xfe\xff\xff\x83\xfe\xff\xff\x00\x08\x00\x00\x00\x00\x01\x00' |
	dd of="$root/disk.img" conv=notrunc status=none bs=1 seek=446
printf '\x55\xaa' | dd of="$root/disk.img" conv=notrunc status=none bs=1 seek=510
put "$root/core.img" 1
put "$root/part.img" 2048
mv "$root/disk.img" "$out/disk.img"

# From the CD it shows its texts on the display; if the disk is there, too, it wants a line typed, draws one, and that is all.
rm "$root/fs/boot/grub/grubenv"
{
	cat <<-'END'
	terminal_output console
	search --fs-uuid --set=disk 01234567-89ab-cdef-0123-456789abcdef
	if [ -n "$disk" ]; then
		echo "grub: what shall it be?"
		read line
		echo "grub: read $line"
		if [ "$line" != "Keys: 1-2!" ]; then outb 0xf4 0x11; fi
		loadfont $prefix/fonts/ascii.pf2
		insmod vbe
		set gfxmode=800x600x32
		terminal_output gfxterm
		echo "grub draws: ########################"
		outb 0xf4 0x10
	fi
	END
	grep -Ev '^(serial|terminal_output)' "$root/fs/boot/grub/grub.cfg"
} >"$root/cd.cfg"
mv "$root/cd.cfg" "$root/fs/boot/grub/grub.cfg"
grub-mkrescue -d $grub --locales= --fonts=ascii --themes= -o "$root/cd.iso" "$root/fs" >"$root/log" 2>&1 || {
	cat "$root/log" >&2
	exit 1
}
mv "$root/cd.iso" "$out/cd.iso"
