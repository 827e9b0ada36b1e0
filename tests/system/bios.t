#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""SeaBIOS boots GRUB, and GRUB Debian's kernel: what the guest finds then, and what was seen on the way. TAP;
V3_BUILD names the build folder. Media and definitions: tests/system/bios/build.mk; all output stays in check/bios_*.log."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("V3_BUILD", os.path.join(TOP, "build"))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import tap  # noqa: E402

LIMIT = 300                             # seconds for a machine


def boot(name, title, smp):
    """Run one definition to its end. @return its output"""
    log = os.path.join(BUILD, "check", f"bios_{name}.log")
    tap.run([os.path.join(TOP, "tests", "run_guest.sh"), "--smp", str(smp), "--timeout", str(LIMIT),
             os.path.join(BUILD, "debian", "bios", f"{name}.toml")], log, LIMIT + 30)
    with open(log, encoding="utf-8", errors="replace") as f:
        out = f.read().replace("\r", "")
    tap.result("job booted by firmware" in out, f"{title}: the kernel is up", out)
    return out


disk = boot("disk", "virtio disk", 2)
tap.result(disk.count("Booting from Hard Disk...") == 2 and disk.count("reset: port 0xcf9") == 1,
           "virtio disk: GRUB resets the machine, and the firmware boots it once more", disk)
tap.result("grub: from hd0,msdos1" in disk, "virtio disk: GRUB runs from its partition, seen at the serial port", disk)
vga = boot("vga", "display", 1)
for shown in ("SeaBIOS (version", "Booting from Hard Disk...", "Welcome to GRUB!", "grub: from hd0", "shown on the display"):
    tap.result(shown in vga, f"display: the mirror shows \"{shown}\"", vga)
tap.finish()
