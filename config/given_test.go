package config

import (
	"encoding/json"
	"errors"
	"testing"
)

// wantStored fails the test unless a value is the same after it was stored.
func wantStored[V comparable](t *testing.T, v V) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back V
	if err := json.Unmarshal(b, &back); err != nil || back != v {
		t.Errorf("%v is stored as %s, and loaded as %v (%v)", v, b, back, err)
	}
}

// TestStoredForms: what is stored is the user's text and what the engine said; what the
// engine carries out and what asks for nothing is not.
func TestStoredForms(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: `{"Internal":false,"IPv4":true,"IPv6":false}`,
		`{"com.docker.network.internal":true,"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{"internal":"1","com.docker.network.advertise_addr_ms":"500"}}`:                   `{"Internal":true,"IPv4":true,"IPv6":true}`,
		`{"com.docker.network.generic":{"com.docker.network.driver.mtu":"01400","com.docker.network.bridge.enable_icc":"T","com.docker.network.bridge.host_binding_ipv4":"192.0.2.9,127.0.0.1"}}`: `{"Internal":false,"IPv4":true,"IPv6":false,"Given":{"com.docker.network.bridge.enable_icc":"T","com.docker.network.bridge.host_binding_ipv4":"192.0.2.9,127.0.0.1","com.docker.network.driver.mtu":"01400"}}`,
	} {
		n, err := ParseNetwork(decoded(t, text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if b, err := json.Marshal(n); err != nil || string(b) != want {
			t.Errorf("%s is stored as %s (%v), want %s", text, b, err, want)
		}
		wantStored(t, n)
	}
	e, err := ParseEndpoint(options(t, `{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}`))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(e); err != nil || string(b) != `{}` {
		t.Errorf("an endpoint without options is stored as %s (%v)", b, err)
	}
	wantStored(t, e)
}

// more is the table with options of later versions: each sets what it is about.
func more(mtu *string, mark *string) []Option {
	return append(OptionsTable(),
		Option{Name: "gangway.later", Where: ForNetwork, Default: "eight", network: func(_ *Network, v string) error {
			if *mtu = v; v == "" {
				return errors.New("is empty")
			}
			return nil
		}},
		Option{Name: "gangway.mark", Where: ForContainer, Default: "none", container: func(_ *Endpoint, v string) error { *mark = v; return nil }},
	)
}

// TestNewOption: what was stored before there was an option has its default, and what
// is stored with it has what was given: no new schema. A version without the option
// refuses it.
func TestNewOption(t *testing.T) {
	var later, mark string
	table := more(&later, &mark)
	old, err := ParseNetwork(decoded(t, `{"com.docker.network.generic":{"com.docker.network.driver.mtu":"1400"}}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	var n Network
	if err := n.load(table, b); err != nil || n != old || later != "eight" {
		t.Errorf("%s gives %+v with gangway.later=%s (%v)", b, n, later, err)
	}
	given := []byte(`{"Internal":false,"IPv4":true,"IPv6":false,"Given":{"gangway.later":"nine"}}`)
	if err := n.load(table, given); err != nil || later != "nine" {
		t.Errorf("%s gives gangway.later=%s (%v)", given, later, err)
	}
	wantErr(t, json.Unmarshal(given, &n), `unknown network option "gangway.later"`, "another version of gangway has taken it")
	wantErr(t, n.load(table, []byte(`{"Given":{"gangway.later":""}}`)), `network option gangway.later: "" is empty: another version`)
	wantErr(t, n.load(table, []byte(`{"Given":{"gangway.mark":"x"}}`)), "gangway.mark is an option of one container")
}

// TestNewOptionOfAContainer is the same for one container.
func TestNewOptionOfAContainer(t *testing.T) {
	var later, mark string
	table := more(&later, &mark)
	bare, err := ParseEndpoint(nil)
	if err != nil {
		t.Fatal(err)
	}
	var e Endpoint
	if err := e.load(table, []byte(`{}`)); err != nil || e != bare || mark != "none" {
		t.Errorf("an endpoint is %+v with gangway.mark=%s (%v)", e, mark, err)
	}
	given := []byte(`{"gangway.mark":"7"}`)
	if err := e.load(table, given); err != nil || mark != "7" {
		t.Errorf("%s gives gangway.mark=%s (%v)", given, mark, err)
	}
	if b, err := json.Marshal(e); err != nil || string(b) != string(given) {
		t.Errorf("%s is stored as %s (%v)", given, b, err)
	}
	wantErr(t, json.Unmarshal(given, &e), `unknown endpoint option "gangway.mark"`)
}

// TestSameInOtherWords: what counts is compared, not the words for it; messages have
// the words.
func TestSameInOtherWords(t *testing.T) {
	const name = "com.docker.network.bridge.enable_icc"
	parse := func(value string) Network {
		n, err := ParseNetwork(user(name, value))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	short, long, other := parse("F"), parse("false"), parse("true")
	if !short.Equal(long) || short == long || short.Equal(other) {
		t.Errorf("%s and %s: equal %t, the same %t; with %s: equal %t", short, long, short.Equal(long), short == long, other, short.Equal(other))
	}
	for n, want := range map[Network]string{
		short: "-o " + name + "=F", {IPv4: true}: "none", {Internal: true, IPv6: true}: "--internal --ipv4=false --ipv6",
		{IPv4: true, given: `{"b":"2","a":"1"}`}: "-o a=1 -o b=2", {IPv4: true, given: `{`}: "{",
	} {
		if got := n.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := (Endpoint{given: `{"a":"1"}`}).String(); got != "--driver-opt a=1" || !(Endpoint{given: `{"a":"1"}`}).Equal(Endpoint{}) {
		t.Errorf("got %q", got)
	}
}
