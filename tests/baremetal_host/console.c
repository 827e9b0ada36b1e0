/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file console.c
 * The one console: COM1 (16550, with receive interrupt) or, told by "console=e9", the debug port 0xe9 of
 * Bochs and QEMU. Guests' console streams and the host's log lines share it. Follows the PC16550D data sheet.
 *
 * Guest output goes out as it comes; a log line that arrives in the middle of a guest's line starts on a new
 * one, so that every log line stays whole. Of several guests whole lines go out, each with the guest's prefix.
 */
#include "baremetal.h"
#include "cpu.h"
#include "hostops.h"

#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

#include <stdarg.h>

#define COM1	 0x3f8
#define COM1_IRQ 4

enum { RBR = 0, THR = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };
#define LSR_DR	 0x01 /* a byte has been received */
#define LSR_THRE 0x20 /* transmit FIFO empty */
#define LSR_TEMT 0x40 /* ... and the shift register too */

#define TX_FIFO 16 /* bytes that fit once THRE is set: one status read serves them all */
#define TX_WAIT                                                                                    \
	2000000 /* status reads before a write gives up: a stuck receiver must not hang us */
#define INPUT_SIZE 1024 /* power of two */
#define NSTREAMS   16
#define LINE_SIZE  256 /* longer ones of one of several guests are cut in two */

struct console_stream {
	bool open;
	void (*ready)(void *arg);
	void *arg;
	const struct bm_guest_tag *tag; /* not owned, outlives the stream; NULL: the only guest's */
	size_t nline;			/* bytes of a line that is not complete */
	char line[LINE_SIZE];
};

static struct {
	struct bm_spin lock; /* guards everything here */
	bool e9;
	bool at_line_start;
	uint32_t in_head, in_tail; /* free-running */
	uint8_t input[INPUT_SIZE];
	struct console_stream stream[NSTREAMS];
} console;

void bm_console_init(void)
{
	console.at_line_start = true;
	console.e9 = bm_option_is("console=e9");
	if (console.e9)
		return;
	outb(COM1 + IER, 0);
	outb(COM1 + LCR, 0x80); /* divisor 1: 115200 baud, 8n1 */
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + LCR, 0x03);
	outb(COM1 + FCR, 0x07); /* FIFOs on and empty, interrupt from the first byte on */
	outb(COM1 + MCR, 0x0b); /* DTR, RTS, OUT2 opens the interrupt line */
}

void bm_console_listen(void)
{
	if (console.e9)
		return;
	bm_apic_route_isa(COM1_IRQ, BM_VEC_SERIAL);
	outb(COM1 + IER, 0x01);
}

/* Takes what fits without waiting for a stuck receiver for ever; lock held. */
static size_t console_put(const char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const char *p = buf + done;
		size_t n = len - done;
		uint16_t port = 0xe9;

		if (!console.e9) {
			uint32_t spin = 0;

			while (!(inb(COM1 + LSR) & LSR_THRE)) {
				if (++spin == TX_WAIT)
					return done;
				cpu_relax();
			}
			if (n > TX_FIFO)
				n = TX_FIFO;
			port = COM1 + THR;
		}
		done += n;
		__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(port) : "memory");
	}
	return done;
}

/* A line of its own; lock held. */
static void console_put_line(const char *prefix, const char *line, size_t len)
{
	if (!console.at_line_start)
		console_put("\r\n", 2);
	console_put(prefix, v3_strlen(prefix));
	console_put(line, len);
	console_put("\r\n", 2);
	console.at_line_start = true;
}

/* Lock held. */
static void console_flush(struct console_stream *s)
{
	if (s->nline)
		console_put_line(s->tag->prefix, s->line, s->nline);
	s->nline = 0;
}

/* Lock held. */
static void console_collect(struct console_stream *s, const char *p, size_t len)
{
	for (; len; len--, p++) {
		if (*p != '\r' && *p != '\n')
			s->line[s->nline++] = *p;
		if (*p == '\n' || s->nline == LINE_SIZE)
			console_flush(s);
	}
}

static size_t console_write(void *stream, const void *buf, size_t len)
{
	struct console_stream *s = stream;
	const char *p = buf;
	unsigned long flags = bm_spin_lock(&console.lock);
	size_t done = len;

	if (s->tag) {
		console_collect(s, p, len);
	} else {
		done = console_put(p, len);
		if (done)
			console.at_line_start = p[done - 1] == '\n';
	}
	bm_spin_unlock(&console.lock, flags);
	return done;
}

void bm_print_line(const char *line)
{
	unsigned long flags = bm_spin_lock(&console.lock);

	console_put_line("", line, v3_strlen(line));
	bm_spin_unlock(&console.lock, flags);
}

void bm_print(const char *fmt, ...)
{
	char line[160];
	va_list ap;

	va_start(ap, fmt);
	v3_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	bm_print_line(line);
}

void bm_console_break_lock(void)
{
	bm_spin_unlock_noirq(&console.lock);
}

void bm_console_drain(void)
{
	uint32_t spin = 0;

	while (!console.e9 && !(inb(COM1 + LSR) & LSR_TEMT) && ++spin < TX_WAIT)
		cpu_relax();
}

void bm_console_interrupt(void)
{
	unsigned long flags = bm_spin_lock(&console.lock);
	unsigned i;

	while (inb(COM1 + LSR) & LSR_DR) {
		uint8_t byte = inb(COM1 + RBR);

		if (console.in_head - console.in_tail <
		    INPUT_SIZE) /* else lost, as on a real line */
			console.input[console.in_head++ % INPUT_SIZE] = byte;
	}
	/* The ready function only sets a flag and kicks: it may run under our lock. */
	for (i = 0; i < NSTREAMS; i++)
		if (console.stream[i].ready)
			console.stream[i].ready(console.stream[i].arg);
	bm_spin_unlock(&console.lock, flags);
}

static size_t console_read(void *stream, void *buf, size_t len)
{
	struct console_stream *s = stream;
	unsigned long flags = bm_spin_lock(&console.lock);
	uint8_t *p = buf;
	size_t n = 0;

	while (s->ready && n < len && console.in_head != console.in_tail)
		p[n++] = console.input[console.in_tail++ % INPUT_SIZE];
	bm_spin_unlock(&console.lock, flags);
	return n;
}

/* Every stream name leads to the one console; input belongs to the streams that asked for it. */
static void *console_open(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg)
{
	unsigned long flags = bm_spin_lock(&console.lock);
	const struct bm_guest_tag *tag = host_ctx;
	struct console_stream *s = NULL;
	unsigned i;

	(void)name;
	if (tag && !tag->first)
		ready = NULL;
	for (i = 0; i < NSTREAMS && !s; i++) {
		if (console.stream[i].open)
			continue;
		s = &console.stream[i];
		s->open = true;
		s->ready = ready;
		s->arg = arg;
		s->tag = tag;
		s->nline = 0;
		if (ready && console.in_head != console.in_tail)
			ready(arg);
	}
	bm_spin_unlock(&console.lock, flags);
	return s;
}

static void console_close(void *stream)
{
	struct console_stream *s = stream;
	unsigned long flags = bm_spin_lock(&console.lock);

	console_flush(s);
	s->open = false;
	s->ready = NULL;
	bm_spin_unlock(&console.lock, flags);
}

const struct v3_host_console_ops bm_console_ops = {
	.open = console_open,
	.close = console_close,
	.write = console_write,
	.read = console_read,
};
