#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Line coverage of the code that guests face, by unit tests and fuzz corpora: coverage.py BUILD.

BUILD was made with COVERAGE=1. Runs every unit test and replays every corpus, then reads gcov's counts, and draws one
bar per file. Exit status 1: less than the minimum in all, or a test failed."""
import collections
import glob
import json
import os
import subprocess
import sys

MINIMUM = 80
FACING = "boot config cpu devices emulate exit hypercall intr io mem mmu".split()
BAR = 20


def run(build, top):
    """Start from zero and execute everything; the number of programs that failed."""
    for old in glob.glob(f"{build}/**/*.gcda", recursive=True):
        os.unlink(old)
    programs = [[p] for p in sorted(glob.glob(f"{build}/unit/test_*")) if os.access(p, os.X_OK)]
    for replay in sorted(glob.glob(f"{build}/replay/*")):
        corpus = glob.glob(f"{top}/tests/fuzz/corpus/{os.path.basename(replay)}/*")
        if os.path.isfile(replay) and corpus:
            programs.append([replay] + corpus)
    failed = 0
    for n, argv in enumerate(programs, 1):
        if sys.stderr.isatty():
            print(f"\r{n} of {len(programs)}: {os.path.basename(argv[0]):<30}", end="", file=sys.stderr)
        env = dict(os.environ, V3_BUILD=build)
        if subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=top, env=env).returncode:
            failed += 1
            print(f"failed: {argv[0]}", file=sys.stderr)
    return failed


def lines(build, top):
    """{source file: {line: executed}}, over all objects compiled from it."""
    seen = collections.defaultdict(dict)
    objects = glob.glob(f"{build}/unit/obj/palacios/**/*.gcno", recursive=True)
    out = subprocess.run(["gcov", "--json-format", "--stdout"] + objects, check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    for report in out.splitlines():
        for file in json.loads(report)["files"]:
            name = os.path.relpath(os.path.join(top, file["file"]), top)
            for line in file["lines"]:
                number = line["line_number"]
                seen[name][number] = seen[name].get(number, False) or line["count"] > 0
    return seen


def bar(share):
    return "#" * round(share * BAR) + "." * (BAR - round(share * BAR))


def main():
    build = os.path.abspath(sys.argv[1])
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    failed = run(build, top)
    hit = total = 0
    for name, counts in sorted(lines(build, top).items()):
        if not any(name.startswith(f"palacios/src/{folder}/") for folder in FACING):
            continue
        file_hit = sum(counts.values())
        hit, total = hit + file_hit, total + len(counts)
        print(f"{name:<50} {bar(file_hit / len(counts))} {100 * file_hit / len(counts):5.1f} % of {len(counts)}")
    if not total:
        sys.exit("no coverage data: use make coverage")
    print(f"{'all':<50} {bar(hit / total)} {100 * hit / total:5.1f} % of {total} lines, at least {MINIMUM} wanted")
    sys.exit(1 if failed or 100 * hit < MINIMUM * total else 0)


if __name__ == "__main__":
    main()
