# SPDX-License-Identifier: BSD-3-Clause
"""Kconfig symbols and the source list agree with the tree."""
import os
import re

# Sources that are not linked: constants for assembly are extracted from it.
NOT_LINKED = {"palacios/src/arch/asm_offsets.c"}
SYMBOL = re.compile(r"\bCONFIG_(V3_\w+)")


def defined(tree):
    out = {}
    for path in tree.files("Kconfig"):
        for m in re.finditer(r"^\s*(?:menu)?config (\w+)", tree.read(path), re.M):
            out.setdefault(m.group(1), path)
    return out


def used(tree):
    out = {}
    files = tree.files(".c", ".h", ".S", ".mk") + ["Makefile"]
    for path in files:
        if path.startswith("tests/lint/") or not tree.exists(path):
            continue
        text = tree.read(path)
        if path.endswith("objects.mk") or path.endswith(".mk"):
            text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
        for m in SYMBOL.finditer(text):
            out.setdefault(m.group(1), path)
    for path in tree.files("Kconfig"):
        for m in re.finditer(r"\b(?:depends on|select|if|visible if|imply)\b(.*)", tree.read(path)):
            for name in re.findall(r"\bV3_\w+", m.group(1)):
                out.setdefault(name, path)
    return out


def check_symbols(tree):
    have, want = defined(tree), used(tree)
    bad = [f"{have[n]}: {n} is defined but used nowhere" for n in sorted(set(have) - set(want))]
    bad += [f"{want[n]}: CONFIG_{n} is not defined in any Kconfig" for n in sorted(set(want) - set(have))]
    bad += [f"{have[n]}: {n} does not begin with V3_" for n in sorted(have) if not n.startswith("V3_")]
    return bad if have else ["no symbols found"]


def check_defconfig(tree):
    have = defined(tree)
    names = re.findall(r"CONFIG_(\w+)", tree.read("palacios/defconfig"))
    return [f"palacios/defconfig: {n} is not defined" for n in names if n not in have]


def check_objects(tree):
    """objects.mk: the agreed form only, sorted, each file exists, each source listed."""
    bad, paths = [], []
    for i, line in enumerate(tree.read("palacios/objects.mk").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        m = re.match(r"^v3-(?:y|\$\(CONFIG_V3_\w+\))\s*\+= (src/\S+)\.o$", line)
        if not m:
            bad.append(f"palacios/objects.mk:{i}: not of the agreed form: {line}")
            continue
        paths.append(m.group(1))
        if not any(tree.exists(f"palacios/{m.group(1)}{s}") for s in (".c", ".S")):
            bad.append(f"palacios/objects.mk:{i}: no such source: {m.group(1)}")
    bad += [f"palacios/objects.mk: {p} is out of order" for q, p in zip(paths, paths[1:]) if p <= q]
    sources = {os.path.splitext(p)[0][len("palacios/"):] for p in tree.files(".c", ".S", under="palacios/src")
               if p not in NOT_LINKED}
    bad += [f"palacios/{p}: not in objects.mk" for p in sorted(sources - set(paths))]
    return bad if paths else bad + ["objects.mk is empty"]


TESTS = [
    ("Kconfig symbols used are those defined", check_symbols),
    ("the committed configuration names defined symbols", check_defconfig),
    ("objects.mk lists every source once, in order", check_objects),
]
