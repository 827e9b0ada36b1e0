# SPDX-License-Identifier: BSD-3-Clause
"""Direction of #include: section 4 of the architecture document.

util <- host <- {exit cpu mem mmu io intr time emulate hypercall} <- vm; arch may use all core headers,
the core of arch only arch/ops.h; devices, boot, config and extensions see the public headers and
their own folder; hosts see the public headers and their own; guest tools see abi/ and their own.
"""
import os
import re

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
FREESTANDING = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h"}
PUBLIC = "palacios/include/palacios/"
CORE = {"exit", "cpu", "mem", "mmu", "io", "intr", "time", "emulate", "hypercall"}
OUTSIDERS = {"devices", "boot", "config", "extensions", "checkpoint", "telemetry"}
# The parser is shared by library and tool, so the tool may see its headers.
PARSER_USERS = ("guest_tools/image/",)
# What the builder passes between the outsiders: the typed definition, the image's sections, the boot loaders.
INTERFACES = {"palacios/src/config/vm_cfg.h", "palacios/src/config/container.h", "palacios/src/boot/boot.h"}
INTERFACE_USERS = {"vm", "boot", "config"}
# Only these may ask which host they are compiled for.
HOST_AWARE = {PUBLIC + "types.h": {"linux/types.h", "linux/stddef.h"},
              PUBLIC + "util/str.h": {"linux/string.h"}}


def unit_of(path):
    """Folder below palacios/src that a file belongs to; "" for the files right in it."""
    parts = path.split("/")
    return parts[2] if len(parts) > 3 else ""


def resolve(tree, path, name):
    """Where an include leads: a relative path, "generated", or None."""
    if name.startswith("generated/"):
        return "generated"
    extra = ("tests/unit", "tests/fake_host", "tests/guests/lib", "palacios/include/palacios/abi") \
        if path.startswith("tests/") else ()
    for base in (os.path.dirname(path), "palacios/include", "palacios/src", *extra):
        target = os.path.normpath(os.path.join(base, name))
        if tree.exists(target):
            return target
    return None


def may_core(unit, target):
    """May palacios/src/<unit> include palacios/src/... target?"""
    to = unit_of(target)
    if to == unit:
        return True
    if unit == "util":
        return False
    if unit == "host":
        return to == "util" or target in ("palacios/src/state.h", "palacios/src/arch/ops.h")
    if unit == "":                      # state.h: the structures all of the core shares
        return to in CORE | {"util", "host", "arch", ""} and (to != "arch" or target.endswith("/arch/ops.h"))
    if unit in CORE:
        return to in CORE | {"util", "host", ""} or target == "palacios/src/arch/ops.h"
    if unit == "vm":
        return to in CORE | {"util", "host", ""} or target == "palacios/src/arch/ops.h"
    if unit == "arch":
        return to in CORE | {"util", "host", "vm", ""}
    return False


def may_public(unit, path, target):
    if target.startswith(PUBLIC + "abi/"):
        return True
    if path.startswith(PUBLIC + "abi/"):
        return False
    if path.startswith(PUBLIC + "util/") or unit == "util":
        return target.startswith(PUBLIC + "util/") or os.path.basename(target) in ("types.h", "error.h")
    return True


def judge(tree, path, quote, name):
    """None, or what is wrong with this include."""
    in_lib = path.startswith("palacios/")
    target = resolve(tree, path, name)
    if target is None or quote == "<":
        if quote == '"':
            return "no such file"
        if path in HOST_AWARE and name in HOST_AWARE[path]:
            return None
        if in_lib or path.startswith("tests/baremetal_host/"):
            return None if name in FREESTANDING else "not a freestanding header"
        return None
    if target == "generated":
        return None if path.startswith(("palacios/src/", "tests/unit/", "tests/fake_host/")) else \
            "generated headers belong to the core"
    own = os.path.dirname(path)
    if path.startswith(PUBLIC):
        if not target.startswith(PUBLIC):
            return "a public header may include public headers only"
        return None if may_public("", path, target) else "wrong direction"
    if path.startswith("palacios/src/"):
        unit = unit_of(path)
        if target.startswith(PUBLIC):
            return None if may_public(unit, path, target) else "wrong direction"
        if not target.startswith("palacios/src/"):
            return "the library includes nothing outside palacios/"
        if target in INTERFACES and unit in INTERFACE_USERS:
            return None
        if unit in OUTSIDERS:
            return None if unit_of(target) == unit else f"{unit}/ sees public headers and its own only"
        if unit == "arch":
            mine, theirs = path.split("/")[3], target.split("/")[-2]
            if {mine, theirs} == {"svm", "vmx"}:
                return "one vendor's back end must not see the other's"
        return None if may_core(unit, target) else "wrong direction"
    if path.startswith(("tests/baremetal_host/", "linux_module/", "kitten_glue/")):
        glue = path.split("/")[0] + ("/baremetal_host" if path.startswith("tests/") else "")
        if target.startswith((PUBLIC, glue + "/")):
            return None
        return "a host sees public headers and its own only"
    if path.startswith("guest_tools/") or path.startswith("tests/guests/"):
        if target.startswith(PUBLIC + "abi/") or target.startswith("/".join(own.split("/")[:2]) + "/"):
            return None
        if path.startswith(PARSER_USERS) and \
                (target.startswith((PUBLIC, "palacios/src/config/")) or target in INTERFACES):
            return None
        return "guest tools see palacios/abi/ and their own only"
    return None


def check_direction(tree):
    problems = []
    for path in tree.files(".c", ".h", ".S"):
        text = tree.read(path)
        for m in INCLUDE.finditer(text):
            why = judge(tree, path, m.group(1), m.group(2))
            if why:
                line = text.count("\n", 0, m.start()) + 1
                problems.append(f"{path}:{line}: includes {m.group(2)}: {why}")
    if not tree.files(".h", under="palacios/include"):
        problems.append("no public headers found")
    return problems


def check_glue_unseen(tree):
    """Nothing outside a glue folder includes it, by whatever path."""
    problems = []
    for path in tree.files(".c", ".h", ".S", under="palacios"):
        for m in INCLUDE.finditer(tree.read(path)):
            if re.search(r"linux_module|kitten_glue|baremetal_host|fake_host|\.\./tests", m.group(2)):
                problems.append(f"{path}: includes {m.group(2)}")
    return problems


def check_host_ops_caller(tree):
    """Only palacios/src/host/ may name the host's functions."""
    problems = []
    for path in tree.files(".c", ".h", under="palacios/src"):
        if unit_of(path) != "host" and re.search(r"\bstruct v3_host_ops\b", tree.read(path)):
            problems.append(f"{path}: names struct v3_host_ops; call palacios/src/host/ instead")
    return problems


def check_vendor_words(tree):
    """Vendor names stay below arch/: no VMCB or VMCS elsewhere in the core."""
    problems = []
    for path in tree.files(".c", ".h", under="palacios/src"):
        if unit_of(path) == "arch":
            continue
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", tree.read(path), flags=re.S)
        for m in re.finditer(r"\b\w*(?:vmcb|vmcs)\w*\b", code, re.I):
            problems.append(f"{path}: vendor word {m.group(0)} outside arch/")
    return problems


TESTS = [
    ("includes follow the directions of the architecture", check_direction),
    ("nothing in the library includes a host", check_glue_unseen),
    ("only host/ knows struct v3_host_ops", check_host_ops_caller),
    ("vendor structures stay below arch/", check_vendor_words),
]
