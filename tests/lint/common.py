# SPDX-License-Identifier: BSD-3-Clause
"""What the lints share: the tree under test, walking it, and TAP output.

A lint is a module lint_<name>.py with

    TESTS = [(title, function), ...]

Each function takes a Tree and returns the list of problems it found, as text; an empty list passes.
all.t runs every lint on the repository; selftest.t runs each on samples that must fail.
"""
import os
import subprocess
import sys

SKIP_DIRS = {".git", "build", "__pycache__", "node_modules"}


class Tree:
    """A source tree and its build folder (None: sources only)."""

    def __init__(self, root, build=None, jobs=None):
        self.root = os.path.abspath(root)
        self.build = os.path.abspath(build) if build else None
        self.jobs = jobs or os.cpu_count() or 1

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def files(self, *suffixes, under=""):
        """Relative paths of files below a folder, sorted; all of them if no suffix is given."""
        found = []
        for folder, dirs, names in os.walk(self.path(under)):
            rel = os.path.relpath(folder, self.root)
            dirs[:] = sorted(d for d in dirs if d not in SKIP_DIRS and
                             os.path.join(folder, d) != self.build)
            for name in sorted(names):
                if not suffixes or name.endswith(suffixes):
                    found.append(os.path.normpath(os.path.join(rel, name)))
        return found

    def read(self, rel):
        with open(self.path(rel), encoding="utf-8", errors="replace") as f:
            return f.read()

    def exists(self, rel):
        return os.path.exists(self.path(rel))


def run(argv, **kw):
    """Run a command: (status, stdout and stderr together)."""
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", check=False, **kw)
    return p.returncode, p.stdout


class Tap:
    """Prints results as they come, the plan at the end."""

    def __init__(self):
        self.n = 0
        self.failed = 0

    def result(self, ok, title, notes=()):
        self.n += 1
        self.failed += not ok
        print(f"{'ok' if ok else 'not ok'} {self.n} - {title}", flush=True)
        # Reasons go to stderr: prove shows that without -v.
        for note in list(notes)[:40]:
            for line in str(note).splitlines()[:20]:
                print(f"# {line}", file=sys.stderr, flush=True)

    def done(self):
        print(f"1..{self.n}", flush=True)
        return 1 if self.failed else 0
