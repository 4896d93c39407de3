#!/bin/sh
# debs.sh ARCH DIR PACKAGE...: unpacks Debian packages of an architecture, and what they
# depend on, into DIR/tree. DIR/packages lists them ("name version architecture"), and
# DIR/NAME.files the files of each. Nothing is installed: the machine's own sources are
# asked, whose signatures apt checks. A folder that is complete is left alone.
set -eu

arch=$1
dir=$2
shift 2
if [ "$(cat "$dir/complete" 2>/dev/null)" = "$*" ]; then exit 0; fi
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/tree"
dir=$(cd "$dir" && pwd)
: >"$dir/apt/status"

# apt with all that it writes in the folder, and nothing installed.
apt() {
	apt-get -q -y -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
		-o Dir::State::Lists="$dir/apt/lists" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache" \
		-o Debug::NoLocking=1 -o APT::Sandbox::User= -o APT::Install-Recommends=false "$@" >"$dir/apt/log" 2>&1 || {
		cat "$dir/apt/log" >&2
		return 1
	}
}
apt update
apt --download-only install "$@"

# Packages name folders that are links on a system with merged /usr.
for name in bin sbin lib lib64; do
	mkdir -p "$dir/tree/usr/$name"
	ln -s "usr/$name" "$dir/tree/$name"
done
for deb in "$dir"/apt/cache/archives/*.deb; do
	# shellcheck disable=SC2016 # dpkg's own variables
	line=$(dpkg-deb --showformat '${Package} ${Version} ${Architecture}' --show "$deb")
	echo "$line"
	dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink --no-same-owner -C "$dir/tree"
	dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -E 's|^\./|/|; s|^/(bin\|sbin\|lib\|lib64)/|/usr/\1/|' >"$dir/${line%% *}.files"
done | sort >"$dir/packages"
rm -rf "$dir/apt"
echo "$*" >"$dir/complete"
