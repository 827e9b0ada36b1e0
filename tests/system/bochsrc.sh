#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# bochsrc.sh FOLDER MODEL CPUS IPS MEMORY_MIB [LINE...]: the configuration of a Bochs machine that runs what
# bochs_image.pl has laid out in FOLDER, without a display; port 0xe9 is standard output. LINEs are added.
dir=$1 model=$2 cpus=$3 ips=$4 memory=$5
shift 5
cat <<END
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=$dir/rom.bin, address=0xffff0000
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
optramimage1: file=$dir/ram.bin, address=$(cat "$dir/load_addr")
cpu: model=$model, count=$cpus, ips=$ips, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=$memory, host=$memory
clock: sync=none, time0=utc
boot: floppy
port_e9_hack: enabled=1
log: $dir/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
speaker: enabled=0, mode=none
sound: driver=dummy
END
for line; do echo "$line"; done
