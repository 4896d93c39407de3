package plugin

import (
	"encoding/json"
	"errors"
	"github.com/gangway-net/gangway/driver/cause"
	"net/http"
	"strings"
	"testing"
)

// TestRefuse: a daemon that cannot work greets an engine, so that it is a driver, and
// answers everything else with the reason.
func TestRefuse(t *testing.T) {
	why := errors.New("wrong setting: GANGWAY_LOG_LEVEL: unknown")
	d := start(t, func(o *Options) {
		o.Refuse, o.Networks, o.Addresses, o.Inspector = why, nil, nil, nil
	})
	early := []string{"Plugin.Activate", "NetworkDriver.GetCapabilities", "IpamDriver.GetCapabilities", "IpamDriver.GetDefaultAddressSpaces"}
	for _, op := range early {
		if status, answer := d.call(t, op, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", op, status, answer)
		}
	}
	for op, body := range samples() {
		if msg := d.refused(t, op, body, http.StatusInternalServerError); msg != why.Error() {
			t.Errorf("%s: %s", op, msg)
		}
	}
	for name, want := range map[string]int{"health": 503, "status": 200} {
		status, answer := d.get(t, name)
		var got struct {
			State  string
			Causes []cause.Cause
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != want || got.State != string(cause.Problem) || len(got.Causes) != 1 || got.Causes[0].What != why.Error() {
			t.Errorf("%s: %d %s, %v", name, status, answer, err)
		}
	}
	for _, name := range []string{"networks", "endpoints", "ports", "events"} {
		if status, answer := d.get(t, name); status != http.StatusServiceUnavailable || !strings.Contains(answer, why.Error()) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
}

func TestRefuseOrWork(t *testing.T) {
	for _, o := range []Options{
		{},
		{Refuse: errors.New("no")},
		{Refuse: errors.New("no"), Networks: &recorder{}, Addresses: &recorder{}, Inspector: inspector{&recorder{}}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("a server of %+v", o)
		}
	}
}
