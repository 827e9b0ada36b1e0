/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file console.c
 * The console session: this terminal on one side, a guest's stream on the other, one poll() loop between.
 * On a terminal Ctrl-] opens a menu; all other keys, Ctrl-C too, are the guest's.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define MENU_KEY 0x1d /* Ctrl-] */

enum { POLL_INPUT, POLL_CONSOLE, POLL_VM, POLL_SIGNAL, POLL_COUNT };

struct session {
	const struct v3_attachment *to; /* not owned */
	int signals;
	bool tty, menu; /* menu: the next key is for it */
	bool input_end;
	bool silent; /* the console has said its last word */
	char input[4096];
	size_t input_len; /* bytes the guest has not taken yet */
	struct termios before;
	int64_t deadline_ms; /* 0: none */
	bool ended;
	enum v3_session_end end;
};

static void session_end(struct session *s, enum v3_session_end end)
{
	if (!s->ended)
		s->end = end;
	s->ended = true;
}

static void session_fail(struct session *s, const char *what)
{
	v3_complain(NULL, "%s: %s", what, strerror(errno));
	session_end(s, V3_SESSION_FAILED);
}

/* Keys go to the guest at once and unseen; our own output keeps its line ends. */
static void session_raw(struct session *s)
{
	struct termios raw;

	s->tty = isatty(0) && !tcgetattr(0, &s->before);
	if (!s->tty)
		return;
	raw = s->before;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST | ONLCR;
	tcsetattr(0, TCSADRAIN, &raw);
}

static void session_cooked(const struct session *s)
{
	if (s->tty)
		tcsetattr(0, TCSADRAIN, &s->before);
}

/* Print what there is. @return false: nothing, for now or for ever (then silent is set) */
static bool session_output(struct session *s)
{
	char buf[16384];
	ssize_t n = read(s->to->console, buf, sizeof(buf));

	if (n > 0) {
		if (!v3_write_all(1, buf, (size_t)n))
			session_fail(s, "standard output");
		return !s->ended;
	}
	if (!n)
		s->silent = true;
	else if (errno != EAGAIN && errno != EINTR)
		session_fail(s, "the guest's console");
	return false;
}

static void session_pause_or_continue(int vm)
{
	struct palacios_info info;

	if (!v3_vm_info(vm, &info))
		return;
	if (info.state == PALACIOS_STATE_PAUSED) {
		if (!v3_vm_do(vm, PALACIOS_VM_CONTINUE, "continue"))
			fputs("v3: it runs\n", stderr);
	} else if (!v3_vm_do(vm, PALACIOS_VM_PAUSE, "pause")) {
		fputs("v3: paused; Ctrl-] p continues\n", stderr);
	}
}

/* The VM for one key of the menu. @return descriptor, to be closed unless held anyway; -1: complained about */
static int session_vm(const struct session *s)
{
	struct palacios_info info;
	int vm;

	if (s->to->vm >= 0)
		return s->to->vm;
	vm = v3_vm_open(s->to->name);
	if (vm < 0)
		return -1;
	if (v3_vm_info(vm, &info) && info.id == s->to->id)
		return vm;
	fprintf(stderr, "v3: %s is gone\n", s->to->name);
	close(vm);
	return -1;
}

static void session_control(struct session *s, char key)
{
	int vm = session_vm(s);

	if (vm < 0)
		return;
	if (key == 's')
		fputs(v3_vm_button(vm) ? "v3: power button pressed\n"
				       : "v3: this guest has no power button; Ctrl-] q stops it\n",
		      stderr);
	else if (key == 'r')
		v3_vm_do(vm, PALACIOS_VM_RESET, "reset");
	else if (key == 'p')
		session_pause_or_continue(vm);
	else if (!v3_vm_stop_hard(vm))
		session_end(s, V3_SESSION_KILLED);
	if (vm != s->to->vm)
		close(vm);
}

static void session_menu(struct session *s, char key)
{
	s->menu = false;
	switch (key) {
	case MENU_KEY:
		s->input[s->input_len++] = key;
		return;
	case 'd':
		if (!s->to->is_owner)
			session_end(s, V3_SESSION_DETACHED);
		else
			fputs("v3: this VM ends with v3 run; \"v3 create --start\" makes one that "
			      "stays\n",
			      stderr);
		return;
	case 's':
	case 'q':
	case 'r':
	case 'p':
		session_control(s, key);
		return;
	default:
		fputs("v3: back in the console\n", stderr);
	}
}

/* Input is read only when the guest has taken all of the last, so the buffer cannot overflow. */
static void session_input(struct session *s)
{
	char buf[sizeof(s->input)];
	ssize_t n = read(0, buf, sizeof(buf)), i;

	if (n <= 0) {
		s->input_end = n == 0 || errno != EINTR;
		return;
	}
	for (i = 0; i < n && !s->ended; i++) {
		if (s->menu) {
			session_menu(s, buf[i]);
		} else if (s->tty && buf[i] == MENU_KEY) {
			s->menu = true;
			fprintf(stderr,
				"\nv3: %ss power button, q stop at once, r reset, p "
				"pause/continue, Ctrl-] send it\n",
				s->to->is_owner ? "" : "d detach, ");
		} else {
			s->input[s->input_len++] = buf[i];
		}
	}
}

static void session_to_guest(struct session *s)
{
	ssize_t n = write(s->to->console, s->input, s->input_len);

	if (n > 0) {
		s->input_len -= (size_t)n;
		memmove(s->input, s->input + n, s->input_len);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		s->input_len = 0; /* this guest listens no more, or never did */
		s->input_end = true;
	}
}

static void session_vm_changed(struct session *s)
{
	struct palacios_info info;

	if (!v3_vm_info(s->to->vm, &info)) {
		session_fail(s, "the VM's state");
	} else if (info.state == PALACIOS_STATE_STOPPED) {
		while (session_output(s))
			;
		session_end(s, V3_SESSION_STOPPED);
	}
}

static void session_step(struct session *s)
{
	struct pollfd p[POLL_COUNT] = {
		[POLL_INPUT] = {.fd = s->input_end || s->input_len ? -1 : 0, .events = POLLIN},
		[POLL_CONSOLE] = {.fd = s->silent && !s->input_len ? -1 : s->to->console,
				  .events = (short)((s->silent ? 0 : POLLIN) |
						    (s->input_len ? POLLOUT : 0))},
		[POLL_VM] = {.fd = s->to->vm, .events = POLLIN},
		[POLL_SIGNAL] = {.fd = s->signals, .events = POLLIN},
	};
	int64_t left = s->deadline_ms ? s->deadline_ms - v3_now_ms() : -1;

	if (s->deadline_ms && left <= 0) {
		session_end(s, V3_SESSION_TIMEOUT);
		return;
	}
	if (poll(p, POLL_COUNT, (int)left) < 0) {
		if (errno != EINTR)
			session_fail(s, "poll");
		return;
	}
	if (p[POLL_CONSOLE].revents & POLLIN)
		session_output(s);
	if (p[POLL_CONSOLE].revents & POLLOUT)
		session_to_guest(s);
	if (p[POLL_CONSOLE].revents & (POLLHUP | POLLERR) && !(p[POLL_CONSOLE].revents & POLLIN))
		s->silent = true;
	if (p[POLL_INPUT].revents)
		session_input(s);
	if (p[POLL_VM].revents)
		session_vm_changed(s);
	if (p[POLL_SIGNAL].revents)
		session_end(s, V3_SESSION_SIGNAL);
	if (s->silent && s->to->vm < 0) /* not held by us, and gone */
		session_end(s, V3_SESSION_STOPPED);
}

enum v3_session_end v3_session(const struct v3_attachment *to)
{
	struct session s = {.to = to};
	sigset_t mask, old;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, &old);
	signal(SIGPIPE, SIG_IGN);
	s.signals = signalfd(-1, &mask, SFD_CLOEXEC);
	if (v3_opt.timeout_s)
		s.deadline_ms = v3_now_ms() + v3_opt.timeout_s * 1000ll;
	fflush(stdout);
	session_raw(&s);
	while (!s.ended)
		session_step(&s);
	session_cooked(&s);
	close(s.signals);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return s.end;
}

int v3_console_open(int vm)
{
	struct palacios_console ask;
	int fd;

	memset(&ask, 0, sizeof(ask));
	snprintf(ask.name, sizeof(ask.name), "%s", v3_opt.stream ? v3_opt.stream : "");
	fd = ioctl(vm, PALACIOS_VM_CONSOLE, &ask);
	if (fd < 0) {
		v3_complain(
			errno == ENOENT
				? "Streams are the values of console = \"...\" in the definition; "
				  "without one there the name is \"console\"."
				: NULL,
			"cannot open the guest's console%s%s: %s", v3_opt.stream ? " " : "",
			v3_opt.stream ? v3_opt.stream : "", strerror(errno));
		return -V3_EXIT_NO;
	}
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	return fd;
}

static int console_verdict(const char *name, enum v3_session_end end)
{
	switch (end) {
	case V3_SESSION_STOPPED:
		fprintf(stderr, "v3: %s has stopped\n", name);
		return V3_EXIT_GOOD;
	case V3_SESSION_TIMEOUT:
		return V3_EXIT_TIMEOUT;
	case V3_SESSION_FAILED:
		return V3_EXIT_NO;
	default:
		return V3_EXIT_GOOD;
	}
}

/* A VM that ends with its owner must not live on because somebody looks: only its stream is kept open. */
int v3_console(char **args)
{
	struct v3_attachment to = {.name = args[0], .vm = v3_vm_open(args[0])};
	struct palacios_info info;
	int result;

	if (to.vm < 0)
		return -to.vm;
	if (!v3_vm_info(to.vm, &info)) {
		v3_complain(NULL, "%s does not answer: %s", args[0], strerror(errno));
		close(to.vm);
		return V3_EXIT_NO;
	}
	to.id = info.id;
	to.console = v3_console_open(to.vm);
	if (to.console < 0 || !(info.flags & PALACIOS_INFO_PERSISTENT)) {
		close(to.vm);
		to.vm = -1;
	}
	if (to.console < 0)
		return -to.console;
	if (isatty(0))
		fprintf(stderr, "v3: console of %s; Ctrl-] opens the menu\n", args[0]);
	result = console_verdict(args[0], v3_session(&to));
	close(to.console);
	if (to.vm >= 0)
		close(to.vm);
	return result;
}
