# shellcheck shell=sh disable=SC2154
# dpkg calls it with "configure" and the version that was configured last, if any.
if [ "$1" = configure ] || [ "$1" = abort-upgrade ] || [ "$1" = abort-deconfigure ] || [ "$1" = abort-remove ]; then
	other=$(another) || other=
	for unit in $units; do
		deb-systemd-helper unmask "$unit" >/dev/null || true
		# What the administrator has disabled stays so. Beside another gangway nothing is
		# enabled: at the next boot this one would be first.
		if { [ -z "$other" ] || [ -n "${2:-}" ]; } && deb-systemd-helper --quiet was-enabled "$unit"; then
			deb-systemd-helper enable "$unit" >/dev/null || true
		else
			deb-systemd-helper update-state "$unit" >/dev/null || true
		fi
	done
	if deb-systemd-helper debian-installed "$optional"; then
		deb-systemd-helper unmask "$optional" >/dev/null || true
		if deb-systemd-helper --quiet was-enabled "$optional"; then
			deb-systemd-helper enable "$optional" >/dev/null || true
		fi
	fi
	deb-systemd-helper update-state "$optional" >/dev/null || true
	if works; then systemctl --system daemon-reload >/dev/null || true; fi
	reread
	if [ -n "$other" ]; then
		beside "$other"
	elif works; then
		action=start
		# The socket stays: calls of the engine wait there for the new daemon.
		if [ -n "${2:-}" ]; then action=restart; fi
		deb-systemd-invoke start gangway.socket >/dev/null || true
		deb-systemd-invoke "$action" gangway.service >/dev/null || true
	fi
	# Beside another gangway as well: it asks whichever answers.
	if works && systemctl --quiet is-active "$optional"; then deb-systemd-invoke restart "$optional" >/dev/null || true; fi
fi
