#!/bin/sh
# machine.sh SUITE...: makes what qemu boots the kernel of a Debian suite from, in
# ${GANGWAY_CACHE:-/var/cache/gangway}/kernels: SUITE/vmlinuz, SUITE/initramfs,
# SUITE/modules.img, SUITE/release (the kernel's), and guest.img, the root file
# system for all of them. The packages are fetched by the engines' script.
#
# What is complete already is left alone. Parallel callers wait for each other.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${GANGWAY_CACHE:-/var/cache/gangway}

# guest is the tree that the tests run in, on every kernel: what differs is the
# kernel alone.
guest=bookworm+guest

fail() {
	echo "machine.sh: $*" >&2
	exit 1
}

for program in mke2fs busybox unshare flock xz; do
	command -v "$program" >/dev/null || fail "$program is missing"
done

# image FILE SIZE FOLDER makes a file system with what is in the folder.
image() {
	rm -f "$1.new"
	mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$3" "$1.new" "$2"
	mv "$1.new" "$1"
}

# stamp TREE prints what an image of the tree depends on: what is installed, when,
# and these scripts.
stamp() { (cd "$here" && stat -c %Y "$cache/engines/$1/.gangway-packages" && cat "$cache/engines/$1/.gangway-packages" init.sh machine.sh) | cksum; }

# made FILE TREE says whether what belongs to the stamp FILE is there already.
made() { [ -f "$1" ] && [ "$(cat "$1")" = "$(stamp "$2")" ]; }

guest_image() {
	made "$cache/kernels/guest.stamp" "$guest" && return
	image "$cache/kernels/guest.img" 600M "$cache/engines/$guest"
	stamp "$guest" >"$cache/kernels/guest.stamp"
}

# inside FOLDER PROGRAM... runs a program of the guest's tree, which sees the
# folder as /mnt. Nobody else sees that mount.
inside() {
	dir=$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m sh -euc 'mount --bind "$1" "$2/mnt"; PATH=/usr/sbin:/usr/bin:/sbin:/bin; root=$2; shift 2; exec chroot "$root" "$@"' \
		sh "$dir" "$cache/engines/$guest" "$@"
}

# modules DIR TREE fills DIR/lib/modules with the kernel's modules. Compressed
# ones are unpacked, since the initramfs has no tool for them.
modules() {
	mkdir -p "$1/lib/modules"
	for from in "$2/lib/modules" "$2/usr/lib/modules"; do
		[ ! -d "$from" ] || cp -a "$from/." "$1/lib/modules"
	done
	find "$1/lib/modules" -name '*.ko.xz' -exec xz -d {} +
	ls "$1/lib/modules" >"$1/release"
	[ "$(wc -l <"$1/release")" = 1 ] || fail "not one kernel in $2"
	inside "$1" depmod -b /mnt "$(cat "$1/release")"
}

# initramfs DIR TREE makes DIR/initramfs: a shell, the drivers of the disks, and
# init.
initramfs() {
	root=$1/root
	mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/new" "$root/modules"
	cp "$here/init.sh" "$root/init"
	chmod 755 "$root/init"
	for from in "$2/bin/busybox" "$2/usr/bin/busybox"; do
		[ ! -f "$from" ] || cp "$from" "$root/bin/busybox"
	done
	for driver in virtio_pci virtio_blk ext4; do
		inside "$1" modprobe -d /mnt -S "$(cat "$1/release")" --show-depends "$driver"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$1/drivers"
	number=10
	while read -r file; do
		cp "$1/${file#/mnt/}" "$root/modules/$number.ko"
		number=$((number + 1))
	done <"$1/drivers"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$1/initramfs"
}

# kernel_image TREE FILE: newer packages keep it with the modules.
kernel_image() {
	for from in "$1"/boot/vmlinuz-* "$1"/usr/lib/modules/*/vmlinuz; do
		[ ! -f "$from" ] || cp "$from" "$2"
	done
	[ -f "$2" ] || fail "no kernel in $1"
}

machine() {
	tree=$cache/engines/$1+kernel
	made "$cache/kernels/$1/stamp" "$1+kernel" && return
	new=$cache/kernels/$1.new
	rm -rf "$new"
	mkdir -p "$new"
	modules "$new" "$tree"
	initramfs "$new" "$tree"
	kernel_image "$tree" "$new/vmlinuz"
	image "$new/modules.img" 300M "$new/lib/modules"
	rm -rf "${new:?}/lib" "$new/root" "$new/drivers" "$cache/kernels/$1"
	stamp "$1+kernel" >"$new/stamp"
	mv "$new" "$cache/kernels/$1"
}

mkdir -p "$cache/kernels"
exec 9>"$cache/kernels/lock"
flock 9
sh "$here/../harness/engines.sh" "$guest"
guest_image
for suite in "$@"; do
	sh "$here/../harness/engines.sh" "$suite+kernel"
	machine "$suite"
done
