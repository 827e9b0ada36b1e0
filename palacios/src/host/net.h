/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net.h
 * The library's networks (palacios/net.h): set up and taken down with it.
 */
#ifndef V3_HOST_NET_H
#define V3_HOST_NET_H

#include "palacios/vm.h"

struct v3_net;

/** All networks; in v3_lib. */
struct v3_nets {
	struct v3_lock lock; /* guards the list, and every network's list of ports */
	struct v3_net *first;
	void *wq; /* owned: who closes a port waits here until nobody polls it */
};

/** thread. @return V3_OK, V3_ENOMEM. */
int v3_net_init(void);
/** No port is open. */
void v3_net_fini(void);

#endif
