#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Install the Debian packages that building, testing and running need: only those that are missing.
# Works as root or through sudo. Prints nothing but one line when everything is there.
set -u

PACKAGES=(
	# build
	gcc libc6-dev make binutils kconfig-frontends python3
	# tests: harness, second compiler, formatting, sanitizer run time comes with gcc
	perl clang clang-format-14 libclang-rt-14-dev groff-base
	# machines
	qemu-system-x86 bochs bochs-term seabios vgabios
	# the Debian guest's initramfs and disk; its kernel and busybox are downloaded, not installed
	cpio e2fsprogs
	# disk and CD that firmware boots: GRUB's tools and images, nothing is installed as a boot loader
	grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools ovmf
	# judges of disk images
	qemu-utils
)

missing=()
for p in "${PACKAGES[@]}"; do
	status=$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)
	[ "$status" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
	[ "${1:-}" = --quiet ] || echo "setup: all ${#PACKAGES[@]} packages are installed"
	exit 0
fi

echo "setup: missing Debian packages: ${missing[*]}"
root=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "setup: not root and no sudo here; as root run: apt-get install ${missing[*]}" >&2
		exit 1
	fi
	root=(sudo)
fi
apt() {
	echo "setup: ${root[*]:+${root[*]} }apt-get $*"
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 "$@" </dev/null
}
install() { apt install -y --no-install-recommends "${missing[@]}"; }

known() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }
all_known() {
	local p
	for p; do known "$p" || return 1; done
}

# Package lists may be absent (container images) or stale: update only then.
if ! all_known "${missing[@]}"; then
	apt update || exit 1
	install || exit 1
elif ! install; then
	apt update || exit 1
	install || exit 1
fi
echo "setup: done"
