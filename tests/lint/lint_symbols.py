# SPDX-License-Identifier: BSD-3-Clause
"""Symbols and sections of the library as a kernel links it (build/palacios/palacios.o)."""
import os
import re
from common import run

ALLOWED_UNDEFINED = {"memcpy", "memset", "memmove", "memcmp"}
# The copy of the host's functions, written once by v3_init(), is the one mutable object.
MUTABLE_IN = "host/host.c"
BAD_SECTIONS = re.compile(r"^\.(init_array|fini_array|preinit_array|ctors|dtors|tdata|tbss|got|plt|init|fini)\b")


def linked(tree):
    path = os.path.join(tree.build or "", "palacios", "palacios.o")
    return path if os.path.exists(path) else None


def symbols(path):
    """[(name, type letter)] of an object."""
    status, out = run(["nm", "-P", path])
    if status:
        raise RuntimeError(out)
    return [(f[0], f[1]) for f in (line.split() for line in out.splitlines()) if len(f) >= 2]


def need(tree, fn):
    path = linked(tree)
    return fn(path) if path else ["build/palacios/palacios.o does not exist"]


def check_undefined(tree):
    return need(tree, lambda p: [f"undefined: {n}" for n, t in symbols(p)
                                 if t == "U" and n not in ALLOWED_UNDEFINED])


def check_exports(tree):
    def fn(path):
        names = [(n, t) for n, t in symbols(path) if t.isupper() and t != "U"]
        bad = [f"exported without v3_: {n}" for n, t in names if not n.startswith("v3_")]
        bad += [f"COMMON symbol: {n}" for n, t in names if t == "C"]
        bad += [f"weak symbol: {n}" for n, t in symbols(path) if t in "wWvV"]
        return bad or ([] if names else ["nothing is exported at all"])
    return need(tree, fn)


def check_sections(tree):
    def fn(path):
        out = run(["readelf", "-SW", path])[1]
        names = re.findall(r"^\s*\[ *\d+\] (\S+)", out, re.M)
        bad = [f"section {n}" for n in names if BAD_SECTIONS.match(n)]
        out = run(["readelf", "-rW", path])[1]
        bad += sorted({f"relocation {m}" for m in re.findall(r"R_X86_64_\w*(?:GOT|TLS|TPOFF)\w*", out)})
        return bad
    return need(tree, fn)


def check_mutable(tree):
    """No writable data: state hangs off VM, vcpu or device."""
    def fn(_):
        bad, seen = [], 0
        top = os.path.join(tree.build, "palacios")
        for folder, _dirs, names in os.walk(top):
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not name.endswith(".o") or path == linked(tree):
                    continue
                source = os.path.relpath(path, top)[:-2]
                if not (tree.exists(f"palacios/{source}.c") or tree.exists(f"palacios/{source}.S")):
                    continue                    # left over from a file that is gone
                seen += 1
                data = [n for n, t in symbols(path) if t in "bBdDsSgG"]
                if f"{source}.c".endswith("src/" + MUTABLE_IN) and len(data) == 1:
                    continue
                bad += [f"palacios/{source}: writable object {n}" for n in data]
        return bad if seen else ["no objects found"]
    return need(tree, fn)


TESTS = [
    ("the linked library needs only memcpy memmove memset memcmp", check_undefined),
    ("the linked library exports only v3_*, no COMMON, no weak", check_exports),
    ("no constructors, TLS, GOT or PLT", check_sections),
    ("no writable data except the host's functions", check_mutable),
]
