/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file tapdev.c
 * tapdev NAME UID: make a TAP interface that stays and belongs to a user, as "ip tuntap add" does, which the Debian
 * host of tests/system/linux_net.t has not got.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR);

	if (argc != 3 || strlen(argv[1]) >= sizeof(request.ifr_name)) {
		fprintf(stderr, "usage: tapdev NAME UID\n");
		return 2;
	}
	strcpy(request.ifr_name, argv[1]);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) ||
	    ioctl(fd, TUNSETOWNER, strtoul(argv[2], NULL, 10)) || ioctl(fd, TUNSETPERSIST, 1ul)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
