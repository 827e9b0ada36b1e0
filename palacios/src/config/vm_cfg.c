/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vm_cfg.c
 * The checks that look at a definition as a whole, and the result for the builder: struct
 * v3_vm_cfg. Called by vm/ with the container's first section and by v3-mkimage with the file.
 */
#include "config/cfg.h"

#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

#define MIN_MEMORY  (1ull << 20)
#define MAX_MEMORY  (1ull << 40)
#define MIN_TSC_KHZ 1000

static const struct v3_cfg_key vm_keys[] = {
	{.name = "name", .type = V3_CFG_STRING, .required = true, .high = 31},
	{.name = "memory",
	 .type = V3_CFG_SIZE,
	 .required = true,
	 .low = MIN_MEMORY,
	 .high = MAX_MEMORY},
	{.name = "vcpus", .type = V3_CFG_UINT, .low = 1, .high = V3_VM_CFG_MAX_VCPUS, .def = 1},
	{.name = "sockets", .type = V3_CFG_UINT, .low = 1, .high = V3_VM_CFG_MAX_VCPUS, .def = 1},
	{.name = "cores", .type = V3_CFG_UINT, .low = 1, .high = V3_VM_CFG_MAX_VCPUS},
	{.name = "threads", .type = V3_CFG_UINT, .low = 1, .high = V3_VM_CFG_MAX_VCPUS, .def = 1},
	{.name = "cpus", .type = V3_CFG_TABLES, .high = V3_VM_CFG_MAX_CPU},
	{.name = "nodes", .type = V3_CFG_TABLES},
	{.name = "numa_node", .type = V3_CFG_UINT, .high = V3_VM_CFG_MAX_HOST_NODE},
	{.name = "yield", .type = V3_CFG_STRING, .def_str = "friendly"},
	{.name = "tsc_khz", .type = V3_CFG_UINT, .low = MIN_TSC_KHZ, .high = 0xffffffff},
	{.name = "platform", .type = V3_CFG_STRING, .def_str = "pc"},
	{.name = "log", .type = V3_CFG_STRING, .def_str = "info"},
	{.name = NULL},
};

static const struct v3_cfg_key boot_keys[] = {
	{.name = "type", .type = V3_CFG_STRING, .required = true},
	{.name = "kernel", .type = V3_CFG_FILE},
	{.name = "firmware", .type = V3_CFG_FILE},
	{.name = "initrd", .type = V3_CFG_FILE},
	{.name = "cmdline", .type = V3_CFG_STRING},
	{.name = "modules", .type = V3_CFG_STRINGS},
	{.name = NULL},
};

/* While a definition is put together. */
struct build {
	struct v3_cfg_arena *arena;
	struct v3_cfg_error *err;
	struct v3_cfg *tables;
	const struct v3_device_class *const *classes;
	struct v3_vm_cfg *cfg;
	struct v3_device_cfg *devices;
	const char **files;
	struct v3_host_file_cfg *host_files;
};

static int build_name(struct build *b, const struct v3_cfg *vm)
{
	const char *name = v3_cfg_string(vm, "name"), *s;
	char quoted[V3_CFG_QUOTE_LEN];

	for (s = name; (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '-'; s++)
		;
	if (*s || s == name)
		return v3_cfg_fail(b->err, v3_cfg_line(vm, "name"),
				   "name: expected 1 to 31 of a-z, 0-9 and '-', got %s",
				   v3_cfg_quote(quoted, name));
	b->cfg->name = name;
	return V3_OK;
}

static int build_vm(struct build *b, struct v3_cfg *vm)
{
	static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
	static const char *const platforms[] = {"none", "pc", NULL};
	static const char *const yields[] = {"friendly", "greedy", "adaptive", NULL};
	struct v3_vm_cfg *cfg = b->cfg;
	unsigned level = 0, platform = 0, yield = 0;
	char size[24];
	int err;

	err = v3_cfg_check(vm, vm_keys, NULL, b->err);
	if (err)
		return err;
	err = build_name(b, vm);
	if (err)
		return err;
	err = v3_cfg_choice(vm, "log", levels, "\"error\", \"warn\", \"info\" or \"debug\"", &level,
			    b->err);
	if (err)
		return err;
	err = v3_cfg_choice(vm, "platform", platforms, "\"pc\" or \"none\"", &platform, b->err);
	if (err)
		return err;
	err = v3_cfg_choice(vm, "yield", yields, "\"friendly\", \"greedy\" or \"adaptive\"", &yield,
			    b->err);
	if (err)
		return err;
	cfg->log_level = (enum v3_log_level)level;
	cfg->platform = (enum v3_vm_platform)platform;
	cfg->yield = (enum v3_yield)yield;
	cfg->memory = v3_cfg_uint(vm, "memory");
	if (cfg->memory & (V3_PAGE_SIZE - 1))
		return v3_cfg_fail(b->err, v3_cfg_line(vm, "memory"),
				   "memory: expected a multiple of 4K, got %s",
				   v3_cfg_size_text(size, cfg->memory));
	cfg->vcpus = (uint32_t)v3_cfg_uint(vm, "vcpus");
	cfg->numa_node = v3_cfg_has(vm, "numa_node") ? (int)v3_cfg_uint(vm, "numa_node") : -1;
	cfg->tsc_khz = v3_cfg_has(vm, "tsc_khz") ? (uint32_t)v3_cfg_uint(vm, "tsc_khz") : 0;
	return v3_cfg_placement(vm, cfg, b->arena, b->err);
}

/* Note that a file is needed; each name once. */
static int build_file(struct build *b, const char *name, const char *key, uint32_t line)
{
	struct v3_vm_cfg *cfg = b->cfg;
	uint32_t i;

	if (!v3_strcmp(name, "guest.toml"))
		return v3_cfg_fail(
			b->err, line,
			"%s: \"guest.toml\" is the definition's own name in the container", key);
	for (i = 0; i < cfg->nfiles; i++) {
		if (!v3_strcmp(b->files[i], name))
			return V3_OK;
	}
	if (cfg->nfiles == V3_VM_CFG_MAX_FILES)
		return v3_cfg_fail(b->err, line, "%s: more than %u files", key,
				   V3_VM_CFG_MAX_FILES);
	b->files[cfg->nfiles++] = name;
	return V3_OK;
}

/* May one thing of the host be used so twice? @return NULL or why not */
static const char *build_host_conflict(enum v3_cfg_host_file a, enum v3_cfg_host_file b)
{
	if (a == V3_CFG_HOST_INTERFACE)
		return "the interface is used twice";
	return a == V3_CFG_HOST_READ && b == V3_CFG_HOST_READ
		       ? NULL
		       : "the file is used twice, and written at least once";
}

/* Note that something of the host is used; an interface and a file may have the same name. */
static int build_host_file(struct build *b, const char *name, enum v3_cfg_host_file use,
			   const char *key, uint32_t line)
{
	struct v3_vm_cfg *cfg = b->cfg;
	const char *conflict;
	uint32_t i;

	for (i = 0; i < cfg->nhost_files; i++) {
		if (v3_strcmp(b->host_files[i].name, name) ||
		    (b->host_files[i].use == V3_CFG_HOST_INTERFACE) !=
			    (use == V3_CFG_HOST_INTERFACE))
			continue;
		conflict = build_host_conflict(use, b->host_files[i].use);
		return conflict ? v3_cfg_fail(b->err, line, "%s: %s", key, conflict) : V3_OK;
	}
	if (cfg->nhost_files == V3_VM_CFG_MAX_HOST_FILES)
		return v3_cfg_fail(b->err, line, "%s: more than %u files of the host", key,
				   V3_VM_CFG_MAX_HOST_FILES);
	b->host_files[cfg->nhost_files++] = (struct v3_host_file_cfg){.name = name, .use = use};
	return V3_OK;
}

/* The files that one key of a device names. */
static int build_key_files(struct build *b, const struct v3_cfg *table,
			   const struct v3_cfg_key *key)
{
	enum v3_cfg_host_file use = key->host_file;
	uint32_t line = v3_cfg_line(table, key->name), i;
	int err = V3_OK;

	if (key->type == V3_CFG_FILE)
		return build_file(b, v3_cfg_string(table, key->name), key->name, line);
	if (!use)
		return V3_OK;
	if (use == V3_CFG_HOST_WRITE && v3_cfg_bool(table, "read_only"))
		use = V3_CFG_HOST_READ;
	if (key->type == V3_CFG_STRING)
		return build_host_file(b, v3_cfg_string(table, key->name), use, key->name, line);
	for (i = 0; i < v3_cfg_count(table, key->name) && !err; i++)
		err = build_host_file(b, v3_cfg_string_at(table, key->name, i), use, key->name,
				      line);
	return err;
}

static int build_modules(struct build *b, const struct v3_cfg *boot)
{
	uint32_t line = v3_cfg_line(boot, "modules"), n = v3_cfg_count(boot, "modules"), i;
	struct v3_module_cfg *modules;
	size_t len;
	char *file;
	int err;

	if (n > V3_VM_CFG_MAX_MODULES)
		return v3_cfg_fail(b->err, line, "modules: expected at most %u, got %u",
				   V3_VM_CFG_MAX_MODULES, n);
	modules = v3_cfg_arena_alloc(b->arena, (n + 1) * sizeof(*modules));
	if (!modules)
		return V3_ENOMEM;
	for (i = 0; i < n; i++) {
		modules[i].cmdline = v3_cfg_string_at(boot, "modules", i);
		for (len = 0; modules[i].cmdline[len] && modules[i].cmdline[len] != ' '; len++) {
			if ((uint8_t)modules[i].cmdline[len] < 0x20 ||
			    modules[i].cmdline[len] == 0x7f)
				return v3_cfg_fail(b->err, line,
						   "modules: control character in a file name");
		}
		if (!len || len > V3_VM_CFG_MAX_FILE_NAME)
			return v3_cfg_fail(
				b->err, line,
				"modules: expected a file name of 1 to %u bytes, then arguments",
				V3_VM_CFG_MAX_FILE_NAME);
		file = v3_cfg_arena_strdup(b->arena, modules[i].cmdline, len);
		if (!file)
			return V3_ENOMEM;
		modules[i].file = file;
		err = build_file(b, file, "modules", line);
		if (err)
			return err;
	}
	b->cfg->nmodules = n;
	b->cfg->modules = modules;
	return V3_OK;
}

#define BOOT_KERNELS (1u << V3_BOOT_LINUX | 1u << V3_BOOT_MULTIBOOT | 1u << V3_BOOT_PVH)

/* The keys of [boot] that belong to some types only; the first one of a type is required. */
static const struct build_boot_key {
	const char *key;
	unsigned types; /* 1 << enum v3_vm_boot */
	const char *expected;
} build_boot_only[] = {
	{"kernel", BOOT_KERNELS, "\"linux\", \"multiboot\" and \"pvh\""},
	{"firmware", 1u << V3_BOOT_BIOS, "\"bios\""},
	{"cmdline", BOOT_KERNELS, "\"linux\", \"multiboot\" and \"pvh\""},
	{"initrd", 1u << V3_BOOT_LINUX, "\"linux\""},
	{"modules", 1u << V3_BOOT_MULTIBOOT | 1u << V3_BOOT_PVH, "\"multiboot\" and \"pvh\""},
};

/* Refuse keys of other types and note the image of this one. */
static int build_boot_image(struct build *b, const struct v3_cfg *boot)
{
	struct v3_vm_cfg *cfg = b->cfg;
	const struct build_boot_key *only;
	const char *image = NULL;
	size_t i;

	for (i = 0; i < V3_ARRAY_SIZE(build_boot_only); i++) {
		only = &build_boot_only[i];
		if (only->types & 1u << cfg->boot) {
			image = image ? image : only->key;
		} else if (v3_cfg_has(boot, only->key)) {
			return v3_cfg_fail(b->err, v3_cfg_line(boot, only->key),
					   "%s: only for type = %s", only->key, only->expected);
		}
	}
	if (!v3_cfg_has(boot, image))
		return v3_cfg_fail(b->err, boot->line,
				   "%s: missing in [boot], expected a file name in quotes", image);
	cfg->kernel = v3_cfg_string(boot, image);
	return build_file(b, cfg->kernel, image, v3_cfg_line(boot, image));
}

static int build_boot(struct build *b, struct v3_cfg *boot)
{
	static const char *const types[] = {"linux", "multiboot", "pvh", "bios", NULL};
	struct v3_vm_cfg *cfg = b->cfg;
	unsigned type = 0;
	int err;

	err = v3_cfg_check(boot, boot_keys, NULL, b->err);
	if (err)
		return err;
	err = v3_cfg_choice(boot, "type", types, "\"linux\", \"multiboot\", \"pvh\" or \"bios\"",
			    &type, b->err);
	if (err)
		return err;
	cfg->boot = (enum v3_vm_boot)type;
	if (cfg->boot == V3_BOOT_BIOS && cfg->platform != V3_PLATFORM_PC)
		return v3_cfg_fail(b->err, v3_cfg_line(boot, "type"),
				   "type: \"bios\" needs platform = \"pc\"");
	cfg->cmdline = v3_cfg_string(boot, "cmdline");
	err = build_boot_image(b, boot);
	if (err)
		return err;
	if (v3_cfg_has(boot, "initrd")) {
		cfg->initrd = v3_cfg_string(boot, "initrd");
		err = build_file(b, cfg->initrd, "initrd", v3_cfg_line(boot, "initrd"));
		if (err)
			return err;
	}
	return build_modules(b, boot);
}

static const struct v3_device_class *build_find_class(struct build *b, const char *name)
{
	const struct v3_device_class *const *c;

	for (c = b->classes; *c; c++) {
		if (!v3_strcmp((*c)->name, name))
			return *c;
	}
	return NULL;
}

static int build_class(struct build *b, const struct v3_cfg *table,
		       const struct v3_device_class **out)
{
	const struct v3_cfg_entry *entry = v3_cfg_find(table, "class");
	const struct v3_device_class *const *c;
	char found[V3_CFG_QUOTE_LEN + 16];
	const char *best = NULL;
	unsigned distance, least = 3;

	if (!entry)
		return v3_cfg_fail(b->err, table->line,
				   "class: missing in [device], expected a text in quotes");
	if (entry->value.kind != V3_CFG_KIND_TEXT)
		return v3_cfg_fail(b->err, entry->line, "class: expected a text in quotes, got %s",
				   v3_cfg_describe(found, &entry->value));
	*out = build_find_class(b, entry->value.text);
	if (*out)
		return V3_OK;
	for (c = b->classes; *c; c++) {
		distance = v3_cfg_distance(entry->value.text, (*c)->name);
		if (distance < least) {
			least = distance;
			best = (*c)->name;
		}
	}
	v3_cfg_quote(found, entry->value.text);
	if (best)
		return v3_cfg_fail(b->err, entry->line,
				   "class: unknown device class %s, did you mean \"%s\"?", found,
				   best);
	return v3_cfg_fail(b->err, entry->line, "class: unknown device class %s", found);
}

/* Two instances of a class are the same one unless they have different ports. */
static bool build_same_device(const struct v3_device_cfg *a, const struct v3_device_class *class,
			      const struct v3_cfg *cfg)
{
	return a->class == class && v3_cfg_uint(a->cfg, "port") == v3_cfg_uint(cfg, "port");
}

static bool build_has_port(const struct v3_device_class *class)
{
	const struct v3_cfg_key *key;

	for (key = class->keys; key && key->name; key++) {
		if (!v3_strcmp(key->name, "port"))
			return true;
	}
	return false;
}

/* The table of a [[device]] takes the place of the platform's own instance or comes at the end. */
static int build_place(struct build *b, const struct v3_device_class *class,
		       const struct v3_cfg *table, uint32_t nplatform)
{
	struct v3_vm_cfg *cfg = b->cfg;
	bool port = build_has_port(class);
	struct v3_device_cfg *d;
	uint32_t i;

	for (i = 0; i < cfg->ndevices; i++) {
		d = &b->devices[i];
		if ((i >= nplatform && !port) || !build_same_device(d, class, table))
			continue;
		if (d->line)
			return v3_cfg_fail(
				b->err, table->line, "class: a second \"%s\" %s, first in line %u",
				class->name, port ? "at the same port" : "in one machine", d->line);
		d->cfg = table;
		d->line = table->line;
		return V3_OK;
	}
	if (cfg->ndevices == V3_VM_CFG_MAX_DEVICES)
		return v3_cfg_fail(b->err, table->line, "more than %u devices",
				   V3_VM_CFG_MAX_DEVICES);
	b->devices[cfg->ndevices++] =
		(struct v3_device_cfg){.class = class, .cfg = table, .line = table->line};
	return V3_OK;
}

static int build_device(struct build *b, struct v3_cfg *table, uint32_t nplatform)
{
	const struct v3_device_class *class = NULL;
	const struct v3_cfg_key *key;
	int err;

	err = build_class(b, table, &class);
	if (err)
		return err;
	err = v3_cfg_check(table, class->keys, "class", b->err);
	if (err)
		return err;
	for (key = class->keys; key && key->name; key++) {
		err = v3_cfg_has(table, key->name) ? build_key_files(b, table, key) : V3_OK;
		if (err)
			return err;
	}
	return build_place(b, class, table, nplatform);
}

static int build_devices(struct build *b)
{
	const struct v3_device_class *class;
	struct v3_vm_cfg *cfg = b->cfg;
	struct v3_cfg *table;
	uint32_t nplatform;
	unsigned i;
	int err;

	for (i = 0; cfg->platform == V3_PLATFORM_PC && v3_platform_pc[i]; i++) {
		class = build_find_class(b, v3_platform_pc[i]);
		if (!class)
			continue;
		table = v3_cfg_arena_alloc(b->arena, sizeof(*table));
		if (!table)
			return V3_ENOMEM;
		table->name = "device";
		err = v3_cfg_check(table, class->keys, NULL, b->err);
		if (err)
			return err;
		b->devices[cfg->ndevices++] = (struct v3_device_cfg){.class = class, .cfg = table};
	}
	nplatform = cfg->ndevices;
	for (table = b->tables; table; table = table->next) {
		if (v3_strcmp(table->name, "device"))
			continue;
		err = build_device(b, table, nplatform);
		if (err)
			return err;
	}
	return V3_OK;
}

/* Only [vm], [boot] and [[device]] exist. */
static int build_tables(struct build *b, struct v3_cfg **vm, struct v3_cfg **boot)
{
	struct v3_cfg *table;

	for (table = b->tables; table; table = table->next) {
		bool device = !v3_strcmp(table->name, "device");

		if (!v3_strcmp(table->name, "vm"))
			*vm = table;
		else if (!v3_strcmp(table->name, "boot"))
			*boot = table;
		else if (!device)
			return v3_cfg_fail(
				b->err, table->line,
				"[%s]: unknown table, expected [vm], [boot] or [[device]]",
				table->name);
		if (device != table->array)
			return v3_cfg_fail(b->err, table->line, "%s: expected %s[%s]%s",
					   table->name, device ? "[" : "", table->name,
					   device ? "]" : "");
	}
	if (!*vm)
		return v3_cfg_fail(b->err, 0, "[vm]: missing table");
	if (!*boot)
		return v3_cfg_fail(b->err, 0, "[boot]: missing table");
	return V3_OK;
}

static int build_all(struct build *b, const char *text, size_t len)
{
	struct v3_cfg *vm = NULL, *boot = NULL;
	struct v3_vm_cfg *cfg;
	int err;

	cfg = v3_cfg_arena_alloc(b->arena, sizeof(*cfg));
	b->devices = v3_cfg_arena_alloc(b->arena, V3_VM_CFG_MAX_DEVICES * sizeof(*b->devices));
	b->files = v3_cfg_arena_alloc(b->arena, V3_VM_CFG_MAX_FILES * sizeof(*b->files));
	b->host_files =
		v3_cfg_arena_alloc(b->arena, V3_VM_CFG_MAX_HOST_FILES * sizeof(*b->host_files));
	if (!cfg || !b->devices || !b->files || !b->host_files)
		return V3_ENOMEM;
	b->cfg = cfg;
	cfg->arena = b->arena;
	cfg->devices = b->devices;
	cfg->files = b->files;
	cfg->host_files = b->host_files;

	err = v3_cfg_check_text(text, len, b->err);
	if (err)
		return err;
	err = v3_toml_parse(text, len, b->arena, &b->tables, b->err);
	if (err)
		return err;
	err = build_tables(b, &vm, &boot);
	if (err)
		return err;
	err = build_vm(b, vm);
	if (err)
		return err;
	err = build_boot(b, boot);
	if (err)
		return err;
	return build_devices(b);
}

int v3_vm_cfg_parse(const char *text, size_t len, const char *filename,
		    const struct v3_device_class *const *classes, struct v3_vm_cfg **out,
		    struct v3_cfg_error *err)
{
	struct build b = {.err = err, .classes = classes};
	int result;

	err->file = filename;
	err->line = 0;
	err->message[0] = '\0';
	b.arena = v3_cfg_arena_create();
	result = b.arena ? build_all(&b, text, len) : V3_ENOMEM;
	if (result) {
		if (result == V3_ENOMEM)
			v3_strlcpy(err->message, "out of memory", sizeof(err->message));
		v3_cfg_arena_destroy(b.arena);
		return result;
	}
	*out = b.cfg;
	return V3_OK;
}

void v3_vm_cfg_free(struct v3_vm_cfg *cfg)
{
	if (cfg)
		v3_cfg_arena_destroy(cfg->arena);
}

bool v3_vm_cfg_has_device(const struct v3_vm_cfg *cfg, const char *name)
{
	uint32_t i;

	for (i = 0; i < cfg->ndevices; i++) {
		if (!v3_strcmp(cfg->devices[i].class->name, name))
			return true;
	}
	return false;
}
