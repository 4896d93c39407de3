#!/bin/sh
# demo-engine.sh DIR CGROUP: a private Docker engine for the demo, started by demo.sh
# as the first process of new network, mount and PID namespaces. What it mounts
# and starts ends with it; its data is in DIR. Its sockets are at the usual
# places, in a /run of its own. All it runs is in CGROUP.
set -eu

dir=$1
cgroup=$2

# enter_cgroup joins the hierarchy mounted at $1. Containers get the same
# parent, so that everything the engine makes has a name that demo.sh knows.
enter_cgroup() {
	for group in "$1/$cgroup" "$1/$cgroup/engine"; do
		mkdir -p "$group"
		# A version 1 cpuset takes no process before it has these.
		for file in cpuset.cpus cpuset.mems; do
			if [ -e "$group/tasks" ] && [ -e "$group/$file" ]; then
				cat "$group/../$file" >"$group/$file"
			fi
		done
	done
	echo 0 >"$1/$cgroup/engine/cgroup.procs"
}

if [ -e /sys/fs/cgroup/cgroup.procs ]; then
	enter_cgroup /sys/fs/cgroup
else
	for hierarchy in /sys/fs/cgroup/*/; do
		[ -L "${hierarchy%/}" ] || enter_cgroup "${hierarchy%/}"
	done
fi

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/cgroup /run/etc/upper /run/etc/work
# dockerd writes its key to /etc/docker.
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
# A /sys that shows the links of this namespace, with the cgroups as they were.
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount -R /run/cgroup
# As systemd does; the plugin's state is a propagated mount.
mount --make-rshared /
ip link set lo up

# Proxies and options of the caller are not the demo's.
exec env -i PATH="$PATH:/usr/sbin:/sbin" HOME=/root dockerd \
	--data-root "$dir/docker" \
	--exec-opt native.cgroupdriver=cgroupfs \
	--cgroup-parent "/$cgroup"
