# SPDX-License-Identifier: BSD-3-Clause
# Sourced by the scripts that fetch Debian packages: get PACKAGE... downloads them into the current folder; nothing is
# installed. "say" is the word in front of messages, "apt" has more options of apt's.

apt=()
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
update() {
	echo "$say: ${root[*]:+${root[*]} }apt-get update (the package lists are missing or old)"
	"${root[@]}" apt-get "${apt[@]}" update </dev/null
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
