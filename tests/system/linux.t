#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Debian's unmodified kernel as HOST in an emulated SVM machine: palacios.ko, the v3 command, guests.

tests/system/linux/steps runs in the host and prints one line "step: ok|FAILED what" per check; the lines come
out here as TAP. The machine is that of linux/machine.py; all its output stays in check/linux.log of the build folder.
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

LIMIT = 480                             # seconds for the machine


# Of tests/guests/guests.list; all of them find everything right, or say so.
HOSTILE = ("hostile_io", "hostile_msr", "hostile_cr", "hostile_mmio", "hostile_code")


def make_guests(work):
    """What the steps run: definitions with their kernels, and images."""
    files = []
    for name in ("hello", "status", "compute", *HOSTILE):
        elf, toml = os.path.join(work, f"{name}.elf"), os.path.join(work, f"{name}.toml")
        shutil.copy(os.path.join(machine.BUILD, "guests", f"{name}.elf"), elf)
        with open(toml, "w", encoding="utf-8") as f:
            f.write(tap.HELLO.format(name=name.replace("_", "-"), kernel=name, more="",
                                     memory="64M" if name in HOSTILE else "16M")
                    + (tap.FOREVER if name == "compute" else ""))
        files += [elf, toml]
    files += [machine.pack(os.path.join(work, f"{name}.toml"), os.path.join(work, f"{name}.v3i"))
              for name in ("hello", "compute")]
    return files + [machine.pack(os.path.join(machine.DEBIAN, f"{name}.toml"), os.path.join(work, f"debian-{name}.v3i"))
                    for name in ("poweroff", "guest", "selftest-smp")]


def main():
    with tempfile.TemporaryDirectory() as work:
        initramfs = machine.make_initramfs(work, make_guests(work))
        tap.run(machine.command(initramfs) + ["-serial", "stdio"], os.path.join(machine.BUILD, "check", "linux.log"),
                LIMIT)
    tap.finish()


if __name__ == "__main__":
    main()
