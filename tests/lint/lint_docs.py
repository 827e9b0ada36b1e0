# SPDX-License-Identifier: BSD-3-Clause
"""Documents that repeat a list of the code must repeat it exactly."""
import re

STATS_H = "palacios/include/palacios/stats.h"
EXIT_PATH = "palacios/doc/exit-path.md"
DEVICES = "palacios/doc/devices.md"


def kinds(tree):
    text = tree.read(STATS_H)
    start = text.index("#define V3_EXIT_KINDS(X)")
    body = text[start:text.index("\n\n", start)]
    return re.findall(r'X\(\w+, "(\w+)"\)', body)


def check_exit_kinds(tree):
    if not tree.exists(EXIT_PATH):
        return [f"{EXIT_PATH} does not exist"]
    want = kinds(tree)
    rows, inside = [], False
    for line in tree.read(EXIT_PATH).splitlines():
        cells = [c.strip().strip("`") for c in line.strip().strip("|").split("|")] if "|" in line else []
        if cells and cells[0].lower() in ("kind", "exit kind"):
            inside = True
        elif not cells:
            inside = False
        elif inside and not re.fullmatch(r":?-+:?", cells[0]):
            rows.append(cells[0])
    if not rows:
        return [f"{EXIT_PATH}: no table whose first column is named \"kind\""]
    bad = [f"{EXIT_PATH}: no row for {k}" for k in want if k not in rows]
    bad += [f"{EXIT_PATH}: {k} is no exit kind" for k in rows if k not in want]
    if not bad and rows != want:
        bad.append(f"{EXIT_PATH}: rows are not in the order of {STATS_H}")
    return bad


def check_devices(tree):
    """devices.md says of every device class what state it is in."""
    classes = set()
    for path in tree.files(".c", under="palacios/src/devices"):
        for body in re.findall(r"^const struct v3_device_class \w+ = \{(.*?)^\};", tree.read(path), re.M | re.S):
            classes |= set(re.findall(r'\.name = "(\w+)"', body))
    rows = set(re.findall(r"^\| `(\w+)` \|", tree.read(DEVICES), re.M)) if tree.exists(DEVICES) else set()
    bad = [f"{DEVICES}: no row for {c}" for c in sorted(classes - rows)]
    bad += [f"{DEVICES}: {r} is no device class" for r in sorted(rows - classes)]
    return bad if classes else ["no device class found"]


# The C library's, known to everybody.
KNOWN = re.compile(r"\b(?:memcpy|memmove|memset|memcmp)\(")


def check_documented(tree):
    """Each prototype of a public header has a comment right above it, or above its group."""
    bad = []
    for path in tree.files(".h", under="palacios/include"):
        covered, depth = False, 0
        comment = False
        for i, line in enumerate(tree.read(path).splitlines(), 1):
            text = line.strip()
            if comment or text.startswith("/*"):
                comment = "*/" not in text
                covered = True
                continue
            if not text:
                covered = False
            # A declaration at the left margin that opens a parameter list and is no macro.
            if depth == 0 and re.match(r"(?!typedef|struct \w+ \{|#|static|extern|enum|return)[a-z].*\b\w+\(", line) \
                    and not covered and not KNOWN.search(line):
                bad.append(f"{path}:{i}: no comment above: {text[:80]}")
            depth += line.count("{") - line.count("}")
    return bad


TESTS = [
    ("the exit table of exit-path.md is that of stats.h", check_exit_kinds),
    ("devices.md has a row for each device class", check_devices),
    ("prototypes of public headers are documented", check_documented),
]
