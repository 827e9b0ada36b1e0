/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vm_cfg.h
 * A guest definition after all checks: what the VM builder (vm/) and the boot loaders (boot/) work
 * from. Shared by the library and v3-mkimage. The file format is in palacios/doc/config.md.
 */
#ifndef V3_CONFIG_VM_CFG_H
#define V3_CONFIG_VM_CFG_H

#include "palacios/config.h"
#include "palacios/log.h"
#include "palacios/topology.h"
#include "palacios/types.h"
#include "palacios/vm.h"

struct v3_device_class;

#define V3_VM_CFG_MAX_TEXT	 65536 /* longest definition, bytes */
#define V3_VM_CFG_MAX_VCPUS	 32
#define V3_VM_CFG_MAX_CPU	 4095 /* of the host */
#define V3_VM_CFG_MAX_NODES	 8    /* of the guest */
#define V3_VM_CFG_MAX_HOST_NODE	 255
#define V3_VM_CFG_MAX_DEVICES	 64 /* the platform's included */
#define V3_VM_CFG_MAX_MODULES	 32
#define V3_VM_CFG_MAX_FILES	 63  /* a container has one section more, the definition */
#define V3_VM_CFG_MAX_FILE_NAME	 191 /* bytes */
#define V3_VM_CFG_MAX_HOST_FILES 64

/** What is wrong and where; print as "%s:%u: %s", without the line part if line is 0. */
struct v3_cfg_error {
	const char *file; /* not owned: the name given by the caller */
	uint32_t line;	  /* 1-based; 0: the file as a whole */
	char message[200];
};

enum v3_vm_platform { V3_PLATFORM_NONE, V3_PLATFORM_PC };
enum v3_vm_boot { V3_BOOT_LINUX, V3_BOOT_MULTIBOOT, V3_BOOT_PVH, V3_BOOT_BIOS };

/** One device instance to create. */
struct v3_device_cfg {
	const struct v3_device_class
		*class;		  /* not owned; of the array given to v3_vm_cfg_parse() */
	const struct v3_cfg *cfg; /* never NULL: an empty table gives the defaults */
	uint32_t line;		  /* of the [[device]]; 0: the platform's own */
};

/** A file that the boot loader hands to a multiboot or PVH kernel. */
struct v3_module_cfg {
	const char *file;    /* name of the container's section */
	const char *cmdline; /* the whole text of the definition: file name, space, arguments */
};

/** A NUMA node of the guest. */
struct v3_node_cfg {
	uint64_t memory; /* bytes, multiple of 4 KiB; those of all nodes are the guest's memory */
	int host_node;	 /* where it comes from; -1: any */
};

/** A file or a network interface of the host that a device uses in place. */
struct v3_host_file_cfg {
	const char *name; /* as written */
	enum v3_cfg_host_file use;
};

struct v3_vm_cfg {
	const char *name;
	uint64_t memory; /* bytes, multiple of 4 KiB */
	uint32_t vcpus;	 /* 1..32 */
	struct v3_topology topology;
	enum v3_log_level log_level;
	uint32_t ncpus;	      /* 0: the host chooses; otherwise equal to vcpus */
	const uint32_t *cpus; /* host CPU of each vcpu */
	enum v3_vm_platform platform;
	uint32_t tsc_khz; /* 0: the host's */
	enum v3_yield yield;
	int numa_node;	 /* without nodes: where the memory comes from; -1: any */
	uint32_t nnodes; /* 0: the guest is told of none */
	struct v3_node_cfg node[V3_VM_CFG_MAX_NODES];
	uint8_t vcpu_node[V3_VM_CFG_MAX_VCPUS]; /* node of each vcpu; 0 if there are none */

	enum v3_vm_boot boot;
	const char *kernel;  /* section name; of the firmware for V3_BOOT_BIOS */
	const char *initrd;  /* section name; NULL: none */
	const char *cmdline; /* never NULL */
	uint32_t nmodules;
	const struct v3_module_cfg *modules;

	/* In the order of creation: the platform's devices (with what [[device]] changed in them),
	 * then the others as written. */
	uint32_t ndevices;
	const struct v3_device_cfg *devices;

	/* Every file that the definition names, each once. */
	uint32_t nfiles;
	const char *const *files;

	/* Every file and network interface of the host that it names, each once: not packed. */
	uint32_t nhost_files;
	const struct v3_host_file_cfg *host_files;

	struct v3_cfg_arena *arena; /* owned; everything above lies in it, and this structure too */
};

/**
 * Parse and check a definition.
 *
 * Thread context. Nothing in the result points into @p text.
 *
 * @param text      the file, need not be terminated
 * @param len       its length in bytes
 * @param filename  for messages; must outlive @p err
 * @param classes   the device classes that may be named, NULL-terminated; must outlive *out
 * @param out       set on success; free with v3_vm_cfg_free()
 * @param err       filled on failure
 * @return V3_OK; V3_EBADMSG: the definition is wrong; V3_ENOMEM. Leaves nothing on failure.
 */
int v3_vm_cfg_parse(const char *text, size_t len, const char *filename,
		    const struct v3_device_class *const *classes, struct v3_vm_cfg **out,
		    struct v3_cfg_error *err);
/** Free a definition; NULL is allowed. */
void v3_vm_cfg_free(struct v3_vm_cfg *cfg);

/** Does the definition create a device of class @p name? any context. */
bool v3_vm_cfg_has_device(const struct v3_vm_cfg *cfg, const char *name);

/** Class names of the platform "pc" in the order of creation; ends with NULL. A class that the
 * embedder does not offer is left out. */
extern const char *const v3_platform_pc[];

#endif
