# shellcheck shell=bash
# bash completion for gangway's options in
#
#     docker network create -d gangway -o NAME=VALUE --ipam-opt NAME=VALUE
#     docker network connect --driver-opt NAME=VALUE
#     docker run --network name=NETWORK,driver-opt=NAME=VALUE
#
# Every other word is left to docker's own completion, wherever it is. The names
# and values are those of the command gangway, so they are never out of date.
# Belongs into /etc/bash_completion.d, or is read from a shell's start file.

# _gangway_docker_load finds docker's own completion at its first use: in the
# place where bash-completion looks for it, unless it is loaded already.
_gangway_docker_load() {
	unset -f _gangway_docker_load
	complete -r docker 2>/dev/null
	if declare -F _comp_load >/dev/null; then
		_comp_load docker
	elif declare -F _completion_loader >/dev/null; then
		_completion_loader docker
	fi
	_gangway_docker_keep
}

# _gangway_docker_keep remembers the function that completes docker now, and
# takes its place. The function that bash-completion puts in for a command that
# it does not know is none.
_gangway_docker_keep() {
	local spec
	spec=$(complete -p docker 2>/dev/null)
	if [[ $spec =~ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != *minimal ]]; then
		_gangway_docker_own=${BASH_REMATCH[1]}
		eval "${spec/-F $_gangway_docker_own/-F _gangway_docker}"
	else
		_gangway_docker_own=
		complete -o default -F _gangway_docker docker
	fi
}

# _gangway_docker_option says whether the word at the cursor is an option of a
# network of gangway, or of one container's place on a network. It sets cur to the
# word, part to what of it is the option, and place to what it is for. bash has cut
# the words at = and :, so it looks at the line.
_gangway_docker_option() {
	local line=${COMP_LINE:0:COMP_POINT} before
	cur=${line##*[[:space:]]}
	before=${line%"$cur"}
	part=$cur
	if [[ $line =~ [[:space:]]network[[:space:]](.*[[:space:]])?create[[:space:]] ]]; then
		place=--network
		[[ $COMP_LINE =~ [[:space:]](-d|--driver)[[:space:]=]*[^[:space:]]*gangway ]] || return
		case $cur in
		--opt=* | -o=*) part=${cur#*=} ;;
		--ipam-opt=*) part=${cur#*=} place=--ipam ;;
		*)
			[[ $before =~ [[:space:]](-o|--opt|--ipam-opt)[[:space:]]+$ ]] || return
			[[ ${BASH_REMATCH[1]} != --ipam-opt ]] || place=--ipam
			;;
		esac
		return
	fi
	# The line does not say what driver the network has.
	place=--container
	if [[ $line =~ [[:space:]]network[[:space:]](.*[[:space:]])?connect[[:space:]] ]]; then
		case $cur in
		--driver-opt=*) part=${cur#*=} ;;
		*) [[ $before =~ [[:space:]]--driver-opt[[:space:]]+$ ]] || return ;;
		esac
		return
	fi
	[[ $line =~ [[:space:]](run|create)[[:space:]] && $cur == *,driver-opt=* ]] || return
	[[ $cur == --net*=name=* || $before =~ [[:space:]]--net(work)?[[:space:]]+$ ]] || return
	part=${cur##*,driver-opt=}
	[[ $part != *,* ]]
}

_gangway_docker() {
	local cur part place name values value cut=
	declare -F _gangway_docker_load >/dev/null && _gangway_docker_load
	if ! _gangway_docker_option; then
		[ -z "$_gangway_docker_own" ] || "$_gangway_docker_own" "$@"
		return
	fi
	# An answer takes the place of what stands behind the last = of the line,
	# unless = was taken out of the characters that part words.
	case $COMP_WORDBREAKS in
	*=*) [[ $cur == *=* ]] && cut=${cur%"${cur##*=}"} ;;
	esac
	COMPREPLY=()
	while read -r name values; do
		case $part in
		"$name="*)
			for value in $values; do
				COMPREPLY+=("$name=$value")
			done
			;;
		*=*) ;;
		*)
			COMPREPLY+=("$name=")
			compopt -o nospace 2>/dev/null
			;;
		esac
	done < <(gangway options --words "$place" 2>/dev/null)
	local -a fitting=()
	for value in "${COMPREPLY[@]}"; do
		[[ $value == "$part"* ]] || continue
		value=${cur%"$part"}$value
		fitting+=("${value#"$cut"}")
	done
	COMPREPLY=("${fitting[@]}")
}

if [[ $(complete -p docker 2>/dev/null) == *_gangway_docker* ]]; then
	: # read a second time
elif complete -p docker >/dev/null 2>&1; then
	unset -f _gangway_docker_load
	_gangway_docker_keep
else
	complete -o default -F _gangway_docker docker
fi
