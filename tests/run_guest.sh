#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Run one guest, or several at once, on the bare-metal host in an emulated machine; print the console; exit with the status.
# Options and meaning: see usage() below.
set -u

usage() {
	cat <<'END'
usage: tests/run_guest.sh [options] guest.toml...
       tests/run_guest.sh [options] --image FILE     a container made by v3-mkimage
       tests/run_guest.sh [options] --selftest       test the bare-metal host itself

  --machine M     qemu-svm (default), qemu-svm-la57, bochs-svm, bochs-vmx
  --model NAME    another CPU model of QEMU or Bochs
  --smp N         CPUs of the machine (default: the guests' vcpus)
  --memory MIB    memory of the machine (default: 1024)
  --timeout S     seconds until it counts as hanging (default: 60, with --interactive none; 0: none)
  --stats         print the exit statistics at the end
  --repeat N      create, run and destroy the guest N times
  --icount        virtual time = executed instructions, 1 ns each, one thread; repeats exactly. (Bochs: 100 ns
                  without this option, and repeats exactly in any case)
  --parallel      QEMU: a thread for each CPU; some guests or the host itself will crash then, by an error of QEMU's
                  (quirk Q11 of README.md). To look for races
  --append TEXT   more words for the host's command line
  --log FILE      keep the raw console output
  --interactive   QEMU: connect this terminal to the guest's console; Ctrl-A X ends the machine,
                  Ctrl-A Ctrl-A sends a Ctrl-A

Several guests run at once in QEMU; each line of theirs begins with "vm1: ", "vm2: " ..., and the first one gets the input.

Exit status: the guest's own: (v << 1) | 1 for the value v it wrote to port 0xf4, 0 for power-off; of several
guests the first that is not 0;
124 timeout; 125 failure of the VMM or the host; 2 for mistakes in the call.
END
}

bad() {
	echo "run_guest.sh: $*" >&2
	exit 2
}

top=$(cd "$(dirname "$0")/.." && pwd) || exit 2
build=${V3_BUILD:-$top/build}
newline='
'
machine=qemu-svm model= smp= memory=1024 timeout= append= icount= thread=single interactive= log= image= toml= selftest=

while [ $# -gt 0 ]; do
	case $1 in
	--machine | --model | --smp | --memory | --timeout | --repeat | --append | --log | --image)
		[ $# -ge 2 ] || bad "$1 needs a value"
		;;
	esac
	case $1 in
	--machine) machine=$2; shift ;;
	--model) model=$2; shift ;;
	--smp) smp=$2; shift ;;
	--memory) memory=$2; shift ;;
	--timeout) timeout=$2; shift ;;
	--repeat) append="$append repeat=$2"; shift ;;
	--append) append="$append $2"; shift ;;
	--log) log=$2; shift ;;
	--image) image=$2; shift ;;
	--stats) append="$append stats" ;;
	--selftest) selftest=1; append="$append selftest" ;;
	--icount) icount=1 ;;
	--parallel) thread=multi ;;
	--interactive) interactive=1 ;;
	-h | --help) usage; exit 0 ;;
	-*) bad "unknown option $1 (--help shows all)" ;;
	*) toml=${toml:+$toml$newline}$1 ;;
	esac
	shift
done
IFS=$newline # between guests; their names may have spaces
if [ -z "$smp" ]; then
	for guest in $toml; do
		n=$(sed -n 's/^[[:space:]]*vcpus[[:space:]]*=[[:space:]]*\([0-9][0-9]*\).*/\1/p' "$guest" 2>/dev/null | head -n 1)
		smp=$((smp + ${n:-1}))
	done
fi
smp=${smp:-1}
[ -n "$timeout" ] || { [ -n "$interactive" ] && timeout=0 || timeout=60; }
for number in "$smp" "$memory" "$timeout"; do
	case $number in *[!0-9]* | "") bad "not a number: $number" ;; esac
done
case ${toml:+t}${image:+i}${selftest:+s} in
t | i | s) ;;
"") bad "no guest given (--help shows how)" ;;
*) bad "a guest file, --image and --selftest exclude each other" ;;
esac

dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

kernel=$build/baremetal/palacios.elf
[ -r "$kernel" ] || bad "$kernel is missing: run make first"
images= n=0
for guest in $toml; do
	n=$((n + 1))
	"$build/bin/v3-mkimage" "$guest" -o "$dir/guest$n.img" || exit 125
	images=${images:+$images,}$dir/guest$n.img
done
unset IFS
if [ -n "$image" ]; then
	[ -r "$image" ] || bad "cannot read $image"
	images=$dir/guest.img
	ln -s "$(readlink -f "$image")" "$images"
fi
case $machine:$images in bochs*,*) bad "several guests run in QEMU only" ;; esac
case $icount$thread in 1multi) bad "--icount and --parallel exclude each other" ;; esac
[ -z "$icount" ] || append="$append tsc_khz=1000000"

[ "$timeout" -gt 0 ] && limit="timeout --foreground -k 5 $timeout" || limit=

run_qemu() {
	set -- -M pc -m "$memory" -smp "$smp" -cpu "$model" -display none -nodefaults -no-user-config -no-reboot \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$kernel" -append "cpus=$smp$append" "$@"
	[ -z "$images" ] || set -- "$@" -initrd "$images"
	set -- "$@" -accel "tcg,thread=$thread"
	[ -z "$icount" ] || set -- "$@" -icount shift=0,sleep=off
	if [ -n "$interactive" ]; then
		$limit qemu-system-x86_64 "$@" -mon chardev=console -serial chardev:console \
			-chardev "stdio,id=console,mux=on,signal=off,logfile=$dir/output"
		echo $? > "$dir/status"
	else
		{
			$limit qemu-system-x86_64 "$@" -serial stdio < /dev/null
			echo $? > "$dir/status"
		} | tee "$dir/output" | sed -u 's/\r//g'
	fi
}

run_bochs() {
	ips=10000000
	[ -z "$icount" ] || ips=1000000000
	perl "$top/tests/system/bochs_image.pl" "$build/baremetal/bochs_rom.bin" "$kernel" \
		"${images:--}" "$memory" \
		"cpus=$smp console=e9$append" "$dir" || exit 125
	"$top/tests/system/bochsrc.sh" "$dir" "$model" "$smp" "$ips" "$memory" > "$dir/bochsrc"
	echo c > "$dir/debugger"
	# beside port 0xe9, Bochs prints a banner, log lines and the prompts of its debugger
	{
		# two that start at the same moment may fight for the port of their displays, which nobody looks at
		for try in 1 2 3; do
			$limit bochs -q -f "$dir/bochsrc" -rc "$dir/debugger" < /dev/null 2> "$dir/bochs.err"
			echo $? > "$dir/status"
			grep -q 'RFB could not bind' "$dir/bochs.log" || break
		done
	} | tee "$dir/output" | sed -u -E -e 's/\r//g' -e '1,/^Next at t=/d' \
		-e '/^\([0-9]+\)(\.\[| \[0x)/d' -e '/^[0-9]{11}[a-z]\[/d' -e '/^<bochs:/d'
}

case $machine in
qemu-svm) model=${model:-max,la57=off}; run_qemu ;;
qemu-svm-la57) model=${model:-max,la57=on}; run_qemu ;;
bochs-svm) model=${model:-ryzen}; run_bochs ;;
bochs-vmx) model=${model:-corei7_skylake_x}; run_bochs ;;
*) bad "unknown machine $machine (--help shows all)" ;;
esac

[ -z "$log" ] || cp "$dir/output" "$log"
ended=$(tail -n 20 "$dir/output" | tr -d '\r' | sed -n 's/^palacios-host: exit \([0-9][0-9]*\)$/\1/p' | tail -n 1)
status=$(cat "$dir/status")
[ -z "$ended" ] || exit "$ended"
[ "$status" -ne 124 ] && [ "$status" -ne 137 ] || { echo "run_guest.sh: timeout after $timeout s" >&2; exit 124; }
echo "run_guest.sh: the machine ended without a verdict (emulator's status $status)" >&2
[ ! -s "$dir/bochs.log" ] || tail -n 5 "$dir/bochs.log" >&2
exit 125
