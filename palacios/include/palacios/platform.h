/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file platform.h
 * Facts of the PC platform: ports, interrupt lines and addresses. The devices that answer at a port
 * and the boot code that tells the guest about it (ACPI tables, E820) take the number from here, so
 * the two cannot disagree. Includable from assembly.
 */
#ifndef PALACIOS_PLATFORM_H
#define PALACIOS_PLATFORM_H

/* ---- guest-physical addresses ---- */

#define V3_PC_BDA_BASE_KIB  0x00000413 /* BIOS data area: KiB of conventional memory, 16 bits */
#define V3_PC_LOW_RAM_END   0x000a0000 /* end of conventional memory (640 KiB) */
#define V3_PC_VGA_BASE	    0x000a0000 /* display window: all ones unless a device claims it */
#define V3_PC_VGA_SIZE	    0x00020000
#define V3_PC_ROM_BASE	    0x000c0000 /* RAM here, reserved in the E820 map: firmware tables */
#define V3_PC_TABLES_BASE   0x000e0000 /* ACPI tables; the RSDP is the first thing in it */
#define V3_PC_TABLES_END    0x00100000
#define V3_PC_HIGH_RAM_BASE 0x00100000
#define V3_PC_RAM_LOW_MAX   0xc0000000 /* RAM below 4 GiB ends here at the latest */
#define V3_PC_RAM_HIGH_BASE 0x100000000ull
#define V3_PC_ROM_END	    0x100000000ull /* firmware ROM ends here, its last 128 KiB also at 1 MiB */
#define V3_PC_ROM_ALIAS	    0x00020000
#define V3_PC_ROM_MAX	    0x01000000
#define V3_PC_PCI_MMIO_BASE                                                                        \
	0x80000000 /* window for PCI memory BARs, or the end of RAM if that is above */
#define V3_PC_PCI_MMIO_END 0xfec00000 /* exclusive */
#define V3_PC_IOAPIC_BASE  0xfec00000
#define V3_PC_IOAPIC_SIZE  0x00001000
#define V3_PC_HPET_BASE	   0xfed00000
#define V3_PC_HPET_ID                                                                              \
	0x8086a201 /* Intel, legacy replacement, 64-bit counter, three timers, revision 1 */
#define V3_PC_HPET_MIN_TICKS 5000 /* of 10 ns: a periodic timer does not interrupt more often */
#define V3_PC_LAPIC_BASE     0xfee00000
#define V3_PC_LAPIC_SIZE     0x00001000

/* ---- interrupt controllers ---- */

/* Local APIC ids follow from the topology (topology.h); the I/O APIC's id is apart from all of them. */
#define V3_PC_MAX_VCPUS	     32
#define V3_PC_IOAPIC_ID	     0xf0
#define V3_PC_IOAPIC_PINS    24
#define V3_PC_IOAPIC_VERSION 0x20 /* has the EOI register */

/*
 * Line numbers given to v3_irq_set(): 0..15 are the ISA IRQs, 16..23 exist at the I/O APIC only.
 * Each line is the I/O APIC pin of the same number, except that line 0 (timer) is wired to pin 2,
 * as on every PC; the MADT says so. Line 2 is the cascade of the two 8259 and carries no device.
 */
#define V3_PC_IRQ_TIMER	   0
#define V3_PC_IRQ_KEYBOARD 1
#define V3_PC_IRQ_CASCADE  2
#define V3_PC_IRQ_COM2	   3
#define V3_PC_IRQ_COM1	   4
#define V3_PC_IRQ_RTC	   8
#define V3_PC_IRQ_SCI	   9  /* level-triggered, active high */
#define V3_PC_IRQ_PCI_A	   10 /* PCI INTx while the guest uses the 8259 pair: see V3_PC_INTX_* */
#define V3_PC_IRQ_PCI_B	   11
#define V3_PC_IRQ_MOUSE	   12
#define V3_PC_TIMER_PIN	   2 /* I/O APIC pin of line 0 */

#define V3_PC_IRQ_IDE(n) (14 + (n)) /* IDE channels: 0 primary, 1 secondary */

/*
 * PCI INTx. pin: 1 = INTA .. 4 = INTD (0x3d of configuration space). The bus drives both lines: the
 * guest listens to one of them, depending on the interrupt controller it chose (\_PIC). The ISA bridge routes
 * PIRQA..PIRQD to ISA lines; V3_PC_INTX_ISA() is how firmware, or the VMM in its place, programs it.
 */
#define V3_PC_INTX_GSI(slot, pin)  (16 + (((slot) + (pin)-1) & 3))
#define V3_PC_INTX_PIRQ(slot, pin) (((slot) + (pin) + 2) & 3) /* 0 = PIRQA */
#define V3_PC_INTX_ISA(slot, pin)                                                                  \
	(V3_PC_INTX_PIRQ(slot, pin) < 2 ? V3_PC_IRQ_PCI_A : V3_PC_IRQ_PCI_B)
#define V3_PC_ISA_BRIDGE_SLOT 1
#define V3_PC_PM_FUNCTION     3 /* of the same slot: power management */

/* ---- I/O ports ---- */

#define V3_PC_PORT_PIC1	      0x0020 /* 2 ports */
#define V3_PC_PORT_PIT	      0x0040 /* 4 ports */
#define V3_PC_PORT_SPEAKER    0x0061 /* PIT channel 2 gate and output, refresh toggle */
#define V3_PC_PORT_KBC_DATA   0x0060
#define V3_PC_PORT_KBC	      0x0064
#define V3_PC_KBC_RESET	      0xfe   /* command to 0x64 */
#define V3_PC_PORT_RTC	      0x0070 /* 2 ports: index, data */
#define V3_PC_PORT_POST	      0x0080 /* POST code, used for I/O delays; nobody answers */
#define V3_PC_PORT_SYSTEM_A   0x0092 /* bit 0: reset, bit 1: A20 */
#define V3_PC_PORT_PIC2	      0x00a0 /* 2 ports */
#define V3_PC_PORT_DEBUGCON   0x00e9 /* reads 0xe9 */
#define V3_PC_PORT_DEBUGEXIT  0x00f4 /* 4 ports; exit status (value << 1) | 1 */
#define V3_PC_PORT_IDE(n)     ((n) ? 0x0170 : 0x01f0) /* 8 ports */
#define V3_PC_PORT_IDECTL(n)  ((n) ? 0x0376 : 0x03f6)
#define V3_PC_PORT_COM2	      0x02f8 /* 8 ports */
#define V3_PC_PORT_COM1	      0x03f8 /* 8 ports */
#define V3_PC_PORT_ELCR	      0x04d0 /* 2 ports: edge/level of the 8259 pair */
#define V3_PC_PORT_FW_CFG     0x0510 /* 0x510 selector, 0x511 data, 0x514..0x51b DMA */
#define V3_PC_PORT_FW_CFG_LEN 12
/*
 * 0xcf9 lies inside the PCI configuration address register. That register answers 32-bit accesses
 * at 0xcf8 only, so the host bridge claims 0xcf8 (1 port) and 0xcfc..0xcff, and the reset device
 * claims 0xcf9.
 */
#define V3_PC_PORT_PCI_ADDR   0x0cf8
#define V3_PC_PORT_PCI_DATA   0x0cfc
#define V3_PC_PORT_RESET      0x0cf9
#define V3_PC_RESET_VALUE     0x06 /* bit 1: hard reset, bit 2: do it (rising) */

/* ---- ACPI fixed hardware (ACPI 6.4 4.8.3, 4.8.4) ---- */

/*
 * One block of ports, laid out as by the PIIX4's power management function (82371AB data sheet 7.2). It answers here
 * whatever that function says, because the ACPI tables name this place.
 */
#define V3_PC_PM_BASE	  0x0600
#define V3_PC_PM_LEN	  64
#define V3_PC_PM1_EVT	  0x0600 /* PM1a status (2 bytes), then PM1a enable (2 bytes) */
#define V3_PC_PM1_EVT_LEN 4
#define V3_PC_PM1_CNT	  0x0604
#define V3_PC_PM1_CNT_LEN 2
#define V3_PC_PM_TMR	  0x0608 /* 32-bit counter, 3.579545 MHz */
#define V3_PC_PM_TMR_LEN  4
#define V3_PC_PM_TMR_HZ	  3579545
#define V3_PC_GPE0	  0x060c /* status (2 bytes), then enable (2 bytes) */
#define V3_PC_GPE0_LEN	  4

#define V3_PC_PM1_STS_TMR	      (1u << 0)
#define V3_PC_PM1_STS_GBL	      (1u << 5)
#define V3_PC_PM1_STS_PWRBTN	      (1u << 8)
#define V3_PC_PM1_STS_SLPBTN	      (1u << 9)
#define V3_PC_PM1_STS_RTC	      (1u << 10)
#define V3_PC_PM1_STS_WAK	      (1u << 15)
/* enable bits are at the positions of the status bits */
#define V3_PC_PM1_CNT_SCI_EN	      (1u << 0)
#define V3_PC_PM1_CNT_SLP_TYP(v)      ((v) << 10)
#define V3_PC_PM1_CNT_SLP_TYP_OF(cnt) (((cnt) >> 10) & 7)
#define V3_PC_PM1_CNT_SLP_EN	      (1u << 13)
#define V3_PC_SLP_TYP_S5	      5 /* \_S5: power off; no other sleep state is offered */

/* There is no SMI command port: ACPI mode is always on, SCI_EN reads 1. */

#define V3_PC_SMBUS_BASE                                                                           \
	0x0700 /* where firmware, or the VMM in its place, puts the SMBus host controller */
#define V3_PC_SMBUS_LEN 16

#endif
