# shellcheck shell=sh disable=SC2154
# dpkg calls it with "remove", or with "upgrade", which leaves the daemon at work.
if [ "$1" = remove ]; then
	left
	if works; then
		# shellcheck disable=SC2086 # a list of words
		deb-systemd-invoke stop $units $optional >/dev/null || true
	fi
fi
