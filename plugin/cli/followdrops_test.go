package cli

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
)

// refusedPackets are what a host tells of while somebody looks.
func refusedPackets() []driver.DroppedPacket {
	addr := netip.MustParseAddr
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	return []driver.DroppedPacket{
		{
			Time: at, Reason: "unpublished", Protocol: "tcp", From: driver.Party{Addr: addr("192.0.2.9"), Port: 4000, Interface: "eth0"},
			To: driver.Party{Addr: addr("fd00:51::2"), Port: 81, Interface: "gw-0f1e2d3c4b5a", NetworkID: net1, EndpointID: ep1},
		},
		{
			Time: at, Reason: "spoofed", Protocol: "icmp", From: driver.Party{Addr: addr("10.50.0.3"), Interface: "br-lan", NetworkID: net2},
			To: driver.Party{Addr: addr("10.50.0.2"), NetworkID: net1, EndpointID: ep1}, Lost: 7,
		},
		{
			Time: at, Reason: "policy", Protocol: "tcp", From: driver.Party{Addr: addr("10.50.0.2"), Port: 4000, NetworkID: net1, EndpointID: ep1},
			To: driver.Party{Addr: addr("192.0.2.7"), Port: 80, Interface: "eth0", Names: []string{"a.example", "b.example"}},
		},
		{Time: at, Reason: "isolated", From: driver.Party{NetworkID: net2, Interface: obeyed}, To: driver.Party{Interface: obeyed}, Lost: 1},
	}
}

// TestFollowDrops: each packet is a line of who has sent it and who was to get it, those of
// others are left out, and lost ones are told of. An interrupt is its regular end.
func TestFollowDrops(t *testing.T) {
	i := namedHost()
	i.packets = refusedPackets()
	path := filepath.Join(host(t, i), socketName)
	const first = "2001-02-03T05:05:06+01:00  unpublished  tcp     192.0.2.9:4000 (eth0) -> [fd00:51::2]:81 (shop-web-1 on shop_front)\n"
	const second = "(7 packets lost: they came too fast)\n2001-02-03T05:05:06+01:00  spoofed      icmp    10.50.0.3 (network hvs2zzjqhhqx) -> 10.50.0.2 (shop-web-1 on shop_front)\n"
	const third = "2001-02-03T05:05:06+01:00  policy       tcp     10.50.0.2:4000 (shop-web-1 on shop_front) -> 192.0.2.7:80 (a.example, b.example)\n"
	for args, want := range map[string]string{
		"shop-web-1":                first + second + third + "(1 packet lost: they came too fast)\n",
		"shop-db-1":                 "(7 packets lost: they came too fast)\n(1 packet lost: they came too fast)\n",
		"shop-web-1 --network hvs2": "(7 packets lost: they came too fast)\n(1 packet lost: they came too fast)\n",
		"shop-web-1 --format {{.From}}.{{.ToPort}}": "192.0.2.9.81\n10.50.0.3.0\n10.50.0.2.80\n",
		"--network shop_front --json --json=true":   `{"time":"2001-02-03T04:05:06Z","reason":"unpublished","protocol":"tcp","from":{"address":"192.0.2.9","port":4000,"interface":"eth0"},"to":{"address":"fd00:51::2","port":81,"interface":"gw-0f1e2d3c4b5a","network":"` + net1 + `","endpoint":"` + ep1 + `","networkName":"shop_front","container":"` + web + `","containerName":"shop-web-1"}}` + "\n",
	} {
		ctx, interrupt := context.WithTimeout(t.Context(), testkit.Patience)
		out := &until{want: len(want), then: interrupt}
		root := New(Options{})
		root.SetArgs(append([]string{"drops", "-f", "--socket", path}, strings.Fields(args)...))
		root.SetOut(out)
		var stderr bytes.Buffer
		if code := Execute(ctx, root, &stderr); code != 0 || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: exit code %d, %q, want %q; %s", args, code, out.String(), want, stderr.String())
		}
		checkClean(t, args, out.String())
		interrupt()
	}
	i = namedHost()
	i.err = errors.New("hear of refused packets: network " + net1[:12])
	if r := gangway(t, host(t, i), "drops", "-f"); r.code != exitProblem || !strings.Contains(r.stderr, "hear of refused packets: network shop_front") {
		t.Errorf("an error of the daemon: %+v", r)
	}
}

// TestFollowDropsView: each value that a template can name has a header, and is in the help.
func TestFollowDropsView(t *testing.T) {
	help := gangway(t, t.TempDir(), "help", "drops").stdout
	v, r := packetView(), query{}.packetRow
	for name := range v.headers {
		if !strings.Contains(help, "."+name) {
			t.Errorf("help has no .%s", name)
		}
		if _, there := r(plugin.DroppedPacket{})[name]; !there {
			t.Errorf("rows have no .%s", name)
		}
	}
	if rows := r(plugin.DroppedPacket{}); len(rows) != len(v.headers) {
		t.Errorf("rows have %v", rows)
	}
}
