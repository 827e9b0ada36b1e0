/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file console.c
 * virtio console device (virtio 1.2, 5.3) with several ports and emergency write; each port is a byte stream of the
 * host (palacios/chr.h). Port 0 is the console, the others are serial ports that the guest finds by name. Called by
 * the transport and, on vcpu 0's thread, by streams with input and by the timer; calls the streams.
 */
#include "devices/virtio/virtio.h"

#include "devices/devices.h"
#include "palacios/chr.h"
#include "palacios/error.h"
#include "palacios/timer.h"
#include "palacios/util/str.h"

#define VCON_ID	       3
#define VCON_PCI_CLASS 0x078000 /* simple communication, other */

#define VCON_F_MULTIPORT   1
#define VCON_F_EMERG_WRITE 2
#define VCON_EMERG	   8 /* offset of emerg_wr in the configuration */

/* Queues, 5.3.2: port 0, control, then the other ports; receive (to the guest) before transmit. */
#define VCON_CONTROL_RX 2
#define VCON_CONTROL_TX 3
#define VCON_MAX_PORTS	8
#define VCON_NQUEUES(n) (2u * ((n) + 1))

/* Control messages, 5.3.6.2 */
#define VCON_DEVICE_READY 0
#define VCON_DEVICE_ADD	  1
#define VCON_PORT_READY	  3
#define VCON_CONSOLE_PORT 4
#define VCON_PORT_OPEN	  6
#define VCON_PORT_NAME	  7

#define VCON_NAME_LEN 32
#define VCON_STAGE    256u
#define VCON_RUN_MAX  0x10000u	 /* bytes sent in one run: a chain may have 4 GiB of them */
#define VCON_RETRY_NS 1000000ull /* until a full stream of the host is tried again */

struct vcon_config {
	uint16_t cols, rows; /* not offered */
	uint32_t max_ports;
	uint32_t emerg_wr;
};
_Static_assert(offsetof(struct vcon_config, emerg_wr) == VCON_EMERG, "5.3.4");

struct vcon_message {
	uint32_t port;
	uint16_t event, value;
};

/* Bytes on their way from a stream to a queue; the queue's runner's. */
struct vcon_stage {
	uint32_t pos, len;
	uint8_t buf[VCON_STAGE];
};

struct vcon;

struct vcon_port {
	struct vcon *vcon;	/* not owned; holds this */
	struct v3_chr *chr;	/* owned */
	struct v3_timer *retry; /* owned */
	uint32_t index;
	uint32_t tell; /* events the driver is still to be told, a bit each; atomic */
	uint32_t open; /* the guest has the port open; atomic */
	uint64_t sent; /* bytes of the transmit queue's next chain; its runner's */
	char name[VCON_NAME_LEN];
	struct vcon_stage in;
};

struct vcon {
	struct v3_vm *vm;      /* not owned; outlives the device */
	struct v3_virtio *dev; /* owned */
	uint32_t nports;
	struct vcon_port port[];
};

static struct v3_vq *vcon_queue(struct vcon *vcon, unsigned index)
{
	return &vcon->dev->queue[index];
}

static struct v3_vq *vcon_port_queue(struct vcon_port *port, bool transmit)
{
	unsigned pair = port->index ? port->index + 1 : 0;

	return vcon_queue(port->vcon, 2 * pair + transmit);
}

/* ---- control ---- */

static void vcon_tell(struct vcon_port *port, uint32_t events)
{
	__atomic_fetch_or(&port->tell, events, __ATOMIC_SEQ_CST);
}

static void vcon_message(struct vcon *vcon, const struct vcon_message *m)
{
	uint32_t events = 1u << VCON_PORT_OPEN, i;

	if (m->event == VCON_DEVICE_READY && m->value) {
		for (i = 0; i < vcon->nports; i++)
			vcon_tell(&vcon->port[i], 1u << VCON_DEVICE_ADD);
		return;
	}
	if (m->port >= vcon->nports)
		return; /* no such port: nothing to answer */
	if (m->event == VCON_PORT_READY && m->value) {
		events |= m->port ? 1u << VCON_PORT_NAME : 1u << VCON_CONSOLE_PORT;
		vcon_tell(&vcon->port[m->port], events);
	} else if (m->event == VCON_PORT_OPEN) {
		__atomic_store_n(&vcon->port[m->port].open, m->value != 0, __ATOMIC_SEQ_CST);
		v3_virtio_run_later(vcon_port_queue(&vcon->port[m->port], false));
	}
}

/* What the driver says; an event it may not send, or a message cut short, has no effect. */
static void vcon_control_tx(struct vcon *vcon, struct v3_vq *q)
{
	struct vcon_message m;

	while (v3_vq_pop(q)) {
		if (v3_vq_read(q, &m, sizeof(m)))
			vcon_message(vcon, &m);
		v3_vq_put(q, q->chain->head, 0);
	}
	v3_virtio_run_later(vcon_queue(vcon, VCON_CONTROL_RX));
}

/* Tell the driver one event of the port. @return false: there is no buffer, later */
static bool vcon_tell_one(struct vcon_port *port, struct v3_vq *q, unsigned event)
{
	struct vcon_message m = {.port = port->index, .event = (uint16_t)event, .value = 1};

	if (!v3_vq_pop(q))
		return false;
	if (!v3_vq_write(q, &m, sizeof(m)) ||
	    (event == VCON_PORT_NAME &&
	     !v3_vq_write(q, port->name, (uint32_t)v3_strlen(port->name)))) {
		v3_virtio_fail(q->dev, "a control buffer too short for a message");
		return false;
	}
	__atomic_fetch_and(&port->tell, ~(1u << event), __ATOMIC_SEQ_CST);
	v3_vq_put(q, q->chain->head, v3_vq_written(q));
	return true;
}

static void vcon_control_rx(struct vcon *vcon, struct v3_vq *q)
{
	static const uint8_t order[] = {VCON_DEVICE_ADD, VCON_CONSOLE_PORT, VCON_PORT_NAME,
					VCON_PORT_OPEN};
	uint32_t i, k;

	for (i = 0; i < vcon->nports; i++) {
		for (k = 0; k < V3_ARRAY_SIZE(order); k++) {
			uint32_t tell = __atomic_load_n(&vcon->port[i].tell, __ATOMIC_SEQ_CST);

			if ((tell >> order[k] & 1) && !vcon_tell_one(&vcon->port[i], q, order[k]))
				return;
		}
	}
}

/* ---- to the guest ---- */

static bool vcon_is_open(const struct vcon_port *port)
{
	return !v3_virtio_has(port->vcon->dev, VCON_F_MULTIPORT) ||
	       __atomic_load_n(&port->open, __ATOMIC_SEQ_CST);
}

/* Are there bytes for the guest? What a closed port is sent waits in the host. */
static bool vcon_have_input(struct vcon_port *port)
{
	struct vcon_stage *in = &port->in;

	if (in->pos < in->len)
		return true;
	in->pos = 0;
	in->len = vcon_is_open(port) ? (uint32_t)v3_chr_read(port->chr, in->buf, VCON_STAGE) : 0;
	return in->len != 0;
}

static void vcon_receive(struct vcon_port *port, struct v3_vq *q)
{
	struct vcon_stage *in = &port->in;
	uint32_t n;

	while (vcon_have_input(port) && v3_vq_pop(q)) {
		while (q->chain->in.left && vcon_have_input(port)) {
			n = in->len - in->pos;
			if (n > q->chain->in.left)
				n = (uint32_t)q->chain->in.left;
			if (!v3_vq_write(q, in->buf + in->pos, n))
				return;
			in->pos += n;
		}
		v3_vq_put(q, q->chain->head, v3_vq_written(q));
	}
}

/* ---- from the guest ---- */

/* Send the rest of the chain, up to *@p room bytes. @return false: not all of it; the stream is full if there is room */
static bool vcon_send_chain(struct vcon_port *port, struct v3_vq *q, uint32_t *room)
{
	uint8_t buf[VCON_STAGE];
	uint32_t n, sent;
	void *p;

	if (!v3_vq_skip(q, false, port->sent))
		return true; /* there are no more */
	while ((p = v3_vq_piece(q, false, *room < VCON_STAGE ? *room : VCON_STAGE, &n)) != NULL) {
		memcpy(buf, p, n);
		sent = (uint32_t)v3_chr_write(port->chr, buf, n);
		port->sent += sent;
		*room -= sent;
		if (sent < n)
			return false;
	}
	return *room || !q->chain->out.left;
}

/* A chain that there is no room for is left in the queue; the rest of it is sent later. */
static void vcon_transmit(struct vcon_port *port, struct v3_vq *q)
{
	struct v3_vq_mark start = v3_vq_mark(q);
	uint32_t room = VCON_RUN_MAX;

	for (; v3_vq_pop(q); start = v3_vq_mark(q)) {
		if (!vcon_send_chain(port, q, &room)) {
			v3_vq_rewind(q, start);
			if (room)
				v3_timer_arm(port->retry,
					     v3_time_ns(port->vcon->vm) + VCON_RETRY_NS);
			else
				v3_virtio_run_later(q);
			return;
		}
		port->sent = 0;
		v3_vq_put(q, q->chain->head, 0);
	}
}

static void vcon_process(void *priv, struct v3_vq *q)
{
	struct vcon *vcon = priv;
	unsigned pair = q->index / 2u;

	if (q->index == VCON_CONTROL_RX)
		vcon_control_rx(vcon, q);
	else if (q->index == VCON_CONTROL_TX)
		vcon_control_tx(vcon, q);
	else if (q->index & 1)
		vcon_transmit(&vcon->port[pair ? pair - 1 : 0], q);
	else
		vcon_receive(&vcon->port[pair ? pair - 1 : 0], q);
}

/* By the stream: bytes may have arrived. */
static void vcon_input(struct v3_vcpu *vcpu, void *priv)
{
	v3_virtio_run(vcpu, vcon_port_queue(priv, false));
}

static void vcon_retry(struct v3_vcpu *vcpu, void *priv)
{
	v3_virtio_run(vcpu, vcon_port_queue(priv, true));
}

/* ---- device ---- */

static void vcon_state(void *priv, bool live)
{
	struct vcon *vcon = priv;
	uint32_t i;

	for (i = 0; !live && i < vcon->nports; i++) {
		vcon->port[i].tell = 0;
		vcon->port[i].open = 0;
		vcon->port[i].sent = 0;
	}
}

/* A character to the console, whatever state the device is in (5.3.4). */
static void vcon_config_write(void *priv, unsigned off, unsigned size, uint32_t value)
{
	struct vcon *vcon = priv;
	uint8_t byte = (uint8_t)value;

	(void)size;
	if (off == VCON_EMERG)
		v3_chr_write(vcon->port[0].chr, &byte, 1);
}

static const struct v3_virtio_class vcon_class = {
	.name = "virtio_console",
	.id = VCON_ID,
	.pci_class = VCON_PCI_CLASS,
	.process = vcon_process,
	.state = vcon_state,
	.config_write = vcon_config_write,
};

static bool vcon_stage_valid(const struct vcon_stage *stage)
{
	return stage->pos <= stage->len && stage->len <= VCON_STAGE;
}

static void vcon_configure(struct vcon *vcon)
{
	struct vcon_config config = {.max_ports = vcon->nports};

	v3_virtio_set_config(vcon->dev, 0, &config, sizeof(config));
}

/* What came from the host stays, unless it is of a saved state that was refused; so does what the device says of itself. */
static void vcon_reset(void *state)
{
	struct vcon *vcon = state;
	uint32_t i;

	v3_virtio_reset(vcon->dev);
	vcon_configure(vcon);
	for (i = 0; i < vcon->nports; i++) {
		if (!vcon_stage_valid(&vcon->port[i].in))
			vcon->port[i].in.pos = vcon->port[i].in.len = 0;
	}
}

/* Streams go first: from then on nobody calls vcon_input(). */
static void vcon_destroy(void *state)
{
	struct vcon *vcon = state;
	uint32_t i;

	for (i = 0; i < vcon->nports; i++) {
		v3_chr_close(vcon->port[i].chr);
		v3_timer_destroy(vcon->port[i].retry);
	}
	v3_virtio_destroy(vcon->dev);
	v3_free(vcon);
}

static int vcon_open_port(struct vcon *vcon, uint32_t i, const char *stream)
{
	struct vcon_port *port = &vcon->port[i];
	int err;

	port->vcon = vcon;
	port->index = i;
	v3_strlcpy(port->name, stream, sizeof(port->name));
	err = v3_timer_create(vcon->vm, NULL, vcon_retry, port, &port->retry);
	if (!err && stream[0])
		err = v3_chr_open(vcon->vm, stream, vcon_input, port, &port->chr);
	return err;
}

static int vcon_create_parts(struct vcon *vcon, const struct v3_cfg *cfg)
{
	struct v3_virtio_params params = {
		.nqueues = VCON_NQUEUES(vcon->nports),
		.config_len = sizeof(struct vcon_config),
		.cfg = cfg,
		.features = VIRTIO_BIT(VCON_F_MULTIPORT) | VIRTIO_BIT(VCON_F_EMERG_WRITE),
	};
	uint32_t i;
	int err;

	err = v3_virtio_create(vcon->vm, &vcon_class, &params, vcon, &vcon->dev);
	if (err)
		return err;
	vcon_configure(vcon);
	for (i = 0; !err && i < vcon->nports; i++)
		err = vcon_open_port(vcon, i,
				     i ? v3_cfg_string_at(cfg, "ports", i - 1)
				       : v3_cfg_string(cfg, "console"));
	return err;
}

static int vcon_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	uint32_t nports = 1 + v3_cfg_count(cfg, "ports");
	struct vcon *vcon;
	int err;

	if (nports > VCON_MAX_PORTS)
		return V3_E2BIG;
	vcon = v3_alloc(sizeof(*vcon) + nports * sizeof(vcon->port[0]));
	if (!vcon)
		return V3_ENOMEM;
	vcon->vm = vm;
	vcon->nports = nports;
	err = vcon_create_parts(vcon, cfg);
	if (err) {
		vcon_destroy(vcon);
		return err;
	}
	*state = vcon;
	return V3_OK;
}

/* ---- saved state ---- */

static int vcon_stage_loaded(void *state)
{
	return vcon_stage_valid(state) ? V3_OK : V3_EINVAL;
}

static const struct v3_save_field vcon_stage_fields[] = {
	V3_SAVE(struct vcon_stage, pos),
	V3_SAVE(struct vcon_stage, len),
	V3_SAVE(struct vcon_stage, buf),
	V3_SAVE_END,
};
static const struct v3_save_table vcon_stage_save = {.fields = vcon_stage_fields,
						     .size = sizeof(struct vcon_stage),
						     .loaded = vcon_stage_loaded};

static const struct v3_save_field vcon_port_fields[] = {
	V3_SAVE_NOT(struct vcon_port, vcon),
	V3_SAVE_NOT(struct vcon_port, chr),
	V3_SAVE_TIMER(struct vcon_port, retry),
	V3_SAVE_NOT(struct vcon_port, index),
	V3_SAVE(struct vcon_port, tell),
	V3_SAVE(struct vcon_port, open),
	V3_SAVE(struct vcon_port, sent),
	V3_SAVE_NOT(struct vcon_port, name),
	V3_SAVE_PARTS(struct vcon_port, in, &vcon_stage_save),
	V3_SAVE_END,
};
static const struct v3_save_table vcon_port_save = {.fields = vcon_port_fields,
						    .size = sizeof(struct vcon_port)};

static const struct v3_save_field vcon_fields[] = {
	V3_SAVE_NOT(struct vcon, vm),
	V3_SAVE_PARTS_AT(struct vcon, dev, &v3_virtio_save),
	V3_SAVE_NOT(struct vcon, nports),
	V3_SAVE_PARTS_N(struct vcon, port, nports, &vcon_port_save),
	V3_SAVE_END,
};
static const struct v3_save_table vcon_save = {.fields = vcon_fields, .size = sizeof(struct vcon)};

static const struct v3_cfg_key vcon_keys[] = {
	VIRTIO_KEYS,
	{.name = "console", .type = V3_CFG_STRING, .high = VCON_NAME_LEN - 1},
	{.name = "ports", .type = V3_CFG_STRINGS, .high = VCON_NAME_LEN - 1},
	{.name = NULL},
};

const struct v3_device_class v3_device_virtio_console = {
	.name = "virtio_console",
	.save = &vcon_save,
	.keys = vcon_keys,
	.create = vcon_create,
	.reset = vcon_reset,
	.destroy = vcon_destroy,
};
