#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# "make install" into a folder: every file is there and is what its reader expects, and "make uninstall" leaves none.
# What a reader's own tool would check is skipped where that tool is missing. The installed source of the module is
# built by tests/system/linux_dkms.t.
# V3_BUILD names the build folder (default: build).

cd "$(dirname "$0")/../.." || exit 1
build=${V3_BUILD:-build}
[[ $build == /* ]] || build=$PWD/$build
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
root=$dir/stage

number=0 failed=0
# ok NAME: takes the status of the command before it; $dir/log tells why
ok() {
	local status=$?
	number=$((number + 1))
	if [ $status = 0 ]; then
		echo "ok $number - install: $1"
	else
		failed=1
		echo "not ok $number - install: $1"
		sed 's/^/# /' "$dir/log" >&2
	fi
	: >"$dir/log"
}
skip() {
	number=$((number + 1))
	echo "ok $number - install: $1 # SKIP $2"
}
have() { command -v "$1" >/dev/null; }
# target NAME: as a user calls make, here with PREFIX=/usr. B as it was given: another spelling would build all anew.
target() {
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s B="${build#"$PWD"/}" DESTDIR="$root" PREFIX=/usr "$1" </dev/null >"$dir/log" 2>&1
}
installed() { (cd "$root" && find . -type f -printf '%m %P\n' | sort); }

target install
ok "make install succeeds"

version=$(sed -n 's/^PALACIOS_VERSION := //p' linux_module/install.mk)
src=usr/src/palacios-$version
sort >"$dir/want" <<-END
	755 usr/bin/v3
	755 usr/bin/v3-mkimage
	644 usr/include/linux/palacios.h
	644 usr/lib/modprobe.d/palacios.conf
	644 usr/lib/systemd/system/palacios-guest@.service
	644 usr/lib/systemd/system/palacios.service
	644 usr/lib/sysusers.d/palacios.conf
	644 usr/lib/udev/rules.d/60-palacios.rules
	644 usr/share/bash-completion/completions/v3
	644 usr/share/man/man1/v3-mkimage.1
	644 usr/share/man/man1/v3.1
	644 usr/share/man/man4/palacios.4
	644 usr/share/man/man5/guest.toml.5
END
installed | grep -v " $src/" | diff "$dir/want" - >"$dir/log"
ok "the files outside the source are those of the list, with their modes"
[ -n "$version" ] && [ -s "$root/$src/dkms.conf" ] && [ -s "$root/$src/Kbuild" ] && [ -s "$root/$src/config.mk" ] &&
	! installed | grep " $src/" | grep -v '^644' >"$dir/log"
ok "the source is there, readable by all"
! grep -rn '@[A-Z]*@' "$root/usr/lib" "$root/$src/dkms.conf" >"$dir/log"
ok "no word is left unreplaced"
"$root/usr/bin/v3" --help >"$dir/log" && "$root/usr/bin/v3-mkimage" --help >>"$dir/log"
ok "the programs run"

# ---- manual pages ----
if have groff; then
	! groff -man -ww -z -Tutf8 "$root"/usr/share/man/man*/* 2>&1 | grep . >"$dir/log"
	ok "the manual pages render without a warning"
else
	skip "the manual pages render without a warning" "no groff"
fi
page=$root/usr/share/man/man4/palacios.4
missing=$(grep -oE '\<PALACIOS_(VERSION|CREATE|OPEN|LIST|VM_[A-Z_]+)[[:space:]]+_IO' linux_module/uapi/palacios.h |
	grep -oE '^PALACIOS_\w+' | while read -r name; do grep -q "\<$name\>" "$page" || echo "$name"; done)
unknown=$(grep -oE 'PALACIOS_VM_[A-Z_]+' "$page" | while read -r name; do
	grep -qE "define ${name}[[:space:]]+_IO" linux_module/uapi/palacios.h || echo "$name"
done)
echo "not described: $missing; not there: $unknown" >"$dir/log"
[ -z "$missing$unknown" ]
ok "palacios.4 describes every command of the device, and no other"
missing=$(grep -ohE 'module_param(_\w+)?\((\w+)' linux_module/*.c | sed 's/.*(//' |
	while read -r name; do grep -q "\<$name=" "$page" || echo "$name="; done
	grep -ohE '(TRACE_EVENT(_FN)?|DEFINE_EVENT(_FN)?)\((\w+)' linux_module/*.h 2>/dev/null | sed 's/.*(//' |
		while read -r name; do grep -q "^\.B $name\$" "$page" || echo "$name"; done)
echo "not described: $missing" >"$dir/log"
[ -z "$missing" ]
ok "palacios.4 describes every parameter and tracepoint of the module"

# ---- completion ----
cat >"$dir/complete" <<'END'
source "$1"
v3() { printf 'NAME STATE\nalpha running\nbeta stopped\n'; }
# try WORD...: complete the last one
try() { COMP_WORDS=(v3 "$@"); COMP_CWORD=$#; COMPREPLY=(); _v3; echo "${COMPREPLY[*]}"; }
shift
try "$@"
END
complete() { bash "$dir/complete" "$root/usr/share/bash-completion/completions/v3" "$@" 2>>"$dir/log"; }
commands=$("$root/usr/bin/v3" --help | sed -n '/^usage/,/^GUEST/s/^  \([a-z]*\) .*/\1/p' | sort)
got=$(complete '')
echo "$got" >"$dir/log"
[ -n "$commands" ] && [ "$(tr ' ' '\n' <<<"$got" | sort)" = "$commands" ]
ok "the completion knows the commands of v3 --help"
bad=$(for command in $commands; do
	for option in $(complete "$command" --); do
		[ "$option" = --help ] || FAKE_DEVICE=missing "$build/unit/v3" "$command" "$option" 2>&1 |
			grep 'does not take\|is no option'
	done
done)
echo "$bad" >"$dir/log"
[ -z "$bad" ] && [ "$(complete stop --h)" = "--help --hard" ]
ok "the completion offers options that the command takes"
[ "$(complete info '')" = "alpha beta" ] && [ "$(complete info b)" = beta ] && [ -z "$(complete info alpha '')" ] &&
	[ "$(complete --json pause al)" = alpha ] && [ "$(complete stop --timeout 3 al)" = alpha ] &&
	[ -z "$(complete stop --timeout '')" ] && [ -z "$(complete list '')" ]
ok "the completion offers names where a name belongs"
(cd "$dir" && mkdir -p guests && [ "$(complete run gue)" = guests ] && [ "$(complete create gue)" = guests ])
ok "the completion offers files where a guest belongs"

# ---- what the system reads ----
rule=$root/usr/lib/udev/rules.d/60-palacios.rules
group=$(sed -n 's/.*GROUP="\([a-z]*\)".*/\1/p' "$rule")
cp "$rule" "$dir/log"
! grep -v '^#' "$rule" | tr ',' '\n' | grep -vE '^ *(KERNEL|SUBSYSTEM)=="[a-z]+"$|^ *(GROUP|MODE)="[a-z0-9]+"$' &&
	grep -q 'KERNEL=="palacios".*MODE="0660"' "$rule"
ok "the udev rule is well formed"
if have systemd-sysusers; then
	mkdir -p "$dir/users/etc" && systemd-sysusers --root="$dir/users" - <"$root/usr/lib/sysusers.d/palacios.conf" >"$dir/log" 2>&1
	cat "$dir/users/etc/group" >>"$dir/log"
	[ -n "$group" ] && grep -q "^$group:" "$dir/users/etc/group"
	ok "systemd-sysusers makes the group of the udev rule"
else
	skip "systemd-sysusers makes the group of the udev rule" "no systemd-sysusers"
fi
if have systemd-analyze; then
	# Their programs are not where they will be, nor is the module's page.
	mkdir -p "$dir/units"
	instance=debian
	for unit in "$root"/usr/lib/systemd/system/*; do
		sed 's,^\(Exec[A-Za-z]*\)=.*,\1=/bin/true,; /^Documentation=/d' "$unit" >"$dir/units/${unit##*/}"
	done
	! SYSTEMD_UNIT_PATH="$dir/units:" systemd-analyze verify "$dir/units/palacios.service" \
		"$dir/units/palacios-guest@$instance.service" 2>&1 | grep "$dir/units\|palacios" >"$dir/log"
	ok "systemd takes the units"
else
	skip "systemd takes the units" "no systemd-analyze"
fi
bad=$(sed -n 's/^Exec[A-Za-z]*=\(\/[^ ]*\).*/\1/p' "$root"/usr/lib/systemd/system/* | sort -u | while read -r program; do
	[ -x "$root$program" ] || echo "$program"
done)
echo "$bad" >"$dir/log"
[ -z "$bad" ] && grep -q '^ExecStart=/usr/bin/v3 run' "$root/usr/lib/systemd/system/palacios-guest@.service"
ok "the programs that the units call are installed"
! grep -vE '^(#.*|options palacios( [a-z_]+=[^ ]+)+|blacklist \w+)$' "$root/usr/lib/modprobe.d/palacios.conf" >"$dir/log"
ok "the file for modprobe is well formed"
printf '#include <linux/palacios.h>\nint main(void) { return sizeof(struct palacios_create) - 120; }\n' >"$dir/header.c"
for how in "-std=gnu11 -x c" "-x c++"; do
	# shellcheck disable=SC2086
	"${CLANG:-clang}" -Wall -Wextra -Werror -pedantic -fsyntax-only -I"$root/usr/include" $how "$dir/header.c" >>"$dir/log" 2>&1 ||
		break
	false
done
[ ! -s "$dir/log" ]
ok "the header serves C and C++"

target uninstall && [ -z "$(installed)" ] && [ ! -e "$root/$src" ]
ok "make uninstall leaves no file"
echo "1..$number"
exit $failed
