package metrics

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/webserver"
)

// retryTime is the pause after a listen that failed.
const retryTime = 5 * time.Second

// Serve answers scrapes on an address of their own until ctx ends, and hands all other
// requests to beside, if that is not nil. An address that cannot be had, say since the host
// gets it later in its boot, is tried again: networks do not depend on metrics.
func (m *Metrics) Serve(ctx context.Context, at config.Listen, beside http.Handler, log *logrus.Entry) {
	if beside == nil {
		beside = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "metrics are at "+plugin.MetricsPath, http.StatusNotFound)
		})
	}
	told := false
	for ctx.Err() == nil {
		l, err := webserver.Listen(ctx, at)
		if err == nil {
			log.Infof("metrics are served at %s", at)
			m.unserved.Store(nil)
			err = webserver.Serve(ctx, l, m.before(beside), log.WithField("at", "metrics"))
			told = false
		}
		if err != nil {
			text := fmt.Sprintf("metrics are not served at %s: %v", at, err)
			m.unserved.Store(&text)
		}
		if err != nil && !told && ctx.Err() == nil {
			log.WithError(err).Warnf("metrics are not served at %s; this is tried again", at)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryTime):
		}
	}
}

// Unserved says why nothing is served at the address of its own; empty if it is, or there is
// none.
func (m *Metrics) Unserved() string {
	if text := m.unserved.Load(); text != nil {
		return *text
	}
	return ""
}

// before answers questions for metrics, and hands on what is none.
func (m *Metrics) before(beside http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != plugin.MetricsPath:
			beside.ServeHTTP(w, r)
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "metrics are read with GET", http.StatusMethodNotAllowed)
		default:
			m.ServeHTTP(w, r)
		}
	})
}
