/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Switch off as an operating system does: PM1a_CNT from the FADT, the value for S5 from the DSDT.
 * ACPI 6.4 sections 4.8.3.2, 5.2.9, 7.4.2. The status of the whole is 0.
 */
#include "guest.h"

#define SLP_EN 0x2000u

/* Value of an AML integer at @p: ZeroOp, OneOp or BytePrefix. */
static unsigned aml_byte(const uint8_t *p)
{
	return *p == 0x0a ? p[1] : *p;
}

/* The package of \_S5_: name, PackageOp, length (1 to 4 bytes), number of elements, elements. */
static int find_s5(const uint8_t *dsdt)
{
	uint32_t len = *(const uint32_t *)(dsdt + 4), i;
	const uint8_t *p;

	for (i = 36; i + 12 < len; i++) {
		p = dsdt + i;
		if (p[0] != '_' || p[1] != 'S' || p[2] != '5' || p[3] != '_' || p[4] != 0x12)
			continue;
		p += 5;
		p += 1 + (*p >> 6);
		return (int)aml_byte(p + 1);
	}
	return -1;
}

int main(void)
{
	const uint8_t *fadt = g_acpi_table("FACP"), *dsdt;
	uint16_t port;
	int s5;

	CHECK(fadt);
	if (!fadt)
		return g_result();
	dsdt = (const uint8_t *)(uint64_t) * (const uint32_t *)(fadt + 40);
	port = (uint16_t) * (const uint32_t *)(fadt + 64);
	s5 = find_s5(dsdt);
	CHECK(port);
	CHECK(s5 >= 0);
	CHECK(inw(port) & 1 ||
	      *(const uint32_t *)(fadt + 48)); /* SCI_EN, or there is an SMI port to set it */
	g_print("off: port %x type %d\n", port, s5);
	outw(port, (uint16_t)((unsigned)s5 << 10 | SLP_EN));
	g_delay_us(1000000);
	g_print("FAILED: still on\n");
	return G_FAIL;
}
