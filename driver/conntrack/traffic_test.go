package conntrack_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
)

// TestTranslatedTraffic has the kernel make the flow, by a DNAT rule.
func TestTranslatedTraffic(t *testing.T) {
	for _, listOnly := range []bool{false, true} {
		nstest.Do(t, func() { translatedTraffic(t, listOnly) })
	}
}

func translatedTraffic(t *testing.T, listOnly bool) {
	sh(t, "ip addr add 192.0.2.1/24 dev lo")
	sh(t, "ip addr add 10.9.0.2/32 dev lo")
	sh(t, "iptables -t nat -A OUTPUT -d 192.0.2.1 -p udp --dport 5353 -j DNAT --to-destination 10.9.0.2:53")
	server, err := net.ListenPacket("udp", "10.9.0.2:53")
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	table := open(t)
	defer table.Close()
	if listOnly {
		table.ListOnly()
	}
	ports := func(r spec.Published) func() error {
		return func() error { return table.DropPorts(t.Context(), []spec.Published{r}) }
	}
	translated := func(to string) func() error {
		return func() error { return table.DropTranslated(t.Context(), addrs(to)) }
	}
	for _, client := range []string{"192.0.2.1:5353", "10.9.0.2:53"} {
		direct := client == "10.9.0.2:53"
		for name, tt := range map[string]struct {
			drop func() error
			left bool
		}{
			"another port":           {ports(run(spec.UDP, "0.0.0.0", 54, 54)), true},
			"another port, by ip":    {ports(run(spec.UDP, "192.0.2.1", 5354, 5354)), true},
			"translated to the host": {translated("192.0.2.1"), true},
			"translated":             {translated("10.9.0.2"), direct},
			"port":                   {ports(run(spec.UDP, "0.0.0.0", 5353, 5353)), direct},
			"address":                {func() error { return table.DropAddresses(t.Context(), addrs("10.9.0.2")) }, false},
		} {
			conn, err := net.Dial("udp", client)
			if err != nil {
				t.Error(err)
				return
			}
			exchange(t, conn, server)
			if got := left(t); len(got) != 1 || !strings.HasSuffix(got[0], ">"+client) {
				t.Errorf("flows: %q, want one to %s", got, client)
			}
			if err := tt.drop(); err != nil || len(left(t)) == 1 != tt.left {
				t.Errorf("%s, list only %t, after dropping by %s: %v, %q", client, listOnly, name, err, left(t))
			}
			if err := netlink.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
				t.Error(err)
			}
			conn.Close()
		}
	}
	if !listOnly && !table.FiltersWork() {
		t.Log("this kernel deletes by no filter")
	}
}

func exchange(t *testing.T, client net.Conn, server net.PacketConn) {
	t.Helper()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Error(err)
		return
	}
	_ = server.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := server.ReadFrom(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
