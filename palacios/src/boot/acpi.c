/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file acpi.c
 * The guest's ACPI tables (ACPI 6.4 chapter 5): RSDP, RSDT, XSDT, FADT with FACS and DSDT, MADT; SRAT and SLIT if the
 * definition has nodes, HPET if the VM has one. They are made from the definition and palacios/platform.h: for a kernel that is booted
 * directly at each power-on, in 0xe0000..0xfffff, which the memory map reserves; for firmware once, see bios.c. There
 * is no SMI command port: ACPI mode is always on.
 */
#include "boot/aml.h"
#include "boot/boot.h"
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define ACPI_HEADER_LEN 36

#define FACS_LEN   64
#define FACS_ALIGN 64

/* FADT: IA-PC boot flags (table 5.10) and feature flags (table 5.9). */
#define FADT_BOOT_LEGACY    (1u << 0) /* ISA devices such as a UART */
#define FADT_BOOT_8042	    (1u << 1)
#define FADT_BOOT_NO_VGA    (1u << 2)
#define FADT_BOOT_NO_RTC    (1u << 5)
#define FADT_WBINVD	    (1u << 0)
#define FADT_PROC_C1	    (1u << 2)
#define FADT_NO_SLP_BUTTON  (1u << 5)
#define FADT_NO_FIXED_RTC   (1u << 6)
#define FADT_TMR_VAL_EXT    (1u << 8)
#define FADT_RESET_REG	    (1u << 10)
#define FADT_HEADLESS	    (1u << 12)
#define FADT_NO_LATENCY	    0x0fff /* P_LVL2/3_LAT: the state does not exist */
#define FADT_PROFILE_SERVER 4
#define FADT_LEN	    276	 /* revision 6 */
#define RTC_CENTURY_REG	    0x32 /* of the rtc device */

/* MADT entry types (table 5.21) and interrupt flags (table 5.26). */
#define MADT_LAPIC	 0
#define MADT_IOAPIC	 1
#define MADT_OVERRIDE	 2
#define MADT_LAPIC_NMI	 4
#define MADT_PCAT_COMPAT 1
#define MADT_CPU_ENABLED 1
#define MADT_ACTIVE_HIGH 1
#define MADT_LEVEL	 (3 << 2)
#define MADT_ALL_CPUS	 0xff

/* SRAT entry types (table 5.50) and SLIT distances (5.2.17). */
#define SRAT_LAPIC   0
#define SRAT_MEMORY  1
#define SRAT_ENABLED 1
#define SLIT_LOCAL   10
#define SLIT_REMOTE  20

_Static_assert(V3_MAX_APIC_IDS <= 255, "processor local APIC entries hold 8-bit ids");
_Static_assert(V3_PC_MAX_VCPUS == V3_VM_CFG_MAX_VCPUS, "two names of one limit");

/* The tables while they are made. */
struct acpi {
	struct v3_aml aml;
	const struct v3_vm_cfg *cfg;
	struct v3_acpi_block *out;
	uint32_t base; /* address of offset V3_ACPI_RSDP_ROOM */
	uint32_t facs, dsdt, fadt, madt;
	uint32_t srat, slit, hpet; /* 0: none */
};

static uint8_t acpi_sum(const uint8_t *p, uint32_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static uint32_t acpi_address(const struct acpi *a, uint32_t table)
{
	return a->base + (table - V3_ACPI_RSDP_ROOM);
}

/* The address of another table, in @p width bytes. */
static void acpi_pointer(struct acpi *a, uint32_t table, unsigned width)
{
	struct v3_acpi_block *out = a->out;

	if (out->npointers == V3_ACPI_MAX_POINTERS) {
		a->aml.overflow = true;
		return;
	}
	out->pointer[out->npointers].at = a->aml.len;
	out->pointer[out->npointers++].width = width;
	v3_aml_int(&a->aml, acpi_address(a, table), width);
}

/* System description table header (5.2.6); length and checksum follow in acpi_end(). */
static uint32_t acpi_begin(struct acpi *a, const char *signature, uint8_t revision)
{
	uint32_t start;

	v3_aml_align(&a->aml, 16);
	start = a->aml.len;
	v3_aml_bytes(&a->aml, signature, 4);
	v3_aml_int(&a->aml, 0, 4);
	v3_aml_int(&a->aml, revision, 1);
	v3_aml_int(&a->aml, 0, 1);
	v3_aml_bytes(&a->aml, "V3VEE PALACIOS", 14); /* OEM id, OEM table id */
	v3_aml_int(&a->aml, 1, 4);
	v3_aml_bytes(&a->aml, "V3  ", 4); /* who made the table */
	v3_aml_int(&a->aml, 1, 4);
	return start;
}

static void acpi_end(struct acpi *a, uint32_t start)
{
	uint32_t len = a->aml.len - start;
	struct v3_acpi_block *out = a->out;

	if (out->ntables == V3_ACPI_MAX_TABLES)
		a->aml.overflow = true;
	if (a->aml.overflow)
		return;
	out->table[out->ntables].start = start;
	out->table[out->ntables++].len = len;
	memcpy(a->aml.buf + start + 4, &len, 4);
	a->aml.buf[start + 9] = acpi_sum(a->aml.buf + start, len);
}

/* The guest's UART at COM1; NULL: there is none. */
static const struct v3_cfg *acpi_com1(const struct v3_vm_cfg *cfg)
{
	uint32_t i;

	for (i = 0; i < cfg->ndevices; i++) {
		if (!v3_strcmp(cfg->devices[i].class->name, "uart") &&
		    v3_cfg_uint(cfg->devices[i].cfg, "port") == V3_PC_PORT_COM1)
			return cfg->devices[i].cfg;
	}
	return NULL;
}

static void acpi_cpus(struct acpi *a)
{
	char name[5] = "C000";
	uint32_t i, mark;

	for (i = 0; i < a->cfg->vcpus; i++) {
		name[2] = (char)('0' + i / 10);
		name[3] = (char)('0' + i % 10);
		mark = v3_aml_device(&a->aml, name);
		v3_aml_name_text(&a->aml, "_HID", "ACPI0007");
		v3_aml_name_number(&a->aml, "_UID", i);
		v3_aml_end(&a->aml, mark);
	}
}

/* A device with ports and, if @p irq is one but 0, an ISA interrupt. */
static void acpi_isa_device(struct acpi *a, const char *name, const char *hid, uint16_t port,
			    uint8_t nports, unsigned irq)
{
	uint32_t device, crs;

	device = v3_aml_device(&a->aml, name);
	v3_aml_hid(&a->aml, hid);
	v3_aml_name_number(&a->aml, "_UID", 0);
	crs = v3_aml_resources(&a->aml);
	v3_aml_res_io(&a->aml, port, nports);
	if (irq && irq < 16)
		v3_aml_res_irq(&a->aml, irq);
	v3_aml_end_resources(&a->aml, crs);
	v3_aml_end(&a->aml, device);
}

/* Keyboard and mouse behind one controller, whose ports are the keyboard's. */
static void acpi_i8042(struct acpi *a)
{
	uint32_t device, crs;

	device = v3_aml_device(&a->aml, "KBD");
	v3_aml_hid(&a->aml, "PNP0303");
	crs = v3_aml_resources(&a->aml);
	v3_aml_res_io(&a->aml, V3_PC_PORT_KBC_DATA, 1);
	v3_aml_res_io(&a->aml, V3_PC_PORT_KBC, 1);
	v3_aml_res_irq(&a->aml, V3_PC_IRQ_KEYBOARD);
	v3_aml_end_resources(&a->aml, crs);
	v3_aml_end(&a->aml, device);
	device = v3_aml_device(&a->aml, "MOU");
	v3_aml_hid(&a->aml, "PNP0F13");
	crs = v3_aml_resources(&a->aml);
	v3_aml_res_irq(&a->aml, V3_PC_IRQ_MOUSE);
	v3_aml_end_resources(&a->aml, crs);
	v3_aml_end(&a->aml, device);
}

static void acpi_fw_cfg(struct acpi *a)
{
	uint32_t device, crs;

	device = v3_aml_device(&a->aml, "FWCF");
	v3_aml_name_text(&a->aml, "_HID", "QEMU0002");
	v3_aml_name_number(&a->aml, "_STA", 0x0b); /* present, decoding, working, not shown */
	crs = v3_aml_resources(&a->aml);
	v3_aml_res_io(&a->aml, V3_PC_PORT_FW_CFG, V3_PC_PORT_FW_CFG_LEN);
	v3_aml_end_resources(&a->aml, crs);
	v3_aml_end(&a->aml, device);
}

/* PCI interrupt routing (6.2.13): 32 slots, 4 pins, a fixed line each. */
static void acpi_routes(struct acpi *a, const char *name, bool ioapic)
{
	unsigned slot, pin;
	uint32_t table, route;

	v3_aml_op(&a->aml, 0x08); /* Name */
	v3_aml_name(&a->aml, name);
	table = v3_aml_package(&a->aml, 32 * 4);
	for (slot = 0; slot < 32; slot++) {
		for (pin = 1; pin <= 4; pin++) {
			route = v3_aml_package(&a->aml, 4);
			v3_aml_number(&a->aml, slot << 16 | 0xffff);
			v3_aml_number(&a->aml, pin - 1);
			v3_aml_number(&a->aml, 0);
			v3_aml_number(&a->aml, (uint64_t)(ioapic ? V3_PC_INTX_GSI(slot, pin)
								 : V3_PC_INTX_ISA(slot, pin)));
			v3_aml_end(&a->aml, route);
		}
	}
	v3_aml_end(&a->aml, table);
}

/* Where memory BARs may be, from 2 GiB on if RAM ends before: UEFI firmware puts them there. */
static uint32_t acpi_pci_memory(const struct v3_vm_cfg *cfg)
{
	if (cfg->memory <= V3_PC_PCI_MMIO_BASE)
		return V3_PC_PCI_MMIO_BASE;
	return cfg->memory < V3_PC_RAM_LOW_MAX ? (uint32_t)cfg->memory : V3_PC_RAM_LOW_MAX;
}

static void acpi_pci(struct acpi *a)
{
	uint32_t device, crs, method, block;

	device = v3_aml_device(&a->aml, "PCI0");
	v3_aml_hid(&a->aml, "PNP0A03");
	v3_aml_name_number(&a->aml, "_UID", 0);
	v3_aml_name_number(&a->aml, "_BBN", 0);
	crs = v3_aml_resources(&a->aml);
	v3_aml_res_bus(&a->aml, 0, 255);
	v3_aml_res_io(&a->aml, V3_PC_PORT_PCI_ADDR, 8);
	v3_aml_res_io_window(&a->aml, 0, V3_PC_PORT_PCI_ADDR - 1);
	v3_aml_res_io_window(&a->aml, V3_PC_PORT_PCI_ADDR + 8, 0xffff);
	v3_aml_res_mem_window(&a->aml, acpi_pci_memory(a->cfg), V3_PC_PCI_MMIO_END - 1);
	v3_aml_end_resources(&a->aml, crs);
	acpi_routes(a, "PRTA", true);
	acpi_routes(a, "PRTP", false);
	method = v3_aml_method(&a->aml, "_PRT", 0);
	block = v3_aml_if(&a->aml);
	v3_aml_name(&a->aml, "PICM");
	v3_aml_op(&a->aml, V3_AML_RETURN);
	v3_aml_name(&a->aml, "PRTA");
	v3_aml_end(&a->aml, block);
	v3_aml_op(&a->aml, V3_AML_RETURN);
	v3_aml_name(&a->aml, "PRTP");
	v3_aml_end(&a->aml, method);
	v3_aml_end(&a->aml, device);
}

static void acpi_make_dsdt(struct acpi *a)
{
	const struct v3_cfg *com1 = acpi_com1(a->cfg);
	uint32_t scope, package, method;

	a->dsdt = acpi_begin(a, "DSDT", 2);
	v3_aml_op(&a->aml, 0x08); /* Name */
	v3_aml_name(&a->aml, "\\_S5_");
	package = v3_aml_package(&a->aml, 4);
	v3_aml_number(&a->aml, V3_PC_SLP_TYP_S5);
	v3_aml_number(&a->aml, V3_PC_SLP_TYP_S5);
	v3_aml_number(&a->aml, 0);
	v3_aml_number(&a->aml, 0);
	v3_aml_end(&a->aml, package);

	/* \_PIC tells which interrupt controller the guest uses: 0 the 8259 pair, 1 the I/O APIC
	 * (5.8.1). */
	v3_aml_name_number(&a->aml, "PICM", 0);
	method = v3_aml_method(&a->aml, "_PIC", 1);
	v3_aml_op(&a->aml, V3_AML_STORE);
	v3_aml_op(&a->aml, V3_AML_ARG0);
	v3_aml_name(&a->aml, "PICM");
	v3_aml_end(&a->aml, method);

	scope = v3_aml_scope(&a->aml, "\\_SB_");
	acpi_cpus(a);
	if (v3_vm_cfg_has_device(a->cfg, "pci_host"))
		acpi_pci(a);
	if (v3_vm_cfg_has_device(a->cfg, "rtc"))
		acpi_isa_device(a, "RTC", "PNP0B00", V3_PC_PORT_RTC, 2, V3_PC_IRQ_RTC);
	if (v3_vm_cfg_has_device(a->cfg, "i8042"))
		acpi_i8042(a);
	if (com1)
		acpi_isa_device(a, "COM1", "PNP0501", V3_PC_PORT_COM1, 8,
				(unsigned)v3_cfg_uint(com1, "irq"));
	/* The fixed hardware's ports, so that no PCI device is moved there. */
	acpi_isa_device(a, "PMIO", "PNP0C02", V3_PC_PM_BASE, V3_PC_PM_LEN, 0);
	if (v3_vm_cfg_has_device(a->cfg, "fw_cfg"))
		acpi_fw_cfg(a);
	v3_aml_end(&a->aml, scope);
	acpi_end(a, a->dsdt);
}

/* Generic address structure (5.2.3.2) of an I/O port block; @p len 0: there is none. */
static void acpi_gas(struct acpi *a, uint16_t port, unsigned len)
{
	v3_aml_int(&a->aml, len ? 1 : 0, 1);	    /* system I/O */
	v3_aml_int(&a->aml, len * 8, 1);	    /* width in bits */
	v3_aml_int(&a->aml, 0, 1);		    /* offset */
	v3_aml_int(&a->aml, len >= 4 ? 3 : len, 1); /* access: 1 byte, 2 word, 3 double word */
	v3_aml_int(&a->aml, port, 8);
}

static void acpi_fadt_blocks(struct acpi *a)
{
	v3_aml_int(&a->aml, V3_PC_PM1_EVT, 4);
	v3_aml_int(&a->aml, 0, 4); /* PM1b event */
	v3_aml_int(&a->aml, V3_PC_PM1_CNT, 4);
	v3_aml_int(&a->aml, 0, 8); /* PM1b control, PM2 control */
	v3_aml_int(&a->aml, V3_PC_PM_TMR, 4);
	v3_aml_int(&a->aml, V3_PC_GPE0, 4);
	v3_aml_int(&a->aml, 0, 4); /* GPE1 */
	v3_aml_int(&a->aml, V3_PC_PM1_EVT_LEN, 1);
	v3_aml_int(&a->aml, V3_PC_PM1_CNT_LEN, 1);
	v3_aml_int(&a->aml, 0, 1); /* PM2 control */
	v3_aml_int(&a->aml, V3_PC_PM_TMR_LEN, 1);
	v3_aml_int(&a->aml, V3_PC_GPE0_LEN, 1);
	v3_aml_int(&a->aml, 0, 3); /* GPE1 length and base, CST_CNT */
}

/* The same blocks once more as generic addresses, from X_PM1a_EVT_BLK on. */
static void acpi_fadt_x_blocks(struct acpi *a)
{
	acpi_gas(a, V3_PC_PM1_EVT, V3_PC_PM1_EVT_LEN);
	acpi_gas(a, 0, 0);
	acpi_gas(a, V3_PC_PM1_CNT, V3_PC_PM1_CNT_LEN);
	acpi_gas(a, 0, 0);
	acpi_gas(a, 0, 0); /* PM2 control */
	acpi_gas(a, V3_PC_PM_TMR, V3_PC_PM_TMR_LEN);
	acpi_gas(a, V3_PC_GPE0, V3_PC_GPE0_LEN);
	acpi_gas(a, 0, 0); /* GPE1 */
	acpi_gas(a, 0, 0); /* sleep control and status: for hardware-reduced ACPI only */
	acpi_gas(a, 0, 0);
}

/* What of a PC is there, IAPC_BOOT_ARCH (table 5.10). */
static uint32_t acpi_boot_flags(const struct v3_vm_cfg *cfg)
{
	return FADT_BOOT_LEGACY | (v3_vm_cfg_has_device(cfg, "i8042") ? FADT_BOOT_8042 : 0) |
	       (v3_vm_cfg_has_device(cfg, "vga") ? 0 : FADT_BOOT_NO_VGA) |
	       (v3_vm_cfg_has_device(cfg, "rtc") ? 0 : FADT_BOOT_NO_RTC);
}

/* Fixed ACPI description table (5.2.9). */
static void acpi_make_fadt(struct acpi *a)
{
	bool rtc = v3_vm_cfg_has_device(a->cfg, "rtc");
	uint32_t flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLP_BUTTON | FADT_NO_FIXED_RTC |
			 FADT_TMR_VAL_EXT;

	if (v3_vm_cfg_has_device(a->cfg, "reset"))
		flags |= FADT_RESET_REG;
	if (!v3_vm_cfg_has_device(a->cfg, "vga"))
		flags |= FADT_HEADLESS;
	a->fadt = acpi_begin(a, "FACP", 6);
	acpi_pointer(a, a->facs, 4);
	acpi_pointer(a, a->dsdt, 4);
	v3_aml_int(&a->aml, 0, 1);
	v3_aml_int(&a->aml, FADT_PROFILE_SERVER, 1);
	v3_aml_int(&a->aml, V3_PC_IRQ_SCI, 2);
	v3_aml_int(&a->aml, 0, 8); /* SMI_CMD, ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
	acpi_fadt_blocks(a);
	v3_aml_int(&a->aml, FADT_NO_LATENCY, 2);
	v3_aml_int(&a->aml, FADT_NO_LATENCY, 2);
	v3_aml_int(&a->aml, 0,
		   8); /* cache flush size and stride, duty cycle, day and month alarm */
	v3_aml_int(&a->aml, rtc ? RTC_CENTURY_REG : 0, 1);
	v3_aml_int(&a->aml, acpi_boot_flags(a->cfg), 2);
	v3_aml_int(&a->aml, 0, 1);
	v3_aml_int(&a->aml, flags, 4);
	acpi_gas(a, V3_PC_PORT_RESET, 1);
	v3_aml_int(&a->aml, V3_PC_RESET_VALUE, 1);
	v3_aml_int(&a->aml, 0, 2); /* ARM boot flags */
	v3_aml_int(&a->aml, 4, 1); /* minor version: 6.4 */
	v3_aml_int(&a->aml, 0, 8); /* X_FIRMWARE_CTRL: FIRMWARE_CTRL counts */
	acpi_pointer(a, a->dsdt, 8);
	acpi_fadt_x_blocks(a);
	v3_aml_int(&a->aml, 0, 8); /* hypervisor vendor identity */
	acpi_end(a, a->fadt);
}

static void acpi_override(struct acpi *a, unsigned irq, unsigned gsi, unsigned flags)
{
	v3_aml_int(&a->aml, MADT_OVERRIDE, 1);
	v3_aml_int(&a->aml, 10, 1);
	v3_aml_int(&a->aml, 0, 1); /* ISA */
	v3_aml_int(&a->aml, irq, 1);
	v3_aml_int(&a->aml, gsi, 4);
	v3_aml_int(&a->aml, flags, 2);
}

/* Multiple APIC description table (5.2.12). */
static void acpi_make_madt(struct acpi *a)
{
	uint32_t i;

	a->madt = acpi_begin(a, "APIC", 5);
	v3_aml_int(&a->aml, V3_PC_LAPIC_BASE, 4);
	v3_aml_int(&a->aml, v3_vm_cfg_has_device(a->cfg, "i8259") ? MADT_PCAT_COMPAT : 0, 4);
	for (i = 0; i < a->cfg->vcpus; i++) {
		v3_aml_int(&a->aml, MADT_LAPIC, 1);
		v3_aml_int(&a->aml, 8, 1);
		v3_aml_int(&a->aml, i, 1); /* _UID of the processor device */
		v3_aml_int(&a->aml, v3_topology_apic_id(&a->cfg->topology, i), 1);
		v3_aml_int(&a->aml, MADT_CPU_ENABLED, 4);
	}
	if (v3_vm_cfg_has_device(a->cfg, "ioapic")) {
		v3_aml_int(&a->aml, MADT_IOAPIC, 1);
		v3_aml_int(&a->aml, 12, 1);
		v3_aml_int(&a->aml, V3_PC_IOAPIC_ID, 1);
		v3_aml_int(&a->aml, 0, 1);
		v3_aml_int(&a->aml, V3_PC_IOAPIC_BASE, 4);
		v3_aml_int(&a->aml, 0, 4); /* first global system interrupt */
		acpi_override(a, V3_PC_IRQ_TIMER, V3_PC_TIMER_PIN, 0);
		acpi_override(a, V3_PC_IRQ_SCI, V3_PC_IRQ_SCI, MADT_ACTIVE_HIGH | MADT_LEVEL);
	}
	v3_aml_int(&a->aml, MADT_LAPIC_NMI, 1);
	v3_aml_int(&a->aml, 6, 1);
	v3_aml_int(&a->aml, MADT_ALL_CPUS, 1);
	v3_aml_int(&a->aml, 0, 2);
	v3_aml_int(&a->aml, 1, 1); /* LINT1 */
	acpi_end(a, a->madt);
}

/* System resource affinity table (5.2.16): which node each vcpu and each range of RAM belongs to. */
static void acpi_make_srat(struct acpi *a)
{
	struct v3_platform_ram ram[V3_PLATFORM_MAX_RAM];
	unsigned n = v3_platform_ram(a->cfg, ram), i;

	a->srat = acpi_begin(a, "SRAT", 3);
	v3_aml_int(&a->aml, 1, 4);
	v3_aml_int(&a->aml, 0, 8);
	for (i = 0; i < a->cfg->vcpus; i++) {
		v3_aml_int(&a->aml, SRAT_LAPIC, 1);
		v3_aml_int(&a->aml, 16, 1);
		v3_aml_int(&a->aml, a->cfg->vcpu_node[i], 1);
		v3_aml_int(&a->aml, v3_topology_apic_id(&a->cfg->topology, i), 1);
		v3_aml_int(&a->aml, SRAT_ENABLED, 4);
		v3_aml_int(&a->aml, 0, 8); /* SAPIC id, high bits of the node, clock domain */
	}
	for (i = 0; i < n; i++) {
		v3_aml_int(&a->aml, SRAT_MEMORY, 1);
		v3_aml_int(&a->aml, 40, 1);
		v3_aml_int(&a->aml, ram[i].node, 4);
		v3_aml_int(&a->aml, 0, 2);
		v3_aml_int(&a->aml, ram[i].gpa, 8);
		v3_aml_int(&a->aml, ram[i].size, 8);
		v3_aml_int(&a->aml, 0, 4);
		v3_aml_int(&a->aml, SRAT_ENABLED, 4);
		v3_aml_int(&a->aml, 0, 8);
	}
	acpi_end(a, a->srat);
}

/* System locality information table (5.2.17): the nodes are equally far from each other. */
static void acpi_make_slit(struct acpi *a)
{
	uint32_t n = a->cfg->nnodes, i;

	a->slit = acpi_begin(a, "SLIT", 1);
	v3_aml_int(&a->aml, n, 8);
	for (i = 0; i < n * n; i++)
		v3_aml_int(&a->aml, i / n == i % n ? SLIT_LOCAL : SLIT_REMOTE, 1);
	acpi_end(a, a->slit);
}

/* IA-PC HPET specification 1.0a, 3.2.4. */
static void acpi_make_hpet(struct acpi *a)
{
	a->hpet = acpi_begin(a, "HPET", 1);
	v3_aml_int(&a->aml, V3_PC_HPET_ID, 4);
	v3_aml_int(&a->aml, 64 << 8, 4); /* generic address: memory, 64 bits wide */
	v3_aml_int(&a->aml, V3_PC_HPET_BASE, 8);
	v3_aml_int(&a->aml, 0, 1); /* number of the block */
	v3_aml_int(&a->aml, V3_PC_HPET_MIN_TICKS, 2);
	v3_aml_int(&a->aml, 0, 1); /* no page protection */
	acpi_end(a, a->hpet);
}

/* Firmware ACPI control structure (5.2.10): has no checksum. */
static void acpi_make_facs(struct acpi *a)
{
	v3_aml_align(&a->aml, FACS_ALIGN);
	a->facs = a->aml.len;
	v3_aml_bytes(&a->aml, "FACS", 4);
	v3_aml_int(&a->aml, FACS_LEN, 4);
	v3_aml_int(&a->aml, 0, 8); /* hardware signature, waking vector */
	v3_aml_int(&a->aml, 0, 8); /* global lock, flags */
	v3_aml_int(&a->aml, 0, 8); /* 64-bit waking vector */
	v3_aml_int(&a->aml, 2, 1); /* version */
	v3_aml_align(&a->aml, FACS_ALIGN);
}

/* RSDT and XSDT (5.2.7, 5.2.8): the same list in 32 and 64 bits. @return offset */
static uint32_t acpi_make_list(struct acpi *a, const char *signature, unsigned width)
{
	const uint32_t tables[] = {a->fadt, a->madt, a->srat, a->slit, a->hpet};
	uint32_t start = acpi_begin(a, signature, 1);
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(tables); i++) {
		if (tables[i])
			acpi_pointer(a, tables[i], width);
	}
	acpi_end(a, start);
	return start;
}

/* Root system description pointer (5.2.5.3), at the beginning of the buffer. */
static void acpi_fill_rsdp(uint8_t *rsdp, uint64_t rsdt, uint64_t xsdt)
{
	const uint32_t len = V3_ACPI_RSDP_LEN;

	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "V3VEE ", 6);
	rsdp[15] = 2; /* revision */
	memcpy(rsdp + 16, &rsdt, 4);
	memcpy(rsdp + 20, &len, 4);
	memcpy(rsdp + 24, &xsdt, 8);
	rsdp[8] = acpi_sum(rsdp, V3_ACPI_RSDP_LEN_V1);
	rsdp[32] = acpi_sum(rsdp, V3_ACPI_RSDP_LEN);
}

int v3_acpi_make(const struct v3_vm_cfg *cfg, uint32_t base, uint8_t *buf,
		 struct v3_acpi_block *out)
{
	struct acpi a = {.cfg = cfg,
			 .aml = {.buf = buf, .size = V3_ACPI_BUF_SIZE, .len = V3_ACPI_RSDP_ROOM},
			 .base = base,
			 .out = out};
	uint32_t rsdt, xsdt;

	*out = (struct v3_acpi_block){.buf = buf};
	acpi_make_facs(&a);
	acpi_make_dsdt(&a);
	acpi_make_fadt(&a);
	acpi_make_madt(&a);
	if (a.cfg->nnodes) {
		acpi_make_srat(&a);
		acpi_make_slit(&a);
	}
	if (v3_vm_cfg_has_device(a.cfg, "hpet"))
		acpi_make_hpet(&a);
	rsdt = acpi_make_list(&a, "RSDT", 4);
	xsdt = acpi_make_list(&a, "XSDT", 8);
	if (a.aml.overflow)
		return V3_EOVERFLOW;
	acpi_fill_rsdp(buf, acpi_address(&a, rsdt), acpi_address(&a, xsdt));
	out->len = a.aml.len;
	return V3_OK;
}

bool v3_acpi_wanted(const struct v3_vm_cfg *cfg)
{
	return cfg->platform == V3_PLATFORM_PC && v3_vm_cfg_has_device(cfg, "acpi_pm");
}

int v3_acpi_setup(struct v3_vm *vm, struct v3_boot *b)
{
	struct v3_acpi_block *block;
	uint8_t *buf;
	int err = V3_ENOMEM;

	b->rsdp = 0;
	if (!v3_acpi_wanted(b->cfg))
		return V3_OK;
	block = v3_alloc(sizeof(*block));
	buf = v3_alloc(V3_ACPI_BUF_SIZE);
	if (block && buf)
		err = v3_acpi_make(b->cfg, V3_PC_TABLES_BASE + V3_ACPI_RSDP_ROOM, buf, block);
	if (!err)
		err = v3_mem_write(vm, V3_PC_TABLES_BASE, buf, block->len);
	if (!err)
		b->rsdp = V3_PC_TABLES_BASE;
	v3_free(buf);
	v3_free(block);
	return err;
}
