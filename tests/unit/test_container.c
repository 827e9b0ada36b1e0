/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_container.c
 * Image containers: a good one is read back, any change of it is refused; SHA-256 against known
 * digests.
 */
#include "config/container.h"
#include "palacios/error.h"
#include "palacios/util/sha256.h"

#include "small_alloc.h"
#include "tap.h"

#define MAX_IMAGE 8192

struct part {
	const char *name, *data;
	size_t len;
};

static struct v3_cfg_error error;

/* Pack with the library's own writer. @return length */
static size_t pack(uint8_t *img, const struct part *parts, uint32_t n)
{
	struct v3_container_section s[8];
	struct v3_container_header hdr;
	uint64_t len;

	memset(s, 0, sizeof(s));
	memset(img, 0, MAX_IMAGE);
	for (uint32_t i = 0; i < n; i++) {
		memcpy(s[i].name, parts[i].name, strlen(parts[i].name));
		s[i].len = parts[i].len;
		v3_sha256(parts[i].data, parts[i].len, s[i].sha256);
	}
	len = v3_container_layout(s, n);
	for (uint32_t i = 0; i < n; i++)
		memcpy(img + s[i].offset, parts[i].data, parts[i].len);
	v3_container_seal(&hdr, s, n, len);
	memcpy(img, &hdr, sizeof(hdr));
	memcpy(img + sizeof(hdr), s, n * sizeof(s[0]));
	return (size_t)len;
}

/* Make the header's checksum right again after a change that must be found by other means. */
static void reseal(uint8_t *img)
{
	struct v3_container_header hdr;
	struct v3_sha256 sha;

	memcpy(&hdr, img, sizeof(hdr));
	memset(hdr.sha256, 0, sizeof(hdr.sha256));
	v3_sha256_init(&sha);
	v3_sha256_update(&sha, &hdr, sizeof(hdr));
	v3_sha256_update(&sha, img + sizeof(hdr),
			 hdr.nsections * sizeof(struct v3_container_section));
	v3_sha256_final(&sha, hdr.sha256);
	memcpy(img, &hdr, sizeof(hdr));
}

static const struct part three[] = {
	{"guest.toml", "[vm]\nname = \"x\"\n", 16},
	{"vmlinuz", "kernel bytes \0 with NUL", 23},
	{"d\xc3\xa4ta/empty", "", 0},
};

static int open_copy(const uint8_t *img, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* exact size: a read past the end is caught */
	struct v3_container c;
	int err;

	memcpy(copy, img, len);
	memset(&error, 0xee, sizeof(error));
	err = v3_container_open(copy, len, &c, &error);
	free(copy);
	if (err)
		CHECK(c.nsections == 0 && error.message[0] && !strcmp(error.file, "container"));
	return err;
}

static void test_sha256_known_digests(void)
{
	static const struct {
		const char *unit;
		unsigned repeat;
		const char *digest;
	} known[] = {
		{"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	};
	uint8_t digest[32];
	char hex[65];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct v3_sha256 sha;

		v3_sha256_init(&sha);
		for (unsigned n = 0; n < known[i].repeat; n++)
			v3_sha256_update(&sha, known[i].unit, strlen(known[i].unit));
		v3_sha256_final(&sha, digest);
		for (unsigned n = 0; n < 32; n++)
			sprintf(hex + 2 * n, "%02x", digest[n]);
		CHECK_STR(hex, known[i].digest);
	}
}

static void test_sha256_pieces_give_the_same(void)
{
	uint8_t data[300], whole[32], pieces[32];
	struct v3_sha256 sha;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(data); len++) {
		v3_sha256(data, len, whole);
		v3_sha256_init(&sha);
		for (size_t pos = 0, n; pos < len; pos += n) {
			n = 1 + tap_rand() % 100;
			if (n > len - pos)
				n = len - pos;
			v3_sha256_update(&sha, data + pos, n);
		}
		v3_sha256_final(&sha, pieces);
		CHECK_MEM(whole, pieces, 32);
	}
}

static void test_container_reads_back(void)
{
	uint8_t raw[MAX_IMAGE + 1], *img = raw + 1; /* alignment does not matter */
	size_t len = pack(img, three, 3), section_len = 99;
	struct v3_container c;
	const void *data;

	REQUIRE_EQ(v3_container_open(img, len, &c, &error), V3_OK);
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_STR(v3_container_section(&c, i, &data, &section_len), three[i].name);
		CHECK_EQ(section_len, three[i].len);
		CHECK_MEM(data, three[i].data, section_len);
		CHECK(v3_container_find(&c, three[i].name, &section_len) == data);
	}
	CHECK(!v3_container_section(&c, 3, &data, &section_len));
	CHECK(!v3_container_find(&c, "nothing", &section_len));
	CHECK(!v3_container_find(&c, "", &section_len));
}

static void test_container_refuses_every_bit_flip(void)
{
	uint8_t img[MAX_IMAGE];
	size_t len = pack(img, three, 3);

	REQUIRE_EQ(open_copy(img, len), V3_OK);
	for (size_t bit = 0; bit < len * 8; bit++) {
		img[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_MSG(open_copy(img, len) == V3_EBADMSG, "bit %zu of byte %zu", bit % 8,
			  bit / 8);
		img[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_container_refuses_every_length(void)
{
	uint8_t img[MAX_IMAGE];
	size_t len = pack(img, three, 3);

	for (size_t n = 0; n < len + 100; n++)
		CHECK_MSG((open_copy(img, n) == V3_OK) == (n == len), "length %zu", n);
}

/* Put a value at an offset, make the checksum right, expect a message. */
static void check_patch(size_t offset, uint64_t value, unsigned size, const char *message)
{
	uint8_t img[MAX_IMAGE];
	size_t len = pack(img, three, 3);

	memcpy(img + offset, &value, size);
	reseal(img);
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, message);
}

#define SECTION(i, field)                                                                          \
	(sizeof(struct v3_container_header) + (i) * sizeof(struct v3_container_section) +          \
	 offsetof(struct v3_container_section, field))
#define HEADER(field) offsetof(struct v3_container_header, field)

static void test_container_refuses_bad_header(void)
{
	uint8_t img[MAX_IMAGE];
	size_t len = pack(img, three, 3);

	check_patch(HEADER(reserved), 1, 8, "header: reserved field is not 0");
	/* these are looked at before the checksum, which tells more about what was given */
	img[0] = 'X';
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "header: not an image container made by v3-mkimage");
	len = pack(img, three, 3);
	img[HEADER(version)] = 2;
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "header: expected version 1, got 2");
	len = pack(img, three, 3);
	img[HEADER(nsections)] = 0;
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "header: expected 1..64 sections, got 0");
	memset(img + HEADER(nsections), 0xff, 4);
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "header: expected 1..64 sections, got 4294967295");
	img[HEADER(nsections)] = 64;
	memset(img + HEADER(nsections) + 1, 0, 3);
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "section table: 64 entries do not fit 960 bytes");
	len = pack(img, three, 3);
	CHECK_EQ(open_copy(img, len - 1), V3_EBADMSG);
	CHECK_STR(error.message, "header: the container has 960 bytes, but 959 were given");
	CHECK_EQ(open_copy(img, 63), V3_EBADMSG);
	CHECK_STR(error.message, "header: expected 64 bytes, got 63");
	img[HEADER(sha256)] ^= 1;
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "header: checksum does not match, the container is damaged");
}

static void test_container_refuses_bad_sections(void)
{
	check_patch(SECTION(1, offset), 0x341, 8,
		    "section \"vmlinuz\": expected at offset 0x380, got 0x341");
	check_patch(SECTION(1, offset), 0, 8,
		    "section \"vmlinuz\": expected at offset 0x380, got 0");
	check_patch(SECTION(1, offset), ~0ull, 8,
		    "section \"vmlinuz\": expected at offset 0x380, got 0xffffffffffffffff");
	check_patch(
		SECTION(1, len), ~0ull, 8,
		"section \"vmlinuz\": 0xffffffffffffffff bytes at 0x380 reach past the end 0x3c0");
	check_patch(SECTION(1, len), 0x41, 8,
		    "section \"vmlinuz\": 0x41 bytes at 0x380 reach past the end 0x3c0");
	check_patch(SECTION(1, len), 22, 8,
		    "section \"vmlinuz\": SHA-256 does not match, the container is damaged");
	check_patch(SECTION(1, sha256), 0, 1,
		    "section \"vmlinuz\": SHA-256 does not match, the container is damaged");
	check_patch(SECTION(2, reserved), 1, 1,
		    "section \"d\xc3\xa4ta/empty\": reserved field is not 0");
	check_patch(0x351, 1, 1, "section \"vmlinuz\": bytes before it are not 0");
}

static void test_container_refuses_bad_names(void)
{
	uint8_t img[MAX_IMAGE];
	size_t len;

	check_patch(SECTION(1, name), 0, 1, "section 1: malformed name");
	check_patch(SECTION(1, name), 0x7f, 1, "section 1: malformed name");
	check_patch(SECTION(1, name), '\n', 1, "section 1: malformed name");
	check_patch(SECTION(1, name), 0x80, 1, "section 1: malformed name"); /* not UTF-8 */
	check_patch(SECTION(1, name) + 9, 'x', 1,
		    "section 1: malformed name"); /* behind the terminator */
	check_patch(SECTION(0, name), 'x', 1,
		    "the first section must be guest.toml, it is \"xuest.toml\"");

	len = pack(img, three, 3); /* no terminator; then a character cut off by the end */
	memset(img + SECTION(1, name), 'x', V3_CONTAINER_NAME_LEN);
	reseal(img);
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "section 1: malformed name");
	img[SECTION(1, name) + V3_CONTAINER_NAME_LEN - 1] = 0xc3;
	reseal(img);
	CHECK_EQ(open_copy(img, len), V3_EBADMSG);
	CHECK_STR(error.message, "section 1: malformed name");
}

static void test_container_refuses_duplicate_names(void)
{
	static const struct part twice[] = {
		{"guest.toml", "t", 1}, {"a", "1", 1}, {"a", "2", 1}, {"guest.toml", "u", 1}};
	uint8_t img[MAX_IMAGE];

	CHECK_EQ(open_copy(img, pack(img, twice, 3)), V3_EBADMSG);
	CHECK_STR(error.message, "section 2: a second \"a\"");
	CHECK_EQ(open_copy(img, pack(img, twice + 1, 1)), V3_EBADMSG);
	CHECK_STR(error.message, "the first section must be guest.toml, it is \"a\"");
}

static void test_container_refuses_bytes_behind(void)
{
	uint8_t img[MAX_IMAGE];
	size_t len = pack(img, three, 2);
	uint64_t total = len + 64;

	memcpy(img + HEADER(total_len), &total, 8);
	reseal(img);
	CHECK_EQ(open_copy(img, total), V3_EBADMSG);
	CHECK_STR(error.message, "64 bytes follow the last section");
}

static const struct tap_test tests[] = {
	TAP(test_sha256_known_digests),
	TAP(test_sha256_pieces_give_the_same),
	TAP(test_container_reads_back),
	TAP(test_container_refuses_every_bit_flip),
	TAP(test_container_refuses_every_length),
	TAP(test_container_refuses_bad_header),
	TAP(test_container_refuses_bad_sections),
	TAP(test_container_refuses_bad_names),
	TAP(test_container_refuses_duplicate_names),
	TAP(test_container_refuses_bytes_behind),
};
TAP_MAIN(tests)
