#!/bin/busybox sh
# shellcheck shell=dash
# init.sh: the first process of a test machine, in its initramfs: loads the
# drivers of the disks and goes on in the root file system, with what the job's
# disk says.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for m in /modules/*.ko; do $b insmod "$m"; done
tries=0
while [ ! -b /dev/vdd ] && [ "$tries" -lt 50 ]; do
	$b sleep 0.1
	tries=$((tries + 1))
done
$b mount -t ext4 /dev/vda /new &&
	$b mkdir -p /new/lib/modules /new/opt &&
	$b mount -t ext4 -o ro /dev/vdb /new/lib/modules &&
	$b mount -t ext4 -o ro /dev/vdc /new/opt &&
	exec $b switch_root /new /opt/guest.sh
echo "gangway-kernels: no root file system"
$b poweroff -f
