/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio_console_rig.h
 * A driver of virtio consoles: bytes both ways and control messages. Around virtio_rig.h.
 */
#ifndef TESTS_VIRTIO_CONSOLE_RIG_H
#define TESTS_VIRTIO_CONSOLE_RIG_H

#include "virtio_rig.h"

#define RX     0
#define TX     1
#define CTL_RX 2
#define CTL_TX 3
#define RX1    4
#define TX1    5

#define BUF(q, i) (RIG_DATA + 0x100000 + 0x10000 * (q) + 0x1000 * (i))

static inline void send(unsigned q, const void *bytes, uint32_t len)
{
	CHECK_EQ(v3_mem_write(bench.vm, BUF(q, 0), bytes, len), V3_OK);
	rig_desc(q, 0, BUF(q, 0), len, 0, 0);
	rig_offer(q, 0);
	rig_kick(q);
	fake_service(bench.vm);
}

static inline void offer(unsigned q, unsigned first, unsigned n, uint32_t len)
{
	for (unsigned i = first; i < first + n; i++) {
		rig_desc(q, i, BUF(q, i), len, RIG_WRITE, 0);
		rig_offer(q, (uint16_t)i);
	}
	rig_kick(q);
	fake_service(bench.vm);
}

/* Text of the next used buffer of @p q, "" if there is none; static. */
static inline const char *received(unsigned q)
{
	static char text[4096];
	uint32_t head;
	long n = rig_used(q, &head);

	text[0] = '\0';
	if (n > 0 && CHECK(n < (long)sizeof(text)) &&
	    CHECK_EQ(v3_mem_read(bench.vm, BUF(q, head), text, (size_t)n), V3_OK))
		text[n] = '\0';
	return text;
}

static inline void feed(const char *stream, const char *text)
{
	fake_console_feed(stream, text);
	fake_service(bench.vm);
}

static inline void control(uint32_t port, uint16_t event, uint16_t value)
{
	uint64_t message = port | (uint64_t)event << 32 | (uint64_t)value << 48;

	send(CTL_TX, &message, 8);
	CHECK_EQ(rig_used(CTL_TX, NULL), 0);
}

/* The next control message: port << 16 | event; -1: none. */
static inline long told(void)
{
	uint32_t head;
	long n = rig_used(CTL_RX, &head);
	uint64_t m;

	if (n < 0)
		return -1;
	CHECK(n >= 8);
	m = rig_peek(BUF(CTL_RX, head), 8);
	CHECK_EQ(m >> 48, 1);
	return (long)((m & 0xffff) << 16 | (m >> 32 & 0xffff));
}

#endif
