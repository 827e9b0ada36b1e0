#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The module on the other vendor's CPU: Debian as host in Bochs, on a model with VMX.

tests/system/linux/vmx_steps runs in the host; its serial line stays in check/linux_vmx.log of the build folder. Bochs
knows no way for Linux to switch it off: it is ended when the host has halted.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import machine  # noqa: E402
import tap  # noqa: E402

LIMIT = 200                             # seconds for the machine
MODEL, MEMORY = "corei7_haswell_4770", "768"
CMDLINE = ("console=ttyS0,115200 acpi=off nokaslr mitigations=off tsc=reliable no_timer_check lpj=1000000 panic=-1 "
           "cryptomgr.notests quiet job=vmx_steps")


def make_guests(work):
    for name, kernel, memory in (("hello", "hello", "16M"), ("hostile-msr", "hostile_msr", "64M")):
        shutil.copy(os.path.join(machine.BUILD, "guests", f"{kernel}.elf"), work)
        definition = os.path.join(work, f"{name}.toml")
        with open(definition, "w", encoding="utf-8") as f:
            f.write(tap.HELLO.format(name=name, kernel=kernel, memory=memory, more=""))
        yield machine.pack(definition, os.path.join(work, f"{name}.v3i"))


def boot(work, serial):
    """Run the machine until the host has halted. @return whether it has"""
    initramfs = machine.make_initramfs(work, make_guests(work))
    subprocess.run(["perl", os.path.join(HERE, "bochs_image.pl"), os.path.join(machine.BUILD, "baremetal", "bochs_rom.bin"),
                    os.path.join(machine.DEBIAN, "vmlinuz"), initramfs, MEMORY, CMDLINE, work], check=True)
    with open(os.path.join(work, "bochsrc"), "w", encoding="utf-8") as f:
        subprocess.run([os.path.join(HERE, "bochsrc.sh"), work, MODEL, "1", "50000000", MEMORY,
                        f"com1: enabled=1, mode=file, dev={serial}"], stdout=f, check=True)
    with open(os.path.join(work, "debugger"), "w", encoding="utf-8") as f:
        f.write("c\n")
    with open(os.path.join(work, "bochs.out"), "wb") as out:
        bochs = subprocess.Popen(["bochs", "-q", "-f", os.path.join(work, "bochsrc"), "-rc",
                                  os.path.join(work, "debugger")],
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    end = time.monotonic() + LIMIT
    halted = False
    while not halted and time.monotonic() < end and bochs.poll() is None:
        time.sleep(0.5)
        halted = os.path.exists(serial) and b"System halted" in open(serial, "rb").read()
    bochs.kill()
    bochs.wait()
    return halted


def main():
    log = os.path.join(machine.BUILD, "check", "linux_vmx.log")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        serial = os.path.join(work, "com1")
        halted = boot(work, serial)
        with open(serial, encoding="utf-8", errors="replace") as f:
            output = f.read().replace("\r", "")
    with open(log, "w", encoding="utf-8") as f:
        f.write(output)
    rest = tap.steps(output)
    tap.result(halted, f"the host has halted within {LIMIT} s", rest)
    tap.finish()


if __name__ == "__main__":
    main()
