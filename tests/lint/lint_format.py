# SPDX-License-Identifier: BSD-3-Clause
"""C files are formatted by the committed .clang-format."""
import os
import re
import shutil
from common import run

CLANG_FORMAT = os.environ.get("CLANG_FORMAT", "clang-format-14")


def check_format(tree):
    if not shutil.which(CLANG_FORMAT):
        return [f"{CLANG_FORMAT} is not installed: make setup"]
    files = tree.files(".c", ".h")
    if not files:
        return ["no C files found"]
    status, out = run([CLANG_FORMAT, f"--style=file:{tree.path('.clang-format')}", "--dry-run", "-Werror"] +
                      [tree.path(f) for f in files])
    if not status:
        return []
    count = {}
    for m in re.finditer(r"^(.*?):\d+:\d+: error", out, re.M):
        f = os.path.relpath(m.group(1), tree.root)
        count[f] = count.get(f, 0) + 1
    return [f"{f}: {n} places; run {CLANG_FORMAT} -i on it" for f, n in sorted(count.items())] or [out]


def check_whitespace(tree):
    bad = []
    for path in tree.files(".c", ".h", ".S", ".py", ".sh", ".t", ".pm", ".mk", ".md", ".toml", "Makefile", "Kconfig"):
        text = tree.read(path)
        for i, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                bad.append(f"{path}:{i}: white space at the end of the line")
        if text and not text.endswith("\n"):
            bad.append(f"{path}: no newline at the end")
    return bad


TESTS = [
    ("C files are as clang-format writes them", check_format),
    ("no white space at line ends", check_whitespace),
]
