# shellcheck shell=sh disable=SC2154
# rpm calls it with the number of versions that are left then (%systemd_preun).
if [ "$1" = 0 ]; then
	left
	if command -v systemctl >/dev/null; then
		# shellcheck disable=SC2086 # a list of words
		systemctl --no-reload disable --now $units $optional >/dev/null 2>&1 || true
	fi
fi
