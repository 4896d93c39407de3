package hostport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

func TestRange(t *testing.T) {
	m := manager(t)
	foreign(t, "tcp4", "127.0.0.1:8000")
	q := ask(8000, 8002, 80, any4, any6)
	for i, owner := range []string{ownerA, ownerB} {
		if got := reserve(t, m, owner, q); got[0].First != uint16(8001+i) || got[1].First != got[0].First {
			t.Errorf("%s got %v", owner, got)
		}
	}
	_, err := m.Reserve(context.Background(), "c", []spec.PortRequest{q})
	var c *ConflictError
	if !errors.As(err, &c) || c.First != 8000 || c.Last != 8002 || !strings.Contains(err.Error(), "8000-8002: no free port, 8000 is in use by") {
		t.Errorf("error is %v", err)
	}
}

func TestFixedGoBeforeChoices(t *testing.T) {
	m := manager(t)
	got := reserve(t, m, ownerA,
		ask(8000, 8010, 1, any4), ask(8000, 8001, 2, any4), ask(8000, 8000, 3, any4))
	want := []spec.Published{
		{Proto: spec.TCP, HostIP: any4, First: 8000, Last: 8000, ContainerIP: cont4, ContainerFirst: 3},
		{Proto: spec.TCP, HostIP: any4, First: 8001, Last: 8001, ContainerIP: cont4, ContainerFirst: 2},
		{Proto: spec.TCP, HostIP: any4, First: 8002, Last: 8002, ContainerIP: cont4, ContainerFirst: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func setPortRange(t *testing.T, text string) {
	t.Helper()
	setIPv4(t, "ip_local_port_range", text)
}

func setIPv4(t *testing.T, name, text string) {
	t.Helper()
	path := "/proc/sys/net/ipv4/" + name
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		t.Fatal(err)
	}
	// To write nothing would change nothing.
	t.Cleanup(func() { _ = os.WriteFile(path, append(old, '\n'), 0) })
}

func TestEphemeral(t *testing.T) {
	m := manager(t)
	setPortRange(t, "40000 40009")
	foreign(t, "tcp6", "[::1]:40003")
	seen := map[uint16]bool{}
	for i := range 9 {
		got := reserve(t, m, fmt.Sprint("owner", i), ask(0, 0, 80, any4, any6))
		if len(got) != 2 || got[0].First != got[1].First || seen[got[0].First] || got[0].First == 40003 {
			t.Fatalf("got %v after %v", got, seen)
		}
		seen[got[0].First] = true
	}
	// What was bound in one family before the other one was found taken.
	if n := len(snapshot(m)); n != 18 || !bindable(key{any4, 40003, spec.TCP}) {
		t.Errorf("%d sockets for 9 ports", n)
	}
	_, err := m.Reserve(context.Background(), ownerB, []spec.PortRequest{ask(0, 0, 80, any4, any6)})
	if c := (*ConflictError)(nil); !errors.As(err, &c) || c.First != 40000 || c.Last != 40009 {
		t.Errorf("error of a full range is %v", err)
	}
	wantUDP := reserve(t, m, ownerB, proto(spec.UDP, ask(0, 0, 80, any4, any6)))
	if wantUDP[0].First != 40000 {
		t.Errorf("udp got %v", wantUDP)
	}
}

func TestEphemeralNotReusedAtOnce(t *testing.T) {
	m := manager(t)
	setPortRange(t, "40000 40002")
	var got []uint16
	for range 5 {
		got = append(got, reserve(t, m, ownerA, ask(0, 0, 80, any4))[0].First)
		m.Trim(portsOf(ownerA, nil))
	}
	if want := []uint16{40000, 40001, 40002, 40000, 40001}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Ports that an administrator keeps from automatic choice are not chosen, in
// neither protocol; named by a user, alone or in a range, they are taken.
func TestEphemeralLeavesReserved(t *testing.T) {
	m := manager(t)
	setPortRange(t, "40000 40004")
	setIPv4(t, "ip_local_reserved_ports", "40000,40002-40003,50000")
	for i, p := range []spec.Protocol{spec.TCP, spec.UDP} {
		for j, want := range []uint16{40001, 40004} {
			if got := reserve(t, m, fmt.Sprint("owner", i, j), proto(p, ask(0, 0, 80, any4, any6)))[0].First; got != want {
				t.Errorf("%s got port %d, want %d", p, got, want)
			}
		}
	}
	if got := reserve(t, m, ownerA, ask(40002, 40003, 80, any4), ask(40000, 40000, 81, any4)); ports(got) != 2 || got[0].First != 40000 || got[1].First != 40002 {
		t.Errorf("named ports: %v", got)
	}
	setIPv4(t, "ip_local_reserved_ports", "40000-40004")
	_, err := m.Reserve(context.Background(), ownerB, []spec.PortRequest{ask(0, 0, 80, any4)})
	if err == nil || !strings.Contains(err.Error(), "ip_local_reserved_ports has all of them") {
		t.Errorf("without a port to choose: %v", err)
	}
}

func TestParseReservedPorts(t *testing.T) {
	for text, want := range map[string][]portRange{
		"\n": nil, "": nil, "80\n": {{80, 80}}, "80,8000-8010\n": {{80, 80}, {8000, 8010}}, "x,70000,1-,5\n": {{5, 5}},
	} {
		if got := parseReservedPorts(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
