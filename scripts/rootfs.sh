#!/bin/sh
# rootfs.sh ROOT BINARY: fills the empty folder ROOT with the plugin's root file
# system: BINARY as /gangway, and both variants of iptables with their modules
# and libraries, copied from this system. The Dockerfile uses it as well.
set -eu

root=$1
binary=$2

fail() {
	echo "rootfs.sh: $*" >&2
	exit 1
}

# The layout of the system is kept: ldd names libraries below /lib, which is a
# link on a system with merged /usr.
for name in bin sbin lib lib64; do
	if [ -L "/$name" ]; then
		mkdir -p "$root/usr/$name"
		ln -s "usr/$name" "$root/$name"
	elif [ -d "/$name" ]; then
		mkdir -p "$root/$name"
	fi
done
# Mount points, and what the plugin and iptables write to.
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/etc" "$root/tmp" \
	"$root/run/docker/plugins" "$root/var/lib/gangway" \
	"$root/host/proc/sys" "$root/host/run" "$root/usr/sbin"
chmod 1777 "$root/tmp"

# add copies a file to the place it has here, following links.
add() { (cd / && cp -L --parents "$1" "$root"); }

# needs adds a file to the list, and the libraries and the loader it needs.
needs() {
	echo "$1" >>"$list"
	ldd "$1" | grep -o '/[^ ]*' >>"$list" || fail "$1: no libraries found (is ldd there?)"
}

root=$(cd "$root" && pwd)
list=$(mktemp)
trap 'rm -f "$list"' EXIT

cp "$binary" "$root/gangway"
chmod 755 "$root/gangway"

# name VARIANT SUFFIX makes the names of a variant's tools.
name() {
	for tool in iptables ip6tables; do
		for verb in '' -restore -save; do
			ln -s "xtables-$1-multi" "$root/usr/sbin/$tool$2$verb"
		done
	done
}

for variant in nft legacy; do
	multi=/usr/sbin/xtables-$variant-multi
	[ -x "$multi" ] || fail "$multi is missing: apt-get install iptables"
	needs "$multi"
	name "$variant" "-$variant"
done
name nft ''

# The extensions are loaded by name at run time, so ldd does not know them.
extensions=
for folder in /usr/lib/*/xtables /usr/lib64/xtables /usr/lib/xtables /lib/xtables; do
	[ -e "$folder/libxt_standard.so" ] && extensions=$folder && break
done
[ -n "$extensions" ] || fail "the extensions of iptables (libxt_standard.so) are not below /usr/lib or /lib"
for file in "$extensions"/libxt_*.so "$extensions"/libipt_*.so "$extensions"/libip6t_*.so; do
	needs "$file"
done

sort -u "$list" | while read -r file; do add "$file"; done
