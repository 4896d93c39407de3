package page

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/plugin"
)

// Source is what the page shows: *plugin.Server is that of the daemon itself.
type Source interface {
	Graph(ctx context.Context) (plugin.Graph, error)
	EventsAfter(ctx context.Context, number uint64) ([]plugin.Event, error)
	// Decisions are what the entries of policies have decided, of a network or an endpoint.
	Decisions(ctx context.Context, of string) ([]plugin.Decisions, error)
	// FollowDrops hands out packets as they are refused, until ctx ends or take fails.
	FollowDrops(ctx context.Context, take func(plugin.DroppedPacket) error) error
}

// Options are what a page is made of.
type Options struct {
	Source Source
	// Token is what a browser has to know; empty for nothing.
	Token string
	Log   *logrus.Entry
	// Every is the time between two samples; 0 for two seconds.
	Every time.Duration
	// Host returns the host's addresses; nil for those that the kernel lists.
	Host func() ([]netip.Addr, error)
}

// Page answers browsers.
type Page struct {
	o        Options
	document document
	live     *live
}

// every is the time between two samples.
const every = 2 * time.Second

// New returns a page for New's callers to serve.
func New(o Options) *Page {
	if o.Every == 0 {
		o.Every = every
	}
	if o.Host == nil {
		o.Host = hostAddresses
	}
	return &Page{o: o, document: newDocument(), live: &live{source: o.Source, every: o.Every, log: o.Log, viewers: map[chan []byte]bool{}}}
}

// ServeHTTP is http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.document.headers(w.Header())
	switch {
	case !p.trusted(r.Host):
		refuse(w, http.StatusForbidden, "this host name may be anybody's: use an IP address or localhost, or set a token (GANGWAY_PAGE_TOKEN)")
	case r.URL.Path != "/" && !slices.Contains([]string{"/live", "/ways", "/decisions"}, r.URL.Path):
		refuse(w, http.StatusNotFound, "the page is at /")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "the page is read with GET")
	case r.URL.Path == "/":
		p.document.serve(w)
	case !sameSite(r.Header.Get("Sec-Fetch-Site")):
		refuse(w, http.StatusForbidden, "another site asks")
	case !p.knows(r.Header.Get("Authorization")):
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
	case r.URL.Path == "/live":
		p.live.serve(w, r)
	case r.URL.Path == "/decisions":
		p.serveDecisions(w, r)
	default:
		p.serveWays(w, r)
	}
}

// serveDecisions answers what the entries of a policy have decided: of=ID is a network or an
// endpoint.
func (p *Page) serveDecisions(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	of := r.URL.Query().Get("of")
	if of == "" {
		refuse(w, http.StatusBadRequest, "of=ID is missing")
		return
	}
	all, err := p.o.Source.Decisions(ctx, of)
	if err != nil {
		refuse(w, http.StatusBadGateway, err.Error())
		return
	}
	answer(w, http.StatusOK, all)
}

// trusted says whether a page that has been loaded under this host can be no one else's. A
// name can be made to lead here after a page of its owner was loaded (DNS rebinding). That
// page would not have the token.
func (p *Page) trusted(host string) bool {
	if p.o.Token != "" {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// sameSite says whether the page itself asks, or a user, or a program that is no browser
// (Fetch Metadata).
func sameSite(fetch string) bool { return fetch == "" || fetch == "same-origin" || fetch == "none" }

// knows compares in a time that tells nothing of the token.
func (p *Page) knows(authorization string) bool {
	if p.o.Token == "" {
		return true
	}
	given, want := sha256.Sum256([]byte(authorization)), sha256.Sum256([]byte("Bearer "+p.o.Token))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// refuse answers with an error, on a connection that ends: connections are few, and
// scrapers need them.
func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, plugin.ErrorBody{Error: why})
}

func answer(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"no JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
