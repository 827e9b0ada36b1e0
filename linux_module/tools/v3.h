/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file v3.h
 * What the parts of the v3 command share: exit codes, messages, JSON, finding VMs, the console session.
 * Functions that return an enum v3_exit_code have complained already when it is not V3_EXIT_GOOD.
 */
#ifndef V3_TOOL_H
#define V3_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../uapi/palacios.h"

/* Exit codes of all commands but the guest's own status that "v3 run" hands on. Manual: v3.1. */
enum v3_exit_code {
	V3_EXIT_GOOD = 0,
	V3_EXIT_NO = 1, /* it cannot be done: no such VM, wrong state, a failed row of the doctor */
	V3_EXIT_USAGE = 2,     /* mistake in the command line */
	V3_EXIT_FILE = 3,      /* a file is missing, wrong or cannot be written */
	V3_EXIT_DEVICE = 4,    /* no module, or no permission to use it */
	V3_EXIT_TIMEOUT = 124, /* as timeout(1) */
	V3_EXIT_BROKEN = 125,  /* "v3 run": there is no status of the guest */
	V3_EXIT_USER = 130     /* "v3 run": the user or a signal ended the guest */
};

/* Options; each command takes those that make sense for it. */
struct v3_options {
	bool json;
	bool hard;	    /* stop */
	bool start;	    /* create */
	const char *name;   /* run, create: instead of the definition's */
	const char *stream; /* run, console: which console */
	unsigned timeout_s; /* run, stop */
	bool timeout_given;
};

extern struct v3_options v3_opt;

/* ---- out.c ---- */

/** Print "v3: text", and the remedy on a line of its own unless NULL; as a JSON object with --json. */
void v3_complain(const char *remedy, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** JSON on standard output; commas are added where they belong. @p key is NULL inside an array. */
void v3_json_open(const char *key, char bracket);
void v3_json_close(void);
void v3_json_text(const char *key, const char *value);
void v3_json_number(const char *key, int64_t value);
void v3_json_bool(const char *key, bool value);

/* ---- file.c ---- */

/**
 * Open a container: a definition is packed into an unlinked temporary file first.
 * @param fd   open for reading; the caller closes it
 * @param len  bytes
 */
int v3_open_image(const char *path, int *fd, size_t *len);
/** Write all of it, whatever signals come. @return false with errno set */
bool v3_write_all(int fd, const void *buf, size_t len);

/* ---- doctor.c ---- */

int v3_doctor(char **args);

/* ---- vm.c ---- */

/** Open the device and compare its ABI with ours. @return descriptor, or minus an exit code */
int v3_device_open(void);
/** Make a VM from a definition or a container. @return VM descriptor, or minus an exit code */
int v3_vm_make(const char *path);
/** INFO; false with errno set. */
bool v3_vm_info(int vm, struct palacios_info *info);
const char *v3_state_name(uint32_t state);
void v3_info_json(const char *key, const struct palacios_info *info);
/** An operation without argument on a VM; @p verb for the message. */
int v3_vm_do(int vm, unsigned long request, const char *verb);
int v3_vm_stop_hard(int vm);
/** Press the power button. @return false: the guest has none, or it failed (errno) */
bool v3_vm_button(int vm);
int v3_create(char **args);
int v3_start(char **args);
int v3_pause(char **args);
int v3_continue(char **args);
int v3_reset(char **args);
int v3_stop(char **args);
int v3_destroy(char **args);

/* ---- show.c ---- */

int v3_list(char **args);
int v3_info(char **args);
int v3_stats(char **args);
int v3_version(char **args);

/* ---- top.c ---- */

int v3_top(char **args);

/* ---- hold.c ---- */

/** Offer the VM of this process to others under a name. @return listening socket, or minus an exit code */
int v3_hold_listen(const char *name);
/** Answer one caller. @return true: it asks to destroy the VM */
bool v3_hold_serve(int listener, int vm);
/** No longer offer it. */
void v3_hold_end(const char *name, int listener);
/** Keep the VM in a process of its own in the background. The caller may close both descriptors then. */
int v3_hold_background(const char *name, int listener, int vm);
/** Descriptor of somebody's VM by name, or minus an exit code. */
int v3_hold_open(const char *name);
/** Make the holder let go of it. */
int v3_hold_destroy(const char *name);
/** Call @p fn for each VM of this user, sorted by name. */
int v3_hold_each(void (*fn)(const char *name, int vm, void *priv), void *priv);

/* ---- console.c ---- */

enum v3_session_end {
	V3_SESSION_STOPPED, /* the VM has stopped and all its output is printed */
	V3_SESSION_DETACHED,
	V3_SESSION_KILLED, /* stopped by the user through the menu */
	V3_SESSION_SIGNAL,
	V3_SESSION_TIMEOUT,
	V3_SESSION_FAILED /* complained about */
};

/**
 * Connect this terminal with a console until something ends it.
 * @param vm        VM descriptor
 * @param console   console descriptor
 * @param listener  of v3_hold_listen(), or -1
 */
enum v3_session_end v3_session(int vm, int console, int listener);
/** Console descriptor of the stream asked for by --stream, or minus an exit code. */
int v3_console_open(int vm);
int v3_console(char **args);

/* ---- run.c ---- */

int v3_run(char **args);

#endif
