#!/bin/sh
# install-plugin.sh DIR|--upgrade DIR|--remove: creates and enables the plugin
# gangway:latest in the local engine from DIR (config.json and rootfs), in place of one
# that is there; puts DIR in its place with its networks and their containers running;
# or removes it. Only an upgrade touches a plugin with networks: removing it would
# remove its state.
set -eu

docker=${DOCKER:-docker}
plugin=gangway:latest
# Where the engine finds plain daemons, and makes the sockets of plugins.
sockets=/run/docker/plugins

fail() {
	echo "install-plugin.sh: $*" >&2
	exit 1
}

# exists also asks whether there is an engine at all.
exists() {
	names=$($docker plugin ls --format '{{.Name}}') || fail "no Docker engine answers"
	printf '%s\n' "$names" | grep -qx "$plugin"
}

enabled() { [ "$($docker plugin inspect -f '{{.Enabled}}' "$plugin")" = true ]; }

# alone refuses a host that the plain daemon serves, or will at the next call. A daemon
# has an abstract socket for as long as it runs.
alone() {
	if [ -d /run/systemd/system ] && systemctl --quiet is-active gangway.socket gangway.service; then
		fail "the plain daemon serves this host: make uninstall removes it, or systemctl disable --now gangway.socket gangway.service"
	fi
	if exists && enabled; then return; fi
	if grep -q ' @gangway$' /proc/net/unix; then
		fail "the plain daemon serves this host: end that first (gangway serve)"
	fi
}

# degraded says whether what health printed is of a daemon that works, if not in all.
degraded() { case $1 in degraded*) true ;; *) false ;; esac; }

# works waits until the plugin has restored its networks, and shows what it says.
works() {
	socket=$sockets/$($docker plugin inspect -f '{{.ID}}' "$plugin")/gangway.sock
	# An engine with another --exec-root has it elsewhere.
	[ -S "$socket" ] || return 0
	tries=20
	until health=$("$1/rootfs/gangway" health --socket "$socket" 2>&1) || degraded "$health"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "the plugin is enabled and does not work: $health"
		sleep 0.5
	done
}

remove() {
	networks=$($docker network ls --filter "driver=$plugin" --format '{{.Name}}' | tr '\n' ' ')
	[ -z "$networks" ] || fail "$plugin has networks: make upgrade replaces it with them; or remove them first (docker network rm $networks)"
	if enabled; then
		$docker plugin disable "$plugin" >/dev/null
	fi
	$docker plugin rm "$plugin" >/dev/null
}

# registry serves a registry on loopback, from folder $1, and sets address. An engine
# upgrades a plugin from a registry only.
registry() {
	printf 'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/data\nhttp:\n  addr: 127.0.0.1:0\n' "$1" >"$1/config.yml"
	docker-registry serve "$1/config.yml" >"$1/log" 2>&1 &
	registry=$!
	tries=100
	until address=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$1/log") && [ -n "$address" ]; do
		tries=$((tries - 1))
		if [ $tries = 0 ] || ! kill -0 "$registry"; then
			cat "$1/log" >&2
			fail "no registry on loopback"
		fi
		sleep 0.1
	done
}

# clean ends what an upgrade started. A plugin that ran goes on, whichever it is.
registry='' pushed='' folder='' stopped=''
clean() {
	[ -z "$stopped" ] || $docker plugin enable "$plugin" >/dev/null || true
	[ -z "$pushed" ] || $docker plugin rm -f "$pushed" >/dev/null 2>&1 || true
	[ -z "$registry" ] || kill "$registry" || true
	[ -z "$folder" ] || rm -rf "$folder"
}

# upgrade keeps the plugin's id, and with it its state, its settings and the networks
# that the engine has of it. Traffic goes on meanwhile.
upgrade() {
	trap clean EXIT
	trap 'exit 1' INT TERM
	folder=$(mktemp -d)
	registry "$folder"
	pushed=$address/gangway/gangway:new
	$docker plugin create "$pushed" "$1" >/dev/null
	$docker plugin push "$pushed" >/dev/null
	$docker plugin rm "$pushed" >/dev/null
	if enabled; then
		stopped=yes
		$docker plugin disable --force "$plugin" >/dev/null
	fi
	$docker plugin upgrade --grant-all-permissions --skip-remote-check "$plugin" "$pushed" >/dev/null
	pushed=''
	$docker plugin enable "$plugin" >/dev/null
	stopped=''
}

case ${1:-} in
--remove)
	if ! command -v "$docker" >/dev/null || ! $docker version >/dev/null 2>&1; then
		echo "No Docker engine answers: a plugin $plugin, if there is one, stays."
		exit 0
	fi
	if ! exists; then
		echo "There is no plugin $plugin."
		exit 0
	fi
	remove
	echo "The plugin $plugin is removed."
	;;
--upgrade)
	[ -n "${2:-}" ] || fail "usage: install-plugin.sh --upgrade DIR"
	exists || fail "there is no plugin $plugin: make install"
	alone
	upgrade "$2"
	works "$2"
	echo "The plugin is upgraded, and works."
	;;
'') fail "usage: install-plugin.sh DIR|--upgrade DIR|--remove" ;;
*)
	alone
	if exists; then remove; fi
	$docker plugin create "$plugin" "$1" >/dev/null
	$docker plugin enable "$plugin" >/dev/null
	works "$1"
	echo "The plugin works. Try: $docker network create -d $plugin NAME"
	;;
esac
