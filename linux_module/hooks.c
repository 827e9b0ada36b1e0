// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file hooks.c
 * The functions the library asks of its host (palacios/host.h), on Linux. A vcpu is a kernel thread bound to
 * its CPU. While a guest's FPU state is live the thread is inside kernel_fpu_begin(), so it is not preempted:
 * the library looks at should_yield() after each exit and leaves that section before anything sleeps.
 */
#include "compat.h"
#include "glue.h"

#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>

DECLARE_WAIT_QUEUE_HEAD(lnx_state_wait);

static call_single_data_t *hooks_kick; /* owned: one per CPU number */

#ifdef CONFIG_V3_FAULT_INJECTION
static int hooks_fail_at;
module_param_named(fail_at, hooks_fail_at, int, 0600);
MODULE_PARM_DESC(fail_at,
		 "for tests: the allocation of that number, counted down from now, fails; 0: none");
#endif

/* Shall this allocation fail? Tests set the number and run one thing at a time. */
static bool hooks_refuse(void)
{
#ifdef CONFIG_V3_FAULT_INJECTION
	return READ_ONCE(hooks_fail_at) && !--hooks_fail_at;
#else
	return false;
#endif
}

static void hooks_kicked(void *arg)
{
}

int lnx_hooks_init(void)
{
	unsigned int i;

	hooks_kick = kcalloc(nr_cpu_ids, sizeof(*hooks_kick), GFP_KERNEL);
	if (!hooks_kick)
		return -ENOMEM;
	for (i = 0; i < nr_cpu_ids; i++)
		INIT_CSD(&hooks_kick[i], hooks_kicked, NULL);
	return 0;
}

void lnx_hooks_exit(void)
{
	kfree(hooks_kick);
}

static void hooks_log(int level, const char *line)
{
	switch (level) {
	case V3_LOG_ERR:
		pr_err_ratelimited("palacios: %s\n", line);
		break;
	case V3_LOG_WARN:
		pr_warn_ratelimited("palacios: %s\n", line);
		break;
	case V3_LOG_INFO:
		pr_info("palacios: %s\n", line);
		break;
	default:
		pr_debug("palacios: %s\n", line);
		break;
	}
}

/* ---- memory ---- */

/* The library allocates in both contexts. What a process asks for is charged to it. */
static gfp_t hooks_gfp(void)
{
	return (preemptible() ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC) | __GFP_NOWARN;
}

static v3_hpa_t hooks_page_alloc(uint32_t npages, int node)
{
	struct page *page = NULL;

	if (!hooks_refuse())
		page = alloc_pages_node(node, hooks_gfp() | __GFP_ZERO, ilog2(npages));
	return page ? page_to_phys(page) : V3_HPA_NONE;
}

static void hooks_page_free(v3_hpa_t pa, uint32_t npages)
{
	__free_pages(pfn_to_page(PHYS_PFN(pa)), ilog2(npages));
}

/*
 * From the pool if it has such a piece, else from the page allocator.
 * The block is made single pages, so that what is more than asked for can go back and the rest can be freed
 * without knowing how large the block was. A large one is not worth reclaiming for: the library asks for less.
 */
static v3_hpa_t hooks_ram_alloc(uint64_t npages, uint64_t align, int node)
{
	unsigned int order = ilog2(align) - PAGE_SHIFT;
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	v3_hpa_t pa = lnx_pool_take(npages, align, node);
	struct page *page;
	uint64_t i;

	if (pa != V3_HPA_NONE)
		return pa;
	if (!npages || npages > 1ull << LNX_LARGEST_ORDER || hooks_refuse())
		return V3_HPA_NONE;
	order = max_t(unsigned int, order, order_base_2(npages));
	if (order > LNX_LARGEST_ORDER)
		return V3_HPA_NONE;
	page = alloc_pages_node(node, order ? gfp | __GFP_NORETRY : gfp, order);
	if (!page)
		return V3_HPA_NONE;
	if (order)
		split_page(page, order);
	for (i = npages; i < 1ull << order; i++)
		__free_page(page + i);
	return page_to_phys(page);
}

static void hooks_ram_free(v3_hpa_t pa, uint64_t npages)
{
	struct page *page = pfn_to_page(PHYS_PFN(pa));
	uint64_t i;

	if (lnx_pool_give_back(pa, npages))
		return;
	for (i = 0; i < npages; i++) {
		__free_page(page + i);
		if (!(i % 4096))
			cond_resched();
	}
}

/* The slab aligns powers of two to their size, other sizes to 8 bytes only; 16 are promised. */
static void *hooks_alloc(size_t size)
{
	size = size <= 256 ? roundup_pow_of_two(max_t(size_t, size, 16)) : ALIGN(size, 16);
	return hooks_refuse() ? NULL : kzalloc(size, hooks_gfp());
}

static void hooks_free(void *p)
{
	kfree(p);
}

static void *hooks_pa_to_va(v3_hpa_t pa)
{
	return phys_to_virt(pa);
}

static v3_hpa_t hooks_va_to_pa(const void *va)
{
	return virt_to_phys((void *)va);
}

/* ---- CPUs ---- */

static uint32_t hooks_cpu_count(void)
{
	return nr_cpu_ids;
}

static uint32_t hooks_cpu_id(void)
{
	return raw_smp_processor_id();
}

struct hooks_call {
	void (*fn)(void *arg);
	void *arg;
};

/* The kernel writes CR4 from its own copy: that must have VMXE as long as the CPU is in VMX operation. */
static void hooks_call_here(void *arg)
{
	struct hooks_call *call = arg;
	unsigned long changed;

	call->fn(call->arg);
	changed = (native_read_cr4() ^ cr4_read_shadow()) & X86_CR4_VMXE;
	if (changed)
		cr4_update_irqsoff(cr4_read_shadow() & changed ? 0 : changed,
				   cr4_read_shadow() & changed);
}

static int hooks_cpu_call(uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	struct hooks_call call = {fn, arg};

	if (cpu >= nr_cpu_ids)
		return V3_ENODEV;
	return smp_call_function_single(cpu, hooks_call_here, &call, 1) ? V3_ENODEV : V3_OK;
}

/*
 * A call that is still queued (-EBUSY) is as good: its interrupt has not been served yet, and serving it
 * takes the CPU out of its guest.
 */
static void hooks_cpu_kick(uint32_t cpu)
{
	smp_call_function_single_async(cpu, &hooks_kick[cpu]);
}

/* ---- threads ---- */

/* A CPU on its way offline is online still, but must not get a thread. */
static bool hooks_cpu_active(uint32_t cpu)
{
	return cpu < nr_cpu_ids && cpu_active(cpu);
}

struct hooks_thread {
	struct task_struct *task; /* reference owned */
	void (*fn)(void *arg);
	void *arg;
};

static int hooks_thread_main(void *arg)
{
	struct hooks_thread *thread = arg;

	thread->fn(thread->arg);
	/* It may have been the last vcpu of a VM that stopped by itself. */
	wake_up_all(&lnx_state_wait);
	return 0;
}

static void *hooks_thread_create(const char *name, uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	struct hooks_thread *thread;
	struct task_struct *task;

	if (!hooks_cpu_active(cpu) || hooks_refuse())
		return NULL;
	thread = kzalloc(sizeof(*thread), GFP_KERNEL_ACCOUNT);
	if (!thread)
		return NULL;
	thread->fn = fn;
	thread->arg = arg;
	task = kthread_create_on_node(hooks_thread_main, thread, cpu_to_node(cpu), "v3/%s", name);
	if (IS_ERR(task)) {
		kfree(thread);
		return NULL;
	}
	/* It may end before it is joined. */
	thread->task = get_task_struct(task);
	/* Not kthread_bind(): that is for good, and a vcpu may move. */
	set_cpus_allowed_ptr(task, cpumask_of(cpu));
	wake_up_process(task);
	return thread;
}

static void hooks_thread_join(void *arg)
{
	struct hooks_thread *thread = arg;

	kthread_stop(thread->task);
	put_task_struct(thread->task);
	kfree(thread);
}

static int hooks_thread_move(void *arg, uint32_t cpu)
{
	struct hooks_thread *thread = arg;

	if (!hooks_cpu_active(cpu) || set_cpus_allowed_ptr(thread->task, cpumask_of(cpu)))
		return V3_ENODEV;
	return V3_OK;
}

/* Not cond_resched(): a vcpu that spins in PAUSE gives way even if its time slice is not over. */
static void hooks_yield(void)
{
	schedule();
}

static bool hooks_should_yield(void)
{
	return need_resched();
}

/* ---- waiting and locks ---- */

static void *hooks_wq_create(void)
{
	wait_queue_head_t *wq = hooks_alloc(sizeof(*wq));

	if (wq)
		init_waitqueue_head(wq);
	return wq;
}

static unsigned int halt_poll_ns = 20000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns,
		 "how long a CPU waits in a loop before a halted vcpu sleeps; 0: not at all");

/* What comes soon is not worth two context switches. Whoever else wants this CPU has it at once. */
static bool hooks_poll(bool (*cond)(void *arg), void *arg)
{
	const u64 end = ktime_get_ns() + READ_ONCE(halt_poll_ns);

	while (!cond(arg)) {
		if (need_resched() || ktime_get_ns() >= end)
			return false;
		cpu_relax();
	}
	return true;
}

/* Idle, not uninterruptible: a halted guest is no load and no hung task. */
static void hooks_wq_sleep(void *wq, bool (*cond)(void *arg), void *arg)
{
	if (hooks_poll(cond, arg))
		return;
	wait_event_idle(*(wait_queue_head_t *)wq, cond(arg));
}

static void hooks_wq_wake(void *wq)
{
	wake_up_all(wq);
}

static void *hooks_mutex_create(void)
{
	struct mutex *mutex = hooks_alloc(sizeof(*mutex));

	if (mutex)
		mutex_init(mutex);
	return mutex;
}

static void hooks_mutex_destroy(void *mutex)
{
	mutex_destroy(mutex);
	kfree(mutex);
}

static void hooks_mutex_lock(void *mutex)
{
	mutex_lock(mutex);
}

static void hooks_mutex_unlock(void *mutex)
{
	mutex_unlock(mutex);
}

/* Raw: taken in interrupt handlers, also on kernels whose spinlocks sleep. */
static void *hooks_spin_create(void)
{
	raw_spinlock_t *lock = hooks_alloc(sizeof(*lock));

	if (lock)
		raw_spin_lock_init(lock);
	return lock;
}

static unsigned long hooks_spin_lock(void *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave((raw_spinlock_t *)lock, flags);
	return flags;
}

static void hooks_spin_unlock(void *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore((raw_spinlock_t *)lock, flags);
}

/* ---- time ---- */

struct hooks_timer {
	struct hrtimer timer;
	void (*fn)(void *arg);
	void *arg;
};

static uint64_t hooks_time_ns(void)
{
	return ktime_get_ns();
}

static uint64_t hooks_wall_clock_s(void)
{
	return ktime_get_real_seconds();
}

static uint32_t hooks_tsc_khz(void)
{
	return tsc_khz;
}

static enum hrtimer_restart hooks_timer_fire(struct hrtimer *hrtimer)
{
	struct hooks_timer *timer = container_of(hrtimer, struct hooks_timer, timer);

	timer->fn(timer->arg);
	return HRTIMER_NORESTART;
}

static void *hooks_timer_create(void (*fn)(void *arg), void *arg)
{
	struct hooks_timer *timer = hooks_alloc(sizeof(*timer));

	if (!timer)
		return NULL;
	lnx_hrtimer_setup(&timer->timer, hooks_timer_fire, CLOCK_MONOTONIC,
			  HRTIMER_MODE_ABS_PINNED_HARD);
	timer->fn = fn;
	timer->arg = arg;
	return timer;
}

static void hooks_timer_destroy(void *arg)
{
	struct hooks_timer *timer = arg;

	hrtimer_cancel(&timer->timer);
	kfree(timer);
}

static void hooks_timer_arm(void *arg, uint64_t deadline_ns)
{
	struct hooks_timer *timer = arg;

	hrtimer_start(&timer->timer, ns_to_ktime(min_t(uint64_t, deadline_ns, KTIME_MAX)),
		      HRTIMER_MODE_ABS_PINNED_HARD);
}

static void hooks_timer_cancel(void *arg)
{
	struct hooks_timer *timer = arg;

	hrtimer_try_to_cancel(&timer->timer);
}

/* ---- interrupts and FPU ---- */

/* irq.S */
void lnx_irq_call(unsigned long handler);

/* SVM leaves the interrupt pending, and the kernel has served it before this is called. VMX acknowledges it. */
static void hooks_irq_pass(int vector)
{
	unsigned long flags;
	struct desc_ptr idt;

	if (vector < 0)
		return;
	local_irq_save(flags);
	store_idt(&idt);
	lnx_irq_call(gate_offset((gate_desc *)idt.address + vector));
	local_irq_restore(flags);
}

static void hooks_fpu_begin(void)
{
	kernel_fpu_begin();
}

static void hooks_fpu_end(void)
{
	/* A VMX exit has set TR's limit to 0x67: without the I/O permission map of processes. */
	if (boot_cpu_has(X86_FEATURE_VMX))
		invalidate_tss_limit();
	kernel_fpu_end();
}

static size_t hooks_random(void *buf, size_t len)
{
	get_random_bytes(buf, len);
	return len;
}

/* A user's guests are connected with each other and with nobody else's. */
static uint64_t hooks_owner(void *host_ctx)
{
	const struct lnx_vm *vm = host_ctx;

	return __kuid_val(vm->owner);
}

const struct v3_host_ops lnx_host_ops = {
	.api = V3_HOST_API,
	.size = sizeof(struct v3_host_ops),
	.log = hooks_log,
	.page_alloc = hooks_page_alloc,
	.page_free = hooks_page_free,
	.ram_alloc = hooks_ram_alloc,
	.ram_free = hooks_ram_free,
	.alloc = hooks_alloc,
	.free = hooks_free,
	.pa_to_va = hooks_pa_to_va,
	.va_to_pa = hooks_va_to_pa,
	.cpu_count = hooks_cpu_count,
	.cpu_id = hooks_cpu_id,
	.cpu_call = hooks_cpu_call,
	.cpu_kick = hooks_cpu_kick,
	.thread_create = hooks_thread_create,
	.thread_join = hooks_thread_join,
	.thread_move = hooks_thread_move,
	.yield = hooks_yield,
	.should_yield = hooks_should_yield,
	.wq_create = hooks_wq_create,
	.wq_destroy = hooks_free,
	.wq_sleep = hooks_wq_sleep,
	.wq_wake = hooks_wq_wake,
	.mutex_create = hooks_mutex_create,
	.mutex_destroy = hooks_mutex_destroy,
	.mutex_lock = hooks_mutex_lock,
	.mutex_unlock = hooks_mutex_unlock,
	.spin_create = hooks_spin_create,
	.spin_destroy = hooks_free,
	.spin_lock = hooks_spin_lock,
	.spin_unlock = hooks_spin_unlock,
	.time_ns = hooks_time_ns,
	.wall_clock_s = hooks_wall_clock_s,
	.tsc_khz = hooks_tsc_khz,
	.timer_create = hooks_timer_create,
	.timer_destroy = hooks_timer_destroy,
	.timer_arm = hooks_timer_arm,
	.timer_cancel = hooks_timer_cancel,
	.irq_pass = hooks_irq_pass,
	.fpu_begin = hooks_fpu_begin,
	.fpu_end = hooks_fpu_end,
	.console = &lnx_console_ops,
	.trace = &lnx_trace_ops,
	.random = hooks_random,
	.file = &lnx_file_ops,
	.packet = &lnx_packet_ops,
	.owner = hooks_owner,
};
