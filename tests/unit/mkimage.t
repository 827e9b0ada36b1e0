#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The command line of v3-mkimage: results, messages, exit statuses, and that failures leave nothing behind.
# V3_BUILD names the build folder (default: build).

cd "$(dirname "$0")/../.." || exit 1
tool=$PWD/${V3_BUILD:-build}/bin/v3-mkimage
[[ ${V3_BUILD:-} == /* ]] && tool=$V3_BUILD/bin/v3-mkimage
[ -x "$tool" ] || { echo "Bail out! $tool is not built"; exit 1; }
dir=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir" || exit 1

number=0
# ok NAME: takes the status of the command before it
ok() {
	local status=$?
	number=$((number + 1))
	[ $status = 0 ] && echo "ok $number - mkimage: $1" || {
		echo "not ok $number - mkimage: $1"
		sed 's/^/# out: /' out
		sed 's/^/# err: /' err
	}
}
# run STATUS ARGUMENTS: run the tool into out and err; is the exit status the one expected?
run() {
	local want=$1
	shift
	"$tool" "$@" >out 2>err
	local got=$?
	[ $got = "$want" ] || { echo "# v3-mkimage $*: exit status $got, expected $want"; return 1; }
}
# patch FILE OFFSET HEX...: overwrite bytes
patch() {
	local file=$1 offset=$2
	shift 2
	printf '%b' "$(printf '\\x%s' "$@")" | dd of="$file" bs=1 seek="$offset" conv=notrunc status=none
}

# A multiboot kernel without code: a flat one at 1 MiB, the header at offset 0.
kernel() {
	head -c 4096 /dev/zero >"$1"
	patch "$1" 0 02 b0 ad 1b 00 00 01 00 fe 4f 51 e4 \
		00 00 10 00 00 00 10 00 00 00 00 00 00 00 00 00 20 00 10 00
}
definition() {
	printf '[vm]\nname = "t"\nmemory = "16M"\n[boot]\ntype = "multiboot"\nkernel = "kernel.bin"\n'
	printf 'modules = ["data/a b c", "empty"]\n'
}
mkdir -p guest/data
kernel guest/kernel.bin
head -c 100000 /dev/urandom >guest/data/a
: >guest/empty
definition >guest/guest.toml

run 0 -o t.v3i guest/guest.toml && [ ! -s out ] && [ ! -s err ] && [ -s t.v3i ]
ok "packs silently"
run 0 --list t.v3i && [ "$(awk '{print $3}' out | paste -sd' ')" = "guest.toml kernel.bin data/a empty" ] &&
	[ "$(awk '$3 == "data/a" {print $1, $2}' out)" = "$(sha256sum <guest/data/a | cut -d' ' -f1) 100000" ]
ok "lists sections with length and SHA-256"
run 0 --extract data/a t.v3i && cmp -s out guest/data/a
ok "extracts to standard output"
run 0 --extract guest.toml -o text t.v3i && cmp -s text guest/guest.toml
ok "extracts to a file"
run 1 --extract nothing t.v3i && grep -q '^t.v3i: no section nothing' err
ok "says that a section is not there"
run 0 --check guest/guest.toml && [ ! -s out ] && [ ! -s err ]
ok "checks without writing"
(cd guest && run 0 -o ../u.v3i guest.toml) && cmp -s t.v3i u.v3i
ok "makes the same image from another folder"
[ "$(stat -c %a t.v3i)" = "$(printf '%o' $((0666 & ~$(umask))))" ]
ok "gives the image the usual permissions"

# json EXPRESSION: is a Perl expression about $j, the JSON object in out, true?
json() {
	perl -MJSON::PP -e 'local $/; open my $f, "<", "out"; our $j = decode_json(<$f>);
		our $s = $j->{sections}; exit !eval $ARGV[0]' "$1"
}
run 0 --json --list t.v3i &&
	json '$j->{image} eq "t.v3i" && @$s == 4 && $s->[2]{bytes} == 100000 && $s->[1]{offset} % 64 == 0' &&
	json '$j->{bytes} == -s "t.v3i" && $s->[0]{name} eq "guest.toml"' &&
	tail -c +$(($(grep -o '"data/a", "offset": [0-9]*' out | grep -o '[0-9]*$') + 1)) t.v3i |
	head -c 100000 | cmp -s - guest/data/a
ok "lists as JSON"
run 0 --json -o u.v3i guest/guest.toml && json '$j->{image} eq "u.v3i" && $s->[3]{name} eq "empty"'
ok "packs with JSON output"

sed 's/"16M"/12/' guest/guest.toml >guest/bad.toml
rm -f u.v3i
run 1 -o u.v3i guest/bad.toml && [ ! -e u.v3i ] &&
	[ "$(cat err)" = 'guest/bad.toml:3: memory: expected a size such as "256M", got 12 (number)' ]
ok "reports file, line, key and what was expected"
run 1 --json --check guest/bad.toml &&
	json '$j->{error}{file} eq "guest/bad.toml" && $j->{error}{line} == 3 && $j->{error}{message} =~ /^memory: exp/'
ok "reports errors as JSON"
printf '[vm]\nname="t"\nmemory="16M"\n[boot]\ntype="multiboot"\nkernel="kernel.bin"\n[[device]]\nclass="uart"\nprot=1\n' \
	>guest/bad.toml
run 1 --check guest/bad.toml && grep -q '^guest/bad.toml:9: prot: unknown key in \[device\], did you mean "port"?$' err
ok "knows the keys of the library's devices"
sed 's/kernel.bin/data\/a/' guest/guest.toml >guest/bad.toml
run 1 --check guest/bad.toml && grep -q '^guest/data/a: not a multiboot kernel' err
ok "refuses what is no kernel"
sed 's/kernel.bin/none/' guest/guest.toml >guest/bad.toml
run 3 -o u.v3i guest/bad.toml && [ ! -e u.v3i ] &&
	[ "$(cat err)" = 'guest/none: No such file or directory (named in guest/bad.toml)' ]
ok "says which file is missing and who asks for it"
sed 's/kernel.bin/data/' guest/guest.toml >guest/bad.toml
run 3 --check guest/bad.toml && grep -q '^guest/data: not a regular file' err
ok "refuses a folder"
mkfifo guest/fifo
sed 's/kernel.bin/fifo/' guest/guest.toml >guest/bad.toml
run 3 --check guest/bad.toml && grep -q '^guest/fifo: not a regular file' err
ok "does not hang on a FIFO"
run 3 --check none.toml && [ "$(cat err)" = 'none.toml: No such file or directory' ]
ok "says that the definition is missing"
run 3 --check guest && grep -q '^guest: Is a directory' err
ok "refuses a folder as definition"
head -c 70000 /dev/zero | tr '\0' '#' >guest/bad.toml
run 1 --check guest/bad.toml && grep -q '^guest/bad.toml: too long: 65537 bytes, the limit is 65536' err
ok "refuses an over-long definition"

cp t.v3i old.v3i
run 2 -o guest/kernel.bin guest/guest.toml && grep -q 'is one of the files to pack' err &&
	[ "$(stat -c %s guest/kernel.bin)" = 4096 ]
ok "does not overwrite its own input"
run 3 -o no/such/u.v3i guest/guest.toml && grep -q '^no/such/u.v3i: No such file or directory' err
ok "says that the image cannot be written"
sed 's/kernel.bin/none/' guest/guest.toml >guest/bad.toml
cp t.v3i keep.v3i
run 3 -o keep.v3i guest/bad.toml && cmp -s t.v3i keep.v3i && [ -z "$(ls keep.v3i.* 2>/dev/null)" ]
ok "keeps the old image when it fails"

patch t.v3i 2000 ff
run 1 --list t.v3i && grep -q '^t.v3i: section .*SHA-256 does not match' err && [ ! -s out ]
ok "finds a damaged image"
run 1 --list guest/kernel.bin && grep -q 'not an image container' err
ok "refuses what is no image"
run 1 --list guest/empty && grep -q 'header: expected 64 bytes, got 0' err
ok "refuses an empty image"
run 3 --list none.v3i && [ "$(cat err)" = 'none.v3i: No such file or directory' ]
ok "says that the image is missing"

run 2 && grep -q '^usage:' err
ok "wants arguments"
run 2 guest/guest.toml
ok "wants -o or --check"
run 2 --check --list t.v3i
ok "wants one thing at a time"
run 2 --bogus
ok "refuses unknown options"
run 0 --help && grep -q '^usage:' out
ok "has help"
echo "1..$number"
