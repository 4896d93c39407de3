# shellcheck shell=sh
# What scripts of both kinds of package begin with: scripts/packages.sh puts it there.
units='gangway.socket gangway.service'
# What the administrator enables, or does not.
# shellcheck disable=SC2034 # for scripts that it is put before
optional=gangway-api.service

# works says whether systemd is there to talk to.
works() { [ -d /run/systemd/system ]; }

# another says who serves this host beside the package: the managed plugin or a daemon
# that was started by hand, each of which holds a socket of this name, or one that
# was installed from source, whose units have precedence.
another() {
	for unit in $units; do
		if [ -f "/etc/systemd/system/$unit" ]; then
			echo "the daemon that make install-daemon installed (make uninstall removes it)"
			return 0
		fi
	done
	if works && systemctl --quiet is-active gangway.service; then return 1; fi
	grep -q ' @gangway$' /proc/net/unix 2>/dev/null || return 1
	echo "the managed plugin, or a daemon started by hand (docker plugin disable gangway)"
}

# beside tells what is to be done where another one serves.
beside() {
	echo "gangway: not started: this host is served by $1."
	echo "gangway: when that is gone: systemctl enable --now $units"
}

# reread has managers of the host's network that run read their files again.
reread() {
	works || return 0
	if systemctl --quiet is-active systemd-networkd.service; then networkctl reload || true; fi
	if systemctl --quiet is-active NetworkManager.service; then nmcli general reload conf || true; fi
}

# left tells which networks stay without a driver.
left() {
	command -v docker >/dev/null || return 0
	networks=$(timeout 20 docker network ls --filter driver=gangway --filter driver=gangway:latest \
		--format '{{.Name}}' 2>/dev/null | tr '\n' ' ') || true
	[ -n "$networks" ] || return 0
	echo "gangway: these networks are left without their driver: $networks"
	echo "gangway: what runs in them goes on; nothing new starts. Remove them with docker network rm,"
	echo "gangway: after gangway is installed again. Its rules stay until then, or until a reboot."
}
