package hostport

import (
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

func TestCover(t *testing.T) {
	run := func(ip netip.Addr, first, last uint16, p spec.Protocol, to uint16) spec.Published {
		return spec.Published{Proto: p, HostIP: ip, First: first, Last: last, ContainerIP: cont4, ContainerFirst: to}
	}
	c := coverOf(portsOf("", []spec.Published{
		run(any6, 80, 80, spec.TCP, 8080), run(any4, 100, 199, spec.TCP, 1100), run(any4, 1, 65535, spec.UDP, 1),
		run(any4, 80, 80, spec.TCP, 8080), run(any4, 65535, 65535, spec.TCP, 9), run(any4, 200, 200, spec.TCP, 7),
	}).Runs)
	for k, want := range map[key]uint16{
		{any4, 80, spec.TCP}: 8080, {any6, 80, spec.TCP}: 8080, {any4, 100, spec.TCP}: 1100, {any4, 199, spec.TCP}: 1199,
		{any4, 200, spec.TCP}: 7, {any4, 65535, spec.TCP}: 9, {any4, 1, spec.UDP}: 1, {any4, 65535, spec.UDP}: 65535,
		{any4, 79, spec.TCP}: 0, {any4, 81, spec.TCP}: 0, {any4, 99, spec.TCP}: 0, {any4, 201, spec.TCP}: 0,
		{any6, 81, spec.TCP}: 0, {any6, 79, spec.TCP}: 0, {any6, 80, spec.UDP}: 0, {host6, 80, spec.TCP}: 0, {any4, 80, spec.SCTP}: 0,
	} {
		got, ok := c.target(k)
		if ok != (want != 0) || ok && (got != target{ip: cont4, port: want}) {
			t.Errorf("%s: got %v, %v, want %d", k, got, ok, want)
		}
	}
	if _, ok := coverOf(nil).target(key{any4, 80, spec.TCP}); ok {
		t.Error("no run has a port")
	}
}

// TestBook removes the sockets of one port in every order.
func TestBook(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		b := newBook()
		all := []*socket{
			{key: key{any4, 80, spec.TCP}, owner: ownerA}, {key: key{host6, 80, spec.TCP}, owner: ownerB}, {key: key{loopback6, 80, spec.TCP}, owner: ownerA},
		}
		for _, s := range all {
			b.add(s)
		}
		for n, i := range order {
			if b.find(all[i].owner, all[i].key) != all[i] || b.conflict(all[i].key) != all[i] {
				t.Errorf("order %v: %s is not found", order, all[i].key)
			}
			b.remove(all[i])
			if b.find(all[i].owner, all[i].key) != nil || b.conflict(all[i].key) != nil {
				t.Errorf("order %v: %s is found", order, all[i].key)
			}
			for _, left := range order[n+1:] {
				if b.find(all[left].owner, all[left].key) == nil {
					t.Errorf("order %v: %s went with another", order, all[left].key)
				}
			}
		}
		if len(b.owners)+len(b.ports) != 0 {
			t.Errorf("order %v: left %v", order, b)
		}
	}
}
