/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file place.c
 * Guest memory as the boot code sees it: the platform's layout of RAM, the memory map told to the
 * guest, and a small allocator that keeps kernel, initrd, modules and tables apart.
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "boot"

/* The display window of a PC without a display: reads all ones, ignores writes. */
static int place_vga_window(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu;
	(void)priv;
	if (!mmio->write)
		mmio->value = ~0ull;
	return V3_OK;
}

/* The guest-physical range of @p len bytes of RAM behind the first @p done, cut where the hole below 4 GiB begins. */
static struct v3_platform_ram place_ram(uint64_t done, uint64_t len)
{
	struct v3_platform_ram ram = {.gpa = done, .size = len};

	if (done >= V3_PC_RAM_LOW_MAX)
		ram.gpa = done - V3_PC_RAM_LOW_MAX + V3_PC_RAM_HIGH_BASE;
	else if (len > V3_PC_RAM_LOW_MAX - done)
		ram.size = V3_PC_RAM_LOW_MAX - done;
	return ram;
}

unsigned v3_platform_ram(const struct v3_vm_cfg *cfg,
			 struct v3_platform_ram ram[V3_PLATFORM_MAX_RAM])
{
	const struct v3_node_cfg whole = {cfg->memory, cfg->numa_node};
	const struct v3_node_cfg *node = cfg->nnodes ? cfg->node : &whole;
	uint64_t done = 0, end = 0;
	unsigned n = 0, i;

	for (i = 0; !i || i < cfg->nnodes; i++) {
		for (end += node[i].memory; done < end; done += ram[n++].size) {
			ram[n] = place_ram(done, end - done);
			ram[n].node = i;
			ram[n].host_node = node[i].host_node;
		}
	}
	return n;
}

/* ROM for the firmware, ending at 4 GiB. A file that does not fit is refused when it is loaded. */
static int place_add_rom(struct v3_vm *vm, const struct v3_vm_cfg *cfg)
{
	struct v3_boot_msg msg;
	size_t len = 0;

	if (cfg->boot != V3_BOOT_BIOS || !v3_vm_file(vm, cfg->kernel, &len) ||
	    v3_bios_check(len, &msg) != V3_OK)
		return V3_OK;
	return v3_mem_add_rom(vm, V3_PC_ROM_END - len, len);
}

int v3_platform_add_memory(struct v3_vm *vm, const struct v3_vm_cfg *cfg)
{
	struct v3_platform_ram ram[V3_PLATFORM_MAX_RAM];
	unsigned n = v3_platform_ram(cfg, ram), i;
	int err = V3_OK;

	for (i = 0; i < n && !err; i++)
		err = v3_mem_add_ram(vm, ram[i].gpa, ram[i].size, ram[i].host_node);
	if (!err && cfg->platform == V3_PLATFORM_PC)
		err = v3_mmio_register(vm, V3_PC_VGA_BASE, V3_PC_VGA_SIZE, place_vga_window, NULL);
	if (!err)
		err = place_add_rom(vm, cfg);
	if (err)
		V3_ERR(vm, "cannot get %llu MiB of guest RAM: %s",
		       (unsigned long long)(cfg->memory >> 20), v3_strerror(err));
	return err;
}

/* Insert in ascending order; RAM that touches RAM becomes one entry. A full map drops the entry:
 * the guest then knows of less RAM than there is, which is safe. */
static void place_add_map(struct v3_boot *b, v3_gpa_t start, v3_gpa_t end, uint32_t type)
{
	struct v3_boot_mem *map = b->map;
	uint32_t i = b->nmap;

	if (start >= end)
		return;
	while (i > 0 && map[i - 1].start > start)
		i--;
	if (i > 0 && type == V3_BOOT_MEM_RAM && map[i - 1].type == type &&
	    map[i - 1].end == start) {
		map[i - 1].end = end;
		return;
	}
	if (b->nmap == V3_BOOT_MAX_MAP)
		return;
	memmove(&map[i + 1], &map[i], (b->nmap - i) * sizeof(*map));
	map[i] = (struct v3_boot_mem){.start = start, .end = end, .type = type};
	b->nmap++;
}

void v3_boot_make_map(struct v3_vm *vm, struct v3_boot *b)
{
	bool pc = b->cfg->platform == V3_PLATFORM_PC;
	struct v3_mem_range range;
	v3_gpa_t end;
	unsigned i;

	b->nmap = 0;
	for (i = 0; v3_mem_range(vm, i, &range) == V3_OK; i++) {
		end = range.gpa + range.size;
		if (!range.ram) {
			place_add_map(b, range.gpa, end, V3_BOOT_MEM_RESERVED);
			continue;
		}
		if (!pc || range.gpa >= V3_PC_HIGH_RAM_BASE || end <= V3_PC_LOW_RAM_END) {
			place_add_map(b, range.gpa, end, V3_BOOT_MEM_RAM);
			continue;
		}
		/* a PC's range across the hole from the display window to 1 MiB */
		place_add_map(b, range.gpa, V3_PC_LOW_RAM_END, V3_BOOT_MEM_RAM);
		if (end > V3_PC_HIGH_RAM_BASE)
			place_add_map(b, V3_PC_HIGH_RAM_BASE, end, V3_BOOT_MEM_RAM);
	}
	if (!pc)
		return;
	place_add_map(b, V3_PC_TABLES_BASE, V3_PC_TABLES_END, V3_BOOT_MEM_RESERVED);
	place_add_map(b, V3_PC_IOAPIC_BASE, (v3_gpa_t)V3_PC_IOAPIC_BASE + V3_PC_IOAPIC_SIZE,
		      V3_BOOT_MEM_RESERVED);
	place_add_map(b, V3_PC_LAPIC_BASE, (v3_gpa_t)V3_PC_LAPIC_BASE + V3_PC_LAPIC_SIZE,
		      V3_BOOT_MEM_RESERVED);
}

static bool place_is_ram(const struct v3_boot *b, v3_gpa_t start, uint64_t len)
{
	uint32_t i;

	for (i = 0; i < b->nmap; i++) {
		if (b->map[i].type == V3_BOOT_MEM_RAM && start >= b->map[i].start &&
		    start < b->map[i].end && len <= b->map[i].end - start)
			return true;
	}
	return false;
}

/* What is in the way of [start, start + len)? The sum does not wrap: the range is RAM. */
static const struct v3_boot_taken *place_conflict(const struct v3_boot *b, v3_gpa_t start,
						  uint64_t len)
{
	uint32_t i;

	for (i = 0; i < b->ntaken; i++) {
		if (start < b->taken[i].end && b->taken[i].start < start + len)
			return &b->taken[i];
	}
	return NULL;
}

static int place_note(struct v3_boot *b, v3_gpa_t start, uint64_t len, const char *what,
		      struct v3_boot_msg *msg)
{
	if (b->ntaken == V3_BOOT_MAX_TAKEN)
		return v3_boot_fail(msg, V3_E2BIG, "%s: too many pieces to place", what);
	b->taken[b->ntaken++] =
		(struct v3_boot_taken){.start = start, .end = start + len, .what = what};
	return V3_OK;
}

int v3_boot_take(struct v3_boot *b, v3_gpa_t start, uint64_t len, const char *what,
		 struct v3_boot_msg *msg)
{
	const struct v3_boot_taken *other;

	if (!len || !place_is_ram(b, start, len))
		return v3_boot_fail(msg, V3_E2BIG,
				    "%s: %#llx bytes at %#llx are not in the guest's RAM", what,
				    (unsigned long long)len, (unsigned long long)start);
	other = place_conflict(b, start, len);
	if (other)
		return v3_boot_fail(msg, V3_EBADMSG, "%s: %#llx bytes at %#llx overlap %s at %#llx",
				    what, (unsigned long long)len, (unsigned long long)start,
				    other->what, (unsigned long long)other->start);
	return place_note(b, start, len, what, msg);
}

/* Lowest or highest free place in [low, high). @return false if there is none */
static bool place_search(const struct v3_boot *b, const struct v3_boot_want *want, v3_gpa_t low,
			 v3_gpa_t high, v3_gpa_t *start)
{
	const struct v3_boot_taken *other;
	uint64_t mask = want->align - 1;
	v3_gpa_t pos;

	if (low >= high || want->len > high - low)
		return false;
	pos = want->top_down ? (high - want->len) & ~mask : (low + mask) & ~mask;
	/* Every step passes one taken range for good, so the loop ends. */
	while (pos >= low && pos < high && want->len <= high - pos) {
		other = place_conflict(b, pos, want->len);
		if (!other) {
			*start = pos;
			return true;
		}
		if (!want->top_down)
			pos = (other->end + mask) & ~mask;
		else if (other->start < want->len)
			return false;
		else
			pos = (other->start - want->len) & ~mask;
	}
	return false;
}

int v3_boot_find(struct v3_boot *b, const struct v3_boot_want *want, const char *what,
		 v3_gpa_t *start, struct v3_boot_msg *msg)
{
	const struct v3_boot_mem *mem;
	uint32_t i;

	for (i = 0; i < b->nmap; i++) {
		mem = &b->map[want->top_down ? b->nmap - 1 - i : i];
		if (mem->type == V3_BOOT_MEM_RAM &&
		    place_search(b, want, mem->start > want->low ? mem->start : want->low,
				 mem->end < want->high ? mem->end : want->high, start))
			return place_note(b, *start, want->len, what, msg);
	}
	return v3_boot_fail(msg, V3_E2BIG, "%s: no room for %#llx bytes between %#llx and %#llx",
			    what, (unsigned long long)want->len, (unsigned long long)want->low,
			    (unsigned long long)want->high);
}

int v3_boot_add_copy(struct v3_boot *b, const struct v3_boot_copy *copy, struct v3_boot_msg *msg)
{
	if (b->ncopies == V3_BOOT_MAX_LOADS)
		return v3_boot_fail(msg, V3_E2BIG, "too many pieces to load");
	b->copy[b->ncopies++] = *copy;
	return V3_OK;
}
