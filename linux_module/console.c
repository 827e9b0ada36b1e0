// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file console.c
 * The byte streams of guests' consoles. Each keeps the last PALACIOS_CONSOLE_RING bytes of output in a ring
 * that any number of descriptors read, each at its own place; input of all of them goes to the guest.
 */
#include "glue.h"

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/kref.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#define CONSOLE_INPUT 4096 /* power of two */
#define CONSOLE_CHUNK 256  /* bytes copied at once, on the stack */

struct lnx_stream {
	struct kref ref; /* each device that has it open, and each descriptor */
	struct list_head list;
	char name[sizeof_field(struct palacios_console, name)];
	wait_queue_head_t wait;
	raw_spinlock_t lock;	/* guards what follows */
	struct list_head ports; /* empty: the VM is gone */
	u64 written;		/* bytes of output so far; the ring holds the last of them */
	u32 in_head, in_tail;	/* free-running */
	char input[CONSOLE_INPUT];
	char ring[PALACIOS_CONSOLE_RING];
};

/* A device's end. A serial port and a debug console may well have the same stream. */
struct console_port {
	struct lnx_stream *stream; /* reference owned */
	struct list_head list;
	void (*ready)(void *arg);
	void *arg;
};

struct console_file {
	struct lnx_stream *stream; /* reference owned */
	struct mutex lock;	   /* guards pos: one read at a time */
	u64 pos;		   /* next byte to read */
};

static void console_free(struct kref *ref)
{
	vfree(container_of(ref, struct lnx_stream, ref));
}

static void console_put(struct lnx_stream *s)
{
	kref_put(&s->ref, console_free);
}

/* @return the stream @name of @vm, "": the first one, with a reference for the caller; NULL if there is none */
static struct lnx_stream *console_find(struct lnx_vm *vm, const char *name)
{
	struct lnx_stream *s, *found = NULL;

	mutex_lock(&vm->streams_lock);
	list_for_each_entry(s, &vm->streams, list)
	{
		if (*name && strcmp(s->name, name))
			continue;
		found = s;
		kref_get(&s->ref);
		break;
	}
	mutex_unlock(&vm->streams_lock);
	return found;
}

static struct lnx_stream *console_add(struct lnx_vm *vm, const char *name)
{
	struct lnx_stream *s = vzalloc(sizeof(*s));

	if (!s)
		return NULL;
	kref_init(&s->ref);
	init_waitqueue_head(&s->wait);
	raw_spin_lock_init(&s->lock);
	INIT_LIST_HEAD(&s->ports);
	strscpy(s->name, name, sizeof(s->name));
	mutex_lock(&vm->streams_lock);
	list_add_tail(&s->list, &vm->streams);
	mutex_unlock(&vm->streams_lock);
	return s;
}

/* ---- the library's side ---- */

static void *console_open(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg)
{
	struct console_port *port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT);
	struct lnx_stream *s;
	unsigned long flags;

	if (!port)
		return NULL;
	s = *name ? console_find(host_ctx, name) : NULL;
	if (!s)
		s = console_add(host_ctx, name);
	if (!s) {
		kfree(port);
		return NULL;
	}
	port->stream = s;
	port->ready = ready;
	port->arg = arg;
	raw_spin_lock_irqsave(&s->lock, flags);
	list_add_tail(&port->list, &s->ports);
	raw_spin_unlock_irqrestore(&s->lock, flags);
	return port;
}

/* The VM is being made or destroyed: it has no descriptor, so nobody else looks at its list of streams. */
static void console_close(void *stream)
{
	struct console_port *port = stream;
	struct lnx_stream *s = port->stream;
	unsigned long flags;
	bool last;

	raw_spin_lock_irqsave(&s->lock, flags);
	list_del(&port->list);
	last = list_empty(&s->ports);
	raw_spin_unlock_irqrestore(&s->lock, flags);
	kfree(port);
	if (last) {
		list_del(&s->list);
		wake_up_all(&s->wait);
	}
	console_put(s);
}

static size_t console_write(void *stream, const void *buf, size_t len)
{
	struct lnx_stream *s = ((struct console_port *)stream)->stream;
	unsigned long flags;
	size_t at, first, n = min_t(size_t, len, sizeof(s->ring));
	const char *p = buf;

	raw_spin_lock_irqsave(&s->lock, flags);
	s->written += len - n; /* more than a ring: only its end is kept */
	p += len - n;
	at = s->written % sizeof(s->ring);
	first = min(n, sizeof(s->ring) - at);
	memcpy(s->ring + at, p, first);
	memcpy(s->ring, p + first, n - first);
	s->written += n;
	raw_spin_unlock_irqrestore(&s->lock, flags);
	if (wq_has_sleeper(&s->wait))
		wake_up_all(&s->wait);
	return len;
}

static size_t console_read(void *stream, void *buf, size_t len)
{
	struct lnx_stream *s = ((struct console_port *)stream)->stream;
	unsigned long flags;
	char *p = buf;
	size_t n = 0;

	raw_spin_lock_irqsave(&s->lock, flags);
	while (n < len && s->in_head != s->in_tail)
		p[n++] = s->input[s->in_tail++ % CONSOLE_INPUT];
	raw_spin_unlock_irqrestore(&s->lock, flags);
	if (n && wq_has_sleeper(&s->wait))
		wake_up_all(&s->wait);
	return n;
}

const struct v3_host_console_ops lnx_console_ops = {
	.open = console_open,
	.close = console_close,
	.write = console_write,
	.read = console_read,
};

/* ---- the descriptor's side ---- */

/* @return bytes from @pos on, 0: none yet; moves @pos on, and over what the ring has lost */
static size_t console_take(struct lnx_stream *s, u64 *pos, char *buf, size_t len)
{
	unsigned long flags;
	size_t at, first, n;

	raw_spin_lock_irqsave(&s->lock, flags);
	if (s->written - *pos > sizeof(s->ring))
		*pos = s->written - sizeof(s->ring);
	n = min_t(u64, len, s->written - *pos);
	at = *pos % sizeof(s->ring);
	first = min(n, sizeof(s->ring) - at);
	memcpy(buf, s->ring + at, first);
	memcpy(buf + first, s->ring, n - first);
	*pos += n;
	raw_spin_unlock_irqrestore(&s->lock, flags);
	return n;
}

/* Their functions only set a flag and kick; under the lock, so that close waits for them. Lock held. */
static bool console_ready(struct lnx_stream *s)
{
	struct console_port *port;
	bool any = false;

	list_for_each_entry(port, &s->ports, list)
	{
		if (!port->ready)
			continue;
		port->ready(port->arg);
		any = true;
	}
	return any;
}

/* @return bytes taken, 0: the guest's queue is full; -EPIPE, -ENXIO */
static ssize_t console_give(struct lnx_stream *s, const char *buf, size_t len)
{
	unsigned long flags;
	u32 before;
	ssize_t n = 0;

	raw_spin_lock_irqsave(&s->lock, flags);
	before = s->in_head;
	while (n < len && s->in_head - s->in_tail < CONSOLE_INPUT)
		s->input[s->in_head++ % CONSOLE_INPUT] = buf[n++];
	if (!console_ready(s)) {
		s->in_head = before;
		n = list_empty(&s->ports) ? -EPIPE : -ENXIO;
	}
	raw_spin_unlock_irqrestore(&s->lock, flags);
	return n;
}

/* No device has it open any more: the VM is gone. */
static bool console_closed(struct lnx_stream *s)
{
	unsigned long flags;
	bool closed;

	raw_spin_lock_irqsave(&s->lock, flags);
	closed = list_empty(&s->ports);
	raw_spin_unlock_irqrestore(&s->lock, flags);
	return closed;
}

static bool console_readable(struct lnx_stream *s, u64 pos)
{
	return READ_ONCE(s->written) != pos || console_closed(s);
}

static bool console_writable(struct lnx_stream *s)
{
	return READ_ONCE(s->in_head) - READ_ONCE(s->in_tail) < CONSOLE_INPUT || console_closed(s);
}

/* Copy what is there, up to @len. @return bytes, 0: none; -EFAULT if not even the first chunk could be stored */
static ssize_t console_copy_out(struct console_file *f, char __user *buf, size_t len)
{
	char chunk[CONSOLE_CHUNK];
	size_t done = 0, n;

	while (done < len) {
		u64 pos = f->pos;

		n = console_take(f->stream, &pos, chunk, min(len - done, sizeof(chunk)));
		if (n && copy_to_user(buf + done, chunk, n))
			return done ? done : -EFAULT;
		f->pos = pos;
		done += n;
		if (n < sizeof(chunk))
			break;
	}
	return done;
}

static ssize_t console_file_read(struct file *file, char __user *buf, size_t len, loff_t *off)
{
	struct console_file *f = file->private_data;
	struct lnx_stream *s = f->stream;
	ssize_t n;

	if (!len)
		return 0;
	for (;;) {
		/* Before the look at the ring: what was written before the close is not missed. */
		bool closed = console_closed(s);

		if (mutex_lock_interruptible(&f->lock))
			return -ERESTARTSYS;
		n = console_copy_out(f, buf, len);
		mutex_unlock(&f->lock);
		if (n || closed)
			return n;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(s->wait, console_readable(s, READ_ONCE(f->pos))))
			return -ERESTARTSYS;
	}
}

static ssize_t console_file_write(struct file *file, const char __user *buf, size_t len,
				  loff_t *off)
{
	struct console_file *f = file->private_data;
	struct lnx_stream *s = f->stream;
	char chunk[CONSOLE_CHUNK];
	size_t done = 0;

	while (done < len) {
		size_t want = min(len - done, sizeof(chunk));
		ssize_t n;

		if (copy_from_user(chunk, buf + done, want))
			return done ? done : -EFAULT;
		n = console_give(s, chunk, want);
		if (n < 0)
			return done ? done : n;
		done += n;
		if (n)
			continue;
		if (file->f_flags & O_NONBLOCK)
			return done ? done : -EAGAIN;
		if (wait_event_interruptible(s->wait, console_writable(s)))
			return done ? done : -ERESTARTSYS;
	}
	return done;
}

static __poll_t console_file_poll(struct file *file, struct poll_table_struct *table)
{
	struct console_file *f = file->private_data;
	struct lnx_stream *s = f->stream;
	__poll_t mask = 0;

	poll_wait(file, &s->wait, table);
	if (console_readable(s, READ_ONCE(f->pos)))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (console_writable(s))
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (console_closed(s))
		mask |= EPOLLHUP;
	return mask;
}

static int console_file_release(struct inode *inode, struct file *file)
{
	struct console_file *f = file->private_data;

	console_put(f->stream);
	kfree(f);
	return 0;
}

static const struct file_operations console_fops = {
	.owner = THIS_MODULE,
	.read = console_file_read,
	.write = console_file_write,
	.poll = console_file_poll,
	.release = console_file_release,
};

int lnx_console_attach(struct lnx_vm *vm, const char *name)
{
	struct lnx_stream *s = console_find(vm, name);
	struct console_file *f;
	int fd;

	if (!s)
		return -ENOENT;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f) {
		console_put(s);
		return -ENOMEM;
	}
	f->stream = s;
	mutex_init(&f->lock);
	fd = anon_inode_getfd("palacios-console", &console_fops, f, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		console_put(s);
		kfree(f);
	}
	return fd;
}
