/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file port8.h
 * Devices with byte-wide registers. On a PC the bus splits a wider access to an 8-bit device into byte
 * accesses at ascending ports; this does the same for the part of the access that lies in the device's range.
 */
#ifndef V3_DEVICES_PORT8_H
#define V3_DEVICES_PORT8_H

#include "palacios/io.h"

/**
 * Perform @p io byte by byte on the registers at ports @p first .. @p first + @p count - 1.
 * Bytes beyond the range read as ones. The device's lock is held by the caller, if it needs it.
 *
 * @param read   value of the register at offset @p off
 * @param write  store to the register at offset @p off
 */
static inline void v3_port8_access(struct v3_io *io, void *dev, uint16_t first, unsigned count,
				   uint8_t (*read)(void *dev, unsigned off),
				   void (*write)(void *dev, unsigned off, uint8_t value))
{
	unsigned off = (uint16_t)(io->port - first);
	uint32_t value = 0;
	unsigned i;

	if (io->size == 1 && io->write) { /* nearly always */
		write(dev, off, (uint8_t)io->value);
		return;
	}
	if (io->size == 1) {
		io->value = read(dev, off);
		return;
	}
	if (io->write) {
		for (i = 0; i < io->size && off + i < count; i++)
			write(dev, off + i, (uint8_t)(io->value >> (8 * i)));
		return;
	}
	for (i = 0; i < io->size; i++)
		value |= (uint32_t)(off + i < count ? read(dev, off + i) : 0xff) << (8 * i);
	io->value = value;
}

#endif
