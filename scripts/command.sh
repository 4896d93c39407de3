#!/bin/sh
# command.sh install BINARY | uninstall: installs the command gangway, and as
# "docker gangway": by a link in one of the folders where each docker command looks for
# plugins.
#
# PREFIX is where programs go (/usr/local). With DESTDIR the files go below that folder.
set -eu

destdir=${DESTDIR:-}
program=${PREFIX:-/usr/local}/bin/gangway
# Docker looks here whatever PREFIX is.
plugin=/usr/local/lib/docker/cli-plugins/docker-gangway

case ${1:-} in
install)
	[ -n "${2:-}" ] || { echo "usage: command.sh install BINARY | uninstall" >&2; exit 1; }
	# Who may use the engine may install the plugin, but not the command.
	if [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
		echo "The command is not installed, which needs root: sudo $0 install $2"
		exit 0
	fi
	install -D -m 755 "$2" "$destdir$program"
	install -d "$destdir$(dirname "$plugin")"
	ln -sf "$program" "$destdir$plugin"
	;;
uninstall)
	rm -f "$destdir$program" "$destdir$plugin"
	;;
*)
	echo "usage: command.sh install BINARY | uninstall" >&2
	exit 1
	;;
esac
