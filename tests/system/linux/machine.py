#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The machine of tests/system/linux.t: Debian's kernel as host, an initramfs with the module, the v3 command and
guests, and nothing else. As a program: machine.py [GUEST.toml] boots it, loads the module and runs that guest on
this terminal. V3_BUILD names the build folder.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BUILD = os.path.abspath(os.environ.get("V3_BUILD", os.path.join(TOP, "build")))
DEBIAN = os.path.join(BUILD, "debian")
# tsc_early_khz: on a busy machine the calibration against the PIT goes wrong.
CMDLINE = ("console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check random.trust_cpu=on "
           "cryptomgr.notests")


def tsc_khz():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        found = re.search(r"^cpu MHz\s*:\s*([\d.]+)", f.read(), re.M)
    return int(float(found.group(1)) * 1000) if found else 0


def pack(definition, image):
    subprocess.run([os.path.join(BUILD, "bin", "v3-mkimage"), "-q", "-o", image, definition], check=True)
    return image


def make_initramfs(work, guests):
    """The files of @p guests and what every host needs, in its /bin. @return the archive, in folder @p work"""
    out = os.path.join(work, "host.cpio")
    files = [os.path.join(BUILD, "bin", "v3"),
             *(os.path.join(BUILD, "linux", f) for f in ("palacios.ko", "fuzz", "abi", "screen", "ticker", "tapdev")),
             *(os.path.join(HERE, f) for f in ("init", "steplib", "steps", "host_steps", "bench_steps", "vmx_steps")), *guests]
    subprocess.run([os.path.join(TOP, "tests", "system", "debian", "mkinitramfs.sh"), os.path.join(DEBIAN, "busybox"),
                    out, *files], check=True)
    return out


def command(initramfs, words="", hardware=("-m", "2048", "-smp", "2")):
    """QEMU with this host, but without serial lines; @p words for its command line, each after a space."""
    khz = tsc_khz()
    return ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-M", "pc", "-cpu", "max,la57=off", *hardware,
            "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot",
            "-kernel", os.path.join(DEBIAN, "vmlinuz"), "-initrd", initramfs,
            "-append", CMDLINE + (f" tsc_early_khz={khz}" if khz else "") + words]


def main():
    definition = sys.argv[1] if len(sys.argv) > 1 else os.path.join(DEBIAN, "guest.toml")
    with tempfile.TemporaryDirectory() as work:
        initramfs = make_initramfs(work, [pack(definition, os.path.join(work, "guest.v3i"))])
        terminal = ["-chardev", "stdio,id=console,mux=on,signal=off", "-mon", "chardev=console", "-serial",
                    "chardev:console"]
        return subprocess.run(command(initramfs, " job=run") + terminal, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
