/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hold.c
 * VMs by name. A VM lives as long as some process has its descriptor open; that process offers it at a
 * socket in a folder only its user may enter: one byte asks for the descriptor (it comes by SCM_RIGHTS) or
 * for letting go of the VM. So each VM belongs to the user who made it.
 */
#include "v3.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_OPEN    'O'
#define ASK_DESTROY 'D'
#define NAMES_MAX   256
#define ANSWER_S    10 /* longer than any pause of a living holder */

/* The user's folder of sockets. @param make  create it if it is missing */
static int hold_dir(char *dir, size_t size, bool make)
{
	struct stat st;

	if (geteuid())
		snprintf(dir, size, "/run/user/%u/palacios", (unsigned)geteuid());
	else
		snprintf(dir, size, "/run/palacios");
	if (make && mkdir(dir, 0700) && errno != EEXIST) {
		v3_complain("Is /run there, and are you logged in with a session of your own?",
			    "cannot make the folder %s: %s", dir, strerror(errno));
		return -V3_EXIT_FILE;
	}
	if (make && (lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		     (st.st_mode & 077))) {
		v3_complain("Remove it and try again.",
			    "%s is not a folder that only you may enter", dir);
		return -V3_EXIT_FILE;
	}
	return V3_EXIT_GOOD;
}

static bool hold_name_fits(const char *name)
{
	size_t n =
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n && !name[n] && n < PALACIOS_NAME_SIZE && name[0] != '.';
}

static int hold_address(const char *name, struct sockaddr_un *addr, bool make)
{
	char dir[40];
	int result = hold_dir(dir, sizeof(dir), make);

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%.63s", dir, name);
	return result;
}

/* @return socket connected to a VM's holder; -1 with errno */
static int hold_connect(const char *name)
{
	struct timeval patience = {.tv_sec = ANSWER_S};
	struct sockaddr_un addr;
	int s, err;

	if (!hold_name_fits(name)) {
		errno = ENOENT;
		return -1;
	}
	hold_address(name, &addr, false);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -1;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(s, (struct sockaddr *)&addr, sizeof(addr))) {
		err = errno;
		close(s);
		errno = err;
		return -1;
	}
	return s;
}

int v3_hold_listen(const char *name)
{
	struct sockaddr_un addr;
	int s, result;

	if (!hold_name_fits(name)) {
		v3_complain("Give another name with --name: up to 63 letters, digits, '.', '_' and "
			    "'-', no "
			    "'.' first.",
			    "\"%s\" cannot be the name of a VM", name);
		return -V3_EXIT_USAGE;
	}
	result = hold_address(name, &addr, true);
	if (result)
		return result;
	s = hold_connect(name);
	if (s >= 0) {
		close(s);
		v3_complain(
			"Give this one another name with --name, or end that one: v3 destroy NAME.",
			"a VM named %s exists already", name);
		return -V3_EXIT_NO;
	}
	if (errno == ECONNREFUSED) /* its holder died */
		unlink(addr.sun_path);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)) || listen(s, 8)) {
		v3_complain(NULL, "cannot offer the VM at %s: %s", addr.sun_path, strerror(errno));
		if (s >= 0)
			close(s);
		return -V3_EXIT_FILE;
	}
	return s;
}

void v3_hold_end(const char *name, int listener)
{
	struct sockaddr_un addr;

	hold_address(name, &addr, false);
	unlink(addr.sun_path);
	close(listener);
}

static bool hold_send(int s, int vm)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	char byte = ASK_OPEN;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control.room)};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &vm, sizeof(vm));
	return sendmsg(s, &msg, MSG_NOSIGNAL) == 1;
}

static int hold_receive(int s)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(s, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

bool v3_hold_serve(int listener, int vm)
{
	struct timeval patience = {.tv_sec =
					   1}; /* a caller that says nothing must not hold us up */
	int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	bool destroy = false;
	char ask;

	if (s < 0)
		return false;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (recv(s, &ask, 1, 0) == 1) {
		if (ask == ASK_OPEN)
			hold_send(s, vm);
		destroy = ask == ASK_DESTROY;
	}
	if (!destroy) /* else our end closes it, which tells the caller that the VM is freed */
		close(s);
	return destroy;
}

static void hold_loop(const char *name, int listener, int vm)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	for (;;) {
		if (poll(&p, 1, -1) > 0 && v3_hold_serve(listener, vm))
			break;
	}
	v3_hold_end(name, listener);
	close(vm);
}

int v3_hold_background(const char *name, int listener, int vm)
{
	sigset_t none;
	int null;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		v3_complain(NULL, "cannot start the process that keeps %s: %s", name,
			    strerror(errno));
		return V3_EXIT_NO;
	}
	if (pid)
		return V3_EXIT_GOOD;
	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
	}
	if (chdir("/"))
		_exit(V3_EXIT_FILE);
	hold_loop(name, listener, vm);
	_exit(V3_EXIT_GOOD);
}

static void hold_complain(const char *name)
{
	if (errno == ENOENT || errno == ECONNREFUSED)
		v3_complain("v3 list shows the VMs you have.", "you have no VM named %s", name);
	else
		v3_complain("v3 list shows the VMs you have.",
			    "cannot reach the process that keeps %s: %s", name, strerror(errno));
}

int v3_hold_open(const char *name)
{
	char ask = ASK_OPEN;
	int s = hold_connect(name), vm = -1;

	if (s >= 0 && send(s, &ask, 1, MSG_NOSIGNAL) == 1)
		vm = hold_receive(s);
	if (vm < 0)
		hold_complain(name);
	if (s >= 0)
		close(s);
	return vm < 0 ? -V3_EXIT_NO : vm;
}

int v3_hold_destroy(const char *name)
{
	char ask = ASK_DESTROY;
	int s = hold_connect(name);

	if (s < 0 || send(s, &ask, 1, MSG_NOSIGNAL) != 1) {
		hold_complain(name);
		if (s >= 0)
			close(s);
		return V3_EXIT_NO;
	}
	recv(s, &ask, 1, 0); /* ends when the holder has let go of it */
	close(s);
	return V3_EXIT_GOOD;
}

static int hold_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int v3_hold_each(void (*fn)(const char *name, int vm, void *priv), void *priv)
{
	char dir[40], *names[NAMES_MAX], ask = ASK_OPEN;
	unsigned n = 0, i;
	struct dirent *e;
	DIR *d;
	int s, vm;

	hold_dir(dir, sizeof(dir), false);
	d = opendir(dir);
	while (d && n < NAMES_MAX && (e = readdir(d)) != NULL) {
		if (hold_name_fits(e->d_name) && (names[n] = strdup(e->d_name)) != NULL)
			n++;
	}
	if (d)
		closedir(d);
	qsort(names, n, sizeof(names[0]), hold_compare);
	for (i = 0; i < n; i++) {
		s = hold_connect(names[i]);
		vm = s >= 0 && send(s, &ask, 1, MSG_NOSIGNAL) == 1 ? hold_receive(s) : -1;
		if (vm >= 0) {
			fn(names[i], vm, priv);
			close(vm);
		}
		if (s >= 0)
			close(s);
		free(names[i]);
	}
	return V3_EXIT_GOOD;
}
