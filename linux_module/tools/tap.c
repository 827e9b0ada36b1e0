/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file tap.c
 * TAP interfaces of the host (Documentation/networking/tuntap.rst), as the other end of a guest's network. They are made
 * by whoever administers the host, who says to whom they belong; none is made here.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAP_DEVICE "/dev/net/tun"

/* @return V3_EXIT_GOOD, or complained about */
static int tap_exists(const char *name, struct ifreq *request)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), failed;

	failed = s < 0 || ioctl(s, SIOCGIFFLAGS, request);
	if (s >= 0)
		close(s);
	if (!failed)
		return V3_EXIT_GOOD;
	v3_complain("As root: ip tuntap add dev NAME mode tap user USER; ip link set NAME up",
		    "there is no network interface %s on this host", name);
	return V3_EXIT_FILE;
}

static void tap_complain(const char *name, int err)
{
	switch (err) {
	case EPERM:
		v3_complain("As root: ip tuntap del dev NAME mode tap, then "
			    "ip tuntap add dev NAME mode tap user USER",
			    "%s does not belong to you", name);
		break;
	case EBUSY:
		v3_complain("Stop what uses it (\"v3 list\" shows VMs), or give each guest an "
			    "interface of its own.",
			    "%s is in use", name);
		break;
	case EINVAL:
		v3_complain("ip tuntap shows those that are; others can be bridged with one of "
			    "them.",
			    "%s is no TAP interface with one queue", name);
		break;
	default:
		v3_complain(NULL, "cannot use %s: %s", name, strerror(err));
	}
}

/* What guests may leave undone, we may leave undone for them. */
static int tap_attach(int fd, struct ifreq *request)
{
	request->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, request))
		return -1;
	return ioctl(fd, TUNSETOFFLOAD,
		     (unsigned long)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN));
}

int v3_tap_open(const char *name)
{
	struct ifreq request;
	int fd, err;

	memset(&request, 0, sizeof(request));
	if (strlen(name) >= sizeof(request.ifr_name)) {
		v3_complain("ip link shows those there are.",
			    "%s is no name of a network interface", name);
		return -V3_EXIT_FILE;
	}
	strcpy(request.ifr_name, name);
	err = tap_exists(name, &request);
	if (err)
		return -err;
	fd = open(TAP_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		v3_complain(errno == EACCES ? "As root: chmod 666 " TAP_DEVICE
					    : "As root: modprobe tun",
			    "cannot open %s: %s", TAP_DEVICE, strerror(errno));
		return -V3_EXIT_FILE;
	}
	if (!tap_attach(fd, &request))
		return fd;
	tap_complain(name, errno);
	close(fd);
	return -V3_EXIT_FILE;
}
