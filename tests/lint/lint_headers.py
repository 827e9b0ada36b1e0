# SPDX-License-Identifier: BSD-3-Clause
"""Every public header compiles alone in each dialect a host may use, with both compilers."""
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from common import run

DIALECTS = [["-std=gnu99", "-fgnu89-inline"], ["-std=gnu11"], ["-std=gnu17"]]
COMPILERS = ["gcc", "clang"]
FLAGS = ["-ffreestanding", "-mgeneral-regs-only", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wshadow",
         "-Wvla", "-Wmissing-prototypes", "-Wundef", "-Wstrict-prototypes"]
# Kitten's headers define these as macros, and timer_t as a type.
TAKEN = "this_cpu current print noinline min max num_cpus timer_t"
PUBLIC = "palacios/include"


def compile_text(tree, argv, text, suffix=".c"):
    with tempfile.NamedTemporaryFile("w", suffix=suffix) as f:
        f.write(text)
        f.flush()
        return run(argv + [f"-I{tree.path(PUBLIC)}", f.name])


def headers(tree):
    return [os.path.relpath(h, PUBLIC) for h in tree.files(".h", under=PUBLIC)]


def each(tree, jobs):
    """Run (title, function) jobs in parallel; problems of those that fail."""
    with ThreadPoolExecutor(tree.jobs) as pool:
        results = list(pool.map(lambda j: (j[0], j[1]()), jobs))
    return [f"{title}: {out}" for title, (status, out) in results if status]


def check_alone(tree, cc):
    jobs = []
    for h in headers(tree):
        for d in DIALECTS:
            # Twice: the guard works. The function keeps -pedantic compilers from an empty unit.
            text = f'#include "{h}"\n#include "{h}"\n'
            jobs.append((f"{h} ({cc} {' '.join(d)})",
                         lambda d=d, text=text: compile_text(tree, [cc] + d + FLAGS, text)))
    return each(tree, jobs) if jobs else ["no public headers found"]


def check_names(tree):
    """Compile with the host's names poisoned, so any use of them is an error."""
    jobs = []
    for h in headers(tree):
        text = f'#pragma GCC poison {TAKEN}\n#include "{h}"\n'
        jobs.append((h, lambda text=text: compile_text(tree, ["gcc", "-std=gnu11"] + FLAGS, text)))
    return each(tree, jobs)


def check_abi_assembly(tree):
    jobs = []
    for h in headers(tree):
        if h.startswith("palacios/abi/"):
            text = f'#include "{h}"\n'
            argv = ["gcc", "-D__ASSEMBLY__", "-c", "-o", "/dev/null"]
            jobs.append((h, lambda text=text, argv=argv: compile_text(tree, argv, text, ".S")))
    return each(tree, jobs)


def check_guards(tree):
    """Guards are PALACIOS_<PATH>_H, so two headers never share one."""
    bad = []
    for h in headers(tree):
        name = re.sub(r"[^A-Z0-9]", "_", h[len("palacios/"):].upper())
        want = f"PALACIOS_{name}"
        if f"#ifndef {want}\n#define {want}\n" not in tree.read(os.path.join(PUBLIC, h)):
            bad.append(f"{h}: include guard is not {want}")
    return bad


def check_static_inline(tree):
    bad = []
    for h in headers(tree):
        for i, line in enumerate(tree.read(os.path.join(PUBLIC, h)).splitlines(), 1):
            if re.search(r"\binline\b", line) and not re.search(r"\bstatic inline\b|^\s*(\*|/\*|//)", line):
                bad.append(f"{h}:{i}: inline without static")
    return bad


TESTS = [(f"public headers compile alone with {cc}", lambda tree, cc=cc: check_alone(tree, cc))
         for cc in COMPILERS] + [
    ("public headers use no name that Kitten's headers take", check_names),
    ("abi headers assemble", check_abi_assembly),
    ("include guards of public headers follow their paths", check_guards),
    ("functions in public headers are static inline", check_static_inline),
]
