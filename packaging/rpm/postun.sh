# shellcheck shell=sh disable=SC2154
# rpm calls it with the number of versions that are left. State stays: rpm has no purge.
if [ "$1" = 0 ]; then
	if works; then systemctl --system daemon-reload >/dev/null || true; fi
	reread
	rm -rf /run/gangway # which a container may have mounted, so its unit leaves it
fi
