# SPDX-License-Identifier: BSD-3-Clause
"""Stack use: frames, recursion and the deepest call path, from what gcc writes beside each object.

x.ci (-fcallgraph-info=su) gives each function's frame, return address included, and its direct calls.
x.gimple (-fdump-tree-optimized) shows the type of the pointer of each indirect call. An indirect call is
taken to reach every function of exactly that type whose address the library takes (relocations that
are not calls), except that a pointer read from a member does not reach functions that the sources
only ever assign to members of other names (.create and .destroy of a device class, say) or hand to
the host. That is an approximation from above: it joins tables that share a type. Calls from
palacios/src/host/ and through the host's functions leave the library and count nothing here. Assembly has no frame information:
ASM_FRAME bytes are assumed for each function of it.

Cycles that the approximation alone makes up are listed in NOT_RECURSIVE with the reason.
"""
import os
import re
from common import run

FRAME_MAX = 512
DEPTH_MAX = 4096
ASM_FRAME = 256
LIBC = {"memcpy", "memmove", "memset", "memcmp"}
LEAVES = "(host)"
RUN_LOOP = "vm/run.c"
# Tables of functions that are only ever written with designated initialisers.
DESIGNATED = ("v3_arch_ops", "v3_device_class")
# (caller, callee): why this call does not close a cycle.
NOT_RECURSIVE = {
    ("v3_lapic_error", "v3_lapic_post"): "post reports vectors below 16 only, error posts vectors from 16 on only",
}

NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "([^"]*)"', re.M)
EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.M)
FRAME = re.compile(r"\\n(\d+) bytes \(([^)]*)\)")
FUNCTION = re.compile(r"^;; Function \S+ \(([^\s,]+),.*?\n\n(.*?)\n\{\n(.*?)^\}", re.S | re.M)
QUALIFIERS = re.compile(r"\b(?:const|volatile|restrict|struct|union|enum)\b")


class Graph:
    """Call graph of all objects. Functions are named "file.c:name" if static, else "name"."""

    def __init__(self):
        self.frame = {}
        self.kind = {}
        self.file = {}
        self.calls = {}
        self.indirect = {}      # function -> pointer types it calls
        self.type = {}          # function -> its type
        self.unresolved = []
        self.stems = {}

    def functions_of(self, stem):
        return self.stems.get(stem, 0)


def find_objects(tree):
    top = os.path.join(tree.build or "", "palacios")
    for folder, _dirs, names in os.walk(top):
        for name in sorted(names):
            if name.endswith(".ci"):
                stem = os.path.join(folder, name[:-3])
                source = "palacios/" + os.path.relpath(stem, top) + ".c"
                if tree.exists(source):
                    yield stem, source


def typedefs(tree):
    """Names of scalar and function pointer types in the headers: name -> definition."""
    scalars, pointers = {}, {}
    for path in tree.files(".h", ".c", under="palacios"):
        text = re.sub(r"/\*.*?\*/", "", tree.read(path), flags=re.S)
        for m in re.finditer(r"\btypedef\s+([^;(]+?)\s*(\w+)\s*;", text):
            scalars[m.group(2)] = m.group(1)
        for m in re.finditer(r"\btypedef\s+([^;()]+?)\(\s*\*\s*(\w+)\s*\)\s*\(([^;]*)\)\s*;", text):
            pointers[m.group(2)] = (m.group(1), m.group(3))
    return scalars, pointers


BASE = {"uint8_t": "unsigned char", "uint16_t": "short unsigned int", "uint32_t": "unsigned int",
        "uint64_t": "long unsigned int", "int8_t": "signed char", "int16_t": "short int", "int32_t": "int",
        "int64_t": "long int", "size_t": "long unsigned int", "bool": "_Bool", "unsigned": "unsigned int",
        "unsigned long": "long unsigned int", "unsigned short": "short unsigned int"}


class Types:
    def __init__(self, tree):
        self.scalars, self.pointers = typedefs(tree)

    def plain(self, text, named=False):
        """A parameter's or result's type without qualifiers, typedef names and parameter name."""
        text = QUALIFIERS.sub(" ", text)
        text = re.sub(r"\s*\*\s*", "*", " ".join(text.split()))
        text = re.sub(r"\[[^]]*\]", "*", text)
        m = re.match(r"^([\w ]+?)(\**)((?:\b[A-Za-z_]\w*)?)(\**)$", text)
        if not m:
            return text
        words, stars = m.group(1).strip() + " " + (m.group(3) if not m.group(2) else ""), m.group(2) + m.group(4)
        words = words.split()
        if named and not m.group(2) and len(words) > 1:
            words = words[:-1]
        base = " ".join(words)
        for _ in range(4):
            base = self.scalars.get(base, base) if base not in BASE else BASE[base]
        base = QUALIFIERS.sub(" ", base)
        return " ".join(base.split()) + stars

    def params(self, text, named=False):
        """Split at top-level commas."""
        out, depth, item = [], 0, ""
        for ch in text:
            if ch == "," and depth == 0:
                out.append(item)
                item = ""
                continue
            depth += (ch == "(") - (ch == ")")
            item += ch
        if item.strip():
            out.append(item)
        out = [self.one(p, named) for p in out]
        return [] if out == ["void"] else out

    def one(self, text, named):
        if "(*" in text:
            return "fnptr"
        words = QUALIFIERS.sub(" ", text).split()
        if any(w in self.pointers for w in words):
            return "fnptr"
        return self.plain(text, named)

    def signature(self, result, params, named=False):
        return f"{self.plain(result)}({','.join(self.params(params, named))})"

    def of_declaration(self, text):
        """(variable, signature) of a declaration of a function pointer, else None."""
        m = re.match(r"^(.*?)\(\*\s*(?:const )?(?:<\w+>)?\s*(\w*)\) \((.*)\)\s*(\w*)$", text)
        if m:
            return (m.group(4) or m.group(2)), self.signature(m.group(1), m.group(3))
        m = re.match(r"^(?:const )?(\w+) (?:const )?(\w+)$", text)
        if m and m.group(1) in self.pointers:
            result, params = self.pointers[m.group(1)]
            return m.group(2), self.signature(result, params, True)
        return None


def member_of(body, head, var):
    """Where a pointer comes from: a member's name, "!name" if only initialisers that name it can have filled it,
    LEAVES for a member of the host's functions, None if it is not read from a member."""
    m = re.search(rf"^\s*{re.escape(var)} = (?:\{{v\}} )?([^;]+);", body, re.M)
    if not m:
        return None
    source = m.group(1)
    if source.startswith("v3_lib.ops."):
        return LEAVES
    m = re.search(r"(?:->|\.)(\w+)$", source)
    if not m:
        return None
    member = m.group(1)
    holder = re.match(r"(\w+?)(?:\(D\))?(?:->|\.)\w+$", source)
    if holder:
        for name in {holder.group(1), re.sub(r"_\d+$", "", holder.group(1))}:
            if re.search(rf"struct v3_host_\w*ops\s*\*?\s*{re.escape(name)}\b", body + head):
                return LEAVES
            if re.search(rf"struct (?:{'|'.join(DESIGNATED)})\s*\*?\s*{re.escape(name)}\b", body + head):
                return "!" + member
    return member


def called_with(text, at):
    """Name of the function in whose argument list position @at stands, or None."""
    depth = 0
    for i in range(at - 1, max(0, at - 400), -1):
        if text[i] == ")":
            depth += 1
        elif text[i] == "(":
            depth -= 1
            if depth < 0:
                m = re.search(r"(\w+)\s*$", text[:i])
                return m.group(1) if m else None
        elif text[i] in ";{}":
            break
    return None


def uses_of(tree):
    """Function -> how the sources use its address: the names of members that initialisers put it in, LEAVES if
    it is handed to the host (which then calls it on a stack of its own), None for any other use."""
    out = {}
    for path in tree.files(".c", under="palacios/src"):
        text = re.sub(r"/\*.*?\*/", "", tree.read(path), flags=re.S)
        for m in re.finditer(r"((?:\.|->)(\w+)\s*=\s*&?)?\b([a-z]\w+)\b(?!\s*\()", text):
            before = text[max(0, m.start(3) - 60):m.start(3)].rstrip()
            if m.group(2):
                use = m.group(2)
            elif before.endswith(("(", ",", "=", "{", "?", ":", "&", "return")):
                callee = called_with(text, m.start(3)) or ""
                use = LEAVES if callee.startswith("v3_host_") else None
            else:
                continue
            out.setdefault(m.group(3), set()).add(use)
    return out


def read_gimple(graph, types, stem, title):
    """Types of the functions of one file and of the pointers they call."""
    path = stem + ".gimple"
    if not graph.functions_of(stem):
        return
    if not os.path.exists(path):
        graph.unresolved.append(f"{path} is missing: rebuild")
        return
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    for m in FUNCTION.finditer(text):
        asm, head, body = m.groups()
        name = title(asm)
        head = " ".join(head.strip().splitlines()[-1].split())
        head = re.sub(r"__attribute__\(\(.*?\)\)+\s*", "", head)
        hm = re.match(r"^(.*?)\b([\w.]+) \((.*)\)$", head)
        if not hm:
            graph.unresolved.append(f"{name}: cannot read {head!r}")
            continue
        graph.type[name] = types.signature(hm.group(1), hm.group(3), True)
        pointers = {}
        depth, item, items = 0, "", []
        for ch in hm.group(3) + ",":
            if ch == "," and depth == 0:
                items.append(item.strip())
                item = ""
                continue
            depth += (ch == "(") - (ch == ")")
            item += ch
        items += [line.strip().rstrip(";") for line in body.splitlines() if line.endswith(";")]
        for item in items:
            found = types.of_declaration(item)
            if found:
                pointers[found[0]] = found[1]
        for c in re.finditer(r"^\s*(?:[^=;\n]*? = )?([A-Za-z_]\w*?)(?:\(D\))? \((?!\*)[^=]*?\);(?: \[[^]]*\])*\s*$", body, re.M):
            var = c.group(1)
            base = re.sub(r"_\d+$", "", var)
            got = pointers.get(var) or (pointers.get(base) if base != var else None)
            if got:
                graph.indirect.setdefault(name, set()).add((got, member_of(body, head, var)))


def address_taken(tree):
    """Functions whose address is used other than by a call, from the linked object's relocations."""
    path = os.path.join(tree.build, "palacios", "palacios.o")
    out = run(["nm", path])[1]
    by_addr, names = {}, set()
    for line in out.splitlines():
        f = line.split()
        if len(f) == 3 and f[1] in "tT":
            by_addr.setdefault(int(f[0], 16), []).append(f[2])
            names.add(f[2])
    taken = set()
    section = ""
    for line in run(["readelf", "-rW", path])[1].splitlines():
        m = re.match(r"Relocation section '\.rela(\S+)'", line)
        if m:
            section = m.group(1)
        f = line.split()
        if section.startswith(".debug") or section == ".eh_frame" or len(f) < 5 or "R_X86_64" not in f[2]:
            continue
        if f[2] == "R_X86_64_PLT32" or (f[2] == "R_X86_64_PC32" and section.startswith(".text")):
            continue
        if f[4] in names:
            taken.add(f[4])
        elif f[4].startswith(".text") and len(f) >= 7:
            taken.update(by_addr.get(int(f[6], 16), []))
    return taken


def load(tree):
    """Read everything; None and a problem if there is nothing to read."""
    graph, types = Graph(), Types(tree)
    local = {}
    for stem, source in find_objects(tree):
        with open(stem + ".ci", encoding="utf-8", errors="replace") as f:
            text = f.read()
        mine = set()
        for m in NODE.finditer(text):
            name, label = m.groups()
            fm = FRAME.search(label)
            if not fm:
                continue
            graph.frame[name] = int(fm.group(1))
            graph.kind[name] = fm.group(2)
            graph.file[name] = source
            mine.add(name)
        for m in EDGE.finditer(text):
            graph.calls.setdefault(m.group(1), set()).add(m.group(2))
        graph.stems[stem] = len(mine)
        short = {n.rsplit(":", 1)[-1]: n for n in mine}
        local.update({n: short[n] for n in short})
        read_gimple(graph, types, stem, lambda asm, short=short: short.get(asm, asm))
    return graph


def add_indirect(tree, graph):
    """Turn indirect calls into edges."""
    taken = address_taken(tree)
    uses = uses_of(tree)
    by_type = {}
    for name, sig in graph.type.items():
        if name.rsplit(":", 1)[-1] in taken:
            by_type.setdefault(sig, set()).add(name)
    for name in [n for n, c in graph.calls.items() if "__indirect_call" in c]:
        graph.calls[name].discard("__indirect_call")
        if graph.file.get(name, "").startswith("palacios/src/host/"):
            continue
        sigs = graph.indirect.get(name)
        if not sigs:
            graph.unresolved.append(f"{name}: an indirect call whose type cannot be found")
            continue
        for sig, member in sigs:
            if member == LEAVES:
                continue
            for target in by_type.get(sig, ()):
                ways = uses.get(target.rsplit(":", 1)[-1], {None})
                if member and member[0] == "!" and member[1:] not in ways:
                    continue
                if None not in ways and (not ways - {LEAVES} or member and member.lstrip("!") not in ways):
                    continue
                graph.calls[name].add(target)
    for caller, targets in graph.calls.items():
        for target in list(targets):
            if (caller.rsplit(":", 1)[-1], target.rsplit(":", 1)[-1]) in NOT_RECURSIVE:
                targets.discard(target)


def deepest(graph):
    """Depth in bytes and the next function on the deepest path for each function; cycles found."""
    depth, following, cycles, state = {}, {}, [], {}

    def frame(name):
        if name in graph.frame:
            return graph.frame[name]
        return 0 if name in LIBC else ASM_FRAME

    for root in sorted(graph.frame):
        if root in depth:
            continue
        stack = [(root, iter(sorted(graph.calls.get(root, ()))))]
        state[root] = 1
        while stack:
            name, rest = stack[-1]
            for callee in rest:
                if state.get(callee) == 1:
                    path = [n for n, _ in stack]
                    cycles.append(path[path.index(callee):] + [callee])
                elif callee not in depth:
                    state[callee] = 1
                    stack.append((callee, iter(sorted(graph.calls.get(callee, ())))))
                    break
            else:
                below = [(depth.get(c, 0), c) for c in graph.calls.get(name, ())]
                best = max(below, default=(0, None))
                depth[name] = frame(name) + best[0]
                following[name] = best[1]
                state[name] = 2
                stack.pop()
    return depth, following, cycles


def path_text(graph, following, name):
    out = []
    while name and len(out) < 60:
        out.append(f"{name.rsplit(':', 1)[-1]}({graph.frame.get(name, '?')})")
        name = following.get(name)
    return " > ".join(out)


def analysed(tree):
    graph = load(tree)
    if not graph.frame:
        return None
    add_indirect(tree, graph)
    return graph, *deepest(graph)


def check_frames(tree):
    graph = load(tree)
    bad = []
    for name, size in sorted(graph.frame.items()):
        if size > FRAME_MAX:
            bad.append(f"{graph.file[name]}: {name}: frame of {size} bytes, limit {FRAME_MAX}")
        if "dynamic" in graph.kind[name] and "bounded" not in graph.kind[name]:
            bad.append(f"{graph.file[name]}: {name}: frame of unknown size")
    return bad if graph.frame else ["no call graph files found"]


def check_recursion(tree):
    got = analysed(tree)
    if not got:
        return ["no call graph files found"]
    return ["recursion: " + " > ".join(n.rsplit(":", 1)[-1] for n in c) for c in got[3]] + got[0].unresolved


def check_depth(tree):
    got = analysed(tree)
    if not got:
        return ["no call graph files found"]
    graph, depth, following, _ = got
    roots = [n for n in graph.frame if graph.file[n].endswith(RUN_LOOP)]
    if not roots:
        return [f"no function of {RUN_LOOP} found"]
    worst = max(roots, key=lambda n: depth[n])
    text = f"{depth[worst]} bytes: {path_text(graph, following, worst)}"
    print(f"# deepest below the run loop: {text}")
    return [f"limit {DEPTH_MAX}: {text}"] if depth[worst] > DEPTH_MAX else []


TESTS = [
    (f"no frame above {FRAME_MAX} bytes or of unknown size", check_frames),
    ("no recursion", check_recursion),
    (f"call depth below the run loop is at most {DEPTH_MAX} bytes", check_depth),
]
