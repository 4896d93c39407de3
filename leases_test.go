package main

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/ipam/lease"
)

// TestLeaseChanged: a lease that is lost is an event that says whose it is and why, as is one that holds
// again.
func TestLeaseChanged(t *testing.T) {
	d := &daemon{journal: events.Open(events.Options{File: filepath.Join(t.TempDir(), "events"), Tell: func(string) {}})}
	t.Cleanup(d.journal.Close)
	l := lease.Lease{Address: netip.MustParsePrefix("10.85.0.2/24"), Name: "web", Gone: "DHCP server 10.85.0.1 refuses"}
	d.leaseChanged(l, testkit.Quiet())
	l.Gone = ""
	d.leaseChanged(l, testkit.Quiet())
	var got []string
	for _, e := range d.journal.After(t.Context(), 0, 0) {
		got = append(got, e.Kind+" "+e.Text)
	}
	want := "problem the lease of 10.85.0.2 (web) is lost: DHCP server 10.85.0.1 refuses|solved the lease of 10.85.0.2 (web) holds again"
	if text := strings.Join(got, "|"); text != want {
		t.Errorf("%s, want %s", text, want)
	}
}
