/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file uart.c
 * 16550A UART (National PC16550D data sheet, SNLS378). Section titles below are that data sheet's.
 *
 * Transmission takes no time: a byte goes to the host stream in the access that writes it, so the
 * transmitter is always empty and a transmitting guest costs no timer. Bytes the stream does not take at
 * once wait in a ring and are offered again every few milliseconds. Received bytes stay with the host until
 * the FIFO has room, so nothing is lost however slowly the guest reads.
 *
 * The interrupt line is a level, gated by OUT2 as PC wiring does. Breaks are neither sent nor received.
 */
#include "devices/char/uart.h"

#include "devices/devices.h"
#include "devices/port8.h"
#include "palacios/chr.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/log.h"
#include "palacios/platform.h"
#include "palacios/timer.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "uart"

#define UART_NPORTS   8
#define UART_RETRY_NS (5 * 1000000ull) /* a full host stream is tried again after this */

/* Register offsets, "Summary of Registers" */
enum { UART_DATA, UART_IER, UART_IIR_FCR, UART_LCR, UART_MCR, UART_LSR, UART_MSR, UART_SCR };

#define UART_IER_RDA  0x01 /* received data available */
#define UART_IER_THRE 0x02
#define UART_IER_RLS  0x04 /* receiver line status */
#define UART_IER_MSR  0x08
#define UART_IER_BITS 0x0f

/* "Interrupt Identification Register": pending interrupts in order of priority */
#define UART_IIR_RLS  0x06
#define UART_IIR_RDA  0x04
#define UART_IIR_CTI  0x0c /* character time-out */
#define UART_IIR_THRE 0x02
#define UART_IIR_MSR  0x00
#define UART_IIR_NONE 0x01
#define UART_IIR_FIFO 0xc0 /* FIFOs are enabled */

#define UART_FCR_RX_CLR	 0x02
#define UART_FCR_TRIGGER 6 /* shift of the two trigger bits */

#define UART_LCR_BITS	0x03 /* word length - 5 */
#define UART_LCR_STOP	0x04
#define UART_LCR_PARITY 0x08
#define UART_LCR_DLAB	0x80

#define UART_MCR_DTR  0x01
#define UART_MCR_RTS  0x02
#define UART_MCR_OUT1 0x04
#define UART_MCR_OUT2 0x08
#define UART_MCR_LOOP 0x10
#define UART_MCR_BITS 0x1f

#define UART_LSR_DR   0x01
#define UART_LSR_OE   0x02
#define UART_LSR_ERRS 0x1e
#define UART_LSR_THRE 0x20
#define UART_LSR_TEMT 0x40

#define UART_MSR_DELTAS 0x0f
#define UART_MSR_TERI	0x04
#define UART_MSR_CTS	0x10
#define UART_MSR_DSR	0x20
#define UART_MSR_RI	0x40
#define UART_MSR_DCD	0x80

/* ---- interrupts ---- */

/* Received bytes at which the data interrupt comes. Lock held. */
static unsigned uart_trigger(const struct uart *uart)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	return uart->fcr & UART_FCR_ENABLE ? level[uart->fcr >> UART_FCR_TRIGGER] : 1;
}

/* Highest pending interrupt as IIR shows it. Lock held. */
static uint8_t uart_pending(const struct uart *uart)
{
	if ((uart->ier & UART_IER_RLS) && uart->lsr_errors)
		return UART_IIR_RLS;
	if (uart->ier & UART_IER_RDA) {
		if (uart->rx_len >= uart_trigger(uart))
			return UART_IIR_RDA;
		if (uart->timed_out)
			return UART_IIR_CTI;
	}
	if ((uart->ier & UART_IER_THRE) && uart->thre_pending)
		return UART_IIR_THRE;
	if ((uart->ier & UART_IER_MSR) && (uart->msr & UART_MSR_DELTAS))
		return UART_IIR_MSR;
	return UART_IIR_NONE;
}

/* Drive the line. The loopback mode forces OUT2 inactive, "Modem Control Register". Lock held. */
static void uart_update_irq(struct uart *uart)
{
	bool level = uart->ier && (uart->mcr & (UART_MCR_OUT2 | UART_MCR_LOOP)) == UART_MCR_OUT2 &&
		     uart_pending(uart) != UART_IIR_NONE;

	if (level == uart->level)
		return;
	uart->level = level;
	v3_irq_set(uart->vm, uart->irq, level);
}

/* Four character times at the programmed speed, "FIFO Interrupt Mode Operation"; 115200 baud at divisor 1. */
static uint64_t uart_timeout_len(const struct uart *uart)
{
	unsigned bits = 1 + 5 + (uart->lcr & UART_LCR_BITS) + 1;

	bits += (uart->lcr & UART_LCR_PARITY) ? 1 : 0;
	bits += (uart->lcr & UART_LCR_STOP) ? 1 : 0;
	return 4ull * bits * (uart->divisor ? uart->divisor : 1) * 78125 / 9;
}

static void uart_arm_timeout(struct uart *uart)
{
	uart->armed_ns = uart->timeout_ns;
	v3_timer_arm(uart->timeout, uart->armed_ns);
}

/*
 * The FIFO was filled or read: (re)start the character time-out if the guest waits for it. A timer armed
 * for an earlier moment is left alone: it looks at timeout_ns when it fires. Lock held.
 */
static void uart_start_timeout(struct uart *uart)
{
	if (!(uart->fcr & UART_FCR_ENABLE) || !(uart->ier & UART_IER_RDA) || uart->timed_out ||
	    !uart->rx_len || uart->rx_len >= uart_trigger(uart))
		return;
	uart->timeout_ns = v3_time_ns(uart->vm) + uart_timeout_len(uart);
	if (!v3_timer_armed(uart->timeout) || uart->timeout_ns < uart->armed_ns)
		uart_arm_timeout(uart);
}

static void uart_timeout_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct uart *uart = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&uart->lock);
	if (uart->rx_len && uart->rx_len < uart_trigger(uart)) {
		if (v3_time_ns(uart->vm) < uart->timeout_ns)
			uart_arm_timeout(uart);
		else
			uart->timed_out = (uart->fcr & UART_FCR_ENABLE) != 0;
	}
	uart_update_irq(uart);
	v3_lock_release(&uart->lock, flags);
}

/* ---- receiver ---- */

static unsigned uart_rx_room(const struct uart *uart)
{
	return uart_rx_size(uart) - uart->rx_len;
}

static void uart_rx_push(struct uart *uart, uint8_t byte)
{
	uart->rx[(uart->rx_head + uart->rx_len) % UART_FIFO_LEN] = byte;
	uart->rx_len++;
}

/* Fetch from the stream what the FIFO has room for. Lock held. */
static void uart_fill(struct uart *uart)
{
	uint8_t buf[UART_FIFO_LEN];
	unsigned room = uart_rx_room(uart);
	size_t i, n;

	if (!room || (uart->mcr & UART_MCR_LOOP)) { /* loopback disconnects the serial input */
		uart->more_input = true;
		return;
	}
	n = v3_chr_read(uart->chr, buf, room);
	if (n > room)
		n = room;
	for (i = 0; i < n; i++)
		uart_rx_push(uart, buf[i]);
	uart->more_input = n == room;
	if (n)
		uart_start_timeout(uart);
}

static void uart_input(struct v3_vcpu *vcpu, void *priv)
{
	struct uart *uart = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&uart->lock);
	uart_fill(uart);
	uart_update_irq(uart);
	v3_lock_release(&uart->lock, flags);
}

static uint8_t uart_read_data(struct uart *uart)
{
	uint8_t byte = uart->rx[uart->rx_head];

	uart->timed_out = false;
	if (uart->rx_len) {
		uart->rx_head = (uart->rx_head + 1) % UART_FIFO_LEN;
		uart->rx_len--;
	}
	if (!uart->rx_len && uart->more_input)
		uart_fill(uart);
	else
		uart_start_timeout(uart);
	return byte;
}

static void uart_clear_rx(struct uart *uart)
{
	uart->rx_head = 0;
	uart->rx_len = 0;
	uart->timed_out = false;
}

/* A byte of our own transmitter came back. An overrun keeps a full FIFO but replaces a lone byte. */
static void uart_loop_back(struct uart *uart, uint8_t byte)
{
	if (!uart_rx_room(uart)) {
		uart->lsr_errors |= UART_LSR_OE;
		if (!(uart->fcr & UART_FCR_ENABLE))
			uart->rx[uart->rx_head] = byte;
		return;
	}
	uart_rx_push(uart, byte);
	uart_start_timeout(uart);
}

/* ---- transmitter ---- */

/* Offer the ring to the stream. Lock held. */
static void uart_drain(struct uart *uart)
{
	uint32_t chunk;
	size_t n;

	while (uart->ring_len) {
		chunk = UART_RING_LEN - uart->ring_head;
		if (chunk > uart->ring_len)
			chunk = uart->ring_len;
		n = v3_chr_write(uart->chr, uart->ring + uart->ring_head, chunk);
		if (n > chunk)
			n = chunk;
		uart->ring_head = (uart->ring_head + (uint32_t)n) % UART_RING_LEN;
		uart->ring_len -= (uint32_t)n;
		if (n < chunk)
			break;
	}
}

static void uart_retry_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct uart *uart = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&uart->lock);
	uart_drain(uart);
	if (uart->ring_len)
		v3_timer_arm(uart->retry, v3_time_ns(uart->vm) + UART_RETRY_NS);
	v3_lock_release(&uart->lock, flags);
}

static void uart_send(struct uart *uart, uint8_t byte)
{
	if (!uart->ring_len && v3_chr_write(uart->chr, &byte, 1) == 1)
		return;
	if (uart->ring_len == UART_RING_LEN) {
		uart->dropped++;
		V3_GUEST_WARN(uart->vm, "host stream is full, %llu bytes lost",
			      (unsigned long long)uart->dropped);
		return;
	}
	uart->ring[(uart->ring_head + uart->ring_len) % UART_RING_LEN] = byte;
	if (!uart->ring_len++)
		v3_timer_arm(uart->retry, v3_time_ns(uart->vm) + UART_RETRY_NS);
}

/*
 * The write takes the THRE interrupt back and, as the byte is gone at once, raises it anew: a falling and
 * a rising edge, which an edge-triggered interrupt controller needs to see.
 */
static void uart_write_data(struct uart *uart, uint8_t byte)
{
	if (uart->ier & UART_IER_THRE) {
		uart->thre_pending = false;
		uart_update_irq(uart);
	}
	if (uart->mcr & UART_MCR_LOOP)
		uart_loop_back(uart, byte);
	else
		uart_send(uart, byte);
	uart->thre_pending = true;
}

/* ---- modem lines ---- */

/* Modem status after a change of MCR: no modem is there, all its lines are up; loopback shows MCR. */
static void uart_update_modem(struct uart *uart)
{
	uint8_t lines = UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	uint8_t changed, ended;

	if (uart->mcr & UART_MCR_LOOP)
		lines = (uint8_t)((uart->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
				  (uart->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
				  (uart->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
				  (uart->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
	changed = (uint8_t)((uart->msr ^ lines) >> 4);
	ended = (uint8_t)((uart->msr & ~lines) >> 4);
	/* RI counts at its trailing edge only, "Modem Status Register" */
	changed = (uint8_t)((changed & ~UART_MSR_TERI) | (ended & UART_MSR_TERI));
	uart->msr = (uint8_t)(lines | (uart->msr & UART_MSR_DELTAS) | changed);
}

/* ---- registers ---- */

static void uart_write_ier(struct uart *uart, uint8_t value)
{
	uint8_t on = (uint8_t)(value & ~uart->ier);

	uart->ier = value & UART_IER_BITS;
	if (on & UART_IER_THRE) /* the transmitter is empty: enabling raises the interrupt */
		uart->thre_pending = true;
	if (on & UART_IER_RDA)
		uart_start_timeout(uart);
}

static void uart_write_fcr(struct uart *uart, uint8_t value)
{
	bool toggled = (value ^ uart->fcr) & UART_FCR_ENABLE;

	/* Other bits are programmed only together with the enable bit; toggling it clears the FIFOs. */
	if (toggled || ((value & UART_FCR_ENABLE) && (value & UART_FCR_RX_CLR)))
		uart_clear_rx(uart);
	uart->fcr = value & UART_FCR_ENABLE ? (uint8_t)(value & 0xc9) : 0;
	if (uart->rx_len >= uart_trigger(uart))
		uart->timed_out = false;
	if (uart->more_input)
		uart_fill(uart);
	uart_start_timeout(uart);
}

static void uart_write_mcr(struct uart *uart, uint8_t value)
{
	uart->mcr = value & UART_MCR_BITS;
	uart_update_modem(uart);
	if (uart->more_input)
		uart_fill(uart);
}

static void uart_write8(void *dev, unsigned off, uint8_t value)
{
	struct uart *uart = dev;
	bool dlab = uart->lcr & UART_LCR_DLAB;

	switch (off) {
	case UART_DATA:
		if (dlab)
			uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
		else
			uart_write_data(uart, value);
		break;
	case UART_IER:
		if (dlab)
			uart->divisor = (uint16_t)((uart->divisor & 0x00ff) | value << 8);
		else
			uart_write_ier(uart, value);
		break;
	case UART_IIR_FCR:
		uart_write_fcr(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart_write_mcr(uart, value);
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	default:
		break; /* LSR and MSR: writing is for factory tests */
	}
	uart_update_irq(uart);
}

static uint8_t uart_read_iir(struct uart *uart)
{
	uint8_t iir = uart_pending(uart);

	if (iir == UART_IIR_THRE) {
		uart->thre_pending = false;
		uart_update_irq(uart);
	}
	return uart->fcr & UART_FCR_ENABLE ? iir | UART_IIR_FIFO : iir;
}

static uint8_t uart_read_lsr(struct uart *uart)
{
	uint8_t lsr = UART_LSR_THRE | UART_LSR_TEMT | uart->lsr_errors;

	if (uart->rx_len)
		lsr |= UART_LSR_DR;
	if (uart->lsr_errors) {
		uart->lsr_errors = 0;
		uart_update_irq(uart);
	}
	return lsr;
}

static uint8_t uart_read_msr(struct uart *uart)
{
	uint8_t msr = uart->msr;

	uart->msr &= (uint8_t)~UART_MSR_DELTAS;
	uart_update_irq(uart);
	return msr;
}

static uint8_t uart_read8(void *dev, unsigned off)
{
	struct uart *uart = dev;
	bool dlab = uart->lcr & UART_LCR_DLAB;
	uint8_t value;

	switch (off) {
	case UART_DATA:
		if (dlab)
			return (uint8_t)uart->divisor;
		value = uart_read_data(uart);
		uart_update_irq(uart);
		return value;
	case UART_IER:
		return dlab ? (uint8_t)(uart->divisor >> 8) : uart->ier;
	case UART_IIR_FCR:
		return uart_read_iir(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return uart_read_lsr(uart);
	case UART_MSR:
		return uart_read_msr(uart);
	default:
		return uart->scr;
	}
}

static int uart_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct uart *uart = priv;
	unsigned long flags;

	(void)vcpu;
	/* The status a polling driver reads before each byte: no state changes, so no lock is needed. */
	if (io->port == uart->port + UART_LSR && !io->write && io->size == 1 &&
	    !__atomic_load_n(&uart->lsr_errors, __ATOMIC_RELAXED)) {
		io->value = UART_LSR_THRE | UART_LSR_TEMT |
			    (__atomic_load_n(&uart->rx_len, __ATOMIC_RELAXED) ? UART_LSR_DR : 0);
		return V3_OK;
	}
	flags = v3_lock_acquire(&uart->lock);
	v3_port8_access(io, uart, uart->port, UART_NPORTS, uart_read8, uart_write8);
	v3_lock_release(&uart->lock, flags);
	return V3_OK;
}

/* ---- device ---- */

/*
 * Values after "Master Reset"; the divisor is undefined there, 9600 baud here. What waits in
 * the ring was sent before the reset, so it still goes out.
 */
static void uart_reset(void *state)
{
	struct uart *uart = state;
	unsigned long flags;

	flags = v3_lock_acquire(&uart->lock);
	v3_timer_cancel(uart->timeout);
	if (!v3_uart_ring_valid(uart)) /* of a saved state that was refused */
		uart->ring_head = uart->ring_len = 0;
	uart->divisor = 12;
	uart->ier = 0;
	uart->fcr = 0;
	uart->lcr = 0;
	uart->mcr = 0;
	uart->scr = 0;
	uart->lsr_errors = 0;
	uart->thre_pending = true;
	uart->more_input = true;
	uart->rx[0] = 0;
	uart_clear_rx(uart);
	uart_update_modem(uart);
	uart->msr &= (uint8_t)~UART_MSR_DELTAS;
	uart_update_irq(uart);
	v3_lock_release(&uart->lock, flags);
}

static int uart_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	const char *console = v3_cfg_string(cfg, "console");
	struct uart *uart;
	int err;

	uart = v3_alloc(sizeof(*uart));
	if (!uart)
		return V3_ENOMEM;
	uart->vm = vm;
	uart->port = (uint16_t)v3_cfg_uint(cfg, "port");
	uart->irq = (uint8_t)v3_cfg_uint(cfg, "irq");
	err = v3_lock_init(&uart->lock);
	if (err)
		goto free_uart;
	err = v3_timer_create(vm, NULL, uart_timeout_fire, uart, &uart->timeout);
	if (err)
		goto destroy_lock;
	err = v3_timer_create(vm, NULL, uart_retry_fire, uart, &uart->retry);
	if (err)
		goto destroy_timeout;
	err = v3_io_register(vm, uart->port, UART_NPORTS, uart_io, uart);
	if (err)
		goto destroy_retry;
	/* Last, because the host may report input from here on. */
	if (console[0]) {
		err = v3_chr_open(vm, console, uart_input, uart, &uart->chr);
		if (err)
			goto release_ports;
	}
	*state = uart;
	return V3_OK;

release_ports:
	v3_io_unregister(vm, uart->port);
destroy_retry:
	v3_timer_destroy(uart->retry);
destroy_timeout:
	v3_timer_destroy(uart->timeout);
destroy_lock:
	v3_lock_destroy(&uart->lock);
free_uart:
	v3_free(uart);
	return err;
}

static void uart_destroy(void *state)
{
	struct uart *uart = state;

	uart_drain(uart);
	if (uart->dropped)
		V3_WARN(uart->vm, "port %#x lost %llu bytes to a slow host stream", uart->port,
			(unsigned long long)uart->dropped);
	v3_chr_close(uart->chr);
	v3_io_unregister(uart->vm, uart->port);
	v3_timer_destroy(uart->retry);
	v3_timer_destroy(uart->timeout);
	v3_lock_destroy(&uart->lock);
	v3_free(uart);
}

static const struct v3_cfg_key uart_keys[] = {
	{.name = "port",
	 .type = V3_CFG_UINT,
	 .low = 0x100,
	 .high = 0x10000 - UART_NPORTS,
	 .def = V3_PC_PORT_COM1},
	{.name = "irq",
	 .type = V3_CFG_UINT,
	 .low = 3,
	 .high = V3_NR_GSI - 1,
	 .def = V3_PC_IRQ_COM1},
	{.name = "console", .type = V3_CFG_STRING, .high = 31, .def_str = "console"},
	{.name = NULL},
};

const struct v3_device_class v3_device_uart = {
	.name = "uart",
	.save = &v3_uart_save,
	.keys = uart_keys,
	.create = uart_create,
	.reset = uart_reset,
	.destroy = uart_destroy,
};
