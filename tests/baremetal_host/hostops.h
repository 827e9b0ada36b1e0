/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hostops.h
 * The optional groups that hostops.c offers, each defined beside its driver.
 */
#ifndef BAREMETAL_HOSTOPS_H
#define BAREMETAL_HOSTOPS_H

#include "palacios/host.h"

extern const struct v3_host_console_ops bm_console_ops;

#endif
