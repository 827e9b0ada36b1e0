// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file tap.c
 * The library's optional group of packets: TAP interfaces of the host, whose descriptors came with the VM (files.c). One
 * read or write moves one frame behind the header of virtio 1.2, 5.1.6, which is the library's own record of what is
 * left undone (Documentation/networking/tuntap.rst). Called by workers; wakes them from the interface's wait queue.
 */
#include "glue.h"

#include "palacios/net.h"

#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/virtio_net.h>

static_assert(sizeof(struct v3_net_offload) == sizeof(struct virtio_net_hdr));
static_assert(offsetof(struct v3_net_offload, csum_offset) ==
	      offsetof(struct virtio_net_hdr, csum_offset));

struct tap {
	struct file *file; /* reference owned */
	void (*ready)(void *arg);
	void *arg;
	struct poll_table_struct table;
	wait_queue_entry_t entry;
	wait_queue_head_t *
		wait; /* the interface's, which lives as long as the file; NULL: not waiting there */
};

bool lnx_tap_usable(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	return S_ISCHR(inode->i_mode) && inode->i_rdev == MKDEV(MISC_MAJOR, TUN_MINOR) &&
	       file->f_op->read_iter && file->f_op->write_iter && file->f_op->poll &&
	       (file->f_mode & FMODE_READ) && (file->f_mode & FMODE_WRITE);
}

/* By the interface, under the lock of its wait queue. */
static int tap_woken(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	struct tap *tap = container_of(entry, struct tap, entry);

	tap->ready(tap->arg);
	return 0;
}

static void tap_wait_there(struct file *file, wait_queue_head_t *wait,
			   struct poll_table_struct *table)
{
	struct tap *tap = container_of(table, struct tap, table);

	if (tap->wait)
		return;
	tap->wait = wait;
	add_wait_queue(wait, &tap->entry);
}

static int tap_open(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg,
		    void **interface)
{
	struct lnx_vm *vm = host_ctx;
	struct file *file = lnx_files_find(vm->files, name, PALACIOS_FILE_TAP);
	struct tap *tap;

	if (!file)
		return -ENOENT;
	tap = lnx_host_ops.alloc(sizeof(*tap));
	if (!tap)
		return -ENOMEM;
	tap->file = get_file(file);
	tap->ready = ready;
	tap->arg = arg;
	init_waitqueue_func_entry(&tap->entry, tap_woken);
	init_poll_funcptr(&tap->table, tap_wait_there);
	vfs_poll(file, &tap->table);
	*interface = tap;
	return 0;
}

static void tap_close(void *interface)
{
	struct tap *tap = interface;

	if (tap->wait)
		remove_wait_queue(tap->wait, &tap->entry);
	fput(tap->file);
	lnx_host_ops.free(tap);
}

/* Only then it takes frames (tun_chr_poll()). Asking has the interface call us when it is switched on. */
static bool tap_up(void *interface)
{
	struct tap *tap = interface;

	return (vfs_poll(tap->file, NULL) & (EPOLLOUT | EPOLLERR)) == EPOLLOUT;
}

/* One frame on its way, behind its header. */
struct tap_move {
	struct kvec vec[2];
	struct iov_iter iter;
	struct kiocb kiocb;
};

/*
 * Without waiting, whatever flags the descriptor has: its owner may change them at any time, and nobody shall wait in a
 * worker.
 * @param direction  READ or WRITE
 */
static void tap_prepare(struct tap_move *m, const struct tap *tap, unsigned int direction,
			const struct v3_net_offload *offload, const void *frame, uint32_t len)
{
	m->vec[0] = (struct kvec){(void *)offload, sizeof(*offload)};
	m->vec[1] = (struct kvec){(void *)frame, len};
	iov_iter_kvec(&m->iter, direction, m->vec, 2, sizeof(*offload) + len);
	init_sync_kiocb(&m->kiocb, tap->file);
	m->kiocb.ki_flags |= IOCB_NOWAIT;
}

static int tap_read(void *interface, struct v3_net_offload *offload, void *frame, uint32_t size)
{
	struct tap *tap = interface;
	struct tap_move m;
	ssize_t n;

	tap_prepare(&m, tap, READ, offload, frame, size);
	n = tap->file->f_op->read_iter(&m.kiocb, &m.iter);
	if (n == -EAGAIN)
		return V3_EAGAIN;
	if (n == -EBADFD)
		return V3_ENODEV;
	return n < (ssize_t)sizeof(*offload) ? 0 : n - sizeof(*offload);
}

static int tap_write(void *interface, const struct v3_net_offload *offload, const void *frame,
		     uint32_t len)
{
	struct tap *tap = interface;
	struct tap_move m;
	ssize_t n;

	tap_prepare(&m, tap, WRITE, offload, frame, len);
	n = tap->file->f_op->write_iter(&m.kiocb, &m.iter);
	return n < 0 ? n : 0;
}

const struct v3_host_packet_ops lnx_packet_ops = {
	.open = tap_open,
	.close = tap_close,
	.up = tap_up,
	.read = tap_read,
	.write = tap_write,
};
