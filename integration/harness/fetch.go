package harness

import "testing"

// TryFetch asks an HTTP server for its first page.
func (p *Prober) TryFetch(addr string) (page string, err error) {
	return p.try("fetch", addr)
}

// Fetch is TryFetch for pages that have to be these; a server that does not
// answer yet gets some time.
func (p *Prober) Fetch(t testing.TB, addr, want string) {
	t.Helper()
	var page string
	err := poll(settleLimit, func() (err error) {
		page, err = p.TryFetch(addr)
		return err
	})
	if err != nil || page != want {
		t.Errorf("%s fetches %s: %q, %v, want %q", p.name, addr, page, err, want)
	}
}
