#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every lint must be able to fail: each test gets a sample tree that it has to refuse with the right words,
and the same tree without the flaw, which it has to accept."""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import common
import lint_config
import lint_docs
import lint_exits
import lint_format
import lint_headers
import lint_layers
import lint_save
import lint_stack
import lint_symbols
import lint_text

HEAD = "/* SPDX-License-Identifier: BSD-3-Clause */\n/**\n * @file\n */\n"
GUARD = "#ifndef PALACIOS_X_H\n#define PALACIOS_X_H\n%s\n#endif\n"
X_H = "palacios/include/palacios/x.h"
CFLAGS = ["-std=gnu11", "-ffreestanding", "-mgeneral-regs-only", "-mno-red-zone", "-mcmodel=kernel", "-fno-pic",
          "-fno-stack-protector", "-O2", "-g", "-fcf-protection=none"]

RUN_C = """int v3_a(int x);
int v3_a(int x) { %s }
"""


def build(tree):
    """Compile a sample's library sources as the Makefile does."""
    objs = []
    for src in tree.files(".c", under="palacios/src"):
        obj = os.path.join(tree.build, src[:-2] + ".o")
        os.makedirs(os.path.dirname(obj), exist_ok=True)
        status, out = common.run(["gcc"] + CFLAGS + (["-fcommon"] if "common_" in src else ["-fno-common"]) +
                                 ["-fcallgraph-info=su", f"-fdump-tree-optimized={obj[:-2]}.gimple", "-c", "-o", obj,
                                  tree.path(src)])
        if status:
            raise RuntimeError(out)
        objs.append(obj)
    status, out = common.run(["ld", "-r", "-o", os.path.join(tree.build, "palacios", "palacios.o")] + objs)
    if status:
        raise RuntimeError(out)


def problems_of(fn, files, compiled):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        tree = common.Tree(folder, os.path.join(folder, "build"))
        if compiled:
            build(tree)
        return fn(tree)


def header(body):
    return {X_H: HEAD + GUARD % body}


def source(path, body):
    return {**header("int v3_x(void);"), path: body}


# A program whose only writer of state is a table of functions, as device classes are.
OPS = """struct ops { int (*fn)(int); };
static int one(int x) { return x + 1; }
%s
static const struct ops ops = { %s };
int v3_a(const struct ops *o, int x);
int v3_a(const struct ops *o, int x) { return (o ? o : &ops)->fn(x) * 3; }
"""
RECURSIVE = ("int v3_a(const struct ops *, int);"
             "static int two(int x) { const struct ops *volatile p = 0; return v3_a(p, x - 1) + 1; }")
BIG = "static int two(int x) { volatile char b[4096]; b[x & 4095] = 1; return b[x & 7]; }"

LAYERS, SYMBOLS, STACK, HEADERS = lint_layers, lint_symbols, lint_stack, lint_headers
LINTS = (LAYERS, SYMBOLS, STACK, HEADERS, lint_format, lint_text, lint_config, lint_docs,
         lint_exits, lint_save)
RUN = "palacios/src/vm/run.c"
STATS = "#define V3_EXIT_KINDS(X) \\\n\tX(CPUID, \"cpuid\") \\\n\tX(HLT, \"hlt\")\n\n"


def docs(*rows):
    return {lint_docs.STATS_H: STATS, lint_docs.EXIT_PATH: "| kind | file |\n|---|---|\n" +
            "".join(f"| `{r}` | x |\n" for r in rows)}


# Two kinds, one of them with a code that is told apart by more than the array.
EXIT_C = """static const uint8_t kinds[] = {
	[%(p)sCPUID] = EXIT_KIND(CPUID%(flags)s),
	[%(p)sIN... %(p)sIN + 1] = EXIT_KIND(IO%(flags)s),
};
int v3_x(int code) { return code == 9 ? V3_EXIT_HLT : V3_EXIT_UNKNOWN; }
"""
EXIT_H = "#define %(p)sCPUID %(n)s\n#define %(p)sIN 3\n#define %(p)sHLT 9\n#define %(p)sCOUNT 80\n#define %(p)sMTF 37\n"


def exits(vendor, **rows):
    """Sources and document that agree, but for the cells of the column given in rows."""
    heading, source, head, prefix, _ = lint_exits.VENDORS[vendor]
    words = {"p": prefix, "n": "0x72" if not vendor else "10", "flags": ", 1" if vendor else ""}
    cells = {"cpuid": "0x72 CPUID", "io": "0x3..0x4 I/O", "hlt": "0x9 HLT", "unknown": "0x25 MTF; any other"}
    if vendor:
        cells = {"cpuid": "10 CPUID", "io": "3..4 I/O", "hlt": "9 HLT", "unknown": "37 MTF; any other"}
    cells.update(rows)
    return {source: EXIT_C % words, head: EXIT_H % words,
            lint_exits.EXIT_PATH: f"| kind | {heading} |\n|---|---|\n" +
            "".join(f"| `{k}` | {c} |\n" for k, c in cells.items())}


def devices(name, row=None, more=""):
    return {"palacios/src/devices/x.c":
            f"const struct v3_device_class v3_device_x = {{\n\t.name = \"{name}\",\n{more}}};\n",
            lint_docs.DEVICES: f"| class |\n|---|\n| `{row or name}` | x |\n"}


def saved(*names, struct="x"):
    """A structure of three members, one of them with members of its own, and a table of it."""
    fields = "".join(f"\tV3_SAVE(struct {struct}, {n}),\n" for n in names)
    return {"palacios/src/devices/x.c": "struct x {\n\tint a; /* one; */\n\tstruct {\n\t\tint d;\n\t} b[2];\n"
            "\tvoid (*c)(int e);\n};\nstatic const struct v3_save_field x_fields[] = {\n" + fields +
            "\tV3_SAVE_END,\n};\n"}


def config(objects="v3-y += src/a.o\n", kconfig="config V3_A\n\tbool\n", defconfig="CONFIG_V3_A=y\n", code=""):
    return {"Kconfig": kconfig, "palacios/objects.mk": objects, "palacios/defconfig": defconfig, "Makefile": code,
            "palacios/src/a.c": HEAD, "palacios/src/b.c": HEAD}


def include(path, name):
    return {**header(""), "palacios/src/vm/vm.h": "", "palacios/src/mem/mem.h": "", "palacios/src/arch/svm/vmcb.h": "",
            "palacios/src/devices/pci/own.h": "", "palacios/src/arch/ops.h": "", "palacios/src/util/list.h": "",
            "palacios/src/arch/vmx/vmcs.h": "", "palacios/include/palacios/abi/n.h": "",
            "tests/fake_host/fake.h": "", path: f'#include "{name}"\n'}


# (function, flawed sample, sound sample, words of the refusal, compile the samples?)
CASES = [
    (LAYERS.check_direction, include("palacios/src/mem/a.c", "vm/vm.h"), include("palacios/src/vm/a.c", "mem/mem.h"),
     "mem/a.c:1: includes vm/vm.h: wrong direction", False),
    (LAYERS.check_direction, include("palacios/src/util/a.c", "mem/mem.h"), include("palacios/src/mem/a.c", "util/list.h"),
     "wrong direction", False),
    (LAYERS.check_direction, include("palacios/src/exit/a.c", "arch/svm/vmcb.h"),
     include("palacios/src/exit/a.c", "arch/ops.h"), "wrong direction", False),
    (LAYERS.check_direction, include("palacios/src/arch/svm/a.c", "arch/vmx/vmcs.h"),
     include("palacios/src/arch/svm/a.c", "vmcb.h"), "one vendor's back end", False),
    (LAYERS.check_direction, include("palacios/src/devices/pci/a.c", "mem/mem.h"),
     include("palacios/src/devices/pci/a.c", "own.h"), "sees public headers and its own only", False),
    (LAYERS.check_direction, include("palacios/src/mem/a.c", "../../../tests/fake_host/fake.h"),
     include("palacios/src/mem/a.c", "palacios/x.h"), "nothing outside palacios/", False),
    (LAYERS.check_direction, include("tests/baremetal_host/a.c", "mem/mem.h"),
     include("tests/baremetal_host/a.c", "palacios/x.h"), "a host sees public headers", False),
    (LAYERS.check_direction, include("guest_tools/t/a.c", "palacios/x.h"),
     include("guest_tools/t/a.c", "palacios/abi/n.h"), "guest tools see palacios/abi/", False),
    (LAYERS.check_direction, {**header(""), "palacios/src/mem/a.c": "#include <stdio.h>\n"},
     {**header(""), "palacios/src/mem/a.c": "#include <stdarg.h>\n"}, "not a freestanding header", False),
    (LAYERS.check_direction, header('#include "mem/mem.h"'), header(""), "no such file", False),
    (LAYERS.check_glue_unseen, source("palacios/src/mem/a.c", '#include "../../../linux_module/main.h"\n'),
     source("palacios/src/mem/a.c", '#include "mem.h"\n'), "linux_module", False),
    (LAYERS.check_host_ops_caller, source("palacios/src/mem/a.c", "extern struct v3_host_ops h;\n"),
     source("palacios/src/host/a.c", "extern struct v3_host_ops h;\n"), "struct v3_host_ops", False),
    (LAYERS.check_vendor_words, source("palacios/src/exit/a.c", "struct vmcb *v;\n"),
     source("palacios/src/exit/a.c", "/* the vmcb */\n"), "vendor word vmcb", False),

    (SYMBOLS.check_undefined, source(RUN, "int strlen_(void); int v3_x(void){return strlen_();}\n"),
     source(RUN, "int memcmp(const void*,const void*,unsigned long);int v3_x(void *a){return memcmp(a,a+1,3);}\n"),
     "undefined: strlen_", True),
    (SYMBOLS.check_exports, source(RUN, "int helper(void){return 1;}\n"), source(RUN, "int v3_x(void){return 1;}\n"),
     "without v3_: helper", True),
    (SYMBOLS.check_exports, source("palacios/src/vm/common_.c", "int v3_common;\n"),
     source(RUN, "int v3_x(void){return 1;}\n"), "COMMON symbol: v3_common", True),
    (SYMBOLS.check_exports, source(RUN, "__attribute__((weak)) int v3_x(void){return 1;}\nint v3_y(void){return 2;}\n"),
     source(RUN, "int v3_x(void){return 1;}\n"), "weak symbol", True),
    (SYMBOLS.check_sections, source(RUN, "int v3_y;__attribute__((constructor)) void v3_x(void){v3_y=1;}\n"),
     source(RUN, "int v3_x(void){return 1;}\n"), ".init_array", True),
    (SYMBOLS.check_sections, source(RUN, "__thread int v3_t; int v3_x(void){return v3_t++;}\n"),
     source(RUN, "int v3_x(void){return 1;}\n"), ".tbss", True),
    (SYMBOLS.check_mutable, source(RUN, "static int count;int v3_x(void){return count++;}\n"),
     source(RUN, "static const int count=3;const int *v3_x(void){return &count;}\n"), "writable object count", True),
    (SYMBOLS.check_mutable, source("palacios/src/host/host.c", "static int a, b;int v3_x(void){return a++ + b++;}\n"),
     source("palacios/src/host/host.c", "static int a;int v3_x(void){return a++;}\n"), "writable object", True),

    (STACK.check_frames, source(RUN, RUN_C % "volatile char b[600]; b[x&63]=1; return b[1];"),
     source(RUN, RUN_C % "volatile char b[400]; b[x&63]=1; return b[1];"), "limit 512", True),
    (STACK.check_frames, source(RUN, RUN_C % "volatile char b[x]; b[0]=1; return b[x/2];"),
     source(RUN, RUN_C % "return x;"), "frame of unknown size", True),
    (STACK.check_recursion, source(RUN, RUN_C % "volatile int y = x; return x ? v3_a(y - 1) * y + y : 1;"),
     source(RUN, RUN_C % "return x;"), "recursion: v3_a > v3_a", True),
    (STACK.check_recursion, source(RUN, OPS % (RECURSIVE, "two")), source(RUN, OPS % ("", "one")),
     "recursion: ", True),
    (STACK.check_depth, source(RUN, OPS % (BIG, "two")), source(RUN, OPS % ("", "one")), "limit 4096", True),

    (HEADERS.TESTS[0][1], header("uint32_t v3_x(void);"), header("#include <stdint.h>\nuint32_t v3_x(void);"),
     "x.h (gcc", False),
    (HEADERS.TESTS[1][1], header("static int v3_x(int a) { return 1; }"), header("int v3_x(int a);"),
     "x.h (clang", False),
    (HEADERS.check_names, header("int v3_x(int min);"), header("int v3_x(int low);"), "poisoned", False),
    (HEADERS.check_abi_assembly, {"palacios/include/palacios/abi/n.h": "typedef int x_t;\n"},
     {"palacios/include/palacios/abi/n.h": "#define V3_N 1\n"}, "abi/n.h", False),
    (HEADERS.check_guards, {X_H: HEAD + "#ifndef X_H\n#define X_H\n#endif\n"}, header(""), "include guard", False),
    (HEADERS.check_static_inline, header("inline int v3_x(void) { return 1; }"),
     header("static inline int v3_x(void) { return 1; }"), "inline without static", False),

    (lint_format.check_format, {".clang-format": "BasedOnStyle: LLVM\n", "palacios/a.c": "int  a ;\n"},
     {".clang-format": "BasedOnStyle: LLVM\n", "palacios/a.c": "int a;\n"}, "palacios/a.c: ", False),
    (lint_format.check_whitespace, {"palacios/a.c": "int a; \n"}, {"palacios/a.c": "int a;\n"}, "white space", False),

    (lint_text.check_top, {"Makefile": "", "misc.c": ""}, {"Makefile": "", "tests/misc.c": "", ".ci/run": ""},
     "misc.c does not belong", False),
    (lint_text.check_spdx, {"palacios/a.c": "int a;\n"}, {"palacios/a.c": HEAD}, "no SPDX", False),
    (lint_text.check_paths, {"a.sh": "cp x /home/me/y\n"}, {"a.sh": "cp x $HOME/work/y\n"}, "local path", False),
    (lint_text.check_paths, {"a.sh": "cp x /tmp/foo\n"}, {"a.sh": "mktemp\n"}, "local path", False),
    (lint_text.check_hosts, {"a.sh": "curl https://mirror.example.org/x\n"}, {"a.sh": "apt-get download x\n"},
     "network host", False),
    (lint_text.check_hosts, {"a.c": "/* me@example.org */\n"}, {"a.c": "/* @file */\n"}, "mail address", False),
    (lint_text.check_length, {"a.c": "\n" * 1001}, {"a.c": "\n" * 1000}, "1001 lines", False),
    (lint_text.check_functions, source(RUN, "int v3_x(void)\n{\n" + "\tv3_y();\n" * 101 + "}\n"),
     source(RUN, "int v3_x(void)\n{\n" + "\tv3_y();\n" * 100 + "}\n"), "101 lines, limit 100", False),
    (lint_text.check_functions, source(RUN, "int v3_x(void)\n{\n" + "\tv3_y();\n" * 101 + "}\n"),
     source(RUN, "int v3_x(void)\n{\n" + "\tcase 1:\n" * 101 + "}\n"), "101 lines, limit 100", False),
    (lint_text.check_leftovers, {"a.c": "/* TODO */\n"}, {"a.c": "/* to do */\n"}, "TODO", False),
    (lint_text.check_leftovers, {"a.c": "#if 0\n#endif\n"}, {"a.c": "#if 01\n#endif\n"}, "#if 0", False),
    (lint_text.check_c_file_head, {"palacios/src/a.c": "int a;\n"}, {"palacios/src/a.c": HEAD}, "no @file", False),
    (lint_text.check_cpp_conditionals, {"palacios/src/a.c": "#ifdef X\n#endif\n"}, {"palacios/src/a.c": "int a;\n"},
     "belong to headers", False),

    (lint_config.check_symbols, config(), config(code="ifdef CONFIG_V3_A\n"), "V3_A is defined but used nowhere", False),
    (lint_config.check_symbols, config(code="$(CONFIG_V3_A) $(CONFIG_V3_B)"), config(code="$(CONFIG_V3_A)"),
     "CONFIG_V3_B is not defined", False),
    (lint_config.check_symbols, config(kconfig="config A\n", code="CONFIG_A"), config(code="CONFIG_V3_A"),
     "does not begin with V3_", False),
    (lint_config.check_defconfig, config(defconfig="CONFIG_V3_Z=y\n"), config(), "V3_Z is not defined", False),
    (lint_config.check_objects, config(), config("v3-y += src/a.o\nv3-$(CONFIG_V3_A) += src/b.o\n"),
     "src/b: not in objects.mk", False),
    (lint_config.check_objects, config("v3-y += src/b.o\nv3-y += src/a.o\n"),
     config("v3-y += src/a.o\nv3-y += src/b.o\n"), "out of order", False),
    (lint_config.check_objects, config("v3-y += src/a.o\nv3-y += src/b.o\nv3-y += src/c.o\n"),
     config("v3-y += src/a.o\nv3-y += src/b.o\n"), "no such source: src/c", False),
    (lint_config.check_objects, config("v3-y += src/a.o src/b.o\n"), config("v3-y += src/a.o\nv3-y += src/b.o\n"),
     "not of the agreed form", False),

    (lint_exits.check_svm, exits(0, cpuid="CPUID"), exits(0), "`cpuid`: 0x72 is missing", False),
    (lint_exits.check_svm, exits(0, io="0x3 I/O"), exits(0, io="0x03, 0x04 I/O"), "`io`: 0x4 is missing", False),
    (lint_exits.check_svm, exits(0, io="0x3..0x5 I/O"), exits(0), "`io`: 0x5 is not decoded to it", False),
    (lint_exits.check_svm, exits(0, hlt="HLT"), exits(0), "`hlt`: which codes?", False),
    (lint_exits.check_svm, exits(0, hlt="0x77 HLT"), exits(0, hlt="0x9 HLT, 0x72 CPUID"),
     "`hlt`: 0x77 is not decoded to it", False),
    (lint_exits.check_svm, exits(0, pause="0x77 PAUSE"), exits(0, pause="never"), "`pause`: 0x77 is not decoded", False),
    (lint_exits.check_svm, {**exits(0), lint_exits.EXIT_PATH: ""}, exits(0), "no table of exits found", False),
    (lint_exits.check_vmx, exits(1, cpuid="11 CPUID"), exits(1), "`cpuid`: 10 is missing", False),
    (lint_exits.check_vmx, exits(1, unknown="any other"), exits(1), "VMX_EXIT_MTF (37) is in no row", False),
    (lint_exits.check_vmx, exits(1, unknown="37 MTF, 3 I/O"), exits(1), "`unknown`: 3 is known", False),
    (lint_exits.check_vmx, exits(1, io="3..4 I/O, 37 MTF"), exits(1, io="3..4 I/O; size 8"),
     "`io`: 37 is not decoded to it", False),

    (lint_save.check_tables, saved("a", "c"), saved("a", "b", "c"), "b is neither V3_SAVE nor V3_SAVE_NOT", False),
    (lint_save.check_tables, saved("a", "c", "b"), saved("a", "b", "c"), "in another order than members", False),
    (lint_save.check_tables, saved("a", "b", "b", "c"), saved("a", "b", "c"), "b is named twice", False),
    (lint_save.check_tables, saved("a", struct="y"), saved("a", "b", "c"), "no definition of struct y", False),
    (lint_save.check_classes, devices("pit"), devices("pit", more="\t.save = &x,\n"), "v3_device_x has no .save", False),
    (lint_save.check_tables, saved(), saved("a", "b", "c"), "no table found", False),

    (lint_docs.check_exit_kinds, docs("cpuid"), docs("cpuid", "hlt"), "no row for hlt", False),
    (lint_docs.check_exit_kinds, docs("cpuid", "hlt", "io"), docs("cpuid", "hlt"), "io is no exit kind", False),
    (lint_docs.check_devices, devices("pit", "pic"), devices("pit"), "no row for pit", False),
    (lint_docs.check_devices, devices("pit", "pic"), devices("pit"), "pic is no device class", False),
    (lint_docs.check_documented, header("\nint v3_x(void);"), header("\n/* Says it. */\nint v3_x(void);"),
     "no comment above", False),
]


def main():
    tap = common.Tap()
    for fn, bad, good, words, compiled in CASES:
        name = getattr(fn, "__name__", "check").replace("check_", "").replace("<lambda>", "headers_alone")
        found = problems_of(fn, bad, compiled)
        tap.result(any(words in p for p in found), f"{name} refuses: {words}", found if not any(
            words in p for p in found) else ())
        found = problems_of(fn, good, compiled)
        tap.result(not found, f"{name} accepts the sound sample of it", found)
    covered = {fn for fn, *_ in CASES}
    bare = [title for lint in LINTS for title, fn in lint.TESTS if fn not in covered]
    tap.result(not bare, "every lint has a sample it must refuse", bare)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
