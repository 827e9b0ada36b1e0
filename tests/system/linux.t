#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Debian's unmodified kernel as HOST in an emulated SVM machine: palacios.ko, the v3 command, guests.

tests/system/linux/steps runs in the host and prints one line "step: ok|FAILED what" per check; the lines come
out here as TAP. The machine is that of linux/machine.py; all its output stays in check/linux.log of the build folder.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "linux"))
sys.dont_write_bytecode = True
import machine  # noqa: E402

LIMIT = 170                             # seconds for the machine
HELLO = """[vm]
name = "{name}"
memory = "16M"
vcpus = 1

[boot]
type = "multiboot"
kernel = "{kernel}.elf"
"""

count = failures = 0


def result(ok, title, notes=""):
    global count, failures
    count += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {title}", flush=True)
    if not ok:
        for line in notes.splitlines()[-80:]:
            print(f"# {line}", file=sys.stderr)


def make_guests(work):
    """What the steps run: definitions with their kernels, and images."""
    files = []
    for name in ("hello", "status"):
        elf, toml = os.path.join(work, f"{name}.elf"), os.path.join(work, f"{name}.toml")
        shutil.copy(os.path.join(machine.BUILD, "guests", f"{name}.elf"), elf)
        with open(toml, "w", encoding="utf-8") as f:
            f.write(HELLO.format(name=name, kernel=name))
        files += [elf, toml]
    files.append(machine.pack(os.path.join(work, "hello.toml"), os.path.join(work, "hello.v3i")))
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


def boot(initramfs, log, user):
    """(status, output); the output goes to file @p log while the machine runs, the second line to socket @p user."""
    with open(log, "wb") as f:
        p = subprocess.run(["timeout", "--foreground", "-k", "5", str(LIMIT), *machine.command(initramfs),
                            "-serial", "stdio", "-serial", f"unix:{user}"],
                           stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT, check=False)
    with open(log, encoding="utf-8", errors="replace") as f:
        return p.returncode, f.read().replace("\r", "")


def main():
    start = time.monotonic()
    os.makedirs(os.path.join(machine.BUILD, "check"), exist_ok=True)
    heard = []
    with tempfile.TemporaryDirectory() as work, socket.socket(socket.AF_UNIX) as user:
        user.bind(os.path.join(work, "user"))
        user.listen()
        threading.Thread(target=talk, args=(user, heard), daemon=True).start()
        status, out = boot(machine.make_initramfs(work, make_guests(work)),
                           os.path.join(machine.BUILD, "check", "linux.log"), os.path.join(work, "user"))
    before = 0
    for m in re.finditer(r"^step: (ok|FAILED) (.*)$", out, re.M):
        result(m.group(1) == "ok", m.group(2), out[before:m.end()])
        before = m.end()
    if failures:
        print("# the second serial line:\n# " + "".join(heard).replace("\n", "\n# "), file=sys.stderr)
    end = re.search(r"^step: end, (\d+) steps$", out, re.M)
    result(end and int(end.group(1)) == count, "all steps ran", out[before:])
    result(status == 0, f"the host switches itself off (QEMU's status {status})", out[before:])
    result(time.monotonic() - start < LIMIT, f"within {LIMIT} s ({time.monotonic() - start:.0f} s)")
    print(f"1..{count}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
