#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Hosts that the module refuses, with a sentence and without a trace: a CPU without SVM, and one where another
hypervisor has taken SVM. tests/system/linux/refuse_steps runs in both; their output stays in check/linux_refuse*.log.
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

LIMIT = 90                              # seconds for each machine


def main():
    with tempfile.TemporaryDirectory() as work:
        files = [os.path.join(machine.DEBIAN, "modules", "msr.ko"), os.path.join(HERE, "linux", "refuse_steps")]
        for name in ("hello", "compute"):
            shutil.copy(os.path.join(machine.BUILD, "guests", f"{name}.elf"), work)
            definition = os.path.join(work, f"{name}.toml")
            with open(definition, "w", encoding="utf-8") as f:
                f.write(tap.HELLO.format(name=name, kernel=name, memory="16M", more="")
                        + (tap.FOREVER if name == "compute" else ""))
            files.append(machine.pack(definition, os.path.join(work, f"{name}.v3i")))
        initramfs = machine.make_initramfs(work, files)
        for name, cpu in (("without", "max,la57=off,svm=off"), ("held", "max,la57=off")):
            command = machine.command(initramfs, f" job=refuse_steps how={name} msr.allow_writes=on")
            command[command.index("-cpu") + 1] = cpu
            tap.run(command + ["-serial", "stdio"], os.path.join(machine.BUILD, "check", f"linux_refuse_{name}.log"), LIMIT)
    tap.finish()


if __name__ == "__main__":
    main()
