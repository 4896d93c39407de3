package cli

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin/names"
)

// latelyNamed is a host whose engine names what is new when it has been asked for thrice.
type latelyNamed struct {
	*inspector
	asked atomic.Int64
	tell  func()
}

func (l *latelyNamed) Endpoints(ctx context.Context) ([]driver.EndpointStatus, error) {
	l.name()
	return l.inspector.Endpoints(ctx)
}

func (l *latelyNamed) Networks(ctx context.Context) []driver.NetworkStatus {
	l.name()
	return l.inspector.Networks(ctx)
}

func (l *latelyNamed) name() {
	if l.asked.Add(1) == 3 {
		l.tell()
	}
}

// TestAwait: a name right after docker run is waited for by each command that takes one, and
// one that nothing has is an error: at once where all that runs has a name.
func TestAwait(t *testing.T) {
	for line, word := range map[string]string{
		"endpoints new": "10.50.0.2", "ports new": "8000", "doctor new": "", "drops new": "spoofed", "trace new 192.0.2.7:80 --for 0s": "10.50.0.2",
		"endpoints --network fresh": "10.50.0.2", "networks fresh": "gw-0f1e2d3c4b5a",
	} {
		i := &latelyNamed{inspector: busyHost()}
		i.book = names.New()
		engine := i.book.Source()
		i.tell = func() {
			engine.SetNetworks([]names.Network{{ID: net1, Name: "fresh"}})
			engine.SetContainers([]names.Place{{EndpointID: ep1, NetworkID: net1, Container: names.Container{ID: web, Name: "new"}}})
		}
		r := gangway(t, host(t, i), strings.Fields(line)...)
		if r.code == exitNotFound || !strings.Contains(r.stdout, word) {
			t.Errorf("%s: %+v", line, r)
		}
	}
	i := &latelyNamed{inspector: namedHost(), tell: func() { t.Error("asked again though all that runs has a name") }}
	if r := gangway(t, host(t, i), "endpoints", "new"); r.code != exitNotFound {
		t.Errorf("%+v", r)
	}
	i = &latelyNamed{inspector: busyHost(), tell: func() {}}
	if r := gangway(t, host(t, i), "drops", "new"); r.code != exitNotFound || !strings.Contains(r.stderr, `no container "new" is on a network`) {
		t.Errorf("%+v", r)
	}
}
