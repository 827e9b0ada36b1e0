#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# live.sh install|uninstall VERSION: after "make install", before "make uninstall", on the running system (with DESTDIR
# nobody calls it). What is installed is told to those who read it; each of them may be missing.
what=$1 version=$2
have() { command -v "$1" >/dev/null 2>&1; }
say() { echo "palacios: $*"; }

reload() {
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
	[ ! -d /run/udev ] || udevadm control --reload
}

case $what in
install)
	if have systemd-sysusers; then systemd-sysusers; else getent group palacios >/dev/null || groupadd -r palacios; fi
	reload
	if have dkms; then
		dkms status "palacios/$version" | grep -q . && dkms remove "palacios/$version" --all
		dkms install "palacios/$version" || say "the module could not be built: are the kernel's headers there?"
	else
		say "no DKMS here: install dkms and the kernel's headers, then: dkms install palacios/$version"
	fi
	say "now, as root: modprobe palacios; v3 doctor"
	say "at each boot: systemctl enable --now palacios; users: usermod -a -G palacios USER"
	;;
uninstall)
	if [ -d /sys/module/palacios ] && ! modprobe -r palacios; then
		say "the module is in use: v3 list shows by what" >&2
		exit 1
	fi
	[ ! -d /run/systemd/system ] || systemctl -q disable palacios 2>/dev/null
	! have dkms || ! dkms status "palacios/$version" | grep -q . || dkms remove "palacios/$version" --all
	;;
uninstalled)
	reload
	say "removed; the group palacios stays, and what is in /etc/palacios and /etc/modprobe.d"
	;;
*)
	echo "usage: live.sh install|uninstall|uninstalled VERSION" >&2
	exit 2
	;;
esac
