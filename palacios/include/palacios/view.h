/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file view.h
 * Views: alternate nested roots. A view shows the VM's memory, except for pages that were given their own
 * permissions or their own host page. Guest modules, MIME and write tracking are built on views.
 */
#ifndef PALACIOS_VIEW_H
#define PALACIOS_VIEW_H

#include "palacios/mem.h"
#include "palacios/types.h"

struct v3_vcpu;
struct v3_view;
struct v3_vm;

/**
 * Called on the vcpu's thread when the guest, running on the view, does what a page's permissions forbid.
 * @param gpa     faulting address
 * @param access  V3_ACC_* of the access
 * @return V3_OK: enter again (the handler changed the view, the vcpu's view or queued an exception);
 *         < 0: our failure, VM stopped
 */
typedef int (*v3_view_fault_fn)(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa,
				unsigned access, void *priv);

/**
 * Make a view, equal to the VM's memory at first. thread.
 * @param fault  handler of forbidden accesses; @param priv passed to it
 * @return V3_OK, V3_ENOMEM, V3_EINVAL.
 */
int v3_view_create(struct v3_vm *vm, v3_view_fault_fn fault, void *priv, struct v3_view **view);
/** Free a view. V3_EBUSY while a vcpu runs on it. thread. NULL is allowed. */
int v3_view_destroy(struct v3_view *view);

/**
 * Give one page of the view its own permissions and, if @p hpa is not V3_HPA_NONE, its own host page
 * (not owned by the view). Own vcpu thread or stopped VM. Takes effect at the next entry of each vcpu.
 *
 * @param gpa    page-aligned, RAM or ROM
 * @param perm   V3_ACC_* mask; 0 = no access
 * @return V3_OK; V3_EINVAL; V3_ENOENT (not RAM); V3_ENOTSUP (a combination the hardware cannot express:
 *         NPT cannot forbid reading while allowing anything else); V3_ENOMEM.
 */
int v3_view_set_page(struct v3_view *view, v3_gpa_t gpa, unsigned perm, v3_hpa_t hpa);
/** Back to the VM's own page and permissions. Same context. V3_EINVAL. */
int v3_view_clear_page(struct v3_view *view, v3_gpa_t gpa);

/**
 * Let the vcpu run on @p view from its next entry; NULL: the VM's own table. Own thread or stopped VM.
 * A VM reset puts every vcpu back on the VM's own table.
 */
void v3_vcpu_set_view(struct v3_vcpu *vcpu, struct v3_view *view);
/** The view the vcpu runs on, NULL for the VM's own. Own thread. */
struct v3_view *v3_vcpu_view(struct v3_vcpu *vcpu);

#endif
