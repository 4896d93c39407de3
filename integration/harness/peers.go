package harness

import (
	"os"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// PeerHost starts a host in a LAN, at LanIPv4, that has no engine, but what other projects
// connect containers with: the plugins of CNI, and netavark. The folder's files are
// at inside.
func PeerHost(t testing.TB, folder, inside string) (*Host, *LAN) {
	t.Helper()
	if os.Geteuid() != 0 {
		testkit.Missing(t, "a host of its own needs root")
	}
	tree := (Forky + "+peers").tree(t, false)
	dir, err := current.folder("")
	if err != nil {
		t.Fatal(err)
	}
	node := startNode(t, nodeConfig{
		Hostname: "peers", Tree: tree, Dir: dir,
		Binds: []bind{{Source: folder, Target: inside, ReadOnly: true}},
	})
	lan := NewLAN(t)
	return lan.join(t, node, LanIPv4, LanIPv6), lan
}
