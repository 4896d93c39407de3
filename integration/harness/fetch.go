package harness

import "testing"

// Fetch asks an HTTP server for its first page, which has to be this one; a
// server that does not answer yet gets some time.
func (p *Prober) Fetch(t testing.TB, addr, want string) {
	t.Helper()
	var page string
	err := poll(settleLimit, func() (err error) {
		page, err = p.try("fetch", addr)
		return err
	})
	if err != nil || page != want {
		t.Errorf("%s fetches %s: %q, %v, want %q", p.name, addr, page, err, want)
	}
}
