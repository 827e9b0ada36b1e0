#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The structures of linux_module/uapi/palacios.h have one layout for 64-bit and 32-bit callers.

cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
structs=$(grep -o '^struct palacios_[a-z_]*' linux_module/uapi/palacios.h | sort -u | cut -d' ' -f2)
number=0 failed=0

# The sizes as this compiler sees them, one "name size" a line.
sizes() {
	{
		echo '#include "linux_module/uapi/palacios.h"'
		for s in $structs; do
			echo "char ${s}_size[sizeof(struct $s)];"
		done
	} >"$dir/sizes.c"
	gcc "$@" -std=gnu11 -I. -I/usr/include/x86_64-linux-gnu -fno-common -c -o "$dir/sizes.o" "$dir/sizes.c" &&
		nm -S "$dir/sizes.o" | awk '{ print $4, $2 }' | sed 's/ 0*/ /' | sort
}
ok() {
	local status=$?
	number=$((number + 1))
	[ $status = 0 ] && echo "ok $number - uapi: $1" || { echo "not ok $number - uapi: $1"; failed=1; }
}

sizes -m64 >"$dir/64"
[ "$(wc -l <"$dir/64")" = "$(wc -w <<<"$structs")" ] && [ "$(wc -l <"$dir/64")" -gt 8 ]
ok "every structure has a size"
sizes -m32 >"$dir/32"
diff "$dir/64" "$dir/32" >&2
ok "the same for 32-bit callers"
echo '#include "linux_module/uapi/palacios.h"' | gcc -x c -std=c89 -Wall -Werror -I. -fsyntax-only -
ok "the header is C89"
echo "1..$number"
exit $failed
