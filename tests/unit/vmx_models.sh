#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Record the VMX capability MSRs of Bochs' CPU models: tests/unit/vmx_models.sh > tests/unit/vmx_models.h
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
models="core2_penryn_t9600 corei5_lynnfield_750 corei5_arrandale_m520 corei7_sandy_bridge_2600k
	corei7_ivy_bridge_3770k corei7_haswell_4770 broadwell_ult corei7_skylake_x"

record() {
	cat <<'END'
/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmx_models.h
 * VMX capability MSRs as read on Bochs 2.7's CPU models. Written by vmx_models.sh; not edited by hand.
 */
#ifndef TESTS_UNIT_VMX_MODELS_H
#define TESTS_UNIT_VMX_MODELS_H

#include <stdint.h>

#define VMX_MODEL_MSRS 18

/* 0: the model does not have this MSR. */
static const struct vmx_model {
	const char *name;
	uint64_t msr[VMX_MODEL_MSRS]; /* from 0x480 */
} vmx_models[] = {
END
	for model in $models; do
		"$top/tests/run_guest.sh" --machine bochs-vmx --model "$model" --append vmxcaps --selftest |
			awk -v model="$model" '
			$1 == "vmxcaps:" && $2 in slot { value[slot[$2]] = $3; n++; next }
			/^palacios-host: exit 0$/ { good = 1; next }
			BEGIN { for (i = 0; i < 18; i++) slot[sprintf("%#x", 1152 + i)] = i }
			END {
				if (!good || !n)
					exit 1
				printf "\t{\"%s\",\n\t {", model
				for (i = 0; i < 18; i++)
					printf "%s%s", i in value ? value[i] : "0", i == 17 ? "}},\n" : i % 4 == 3 ? ",\n\t  " : ", "
			}'
	done
	cat <<'END'
};

#endif
END
}

tables=$(record)
printf '%s\n' "$tables" | clang-format-14 --assume-filename="$top/tests/unit/vmx_models.h"
