#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Software that nobody changed for us, booted by firmware: boot loaders, 32-bit kernels, a hypervisor, a network boot
loader, a memory test. TAP; V3_BUILD names the build folder. Media and definitions: tests/system/bios/build.mk; all
output stays in check/software_*.log."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("V3_BUILD", os.path.join(TOP, "build"))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import tap  # noqa: E402

RUN = os.path.join(TOP, "tests", "run_guest.sh")
LIMIT = "600"                           # seconds until a machine counts as hanging
END = "\x01x"                           # the machine is switched off (run_guest.sh --interactive)
OFF = "palacios-host: exit 0"           # the guest has switched itself off
CONTROLS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[a-zA-Z]|[\r\0]|\x1b\[?[0-9;?]*$")  # the last may be cut off


def play(name, title, steps, guest=None):
    """Run a definition: wait for each step's text, then type its keys. @return what was shown"""
    p = subprocess.Popen([RUN, "--timeout", LIMIT, "--interactive", os.path.join(BUILD, "debian", "bios", f"{guest or name}.toml")],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    raw, shown, at, done = b"", "", 0, 0
    while chunk := os.read(p.stdout.fileno(), 4096):
        raw += chunk
        shown = CONTROLS.sub(b"", raw).decode("utf-8", "replace")
        while done < len(steps) and (found := re.compile(steps[done][0]).search(shown, at)):
            at = found.end()
            p.stdin.write(steps[done][1].encode())
            p.stdin.flush()
            done += 1
    p.wait()
    os.makedirs(os.path.join(BUILD, "check"), exist_ok=True)
    with open(os.path.join(BUILD, "check", f"software_{name}.log"), "wb") as f:
        f.write(raw)
    missing = steps[done][0] if done < len(steps) else ""
    tap.result(not missing, f"{title}{missing and ': never seen: '}{missing}", shown)
    return shown


def play32(name, title, steps, guest=None):
    """The same with a 32-bit kernel, if there is one."""
    if os.path.exists(os.path.join(BUILD, "debian", "686.cpio")):
        play(name, title, steps, guest)
    else:
        tap.skip(title, "the packages of the 32-bit guest are not to be had")


play("isolinux", "ISOLINUX, chosen from its menu: Linux on the display", [
    ("What shall it be.*Press .Tab. to edit", "\x1b[B\r"), ("shown on the display", ""), (OFF, "")])
play32("syslinux", "SYSLINUX from an IDE disk: a 32-bit kernel", [
    ("boot:", "linux\r"), (r"guest: user space after .* Linux \S+-686\n", ""), (OFF, "")])
play32("pae", "GRUB's linux16: a 32-bit kernel with PAE", [
    ("Use the", "p"), (r"guest: user space after .* Linux \S+-686-pae\n", ""), (OFF, "")], "menu")
play32("chain", "GRUB's chainloader, then SYSLINUX: a 32-bit kernel", [
    ("Use the", "d"), ("boot:", "linux\r"), (r"guest: user space after .* Linux \S+-686\n", ""), (OFF, "")], "menu")
memtest = play("memtest", "memtest86+ from its CD tests memory", [(r"Memtest86\+", ""), (r"Test #2", END)])
errors = set(re.findall(r"Errors: *(\d+)", memtest))
tap.result(errors == {"0"}, f"memtest86+ finds no errors ({sorted(errors)})", memtest)
play("xen", "GRUB's multiboot2: Xen, and on it Linux", [
    ("Use the", "x"), (r"Platform timer is .*HPET", ""), (r"about to get started", ""), (r"installing Xen timer for CPU 0", END)], "menu")
play("ipxe", "iPXE: what one card sends arrives at the other", [
    ("Press Ctrl-B", "\x02"), ("iPXE>", "ifopen net1\r"), ("iPXE>", "dhcp net0\r"), (r"Configuring \(net0 02:00:00:00:00:01\)\.", "\x03"),
    ("iPXE>", "ifstat net1\r"), (r"net1: 02:00:00:00:00:02 using virtio-net.*\n.*RX:[1-9]", END)])
tap.finish()
