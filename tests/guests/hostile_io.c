/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Boundary and random values into every port, by every width. Nothing may stop the VM: the guest is still there
 * at the end and says so. Left out are the few writes whose purpose is to end or reset the machine.
 */
#include "guest.h"

static uint16_t pm1_cnt;

/* Bytes that end or reset the machine when written: debug exit, 8042, port A, reset control, ACPI sleep, A20. */
static bool deadly(uint32_t port, unsigned width)
{
	static const uint16_t ports[] = {0xf4, 0xf5, 0xf6, 0xf7, 0x60, 0x64, 0x92, 0xcf9};
	unsigned i, k;

	for (k = 0; k < width; k++) {
		uint32_t p = (port + k) & 0xffff;

		for (i = 0; i < G_NELEM(ports); i++)
			if (p == ports[i])
				return true;
		if (pm1_cnt && (p == pm1_cnt || p == pm1_cnt + 1u))
			return true;
	}
	return false;
}

static void try_port(uint16_t port, uint32_t v)
{
	(void)inb(port);
	(void)inw(port);
	(void)inl(port);
	if (port == 0xe9 || port == 0xe8 || port == 0xe7 || port == 0xe6)
		return; /* keeps the output readable */
	if (!deadly(port, 1))
		outb(port, (uint8_t)v);
	if (!deadly(port, 2))
		outw(port, (uint16_t)v);
	if (!deadly(port, 4))
		outl(port, v);
}

static uint32_t value(unsigned i)
{
	static const uint32_t edges[] = {0, ~0u, 0x80000000, 0x7fffffff, 0x80808080, 0x01010101};

	return i % 3 == 0 ? edges[i / 3 % G_NELEM(edges)] : (uint32_t)g_random();
}

static void strings(void)
{
	static uint8_t buffer[8192];
	unsigned i;

	for (i = 0; i < 60; i++) {
		uint16_t port = (uint16_t)(g_random() % 0x1000);
		uint64_t n = g_random() % 64;
		void *p = buffer + 4096 - g_random() % 128;

		__asm__ volatile("cld; rep insb" : "+D"(p), "+c"(n) : "d"(port) : "memory");
		if (deadly(port, 4) || (port >= 0xe6 && port <= 0xe9))
			continue;
		n = g_random() % 32;
		p = buffer + 4096 - g_random() % 128;
		__asm__ volatile("cld; rep outsl" : "+S"(p), "+c"(n) : "d"(port) : "memory");
	}
}

static void ignore(struct g_frame *f)
{
	(void)f;
}

int main(void)
{
	const uint8_t *fadt = g_acpi_table("FACP");
	uint64_t seed = 0x5eed0001;
	unsigned i;

	pm1_cnt = fadt ? (uint16_t) * (const uint32_t *)(fadt + 64) : 0;
	g_seed(seed);
	g_print("# seed %lx\n", seed);
	g_handler[X_NMI] = ignore;
	for (i = 0; i < 0x1000; i++)
		try_port((uint16_t)i, value(i));
	for (i = 0; i < 1000; i++)
		try_port((uint16_t)g_random(), value(i));
	/* again at the devices, where state from before matters */
	for (i = 0; i < 3000; i++) {
		static const uint16_t bases[] = {0x00,	0x20,  0x40,  0x60,  0x70, 0xa0,
						 0x3f8, 0x4d0, 0x510, 0x600, 0xcf8};

		try_port((uint16_t)(bases[g_random() % G_NELEM(bases)] + g_random() % 16),
			 value(i));
	}
	try_port(0xffff, 0);
	try_port(0xfffe, ~0u);
	strings();
	CHECK(inb(0xe9) == 0xe9);
	return g_result();
}
