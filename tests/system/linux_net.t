#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Networks of guests in a Debian host: TCP between a guest and the host by a TAP interface, and between two guests by a
switch of the VMM; who may use which.

tests/system/linux/net_steps runs in the host (linux/machine.py); all its output stays in check/linux_net.log of the
build folder.
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


def make_busy(work):
    shutil.copy(os.path.join(machine.BUILD, "guests", "compute.elf"), work)
    definition = os.path.join(work, "busy.toml")
    with open(definition, "w", encoding="utf-8") as f:
        f.write(tap.HELLO.format(name="busy", kernel="compute", memory="16M", more="") + tap.FOREVER
                + '[[device]]\nclass = "uplink"\ninterface = "tap0"\n')
    return machine.pack(definition, os.path.join(work, "busy.v3i"))


def main():
    with tempfile.TemporaryDirectory() as work:
        guests = [machine.pack(os.path.join(machine.DEBIAN, f"{name}.toml"), os.path.join(work, f"debian-{name}.v3i"))
                  for name in ("tap", "serve", "fetch")]
        guests += [os.path.join(HERE, "linux", "net_steps"), os.path.join(HERE, "debian", "netlib"),
                   os.path.join(machine.DEBIAN, "modules", "tun.ko"), make_busy(work)]
        tap.run([*machine.command(machine.make_initramfs(work, guests), " job=net_steps"), "-serial", "stdio"],
                os.path.join(machine.BUILD, "check", "linux_net.log"), LIMIT)
    tap.finish()


if __name__ == "__main__":
    main()
