package config

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type recordedOptions struct{ engine, verb, text string }

// recorded returns options that engines really sent with one of the verbs.
func recorded(t testing.TB, verbs ...string) []recordedOptions {
	t.Helper()
	b, err := os.ReadFile("testdata/options.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []recordedOptions
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		for _, v := range verbs {
			if v == f[1] {
				out = append(out, recordedOptions{f[0], f[1], f[2]})
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("no recorded options of %v", verbs)
	}
	return out
}

// TestRecordedOptions has every options object of the recordings accepted, and
// every port of it there.
func TestRecordedOptions(t *testing.T) {
	for _, r := range recorded(t, "CreateNetwork", "GwAllocCheck") {
		n, err := ParseNetwork(decoded(t, r.text))
		if err != nil {
			t.Errorf("%s %s: %v", r.engine, r.verb, err)
		}
		if internal := strings.Contains(r.text, "internal"); n.Internal != internal || n.MTU != 1400 && !internal {
			t.Errorf("%s %s gives %+v", r.verb, r.text, n)
		}
	}
	for _, r := range recorded(t, "CreateEndpoint", "Join", "ProgramExternalConnectivity") {
		if _, err := ParseEndpoint(options(t, r.text)); err != nil {
			t.Errorf("%s %s: %v", r.engine, r.verb, err)
		}
		p, err := ParsePublish(options(t, r.text))
		if want := strings.Count(r.text, `"HostIP"`); err != nil || len(p.Bindings) != want {
			t.Errorf("%s %s: %d bindings (%v), want %d", r.engine, r.verb, len(p.Bindings), err, want)
		}
	}
}

func TestParsePublish(t *testing.T) {
	const all = `{"com.docker.network.driver.private.no_proxy_6to4":true,
		"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":1234},{"Proto":132,"Port":1}],
		"com.docker.network.portmap":[
		{"Proto":17,"IP":"","Port":99,"HostIP":"","HostPort":0,"HostPortEnd":0},
		{"Proto":6,"IP":"","Port":90,"HostIP":"","HostPort":9000,"HostPortEnd":9002},
		{"Proto":6,"IP":"","Port":82,"HostIP":"127.0.0.1","HostPort":8002,"HostPortEnd":8002},
		{"Proto":132,"IP":"","Port":81,"HostIP":"::ffff:10.0.0.1","HostPort":8001,"HostPortEnd":0},
		{"Proto":6,"Port":65535,"HostIP":"::","HostPort":65535},
		{"Proto":6,"IP":"","Port":70,"HostIP":"::1","HostPort":7000,"HostPortEnd":7000}]}`
	want := Publish{NoProxy6To4: true, Bindings: []PortBinding{
		{6, 70, netip.MustParseAddr("::1"), 7000, 7000},
		{6, 82, netip.MustParseAddr("127.0.0.1"), 8002, 8002},
		{6, 65535, netip.MustParseAddr("::"), 65535, 65535},
		{132, 81, netip.MustParseAddr("10.0.0.1"), 8001, 8001},
		{6, 90, netip.Addr{}, 9000, 9002},
		{17, 99, netip.Addr{}, 0, 0},
	}}
	o := decoded(t, all)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		list := o[keyPortMap].([]any)
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePublish(options(t, string(text)))
		if err != nil || !reflect.DeepEqual(got, want) || !got.Equal(want) {
			t.Fatalf("got %+v (%v), want %+v", got, err, want)
		}
	}
	for _, nothing := range []string{`null`, `{}`, `{"com.docker.network.portmap":null,"com.docker.network.endpoint.exposedports":null}`, `{"com.docker.network.portmap":[]}`} {
		if got, err := ParsePublish(options(t, nothing)); err != nil || !got.Equal(Publish{}) {
			t.Errorf("%s gives %+v (%v)", nothing, got, err)
		}
	}
}

func TestPublishEqual(t *testing.T) {
	one := Publish{Bindings: []PortBinding{{Proto: 6, Port: 80, HostPort: 8080, HostPortEnd: 8080}}}
	for name, other := range map[string]Publish{
		"nothing": {}, "flag": {Bindings: one.Bindings, NoProxy6To4: true},
		"more": {Bindings: append(one.Bindings[:1:1], PortBinding{Proto: 17, Port: 1})},
		"port": {Bindings: []PortBinding{{Proto: 6, Port: 80, HostPort: 8081, HostPortEnd: 8081}}},
	} {
		if one.Equal(other) || other.Equal(one) {
			t.Errorf("%s: equal", name)
		}
	}
	if !one.Equal(one) {
		t.Error("not equal to itself")
	}
}

// portJSON is one element of a port map, with some fields replaced.
func portJSON(fields string) string {
	e := map[string]any{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}
	var changed map[string]any
	if err := json.Unmarshal([]byte(fields), &changed); err != nil {
		panic(err)
	}
	for k, v := range changed {
		e[k] = v
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestRefusedPorts(t *testing.T) {
	for fields, part := range map[string]string{
		`{"Proto":0}`:                   "protocol 0: want 6 (tcp), 17 (udp) or 132 (sctp)",
		`{"Proto":1}`:                   "protocol 1",
		`{"Proto":262}`:                 "Proto 262 is not a whole number from 0 to 255",
		`{"Proto":"tcp"}`:               "Proto is a string instead of a number",
		`{"Proto":null}`:                "protocol 0",
		`{"Port":0}`:                    "container port 0: want 1 to 65535",
		`{"Port":65536}`:                "Port 65536 is not a whole number from 0 to 65535",
		`{"Port":-1}`:                   "Port -1 is not",
		`{"Port":80.5}`:                 "Port 80.5 is not",
		`{"Port":1e300}`:                "Port 1e+300 is not",
		`{"HostPort":70000}`:            "HostPort 70000 is not",
		`{"HostPort":true}`:             "HostPort is a boolean instead of a number",
		`{"HostPortEnd":[]}`:            "HostPortEnd is a list instead of a number",
		`{"HostPortEnd":8079}`:          "host ports 8080-8079",
		`{"HostPort":0}`:                "host ports 0-8080",
		`{"HostIP":"host"}`:             `host address "host" is not an IP address`,
		`{"HostIP":"10.0.0.0/8"}`:       "is not an IP address",
		`{"HostIP":"fe80::1%eth0"}`:     "has a zone",
		`{"HostIP":"ff02::1"}`:          "is a multicast address",
		`{"HostIP":"::ffff:224.0.0.1"}`: "is a multicast address",
		`{"HostIP":7}`:                  "HostIP is a number instead of a string",
		`{"IP":{}}`:                     "IP is an object instead of a string",
	} {
		good := portJSON(`{}`)
		_, err := ParsePublish(options(t, `{"com.docker.network.portmap":[`+good+`,`+portJSON(fields)+`]}`))
		if err == nil {
			t.Errorf("%s is accepted", fields)
			continue
		}
		wantErr(t, err, "com.docker.network.portmap: element 1: ", part)
	}
	for text, part := range map[string]string{
		`{"com.docker.network.portmap":{}}`:                          "com.docker.network.portmap: an object instead of a list",
		`{"com.docker.network.portmap":["80"]}`:                      "element 0: a string instead of an object",
		`{"com.docker.network.driver.private.no_proxy_6to4":"true"}`: "no_proxy_6to4: a string instead of true or false",
	} {
		_, err := ParsePublish(options(t, text))
		wantErr(t, err, part)
	}
}

func TestParseEndpoint(t *testing.T) {
	for _, text := range []string{
		`null`, `{}`,
		`{"com.docker.network.endpoint.macaddress":"AkIKMgBN"}`,
		`{"com.docker.network.endpoint.dnsservers":["9.9.9.9"]}`, `{"com.docker.network.endpoint.dnsservers":null}`,
		`{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}`,
		`{"com.docker.network.from_a_newer_engine":["x"],"com.docker.network.another":true}`,
	} {
		if _, err := ParseEndpoint(options(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, part := range map[string]string{
		`{"xx":"yy"}`: `unknown endpoint option "xx": known are `,
		`{"com.docker.network.endpoint.sysctl":"x=1"}`:          "did you mean com.docker.network.endpoint.sysctls?",
		`{"com.docker.network.endpoint.ifname":"lan0"}`:         "set the network option com.docker.network.container_iface_prefix",
		`{"com.docker.network.driver.mtu":"1400"}`:              "is an option of networks: give it to docker network create -o",
		`{"com.docker.network.bridge.gateway_mode_ipv4":"nat"}`: "is an option of networks",
		`{"com.docker.network.advertise_addr_nmsgs":"2"}`:       "is an option of networks",
		`{"gangway.enable_icc":"false"}`:                        "unknown endpoint option",
		`{"com.docker.network.endpoint.macaddress":7}`:          "a number instead of a string",
		`{"com.docker.network.endpoint.sysctls":{}}`:            "an object instead of a string",
		`{"com.docker.network.endpoint.dnsservers":"x"}`:        "a string instead of a list",
		`{"com.docker.network.endpoint.dnsservers":["x",1]}`:    "element 1 is a number instead of a string",
	} {
		_, err := ParseEndpoint(options(t, text))
		wantErr(t, err, part)
	}
}

// sound is what the documentation of PortBinding promises.
func sound(b PortBinding) bool {
	return (b.Proto == 6 || b.Proto == 17 || b.Proto == 132) && b.Port != 0 &&
		b.HostPortEnd >= b.HostPort && (b.HostPort != 0 || b.HostPortEnd == 0) &&
		!b.HostIP.Is4In6() && b.HostIP.Zone() == ""
}

// reference reads the ports of a text that was accepted with encoding/json alone.
func reference(t *testing.T, text string) []PortBinding {
	t.Helper()
	var out []PortBinding
	list, _ := decoded(t, text)[keyPortMap].([]any)
	for _, e := range list {
		o, _ := e.(map[string]any)
		n := func(field string) uint16 { v, _ := o[field].(float64); return uint16(v) }
		b := PortBinding{Proto: uint8(n("Proto")), Port: n("Port"), HostPort: n("HostPort"), HostPortEnd: n("HostPortEnd")}
		if ip, _ := o["HostIP"].(string); ip != "" {
			b.HostIP = netip.MustParseAddr(ip).Unmap()
		}
		if b.HostPortEnd == 0 {
			b.HostPortEnd = b.HostPort
		}
		out = append(out, b)
	}
	slices.SortFunc(out, byFreedom)
	return out
}

func FuzzParsePublish(f *testing.F) {
	corpus(f, "CreateEndpoint", "Join", "ProgramExternalConnectivity")
	f.Fuzz(func(t *testing.T, text string) {
		var o EndpointOptions
		var whole any // with a number beyond float64 there is no reference
		if json.Unmarshal([]byte(text), &o) != nil || json.Unmarshal([]byte(text), &whole) != nil {
			return
		}
		p, err := ParsePublish(o)
		if err != nil {
			return
		}
		if want := reference(t, text); !slices.Equal(p.Bindings, want) {
			t.Errorf("%s: got %+v, encoding/json gives %+v", text, p.Bindings, want)
		}
		for i, b := range p.Bindings {
			if !sound(b) {
				t.Errorf("%s: %+v is accepted", text, b)
			}
			if i > 0 && byFreedom(p.Bindings[i-1], b) > 0 {
				t.Errorf("%s: binding %d is out of order", text, i)
			}
		}
		stored, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Publish
		if err := json.Unmarshal(stored, &back); err != nil || !back.Equal(p) {
			t.Errorf("%s: stored as %s, read as %+v (%v)", text, stored, back, err)
		}
	})
}

func FuzzParseEndpoint(f *testing.F) {
	corpus(f, "CreateEndpoint")
	f.Fuzz(func(t *testing.T, text string) {
		var raw EndpointOptions
		var whole any
		if json.Unmarshal([]byte(text), &raw) != nil || json.Unmarshal([]byte(text), &whole) != nil {
			return
		}
		e, err := ParseEndpoint(raw)
		if err != nil {
			return
		}
		wantStored(t, e)
		engines := []string{keyMACAddress, keyPortMap, keyExposed, keyNoProxy6To4}
		for k, v := range decoded(t, text) {
			_, isText := v.(string)
			if _, err := find(OptionsTable(), ForContainer, k); isText && err != nil && !slices.Contains(engines, k) {
				t.Errorf("%s: driver option %q is accepted", text, k)
			}
		}
	})
}

// BenchmarkParsePublish is a container with 10 000 ports.
func BenchmarkParsePublish(b *testing.B) {
	var list []string
	for i := range 10000 {
		list = append(list, portJSON(fmt.Sprintf(`{"Port":%d,"HostPort":%d,"HostPortEnd":%d}`, i+1, i+1, i+1)))
	}
	body := []byte(`{"com.docker.network.portmap":[` + strings.Join(list, ",") + `]}`)
	for b.Loop() {
		var o EndpointOptions
		if err := json.Unmarshal(body, &o); err != nil {
			b.Fatal(err)
		}
		if _, err := ParsePublish(o); err != nil {
			b.Fatal(err)
		}
	}
}
