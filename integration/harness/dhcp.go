package harness

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// DHCPServer is a dnsmasq on a host of a LAN.
type DHCPServer struct {
	host    *Host
	args    []string
	process *Process
	log     string
	// leases is the file of what it has leased. Hosts share /run, so its name is the test's.
	leases string
}

// DHCP starts a DHCP server at the host's interface in its LAN, for addresses from first to last,
// with further options of dnsmasq. It ends with the test.
func (h *Host) DHCP(t testing.TB, first, last string, options ...string) *DHCPServer {
	t.Helper()
	s := &DHCPServer{
		host: h, log: filepath.Join(t.TempDir(), "dnsmasq.log"),
		leases: "/run/dnsmasq-" + strings.ReplaceAll(t.Name(), "/", "-") + ".leases",
	}
	s.args = append([]string{
		"dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=" + lanInterface, "--except-interface=lo", "--bind-interfaces",
		"--user=root", "--pid-file=", "--dhcp-authoritative", "--no-ping", "--log-dhcp", "--dhcp-range=" + first + "," + last + ",255.255.255.0,1h", "--dhcp-leasefile=" + s.leases,
	}, options...)
	s.Start(t)
	t.Cleanup(func() {
		s.Stop(t)
		h.Run(t, "rm", "-f", s.leases)
		if t.Failed() {
			t.Logf("dnsmasq: %s", tail(s.log, 60))
		}
	})
	return s
}

// Start starts a server that was stopped. It knows its leases.
func (s *DHCPServer) Start(t testing.TB) {
	t.Helper()
	var err error
	if s.process, err = s.host.startProcess(s.log, s.args...); err != nil {
		t.Fatalf("start dnsmasq (scripts/deps.sh test installs it): %v", err)
	}
	Eventually(t, "dnsmasq listens", func() error {
		out, err := s.host.Try("ss", "-Hlun", "sport = :67")
		if err == nil && out == "" {
			err = s.process.exitedOr("nobody listens at port 67")
		}
		return err
	})
}

// Stop stops the server.
func (s *DHCPServer) Stop(t testing.TB) {
	t.Helper()
	s.process.Signal(t, syscall.SIGTERM)
}

// Leased returns the address and the name that a hardware address has leased; "" for none.
func (s *DHCPServer) Leased(t testing.TB, mac string) string {
	t.Helper()
	for line := range strings.Lines(s.host.Run(t, "sh", "-c", fmt.Sprintf("cat %s; true", s.leases))) {
		if f := strings.Fields(line); len(f) == 5 && f[1] == mac {
			return f[2] + " " + f[3]
		}
	}
	return ""
}
