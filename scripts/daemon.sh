#!/bin/sh
# daemon.sh install BINARY | uninstall: installs the plain daemon, BINARY and a
# systemd unit, and starts it; or stops and removes it. State is kept.
#
# PREFIX is where programs go (/usr/local). With DESTDIR the files go below that
# folder and nothing is started.
set -eu

cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
destdir=${DESTDIR:-}
program=$prefix/bin/gangway
unit=/etc/systemd/system/gangway.service

fail() {
	echo "daemon.sh: $*" >&2
	exit 1
}

# systemd says whether there is one to talk to.
systemd() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

need_root() { [ -n "$destdir" ] || [ "$(id -u)" = 0 ] || fail "run it as root"; }

case ${1:-} in
install)
	need_root
	install -D -m 755 "$2" "$destdir$program"
	mkdir -p "$destdir${unit%/*}"
	sed "s|/usr/local/bin/gangway|$program|" packaging/gangway.service >"$destdir$unit"
	if systemd; then
		systemctl daemon-reload
		systemctl enable gangway.service
		systemctl restart gangway.service
		echo "The daemon runs. Try: docker network create -d gangway NAME"
	else
		echo "Installed $destdir$program and $destdir$unit. Without systemd, start it by hand: $program serve"
	fi
	;;
uninstall)
	need_root
	if [ ! -e "$destdir$program" ] && [ ! -e "$destdir$unit" ]; then
		echo "There is no daemon."
		exit 0
	fi
	if systemd; then
		networks=$(${DOCKER:-docker} network ls --filter driver=gangway --format '{{.Name}}' 2>/dev/null | tr '\n' ' ')
		[ -z "$networks" ] || fail "there are networks: remove them first (docker network rm $networks)"
		systemctl disable --now gangway.service
	fi
	rm -f "$destdir$program" "$destdir$unit"
	if systemd; then
		systemctl daemon-reload
	fi
	echo "The daemon is removed. Its state is kept in /var/lib/gangway."
	;;
*) fail "usage: daemon.sh install BINARY | uninstall" ;;
esac
