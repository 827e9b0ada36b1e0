# SPDX-License-Identifier: BSD-3-Clause
# Completion of the v3 command for bash: source it, or install it as bash-completion/completions/v3.
_v3() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' place=0 i
	local commands='doctor run create start pause continue reset stop destroy list info console stats top dump
		screenshot move balloon memory version'

	# place: how many arguments stand before this word
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--name | --console | --timeout) ((i++)) ;;
		-*) ;;
		*) if [[ $command ]]; then ((place++)); else command=${COMP_WORDS[i]}; fi ;;
		esac
	done
	COMPREPLY=()
	case $before in
	--name | --console | --timeout) return ;;
	esac
	if [[ $word == -* ]]; then
		local options='--json --help'
		case $command in
		run) options+=' --name --console --timeout' ;;
		create) options+=' --name --start' ;;
		console) options+=' --console --timeout' ;;
		stats) options+=' --watch --timeout' ;;
		top) options+=' --timeout' ;;
		stop) options+=' --hard --timeout' ;;
		memory) options+=' --raw' ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
		return
	fi
	case $command:$place in
	:*) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
	run:0 | create:0 | screenshot:1) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	doctor:* | list:* | top:* | version:*) ;;
	*:0) mapfile -t COMPREPLY < <(compgen -W "$(v3 list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word") ;;
	esac
}
complete -o filenames -F _v3 v3
