/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file uart.h
 * State of a UART, shared by uart.c (all that it does) and uart_save.c.
 */
#ifndef V3_DEVICES_CHAR_UART_H
#define V3_DEVICES_CHAR_UART_H

#include "palacios/save.h"
#include "palacios/vm.h"

struct v3_chr;
struct v3_timer;

#define UART_FIFO_LEN	16
#define UART_RING_LEN	4096 /* power of two */
#define UART_FCR_ENABLE 0x01

struct uart {
	struct v3_vm *vm;	  /* not owned; outlives the device */
	struct v3_chr *chr;	  /* owned; NULL: nothing is connected */
	struct v3_timer *timeout; /* owned: character time-out */
	struct v3_timer *retry;	  /* owned: offers the ring to the stream again */
	uint16_t port;
	uint8_t irq;

	struct v3_lock lock; /* guards all below */
	uint16_t divisor;
	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint8_t lsr_errors;  /* error bits of LSR, cleared by reading it */
	bool thre_pending;   /* the THRE interrupt has not been acknowledged */
	bool timed_out;	     /* the character time-out has passed */
	bool level;	     /* state of the interrupt line */
	bool more_input;     /* the stream may hold bytes that had no room */
	uint64_t timeout_ns; /* guest time of the character time-out */
	uint64_t armed_ns;   /* what its timer is armed for; may be earlier */
	uint8_t rx[UART_FIFO_LEN];
	uint8_t rx_head, rx_len;
	uint32_t ring_head, ring_len;
	uint64_t dropped; /* bytes lost because ring and stream were full */
	uint8_t ring[UART_RING_LEN];
};

/** Received bytes that there is room for. */
static inline unsigned uart_rx_size(const struct uart *uart)
{
	return uart->fcr & UART_FCR_ENABLE ? UART_FIFO_LEN : 1;
}

/* uart_save.c */

extern const struct v3_save_table v3_uart_save;
/** Do head and length lie in the ring? */
bool v3_uart_ring_valid(const struct uart *uart);

#endif
