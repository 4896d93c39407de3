package driver

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
)

// TestStoredOptions: options are stored as the user gave them. One that is no longer
// taken is an error that names it and the network; so is a network without.
func TestStoredOptions(t *testing.T) {
	const name = "com.docker.network.bridge.enable_icc"
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic(name, "F")
	must(t, d.CreateNetwork(t.Context(), r))
	key := model.NetworkKeys + netA
	text := string(f.stored[key])
	if !strings.Contains(text, `"Options":{"Internal":false,"IPv4":true,"IPv6":false,"Given":{"`+name+`":"F"}}`) {
		t.Errorf("stored: %s", text)
	}
	s, err := model.Load(f.Load)
	must(t, err)
	if n := s.Networks[netA]; n.Options.ICC || n.Options.IfacePrefix != "eth" {
		t.Errorf("loaded: %+v", n)
	}
	// Other words for the same are no contradiction, and do not take its place.
	r.Options = generic(name, "false", "com.docker.network.driver.mtu", "0")
	must(t, d.CreateNetwork(t.Context(), r))
	if again := string(f.stored[key]); again != text {
		t.Errorf("stored: %s, before: %s", again, text)
	}
	for _, c := range []struct{ old, fresh, part string }{
		{`"F"`, `"maybe"`, `network option ` + name + `: "maybe" is neither true nor false: another version of gangway has taken it`},
		{name, "gangway.gone", `unknown network option "gangway.gone"`},
		{name, "com.docker.network.bridge.anti_spoofing", "is named gangway.anti_spoofing"},
		{`"IPv4":true`, `"IPv4":false`, "neither IPv4 nor IPv6"},
		{`"IPv4"`, `"Later"`, "unknown field"},
		{`"Options"`, `"Option"`, "unknown field"},
		{`"Options":{"Internal":false,"IPv4":true,"IPv6":false,"Given":{"` + name + `":"F"}},`, "", "has no options"},
	} {
		f.stored[key] = []byte(strings.Replace(text, c.old, c.fresh, 1))
		_, err := model.Load(f.Load)
		if err == nil || !strings.Contains(err.Error(), c.part) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want %q", f.stored[key], err, c.part)
		}
	}
}
