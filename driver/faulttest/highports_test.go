package faulttest

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// ranges tells the range of source ports in the kernel's rules, by protocol.
const ranges = `{ nft list ruleset; iptables-nft-save; ip6tables-nft-save; } 2>/dev/null |
sed -n 's/.*l4proto \([a-z]*\) .*masquerade to :\([0-9-]*\) .*/\1 \2/p; s/.*-p \([a-z]*\) -j MASQUERADE --to-ports \([0-9-]*\) .*/\1 \2/p' | sort -u`

func wantRanges(t *testing.T, when, want string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", ranges).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), ", "); got != want {
		t.Errorf("%s: the rules have %q, want %q", when, got, want)
	}
}

// TestHighPorts: in the kernel as well, what goes out has a port that is neither published
// nor a socket's of the host. The daemon's own sockets, which hold published ports, are
// none of the host's: they leave nothing when they go.
func TestHighPorts(t *testing.T) {
	eachBackend(t, highPorts)
}

func highPorts(t *testing.T, backend, dir string) {
	service, err := net.ListenPacket("udp", "0.0.0.0:51820")
	if err != nil {
		t.Error(err)
		return
	}
	defer service.Close()
	w := mustOpen(t, backend, dir)
	verbs := func(all ...func(context.Context, *world) error) {
		for _, verb := range all {
			if err = verb(t.Context(), w); err != nil {
				t.Error(err)
			}
		}
	}
	verbs(createNetwork, createEndpoint, join)
	wantRanges(t, "a service of the host", "sctp 32768-65535, tcp 32768-65535, udp 32768-51199")
	verbs(func(ctx context.Context, w *world) error {
		return w.Publish(ctx, network, endpoint, ports(40000, 80, 40001, 81))
	})
	const published = "sctp 32768-65535, tcp 40960-65535, udp 32768-51199"
	wantRanges(t, "published", published)
	listener, err := net.Listen("tcp", "0.0.0.0:60000")
	if err != nil {
		t.Error(err)
		return
	}
	w.sound(t, "somebody listens")
	const listens = "sctp 32768-65535, tcp 40960-59391, udp 32768-51199"
	wantRanges(t, "somebody listens", listens)
	w.close()
	w = mustOpen(t, backend, dir)
	wantRanges(t, "after a restart", listens)
	w.sound(t, "after a restart")
	_ = listener.Close()
	verbs(leave, deleteEndpoint)
	w.sound(t, "nothing is published")
	wantRanges(t, "nothing is published", listens)
	w.close()
	w = mustOpen(t, backend, dir)
	wantRanges(t, "nothing is there", "sctp 32768-65535, tcp 32768-65535, udp 32768-51199")
	verbs(func(ctx context.Context, w *world) error { return w.DeleteNetwork(ctx, network) })
	w.close()
}
