package packaging

import (
	"os/exec"
	"strings"
	"testing"
)

// networkdScript runs systemd-networkd with a file for every link ($2) on a host
// with a bridge and the host end of a pair as gangway names them, beside a link of
// somebody else's (other0), and with gangway's file ($1) if there is one. At the
// other ends is a machine that answers DHCP. It waits for other0's address, and for
// the route of $3, and shows what the host has then.
const networkdScript = `set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/systemd/network
mount -t sysfs -o ro sysfs /sys # without udev networkd goes on where this cannot be written to
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases
cd /run
printf '[Match]\nName=*\n[Network]\nDHCP=ipv4\n' >"/etc/systemd/network/$2"
[ -z "$1" ] || cp "$1" /etc/systemd/network/00-gangway.network
ip link set lo up
ip netns add machine
ip link add gw-0123456789ab type bridge
ip addr add 10.9.0.1/24 dev gw-0123456789ab
ip link set gw-0123456789ab up
ip link add gv-0123456789ab type veth peer name eth0 netns machine
ip link set gv-0123456789ab master gw-0123456789ab up
ip link add other0 up type veth peer name eth1 netns machine
for n in 0 1; do
	ip -n machine addr add "10.$((9 - n)).0.2/24" dev "eth$n"
	ip -n machine link set "eth$n" up
	printf 'start %s\nend %s\ninterface eth%s\nlease_file /run/leases%s\nopt router %s\nopt subnet 255.255.255.0\n' \
		"10.$((9 - n)).0.50" "10.$((9 - n)).0.60" "$n" "$n" "10.$((9 - n)).0.2" >"dhcp$n"
	: >"leases$n"
	ip netns exec machine busybox udhcpd -f "dhcp$n" >"log$n" 2>&1 &
done
container=other /lib/systemd/systemd-networkd >networkd.log 2>&1 &
tries=200
until ip route show dev other0 | grep -q ^default && ip route show | grep -q "^default.* dev $3 "; do
	tries=$((tries - 1))
	[ $tries -gt 0 ] || { ip addr; ip route; cat networkd.log log0 log1; exit 1; }
	sleep 0.1
done
ip -o -4 addr show
ip route show
ip -o link show`

// TestNetworkd: where systemd-networkd takes care of every link, a container that
// answers DHCP would give the host an address and a default route. The file that
// is installed has it leave gangway's links alone.
func TestNetworkd(t *testing.T) {
	t.Parallel()
	look := func(file, waits string) string {
		return run(t, nil, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
			"sh", "-c", networkdScript, "sh", file, "10-all.network", waits)
	}
	if _, err := exec.LookPath("/lib/systemd/systemd-networkd"); err != nil {
		t.Fatal(err)
	}
	// Alone, it takes the port from its bridge.
	if host := look("", "gv-0123456789ab"); !strings.Contains(host, "default via 10.9.0.2") || strings.Contains(host, "master gw-0123456789ab") {
		t.Errorf("without the file:\n%s", host)
	}
	host := look(root(t)+"/packaging/gangway.network", "other0")
	if strings.Contains(host, "10.9.0.5") || strings.Contains(host, "via 10.9.0.2") ||
		!strings.Contains(host, "10.9.0.1/24") || !strings.Contains(host, "master gw-0123456789ab") {
		t.Errorf("with the file:\n%s", host)
	}
}
