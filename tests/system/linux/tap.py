# SPDX-License-Identifier: BSD-3-Clause
"""What tests/system/linux*.t share: a machine runs to its end, its lines "step: ok|FAILED what" become TAP."""
import os
import re
import subprocess
import sys
import time

HELLO = """[vm]
name = "{name}"
memory = "{memory}"
vcpus = 1
{more}
[boot]
type = "multiboot"
kernel = "{kernel}.elf"
"""

FOREVER = 'cmdline = "forever"\n'      # behind HELLO with kernel compute: it never ends

count = failures = 0


def result(ok, title, notes=""):
    global count, failures
    count += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {title}", flush=True)
    if not ok:
        for line in notes.splitlines()[-80:]:
            print(f"# {line}", file=sys.stderr)


def skip(title, why):
    global count
    count += 1
    print(f"ok {count} - {title} # SKIP {why}", flush=True)


def steps(out):
    """One result for each step in the output of a machine, one more for all of them. @return the output behind them"""
    before = found = 0
    for m in re.finditer(r"^step: (ok|FAILED) (.*)$", out, re.M):
        result(m.group(1) == "ok", m.group(2), out[before:m.end()])
        before = m.end()
        found += 1
    end = re.search(r"^step: end, (\d+) steps$", out, re.M)
    result(end and int(end.group(1)) == found, "all steps ran", out[before:])
    return out[before:]


def run(command, log, limit):
    """Run a machine, at most @p limit seconds, its output to file @p log; one result for each of its steps.
    @return number of failed steps"""
    start = time.monotonic()
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "wb") as f:
        status = subprocess.run(["timeout", "--foreground", "-k", "5", str(limit), *command],
                                stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT, check=False).returncode
    with open(log, encoding="utf-8", errors="replace") as f:
        out = f.read().replace("\r", "")
    rest = steps(out)
    failed = failures
    result(status == 0, f"the host switches itself off (QEMU's status {status})", rest)
    taken = time.monotonic() - start
    result(taken < limit, f"within {limit} s ({taken:.0f} s)")
    return failed


def finish():
    print(f"1..{count}")
    sys.exit(1 if failures else 0)
