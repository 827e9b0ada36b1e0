/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file host_files.c
 * Which files and network interfaces of the host a packed guest will use in place. For the v3 command, which opens them; the definition is
 * taken from the container without its checksums: whoever makes the VM of it checks those.
 */
#include "host_files.h"

#include "config/container.h"
#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/palacios.h"

#include <string.h>

/* The first section, if it lies in the container. */
static const char *host_files_definition(const void *image, size_t size, size_t *len)
{
	struct v3_container_section section;

	if (size < sizeof(struct v3_container_header) + sizeof(section))
		return NULL;
	memcpy(&section, (const char *)image + sizeof(struct v3_container_header), sizeof(section));
	if (section.offset > size || section.len > size - section.offset)
		return NULL;
	*len = (size_t)section.len;
	return (const char *)image + section.offset;
}

int v3_host_files_each(const void *image, size_t size, v3_host_file_fn fn, void *priv)
{
	struct v3_cfg_error err;
	struct v3_vm_cfg *cfg;
	const char *text;
	int result = 0;
	size_t len;
	uint32_t i;

	text = host_files_definition(image, size, &len);
	if (!text || v3_vm_cfg_parse(text, len, V3_CONTAINER_DEFINITION, v3_pc_devices, &cfg, &err))
		return 0;
	for (i = 0; i < cfg->nhost_files && !result; i++)
		result = fn(cfg->host_files[i].name, cfg->host_files[i].use == V3_CFG_HOST_WRITE,
			    cfg->host_files[i].use == V3_CFG_HOST_INTERFACE, priv);
	v3_vm_cfg_free(cfg);
	return result;
}
