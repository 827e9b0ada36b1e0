/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exit_codes.h
 * The exit codes of the v3 command: the enum, and the table that "v3 --help" prints. The manual page has the same
 * table; tests/unit/v3.t compares the two.
 */
#ifndef V3_TOOL_EXIT_CODES_H
#define V3_TOOL_EXIT_CODES_H

/* X(name, value, meaning) */
#define V3_EXIT_CODES(X)                                                                           \
	X(GOOD, 0, "done; run: the guest switched itself off or was stopped")                      \
	X(NO, 1, "it cannot be done: no such VM, not in this state; a failed row of the doctor")   \
	X(USAGE, 2, "a mistake in the command line")                                               \
	X(FILE, 3, "a file is missing, wrong or cannot be written")                                \
	X(DEVICE, 4, "no module, or no permission to use it")                                      \
	X(TIMEOUT, 124, "run, console: --timeout ended it")                                        \
	X(BROKEN, 125, "run: there is no status of the guest, for any reason above or ours")       \
	X(USER, 130, "run: the menu or a signal ended the guest")

enum v3_exit_code {
#define V3_EXIT_ENUM(name, value, meaning) V3_EXIT_##name = (value),
	V3_EXIT_CODES(V3_EXIT_ENUM)
#undef V3_EXIT_ENUM
};

#endif
