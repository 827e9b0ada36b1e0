/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_decode_objdump.c
 * The length decoder against objdump of binutils: on the text of real programs (64-bit), on
 * compiled code of the other modes, and on encodings made up at random in all modes. What objdump
 * calls "(bad)" or splits into lone prefixes is left out and counted.
 */
#include "tap.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "palacios/decode.h"
#include "palacios/error.h"

#define REAL_INSNS 1000000 /* instructions of real programs to be compared */
#define SLOT	   32	   /* a made-up instruction, then NOPs until here */
#define SLOTS	   50000   /* made-up instructions per mode */

struct tally {
	unsigned long same, bad, left_out, differ;
};

/* objdump shows a prefix it cannot place as an instruction of its own. */
static bool objdump_prefix_only(const char *text)
{
	static const char *const names[] = {"data16",	"data32", "addr32", "addr16", "rex",
					    "lock",	"repz",	  "repnz",  "cs",     "ds",
					    "es",	"ss",	  "fs",	    "gs",     "xacquire",
					    "xrelease", "bnd",	  "notrack"};
	size_t len = strcspn(text, " .\n");
	const char *rest = text + len + strspn(text + len, ".WRXB");

	rest += strspn(rest, " ");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !strncmp(text, names[i], len))
			return *rest == '\n' || !*rest || objdump_prefix_only(rest);
	return false;
}

/*
 * Test registers of the 386 and VIA's extensions: on AMD's and Intel's 64-bit CPUs these opcodes
 * are undefined.
 */
static bool objdump_foreign(const char *text)
{
	static const char *const words[] = {"%tr", "xcrypt", "xstore", "montmul", "xsha"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

/*
 * objdump is more patient than the CPU with VEX and EVEX behind 66, F2, F3, F0 or REX (#UD), and
 * joins FWAIT to the next instruction even if prefixes stand before it.
 */
static bool objdump_lenient(const uint8_t *bytes, unsigned n, unsigned bits)
{
	bool refused = false;
	unsigned i;

	for (i = 0; i + 1 < n; i++) {
		if (bits == 64 && (bytes[i] & 0xf0) == 0x40)
			refused = true;
		else if (memchr("\x66\xf0\xf2\xf3", bytes[i], 4))
			refused = true;
		else if (!memchr("\x26\x2e\x36\x3e\x64\x65\x67", bytes[i], 7))
			break;
	}
	if (bytes[i] == 0x9b)
		return i > 0;
	return refused && memchr("\x62\xc4\xc5\x8f", bytes[i], 4);
}

static void objdump_compare(struct tally *t, const uint8_t *bytes, unsigned n, const char *text,
			    unsigned bits, const char *source)
{
	uint8_t padded[V3_INSN_MAX + 1];
	unsigned skip = 0;
	int len;

	if (strstr(text, "(bad)")) {
		t->bad++;
		return;
	}
	/* FWAIT is an instruction; objdump joins it to the x87 instruction behind it. */
	while (skip + 1 < n && bytes[skip] == 0x9b)
		skip++;
	if (objdump_prefix_only(text) || objdump_foreign(text) || objdump_lenient(bytes, n, bits) ||
	    n > V3_INSN_MAX) {
		t->left_out++;
		return;
	}
	memset(padded, 0x90, sizeof(padded));
	memcpy(padded, bytes + skip, n - skip);
	len = v3_insn_length(padded, sizeof(padded), bits);
	if (len == (int)(n - skip)) {
		t->same++;
		return;
	}
	t->differ++;
	if (t->differ <= 40) {
		char hex[64] = "";

		for (unsigned i = 0; i < n; i++)
			sprintf(hex + 3 * i, "%02x ", bytes[i]);
		printf("# %s, %u bit: %s objdump %u bytes, decoder %d: %s", source, bits, hex, n,
		       len, text);
	}
}

/*
 * Split a line "  401000:\t48 89 e5 \tmov ..." ; returns the number of bytes, 0 if it is no such
 * line.
 */
static unsigned objdump_parse(char *line, unsigned long *addr, uint8_t *bytes, const char **text)
{
	unsigned n = 0;
	char *p;

	*addr = strtoul(line, &p, 16);
	if (p == line || p[0] != ':' || p[1] != '\t')
		return 0;
	for (p += 2; n < 24; p += 3) {
		static const char digits[] = "0123456789abcdef";
		const char *hi = p[0] ? strchr(digits, p[0]) : NULL,
			   *lo = p[0] && p[1] ? strchr(digits, p[1]) : NULL;

		if (!hi || !lo || p[2] != ' ')
			break;
		bytes[n++] = (uint8_t)((hi - digits) << 4 | (lo - digits));
	}
	p += strspn(p, " ");
	if (*p != '\t')
		return 0;
	*text = p + 1;
	return n;
}

/*
 * Run a command that prints a disassembly; compare up to limit instructions (those at slot starts
 * if slots).
 */
static bool objdump_run(struct tally *t, const char *command, unsigned bits, bool slots,
			unsigned long limit, const char *source)
{
	char line[512];
	FILE *f = popen(command, "r");

	if (!f)
		return false;
	while (t->same + t->differ < limit && fgets(line, sizeof(line), f)) {
		unsigned long addr;
		uint8_t bytes[24];
		const char *text;
		unsigned n = objdump_parse(line, &addr, bytes, &text);

		if (n && !(slots && addr % SLOT))
			objdump_compare(t, bytes, n, text, bits, source);
	}
	pclose(f); /* ended early it dies of SIGPIPE: not an error */
	return true;
}

static void report(const struct tally *t, const char *what)
{
	printf("# %s: %lu the same, %lu differ; %lu \"(bad)\" and %lu others left out\n", what,
	       t->same, t->differ, t->bad, t->left_out);
}

/*
 * Programs every build machine has (compiler, emulator) and libraries that use vector instructions.
 * Each gives at most a share, so that different compilers and hand-written assembly are among the
 * million.
 */
static void test_decode_length_matches_objdump_on_programs(void)
{
	static const char *const programs[] = {
		"/usr/lib/x86_64-linux-gnu/libc.so.6",
		"/usr/lib/x86_64-linux-gnu/libm.so.6",
		"/usr/lib/x86_64-linux-gnu/libgmp.so.10",
		"/usr/lib/x86_64-linux-gnu/libgnutls.so.30",
		"/usr/lib/x86_64-linux-gnu/libpixman-1.so.0",
		"/usr/bin/qemu-system-x86_64",
		"/usr/lib/x86_64-linux-gnu/libclang-cpp.so.14",
		"/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
		"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
	};
	struct tally t = {0};
	char command[256];
	struct stat st;

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		bool last = i + 2 >= sizeof(programs) / sizeof(programs[0]);
		unsigned long limit = t.same + t.differ + 160000;

		if (stat(programs[i], &st))
			continue;
		if (last)
			limit = REAL_INSNS + 1;
		snprintf(command, sizeof(command), "objdump -d -w --insn-width=15 %s 2>/dev/null",
			 programs[i]);
		if (t.same + t.differ < limit)
			objdump_run(&t, command, 64, false, limit, programs[i]);
	}
	report(&t, "programs");
	CHECK(t.same >= REAL_INSNS);
	CHECK_EQ(t.differ, 0);
}

static uint8_t pick(const uint8_t *from, size_t n)
{
	return from[tap_rand() % n];
}

/*
 * Legacy prefixes (few, so that objdump does not give up), REX, map, opcode, ModRM that likes SIB,
 * rest.
 */
static void make_up(uint8_t *slot, unsigned bits)
{
	static const uint8_t legacy[] = {0x66, 0x67, 0xf2, 0xf3, 0x64, 0x65, 0x2e, 0x36};
	static const uint8_t modrm_like[] = {0x04, 0x05, 0x44, 0x84, 0x06, 0x46,
					     0x86, 0x25, 0x2c, 0x6c, 0xac};
	unsigned n = 0, kind = (unsigned)(tap_rand() % 16);
	uint8_t p[SLOT];

	for (unsigned i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)tap_rand();
	memset(slot, 0x90, SLOT);
	while (n < 2 && tap_rand() % 3 == 0)
		slot[n++] = pick(legacy, kind < 10 ? sizeof(legacy) : 2);
	if (kind >= 10 && n) /* 66 before VEX is refused; 67 is not */
		slot[0] = 0x67, n = 1;
	if (bits == 64 && kind < 10 && tap_rand() % 3 == 0)
		slot[n++] = 0x40 | (p[0] & 15);
	if (kind >= 3 && kind < 10)
		slot[n++] = 0x0f;
	if (kind == 7)
		slot[n++] = 0x38;
	if (kind == 8)
		slot[n++] = 0x3a;
	if (kind == 10) {
		slot[n++] = 0xc5;
		slot[n++] = p[0] | (bits == 64 ? 0 : 0xc0);
	} else if (kind < 14 && kind > 10) {
		slot[n++] = kind == 13 ? 0x8f : 0xc4;
		slot[n++] = (uint8_t)((p[0] & 0xe0) | (bits == 64 ? 0 : 0xe0) |
				      (kind == 13 ? 8 + p[1] % 3 : 1 + p[1] % 3));
		slot[n++] = kind == 13 ? (p[2] & 0x84) | 0x78 : p[2];
	} else if (kind >= 14) {
		slot[n++] = 0x62;
		slot[n++] = (uint8_t)((p[0] & 0xf0) | (bits == 64 ? 0 : 0xf0) | (1 + p[1] % 6));
		slot[n++] = p[2] | 4;
		slot[n++] = (p[3] & 0x4f) | 8;
	}
	slot[n++] = p[4];
	slot[n++] = p[5] & 0x40 ? pick(modrm_like, sizeof(modrm_like)) : p[6];
	slot[n++] = p[7] & 1 ? p[8] : 0x25;
	for (unsigned i = 0; i < 9; i++)
		slot[n++] = p[9 + i];
}

static void made_up_mode(unsigned bits, const char *machine)
{
	static uint8_t image[SLOTS * SLOT];
	char path[] = "/tmp/test_decode_XXXXXX", command[256];
	struct tally t = {0};
	int fd = mkstemp(path);

	REQUIRE(fd >= 0);
	for (unsigned i = 0; i < SLOTS; i++)
		make_up(image + i * SLOT, bits);
	CHECK(write(fd, image, sizeof(image)) == (ssize_t)sizeof(image));
	close(fd);
	snprintf(command, sizeof(command), "objdump -D -w -z -b binary -m %s --insn-width=15 %s",
		 machine, path);
	CHECK(objdump_run(&t, command, bits, true, ~0ul, machine));
	unlink(path);
	report(&t, machine);
	CHECK(t.same > SLOTS / 3);
	CHECK_EQ(t.differ, 0);
}

static void test_decode_length_matches_objdump_made_up_64(void)
{
	made_up_mode(64, "i386:x86-64");
}

static void test_decode_length_matches_objdump_made_up_32(void)
{
	made_up_mode(32, "i386");
}

static void test_decode_length_matches_objdump_made_up_16(void)
{
	made_up_mode(16, "i8086");
}

static const struct tap_test tests[] = {
	TAP(test_decode_length_matches_objdump_on_programs),
	TAP(test_decode_length_matches_objdump_made_up_64),
	TAP(test_decode_length_matches_objdump_made_up_32),
	TAP(test_decode_length_matches_objdump_made_up_16),
};
TAP_MAIN(tests)
