# SPDX-License-Identifier: BSD-3-Clause
"""Tables of saved state (palacios/save.h) name every member of their structure, once and in its
order, and every device class has one."""
import re

MACRO = re.compile(r"\bV3_SAVE(?:_(?:NOT|TIMER|AT|N|PARTS|PARTS_AT|PARTS_N))?\(\s*struct (\w+),\s*(\w+)")
UNDER = "palacios/src"


def code(tree, path):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", tree.read(path), flags=re.S)


def members(body):
    """Names of a structure's members, in order."""
    flat = body
    while True:     # a structure within: its own members are none of ours
        inner = re.sub(r"\{[^{}]*\}", "", flat)
        if inner == flat:
            break
        flat = inner
    names = []
    for decl in flat.split(";"):
        if not decl.strip():
            continue
        function = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", decl)
        if function:
            names.append(function.group(1))
            continue
        decl = re.sub(r"\[[^\]]*\]|:\s*\d+", "", decl)
        names += [re.search(r"(\w+)\s*$", part).group(1) for part in decl.split(",")]
    return names


def structures(tree):
    """(folder or file, name) is not unique in C; the definition nearest to a table's file wins."""
    found = {}
    for path in tree.files(".c", ".h", under=UNDER):
        for m in re.finditer(r"^struct (\w+) \{\n(.*?)^\};?", code(tree, path), re.M | re.S):
            found.setdefault(m.group(1), []).append((path, members(m.group(2))))
    return found


def nearest(path, places):
    def common(other):
        n = 0
        while n < min(len(path), len(other)) and path[n] == other[n]:
            n += 1
        return n
    return max(places, key=lambda place: (place[0] == path, common(place[0])))[1]


def check_tables(tree):
    problems, known, tables = [], structures(tree), 0
    for path in tree.files(".c", under=UNDER):
        named = {}
        for struct, member in MACRO.findall(code(tree, path)):
            named.setdefault(struct, []).append(member)
        for struct, names in named.items():
            tables += 1
            if struct not in known:
                problems.append(f"{path}: no definition of struct {struct} found")
                continue
            want = nearest(path, known[struct])
            for name in want:
                if name not in names:
                    problems.append(f"{path}: struct {struct}: {name} is neither V3_SAVE nor V3_SAVE_NOT")
            if sorted(names) == sorted(want) and names != want:
                problems.append(f"{path}: struct {struct}: fields are in another order than members")
            problems += [f"{path}: struct {struct}: {name} is named twice"
                         for name in sorted({n for n in names if names.count(n) > 1})]
    if not tables:
        problems.append("no table found")
    return problems


def check_classes(tree):
    problems, classes = [], 0
    for path in tree.files(".c", under=UNDER + "/devices"):
        for m in re.finditer(r"^const struct v3_device_class (\w+) = \{(.*?)^\};", code(tree, path), re.M | re.S):
            classes += 1
            if ".save" not in m.group(2):
                problems.append(f"{path}: {m.group(1)} has no .save table")
    if not classes:
        problems.append("no device class found")
    return problems


TESTS = [
    ("every member of a saved structure is in its table", check_tables),
    ("every device class says what of it is state", check_classes),
]
