/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exit.h
 * The neutral record of one exit: filled by a vendor back end (arch/<vendor>/exit.c), served by dispatch.c.
 */
#ifndef V3_EXIT_EXIT_H
#define V3_EXIT_EXIT_H

#include "palacios/stats.h"
#include "palacios/types.h"

struct v3_vcpu;

/** What an exception or interrupt is; APM vol. 2 15.20 (EVENTINJ), SDM 3C 25.9.2. */
enum v3_event_type {
	V3_EVENT_NONE,
	V3_EVENT_INTR, /* external interrupt */
	V3_EVENT_NMI,
	V3_EVENT_EXCEPTION, /* fault, trap or abort */
	V3_EVENT_SOFT_INT   /* INT n; RIP is still at the instruction */
};

struct v3_event {
	uint8_t type; /* enum v3_event_type */
	uint8_t vector;
	uint8_t has_error;
	uint8_t insn_len; /* SOFT_INT and #BP/#OF by instruction: its length, 0 unknown */
	uint32_t error;
	uint64_t cr2; /* #PF only */
};

enum v3_task_source { V3_TASK_CALL, V3_TASK_IRET, V3_TASK_JMP, V3_TASK_GATE };

struct v3_exit {
	enum v3_exit_kind kind;
	uint8_t insn_len; /* bytes of the exiting instruction; 0 = unknown, decode it */
	uint8_t fetched;  /* bytes valid in insn[] (decode assist); 0 = none */
	uint8_t insn[15];
	uint64_t code;		 /* the vendor's own exit code, for dumps */
	struct v3_event aborted; /* event whose delivery this exit interrupted; type NONE if none */
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2, 4 */
			bool in, string, rep;
			uint64_t next_rip; /* RIP after the instruction, 0 unknown */
		} io;
		struct {
			uint8_t n;	/* register number */
			uint8_t gpr;	/* enum v3_gpr */
			bool write;	/* DR_ACCESS only: MOV to DR */
			bool gpr_valid; /* false: operand not decoded by hardware */
		} reg;
		struct {
			uint64_t gpa;
			uint8_t access; /* V3_ACC_* of the access */
			bool present;	/* the translation was there, the permission not */
		} fault;		/* NESTED_FAULT, NESTED_BAD */
		struct {
			uint8_t vector;
			uint32_t error;
			uint64_t addr; /* #PF: CR2 */
		} excp;
		struct {
			uint16_t sel;
			uint8_t source; /* enum v3_task_source */
			bool after_insn; /* the old task resumes after the instruction at RIP, not at it */
			bool has_error;
			uint32_t error;
		} task;
		uint32_t apic;	   /* APIC_WRITE: offset in the page; APIC_EOI: vector */
		bool context_lost; /* STALLED: the guest's state is not what it should be */
		int host_vector; /* INTR: acknowledged host vector, -1 if still pending in hardware */
	} u;
};

/**
 * Serve one exit: the handler table of dispatch.c. Own vcpu thread.
 * @return V3_OK: enter again; > 0: the same, a request was made; < 0: stop this VM.
 */
int v3_exit_dispatch(struct v3_vcpu *vcpu, struct v3_exit *exit);

#endif
