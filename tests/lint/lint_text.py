# SPDX-License-Identifier: BSD-3-Clause
"""What the text of the files must and must not contain, and what lies where."""
import os
import re
from common import run

TOP = {"Makefile", "Kconfig", "README.md", "LICENSE", "palacios", "vnet", "rtm_emul", "concord", "linux_module",
       "kitten_glue", "guest_tools", "tests"}
CODE = (".c", ".h", ".S", ".py", ".pl", ".pm", ".sh", ".t", ".mk", ".ld", ".toml")
# Verdict files of tools and data; comments are impossible or belong to the format.
NO_SPDX = (".json", ".bin", ".md", ".txt", ".hex", ".cfg", ".conf", ".tmpl", ".dict")
SPDX = "SPDX-License-Identifier: BSD-3-Clause"
LINES_MAX = 1000
FUNCTION_MAX = 100
# The two lists of what is in the library: the only places that ask for a feature by #ifdef.
COMPOSITION = {"palacios/src/arch/backends.c", "palacios/src/devices/list.c"}


def lines(tree, *suffixes):
    for path in tree.files(*suffixes):
        for i, line in enumerate(tree.read(path).splitlines(), 1):
            yield path, i, line


def tracked(tree):
    """Entries of the top level that belong to the project: git's list, or all that is there."""
    status, out = run(["git", "-C", tree.root, "ls-files"], env={**os.environ, "GIT_CEILING_DIRECTORIES":
                                                                 os.path.dirname(tree.root)})
    if status == 0 and out.strip():
        return {line.split("/")[0] for line in out.splitlines()}
    return {e for e in os.listdir(tree.root) if e not in ("build", "__pycache__")}


def check_top(tree):
    return [f"{name} does not belong to the top level" for name in sorted(tracked(tree))
            if name not in TOP and not name.startswith(".")]


def check_spdx(tree):
    bad = []
    for path in tree.files():
        name = os.path.basename(path)
        if name in ("LICENSE", "defconfig", ".gitignore") or path.endswith(NO_SPDX) or "/vectors/" in path:
            continue
        with open(tree.path(path), "rb") as f:
            head = f.read(400)
        if b"\0" in head:
            bad.append(f"{path}: binary file")
        elif SPDX not in "\n".join(head.decode("utf-8", "replace").splitlines()[:2]):
            bad.append(f"{path}: no SPDX line at the top")
    return bad


def check_paths(tree):
    """No paths of somebody's machine. /tmp is fine for a program that asks mktemp, not as a literal."""
    local = re.compile(r"(?<![\w.$}/])/(?:work|home|root|mnt|Users)/|(?<![\w.$}/])/tmp/(?=[\w.-])")
    return [f"{p}:{i}: local path: {line.strip()[:90]}" for p, i, line in lines(tree)
            if not p.startswith("tests/lint/") and "XXXXXX" not in line and local.search(line)]


def check_hosts(tree):
    url = re.compile(r"\b(?:https?|ftp|git|ssh)://[\w.-]+")
    mail = re.compile(r"\b[\w.+-]+@[\w-]+\.[a-z]{2,}\b")
    bad = []
    for p, i, line in lines(tree):
        if p.startswith("tests/lint/"):
            continue
        if url.search(line):
            bad.append(f"{p}:{i}: names a network host: {url.search(line).group(0)}")
        if mail.search(line):
            bad.append(f"{p}:{i}: names a mail address")
    return bad


def check_length(tree):
    bad = []
    for path in tree.files(".c", ".h", ".S"):
        n = tree.read(path).count("\n")
        if n > LINES_MAX:
            bad.append(f"{path}: {n} lines, limit {LINES_MAX}")
    return bad


def check_functions(tree):
    """Lines from the brace at the margin to its end; a function that is one flat switch or table may be longer."""
    bad = []
    for path in tree.files(".c", under="palacios/src"):
        start = name = None
        previous = ""
        for i, line in enumerate(tree.read(path).splitlines(), 1):
            if line == "{":
                start, name, cases = i, previous.strip(), 0
            elif start and re.match(r"\s*(?:case\b.*:|default:|break;|return\b)", line):
                cases += 1
            elif line.startswith("}") and start:
                n = i - start - 1
                if n > FUNCTION_MAX and cases < n / 2:
                    bad.append(f"{path}:{start}: {n} lines, limit {FUNCTION_MAX}: {name[:70]}")
                start = None
            if line.strip():
                previous = line
    return bad


def check_leftovers(tree):
    word = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|^\s*#\s*if\s+0\b|@author\b|\bAuthor:", re.I)
    case = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|^\s*#\s*if\s+0\b|@author\b|\bAuthor:")
    return [f"{p}:{i}: {line.strip()[:90]}" for p, i, line in lines(tree, *CODE)
            if not p.startswith("tests/lint/") and word.search(line) and case.search(line)]


def check_c_file_head(tree):
    """Sources of the library say in an @file comment what they are."""
    return [f"{p}: no @file comment" for p in tree.files(".c", ".h", under="palacios")
            if "@file" not in "\n".join(tree.read(p).splitlines()[:6])]


def check_cpp_conditionals(tree):
    """Features are files, not #ifdefs: conditionals in .c files of the library are counted."""
    bad = []
    for path in tree.files(".c", under="palacios/src"):
        for i, line in enumerate(tree.read(path).splitlines(), 1):
            if path not in COMPOSITION and re.match(r"\s*#\s*(if|ifdef|ifndef)\b", line):
                bad.append(f"{path}:{i}: {line.strip()}: conditionals belong to headers")
    return bad


TESTS = [
    ("the top level holds only its fixed names", check_top),
    ("every file carries the SPDX line", check_spdx),
    ("no local paths", check_paths),
    ("no network hosts, no mail addresses", check_hosts),
    (f"no file above {LINES_MAX} lines", check_length),
    (f"no function of the library above {FUNCTION_MAX} lines", check_functions),
    ("no leftovers: to-do marks, disabled code, author tags", check_leftovers),
    ("library files have an @file comment", check_c_file_head),
    ("no conditional compilation in the library's .c files", check_cpp_conditionals),
]
