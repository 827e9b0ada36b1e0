/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_packet.c
 * The optional packet group: one interface at a time, "tap0", whose other end a test holds; and who owns a VM.
 */
#include "fake_priv.h"
#include "palacios/net.h"

#define PACKET_MAX 64

struct fake_frame {
	struct v3_net_offload offload;
	uint32_t len;
	uint8_t *bytes; /* owned */
};

/* One way. */
struct fake_line {
	struct fake_frame frame[PACKET_MAX];
	unsigned n;
};

static struct {
	pthread_mutex_t lock; /* guards all below */
	bool exists, open, up, gone;
	unsigned room; /* frames that may wait for the test */
	struct fake_line in, out;
	void (*ready)(void *arg);
	void *arg;
} packet = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t (*packet_owner)(void *host_ctx);

static void packet_clear(struct fake_line *line)
{
	while (line->n)
		free(line->frame[--line->n].bytes);
}

void fake_packet_reset(void)
{
	packet_clear(&packet.in);
	packet_clear(&packet.out);
	packet.exists = packet.open = packet.gone = false;
	packet.up = true;
	packet.room = PACKET_MAX;
	packet_owner = NULL;
}

static void packet_put(struct fake_line *line, const struct v3_net_offload *offload,
		       const void *bytes, uint32_t len)
{
	struct fake_frame *f = &line->frame[line->n++];

	if (line->n > PACKET_MAX)
		abort();
	f->offload = *offload;
	f->len = len;
	f->bytes = malloc(len + 1);
	memcpy(f->bytes, bytes, len);
}

/* The oldest one. @return its length, -1: none */
static long packet_take(struct fake_line *line, struct v3_net_offload *offload, void *bytes,
			uint32_t size)
{
	struct fake_frame f = line->frame[0];

	if (!line->n)
		return -1;
	memmove(line->frame, line->frame + 1, --line->n * sizeof(line->frame[0]));
	*offload = f.offload;
	memcpy(bytes, f.bytes, f.len < size ? f.len : size);
	free(f.bytes);
	return f.len < size ? f.len : size;
}

/* ---- for tests ---- */

void fake_packet_add(void)
{
	packet_clear(&packet.in);
	packet_clear(&packet.out);
	packet.exists = true;
}

/* Tell the library, without the lock as an interface would with its own. */
static void packet_tell(void)
{
	void (*ready)(void *arg);
	void *arg;

	pthread_mutex_lock(&packet.lock);
	ready = packet.open ? packet.ready : NULL;
	arg = packet.arg;
	pthread_mutex_unlock(&packet.lock);
	if (ready)
		ready(arg);
}

void fake_packet_send(const struct v3_net_offload *offload, const void *bytes, uint32_t len)
{
	pthread_mutex_lock(&packet.lock);
	packet_put(&packet.in, offload, bytes, len);
	pthread_mutex_unlock(&packet.lock);
	packet_tell();
}

long fake_packet_receive(struct v3_net_offload *offload, void *bytes, uint32_t size)
{
	long len;

	pthread_mutex_lock(&packet.lock);
	len = packet_take(&packet.out, offload, bytes, size);
	pthread_mutex_unlock(&packet.lock);
	return len;
}

unsigned fake_packet_unread(void)
{
	unsigned n;

	pthread_mutex_lock(&packet.lock);
	n = packet.in.n;
	pthread_mutex_unlock(&packet.lock);
	return n;
}

void fake_packet_room(unsigned frames)
{
	pthread_mutex_lock(&packet.lock);
	packet.room = frames;
	pthread_mutex_unlock(&packet.lock);
}

void fake_packet_up(bool up)
{
	pthread_mutex_lock(&packet.lock);
	packet.up = up;
	pthread_mutex_unlock(&packet.lock);
	packet_tell();
}

void fake_packet_remove(void)
{
	pthread_mutex_lock(&packet.lock);
	packet.gone = true;
	pthread_mutex_unlock(&packet.lock);
	packet_tell();
}

void fake_owner_set(uint64_t (*owner)(void *host_ctx))
{
	packet_owner = owner;
}

/* ---- the members ---- */

static int packet_open(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg,
		       void **interface)
{
	(void)host_ctx;
	fake_need_thread("packet open");
	if (!packet.exists || strcmp(name, "tap0"))
		return V3_ENOENT;
	if (!fake_grant(FAKE_PACKET))
		return V3_ENOMEM;
	if (packet.open)
		fake_violation("%s is opened twice", name);
	pthread_mutex_lock(&packet.lock);
	packet.open = true;
	packet.ready = ready;
	packet.arg = arg;
	pthread_mutex_unlock(&packet.lock);
	*interface = &packet;
	fake_track(FAKE_PACKET, (uintptr_t)&packet, 0);
	return V3_OK;
}

static void packet_close(void *interface)
{
	fake_need_thread("packet close");
	fake_untrack(FAKE_PACKET, (uintptr_t)interface, 0);
	pthread_mutex_lock(&packet.lock);
	packet.open = false;
	pthread_mutex_unlock(&packet.lock);
}

/* What needs an open interface, and a thread that may sleep; the lock is held from here on. */
static void packet_begin(const char *op)
{
	fake_need_thread(op);
	pthread_mutex_lock(&packet.lock);
	if (!packet.open)
		fake_violation("%s: the interface is closed", op);
}

static bool packet_up(void *interface)
{
	bool up;

	(void)interface;
	packet_begin("packet up");
	up = packet.up && !packet.gone;
	pthread_mutex_unlock(&packet.lock);
	return up;
}

static int packet_read(void *interface, struct v3_net_offload *offload, void *frame, uint32_t size)
{
	long len;

	(void)interface;
	packet_begin("packet read");
	len = packet_take(&packet.in, offload, frame, size);
	if (len < 0)
		len = packet.gone ? V3_ENODEV : V3_EAGAIN;
	pthread_mutex_unlock(&packet.lock);
	return (int)len;
}

static int packet_write(void *interface, const struct v3_net_offload *offload, const void *frame,
			uint32_t len)
{
	int err = V3_OK;

	(void)interface;
	packet_begin("packet write");
	if (!packet.up)
		err = V3_EIO;
	else if (packet.out.n >= packet.room)
		err = V3_EAGAIN;
	else
		packet_put(&packet.out, offload, frame, len);
	pthread_mutex_unlock(&packet.lock);
	return err;
}

uint64_t fake_op_owner(void *host_ctx)
{
	return packet_owner ? packet_owner(host_ctx) : 0;
}

const struct v3_host_packet_ops fake_packet_ops = {
	.open = packet_open,
	.close = packet_close,
	.up = packet_up,
	.read = packet_read,
	.write = packet_write,
};
