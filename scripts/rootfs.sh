#!/bin/sh
# rootfs.sh ROOT BINARY [TREE]: fills the empty folder ROOT with the plugin's root file
# system: BINARY as /gangway, and both variants of iptables with their modules
# and libraries, copied from this system. The Dockerfile uses it as well. With TREE they
# come from the root tree there, which may be another architecture's.
set -eu

root=$1
binary=$2
from=${3:-}

fail() {
	echo "rootfs.sh: $*" >&2
	exit 1
}

# The layout of the system is kept: ldd names libraries below /lib, which is a
# link on a system with merged /usr.
for name in bin sbin lib lib64; do
	if [ -L "$from/$name" ]; then
		mkdir -p "$root/usr/$name"
		ln -s "usr/$name" "$root/$name"
	elif [ -d "$from/$name" ]; then
		mkdir -p "$root/$name"
	fi
done
# Mount points, and what the plugin and iptables write to.
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/etc" "$root/tmp" \
	"$root/run/docker/plugins" "$root/var/lib/gangway" \
	"$root/host/proc/sys" "$root/host/run" "$root/usr/sbin"
chmod 1777 "$root/tmp"

# add copies a file to the place it has there, following links.
add() {
	file=$1
	# A link of the tree that names the whole path would lead out of it.
	if [ -n "$from" ]; then
		case $(readlink "$from$1" || true) in
		/*) file=$(readlink "$from$1") ;;
		esac
	fi
	mkdir -p "$root$(dirname "$1")"
	cp -L "$from$file" "$root$1"
}

# needs adds a file to the list, and the libraries and the loader it needs. Those of a
# tree are looked for when all files are known.
needs() {
	echo "$1" >>"$list"
	[ -z "$from" ] || return 0
	ldd "$1" | grep -o '/[^ ]*' >>"$list" || fail "$1: no libraries found (is ldd there?)"
}

# find_library prints where a library of the tree is.
find_library() {
	for dir in "$from"/usr/lib/*-linux-gnu* "$from/usr/lib64" "$from/usr/lib"; do
		if [ -e "$dir/$1" ]; then
			echo "${dir#"$from"}/$1"
			return
		fi
	done
	fail "$from has no library $1"
}

# libraries adds the libraries and the loaders that files of the list need, and those
# that these need. Programs of another architecture cannot be asked by ldd.
libraries() {
	known=
	while :; do
		names=$(sort -u "$list" | while read -r file; do readelf -W -d -l "$from$file"; done |
			sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p; s/.*program interpreter: \(.*\)\]$/\1/p' | sort -u)
		if [ "$names" = "$known" ]; then break; fi
		known=$names
		for name in $names; do
			case $name in
			/*) echo "$name" >>"$list" ;;
			*) find_library "$name" >>"$list" ;;
			esac
		done
	done
}

root=$(cd "$root" && pwd)
[ -z "$from" ] || from=$(cd "$from" && pwd)
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
	[ -x "$from$multi" ] || fail "$multi is missing: apt-get install iptables"
	needs "$multi"
	name "$variant" "-$variant"
done
name nft ''

# The extensions are loaded by name at run time, so ldd does not know them.
extensions=
for folder in "$from"/usr/lib/*/xtables "$from/usr/lib64/xtables" "$from/usr/lib/xtables" "$from/lib/xtables"; do
	[ -e "$folder/libxt_standard.so" ] && extensions=$folder && break
done
[ -n "$extensions" ] || fail "the extensions of iptables (libxt_standard.so) are not below /usr/lib or /lib"
for file in "$extensions"/libxt_*.so "$extensions"/libipt_*.so "$extensions"/libip6t_*.so; do
	needs "${file#"$from"}"
done
[ -z "$from" ] || libraries

sort -u "$list" | while read -r file; do add "$file"; done
