#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The v3 command in a Debian host: VMs that stay, their names and owners, what can be learnt of them, two terminals.

tests/system/linux/v3_steps runs in the host (linux/machine.py); all its output stays in check/linux_v3.log of the
build folder.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import machine  # noqa: E402
import tap  # noqa: E402

LIMIT = 290                             # seconds for the machine
MENU = "\x1d"
# The user at the second serial line: what is waited for, what is typed then.
DIALOGUE = (
    # v3 console of a VM that stays
    ("a shell;", MENU), ("v3: d detach", "p"), ("v3: paused", MENU), ("v3: d detach", "p"),
    ("v3: it runs", "echo answer-$((9 * 9))\r"), ("answer-81", MENU), ("v3: d detach", "d"),
    # v3 run
    ("opens the menu", MENU), ("v3: s power", "d"), ("ends with v3 run", MENU), ("v3: s power", "q"))


def talk(user, heard):
    """Play the DIALOGUE on a socket; all that comes goes to the list @p heard."""
    try:
        with user.accept()[0] as line:
            text = ""
            for wanted, typed in DIALOGUE:
                while wanted not in text:
                    got = line.recv(4096).decode("utf-8", "replace")
                    if not got:
                        return
                    heard.append(got)
                    text += got
                text = text[text.index(wanted) + len(wanted):]
                line.sendall(typed.encode())
            while got := line.recv(4096):
                heard.append(got.decode("utf-8", "replace"))
    except OSError as err:
        heard.append(f"[{err}]")


def main():
    heard = []
    with tempfile.TemporaryDirectory() as work, socket.socket(socket.AF_UNIX) as user:
        name = os.path.join(work, "user")
        user.bind(name)
        user.listen()
        threading.Thread(target=talk, args=(user, heard), daemon=True).start()
        definition = os.path.join(work, "hello.toml")
        shutil.copy(os.path.join(machine.BUILD, "guests", "hello.elf"), work)
        with open(definition, "w", encoding="utf-8") as f:
            f.write(tap.HELLO.format(name="hello", kernel="hello", memory="16M", more=""))
        shutil.copy(os.path.join(machine.BUILD, "guests", "vga.elf"), work)
        drawn = os.path.join(work, "vga.toml")
        with open(drawn, "w", encoding="utf-8") as f:
            f.write(tap.HELLO.format(name="drawn", kernel="vga", memory="64M", more='[[device]]\nclass = "vga"\n'))
        disk = os.path.join(work, "disk.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "base.raw", "-F", "raw", disk, "16M"],
                       check=True)
        guests = [machine.pack(definition, os.path.join(work, "hello.v3i")), os.path.join(HERE, "linux", "v3_steps"),
                  machine.pack(os.path.join(machine.DEBIAN, "guest.toml"), os.path.join(work, "debian-guest.v3i")),
                  machine.pack(os.path.join(machine.DEBIAN, "files.toml"), os.path.join(work, "debian-files.v3i")),
                  machine.pack(drawn, os.path.join(work, "vga.v3i")),
                  machine.pack(os.path.join(machine.DEBIAN, "balloon.toml"), os.path.join(work, "debian-balloon.v3i")),
                  disk]
        command = machine.command(machine.make_initramfs(work, guests), " job=v3_steps")
        if tap.run([*command, "-serial", "stdio", "-serial", f"unix:{name}"],
                   os.path.join(machine.BUILD, "check", "linux_v3.log"), LIMIT):
            print("# the second serial line:\n# " + "".join(heard).replace("\n", "\n# "), file=sys.stderr)
    tap.finish()


if __name__ == "__main__":
    main()
