#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What palacios.ko takes from its host and leaves to it: the memory pool, halt polling, tracepoints, its
interrupts while a guest computes.

tests/system/linux/host_steps runs in a Debian host with two NUMA nodes of 3 GiB (linux/machine.py); all its
output stays in check/linux_host.log of the build folder.
"""
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import machine  # noqa: E402
import tap  # noqa: E402

LIMIT = 170                             # seconds for the machine
# Only what is touched takes memory of the build machine: 2 GiB of the 6.
HARDWARE = ["-m", "6144", "-smp", "2", "-object", "memory-backend-ram,id=m0,size=3G", "-object",
            "memory-backend-ram,id=m1,size=3G", "-numa", "node,memdev=m0,cpus=0", "-numa", "node,memdev=m1,cpus=1"]
# name, kernel, memory, more of [vm], more of [boot]
GUESTS = (("hello", "hello", "16M", "", ""), ("big", "hello", "2G", "", ""), ("halt", "sti_hlt", "16M", "cpus = [1]", ""),
          ("busy", "compute", "16M", "cpus = [1]", tap.FOREVER))


def make_guests(work):
    for name, kernel, memory, more, boot in GUESTS:
        shutil.copy(os.path.join(machine.BUILD, "guests", f"{kernel}.elf"), work)
        definition = os.path.join(work, f"{name}.toml")
        with open(definition, "w", encoding="utf-8") as f:
            f.write(tap.HELLO.format(name=name, kernel=kernel, memory=memory, more=more) + boot)
        yield machine.pack(definition, os.path.join(work, f"{name}.v3i"))


def main():
    with tempfile.TemporaryDirectory() as work:
        initramfs = machine.make_initramfs(work, make_guests(work))
        # The host need not clear what the library clears.
        tap.run(machine.command(initramfs, " job=host_steps init_on_alloc=0", HARDWARE) + ["-serial", "stdio"],
                os.path.join(machine.BUILD, "check", "linux_host.log"), LIMIT)
    tap.finish()


if __name__ == "__main__":
    main()
