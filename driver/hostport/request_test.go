package hostport

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

func TestBadRequests(t *testing.T) {
	m := manager(t)
	tests := []struct {
		name string
		spec.PortRequest
		want string
	}{
		{"protocol", proto(1, ask(80, 80, 80, any4)), "proto-1: the protocol has no ports"},
		{"container port", ask(80, 80, 0, any4), "container port 0"},
		{"range upside down", ask(81, 80, 80, any4), "81-80 is no range"},
		{"range from 0", ask(0, 80, 80, any4), "0-80 is no range"},
		{"no host address", ask(80, 80, 80), "no host address"},
		{"invalid host address", ask(80, 80, 80, netip.Addr{}), "use a unicast address"},
		{"mapped host address", ask(80, 80, 80, netip.MustParseAddr("::ffff:127.0.0.1")), "use a unicast address"},
		{"zone", ask(80, 80, 80, netip.MustParseAddr("fe80::1%lo")), "without a zone"},
		{"multicast", ask(80, 80, 80, netip.MustParseAddr("224.0.0.1")), "use a unicast address"},
		{"every address and one of them", ask(80, 80, 80, any4, loopback4), "one another's"},
		{"an address twice", ask(80, 80, 80, loopback4, any6, loopback4), "one another's"},
		{"no container address", only4(only6(ask(80, 80, 80, any4))), "the endpoint has no address"},
		{"container family", spec.PortRequest{Proto: spec.TCP, HostIPs: []netip.Addr{any4}, Container4: cont6, ContainerPort: 1}, "is no IPv4 address"},
		{"container family 6", spec.PortRequest{Proto: spec.TCP, HostIPs: []netip.Addr{any4}, Container6: cont4, ContainerPort: 1}, "is no IPv6 address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8080, 8080, 80, any4), tt.PortRequest})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
			wantSame(t, m, map[key]string{})
		})
	}
}

func TestParseEphemeralRange(t *testing.T) {
	for text, want := range map[string][2]uint16{
		"32768\t60999\n": {32768, 60999},
		"1024 1024":      {1024, 1024},
		"1 2000":         {1024, 2000},
		"1 1000":         {defaultLow, defaultHigh},
		"5000 4000":      {defaultLow, defaultHigh},
		"5000 70000":     {defaultLow, defaultHigh},
		"-1 5000":        {defaultLow, defaultHigh},
		"x":              {defaultLow, defaultHigh},
		"":               {defaultLow, defaultHigh},
	} {
		if low, high := parseEphemeralRange(text); low != want[0] || high != want[1] {
			t.Errorf("%q gives %d-%d, want %v", text, low, high, want)
		}
	}
}

func FuzzParseEphemeralRange(f *testing.F) {
	f.Add("32768\t60999\n")
	f.Add("1 65535")
	f.Fuzz(func(t *testing.T, text string) {
		if low, high := parseEphemeralRange(text); low < lowestEphemeral || low > high {
			t.Errorf("%q gives %d-%d", text, low, high)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	f.Add(byte(6), []byte{0, 0, 0, 0}, []byte{}, uint16(80), uint16(80), uint16(80))
	f.Add(byte(17), make([]byte, 16), []byte{127, 0, 0, 1}, uint16(0), uint16(0), uint16(53))
	f.Fuzz(func(t *testing.T, p byte, host, container []byte, first, last, port uint16) {
		h, _ := netip.AddrFromSlice(host)
		c, _ := netip.AddrFromSlice(container)
		w := spec.PortRequest{Proto: spec.Protocol(p), HostIPs: []netip.Addr{h}, First: first, Last: last, Container4: c, ContainerPort: port}
		q, err := parseRequest(&w, &ipv6Probe{asked: true, known: true})
		if err != nil {
			return
		}
		if len(q.ends) != 1 || q.first > q.last || q.ends[0].ip != h || !c.Is4() || q.ends[0].to != (target{ip: c, port: port}) || port == 0 {
			t.Errorf("%v gives %v", w, q)
		}
	})
}

// TestFixedRequests: a port that leads to the same one in both families is
// asked for at once, however the runs of the families go on beside it.
func TestFixedRequests(t *testing.T) {
	run := func(host netip.Addr, first, last, container uint16) spec.Published {
		return spec.Published{Proto: spec.TCP, HostIP: host, First: first, Last: last, ContainerIP: cont4, ContainerFirst: container}
	}
	got := map[string]int{}
	for _, q := range fixedRequests(portsOf(ownerA, []spec.Published{
		run(any4, 9000, 9001, 90), run(any6, 9000, 9002, 90),
		run(any4, 7000, 7000, 70), run(any6, 7000, 7000, 71),
	}).Runs) {
		var hosts []netip.Addr
		for _, e := range q.ends {
			hosts = append(hosts, e.ip)
		}
		got[fmt.Sprint(q.first, hosts, q.ends[0].to.port)]++
	}
	want := map[string]int{
		"9000 [0.0.0.0 ::] 90": 1, "9001 [0.0.0.0 ::] 91": 1, "9002 [::] 92": 1,
		"7000 [0.0.0.0] 70": 1, "7000 [::] 71": 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
