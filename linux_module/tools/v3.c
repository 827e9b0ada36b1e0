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
	const char *arg;     /* what it takes, NULL: nothing */
	const char *options; /* letters of those that it takes, beside --json and --help */
	const char *help;
	int (*run)(char **args);
};

static const struct command commands[] = {
	{"doctor", NULL, "",
	 "does this machine have all that guests need? Each failure with its remedy", v3_doctor},
	{"run", "GUEST", "nct",
	 "make and start a VM, terminal connected; exit status is the guest's", v3_run},
	{"create", "GUEST", "ns", "make a VM that stays; prints its name", v3_create},
	{"start", "NAME", "", "start a ready VM", v3_start},
	{"pause", "NAME", "", "hold a running VM; its time stands still", v3_pause},
	{"continue", "NAME", "", "let a paused VM run again", v3_continue},
	{"reset", "NAME", "", "start over from power-on", v3_reset},
	{"stop", "NAME", "ht", "press the power button; after the timeout, stop it hard", v3_stop},
	{"destroy", "NAME", "", "stop a VM hard and free it", v3_destroy},
	{"list", NULL, "", "VMs of this user", v3_list},
	{"info", "NAME", "", "state, end, memory of a VM", v3_info},
	{"console", "NAME", "ct", "connect the terminal; Ctrl-] opens a menu", v3_console},
	{"stats", "NAME", "", "exits of each vcpu by kind: count, cycles", v3_stats},
	{"top", NULL, "t", "VMs of this user and how fast they exit, anew every second", v3_top},
	{"version", NULL, "", "version of the module", v3_version},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},	   {"help", no_argument, NULL, 'H'},
	{"name", required_argument, NULL, 'n'},	   {"console", required_argument, NULL, 'c'},
	{"timeout", required_argument, NULL, 't'}, {"start", no_argument, NULL, 's'},
	{"hard", no_argument, NULL, 'h'},	   {NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
	char head[40];
	unsigned i;

	fputs("usage: v3 COMMAND [OPTION]... [GUEST|NAME]\n\n", out);
	for (i = 0; i < COMMAND_COUNT; i++) {
		snprintf(head, sizeof(head), "%s%s%s", commands[i].name, commands[i].arg ? " " : "",
			 commands[i].arg ? commands[i].arg : "");
		fprintf(out, "  %-15s %s\n", head, commands[i].help);
	}
	fputs("\n"
	      "GUEST: a definition such as guest.toml, or an image of v3-mkimage. NAME: of a VM, "
	      "see v3 list.\n"
	      "  --json          facts and errors as one JSON object on standard output\n"
	      "  --name NAME     run, create: another name than the definition's\n"
	      "  --console NAME  run, console: that stream of the guest, not the first\n"
	      "  --timeout S     run, console, top: seconds until it ends; stop: see "
	      "above (20)\n"
	      "  --start         create: start it, too\n"
	      "  --hard          stop: at once, without the power button\n"
	      "\n"
	      "Exit status: 0 done, 1 cannot be done, 2 usage, 3 a file is wrong, 4 no module or "
	      "no permission.\n"
	      "v3 run: the guest's own, 0 for power-off, 124 timeout, 125 failure, 130 stopped by "
	      "the user.\n"
	      "Manual: v3(1), guest.toml(5)\n",
	      out);
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
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || n > 1000000) {
		v3_complain("Give a number of seconds, 0 to 1000000.", "--timeout %s is no time",
			    text);
		return false;
	}
	v3_opt.timeout_s = (unsigned)n;
	v3_opt.timeout_given = true;
	return true;
}

/* @return false: complained about */
static bool take_option(int letter)
{
	switch (letter) {
	case 'j':
		v3_opt.json = true;
		return true;
	case 'H':
		usage(stdout);
		exit(V3_EXIT_GOOD);
	case 'n':
		v3_opt.name = optarg;
		if (*optarg && strlen(optarg) < PALACIOS_NAME_SIZE)
			return true;
		v3_complain("Give 1 to 63 characters.", "--name \"%s\" is too short or too long",
			    optarg);
		return false;
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
	default: /* getopt has complained */
		fputs("v3: v3 --help shows all options.\n", stderr);
		return false;
	}
}

/* Options may stand anywhere. @return the command, NULL: complained about */
static const struct command *parse(int argc, char **argv, char ***args)
{
	const struct command *cmd;
	char used[16] = "";
	unsigned n = 0, i;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (!take_option(c))
			return NULL;
		if (c != 'j' && n < sizeof(used) - 1)
			used[n++] = (char)c;
	}
	if (optind == argc) {
		usage(stderr);
		return NULL;
	}
	cmd = find_command(argv[optind]);
	if (!cmd)
		return NULL;
	for (i = 0; i < n; i++) {
		if (!strchr(cmd->options, used[i])) {
			v3_complain("v3 --help tells which option is for which command.",
				    "v3 %s does not take all of these options", cmd->name);
			return NULL;
		}
	}
	*args = argv + optind + 1;
	if (argc - optind - 1 != (cmd->arg != NULL)) {
		v3_complain(cmd->arg ? "GUEST is a file, NAME one of those that v3 list shows."
				     : NULL,
			    "v3 %s takes %s", cmd->name, cmd->arg ? cmd->arg : "no argument");
		return NULL;
	}
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
