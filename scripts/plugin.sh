#!/bin/sh
# plugin.sh BINARY DIR: makes the managed plugin's folder, DIR/config.json and
# DIR/rootfs, from BINARY and the machine's own iptables. A folder that is up to
# date is left alone, so parallel callers may use what another one made.
set -eu

cd "$(dirname "$0")/.."
binary=$1
dir=$2
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9

# stamp names everything that the folder is made of.
stamp() {
	sha256sum "$binary" config.json scripts/plugin.sh scripts/rootfs.sh
	iptables --version
}

if [ -f "$dir.stamp" ] && [ -d "$dir/rootfs" ] && stamp | cmp -s - "$dir.stamp"; then
	exit 0
fi
rm -rf "$dir.new" "$dir.stamp"
mkdir -p "$dir.new/rootfs"
cp config.json "$dir.new/config.json"
scripts/rootfs.sh "$dir.new/rootfs" "$binary"
rm -rf "$dir"
mv "$dir.new" "$dir"
stamp >"$dir.stamp"
echo "$dir: $(du -sh "$dir" | cut -f1)"
