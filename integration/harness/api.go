package harness

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// APISocket is the second API socket of the engine, inside its tree.
const APISocket = "/run/gangway/docker.sock"

// StartAPI starts gangway's second API socket of the engine, and returns what it
// writes to its log so far. It ends with the test.
func (e *Engine) StartAPI(t testing.TB, args ...string) (log func() string) {
	t.Helper()
	p, err := e.startDaemon(filepath.Join(e.dir, "gangway-api.log"), nil, append([]string{toolsInside + "/gangway", "api"}, args...)...)
	if err != nil {
		t.Fatalf("start gangway api: %v", err)
	}
	t.Cleanup(func() { p.Signal(t, syscall.SIGTERM) })
	Eventually(t, APISocket, func() error {
		conn, err := net.Dial("unix", e.Path(APISocket))
		if err != nil {
			return p.exitedOr(err.Error())
		}
		return conn.Close()
	})
	return func() string { return p.output(t) }
}
