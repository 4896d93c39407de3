#!/bin/sh
# guest.sh: the first process of a test machine's root file system: runs those of the
# suites of /opt/suites that the kernel's command line names, keeps what they print,
# writes that to the last disk and turns the machine off. A line has a name, a folder
# below /opt/src, seconds, and the arguments of the test program /opt/bin/NAME.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C.UTF-8 CI=true GANGWAY_TEST_OTHER_KERNEL=1 TMPDIR=/tmp GANGWAY_TEST_BINARY=/opt/bin/gangway

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for dir in /dev/shm /run /tmp; do mount -t tmpfs -o mode=1777 tmpfs "$dir"; done
modprobe -a tun br_netfilter 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
ip link set lo up
hostname guest
# All namespaces share what ICMP errors a second may be sent, on older kernels: a flood in one test takes those of another.
echo 1000000 >/proc/sys/net/ipv4/icmp_msgs_per_sec
echo 100000 >/proc/sys/net/ipv4/icmp_msgs_burst
results=/run/results
mkdir -p "$results"
uname -r >"$results/release"
echo "gangway-kernels: started, kernel $(uname -r)"

while read -r name folder limit args; do
	case " $(cat /proc/cmdline) " in *" suite=$name "*) ;; *) continue ;; esac
	began=$(cut -d. -f1 /proc/uptime)
	# The console hears it, too, in case that the machine never ends.
	# shellcheck disable=SC2086 # a list of arguments
	{
		status=0
		(cd "/opt/src/$folder" && timeout -k 10 "$((limit + 60))" "/opt/bin/$name" $args) 2>&1 </dev/null || status=$?
		echo "$status" >"$results/$name.status"
	} | tee "$results/$name.log"
	status=$(cat "$results/$name.status")
	took=$(($(cut -d. -f1 /proc/uptime) - began))
	echo "$status $took" >"$results/$name.status"
	echo "gangway-kernels: $name ended with $status after $took s"
done </opt/suites
dmesg >"$results/dmesg"
tar -C "$results" -cf /dev/vdd .
sync
busybox poweroff -f
