// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file ioctl.c
 * The commands of uapi/palacios.h: each copies its structure in once, checks it, calls the library and copies
 * the result out. The library's results are errno values.
 */
#include "glue.h"

#include "palacios/balloon.h"
#include "palacios/display.h"

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* What the ABI promises and what the library says are the same numbers. */
static_assert((int)PALACIOS_STATE_READY == (int)V3_VM_READY);
static_assert((int)PALACIOS_STATE_RUNNING == (int)V3_VM_RUNNING);
static_assert((int)PALACIOS_STATE_PAUSED == (int)V3_VM_PAUSED);
static_assert((int)PALACIOS_STATE_STOPPED == (int)V3_VM_STOPPED);
static_assert((int)PALACIOS_REASON_NONE == (int)V3_STOP_NONE);
static_assert((int)PALACIOS_REASON_POWEROFF == (int)V3_STOP_POWEROFF);
static_assert((int)PALACIOS_REASON_EXIT == (int)V3_STOP_EXIT);
static_assert((int)PALACIOS_REASON_FAILURE == (int)V3_STOP_FAILURE);
static_assert(PALACIOS_STAT_BUCKETS == V3_STAT_BUCKETS);
static_assert(V3_EBADMSG == -EBADMSG && V3_EBUSY == -EBUSY && V3_ENOTSUP == -EOPNOTSUPP);
/* The same layout for every caller, 32-bit ones included. */
static_assert(sizeof(struct palacios_version) == 64);
static_assert(sizeof(struct palacios_create) == 120);
static_assert(sizeof(struct palacios_file) == 208);
static_assert(sizeof(struct palacios_create_files) == 168);
static_assert(sizeof(struct palacios_stop) == 16);
static_assert(sizeof(struct palacios_info) == 168);
static_assert(sizeof(struct palacios_stats) == 192);
static_assert(sizeof(struct palacios_console) == 64);
static_assert(sizeof(struct palacios_open) == 96);
static_assert(sizeof(struct palacios_list) == 200);
static_assert(sizeof(struct palacios_vcpu) == 56);
static_assert(sizeof(struct palacios_move) == 16);
static_assert(sizeof(struct palacios_memory) == 32);
static_assert(sizeof(struct palacios_dump) == 40);
static_assert(sizeof(struct palacios_screen) == 40);
static_assert(sizeof(struct palacios_balloon) == 200);
static_assert((int)PALACIOS_BALLOON_NSTATS == (int)V3_BALLOON_NSTATS);
static_assert((int)PALACIOS_BALLOON_FREE == (int)V3_BALLOON_FREE);
static_assert((int)PALACIOS_BALLOON_HUGE_FAILURES == (int)V3_BALLOON_HUGE_FAILURES);
static_assert(PALACIOS_BALLOON_UNKNOWN == V3_BALLOON_UNKNOWN);
static_assert((int)PALACIOS_VCPU_RUNNABLE == (int)V3_VCPU_RUNNABLE);
static_assert((int)PALACIOS_VCPU_HALTED == (int)V3_VCPU_HALTED);
static_assert((int)PALACIOS_VCPU_WAIT_SIPI == (int)V3_VCPU_WAIT_SIPI);

#define IOCTL_MAX_DUMP (4u << 20) /* bytes of text */

#define IOCTL_ALL_ZERO(field) (!memchr_inv(&(field), 0, sizeof(field)))

static int ioctl_out(void __user *arg, const void *from, size_t size)
{
	return copy_to_user(arg, from, size) ? -EFAULT : 0;
}

/* ---- device ---- */

static int ioctl_version(void __user *arg)
{
	struct palacios_version v = {
		.abi = PALACIOS_ABI,
		.cpus = num_online_cpus(),
		.vms = lnx_vm_count(),
		.features = lnx_pool_size() ? PALACIOS_FEATURE_POOL : 0,
		.pool_size = lnx_pool_size(),
		.pool_free = lnx_pool_free(),
	};

	strscpy(v.backend, v3_backend_name(), sizeof(v.backend));
	if (v3_nested_1g())
		v.features |= PALACIOS_FEATURE_1G;
	return ioctl_out(arg, &v, sizeof(v));
}

/* 1 to 63 of A-Z a-z 0-9 . _ -, or nothing. */
static bool ioctl_name_valid(const char *name)
{
	size_t len = strnlen(name, PALACIOS_NAME_SIZE);
	size_t i;

	for (i = 0; i < len; i++)
		if (!isascii(name[i]) || (!isalnum(name[i]) && !strchr("._-", name[i])))
			return false;
	return len < PALACIOS_NAME_SIZE;
}

static int ioctl_create_check(const struct palacios_create *c)
{
	if ((c->flags & ~PALACIOS_CREATE_PERSISTENT) || c->reserved0 ||
	    !IOCTL_ALL_ZERO(c->reserved) || !c->size || !ioctl_name_valid(c->name))
		return -EINVAL;
	return c->size > PALACIOS_MAX_IMAGE ? -E2BIG : 0;
}

/* @param files  for the VM, or NULL; they pass to it, also on failure */
static int ioctl_make(const struct palacios_create *c, struct lnx_files *files)
{
	int err = -ENOMEM, fd;
	struct lnx_vm *vm;
	void *image;

	image = kvmalloc(c->size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!image)
		goto put_files;
	if (copy_from_user(image, u64_to_user_ptr(c->image), c->size)) {
		err = -EFAULT;
		goto free_image;
	}
	vm = lnx_vm_make(image, c->size, files, c->name, c->flags & PALACIOS_CREATE_PERSISTENT);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	kref_get(&vm->ref); /* the other one goes with the descriptor, or for want of it */
	fd = lnx_vm_descriptor(vm);
	if (fd < 0)
		lnx_vm_unlist(vm);
	lnx_vm_put(vm);
	return fd;

free_image:
	kvfree(image);
put_files:
	lnx_files_put(files);
	return err;
}

static int ioctl_create(void __user *arg)
{
	struct palacios_create c;
	int err;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	err = ioctl_create_check(&c);
	return err ? err : ioctl_make(&c, NULL);
}

static int ioctl_create_files(void __user *arg)
{
	struct palacios_create_files c;
	struct lnx_files *files;
	int err;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	err = ioctl_create_check(&c.create);
	if (!err && (c.reserved0 || !IOCTL_ALL_ZERO(c.reserved)))
		err = -EINVAL;
	if (!err && c.nfiles > PALACIOS_MAX_FILES)
		err = -E2BIG;
	if (err)
		return err;
	files = lnx_files_get(u64_to_user_ptr(c.files), c.nfiles);
	return IS_ERR(files) ? PTR_ERR(files) : ioctl_make(&c.create, files);
}

static int ioctl_open(void __user *arg)
{
	struct palacios_open o;
	struct lnx_vm *vm;

	if (copy_from_user(&o, arg, sizeof(o)))
		return -EFAULT;
	if (o.flags || !IOCTL_ALL_ZERO(o.reserved) || !o.name[0] || !ioctl_name_valid(o.name))
		return -EINVAL;
	vm = lnx_vm_find(o.name);
	if (!vm)
		return -ENOENT;
	if (!uid_eq(vm->owner, current_uid()) && !capable(CAP_SYS_ADMIN)) {
		lnx_vm_put(vm);
		return -EACCES;
	}
	return lnx_vm_descriptor(vm);
}

/* @return what changes when the state does */
static u64 ioctl_fill_info(struct lnx_vm *vm, struct palacios_info *info)
{
	u64 summary = lnx_vm_summary(vm, info);
	struct v3_mem_stats mem;

	v3_mem_get_stats(vm->vm, &mem);
	info->vcpus = v3_vm_vcpu_count(vm->vm);
	info->memory_bytes = mem.ram_bytes;
	info->memory_1g = mem.backed_1g;
	info->memory_2m = mem.backed_2m;
	info->created_s = vm->created;
	info->owner_uid = from_kuid_munged(current_user_ns(), vm->owner);
	info->flags = READ_ONCE(vm->persistent) ? PALACIOS_INFO_PERSISTENT : 0;
	info->id = vm->id;
	info->resets = v3_vm_resets(vm->vm);
	memcpy(info->name, vm->name, sizeof(info->name));
	return summary;
}

static int ioctl_list(void __user *arg)
{
	struct palacios_list l;
	struct lnx_vm *vm;

	if (copy_from_user(&l, arg, sizeof(l)))
		return -EFAULT;
	if (!IOCTL_ALL_ZERO(l.reserved))
		return -EINVAL;
	vm = lnx_vm_next(l.after);
	if (!vm)
		return -ENOENT;
	memset(&l.info, 0, sizeof(l.info));
	ioctl_fill_info(vm, &l.info);
	lnx_vm_put(vm);
	return ioctl_out(arg, &l, sizeof(l));
}

long lnx_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case PALACIOS_VERSION:
		return ioctl_version((void __user *)arg);
	case PALACIOS_CREATE:
		return ioctl_create((void __user *)arg);
	case PALACIOS_CREATE_FILES:
		return ioctl_create_files((void __user *)arg);
	case PALACIOS_OPEN:
		return ioctl_open((void __user *)arg);
	case PALACIOS_LIST:
		return ioctl_list((void __user *)arg);
	default:
		return -ENOTTY;
	}
}

/* ---- VM ---- */

static int ioctl_stop(struct lnx_vm *vm, void __user *arg)
{
	struct palacios_stop s;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (!IOCTL_ALL_ZERO(s.reserved))
		return -EINVAL;
	switch (s.how) {
	case PALACIOS_STOP_BUTTON:
		return v3_vm_power_button(vm->vm);
	case PALACIOS_STOP_HARD:
		return v3_vm_stop(vm->vm);
	default:
		return -EINVAL;
	}
}

static int ioctl_info(struct lnx_vm_file *f, void __user *arg)
{
	struct palacios_info info = {};
	u64 summary = ioctl_fill_info(f->vm, &info);

	if (copy_to_user(arg, &info, sizeof(info)))
		return -EFAULT;
	WRITE_ONCE(f->seen, summary);
	return 0;
}

static int ioctl_stats(struct lnx_vm *vm, void __user *arg)
{
	struct v3_exit_stat stat;
	struct palacios_stats s;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (s.reserved0 || s.reserved1)
		return -EINVAL;
	if (s.kind >= V3_EXIT_NKINDS || s.vcpu >= v3_vm_vcpu_count(vm->vm))
		return -ERANGE;
	if (v3_vm_exit_stat(vm->vm, s.vcpu, s.kind, &stat))
		return -ERANGE;
	memset(s.name, 0, sizeof(s.name));
	strscpy(s.name, v3_exit_name(s.kind), sizeof(s.name));
	s.count = stat.count;
	s.cycles = stat.cycles;
	s.max_cycles = stat.max_cycles;
	memcpy(s.histogram, stat.histogram, sizeof(s.histogram));
	return ioctl_out(arg, &s, sizeof(s));
}

static int ioctl_console(struct lnx_vm *vm, void __user *arg)
{
	struct palacios_console c;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.flags || !IOCTL_ALL_ZERO(c.reserved) ||
	    strnlen(c.name, sizeof(c.name)) == sizeof(c.name))
		return -EINVAL;
	return lnx_console_attach(vm, c.name);
}

static int ioctl_destroy(struct lnx_vm *vm)
{
	int err = lnx_vm_unlist(vm);

	return err ? err : v3_vm_stop(vm->vm);
}

static int ioctl_vcpu(struct lnx_vm *vm, void __user *arg)
{
	struct v3_vcpu_info info;
	struct palacios_vcpu v;

	if (copy_from_user(&v, arg, sizeof(v)))
		return -EFAULT;
	if (v.reserved0 || !IOCTL_ALL_ZERO(v.reserved))
		return -EINVAL;
	if (v3_vcpu_info(vm->vm, v.vcpu, &info))
		return -ERANGE;
	v.cpu = info.cpu;
	v.state = info.state;
	v.entries = info.entries;
	return ioctl_out(arg, &v, sizeof(v));
}

static int ioctl_move(struct lnx_vm *vm, void __user *arg)
{
	struct palacios_move m;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (!IOCTL_ALL_ZERO(m.reserved))
		return -EINVAL;
	return v3_vcpu_move(vm->vm, m.vcpu, m.cpu);
}

/* One piece that does not cross a guest page, by way of @page. */
static int ioctl_memory_piece(struct v3_vm *vm, u64 gpa, void __user *user, size_t len, bool write,
			      void *page)
{
	if (write && copy_from_user(page, user, len))
		return -EFAULT;
	if (write ? v3_mem_write(vm, gpa, page, len) : v3_mem_read(vm, gpa, page, len))
		return -ERANGE;
	if (!write && copy_to_user(user, page, len))
		return -EFAULT;
	return 0;
}

static int ioctl_memory(struct lnx_vm *vm, void __user *arg, bool write)
{
	struct palacios_memory m;
	int err = 0;
	void *page;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (m.reserved)
		return -EINVAL;
	page = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!page)
		return -ENOMEM;
	while (m.size && !err) {
		size_t len = min_t(u64, m.size, PAGE_SIZE - offset_in_page(m.gpa));

		err = ioctl_memory_piece(vm->vm, m.gpa, u64_to_user_ptr(m.buffer), len, write,
					 page);
		m.gpa += len;
		m.buffer += len;
		m.size -= len;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	free_page((unsigned long)page);
	return err;
}

static int ioctl_balloon(struct lnx_vm *vm, void __user *arg)
{
	struct palacios_balloon b;
	struct v3_balloon now;
	int err = 0;

	if (copy_from_user(&b, arg, sizeof(b)))
		return -EFAULT;
	if ((b.flags & ~PALACIOS_BALLOON_SET) || !IOCTL_ALL_ZERO(b.reserved))
		return -EINVAL;
	if (b.flags & PALACIOS_BALLOON_SET)
		err = v3_balloon_set(vm->vm, b.target);
	if (!err)
		err = v3_balloon_get(vm->vm, &now);
	if (err)
		return err;
	b.flags = now.driver ? PALACIOS_BALLOON_DRIVER : 0;
	b.told = now.told;
	b.target = now.target;
	b.actual = now.actual;
	b.released = now.released;
	b.freed = now.freed;
	memset(b.stat, 0xff, sizeof(b.stat)); /* PALACIOS_BALLOON_UNKNOWN */
	memcpy(b.stat, now.stat, sizeof(now.stat));
	return ioctl_out(arg, &b, sizeof(b));
}

struct ioctl_text {
	char *buf; /* owned */
	u64 size, length;
};

static void ioctl_text_line(void *priv, const char *line)
{
	struct ioctl_text *t = priv;
	size_t len = strlen(line);

	if (t->length + len + 1 <= t->size) {
		memcpy(t->buf + t->length, line, len);
		t->buf[t->length + len] = '\n';
	} else {
		t->size = min(t->size, t->length); /* whole lines only, without gaps */
	}
	t->length += len + 1;
}

static int ioctl_dump(struct lnx_vm *vm, void __user *arg)
{
	struct ioctl_text t = {};
	const struct v3_text text = {ioctl_text_line, &t};
	struct palacios_dump d;
	int err = 0;

	if (copy_from_user(&d, arg, sizeof(d)))
		return -EFAULT;
	if (!IOCTL_ALL_ZERO(d.reserved))
		return -EINVAL;
	t.size = min_t(u64, d.size, IOCTL_MAX_DUMP);
	t.buf = kvzalloc(t.size + 1, GFP_KERNEL_ACCOUNT);
	if (!t.buf)
		return -ENOMEM;
	v3_vm_dump(vm->vm, &text);
	d.length = t.length;
	if (copy_to_user(u64_to_user_ptr(d.buffer), t.buf, min(t.size, t.length)))
		err = -EFAULT;
	kvfree(t.buf);
	return err ? err : ioctl_out(arg, &d, sizeof(d));
}

/* By way of one row at a time. */
static int ioctl_screen_rows(struct v3_vm *vm, const struct palacios_screen *s)
{
	struct v3_display_size size = {.width = s->width, .height = s->height};
	const size_t len = 3 * (size_t)s->width;
	u8 __user *to = u64_to_user_ptr(s->buffer);
	u32 i;
	u8 *row;
	int err = 0;

	if (s->width > V3_DISPLAY_WIDTH)
		return -EAGAIN;
	if (s->first >= s->height || s->rows > s->height - s->first)
		return -EINVAL;
	row = kvmalloc(len + 1, GFP_KERNEL_ACCOUNT);
	if (!row)
		return -ENOMEM;
	for (i = 0; i < s->rows && !err; i++) {
		err = v3_display_image(vm, &size, s->first + i, 1, row);
		if (!err && copy_to_user(to + i * len, row, len))
			err = -EFAULT;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	kvfree(row);
	return err;
}

static int ioctl_screen(struct lnx_vm *vm, void __user *arg)
{
	struct v3_display_size size;
	struct palacios_screen s;
	int err;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (!IOCTL_ALL_ZERO(s.reserved))
		return -EINVAL;
	err = v3_display_image(vm->vm, &size, 0, 0, NULL);
	if (err)
		return err;
	if (s.rows)
		return ioctl_screen_rows(vm->vm, &s);
	s.width = size.width;
	s.height = size.height;
	return ioctl_out(arg, &s, sizeof(s));
}

/* Commands without an argument that change the state. */
static int ioctl_change(struct v3_vm *vm, unsigned int cmd)
{
	int err;

	switch (cmd) {
	case PALACIOS_VM_START:
		err = v3_vm_start(vm);
		break;
	case PALACIOS_VM_PAUSE:
		err = v3_vm_pause(vm);
		break;
	case PALACIOS_VM_CONTINUE:
		err = v3_vm_continue(vm);
		break;
	default:
		err = v3_vm_reset(vm);
		break;
	}
	wake_up_all(&lnx_state_wait);
	return err;
}

long lnx_vm_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	struct lnx_vm_file *f = file->private_data;
	void __user *arg = (void __user *)value;
	struct lnx_vm *vm = f->vm;

	switch (cmd) {
	case PALACIOS_VM_START:
	case PALACIOS_VM_PAUSE:
	case PALACIOS_VM_CONTINUE:
	case PALACIOS_VM_RESET:
		return ioctl_change(vm->vm, cmd);
	case PALACIOS_VM_STOP:
		return ioctl_stop(vm, arg);
	case PALACIOS_VM_INFO:
		return ioctl_info(f, arg);
	case PALACIOS_VM_STATS:
		return ioctl_stats(vm, arg);
	case PALACIOS_VM_CONSOLE:
		return ioctl_console(vm, arg);
	case PALACIOS_VM_DESTROY:
		return ioctl_destroy(vm);
	case PALACIOS_VM_VCPU:
		return ioctl_vcpu(vm, arg);
	case PALACIOS_VM_MOVE:
		return ioctl_move(vm, arg);
	case PALACIOS_VM_READ_MEMORY:
	case PALACIOS_VM_WRITE_MEMORY:
		return ioctl_memory(vm, arg, cmd == PALACIOS_VM_WRITE_MEMORY);
	case PALACIOS_VM_DUMP:
		return ioctl_dump(vm, arg);
	case PALACIOS_VM_SCREEN:
		return ioctl_screen(vm, arg);
	case PALACIOS_VM_BALLOON:
		return ioctl_balloon(vm, arg);
	default:
		return -ENOTTY;
	}
}
