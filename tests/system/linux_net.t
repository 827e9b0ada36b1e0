#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Networks of guests in a Debian host: TCP between a guest and the host by a TAP interface, and between two guests by a
switch of the VMM; who may use which.

tests/system/linux/net_steps runs in the host (linux/machine.py); all its output stays in check/linux_net.log of the
build folder.
"""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import machine  # noqa: E402
import tap  # noqa: E402

LIMIT = 300                             # seconds for the machine


def main():
    with tempfile.TemporaryDirectory() as work:
        guests = [machine.pack(os.path.join(machine.DEBIAN, f"{name}.toml"), os.path.join(work, f"debian-{name}.v3i"))
                  for name in ("tap", "serve", "fetch")]
        guests += [os.path.join(HERE, "linux", "net_steps"), os.path.join(HERE, "debian", "netlib"),
                   os.path.join(machine.DEBIAN, "modules", "tun.ko")]
        tap.run([*machine.command(machine.make_initramfs(work, guests), " job=net_steps"), "-serial", "stdio"],
                os.path.join(machine.BUILD, "check", "linux_net.log"), LIMIT)
    tap.finish()


if __name__ == "__main__":
    main()
