/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file save.h
 * What of a structure is state: tables of fields, and the codec that follows them. Every device class has one
 * (v3_device_class.save); whoever saves a VM and loads it elsewhere needs no word of any device.
 *
 * A table names each member of its structure once: as state, or by V3_SAVE_NOT as what is none, because it is fixed
 * by the guest definition, belongs to the host, or follows from other members (the table's loaded() works it out).
 * `make check-lint` compares tables with structures.
 *
 * State is loaded into a device of the same definition, in its power-on state. What is loaded may come from
 * anywhere: loaded() refuses what the device itself could never have stored and would be hurt by.
 */
#ifndef PALACIOS_SAVE_H
#define PALACIOS_SAVE_H

#include "palacios/types.h"

#define V3_SAVE_DEPTH 6	  /* structures within structures */
#define V3_SAVE_PATH  128 /* bytes of a field's path with its end */

enum v3_save_kind {
	V3_SAVE_KIND_NOT,
	V3_SAVE_KIND_BYTES,    /* integers and arrays of them, as they lie in memory */
	V3_SAVE_KIND_BOOLS,    /* booleans: no byte but 0 and 1 is loaded */
	V3_SAVE_KIND_BYTES_AT, /* bytes behind a pointer */
	V3_SAVE_KIND_BYTES_N,  /* flexible array of such */
	V3_SAVE_KIND_TIMER,    /* pointer to a v3_timer: armed or not, and for when */
	V3_SAVE_KIND_PARTS,    /* one structure or an array of them, with a table of their own */
	V3_SAVE_KIND_PARTS_AT, /* one pointer to such a structure or an array of pointers; NULL: none */
	V3_SAVE_KIND_PARTS_N, /* flexible array of such structures */
};

struct v3_save_table;

/** One member of a structure; use the macros below. */
struct v3_save_field {
	const char *name; /* NULL: end of the table */
	enum v3_save_kind kind;
	uint32_t offset; /* in the structure */
	uint32_t size;	 /* bytes of the member, of what it points to, or of one element */
	uint32_t count_offset, count_size; /* of the member that counts a flexible array; fixed */
	const struct v3_save_table *table; /* of parts */
};

/**
 * Bulk contents besides fields, such as what a guest has written to a disk in memory: numbered chunks of one size, of
 * which many may not be there. thread; no vcpu runs.
 */
struct v3_save_chunk {
	uint64_t number;
	const void *bytes; /* NULL: zeros */
};
struct v3_save_chunks {
	uint32_t size; /* bytes of each */
	/** The first one that is there from c->number on. @return false: none is */
	bool (*next)(void *state, struct v3_save_chunk *c);
	/** Forget all: others are about to come. */
	void (*clear)(void *state);
	/** One of them is loaded. @return V3_OK; V3_EINVAL: there cannot be such a one; V3_ENOMEM */
	int (*put)(void *state, const struct v3_save_chunk *c);
};

struct v3_save_table {
	const struct v3_save_field *fields;
	uint32_t size; /* of the structure */
	/**
	 * The state is about to be saved: finish what is under way, so that the fields say it all; again and again
	 * has the same result. May write to guest memory and raise interrupts, and sleep. thread; no vcpu runs.
	 * NULL: nothing ever is.
	 */
	void (*settle)(void *state);
	/** What it has in bulk; NULL, or NULL returned: nothing. */
	const struct v3_save_chunks *(*chunks)(void *state);
	/**
	 * Fields and parts have been loaded: check them, and work out what follows from them. thread; no vcpu runs.
	 * @return V3_OK; V3_EINVAL: the device cannot be in that state. NULL: any bytes will do.
	 */
	int (*loaded)(void *state);
};

#define V3_SAVE_FIELD(type, member, kind_, size_, ...)                                             \
	{                                                                                          \
		.name = #member, .kind = V3_SAVE_KIND_##kind_, .offset = offsetof(type, member),   \
		.size = (size_), __VA_ARGS__                                                       \
	}
#define V3_SAVE_COUNTED(type, count)                                                               \
	.count_offset = offsetof(type, count), .count_size = sizeof(((type *)0)->count)

#define V3_SAVE_NOT(type, member) V3_SAVE_FIELD(type, member, NOT, 0)
/** An integer, a boolean, or an array of either. */
#define V3_SAVE(type, member)                                                                        \
	{                                                                                            \
		.name = #member, .offset = offsetof(type, member),                                 \
		.size = sizeof(((type *)0)->member),                                               \
		.kind = _Generic(((type *)0)->member, bool                                         \
				 : V3_SAVE_KIND_BOOLS, bool *                                      \
				 : V3_SAVE_KIND_BOOLS, default                                     \
				 : V3_SAVE_KIND_BYTES), \
	}
#define V3_SAVE_TIMER(type, member)   V3_SAVE_FIELD(type, member, TIMER, 0)
/** @p len bytes that the member points to. */
#define V3_SAVE_AT(type, member, len) V3_SAVE_FIELD(type, member, BYTES_AT, len)
/** A flexible array with member @p count elements. */
#define V3_SAVE_N(type, member, count_)                                                            \
	V3_SAVE_FIELD(type, member, BYTES_N, sizeof(((type *)0)->member[0]),                       \
		      V3_SAVE_COUNTED(type, count_))
#define V3_SAVE_PARTS(type, member, table_)                                                        \
	V3_SAVE_FIELD(type, member, PARTS, sizeof(((type *)0)->member), .table = (table_))
#define V3_SAVE_PARTS_AT(type, member, table_)                                                     \
	V3_SAVE_FIELD(type, member, PARTS_AT, sizeof(((type *)0)->member), .table = (table_))
#define V3_SAVE_PARTS_N(type, member, count_, table_)                                              \
	V3_SAVE_FIELD(type, member, PARTS_N, sizeof(((type *)0)->member[0]), .table = (table_),    \
		      V3_SAVE_COUNTED(type, count_))
#define V3_SAVE_END                                                                                \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/** Where state goes to or comes from. */
struct v3_save_buf {
	uint8_t *data; /* not owned; NULL: saving only counts */
	size_t size;
	size_t pos;    /* bytes written or read so far; may pass size when saving */
	char why[192]; /* after an error of loading: what is wrong, and where */
};

/** Settle a structure and all that its table reaches. thread; no vcpu runs. */
void v3_save_settle(const struct v3_save_table *table, void *state);

/**
 * Append the state of one structure, which is settled. thread; no vcpu runs.
 *
 * A field is saved as its path ("i8254.ch[2].count"), its length and its bytes, all numbers little-endian. After the
 * fields of a structure that has chunks each one comes as the structure's path, a length, its number (8 bytes) and,
 * unless they are zeros, its bytes; then the path and length 0.
 *
 * @param name  first element of each path
 * @return V3_OK; V3_ENOSPC: buf->pos is past buf->size, which tells how much room is needed.
 */
int v3_save_write(const struct v3_save_table *table, const char *name, void *state,
		  struct v3_save_buf *buf);

/**
 * Load what v3_save_write() wrote of a structure with the same table and the same name. thread; no vcpu runs.
 *
 * @return V3_OK; V3_EINVAL: it is not that, is cut off, or a loaded() refused it: buf->why says so, and the
 *         structure must be reset before it is used.
 */
int v3_save_read(const struct v3_save_table *table, const char *name, void *state,
		 struct v3_save_buf *buf);

struct v3_vm;

/**
 * Save the state of all devices of a VM, or load it into a VM of the same definition. thread; no vcpu runs, guest
 * time stands still.
 *
 * Saving settles all devices first. That may change guest memory and the state of vcpus, which are saved after it.
 *
 * What a guest has written to disks in memory is saved with them, over the images they begin with; what is in files of
 * the host is in those files, and there when v3_devices_save() returns. Frames on their way through a network are not
 * saved: they are lost, as frames may be.
 *
 * @return V3_OK; V3_ENOSPC (saving) and V3_EINVAL (loading), as above: after the latter the devices have been reset, and
 *         what disks in memory hold is of no use.
 */
int v3_devices_save(struct v3_vm *vm, struct v3_save_buf *buf);
int v3_devices_load(struct v3_vm *vm, struct v3_save_buf *buf);

#endif
