package harness

import (
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// Fetch asks an HTTP server for its first page, which has to be this one; a
// server that does not answer yet gets some time.
func (p *Prober) Fetch(t testing.TB, addr, want string) {
	t.Helper()
	var page string
	err := poll(testkit.Patience, func() (err error) {
		page, err = p.try("fetch", addr)
		return err
	})
	if err != nil || page != want {
		t.Errorf("%s fetches %s: %q, %v, want %q", p.name, addr, page, err, want)
	}
}
