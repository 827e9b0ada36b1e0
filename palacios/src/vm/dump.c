/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file dump.c
 * The state of a VM as text: registers, the vendor's control block, the last exits. A vcpu's part is written on its
 * own thread; when the VM fails, each thread keeps its part before it ends, so that the dump shows that moment.
 */
#include "exit/exit.h"
#include "exit/stats.h"
#include "host/host.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"
#include "palacios/util/text.h"
#include "state.h"
#include "vm/vm.h"

#define DUMP_KEPT   16384 /* bytes of one vcpu's part that are kept */
#define DUMP_DETAIL 64

/* ---- one vcpu; own thread, or it does not run ---- */

static void dump_registers(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	static const char *const names[V3_NGPR] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						   "rsi", "rdi", "r8",	"r9",  "r10", "r11",
						   "r12", "r13", "r14", "r15"};
	const uint64_t *g = vcpu->regs.gpr;
	unsigned i;

	for (i = 0; i < V3_NGPR; i += 4)
		v3_text_line(text, "  %-3s %016llx %-3s %016llx %-3s %016llx %-3s %016llx",
			     names[i], (unsigned long long)g[i], names[i + 1],
			     (unsigned long long)g[i + 1], names[i + 2],
			     (unsigned long long)g[i + 2], names[i + 3],
			     (unsigned long long)g[i + 3]);
}

static void dump_segments(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	static const char *const names[V3_NSEG] = {"es", "cs", "ss",   "ds",
						   "fs", "gs", "ldtr", "tr"};
	struct v3_dtr gdt, idt;
	struct v3_seg s;
	unsigned i;

	for (i = 0; i < V3_NSEG; i++) {
		vcpu->arch->get_seg(vcpu, (enum v3_seg_num)i, &s);
		v3_text_line(text, "  %-4s sel %#06x base %#018llx limit %#010x attr %#05x",
			     names[i], s.sel, (unsigned long long)s.base, s.limit, s.attr);
	}
	vcpu->arch->get_dtr(vcpu, false, &gdt);
	vcpu->arch->get_dtr(vcpu, true, &idt);
	v3_text_line(text, "  gdtr base %#018llx limit %#06x  idtr base %#018llx limit %#06x",
		     (unsigned long long)gdt.base, gdt.limit, (unsigned long long)idt.base,
		     idt.limit);
}

/* What a kind's own fields say. */
static void dump_exit_detail(const struct v3_exit *exit, char *buf)
{
	static const char *const access[] = {"", "read", "write", "", "exec"};

	buf[0] = '\0';
	switch (exit->kind) {
	case V3_EXIT_IO:
		v3_snprintf(buf, DUMP_DETAIL, "%s port %#x size %u%s%s",
			    exit->u.io.in ? "in" : "out", exit->u.io.port, exit->u.io.size,
			    exit->u.io.string ? " string" : "", exit->u.io.rep ? " rep" : "");
		break;
	case V3_EXIT_NESTED_FAULT:
	case V3_EXIT_NESTED_BAD:
		v3_snprintf(buf, DUMP_DETAIL, "%s gpa %#llx%s", access[exit->u.fault.access & 7],
			    (unsigned long long)exit->u.fault.gpa,
			    exit->u.fault.present ? " present" : "");
		break;
	case V3_EXIT_EXCEPTION:
		v3_snprintf(buf, DUMP_DETAIL, "vector %u error %#x addr %#llx", exit->u.excp.vector,
			    exit->u.excp.error, (unsigned long long)exit->u.excp.addr);
		break;
	case V3_EXIT_CR_READ:
	case V3_EXIT_CR_WRITE:
	case V3_EXIT_DR_ACCESS:
		v3_snprintf(buf, DUMP_DETAIL, "register %u", exit->u.reg.n);
		break;
	case V3_EXIT_TASK_SWITCH:
		v3_snprintf(buf, DUMP_DETAIL, "selector %#x", exit->u.task.sel);
		break;
	default: /* the kind says it all */
		break;
	}
}

static void dump_exits(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	uint64_t n = vcpu->stats.entries, i = n > V3_EXIT_RECORDS ? n - V3_EXIT_RECORDS : 0;
	uint64_t before = 0;
	char detail[DUMP_DETAIL];

	v3_text_line(text, "  last %llu of %llu exits, oldest first:", (unsigned long long)(n - i),
		     (unsigned long long)n);
	for (; i < n; i++) {
		const struct v3_exit_record *rec = &vcpu->stats.last[i % V3_EXIT_RECORDS];

		dump_exit_detail(&rec->exit, detail);
		v3_text_line(text, "  %8llu +%-10llu %-12s code %#-8llx rip %#llx%s%s%s",
			     (unsigned long long)i,
			     (unsigned long long)(before ? rec->tsc - before : 0),
			     v3_exit_name(rec->exit.kind), (unsigned long long)rec->exit.code,
			     (unsigned long long)rec->rip, *detail ? " " : "", detail,
			     rec->exit.aborted.type != V3_EVENT_NONE ? " while delivering" : "");
		before = rec->tsc;
	}
}

/* The last exit said that an entry of the nested tables is not valid: which one, if we do not know, our reader. */
static void dump_nested(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	uint64_t n = vcpu->stats.entries, entry[V3_WALK_MAX_LEVELS];
	const struct v3_exit *exit = &vcpu->stats.last[(n - 1) % V3_EXIT_RECORDS].exit;
	unsigned levels = v3_mmu_table(vcpu)->levels, count, i;

	if (!n || exit->kind != V3_EXIT_NESTED_BAD)
		return;
	count = v3_mmu_path(vcpu, exit->u.fault.gpa, entry);
	v3_text_line(text, "  nested tables at gpa %#llx:", (unsigned long long)exit->u.fault.gpa);
	for (i = 0; i < count; i++)
		v3_text_line(text, "    level %u entry %#018llx", levels - i,
			     (unsigned long long)entry[i]);
}

static void dump_vcpu(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	static const char *const states[] = {"runnable", "halted", "waits for SIPI"};

	v3_text_line(text, "vcpu %u: %s, rip %#llx rflags %#llx cpl %u, %u-bit code, CPU %u",
		     vcpu->index, states[vcpu->state], (unsigned long long)vcpu->regs.rip,
		     (unsigned long long)vcpu->regs.rflags, vcpu->cpl, v3_code_bits(vcpu),
		     vcpu->bound_cpu);
	v3_text_line(text, "  cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx cr8 %#llx efer %#llx",
		     (unsigned long long)vcpu->cr0, (unsigned long long)vcpu->cr2,
		     (unsigned long long)vcpu->cr3, (unsigned long long)vcpu->cr4,
		     (unsigned long long)v3_intr_cr8(vcpu), (unsigned long long)vcpu->efer);
	if (vcpu->failed_rule)
		v3_text_line(text, "  entry check: %s", vcpu->failed_rule);
	dump_registers(vcpu, text);
	dump_segments(vcpu, text);
	vcpu->arch->dump(vcpu, text);
	dump_nested(vcpu, text);
	dump_exits(vcpu, text);
}

/* ---- kept at the end of a thread ---- */

struct dump_kept {
	char *buf;
	size_t len;
};

static void dump_keep_line(void *priv, const char *line)
{
	struct dump_kept *kept = priv;
	size_t len = v3_strlen(line);

	if (kept->len + len + 2 > DUMP_KEPT)
		return;
	memcpy(kept->buf + kept->len, line, len);
	kept->len += len;
	kept->buf[kept->len++] = '\n';
	kept->buf[kept->len] = '\0';
}

void v3_dump_keep(struct v3_vcpu *vcpu)
{
	struct dump_kept kept = {NULL, 0};
	struct v3_text text = {dump_keep_line, &kept};

	if (v3_vm_stop_reason(vcpu->vm, NULL) == V3_STOP_FAILURE)
		kept.buf = v3_alloc(DUMP_KEPT);
	if (!kept.buf)
		return;
	dump_vcpu(vcpu, &text);
	vcpu->dump_text = kept.buf;
}

static void dump_kept_text(const char *kept, const struct v3_text *text)
{
	char line[160];
	size_t n;

	for (; *kept; kept += n + 1) {
		for (n = 0; kept[n] != '\n'; n++)
			;
		v3_strlcpy(line, kept, n + 1 < sizeof(line) ? n + 1 : sizeof(line));
		text->line(text->priv, line);
	}
}

/* ---- of a VM that lives ---- */

void v3_dump_serve(struct v3_vcpu *vcpu)
{
	const struct v3_text *text = __atomic_load_n(&vcpu->dump_to, __ATOMIC_ACQUIRE);

	if (!text)
		return;
	v3_vcpu_may_sleep(vcpu);
	dump_vcpu(vcpu, text);
	__atomic_store_n(&vcpu->dump_to, NULL, __ATOMIC_SEQ_CST);
	v3_host_wq_wake(vcpu->vm->wq);
}

static bool dump_done(void *arg)
{
	struct v3_vcpu *vcpu = arg;

	return !__atomic_load_n(&vcpu->dump_to, __ATOMIC_SEQ_CST) ||
	       !__atomic_load_n(&vcpu->vm->alive, __ATOMIC_SEQ_CST);
}

/* @return whether its thread has written it */
static bool dump_ask(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	__atomic_store_n(&vcpu->dump_to, text, __ATOMIC_SEQ_CST);
	v3_vcpu_request(vcpu, V3_REQ_DUMP);
	v3_host_wq_wake(vcpu->wq); /* it may stand at the rendezvous */
	v3_host_wq_sleep(vcpu->vm->wq, dump_done, vcpu);
	return !__atomic_exchange_n(&vcpu->dump_to, NULL, __ATOMIC_SEQ_CST);
}

static void dump_one(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	struct v3_vm *vm = vcpu->vm;

	if (vm->state == V3_VM_READY) {
		dump_vcpu(vcpu, text);
		return;
	}
	if (__atomic_load_n(&vm->alive, __ATOMIC_SEQ_CST) && dump_ask(vcpu, text))
		return;
	if (vcpu->dump_text)
		dump_kept_text(vcpu->dump_text, text);
	else
		v3_text_line(text, "vcpu %u: has ended after %llu entries", vcpu->index,
			     (unsigned long long)vcpu->stats.entries);
}

static void dump_head(struct v3_vm *vm, const struct v3_text *text)
{
	static const char *const states[] = {"ready", "running", "paused", "stopped"};
	static const char *const reasons[] = {"", ": power-off", ": debug exit", ": failure"};
	enum v3_stop_reason reason;
	struct v3_mem_stats m;
	int status;

	reason = v3_vm_stop_reason(vm, &status);
	v3_mem_get_stats(vm, &m);
	v3_text_line(text, "%s: %s%s", vm->name, states[v3_vm_get_state(vm)], reasons[reason]);
	if (reason == V3_STOP_FAILURE)
		v3_text_line(text, "  %s", v3_strerror(status));
	else if (reason == V3_STOP_EXIT)
		v3_text_line(text, "  status %d", status);
	v3_text_line(text, "  %u vcpus, %llu MiB, %u resets", vm->nvcpus,
		     (unsigned long long)(m.ram_bytes >> 20), vm->resets);
}

void v3_vm_dump(struct v3_vm *vm, const struct v3_text *text)
{
	uint32_t i;

	v3_host_mutex_lock(vm->lock);
	dump_head(vm, text);
	for (i = 0; i < vm->nvcpus; i++)
		dump_one(vm->vcpu[i], text);
	v3_host_mutex_unlock(vm->lock);
}
