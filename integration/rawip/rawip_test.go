package rawip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// TestSCTP: a server tells its client where it came from, on the port that
// was asked and no other.
func TestSCTP(t *testing.T) {
	for _, text := range []string{"127.0.0.1", "::1"} {
		at := netip.MustParseAddr(text)
		server, err := net.ListenIP(NetworkSCTP(at), &net.IPAddr{IP: at.AsSlice()})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			ended <- ServeSCTP(server, 7000, func(client netip.AddrPort) string { return fmt.Sprint("hello ", client) })
		}()
		ask := func(own, port uint16, patience time.Duration) (string, error) {
			c, err := net.DialIP(NetworkSCTP(at), nil, &net.IPAddr{IP: at.AsSlice()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			return AskSCTP(c, own, port)
		}
		want := "hello " + netip.AddrPortFrom(at, 40001).String()
		if got, err := ask(40001, 7000, testkit.Patience); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", at, got, err, want)
		}
		if got, err := ask(40002, 7001, 100*time.Millisecond); err == nil {
			t.Errorf("%s: a port that nobody serves answers %q", at, got)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the server ends with %v", at, err)
		}
	}
}

// TestPing: the kernel answers on loopback, of both families.
func TestPing(t *testing.T) {
	for _, text := range []string{"127.0.0.1", "::1"} {
		to := netip.MustParseAddr(text)
		c, err := net.DialIP(NetworkICMP(to), nil, &net.IPAddr{IP: to.AsSlice()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
			t.Fatal(err)
		}
		if from, err := Ping(c, 7, 1); err != nil || from != to {
			t.Errorf("%s: got %s, %v", to, from, err)
		}
	}
}

// FuzzCookie: nothing that arrives is read beyond its end.
func FuzzCookie(f *testing.F) {
	whole := packet(1, 2, 3, chunkInitAck, "hello")[shortest:]
	for n := range len(whole) {
		f.Add(whole[:n])
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, param []byte) {
		if line, err := cookie(param); err == nil && !strings.Contains(string(param), line) {
			t.Errorf("%x gives %q", param, line)
		}
	})
}
