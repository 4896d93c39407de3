package engine

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// serving returns a client of an engine that answers each path with what is given,
// and others with 404.
func serving(t testing.TB, answers map[string]string) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.URL.Path]
		if !ok || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, text)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return NewClient(socket)
}

// TestNetworks: as engines 20.10 and 28.5 answer, shortened.
func TestNetworks(t *testing.T) {
	const host = `{"Name":"host","Id":"5ce1","Scope":"local","Driver":"host","EnableIPv6":false,"IPAM":{"Driver":"default","Options":null,"Config":null},"Labels":null}`
	c := serving(t, map[string]string{"/networks": `[` + host + `,{"Name":"n1","Id":"a1b2","Driver":"gangway"}]` + "\n"})
	listed, err := c.Networks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if listed.Engine != "5ce1" || !reflect.DeepEqual(listed.Networks, map[string]string{"5ce1": "host", "a1b2": "n1"}) {
		t.Errorf("%+v", listed)
	}
}

// TestNoRoll: whatever is not a whole list is an error.
func TestNoRoll(t *testing.T) {
	for name, answers := range map[string]map[string]string{
		"an engine that ends": {"/networks": `[]`},
		"only some":           {"/networks": `[{"Id":"a1b2","Driver":"gangway"}]`},
		"null":                {"/networks": `null`},
		"cut off":             {"/networks": `[{"Id":"5ce1","Driver":"host"},`},
		"something else":      {"/networks": `{"message":"no"}`},
		"refused":             {},
	} {
		if listed, err := serving(t, answers).Networks(t.Context()); err == nil {
			t.Errorf("%s: %+v", name, listed)
		}
	}
	if listed, err := NewClient(filepath.Join(t.TempDir(), "none.sock")).Networks(t.Context()); err == nil {
		t.Errorf("no engine: %+v", listed)
	}
}

func TestAddresses(t *testing.T) {
	c := serving(t, map[string]string{
		"/networks/n": `{"Name":"n","Id":"n","IPAM":{"Driver":"gangway","Config":[
			{"Subnet":"10.0.0.0/24","Gateway":"10.0.0.1","AuxiliaryAddresses":{"router":"10.0.0.9"}},
			{"Subnet":"fd00::/64","Gateway":"fd00::1/64"}]},
			"Containers":{"c1":{"Name":"c1","IPv4Address":"10.0.0.2/24","IPv6Address":"fd00::2/64"},"ep-1":{"IPv4Address":"","IPv6Address":""}}}`,
		"/networks/none": `{"IPAM":{"Config":null},"Containers":null}`,
		"/networks/bad":  `{"Containers":{"c1":{"IPv4Address":"10.0.0"}}}`,
	})
	got, err := c.Addresses(t.Context(), "n")
	slices.SortFunc(got, netip.Addr.Compare)
	if want := "[10.0.0.1 10.0.0.2 10.0.0.9 fd00::1 fd00::2]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
	if got, err := c.Addresses(t.Context(), "none"); err != nil || len(got) > 0 {
		t.Errorf("none: %v, %v", got, err)
	}
	for _, id := range []string{"bad", "unknown"} {
		if got, err := c.Addresses(t.Context(), id); err == nil {
			t.Errorf("%s: %v", id, got)
		}
	}
}

// FuzzAnswers: whatever an engine answers, a list of networks has the engine's name,
// and an address is one.
func FuzzAnswers(f *testing.F) {
	f.Add(`[{"Id":"5ce1","Driver":"host"}]`)
	f.Add(`{"IPAM":{"Config":[{"Gateway":"10.0.0.1"}]},"Containers":{"c":{"IPv4Address":"10.0.0.2/24"}}}`)
	f.Add(`{"Containers":{"c":{"IPv6Address":"fe80::1%eth0/64"}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if listed, err := readNetworks(strings.NewReader(text)); err == nil {
			if _, has := listed.Networks[listed.Engine]; listed.Engine == "" || !has {
				t.Errorf("%+v", listed)
			}
		}
		addrs, err := readAddresses(strings.NewReader(text))
		if err == nil && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.IsValid() }) {
			t.Errorf("%v", addrs)
		}
	})
}
