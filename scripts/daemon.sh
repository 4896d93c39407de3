#!/bin/sh
# daemon.sh install BINARY | uninstall: installs the plain daemon, BINARY and its
# systemd units, and starts it; or stops and removes it. State is kept.
#
# PREFIX is where programs go (/usr/local). With DESTDIR the files go below that
# folder and nothing is started.
set -eu

cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
destdir=${DESTDIR:-}
program=$prefix/bin/gangway
units=/etc/systemd/system
alias=/run/docker/plugins/gangway:latest.sock
# bash-completion reads the first when gangway is completed, the second at once.
completion=$prefix/share/bash-completion/completions/gangway
docker_completion=/etc/bash_completion.d/gangway
zsh=$prefix/share/zsh/site-functions
fish=$prefix/share/fish/vendor_completions.d/gangway.fish
docker_fish=/etc/fish/completions/docker.fish
# What keeps managers of the host's network off the links. Files for every link
# have names like 99-default.network and come later.
networkd=/etc/systemd/network/00-gangway.network
network_manager=/etc/NetworkManager/conf.d/00-gangway.conf

fail() {
	echo "daemon.sh: $*" >&2
	exit 1
}

# systemd says whether there is one to talk to.
systemd() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

# reread has the managers of the host's network that run read their files again.
reread() {
	if systemctl --quiet is-active systemd-networkd.service; then networkctl reload; fi
	if systemctl --quiet is-active NetworkManager.service; then nmcli general reload conf; fi
}

# degraded says whether what health printed is of a daemon that works, if not in all.
degraded() { case $1 in degraded*) true ;; *) false ;; esac; }

# works waits until the daemon has restored its networks, and shows what it says.
works() {
	tries=40
	until health=$("$program" health 2>&1) || degraded "$health"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "the daemon does not work: $health
journalctl -u gangway says more"
		sleep 0.5
	done
}

need_root() { [ -n "$destdir" ] || [ "$(id -u)" = 0 ] || fail "run it as root"; }

# alone refuses a host that the managed plugin serves. Its socket has a folder named by
# the plugin's id, as long as it is enabled.
alone() {
	[ -z "$destdir" ] || return 0
	# A unit of the same name below /etc would take the place of the package's.
	if [ -e /usr/lib/systemd/system/gangway.service ]; then
		fail "the package gangway is installed: upgrade it, or remove it first"
	fi
	for socket in /run/docker/plugins/*/gangway.sock; do
		if [ -S "$socket" ] && [ -n "$("$1" health --socket "$socket" 2>/dev/null)" ]; then
			fail "the managed plugin serves this host: make uninstall removes it, or docker plugin disable gangway"
		fi
	done
}

case ${1:-} in
install)
	need_root
	alone "$2"
	scripts/command.sh install "$2"
	install -D -m 644 packaging/gangway-completion.bash "$destdir$completion"
	install -D -m 644 packaging/docker-completion.bash "$destdir$docker_completion"
	install -D -m 644 packaging/docker-completion.zsh "$destdir$zsh/_gangway_docker"
	install -D -m 644 packaging/docker-completion.fish "$destdir$docker_fish"
	"$2" completion zsh >"$destdir$zsh/_gangway"
	install -d "$(dirname "$destdir$fish")"
	"$2" completion fish >"$destdir$fish"
	chmod 644 "$destdir$zsh/_gangway" "$destdir$fish"
	install -D -m 644 packaging/gangway.network "$destdir$networkd"
	install -D -m 644 packaging/gangway-networkmanager.conf "$destdir$network_manager"
	mkdir -p "$destdir$units"
	for unit in gangway.service gangway.socket gangway-api.service; do
		sed "s|/usr/local/bin/gangway|$program|" "packaging/$unit" >"$destdir$units/$unit"
	done
	if systemd; then
		systemctl daemon-reload
		reread
		# A daemon that made its own socket is in the unit's way.
		systemctl --quiet is-active gangway.socket || systemctl stop gangway.service
		systemctl enable gangway.socket gangway.service
		systemctl start gangway.socket
		# One that was made before its unit had a second name gets it now: it cannot be
		# made anew while the daemon runs, and calls that come wait there.
		[ -e "$alias" ] || ln -s gangway.sock "$alias"
		systemctl restart gangway.service
		systemctl try-restart gangway-api.service
		works
		echo "The daemon runs. Try: docker network create -d gangway NAME"
	else
		echo "Installed $destdir$program and $destdir$units/gangway.*. Without systemd, start it by hand: $program serve"
	fi
	;;
uninstall)
	need_root
	if [ ! -e "$destdir$units/gangway.service" ]; then
		echo "There is no daemon."
		exit 0
	fi
	if systemd; then
		networks=$(${DOCKER:-docker} network ls --filter driver=gangway --format '{{.Name}}' 2>/dev/null | tr '\n' ' ')
		[ -z "$networks" ] || fail "there are networks: remove them first (docker network rm $networks)"
		for unit in gangway-api.service gangway.socket gangway.service; do
			[ ! -e "$units/$unit" ] || systemctl disable --now "$unit"
		done
	fi
	[ -n "$destdir" ] || rm -rf "$alias" /run/gangway
	scripts/command.sh uninstall
	rm -f "$destdir$units/gangway.service" "$destdir$units/gangway.socket" "$destdir$units/gangway-api.service" \
		"$destdir$completion" "$destdir$docker_completion" "$destdir$zsh/_gangway" "$destdir$zsh/_gangway_docker" \
		"$destdir$fish" "$destdir$docker_fish" "$destdir$networkd" "$destdir$network_manager"
	if systemd; then
		systemctl daemon-reload
		reread
	fi
	echo "The daemon is removed. Its state is kept in /var/lib/gangway."
	;;
*) fail "usage: daemon.sh install BINARY | uninstall" ;;
esac
