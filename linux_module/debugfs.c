// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file debugfs.c
 * /sys/kernel/debug/palacios/NAME/: info, stats and dump of each VM as text. For people; programs use the ioctls.
 */
#include "glue.h"

#include <linux/debugfs.h>
#include <linux/seq_file.h>

static struct dentry *debugfs_top;

static void debugfs_line(void *priv, const char *line)
{
	seq_printf(priv, "%s\n", line);
}

static int info_show(struct seq_file *m, void *unused)
{
	static const char *const states[] = {"ready", "running", "paused", "stopped"};
	static const char *const reasons[] = {"none", "power-off", "debug exit", "failure"};
	struct lnx_vm *vm = m->private;
	struct palacios_info info;
	struct v3_vcpu_info vcpu;
	struct v3_mem_stats mem;
	uint32_t i;

	lnx_vm_summary(vm, &info);
	v3_mem_get_stats(vm->vm, &mem);
	seq_printf(m, "id %llu\nstate %s\nreason %s\nstatus %d\nresets %u\n", vm->id,
		   states[info.state], reasons[info.reason], info.status, v3_vm_resets(vm->vm));
	seq_printf(m, "memory %llu\nbacked_1g %llu\nbacked_2m %llu\nbacked_4k %llu\n",
		   mem.ram_bytes, mem.backed_1g, mem.backed_2m, mem.backed_4k);
	seq_printf(m, "leaves_1g %llu\nleaves_2m %llu\nleaves_4k %llu\ntable_pages %llu\n",
		   mem.leaves_1g, mem.leaves_2m, mem.leaves_4k, mem.table_pages);
	for (i = 0; !v3_vcpu_info(vm->vm, i, &vcpu); i++)
		seq_printf(m, "vcpu %u: cpu %u state %u entries %llu\n", i, vcpu.cpu, vcpu.state,
			   vcpu.entries);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(info);

static int stats_show(struct seq_file *m, void *unused)
{
	struct lnx_vm *vm = m->private;
	struct v3_exit_stat stat;
	uint32_t i, kind;

	seq_puts(m, "vcpu exit                  count           cycles       max\n");
	for (i = 0; i < v3_vm_vcpu_count(vm->vm); i++) {
		for (kind = 0; kind < V3_EXIT_NKINDS; kind++) {
			if (v3_vm_exit_stat(vm->vm, i, kind, &stat) || !stat.count)
				continue;
			seq_printf(m, "%4u %-14s %12llu %16llu %9llu\n", i, v3_exit_name(kind),
				   stat.count, stat.cycles, stat.max_cycles);
		}
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int dump_show(struct seq_file *m, void *unused)
{
	const struct v3_text text = {debugfs_line, m};
	struct lnx_vm *vm = m->private;

	v3_vm_dump(vm->vm, &text);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(dump);

void lnx_debugfs_add(struct lnx_vm *vm)
{
	struct dentry *dir = debugfs_create_dir(vm->name, debugfs_top);

	debugfs_create_file("info", 0400, dir, vm, &info_fops);
	debugfs_create_file("stats", 0400, dir, vm, &stats_fops);
	debugfs_create_file("dump", 0400, dir, vm, &dump_fops);
	vm->debugfs = dir;
}

void lnx_debugfs_remove(struct lnx_vm *vm)
{
	debugfs_remove(vm->debugfs);
}

void lnx_debugfs_init(void)
{
	debugfs_top = debugfs_create_dir("palacios", NULL);
}

void lnx_debugfs_exit(void)
{
	debugfs_remove(debugfs_top);
}
