package conntrack_test

import (
	"testing"

	"github.com/gangway-net/gangway/driver/conntrack"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestDropSources: whose source was translated to a host port gives it up, but for the
// container that has it.
func TestDropSources(t *testing.T) {
	for name, tt := range map[string]struct {
		runs []spec.Published
		gone []string
	}{
		"of a flow":              {[]spec.Published{run(spec.UDP, "0.0.0.0", 33000, 33000)}, []string{"masqueraded"}},
		"of a flow, one address": {[]spec.Published{run(spec.UDP, "192.0.2.1", 33001, 33001)}, []string{"neighbour's out"}},
		"of a flow, another":     {[]spec.Published{run(spec.UDP, "192.0.2.9", 33001, 33001)}, nil},
		"of its own flow":        {[]spec.Published{runTo(spec.UDP, "0.0.0.0", 32999, 33001, "10.9.0.2:33000")}, []string{"neighbour's out"}},
		"of a flow, v6":          {[]spec.Published{run(spec.UDP, "::", 40000, 40000)}, []string{"v6 out"}},
		"the host's own":         {[]spec.Published{hosts("0.0.0.0", 1, 65535), hosts("::", 1, 65535)}, []string{"masqueraded", "neighbour's out", "loopback", "v6 out"}},
	} {
		everyWay(t, name, func(t *testing.T, table *conntrack.Table) {
			if err := table.DropPorts(t.Context(), tt.runs); err != nil {
				t.Error(err)
			}
			wantGone(t, tt.gone...)
		})
	}
}
