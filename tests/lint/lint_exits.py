# SPDX-License-Identifier: BSD-3-Clause
"""The table of exit kinds in exit-path.md names the codes that the back ends decode to each kind, no more, no less.

The code: an array of designated initialisers [NAME] or [NAME... NAME + n] = EXIT_KIND(KIND...), and assignments of
V3_EXIT_KIND where a kind also depends on what the exit tells beside its code. The document: a column for each vendor
with the codes as numbers (SVM: 0x60, 0x40..0x5f, -1; VMX: 7, 19..27) and words between them.
"""
import re

EXIT_PATH = "palacios/doc/exit-path.md"

# (heading of the column, where codes become kinds, where the names have numbers, prefix of the names, a code)
VENDORS = [
    ("SVM exit codes", "palacios/src/arch/svm/exit.c", "palacios/src/arch/svm/vmcb.h", "SVM_EXIT_",
     re.compile(r"(?<![\w.])(0x[0-9a-f]+|-1)(?:\.\.(0x[0-9a-f]+))?(?!\w)")),
    ("VMX exit reasons", "palacios/src/arch/vmx/exit.c", "palacios/src/arch/vmx/vmcs.h", "VMX_EXIT_",
     re.compile(r"(?:(?<=^)|(?<=[,;] ))(\d+)(?:\.\.(\d+))?(?= )")),
]
# Names that look like codes but count or mask something.
NO_CODES = re.compile(r"_(?:COUNT|CTL_\w+)$")


def names(tree, header, prefix):
    """Name -> number."""
    out = {}
    for m in re.finditer(rf"^#define ({prefix}\w+)\s+(0x[0-9a-f]+|\d+)\b", tree.read(header), re.M):
        if not NO_CODES.search(m.group(1)):
            out[m.group(1)] = int(m.group(2), 0)
    return out


def number(text, known):
    """Value of "NAME" or "NAME + n"."""
    name, _, plus = text.partition("+")
    return known[name.strip()] + int(plus or 0)


def decoded(text, known):
    """What the code says: kind -> set of codes by the array, and kinds that are also assigned elsewhere."""
    kinds, assigned = {}, set()
    for m in re.finditer(r"\[([\w+ ]+?)(?:\s*\.\.\.\s*([\w+ ]+?))?\]\s*=\s*EXIT_KIND\((\w+)", text):
        first = number(m.group(1), known)
        last = number(m.group(2), known) if m.group(2) else first
        kinds.setdefault(m.group(3).lower(), set()).update(range(first, last + 1))
    for m in re.finditer(r"(?:(?<![=!])=|\breturn|[?:]) V3_EXIT_([A-Z_]+)\b", text):
        assigned.add(m.group(1).lower())
    return kinds, assigned


def documented(tree, heading, code):
    """Kind -> set of codes in the column."""
    rows, column = {}, None
    for line in tree.read(EXIT_PATH).splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if "kind" in cells and heading in cells:
            column = cells.index(heading)
        elif not cells:
            column = None
        elif column is not None and re.fullmatch(r"`\w+`", cells[0]):
            codes = set()
            for m in code.finditer(cells[column]):
                first = int(m.group(1), 0)
                codes.update(range(first, int(m.group(2) or m.group(1), 0) + 1))
            rows[cells[0].strip("`")] = codes
    return rows


def show(code, heading):
    return f"{code:#x}" if heading.startswith("SVM") and code >= 0 else str(code)


def check_vendor(tree, heading, source, header, prefix, code):
    known = names(tree, header, prefix)
    kinds, assigned = decoded(tree.read(source), known)
    rows = documented(tree, heading, code)
    if not kinds or not rows:
        return [f"{source if not kinds else EXIT_PATH}: no table of exits found ({heading})"]
    everything = set(known.values()).union({-1}, *kinds.values())
    bad = []
    for kind in sorted(set(kinds) | set(rows)):
        have, want = rows.get(kind, set()), kinds.get(kind, set())
        bad += [f"{EXIT_PATH}: `{kind}`: {show(c, heading)} is missing ({heading})" for c in sorted(want - have)]
        extra = have - want
        # "unknown" lists what the array leaves out; a kind that is assigned may name any code there is.
        allowed = everything if kind in assigned | {"unknown"} else set()
        bad += [f"{EXIT_PATH}: `{kind}`: {show(c, heading)} is not decoded to it ({heading})"
                for c in sorted(extra - allowed)]
        if kind in assigned - set(kinds) - {"unknown"} and not extra:
            bad.append(f"{EXIT_PATH}: `{kind}`: which codes? ({heading})")
    named = set().union(*rows.values())
    bad += [f"{EXIT_PATH}: {name} ({show(c, heading)}) is in no row" for name, c in known.items() if c not in named]
    both = set().union(*kinds.values()) & rows.get("unknown", set())
    return bad + [f"{EXIT_PATH}: `unknown`: {show(c, heading)} is known ({heading})" for c in sorted(both)]


def check_svm(tree):
    return check_vendor(tree, *VENDORS[0])


def check_vmx(tree):
    return check_vendor(tree, *VENDORS[1])


TESTS = [
    ("exit-path.md lists the exit codes of SVM as the code decodes them", check_svm),
    ("exit-path.md lists the exit reasons of VMX as the code decodes them", check_vmx),
]
