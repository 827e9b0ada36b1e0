#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Debian's unmodified kernel as HOST in an emulated SVM machine: palacios.ko, the v3 command, guests.

tests/system/linux/steps runs in the host and prints one line "step: ok|FAILED what" per check; the lines come
out here as TAP. The machine is that of linux/machine.py; all its output stays in check/linux.log of the build folder.
"""
import os
import shutil
import socket
import sys
import tempfile
import threading

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
    for name in ("hello", "status", "spin", *HOSTILE):
        elf, toml = os.path.join(work, f"{name}.elf"), os.path.join(work, f"{name}.toml")
        shutil.copy(os.path.join(machine.BUILD, "guests", f"{name}.elf"), elf)
        with open(toml, "w", encoding="utf-8") as f:
            f.write(tap.HELLO.format(name=name.replace("_", "-"), kernel=name, more="",
                                     memory="64M" if name in HOSTILE else "16M"))
        files += [elf, toml]
    files += [machine.pack(os.path.join(work, f"{name}.toml"), os.path.join(work, f"{name}.v3i"))
              for name in ("hello", "spin")]
    return files + [machine.pack(os.path.join(machine.DEBIAN, f"{name}.toml"), os.path.join(work, f"debian-{name}.v3i"))
                    for name in ("poweroff", "guest", "selftest-smp")]


# The user at the second serial line: what is waited for, what is typed then.
DIALOGUE = (("a shell;", "\x1d"), ("d detach", "p"), ("v3: paused", "\x1d"), ("d detach", "p"),
            ("v3: it runs", "echo answer-$((9 * 9))\r"), ("answer-81", "\x1d"), ("d detach", "d"))


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
        command = machine.command(machine.make_initramfs(work, make_guests(work)))
        if tap.run([*command, "-serial", "stdio", "-serial", f"unix:{name}"],
                   os.path.join(machine.BUILD, "check", "linux.log"), LIMIT):
            print("# the second serial line:\n# " + "".join(heard).replace("\n", "\n# "), file=sys.stderr)
    tap.finish()


if __name__ == "__main__":
    main()
