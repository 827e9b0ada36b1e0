/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file uart_save.c
 * Saved state of a UART (palacios/save.h). Bytes on their way to the host's stream are state; the stream and what
 * waits in it for the guest are the host's. Used by uart.c's class.
 */
#include "devices/char/uart.h"

#include "palacios/error.h"

bool v3_uart_ring_valid(const struct uart *uart)
{
	return uart->ring_head < UART_RING_LEN && uart->ring_len <= UART_RING_LEN;
}

static int uart_save_loaded(void *state)
{
	const struct uart *uart = state;

	return uart->rx_head < UART_FIFO_LEN && uart->rx_len <= uart_rx_size(uart) &&
			       v3_uart_ring_valid(uart)
		       ? V3_OK
		       : V3_EINVAL;
}

static const struct v3_save_field uart_fields[] = {
	V3_SAVE_NOT(struct uart, vm),
	V3_SAVE_NOT(struct uart, chr),
	V3_SAVE_TIMER(struct uart, timeout),
	V3_SAVE_TIMER(struct uart, retry),
	V3_SAVE_NOT(struct uart, port),
	V3_SAVE_NOT(struct uart, irq),
	V3_SAVE_NOT(struct uart, lock),
	V3_SAVE(struct uart, divisor),
	V3_SAVE(struct uart, ier),
	V3_SAVE(struct uart, fcr),
	V3_SAVE(struct uart, lcr),
	V3_SAVE(struct uart, mcr),
	V3_SAVE(struct uart, msr),
	V3_SAVE(struct uart, scr),
	V3_SAVE(struct uart, lsr_errors),
	V3_SAVE(struct uart, thre_pending),
	V3_SAVE(struct uart, timed_out),
	V3_SAVE(struct uart, level),
	V3_SAVE(struct uart, more_input),
	V3_SAVE(struct uart, timeout_ns),
	V3_SAVE(struct uart, armed_ns),
	V3_SAVE(struct uart, rx),
	V3_SAVE(struct uart, rx_head),
	V3_SAVE(struct uart, rx_len),
	V3_SAVE(struct uart, ring_head),
	V3_SAVE(struct uart, ring_len),
	V3_SAVE(struct uart, dropped),
	V3_SAVE(struct uart, ring),
	V3_SAVE_END,
};
const struct v3_save_table v3_uart_save = {
	.fields = uart_fields,
	.size = sizeof(struct uart),
	.loaded = uart_save_loaded,
};
