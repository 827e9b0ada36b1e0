# SPDX-License-Identifier: BSD-3-Clause
# Sourced by the scripts that fetch Debian packages, with "out", the folder that what is in them goes to. Moves to a
# temporary folder, which is gone in the end. get PACKAGE... downloads packages there, unpack PATTERN... takes files out
# of all of them; nothing is installed. "say" is the word in front of messages; "apt" may get more options of apt's, and
# "root" be emptied if package lists are not the machine's own.

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

apt=()
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
# One of several sources may be out of order: what counts is whether the packages are found then.
update() {
	echo "$say: ${root[*]:+${root[*]} }apt-get update (the package lists are missing or old)"
	"${root[@]}" apt-get "${apt[@]}" update </dev/null || true
}
# Package names; a kernel's name without version stands for the newest.
names() {
	local p
	for p; do
		case $p in
		linux-image-*.*) echo "$p" ;;
		linux-image-*) apt-cache "${apt[@]}" depends "$p" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-\)/\1/p' | head -n 1 ;;
		*) echo "$p" ;;
		esac
	done
}
# With root the download would be done by a user that may not write here.
download() { apt-get -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "${apt[@]}" download $(names "$@") </dev/null; }
get() {
	echo "$say: downloading $*"
	[ "$(names "$@" | wc -l)" = $# ] || update
	download "$@" && return
	update
	download "$@"
}
# A package need not have all that is asked for.
unpack() {
	local deb
	for deb in ./*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar x --wildcards "$@" 2>/dev/null || true
	done
}
cd "$work"
