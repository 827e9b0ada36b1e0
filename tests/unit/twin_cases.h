/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file twin_cases.h
 * What test_save_devices.c drives its twins by: for each device where its registers are, and writes that bring it
 * where chance alone hardly would.
 */
#ifndef TESTS_TWIN_CASES_H
#define TESTS_TWIN_CASES_H

#include "palacios/platform.h"
#include "palacios/types.h"

/* Kinds of places. REG4 and REG16: 32-bit registers in memory, so many bytes apart, each accessed as such. CONFIG: PCI
 * configuration by bus, slot, function and offset, as in CONFIG_ADDRESS. Those after
 * MSR belong to the world, and are written only: LINE: an interrupt line by its number;
 * KEY: a key by its code; MOUSE; POWER: the button; INPUT: text comes from the host's streams; ROOM: a stream takes
 * more output. */
enum space {
	NOWHERE,
	PORT,
	MMIO,
	REG4,
	REG16,
	CONFIG,
	RAM,
	MSR,
	LINE,
	KEY,
	MOUSE,
	POWER,
	INPUT,
	ROOM
};

struct range {
	enum space space;
	uint32_t base, len;
};

/* One write, or several in a row: all but the last one have "more". */
struct poke {
	enum space space;
	uint32_t at;
	unsigned size;
	uint64_t value;
	bool more;
};

struct twin_case {
	const char *name;
	const char *devices; /* lines of the definition beyond those of a PC */
	bool quiet;	     /* has no interrupts */
	struct range range[10];
	struct poke poke[80];
};

#define POKE(space, at, size, value)                                                               \
	{                                                                                          \
		space, at, size, value, false                                                      \
	}
#define MORE(space, at, size, value)                                                               \
	{                                                                                          \
		space, at, size, value, true                                                       \
	}
#define OUT(port, value)		POKE(PORT, port, 1, value)
#define OUT2(port, first, then, second) MORE(PORT, port, 1, first), POKE(PORT, then, 1, second)
#define APIC_REG(reg, value)		POKE(MMIO, V3_PC_LAPIC_BASE + (reg), 4, value)
#define IOAPIC_REG(reg, value)                                                                     \
	MORE(MMIO, V3_PC_IOAPIC_BASE, 4, reg), POKE(MMIO, V3_PC_IOAPIC_BASE + 0x10, 4, value)
#define HPET_REG(reg, value) POKE(MMIO, V3_PC_HPET_BASE + (reg), 8, value)
/* The 8259 pair lets all interrupts through. */
#define PIC_POKES	     OUT2(V3_PC_PORT_PIC1 + 1, 0, V3_PC_PORT_PIC2 + 1, 0)
/* Initialization of a chip. */
#define PIC_INIT(port, icw1, vector, icw3, icw4)                                                   \
	MORE(PORT, port, 1, icw1), MORE(PORT, (port) + 1, 1, vector),                              \
		MORE(PORT, (port) + 1, 1, icw3), POKE(PORT, (port) + 1, 1, icw4)
#define RTC(reg, value)	     OUT2(V3_PC_PORT_RTC, reg, V3_PC_PORT_RTC + 1, value)
#define KBC(command)	     OUT(V3_PC_PORT_KBC, command)
#define KBD(command)	     OUT(V3_PC_PORT_KBC_DATA, command)
#define KBD2(command, value) OUT2(V3_PC_PORT_KBC_DATA, command, V3_PC_PORT_KBC_DATA, value)
#define AUX(command)	     OUT2(V3_PC_PORT_KBC, 0xd4, V3_PC_PORT_KBC_DATA, command)
#define AUX2(command, value)                                                                       \
	MORE(PORT, V3_PC_PORT_KBC, 1, 0xd4), MORE(PORT, V3_PC_PORT_KBC_DATA, 1, command), AUX(value)
#define UART_RANGES(port)                                                                          \
	{PORT, port, 8},                                                                           \
	{                                                                                          \
		PORT, port, 2                                                                      \
	}
#define UART_POKES(port)                                                                           \
	OUT((port) + 4, 0x0b), OUT((port) + 1, 0x0f), OUT((port) + 3, 0x03), OUT((port) + 2, 0xc1)

#define HPET_LINES "[[device]]\nclass = \"hpet\"\n"
#define VGA_LINES  "[[device]]\nclass = \"vga\"\nconsole = \"screen\"\n"
#define KBC_LINES  "[[device]]\nclass = \"i8042\"\nconsole = \"typed\"\n"
#define UART_LINES                                                                                 \
	"[[device]]\nclass = \"uart\"\nport = 0x2f8\nirq = 3\nconsole = \"com2\"\n"                \
	"[[device]]\nclass = \"uart\"\nport = 0x3e8\nirq = 5\nconsole = \"\"\n"                    \
	"[[device]]\nclass = \"uart\"\nport = 0x2e8\nirq = 7\nconsole = \"com2\"\n"

#define PCI_LINES                                                                                  \
	"[[device]]\nclass = \"pci_bridge\"\nname = \"b\"\nslot = 4\n"                             \
	"[[device]]\nclass = \"virtio_blk\"\nsize = \"64K\"\nslot = 5\ntransitional = true\n"      \
	"[[device]]\nclass = \"virtio_rng\"\nslot = 6\n"
#define IDE_LINES                                                                                  \
	"[[device]]\nclass = \"ide\"\nslot = 7\nsize = \"64K\"\n"                                  \
	"[[device]]\nclass = \"ide\"\nunit = 2\nsize = \"64K\"\ncdrom = true\n"
#define SLOT(n) ((n) << 11)

/* BARs of the disk, of which two are where another function's are or may be, and MSI-X with a vector. */
#define PCI_POKES                                                                                  \
	POKE(CONFIG, SLOT(5) | 0x10, 4, 0xc000), POKE(CONFIG, SLOT(5) | 0x14, 4, 0xd0000000),      \
		POKE(CONFIG, SLOT(5) | 0x18, 4, 0xd0004000), POKE(CONFIG, SLOT(5) | 0x04, 2, 7),   \
		POKE(CONFIG, SLOT(6) | 0x10, 4, 0xd0004000),                                       \
		POKE(CONFIG, SLOT(6) | 0x14, 4, 0xd0000000), POKE(CONFIG, SLOT(6) | 0x04, 2, 6),   \
		POKE(CONFIG, SLOT(5) | 0xa2, 2, 0x8000), POKE(CONFIG, SLOT(5) | 0x9c, 2, 3),       \
		POKE(CONFIG, SLOT(5) | 0x9c, 2, 0), POKE(MMIO, 0xd0000000, 8, 0xfee00000),         \
		POKE(MMIO, 0xd0000008, 8, 0x55)
/* A driver of the disk, which asks it to flush. */
#define VIRTIO_POKES                                                                               \
	POKE(MMIO, 0xd0004014, 1, 0), POKE(MMIO, 0xd0004014, 1, 3), POKE(MMIO, 0xd0004008, 4, 1),  \
		POKE(MMIO, 0xd000400c, 4, 1), POKE(MMIO, 0xd0004014, 1, 0x0b),                     \
		POKE(MMIO, 0xd0004016, 2, 0), POKE(MMIO, 0xd0004020, 8, 0x20000),                  \
		POKE(MMIO, 0xd0004028, 8, 0x21000), POKE(MMIO, 0xd0004030, 8, 0x22000),            \
		POKE(MMIO, 0xd000401c, 2, 1), POKE(MMIO, 0xd0004014, 1, 0x0f),                     \
		POKE(MMIO, 0xd0007000, 2, 0), POKE(RAM, 0x20000, 8, 0x23000),                      \
		POKE(RAM, 0x20008, 8, 0x1000100000010), POKE(RAM, 0x20010, 8, 0x24000),            \
		POKE(RAM, 0x20018, 8, 0x200000001), POKE(RAM, 0x21000, 8, 0x10000),                \
		POKE(RAM, 0x23000, 8, 4), POKE(RAM, 0x21000, 8, 0x20000)
/* Commands by PIO and DMA, and packets. */
#define IDE_POKES                                                                                  \
	POKE(CONFIG, SLOT(7) | 0x20, 4, 0xc100), POKE(CONFIG, SLOT(7) | 0x04, 2, 5),               \
		POKE(CONFIG, SLOT(7) | 0x40, 4, 0x80008000), OUT(0x1f6, 0xe0), OUT(0x1f2, 2),      \
		OUT(0x1f3, 1), OUT(0x1f4, 0), OUT(0x1f5, 0), OUT(0x1f7, 0x20), OUT(0x1f7, 0x30),   \
		OUT(0x1f7, 0xc8), OUT(0x1f7, 0xca), OUT(0x1f7, 0xec), OUT(0x3f6, 0),               \
		OUT(0x177, 0xa0), POKE(PORT, 0x170, 4, 0x28), POKE(PORT, 0x170, 4, 0x01000000),    \
		OUT(0x376, 0), POKE(PORT, 0xc104, 4, 0x30000), OUT(0xc100, 9), OUT(0xc100, 1),     \
		OUT(0xc100, 0), POKE(RAM, 0x30000, 8, 0x8000040000031000)
/* A command of fw_cfg's DMA at 0x9000: read 64 bytes of the selected item to 0xa000; its words are big-endian. */
#define FW_POKES                                                                                   \
	POKE(PORT, V3_PC_PORT_FW_CFG, 2, 0x19), POKE(PORT, V3_PC_PORT_FW_CFG, 2, 0x20),            \
		POKE(PORT, V3_PC_PORT_FW_CFG, 2, 0),                                               \
		POKE(PORT, V3_PC_PORT_FW_CFG + 8, 4, 0x00900000),                                  \
		POKE(PORT, V3_PC_PORT_FW_CFG + 4, 4, 0), POKE(PORT, V3_PC_PORT_FW_CFG + 4, 4, 1),  \
		POKE(RAM, 0x9000, 4, 0x02000000), POKE(RAM, 0x9004, 4, 0x40000000),                \
		POKE(RAM, 0x9008, 4, 0), POKE(RAM, 0x900c, 4, 0x00a00000),                         \
		POKE(RAM, 0xa000, 8, 0), POKE(PORT, V3_PC_PORT_FW_CFG + 1, 1, 0)

#define PIIX4_CONFIG(reg, size, value)                                                             \
	MORE(PORT, V3_PC_PORT_PCI_ADDR, 4,                                                         \
	     0x80000000 | V3_PC_ISA_BRIDGE_SLOT << 11 | 3 << 8 | (reg)),                           \
		POKE(PORT, V3_PC_PORT_PCI_DATA, size, value)

static const struct twin_case cases[] = {
	{"piix4_pm",
	 "",
	 true,
	 {{PORT, V3_PC_SMBUS_BASE, V3_PC_SMBUS_LEN},
	  {PORT, 0x800, V3_PC_SMBUS_LEN},
	  {PORT, 0x900, 16},
	  {PORT, V3_PC_PM_BASE, 16}},
	 {PIIX4_CONFIG(0x90, 2, 0x801), PIIX4_CONFIG(0x90, 2, V3_PC_SMBUS_BASE | 1),
	  PIIX4_CONFIG(0x40, 2, 0x901), PIIX4_CONFIG(0xd0, 4, 0x90000),
	  PIIX4_CONFIG(0xd0, 4, 0x80000), PIIX4_CONFIG(0x80, 1, 1), PIIX4_CONFIG(0x80, 1, 0),
	  OUT(V3_PC_SMBUS_BASE + 2, 0x41), OUT(V3_PC_SMBUS_BASE, 0x1e)}},
	{"i8254",
	 "",
	 false,
	 {{PORT, V3_PC_PORT_PIT, 4}, {PORT, V3_PC_PORT_SPEAKER, 1}},
	 {OUT(0x43, 0x34), OUT(0x43, 0x30), OUT2(0x40, 0x80, 0x40, 0x10), OUT2(0x42, 0, 0x42, 0x40),
	  OUT(0x43, 0xb2), OUT(0x43, 0xba), OUT(0x43, 0x52), OUT(0x43, 0x80), OUT(0x43, 0x40),
	  OUT(0x43, 0xee), OUT(0x43, 0xc4), OUT2(0x61, 0, 0x61, 1), OUT(0x61, 0), OUT(0x61, 1),
	  OUT(0x43, 0xb6), OUT(0x43, 0x3a), PIC_POKES}},
	{"i8259",
	 "",
	 false,
	 {{PORT, V3_PC_PORT_PIC1, 2},
	  {PORT, V3_PC_PORT_PIC2, 2},
	  {PORT, V3_PC_PORT_ELCR, 2},
	  {LINE, 0, 16}},
	 {PIC_POKES,
	  PIC_INIT(0x20, 0x11, 0x20, 4, 1),
	  PIC_INIT(0x20, 0x11, 0x30, 4, 0x11),
	  PIC_INIT(0x20, 0x11, 0x30, 4, 3),
	  PIC_INIT(0xa0, 0x11, 0x28, 2, 1),
	  PIC_INIT(0xa0, 0x11, 0x38, 2, 3),
	  PIC_INIT(0xa0, 0x11, 0x38, 2, 0x11),
	  OUT(0x20, 0x13),
	  OUT(0xa0, 0x13),
	  OUT(0x20, 0x0b),
	  OUT(0xa0, 0x0b),
	  OUT(0x20, 0x0c),
	  OUT(0xa0, 0x0c),
	  OUT(0x20, 0x68),
	  OUT(0xa0, 0x68),
	  OUT(0x20, 0xc3),
	  OUT(0xa0, 0xc5),
	  OUT(0x20, 0x80),
	  OUT(0xa0, 0x80),
	  OUT(0x20, 0x20),
	  OUT(0xa0, 0x20)}},
	{"ioapic",
	 "",
	 false,
	 {{REG16, V3_PC_IOAPIC_BASE, 0x50},
	  {REG16, V3_PC_IOAPIC_BASE, 0x20},
	  {MMIO, V3_PC_IOAPIC_BASE, 0x80},
	  {LINE, 0, 24},
	  {LINE, 10, 2}},
	 {IOAPIC_REG(0x24, 0x8031), IOAPIC_REG(0x26, 0x0041), IOAPIC_REG(0x25, 0),
	  IOAPIC_REG(0x00, 0x7000000), IOAPIC_REG(0x30, 0x8951), IOAPIC_REG(0x10, 0x10000),
	  APIC_REG(0xb0, 0), APIC_REG(0xb0, 0), APIC_REG(0xf0, 0x1ff)}},
	{"lapic",
	 "",
	 false,
	 {{MMIO, V3_PC_LAPIC_BASE, 0x400},
	  {REG16, V3_PC_LAPIC_BASE, 0x400},
	  {REG16, V3_PC_LAPIC_BASE + 0x300, 0x40},
	  {LINE, 10, 2},
	  {MSR, 0x800, 0x40},
	  {MSR, 0x1b, 1},
	  {MSR, 0x6e0, 1},
	  {MSR, 0x4b564d04, 1},
	  {RAM, 0x2000, 4}},
	 {APIC_REG(0xf0, 0x1ff),
	  APIC_REG(0x320, 0x20031),
	  APIC_REG(0x320, 0x00032),
	  APIC_REG(0x320, 0x40033),
	  APIC_REG(0x380, 40000),
	  APIC_REG(0x3e0, 0xb),
	  APIC_REG(0xb0, 0),
	  APIC_REG(0x300, 0x44051),
	  APIC_REG(0x300, 0x84061),
	  APIC_REG(0x300, 0xc4071),
	  APIC_REG(0x310, 0xff000000),
	  APIC_REG(0x300, 0x4951),
	  IOAPIC_REG(0x24, 0x8052),
	  APIC_REG(0xd0, 0x1000000),
	  APIC_REG(0xe0, 0xffffffff),
	  APIC_REG(0x370, 0x81),
	  APIC_REG(0x300, 0x44005),
	  APIC_REG(0x280, 0),
	  APIC_REG(0x80, 0),
	  POKE(MSR, 0x1b, 8, 0xfee00800),
	  POKE(MSR, 0x1b, 8, 0xfee00c00),
	  POKE(MSR, 0x1b, 8, 0xfee00000),
	  POKE(MSR, 0x80f, 8, 0x1ff),
	  POKE(MSR, 0x80b, 8, 0),
	  POKE(MSR, 0x830, 8, 0x84062),
	  POKE(MSR, 0x4b564d04, 8, 0x2001),
	  POKE(RAM, 0x2000, 4, 0)}},
	{"rtc",
	 "",
	 false,
	 {{PORT, V3_PC_PORT_RTC, 2}},
	 {RTC(0x0b, 0x72), RTC(0x0b, 0x52), RTC(0x0b, 0x22), RTC(0x0a, 0x26), RTC(0x0a, 0x2f),
	  RTC(6, 3), RTC(4, 0x11), RTC(9, 0x33), RTC(1, 0xff), RTC(3, 0xff), RTC(5, 0xff),
	  RTC(1, 0x30), OUT(0x70, 0x0c), OUT(0x70, 6), PIC_POKES}},
	{"hpet",
	 HPET_LINES,
	 false,
	 {{MMIO, V3_PC_HPET_BASE, 0x160},
	  {REG4, V3_PC_HPET_BASE, 0x160},
	  {REG4, V3_PC_HPET_BASE + 0x100, 0x60},
	  {PORT, V3_PC_PORT_PIT, 4},
	  {PORT, V3_PC_PORT_RTC, 2}},
	 {HPET_REG(0x10, 1), HPET_REG(0x10, 3), HPET_REG(0x100, 0x4c), HPET_REG(0x108, 200000),
	  HPET_REG(0x120, 0x2804), HPET_REG(0x120, 0x280e), HPET_REG(0x128, 300000),
	  HPET_REG(0x140, 0x2f4e), HPET_REG(0x148, 10000), HPET_REG(0xf0, 0), HPET_REG(0x20, 7),
	  IOAPIC_REG(0x38, 0x8061), IOAPIC_REG(0x3e, 0x62), OUT(0x43, 0x34),
	  OUT2(0x40, 0x40, 0x40, 0x20), RTC(0x0b, 0x52), OUT(0x70, 0x0c), PIC_POKES}},
	{"uart",
	 UART_LINES,
	 false,
	 {UART_RANGES(V3_PC_PORT_COM1),
	  UART_RANGES(V3_PC_PORT_COM2),
	  {PORT, 0x3e8, 8},
	  {PORT, 0x2e8, 8},
	  {INPUT, 0, 1},
	  {ROOM, 0, 1}},
	 {PIC_POKES, UART_POKES(V3_PC_PORT_COM1), UART_POKES(V3_PC_PORT_COM2), UART_POKES(0x3e8),
	  OUT(0x3e8 + 4, 0x1b), OUT(0x2e8 + 4, 0x1a), OUT(0x3fc, 0x0a), OUT(0x3fa, 0)}},
	{"acpi_pm",
	 "",
	 false,
	 {{PORT, V3_PC_PM_BASE, 12}, {PORT, V3_PC_GPE0, V3_PC_GPE0_LEN}, {POWER, 0, 1}},
	 {POKE(PORT, V3_PC_PM1_EVT + 2, 2, 1), POKE(PORT, V3_PC_PM1_EVT + 2, 2, 0x101),
	  POKE(PORT, V3_PC_PM1_EVT, 2, 0xffff), POKE(PORT, V3_PC_PM1_CNT, 2, 0x2400), PIC_POKES}},
	{"reset", "", true, {{PORT, V3_PC_PORT_RESET, 1}, {PORT, V3_PC_PORT_SYSTEM_A, 1}}, {}},
	{"i8042",
	 KBC_LINES,
	 false,
	 {{PORT, V3_PC_PORT_KBC_DATA, 1},
	  {PORT, V3_PC_PORT_KBC, 1},
	  {PORT, V3_PC_PORT_KBC_DATA, 1},
	  {KEY, 1, 0x84},
	  {MOUSE, 0, 1},
	  {INPUT, 0, 1}},
	 {OUT2(0x64, 0x60, 0x60, 0x47),
	  OUT2(0x64, 0x60, 0x60, 0x07),
	  KBC(0xd0),
	  KBC(0xa8),
	  KBC(0xae),
	  KBC(0xad),
	  OUT2(0x64, 0xd1, 0x60, 1),
	  OUT2(0x64, 0xd3, 0x60, 0x77),
	  OUT2(0x64, 0xd2, 0x60, 0x78),
	  KBD(0xf4),
	  KBD(0xf5),
	  KBD(0xfe),
	  KBD(0xee),
	  KBD(0xed),
	  KBD2(0xed, 5),
	  KBD2(0xf0, 1),
	  KBD2(0xf0, 2),
	  KBD2(0xf0, 0),
	  KBD2(0xf3, 0x20),
	  AUX(0xf4),
	  AUX(0xf5),
	  AUX(0xf3),
	  AUX2(0xf3, 200),
	  AUX2(0xf3, 100),
	  AUX2(0xf3, 80),
	  AUX2(0xe8, 1),
	  AUX(0xe9),
	  AUX(0xe7),
	  AUX(0xeb),
	  AUX(0xf0),
	  AUX(0xea),
	  AUX(0xee),
	  AUX(0xf2),
	  PIC_POKES}},
	{"vga",
	 VGA_LINES,
	 true,
	 {{PORT, 0x3c0, 16},
	  {PORT, 0x3d4, 2},
	  {PORT, 0x3da, 1},
	  {PORT, 0x1ce, 2},
	  {MMIO, V3_PC_VGA_BASE, V3_PC_VGA_SIZE},
	  {MMIO, V3_PC_VGA_BASE + 0x18000, 16}},
	 {OUT(0x3c2, 0x67), OUT2(0x3ce, 5, 0x3cf, 0x48), OUT2(0x3ce, 5, 0x3cf, 0x01),
	  OUT2(0x3ce, 5, 0x3cf, 0x10), OUT2(0x3ce, 8, 0x3cf, 0x0f), OUT2(0x3c4, 4, 0x3c5, 0x06),
	  OUT2(0x3c4, 2, 0x3c5, 0x0f), OUT2(0x3ce, 6, 0x3cf, 0x0e), OUT2(0x3c0, 0x11, 0x3c0, 0x33),
	  POKE(PORT, 0x1ce, 2, 3)}},
	{"fw_cfg", "", true, {{PORT, V3_PC_PORT_FW_CFG, V3_PC_PORT_FW_CFG_LEN}}, {FW_POKES}},
	{"debug",
	 "",
	 true,
	 {{PORT, V3_PC_PORT_DEBUGCON, 1}, {PORT, V3_PC_PORT_DEBUGEXIT, 4}, {ROOM, 0, 1}},
	 {}},
	{"pci",
	 PCI_LINES,
	 true,
	 {{PORT, V3_PC_PORT_PCI_ADDR, 8},
	  {CONFIG, SLOT(0), 256},
	  {CONFIG, SLOT(V3_PC_ISA_BRIDGE_SLOT), 256},
	  {CONFIG, SLOT(4), 256},
	  {CONFIG, SLOT(5), 256},
	  {CONFIG, SLOT(6), 256},
	  {PORT, 0xc000, 32},
	  {MMIO, 0xd0000000, 0x1000},
	  {MMIO, 0xd0004000, 0x40}},
	 {PCI_POKES, VIRTIO_POKES, APIC_REG(0xf0, 0x1ff), APIC_REG(0xb0, 0)}},
	{"ide",
	 IDE_LINES,
	 false,
	 {{PORT, V3_PC_PORT_IDE(0), 8},
	  {PORT, V3_PC_PORT_IDECTL(0), 1},
	  {PORT, V3_PC_PORT_IDE(1), 8},
	  {PORT, V3_PC_PORT_IDECTL(1), 1},
	  {PORT, 0xc100, 16},
	  {PORT, V3_PC_PORT_IDE(0), 1}},
	 {IDE_POKES, PIC_POKES}},
	/* The last one goes wherever the others go. */
	{"all", HPET_LINES VGA_LINES KBC_LINES UART_LINES PCI_LINES IDE_LINES, false, {}, {}},
};

#endif
