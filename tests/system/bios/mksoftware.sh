#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# mksoftware.sh SOFTWARE DEBIAN FOLDER "CMDLINE": media for software.t from what fetch.sh brought and the Debian guest's
# files, made without root, without the 32-bit kernels if they were not to be had: isolinux.iso (a CD with a menu), syslinux.img (a disk: MBR, one FAT partition) and
# grub.iso (which is attached as a disk).
set -eu

software=$(realpath "$1") debian=$(realpath "$2") cmdline=$4
mkdir -p "$3"
out=$(realpath "$3")
initramfs=$out/initramfs.cpio
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cd "$root"

# The menu is on the display; the second line is what the test wants.
mkdir -p cd/isolinux
cp "$software"/{isolinux.bin,ldlinux.c32,libcom32.c32,libutil.c32,menu.c32} cd/isolinux
install -m 644 "$debian/vmlinuz" cd/vmlinuz
install -m 644 "$initramfs" cd/initramfs.cpio
cat >cd/isolinux/isolinux.cfg <<END
UI menu.c32
MENU TITLE What shall it be?
LABEL nothing
  KERNEL /nothing
LABEL linux
  MENU LABEL Linux
  KERNEL /vmlinuz
  INITRD /initramfs.cpio
  APPEND console=ttyS0 console=tty0 $cmdline job=firmware from=isolinux
END
xorriso -as mkisofs -o isolinux.iso -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
	-boot-info-table cd >log 2>&1 || { cat log >&2; exit 1; }

# One active FAT16 partition of 24 MiB from sector 2048 on.
truncate -s 25M syslinux.img
cp "$software/mbr.bin" head
truncate -s 446 head
printf '\x80\xfe\xff\xff\x06\xfe\xff\xff\x00\x08\x00\x00\x00\xc0\x00\x00' >>head
truncate -s 510 head
printf '\x55\xaa' >>head
dd if=head of=syslinux.img conv=notrunc status=none
cat >syslinux.cfg <<END
PROMPT 1
LABEL linux
  KERNEL vmlinuz
  INITRD initrd
  APPEND $cmdline job=poweroff
END
partition=syslinux.img@@1M
mformat -i $partition -h 16 -s 63 -T 49152 -H 2048 -N 20260101
MTOOLS_SKIP_CHECK=1 mcopy -i $partition syslinux.cfg "::syslinux.cfg"
if [ -s "$debian/686.cpio" ]; then
	mcopy -i $partition "$debian/vmlinuz32-nopae" ::vmlinuz
	mcopy -i $partition "$debian/686.cpio" ::initrd
fi
"$software/syslinux" --install --offset $((2048 * 512)) syslinux.img

# Xen: SMAP off, because QEMU 7.2 faults on what Xen copies to a guest's stack, on a bare machine, too.
mkdir -p grub/boot/grub
cp "$software/xen.gz" grub/boot
install -m 644 "$debian/vmlinuz" grub/boot/vmlinuz
install -m 644 "$initramfs" grub/boot/initramfs.cpio
[ ! -s "$debian/686.cpio" ] || cp "$debian"/{vmlinuz32,686.cpio} grub/boot
cat >grub/boot/grub/grub.cfg <<END
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
menuentry "Linux, 32 bits with PAE" --hotkey=p {
	linux16 /boot/vmlinuz32 $cmdline job=poweroff
	initrd16 /boot/686.cpio
}
menuentry "Xen" --hotkey=x {
	multiboot2 /boot/xen.gz console=com1 com1=115200,8n1 dom0_mem=176M smap=0 noreboot
	module2 --nounzip /boot/vmlinuz earlyprintk=xen console=hvc0 panic=-1 job=poweroff
	module2 --nounzip /boot/initramfs.cpio
}
menuentry "The other disk" --hotkey=d {
	set root=(hd1)
	chainloader +1
}
END
grub-mkrescue -d /usr/lib/grub/i386-pc --locales= --fonts= --themes= -o grub.iso grub >log 2>&1 || { cat log >&2; exit 1; }
mv isolinux.iso syslinux.img grub.iso "$out"
