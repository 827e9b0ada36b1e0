/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fw_cfg.h
 * Named files for guest firmware and kernels, read through the fw_cfg device (class "fw_cfg").
 */
#ifndef PALACIOS_FW_CFG_H
#define PALACIOS_FW_CFG_H

#include "palacios/types.h"

struct v3_vm;

#define V3_FW_CFG_NAME_LEN  55 /* longest name, bytes without terminator */
#define V3_FW_CFG_MAX_FILES 32

/**
 * Offer a file to the guest. Before the VM runs, thread.
 *
 * @param name  path such as "etc/e820"; copied
 * @param data  contents; not copied: must stay readable until the VM is destroyed
 * @param len   bytes, up to 4 GiB - 1
 * @return V3_OK; V3_ENODEV: the VM has no fw_cfg device (yet); V3_EINVAL: the name is empty or too long, or
 *         the file too large; V3_EEXIST: there is a file of that name; V3_ENOSPC: too many files.
 */
int v3_fw_cfg_add_file(struct v3_vm *vm, const char *name, const void *data, size_t len);

#endif
