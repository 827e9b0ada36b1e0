/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_port.c
 * Ports of networks (palacios/net.h): they are opened and closed, and two of them are a cable, whose ends know of each
 * other. Called by network cards and uplinks; calls their ready and poll functions.
 */
#include "host/net_port.h"

#include "host/host.h"
#include "palacios/error.h"
#include "palacios/util/str.h"

int v3_net_init(void)
{
	v3_lib.nets.wq = v3_host_wq_create();
	return v3_lib.nets.wq ? v3_lock_init(&v3_lib.nets.lock) : V3_ENOMEM;
}

void v3_net_fini(void)
{
	v3_lock_destroy(&v3_lib.nets.lock);
	if (v3_lib.nets.wq)
		v3_host_wq_destroy(v3_lib.nets.wq);
	v3_lib.nets.wq = NULL;
}

static struct v3_net_port *net_make_port(void (*ready)(void *arg), void *arg)
{
	struct v3_net_port *port = v3_alloc(sizeof(*port));

	if (!port)
		return NULL;
	if (v3_net_queue_init(&port->queue)) {
		v3_free(port);
		return NULL;
	}
	port->ready = ready;
	port->arg = arg;
	port->carrier = true;
	return port;
}

static void net_free_port(struct v3_net_port *port)
{
	if (!port)
		return;
	v3_net_queue_fini(&port->queue);
	v3_free(port);
}

/* ---- cables ---- */

struct v3_net_port *v3_net_other(const struct v3_net_port *self)
{
	struct v3_net_port *port = self->net->ports, *other = NULL;

	for (; port; port = port->next) {
		if (port == self)
			continue;
		if (other)
			return NULL;
		other = port;
	}
	return other;
}

/*
 * The link of a card is that of the other one if there are two, else that to the switch. Then nobody waits and nobody is
 * polled. Lock held.
 */
static void net_update_links(struct v3_net *net)
{
	struct v3_net_port *port, *other;
	bool carrier;

	for (port = net->ports; port; port = port->next) {
		other = v3_net_other(port);
		carrier = !other || !other->down;
		if (carrier == port->carrier && !port->waits && (other || !port->polled))
			continue;
		if (!other)
			__atomic_store_n(&port->polled, false, __ATOMIC_SEQ_CST);
		__atomic_store_n(&port->carrier, carrier, __ATOMIC_RELAXED);
		v3_net_tell(port);
	}
}

void v3_net_set_link(struct v3_net_port *first, bool up)
{
	unsigned long flags = v3_lock_acquire(&v3_lib.nets.lock);

	if (first->down == up) {
		first->down = !up;
		net_update_links(first->net);
	}
	v3_lock_release(&v3_lib.nets.lock, flags);
}

bool v3_net_link(const struct v3_net_port *first)
{
	return __atomic_load_n(&first->carrier, __ATOMIC_RELAXED);
}

/* ---- polling ---- */

void v3_net_on_poll(struct v3_net_port *first, bool (*poll)(void *arg))
{
	unsigned long flags = v3_lock_acquire(&v3_lib.nets.lock);

	first->poll = poll;
	v3_lock_release(&v3_lib.nets.lock, flags);
}

/* The card that is polled is called without the lock; until it returns it is not closed. */
int v3_net_poll(struct v3_net_port *self)
{
	unsigned long flags = v3_lock_acquire(&v3_lib.nets.lock);
	struct v3_net_port *to = v3_net_other(self);
	int did = V3_ENOENT;

	if (to && to->poll) {
		__atomic_store_n(&to->polled, true, __ATOMIC_SEQ_CST);
		__atomic_store_n(&to->pollers, to->pollers + 1, __ATOMIC_SEQ_CST);
		v3_lock_release(&v3_lib.nets.lock, flags);
		did = to->poll(to->arg);
		flags = v3_lock_acquire(&v3_lib.nets.lock);
		__atomic_store_n(&to->pollers, to->pollers - 1, __ATOMIC_SEQ_CST);
		v3_host_wq_wake(v3_lib.nets.wq);
	}
	v3_lock_release(&v3_lib.nets.lock, flags);
	return did;
}

void v3_net_poll_end(struct v3_net_port *self)
{
	unsigned long flags = v3_lock_acquire(&v3_lib.nets.lock);
	struct v3_net_port *to = v3_net_other(self);

	if (to && to->polled) {
		__atomic_store_n(&to->polled, false, __ATOMIC_SEQ_CST);
		v3_net_tell(to);
	}
	v3_lock_release(&v3_lib.nets.lock, flags);
}

bool v3_net_polled(const struct v3_net_port *first)
{
	return __atomic_load_n(&first->polled, __ATOMIC_SEQ_CST);
}

static bool net_not_polled_now(void *arg)
{
	return !__atomic_load_n(&((struct v3_net_port *)arg)->pollers, __ATOMIC_SEQ_CST);
}

/* ---- ports come and go ---- */

/*
 * Plug in; @p spare becomes the network if there is none of its name and owner. Lock held.
 * @return @p spare if not used
 */
static struct v3_net *net_join(struct v3_net_port *port, struct v3_net *spare)
{
	struct v3_net *net = v3_lib.nets.first;

	while (net && (net->owner != spare->owner || v3_strcmp(net->name, spare->name)))
		net = net->next;
	if (!net) {
		net = spare;
		net->next = v3_lib.nets.first;
		v3_lib.nets.first = net;
		spare = NULL;
	}
	port->net = net;
	port->next = net->ports;
	net->ports = port;
	net_update_links(net);
	return spare;
}

int v3_net_open(struct v3_vm *vm, const char *name, void (*ready)(void *arg), void *arg,
		struct v3_net_port **out)
{
	struct v3_net_port *port = net_make_port(ready, arg);
	struct v3_net *net = v3_alloc(sizeof(*net));
	unsigned long flags;

	if (!net || !port) {
		net_free_port(port);
		v3_free(net);
		return V3_ENOMEM;
	}
	v3_strlcpy(net->name, name, sizeof(net->name));
	net->owner = v3_host_owner(v3_vm_host_ctx(vm));
	flags = v3_lock_acquire(&v3_lib.nets.lock);
	net = net_join(port, net);
	v3_lock_release(&v3_lib.nets.lock, flags);
	v3_free(net);
	*out = port;
	return V3_OK;
}

/* Make the port a card that can have more of them. */
static int net_make_card(struct v3_net_port *first)
{
	struct v3_net_card *card = v3_alloc(sizeof(*card));
	unsigned long flags;

	if (!card)
		return V3_ENOMEM;
	card->nports = card->active = 1;
	card->port[0] = first;
	flags = v3_lock_acquire(&v3_lib.nets.lock);
	first->card = card;
	__atomic_store_n(&first->net->steered, first->net->steered + 1, __ATOMIC_RELAXED);
	v3_lock_release(&v3_lib.nets.lock, flags);
	return V3_OK;
}

int v3_net_open_queue(struct v3_net_port *first, void (*ready)(void *arg), void *arg,
		      struct v3_net_port **out)
{
	struct v3_net_port *port;
	struct v3_net_card *card;
	unsigned long flags;
	int err;

	err = first->card ? V3_OK : net_make_card(first);
	if (err)
		return err;
	card = first->card;
	if (card->nports == V3_NET_QUEUES)
		return V3_ENOSPC;
	port = net_make_port(ready, arg);
	if (!port)
		return V3_ENOMEM;
	port->net = first->net;
	port->card = card;
	port->index = (uint8_t)card->nports;
	flags = v3_lock_acquire(&v3_lib.nets.lock);
	card->port[card->nports++] = port;
	v3_lock_release(&v3_lib.nets.lock, flags);
	*out = port;
	return V3_OK;
}

void v3_net_use_queues(struct v3_net_port *first, unsigned n)
{
	unsigned long flags;

	if (!first->card || !n || n > first->card->nports)
		return;
	flags = v3_lock_acquire(&v3_lib.nets.lock);
	first->card->active = n;
	memset(first->card->flow, 0, sizeof(first->card->flow));
	v3_lock_release(&v3_lib.nets.lock, flags);
}

/* Unplug. Lock held. @return the network if that was its last port */
static struct v3_net *net_leave(struct v3_net_port *port)
{
	struct v3_net *net = port->net, **n = &v3_lib.nets.first;
	struct v3_net_port **p = &net->ports;
	unsigned i;

	while (*p != port)
		p = &(*p)->next;
	*p = port->next;
	if (port->card)
		__atomic_store_n(&net->steered, net->steered - 1, __ATOMIC_RELAXED);
	for (i = 0; i < V3_NET_MACS; i++) {
		if (net->seen[i].port == port)
			net->seen[i].port = NULL;
	}
	if (net->ports) {
		net_update_links(net);
		return NULL;
	}
	while (*n != net)
		n = &(*n)->next;
	*n = net->next;
	return net;
}

void v3_net_close(struct v3_net_port *port)
{
	struct v3_net_card *card;
	unsigned long flags;
	struct v3_net *net;
	uint32_t i;

	if (!port)
		return;
	card = port->card;
	flags = v3_lock_acquire(&v3_lib.nets.lock);
	net = net_leave(port);
	v3_lock_release(&v3_lib.nets.lock, flags);
	v3_host_wq_sleep(v3_lib.nets.wq, net_not_polled_now, port);
	flags = v3_lock_acquire(
		&v3_lib.nets.lock); /* whoever has polled it has let go of the lock, too */
	v3_lock_release(&v3_lib.nets.lock, flags);
	v3_free(net);
	for (i = 1; card && i < card->nports; i++)
		net_free_port(card->port[i]);
	v3_free(card);
	net_free_port(port);
}
