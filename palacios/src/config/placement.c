/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file placement.c
 * Keys of [vm] that say how the vcpus lie in sockets and nodes, on which CPUs of the host they run, and where the
 * guest's memory comes from. Called by vm_cfg.c; palacios/doc/config.md tells what the keys mean.
 */
#include "config/cfg.h"

#include "palacios/error.h"

const struct v3_cfg_key v3_cfg_cpu_keys[] = {
	{.name = "cpu", .type = V3_CFG_UINT, .required = true, .high = V3_VM_CFG_MAX_CPU},
	{.name = "node", .type = V3_CFG_UINT, .high = V3_VM_CFG_MAX_NODES - 1},
	{.name = NULL},
};

const struct v3_cfg_key v3_cfg_node_keys[] = {
	{.name = "memory", .type = V3_CFG_SIZE, .required = true, .low = V3_PAGE_SIZE},
	{.name = "host", .type = V3_CFG_UINT, .high = V3_VM_CFG_MAX_HOST_NODE},
	{.name = NULL},
};

static int placement_topology(const struct v3_cfg *vm, struct v3_vm_cfg *cfg,
			      struct v3_cfg_error *err)
{
	struct v3_topology *t = &cfg->topology;
	const char *key = v3_cfg_has(vm, "sockets") ? "sockets"
			  : v3_cfg_has(vm, "cores") ? "cores"
						    : "threads";

	t->sockets = (uint32_t)v3_cfg_uint(vm, "sockets");
	t->threads = (uint32_t)v3_cfg_uint(vm, "threads");
	t->cores = v3_cfg_has(vm, "cores") ? (uint32_t)v3_cfg_uint(vm, "cores")
					   : cfg->vcpus / (t->sockets * t->threads);
	if (t->sockets * t->cores * t->threads == cfg->vcpus)
		return V3_OK;
	return v3_cfg_fail(err, v3_cfg_line(vm, key),
			   "%s: sockets, cores and threads do not multiply to %u vcpus", key,
			   cfg->vcpus);
}

/* Nodes are numbered in the order of the list; their memory follows each other from address 0 on. */
static int placement_nodes(const struct v3_cfg *vm, struct v3_vm_cfg *cfg, struct v3_cfg_error *err)
{
	uint32_t line = v3_cfg_line(vm, "nodes"), i;
	uint64_t sum = 0;
	char want[24];

	cfg->nnodes = v3_cfg_count(vm, "nodes");
	if (!v3_cfg_has(vm, "nodes"))
		return V3_OK;
	if (!cfg->nnodes || cfg->nnodes > V3_VM_CFG_MAX_NODES)
		return v3_cfg_fail(err, line, "nodes: expected 1 to %u, got %u",
				   V3_VM_CFG_MAX_NODES, cfg->nnodes);
	if (v3_cfg_has(vm, "numa_node"))
		return v3_cfg_fail(err, line, "nodes: not together with numa_node");
	for (i = 0; i < cfg->nnodes; i++) {
		struct v3_cfg *table = v3_cfg_table_at(vm, "nodes", i);
		struct v3_node_cfg *node = &cfg->node[i];
		int result = v3_cfg_check(table, v3_cfg_node_keys, NULL, err);

		if (result)
			return result;
		node->memory = v3_cfg_uint(table, "memory");
		node->host_node = v3_cfg_has(table, "host") ? (int)v3_cfg_uint(table, "host") : -1;
		if ((node->memory & (V3_PAGE_SIZE - 1)) || node->memory > cfg->memory - sum)
			break;
		sum += node->memory;
	}
	if (i == cfg->nnodes && sum == cfg->memory)
		return V3_OK;
	return v3_cfg_fail(err, line, "nodes: expected multiples of 4K, %s in all",
			   v3_cfg_size_text(want, cfg->memory));
}

/* A number is the CPU alone. */
static int placement_cpu(const struct v3_cfg *vm, struct v3_vm_cfg *cfg, uint32_t i, uint32_t *cpu,
			 struct v3_cfg_error *err)
{
	struct v3_cfg *table = v3_cfg_table_at(vm, "cpus", i);
	uint64_t node;
	int result;

	if (!table) {
		*cpu = (uint32_t)v3_cfg_uint_at(vm, "cpus", i);
		return V3_OK;
	}
	result = v3_cfg_check(table, v3_cfg_cpu_keys, NULL, err);
	if (result)
		return result;
	*cpu = (uint32_t)v3_cfg_uint(table, "cpu");
	if (!v3_cfg_has(table, "node"))
		return V3_OK;
	node = v3_cfg_uint(table, "node");
	if (node >= cfg->nnodes)
		return v3_cfg_fail(err, v3_cfg_line(table, "node"),
				   "cpus: node %llu is not one of the %u in \"nodes\"",
				   (unsigned long long)node, cfg->nnodes);
	cfg->vcpu_node[i] = (uint8_t)node;
	return V3_OK;
}

static int placement_cpus(const struct v3_cfg *vm, struct v3_vm_cfg *cfg,
			  struct v3_cfg_arena *arena, struct v3_cfg_error *err)
{
	uint32_t *cpus, i;
	int result;

	cfg->ncpus = v3_cfg_count(vm, "cpus");
	if (!v3_cfg_has(vm, "cpus"))
		return V3_OK;
	if (cfg->ncpus != cfg->vcpus)
		return v3_cfg_fail(err, v3_cfg_line(vm, "cpus"),
				   "cpus: expected one element per vcpu, %u in all, got %u",
				   cfg->vcpus, cfg->ncpus);
	cpus = v3_cfg_arena_alloc(arena, cfg->ncpus * sizeof(*cpus));
	if (!cpus)
		return V3_ENOMEM;
	cfg->cpus = cpus;
	for (i = 0; i < cfg->ncpus; i++) {
		result = placement_cpu(vm, cfg, i, &cpus[i], err);
		if (result)
			return result;
	}
	return V3_OK;
}

int v3_cfg_placement(const struct v3_cfg *vm, struct v3_vm_cfg *cfg, struct v3_cfg_arena *arena,
		     struct v3_cfg_error *err)
{
	uint32_t i;
	int result = placement_topology(vm, cfg, err);

	if (!result)
		result = placement_nodes(vm, cfg, err);
	if (result)
		return result;
	/* What the definition leaves open: vcpus are spread over the nodes in equal parts. */
	for (i = 0; i < cfg->vcpus; i++)
		cfg->vcpu_node[i] = (uint8_t)(i * cfg->nnodes / cfg->vcpus);
	return placement_cpus(vm, cfg, arena, err);
}
