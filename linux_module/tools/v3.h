/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file v3.h
 * What the parts of the v3 command share: options, messages, JSON, the device and its VMs, the console session.
 * Functions that return an exit code have complained already when it is not V3_EXIT_GOOD; those that return a
 * descriptor return minus an exit code then.
 */
#ifndef V3_TOOL_H
#define V3_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../uapi/palacios.h"
#include "exit_codes.h"

/* Options; each command takes those that make sense for it. */
struct v3_options {
	bool json;
	bool hard;	    /* stop */
	bool start;	    /* create */
	bool watch;	    /* stats */
	bool raw;	    /* memory */
	const char *name;   /* run, create: instead of the definition's */
	const char *stream; /* run, console: which console */
	unsigned timeout_s; /* run, console, stats, top, stop */
	bool timeout_given;
};

extern struct v3_options v3_opt;

/* ---- out.c ---- */

/** Print "v3: text", and the remedy on a line of its own unless NULL; as a JSON object, too, with --json. */
void v3_complain(const char *remedy, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** JSON on standard output; commas are added where they belong. @p key is NULL inside an array. */
void v3_json_open(const char *key, char bracket);
void v3_json_close(void);
void v3_json_text(const char *key, const char *value);
void v3_json_number(const char *key, int64_t value);
void v3_json_bool(const char *key, bool value);

/* ---- text.c ---- */

/** Bytes as people read them: "512 KiB", "1.5 GiB". @return @p out */
const char *v3_size_text(char out[16], uint64_t bytes);
/** Name of a user, or its number. @return @p out */
const char *v3_user_text(char out[32], uint32_t uid);
/** A histogram as one character per bucket, each as high as its share of the highest. @p out: 3 bytes per bucket, 1 */
void v3_histogram_text(char *out, const uint32_t *buckets, unsigned n);
/** Whole number, decimal or 0x..., optionally with K, M, G or T behind it. @return false: it is none */
bool v3_number_parse(const char *text, uint64_t *value);
/** Monotonic time, for intervals. */
int64_t v3_now_ms(void);

/* ---- file.c ---- */

/** A container, mapped for reading. */
struct v3_image {
	const void *data;
	size_t size;
};

/** Map a container; a definition is packed first. Shows its progress on a terminal if it takes long. */
int v3_image_open(const char *path, struct v3_image *image);
void v3_image_close(struct v3_image *image);
/** Write all of it, whatever signals come. @return false with errno set */
bool v3_write_all(int fd, const void *buf, size_t len);

/* ---- files.c ---- */

/** Files of the host for a guest. */
struct v3_files {
	uint32_t n;
	struct palacios_file file[PALACIOS_MAX_FILES];
};

/** Open and lock what the definition in @p image names, beside @p path. */
int v3_files_open(const char *path, const struct v3_image *image, struct v3_files *files);
/** Close them; a VM that has them keeps its own. */
void v3_files_close(struct v3_files *files);

/* ---- tap.c ---- */

/** Descriptor of a TAP interface of this host, which nobody else has open. */
int v3_tap_open(const char *name);

/* ---- device.c ---- */

/** Open the device and compare its ABI with ours. */
int v3_device_open(void);
/** Descriptor of the VM of that name. */
int v3_vm_open(const char *name);
/** Call @p fn for each VM there is, by id. */
int v3_vm_each(void (*fn)(const struct palacios_info *info, int device, void *priv), void *priv);
/** The same without a complaint, by a device that is open. @return descriptor, or -1 with errno set */
int v3_vm_try_open(int device, const char *name);
/** INFO; false with errno set. */
bool v3_vm_info(int vm, struct palacios_info *info);
const char *v3_state_name(uint32_t state);
const char *v3_reason_name(uint32_t reason);

/* ---- vm.c ---- */

/** Make a VM from a definition or a container; @p flags are PALACIOS_CREATE_*. */
int v3_vm_make(const char *path, uint32_t flags);
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
int v3_move(char **args);

/* ---- show.c ---- */

/** The members of an INFO, to an object that is open. */
void v3_info_members(const struct palacios_info *info);
/** A VM's INFO as one object if --json was given. */
int v3_info_json(int vm);
int v3_list(char **args);
int v3_info(char **args);
int v3_version(char **args);

/* ---- stats.c ---- */

/** All figures of a VM, vcpu by vcpu, kinds in order. @return how many, *rows to be freed; -1 with errno set */
int v3_stats_read(int vm, struct palacios_stats **rows);
int v3_stats(char **args);

/* ---- top.c ---- */

int v3_top(char **args);

/* ---- debug.c ---- */

/** DUMP of a VM. @return the text, to be freed; NULL with errno set */
char *v3_dump_text(int vm);
int v3_dump(char **args);
int v3_memory(char **args);

/* ---- doctor.c ---- */

int v3_doctor(char **args);

/* ---- console.c ---- */

enum v3_session_end {
	V3_SESSION_STOPPED, /* the VM has stopped and all its output is printed */
	V3_SESSION_DETACHED,
	V3_SESSION_KILLED, /* stopped by the user through the menu */
	V3_SESSION_SIGNAL,
	V3_SESSION_TIMEOUT,
	V3_SESSION_FAILED /* complained about */
};

/** What a terminal is connected with. */
struct v3_attachment {
	const char *name;
	uint64_t id;
	int vm;	       /* -1: not held, so that the VM can end with its owner */
	int console;   /* descriptor of its stream */
	bool is_owner; /* the VM ends with this process, so there is no detaching */
};

/** Connect this terminal with a console until something ends it. */
enum v3_session_end v3_session(const struct v3_attachment *to);
/** Descriptor of the stream asked for by --console. */
int v3_console_open(int vm);
int v3_console(char **args);

/* ---- run.c ---- */

int v3_run(char **args);

#endif
