# shellcheck shell=sh disable=SC2154
# dpkg calls it with "remove", and with "purge" when settings and state go as well.
if [ "$1" = remove ] || [ "$1" = purge ]; then
	if works; then systemctl --system daemon-reload >/dev/null || true; fi
	reread
	rm -rf /run/gangway # which a container may have mounted, so its unit leaves it
fi
if [ "$1" = purge ]; then
	if command -v deb-systemd-helper >/dev/null; then
		# shellcheck disable=SC2086 # a list of words
		deb-systemd-helper purge $units $optional >/dev/null || true
	fi
	rm -rf /var/lib/gangway
fi
