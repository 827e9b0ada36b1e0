/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file save_rig.h
 * Devices of pci_bench.h move to another VM: their state is saved, and a second VM with the same devices takes the
 * place of the first one, with its memory, time and interrupt lines.
 */
#ifndef TESTS_SAVE_RIG_H
#define TESTS_SAVE_RIG_H

#include "palacios/mem.h"
#include "palacios/save.h"
#include "pci_bench.h"
#include "save_tamper.h"
#include "vm/vm.h"

static struct {
	unsigned n; /* devices in bench.vm->device[]; the host bridge is the first */
	uint8_t image[1u << 20];
	size_t len;
	char why[192]; /* the last image was refused */
	/* What controllers and memory are in reality: state that is not the devices'. */
	uint8_t ram[16u << 20];
	bool level[V3_NR_GSI];
	uint64_t now;
} rig_saved;

/* Device @p i of the VM. */
static inline void save_rig_has(unsigned i, const struct v3_device_class *cls, void *state)
{
	bench.vm->device[i].cls = cls;
	bench.vm->device[i].state = state;
	rig_saved.n = i + 1;
}

/* Make device @p i, in the VM that has the host bridge. @return false: reported */
static inline bool save_rig_add(unsigned i, const struct v3_device_class *cls, const char *keys)
{
	void *state;
	int err;

	bench.vm->ndevices = 1;
	err = fake_device_create(bench.vm, cls, keys, &state);
	bench.vm->ndevices = 0;
	if (!CHECK_EQ(err, V3_OK))
		return false;
	save_rig_has(i, cls, state);
	return true;
}

/* Pages that show nothing are left out. */
static inline void save_rig_memory(bool out)
{
	for (v3_gpa_t gpa = 0; gpa < sizeof(rig_saved.ram); gpa += V3_PAGE_SIZE) {
		if (out)
			v3_mem_read(bench.vm, gpa, rig_saved.ram + gpa, V3_PAGE_SIZE);
		else
			v3_mem_write(bench.vm, gpa, rig_saved.ram + gpa, V3_PAGE_SIZE);
	}
}

/* @return false: reported */
static inline bool save_rig_save(void)
{
	struct v3_save_buf state = {.data = rig_saved.image, .size = sizeof(rig_saved.image)};
	int err;

	v3_time_pause(bench.vm);
	bench.vm->ndevices = rig_saved.n;
	err = v3_devices_save(bench.vm, &state);
	bench.vm->ndevices = 0;
	rig_saved.now = bench.vm->time.paused_ns;
	v3_time_continue(bench.vm);
	rig_saved.len = state.pos;
	memcpy(rig_saved.level, bench.level, sizeof(bench.level));
	save_rig_memory(true);
	return CHECK_EQ(err, V3_OK);
}

static inline void save_rig_power_on(void)
{
	for (unsigned i = 0; i < rig_saved.n; i++)
		if (bench.vm->device[i].cls->reset)
			bench.vm->device[i].cls->reset(bench.vm->device[i].state);
}

/* @return as v3_devices_load() */
static inline int save_rig_load(void)
{
	struct v3_save_buf state = {.data = rig_saved.image, .size = rig_saved.len};
	int err;

	save_rig_power_on();
	memcpy(bench.level, rig_saved.level, sizeof(bench.level));
	v3_time_pause(bench.vm);
	bench.vm->time.paused_ns = rig_saved.now;
	bench.vm->ndevices = rig_saved.n;
	err = v3_devices_load(bench.vm, &state);
	bench.vm->ndevices = 0;
	v3_time_continue(bench.vm);
	strcpy(rig_saved.why, state.why);
	return err;
}

/* To the VM that @p open makes, with the same devices. @return false: reported */
static inline bool save_rig_move(bool (*open)(void))
{
	if (!save_rig_save())
		return false;
	fake_vm_destroy(bench.vm);
	if (!open())
		return false;
	if (!CHECK_MSG(save_rig_load() == V3_OK, "%s", rig_saved.why))
		return false;
	save_rig_memory(false);
	CHECK(!memcmp(bench.level, rig_saved.level, sizeof(bench.level)));
	sent.n = 0;
	return true;
}

/* The bytes of a field, by the end of its path. NULL: not there, reported */
static inline uint8_t *save_rig_field(const char *path)
{
	size_t n = strlen(path);
	uint8_t *p = rig_saved.image, *bytes, *next;
	uint32_t len;

	for (; p < rig_saved.image + rig_saved.len; p = next) {
		next = save_record(p, &bytes, &len);
		if ((size_t)(bytes - p) >= n + 6 && !memcmp(bytes - 4 - n, path, n))
			return bytes;
	}
	tap_fail(__FILE__, __LINE__, "no field %s", path);
	return NULL;
}

#endif
