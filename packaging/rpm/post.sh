# shellcheck shell=sh disable=SC2154
# rpm calls it with the number of versions that are installed then. As %systemd_post
# does, it leaves to the distribution's presets whether the units are enabled, and to the
# administrator to start them.
if works; then systemctl --system daemon-reload >/dev/null || true; fi
reread
if [ "$1" = 1 ]; then
	if other=$(another); then
		beside "$other"
	elif command -v systemctl >/dev/null; then
		# shellcheck disable=SC2086 # a list of words
		systemctl --no-reload preset $units >/dev/null 2>&1 || true
		echo "gangway: to start it, now and at each boot: systemctl enable --now $units"
	fi
elif works; then
	# The socket stays: calls of the engine wait there for the new daemon.
	another >/dev/null || systemctl try-restart gangway.service || true
	systemctl try-restart "$optional" || true
fi
