/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file v3.c
 * The v3 command: finds the subcommand, reads the options. Manual: v3.1.
 */
#include "v3.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct v3_options v3_opt;

struct command {
	const char *name;
	const char *takes;   /* words that stand for its arguments */
	const char *options; /* letters of those that it takes, beside --json and --help */
	const char *help;
	int (*run)(char **args);
};

static const struct command commands[] = {
	{"doctor", "", "", "has this machine all that guests need? Failures with remedy",
	 v3_doctor},
	{"run", "GUEST", "nct", "a VM on this terminal, ends with it; status is the guest's",
	 v3_run},
	{"create", "GUEST", "ns", "make a VM that stays; prints its name", v3_create},
	{"start", "NAME", "", "start a ready VM", v3_start},
	{"pause", "NAME", "", "hold a running VM; its time stands still", v3_pause},
	{"continue", "NAME", "", "let a paused VM run again", v3_continue},
	{"reset", "NAME", "", "start over from power-on", v3_reset},
	{"stop", "NAME", "ht", "press the power button; after the timeout, stop it hard", v3_stop},
	{"destroy", "NAME", "", "stop a VM hard and free it", v3_destroy},
	{"list", "", "", "all VMs", v3_list},
	{"info", "NAME", "", "state, end, memory and vcpus of a VM", v3_info},
	{"console", "NAME", "ct", "connect the terminal; Ctrl-] opens a menu", v3_console},
	{"stats", "NAME", "wt", "exits of each vcpu by kind: count, cycles, histogram", v3_stats},
	{"top", "", "t", "all VMs and how fast they exit, anew every second", v3_top},
	{"dump", "NAME", "", "registers and last exits, or those of its failure", v3_dump},
	{"screenshot", "NAME [FILE]", "", "what the display shows: to a file (PPM), or drawn here",
	 v3_screenshot},
	{"move", "NAME VCPU CPU", "", "bind a vcpu to another host CPU", v3_move},
	{"balloon", "NAME [SIZE]", "", "memory that the guest gives back; SIZE: how much it shall",
	 v3_balloon},
	{"memory", "NAME GPA SIZE", "r", "guest memory in hexadecimal", v3_memory},
	{"version", "", "", "version of the module", v3_version},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},	   {"help", no_argument, NULL, 'H'},
	{"name", required_argument, NULL, 'n'},	   {"console", required_argument, NULL, 'c'},
	{"timeout", required_argument, NULL, 't'}, {"start", no_argument, NULL, 's'},
	{"hard", no_argument, NULL, 'h'},	   {"watch", no_argument, NULL, 'w'},
	{"raw", no_argument, NULL, 'r'},	   {NULL, 0, NULL, 0},
};

static const char *const option_help[] = {
	"--json          facts and errors as JSON on standard output",
	"--name NAME     run, create: another name than the definition's",
	"--console NAME  run, console: that stream of the guest, not the first",
	"--timeout S     run, console, stats --watch, top: end after S seconds; stop: see above "
	"(20)",
	"--start         create: start it, too",
	"--hard          stop: at once, without the power button",
	"--watch         stats: with rates, anew every second",
	"--raw           memory: the bytes as they are",
};

static void usage(FILE *out)
{
	unsigned i;

	fputs("usage: v3 COMMAND [OPTION]... [ARGUMENT]...\n\n", out);
	for (i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s %-13s  %s\n", commands[i].name, commands[i].takes,
			commands[i].help);
	fputs("\nGUEST: a definition such as guest.toml, or an image of v3-mkimage. "
	      "NAME: of a VM, see v3 list.\n",
	      out);
	for (i = 0; i < sizeof(option_help) / sizeof(option_help[0]); i++)
		fprintf(out, "  %s\n", option_help[i]);
	fputs("\nExit status: run: the guest's own, or one of these\n", out);
#define USAGE_EXIT_CODE(name, value, meaning) fprintf(out, "  %3d  %s\n", value, meaning);
	V3_EXIT_CODES(USAGE_EXIT_CODE)
#undef USAGE_EXIT_CODE
	fputs("Manual: v3(1), guest.toml(5), palacios(4)\n", out);
}

static const struct command *find_command(const char *name)
{
	unsigned i;

	for (i = 0; i < COMMAND_COUNT; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	v3_complain("v3 --help shows all commands.", "there is no command \"%s\"", name);
	return NULL;
}

static bool parse_timeout(const char *text)
{
	uint64_t n;

	if (!v3_number_parse(text, &n) || n > 1000000) {
		v3_complain("Give a number of seconds, 0 to 1000000.", "--timeout %s is no time",
			    text);
		return false;
	}
	v3_opt.timeout_s = (unsigned)n;
	v3_opt.timeout_given = true;
	return true;
}

static bool parse_name(const char *name)
{
	size_t n =
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	v3_opt.name = name;
	if (n && !name[n] && n < PALACIOS_NAME_SIZE)
		return true;
	v3_complain("Give 1 to 63 of A-Z a-z 0-9 . _ -", "--name \"%s\" is no name", name);
	return false;
}

/* @return false: complained about */
static bool take_option(int letter, const char *word)
{
	switch (letter) {
	case 'j': /* seen by parse() already */
		return true;
	case 'H':
		usage(stdout);
		exit(V3_EXIT_GOOD);
	case 'n':
		return parse_name(optarg);
	case 'c':
		v3_opt.stream = optarg;
		return true;
	case 't':
		return parse_timeout(optarg);
	case 's':
		v3_opt.start = true;
		return true;
	case 'h':
		v3_opt.hard = true;
		return true;
	case 'w':
		v3_opt.watch = true;
		return true;
	case 'r':
		v3_opt.raw = true;
		return true;
	case ':':
		v3_complain("v3 --help shows all options.", "%s needs a value", word);
		return false;
	default:
		if (!strncmp(word, "--", 2))
			v3_complain("v3 --help shows all options.", "%s is no option", word);
		else
			v3_complain("v3 --help shows all options.", "-%c is no option", optopt);
		return false;
	}
}

static const char *option_name(char letter)
{
	const struct option *o = longs;

	while (o->val != letter)
		o++;
	return o->name;
}

static bool check_options(const struct command *cmd, const char *used)
{
	for (; *used; used++) {
		if (strchr(cmd->options, *used))
			continue;
		v3_complain("v3 --help tells which option is for which command.",
			    "v3 %s does not take --%s", cmd->name, option_name(*used));
		return false;
	}
	return true;
}

/* The last one may be in brackets: then it can be left out. */
static bool check_arguments(const struct command *cmd, int given)
{
	const char *p;
	int want = *cmd->takes != 0, optional = 0;

	for (p = cmd->takes; *p; p++) {
		want += *p == ' ';
		optional += *p == '[';
	}
	if (given <= want && given >= want - optional)
		return true;
	v3_complain(want ? "GUEST is a file, NAME one of those that v3 list shows." : NULL,
		    "v3 %s takes %s, not %d arguments", cmd->name, want ? cmd->takes : "none",
		    given);
	return false;
}

/* Options may stand anywhere. @return the command, NULL: complained about */
static const struct command *parse(int argc, char **argv, char ***args)
{
	const struct command *cmd;
	char used[32] = "";
	unsigned n = 0;
	int c, i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		v3_opt.json |= !strcmp(argv[i], "--json"); /* complaints about options, too */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (!take_option(c, argv[optind - 1]))
			return NULL;
		if (c != 'j' && n < sizeof(used) - 1)
			used[n++] = (char)c;
	}
	if (optind == argc) {
		usage(stderr);
		return NULL;
	}
	cmd = find_command(argv[optind]);
	*args = argv + optind + 1;
	if (!cmd || !check_options(cmd, used) || !check_arguments(cmd, argc - optind - 1))
		return NULL;
	return cmd;
}

int main(int argc, char **argv)
{
	const struct command *cmd;
	char **args = NULL;
	int result;

	cmd = parse(argc, argv, &args);
	if (!cmd)
		return V3_EXIT_USAGE;
	result = cmd->run(args);
	if (fflush(stdout)) {
		fprintf(stderr, "v3: standard output: %s\n", strerror(errno));
		return cmd->run == v3_run ? V3_EXIT_BROKEN : V3_EXIT_FILE;
	}
	return result;
}
