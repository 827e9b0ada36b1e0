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

/* Kinds of places. Those after MSR belong to the world, and are written only: LINE: an interrupt line by its number;
 * KEY: a key by its code; MOUSE; POWER: the button; INPUT: text comes from the host's streams; ROOM: a stream takes
 * more output. */
enum space { NOWHERE, PORT, MMIO, RAM, MSR, LINE, KEY, MOUSE, POWER, INPUT, ROOM };

struct range {
	enum space space;
	uint32_t base, len;
};

struct poke {
	enum space space;
	uint32_t at;
	unsigned size;
	uint64_t value;
};

struct twin_case {
	const char *name;
	const char *devices; /* lines of the definition beyond those of a PC */
	bool quiet;	     /* has no interrupts */
	struct range range[10];
	struct poke poke[30];
};

#define OUT(port, value)                                                                           \
	{                                                                                          \
		PORT, port, 1, value                                                               \
	}
#define APIC_REG(reg, value)                                                                       \
	{                                                                                          \
		MMIO, V3_PC_LAPIC_BASE + (reg), 4, value                                           \
	}
#define IOAPIC_REG(reg, value)                                                                     \
	{MMIO, V3_PC_IOAPIC_BASE, 4, reg},                                                         \
	{                                                                                          \
		MMIO, V3_PC_IOAPIC_BASE + 0x10, 4, value                                           \
	}
/* The 8259 pair lets interrupts through, and has served one. */
#define PIC_POKES                                                                                  \
	OUT(V3_PC_PORT_PIC1 + 1, 0), OUT(V3_PC_PORT_PIC2 + 1, 0), OUT(V3_PC_PORT_PIC1, 0x20),      \
		OUT(V3_PC_PORT_PIC2, 0x20)
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

/* A command of fw_cfg's DMA at 0x9000: read 64 bytes of the selected item to 0xa000; its words are big-endian. */
#define FW_POKES                                                                                   \
	{PORT, V3_PC_PORT_FW_CFG, 2, 0x19}, {PORT, V3_PC_PORT_FW_CFG, 2, 0x20},                    \
		{PORT, V3_PC_PORT_FW_CFG, 2, 0}, {PORT, V3_PC_PORT_FW_CFG + 8, 4, 0x00900000},     \
		{PORT, V3_PC_PORT_FW_CFG + 4, 4, 0}, {PORT, V3_PC_PORT_FW_CFG + 4, 4, 1},          \
		{RAM, 0x9000, 4, 0x02000000}, {RAM, 0x9004, 4, 0x40000000}, {RAM, 0x9008, 4, 0},   \
		{RAM, 0x900c, 4, 0x00a00000}, {RAM, 0xa000, 8, 0},                                 \
	{                                                                                          \
		PORT, V3_PC_PORT_FW_CFG + 1, 1, 0                                                  \
	}

static const struct twin_case cases[] = {
	{"i8254",
	 "",
	 false,
	 {{PORT, V3_PC_PORT_PIT, 4}, {PORT, V3_PC_PORT_SPEAKER, 1}},
	 {OUT(0x43, 0x34), OUT(0x43, 0x30), OUT(0x40, 0x80), PIC_POKES}},
	{"i8259",
	 "",
	 false,
	 {{PORT, V3_PC_PORT_PIC1, 2},
	  {PORT, V3_PC_PORT_PIC2, 2},
	  {PORT, V3_PC_PORT_ELCR, 2},
	  {LINE, 0, 16}},
	 {PIC_POKES,	   OUT(0x20, 0x11), OUT(0x21, 0x20), OUT(0x21, 4),    OUT(0x21, 1),
	  OUT(0x21, 0x13), OUT(0xa0, 0x11), OUT(0xa1, 0x28), OUT(0xa1, 2),    OUT(0xa1, 1),
	  OUT(0xa1, 3),	   OUT(0x20, 0x0b), OUT(0xa0, 0x0b), OUT(0x20, 0x0c), OUT(0xa0, 0x0c),
	  OUT(0x20, 0x68), OUT(0xa0, 0x68), OUT(0x20, 0xc3), OUT(0xa0, 0xc5), OUT(0x20, 0x80),
	  OUT(0xa0, 0x80)}},
	{"ioapic",
	 "",
	 false,
	 {{MMIO, V3_PC_IOAPIC_BASE, 4},
	  {MMIO, V3_PC_IOAPIC_BASE + 0x10, 4},
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
	  APIC_REG(0x310, 0x3000000),
	  APIC_REG(0x300, 0x4951),
	  APIC_REG(0xd0, 0x1000000),
	  APIC_REG(0xe0, 0xffffffff),
	  APIC_REG(0x370, 0x81),
	  APIC_REG(0x300, 0x44005),
	  APIC_REG(0x280, 0),
	  APIC_REG(0x80, 0),
	  {MSR, 0x1b, 8, 0xfee00800},
	  {MSR, 0x1b, 8, 0xfee00c00},
	  {MSR, 0x1b, 8, 0xfee00000},
	  {MSR, 0x80f, 8, 0x1ff},
	  {MSR, 0x80b, 8, 0},
	  {MSR, 0x830, 8, 0x84062},
	  {MSR, 0x4b564d04, 8, 0x2001},
	  {RAM, 0x2000, 4, 0}}},
	{"rtc",
	 "",
	 false,
	 {{PORT, V3_PC_PORT_RTC, 2}},
	 {OUT(0x70, 0x0b), OUT(0x71, 0x72), OUT(0x70, 0x0a), OUT(0x71, 0x26), OUT(0x70, 0x0c),
	  OUT(0x70, 0x06), OUT(0x70, 0x04), OUT(0x70, 0x09), OUT(0x70, 0x01), OUT(0x71, 0xff),
	  OUT(0x70, 0x03), OUT(0x70, 0x05), PIC_POKES}},
	{"hpet",
	 HPET_LINES,
	 false,
	 {{MMIO, V3_PC_HPET_BASE, 0x160},
	  {MMIO, V3_PC_HPET_BASE + 0x100, 0x10},
	  {PORT, V3_PC_PORT_PIT, 4},
	  {PORT, V3_PC_PORT_RTC, 2}},
	 {{MMIO, V3_PC_HPET_BASE + 0x10, 8, 1},
	  {MMIO, V3_PC_HPET_BASE + 0x10, 8, 3},
	  {MMIO, V3_PC_HPET_BASE + 0x100, 8, 0x4c},
	  {MMIO, V3_PC_HPET_BASE + 0x108, 8, 200000},
	  {MMIO, V3_PC_HPET_BASE + 0x120, 8, 0x2804},
	  {MMIO, V3_PC_HPET_BASE + 0x120, 8, 0x2806},
	  {MMIO, V3_PC_HPET_BASE + 0x128, 8, 300000},
	  {MMIO, V3_PC_HPET_BASE + 0x140, 8, 0x2f4e},
	  {MMIO, V3_PC_HPET_BASE + 0x148, 8, 10000},
	  {MMIO, V3_PC_HPET_BASE + 0xf0, 8, 0},
	  {MMIO, V3_PC_HPET_BASE + 0x20, 8, 7},
	  IOAPIC_REG(0x38, 0x8061),
	  IOAPIC_REG(0x3e, 0x62),
	  APIC_REG(0xb0, 0),
	  OUT(0x43, 0x34),
	  OUT(0x40, 0x40),
	  OUT(0x70, 0x0b),
	  OUT(0x71, 0x52),
	  OUT(0x70, 0x0c),
	  PIC_POKES}},
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
	 {{PORT, V3_PC_PM1_EVT + 2, 2, 1},
	  {PORT, V3_PC_PM1_EVT + 2, 2, 0x101},
	  {PORT, V3_PC_PM1_EVT, 2, 0xffff},
	  {PORT, V3_PC_PM1_CNT, 2, 0x2400},
	  PIC_POKES}},
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
	 {OUT(0x64, 0x60), OUT(0x60, 0x47), OUT(0x60, 0x07), OUT(0x64, 0xd4), OUT(0x60, 0xf4),
	  OUT(0x64, 0xd4), OUT(0x60, 0xf3), OUT(0x60, 200),  OUT(0x60, 100),  OUT(0x60, 80),
	  OUT(0x60, 0xe8), OUT(0x60, 0xe9), OUT(0x60, 0xf2), OUT(0x60, 0xed), OUT(0x60, 0xf0),
	  OUT(0x60, 0),	   OUT(0x60, 1),    OUT(0x60, 0xfe), OUT(0x60, 0xee), OUT(0x64, 0xd1),
	  OUT(0x64, 0xd3), OUT(0x64, 0xd0), OUT(0x64, 0xae), PIC_POKES}},
	{"vga",
	 VGA_LINES,
	 true,
	 {{PORT, 0x3c0, 16},
	  {PORT, 0x3d4, 2},
	  {PORT, 0x3da, 1},
	  {PORT, 0x1ce, 2},
	  {MMIO, V3_PC_VGA_BASE, V3_PC_VGA_SIZE},
	  {MMIO, V3_PC_VGA_BASE + 0x18000, 16}},
	 {OUT(0x3c2, 0x67),
	  OUT(0x3ce, 5),
	  OUT(0x3cf, 0x48),
	  OUT(0x3cf, 0x02),
	  OUT(0x3c4, 4),
	  OUT(0x3c5, 0x06),
	  OUT(0x3c4, 2),
	  OUT(0x3c5, 0x0f),
	  OUT(0x3ce, 6),
	  OUT(0x3cf, 0x0e),
	  {PORT, 0x1ce, 2, 3}}},
	{"fw_cfg", "", true, {{PORT, V3_PC_PORT_FW_CFG, V3_PC_PORT_FW_CFG_LEN}}, {FW_POKES}},
	{"debug",
	 "",
	 true,
	 {{PORT, V3_PC_PORT_DEBUGCON, 1}, {PORT, V3_PC_PORT_DEBUGEXIT, 4}, {ROOM, 0, 1}},
	 {}},
	/* The last one goes wherever the others go. */
	{"all", HPET_LINES VGA_LINES KBC_LINES UART_LINES, false, {}, {}},
};

#endif
