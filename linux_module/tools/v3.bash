# SPDX-License-Identifier: BSD-3-Clause
# Completion of the v3 command for bash: source it, or install it as bash-completion/completions/v3.
_v3() {
	local word=${COMP_WORDS[COMP_CWORD]} command='' i
	local commands='doctor run create start pause continue reset stop destroy list info console stats top version'

	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] || { command=${COMP_WORDS[i]}; break; }
	done
	if [[ $word == -* ]]; then
		local options='--json --help'
		case $command in
		run) options+=' --name --console --timeout' ;;
		create) options+=' --name --start' ;;
		console) options+=' --console --timeout' ;;
		top) options+=' --timeout' ;;
		stop) options+=' --hard --timeout' ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
		return
	fi
	case $command in
	'') mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
	run | create) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	doctor | list | top | version) ;;
	*) mapfile -t COMPREPLY < <(compgen -W "$(v3 list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$word") ;;
	esac
}
complete -o filenames -F _v3 v3
