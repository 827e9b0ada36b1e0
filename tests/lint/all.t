#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run every lint on the repository. V3_BUILD names its build folder (default build)."""
import os
import sys

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

LINTS = [lint_layers, lint_symbols, lint_stack, lint_headers, lint_format, lint_text, lint_config, lint_docs,
         lint_exits, lint_save]


def main():
    root = os.path.dirname(os.path.dirname(HERE))
    tree = common.Tree(root, os.environ.get("V3_BUILD", os.path.join(root, "build")))
    tap = common.Tap()
    for lint in LINTS:
        if len(sys.argv) > 1 and lint.__name__ not in sys.argv[1:]:
            continue
        for title, fn in lint.TESTS:
            problems = fn(tree)
            tap.result(not problems, f"{lint.__name__[5:]}: {title}", problems)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
