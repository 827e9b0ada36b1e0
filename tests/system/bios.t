#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""SeaBIOS and OVMF boot GRUB, and GRUB Debian's kernel: what the guest finds then, and what was seen on the way. TAP;
V3_BUILD names the build folder. Media and definitions: tests/system/bios/build.mk; all output stays in check/bios_*.log."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("V3_BUILD", os.path.join(TOP, "build"))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import tap  # noqa: E402

RUN = os.path.join(TOP, "tests", "run_guest.sh")
LIMIT = 900                             # seconds until a machine counts as hanging


def boot(name, title, smp):
    """Run one definition to its end. @return its output"""
    log = os.path.join(BUILD, "check", f"bios_{name}.log")
    tap.run([RUN, "--smp", str(smp), "--timeout", str(LIMIT),
             os.path.join(BUILD, "debian", "bios", f"{name}.toml")], log, LIMIT + 30)
    with open(log, encoding="utf-8", errors="replace") as f:
        out = f.read().replace("\r", "")
    tap.result("job booted by firmware" in out, f"{title}: the kernel is up", out)
    return out


def type_keys():
    """GRUB asks for a line on the display, which is typed on the keyboard; the guest's status says what it read."""
    p = subprocess.Popen([RUN, "--timeout", str(LIMIT), "--interactive", os.path.join(BUILD, "debian", "bios", "keys.toml")],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, typed = "", False
    while chunk := os.read(p.stdout.fileno(), 4096):
        out += chunk.decode("utf-8", "replace")
        if "grub: what shall it be?" in out and not typed:
            p.stdin.write(b"Keys: 1-2!\r")
            p.stdin.flush()
            typed = True
    status = p.wait()
    tap.result(status == 33, f"keyboard: GRUB reads what is typed (status {status})", out.replace("\x1b", "\n"))


disk = boot("disk", "virtio disk", 2)
tap.result(disk.count("Booting from Hard Disk...") == 2 and disk.count("reset: port 0xcf9") == 1,
           "virtio disk: GRUB resets the machine, and the firmware boots it once more", disk)
tap.result("grub: from hd0,msdos1" in disk, "virtio disk: GRUB runs from its partition, seen at the serial port", disk)
ide = boot("ide", "IDE disk", 1)
tap.result("grub: from hd0,msdos1" in ide, "IDE disk: GRUB runs from its partition", ide)
cd = boot("cd", "CD", 1)
for shown in ("SeaBIOS (version", "Booting from DVD/CD...", "Welcome to GRUB!", "grub: from hd96", "shown on the display"):
    tap.result(shown in cd, f"CD: the mirror of the display shows \"{shown}\"", cd)
type_keys()
uefi = boot("uefi", "UEFI, virtio disk", 2)
tap.result(uefi.count("BdsDxe: starting Boot") == 2 and uefi.count("reset: port 0xcf9") == 1,
           "UEFI, virtio disk: the kernel resets the machine, and the firmware boots it once more", uefi)
tap.result(uefi.count("grub: from hd0,msdos1") == 2, "UEFI, virtio disk: GRUB speaks through the firmware", uefi)
cd = boot("uefi-cd", "UEFI, CD", 1)
tap.result("grub: from cd0" in cd, "UEFI, CD: GRUB runs from it", cd)
tap.finish()
