#!/bin/sh
# install-plugin.sh DIR|--remove: creates and enables the plugin gangway:latest
# in the local engine from DIR (config.json and rootfs), in place of one that is
# there, or removes it. A plugin with networks is left alone: removing it would
# remove its state.
set -eu

docker=${DOCKER:-docker}
plugin=gangway:latest

fail() {
	echo "install-plugin.sh: $*" >&2
	exit 1
}

# exists also asks whether there is an engine at all.
exists() {
	names=$($docker plugin ls --format '{{.Name}}') || fail "no Docker engine answers"
	printf '%s\n' "$names" | grep -qx "$plugin"
}

remove() {
	networks=$($docker network ls --filter "driver=$plugin" --format '{{.Name}}' | tr '\n' ' ')
	[ -z "$networks" ] || fail "$plugin has networks: remove them first (docker network rm $networks)"
	if [ "$($docker plugin inspect -f '{{.Enabled}}' "$plugin")" = true ]; then
		$docker plugin disable "$plugin" >/dev/null
	fi
	$docker plugin rm "$plugin" >/dev/null
}

case ${1:-} in
--remove)
	if ! command -v "$docker" >/dev/null || ! exists; then
		echo "There is no plugin $plugin."
		exit 0
	fi
	remove
	echo "The plugin $plugin is removed."
	;;
'') fail "usage: install-plugin.sh DIR|--remove" ;;
*)
	if exists; then remove; fi
	$docker plugin create "$plugin" "$1" >/dev/null
	$docker plugin enable "$plugin" >/dev/null
	echo "The plugin is enabled. Try: $docker network create -d $plugin NAME"
	;;
esac
