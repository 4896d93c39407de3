package plugin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/plugin/names"
)

// listing is an inspector with one of each.
type listing struct{ inspector }

const (
	listedNet = "0f1e2d3c4b5a69788796"
	listedEp  = "aaaa1111bbbb2222cccc"
)

func (listing) Networks(context.Context) []driver.NetworkStatus {
	return []driver.NetworkStatus{{ID: listedNet}}
}

func (listing) Endpoints(context.Context) ([]driver.EndpointStatus, error) {
	return []driver.EndpointStatus{{ID: listedEp, NetworkID: listedNet}}, nil
}

func (listing) Ports(context.Context) []driver.PortStatus {
	return []driver.PortStatus{{EndpointID: listedEp, NetworkID: listedNet}}
}

// TestNamed: answers of the admin API and errors for the engine have names beside the
// ids as long as they are known, and none when they are not.
func TestNamed(t *testing.T) {
	book := names.New()
	engine := book.Source()
	d := ready(t, func(o *Options) {
		o.Names, o.Inspector = book, listing{o.Inspector.(inspector)}
	})
	const conflict = "in use by endpoint aaaa1111bbbb; stop it"
	d.domain.events = []events.Event{{Number: 1, Kind: events.Lost, Time: time.Unix(1, 0), Text: "endpoint aaaa1111bbbb: removed"}}
	d.domain.status = driver.Status{Causes: []cause.Cause{cause.Of(cause.CheckFailed, conflict), cause.Of(cause.PortUnheld, conflict)}, Flapping: []string{conflict}}
	d.domain.setHook(func(context.Context, string) error { return errors.New(conflict) })
	ask := func() (all []string) {
		for _, name := range []string{"networks", "endpoints", "ports", "events", "status", "health"} {
			_, text := d.get(t, name)
			all = append(all, text)
		}
		return append(all, d.refused(t, "NetworkDriver.DeleteNetwork", `{"NetworkID":"n"}`, http.StatusInternalServerError))
	}
	before := ask()
	for _, text := range before {
		if strings.Contains(text, "ame\":") || strings.Contains(text, "web") {
			t.Errorf("a name that nobody told: %s", text)
		}
	}
	engine.SetNetworks([]names.Network{{ID: listedNet, Name: "front"}})
	engine.SetContainers([]names.Place{{EndpointID: listedEp, NetworkID: listedNet, Container: names.Container{ID: "1111", Name: "web"}}})
	const whose, text = `"networkName":"front","container":"1111","containerName":"web"`, "in use by container web (network front); stop it"
	for i, want := range []string{`"id":"` + listedNet + `",`, whose, whose, `"text":"container web (network front): removed"`, text, text, text} {
		if got := ask()[i]; !strings.Contains(got, want) || i == 0 && !strings.Contains(got, `"name":"front"`) || strings.Contains(got, "endpoint aaaa") {
			t.Errorf("no %s in %s", want, got)
		}
	}
	engine.Forget()
	if after := ask(); !slices.Equal(after[:4], before[:4]) || after[6] != before[6] {
		t.Errorf("without the engine %v, want %v", after, before)
	}
}
