package harness

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Prober asks over the network from one place: a host or a container.
type Prober struct {
	name string
	try  func(args ...string) (string, error)
}

// Answer is what a probe server told about the connection it saw.
type Answer struct {
	// Client is where the server saw the client come from.
	Client netip.AddrPort
	// Local is the address that the server was reached at.
	Local netip.AddrPort
	// Host is the server's host name.
	Host string
}

// parseAnswer reads "client=ADDR:PORT local=ADDR:PORT host=NAME".
func parseAnswer(line string) (Answer, error) {
	var a Answer
	for _, field := range strings.Fields(line) {
		key, value, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "client":
			a.Client, err = parseAddrPort(value)
		case "local":
			a.Local, err = parseAddrPort(value)
		case "host":
			a.Host = value
		}
		if err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

// parseAddrPort reads an address and shows one of a mapped range as IPv4.
func parseAddrPort(text string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), nil
}

// TryGet asks a probe server once. The error contains "refused" or "timeout"
// if that is what happened.
func (p *Prober) TryGet(proto, addr string, flags ...string) (Answer, error) {
	args := append([]string{"get"}, flags...)
	line, err := p.try(append(args, proto, addr)...)
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(line)
}

// Get is TryGet for servers that have to answer.
func (p *Prober) Get(t testing.TB, proto, addr string, flags ...string) Answer {
	t.Helper()
	answer, err := p.TryGet(proto, addr, flags...)
	if err != nil {
		t.Fatalf("%s asks %s %s: %v", p.name, proto, addr, err)
	}
	return answer
}

// Unreachable asks a server that must not answer.
func (p *Prober) Unreachable(t testing.TB, proto, addr string) {
	t.Helper()
	if answer, err := p.TryGet(proto, addr, "-timeout", "700ms"); err == nil {
		t.Errorf("%s asks %s %s: answered by %s, want no answer", p.name, proto, addr, answer.Host)
	}
}

// TryPing sends one echo request.
func (p *Prober) TryPing(addr string) error {
	_, err := p.try("ping", "-timeout", "2s", addr)
	return err
}

// Ping is TryPing for addresses that have to answer.
func (p *Prober) Ping(t testing.TB, addr string) {
	t.Helper()
	if err := p.TryPing(addr); err != nil {
		t.Errorf("%s pings %s: %v", p.name, addr, err)
	}
}

// Host is a node in a LAN.
type Host struct {
	*Node
	*Prober
	// IPv4 and IPv6 are its addresses in the LAN.
	IPv4, IPv6 string
	probe      string // path of the program, as the node sees it
}

// Serve starts a server on the host that ends with the test, and waits until it
// answers. Pairs are protocol and address.
func (h *Host) Serve(t testing.TB, pairs ...string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "serve.log")
	p, err := h.startProcess(log, append([]string{h.probe, "serve"}, pairs...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Signal(t, 15) })
	Eventually(t, "server on "+h.Name, func() error {
		if strings.Contains(p.output(t), "ready") {
			return nil
		}
		return p.exitedOr("not ready")
	})
}

// Tap starts a machine at a tap of that name, with an address and a gateway, that pings a target
// until it answers. Both end with the test.
func (h *Host) Tap(t testing.TB, name, addr, gateway, target string) *Session {
	t.Helper()
	s := h.Session(t, h.probe, "tap", name, addr, gateway, target)
	s.Shows(t, "ready")
	return s
}

// Tunnel is an end of a tunnel on the host, at a device of that name; see probe.
func (h *Host) Tunnel(t testing.TB, name, addr, peer, routes string) *Session {
	t.Helper()
	s := h.Session(t, h.probe, "tunnel", name, addr, peer, routes)
	s.Shows(t, "ready")
	return s
}

// Stream keeps a TCP connection from the host to a probe server busy until its
// Stop is called.
func (h *Host) Stream(t testing.TB, addr string) *Stream {
	t.Helper()
	return h.stream(t, addr, h.probe, "stream", addr)
}

// StreamInside is Stream from a running container's network.
func (e *Engine) StreamInside(t testing.TB, container, addr string) *Stream {
	t.Helper()
	pid := e.Docker(t, "inspect", "--format", "{{.State.Pid}}", container)
	return e.stream(t, addr, "nsenter", "--target", pid, "--net", e.probe, "stream", addr)
}

func (h *Host) stream(t testing.TB, addr string, args ...string) *Stream {
	t.Helper()
	log := filepath.Join(t.TempDir(), "stream.log")
	p, err := h.startProcess(log, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Signal(t, 9) })
	Eventually(t, "stream to "+addr, func() error {
		if strings.Contains(p.output(t), "open") {
			return nil
		}
		return p.exitedOr("not open")
	})
	return &Stream{process: p, addr: addr}
}

// Stream is a connection that must not break.
type Stream struct {
	process *Process
	addr    string
}

// Stop ends the stream; it fails the test if the connection broke before, and
// returns the longest time a line took.
func (s *Stream) Stop(t testing.TB) time.Duration {
	t.Helper()
	s.process.Signal(t, 15)
	out := s.process.output(t)
	_, rest, ok := strings.Cut(out, "longest=")
	longest, err := time.ParseDuration(strings.TrimSpace(rest))
	if !ok || err != nil {
		t.Fatalf("stream to %s broke:\n%s", s.addr, out)
	}
	return longest
}

// Broken fails the test unless the connection breaks or stands still by itself,
// and ends the stream.
func (s *Stream) Broken(t testing.TB) {
	t.Helper()
	select {
	case <-s.process.done:
		return
	case <-time.After(time.Second):
	}
	before := s.process.output(t)
	s.process.Signal(t, 9)
	if strings.Contains(before, "echoed=") {
		t.Errorf("stream to %s ended as if nothing had happened:\n%s", s.addr, before)
	}
}
