/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file input.h
 * Keys and mouse movements for a guest, by the class "i8042". Called by the embedder and by tests.
 */
#ifndef PALACIOS_INPUT_H
#define PALACIOS_INPUT_H

#include "palacios/types.h"

struct v3_vm;

/* Key codes are those of scan code set 2 (IBM PS/2 technical reference, keyboards, figure 2-8); bit 8 stands for
 * the prefix e0: 0x1c is A, 0x175 the arrow up. */
#define V3_KEY_EXTENDED 0x100

#define V3_POINTER_LEFT	  1u
#define V3_POINTER_RIGHT  2u
#define V3_POINTER_MIDDLE 4u

/**
 * Press or release a key. any thread.
 * @return V3_OK; V3_ENODEV: no keyboard; V3_EINVAL: no such code; V3_EAGAIN: the keyboard is switched off or its
 *         buffer full: the key is lost.
 */
int v3_input_key(struct v3_vm *vm, unsigned code, bool down);
/**
 * Move the mouse and set its buttons. any thread.
 * @param dx,dy    counts to the right and up; beyond what one packet can carry (-256..255) they are cut
 * @param dz       detents of the wheel, towards the user positive, -8..7
 * @param buttons  V3_POINTER_*
 * @return as v3_input_key()
 */
int v3_input_pointer(struct v3_vm *vm, int dx, int dy, int dz, unsigned buttons);

#endif
