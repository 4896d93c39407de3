package plugin

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// samples has a request that holds for each call with a body.
func samples() map[string]string {
	const ids = `{"NetworkID":"n1","EndpointID":"e1"}`
	return map[string]string{
		"NetworkDriver.GwAllocCheck":   `{"Options":{"com.docker.network.enable_ipv4":true}}`,
		"NetworkDriver.CreateNetwork":  `{"NetworkID":"n1","Options":{"a":"b"},"IPv4Data":[{"AddressSpace":"l","Pool":"10.0.0.0/24","Gateway":"10.0.0.1/24","AuxAddresses":{"nas":"10.0.0.9/24"}}],"IPv6Data":[{"AddressSpace":"l","Pool":"fd00::/64","Gateway":"fd00::1/64"}]}`,
		"NetworkDriver.DeleteNetwork":  `{"NetworkID":"n1"}`,
		"NetworkDriver.FreeNetwork":    `{"NetworkID":"n1"}`,
		"NetworkDriver.CreateEndpoint": `{"NetworkID":"n1","EndpointID":"e1","Interface":{"Address":"10.0.0.2/24","AddressIPv6":"fd00::2/64","MacAddress":"02:42:0a:00:00:02"},"Options":{}}`,
		"NetworkDriver.DeleteEndpoint": ids, "NetworkDriver.EndpointOperInfo": ids, "NetworkDriver.Leave": ids,
		"NetworkDriver.Join":                        `{"NetworkID":"n1","EndpointID":"e1","SandboxKey":"/run/docker/netns/1","Options":{}}`,
		"NetworkDriver.ProgramExternalConnectivity": `{"NetworkID":"n1","EndpointID":"e1","Options":{"com.docker.network.portmap":[]}}`,
		"NetworkDriver.RevokeExternalConnectivity":  ids,
		"NetworkDriver.DiscoverNew":                 `{"DiscoveryType":1,"DiscoveryData":{"Address":"192.0.2.1"}}`,
		"NetworkDriver.DiscoverDelete":              `{"DiscoveryType":1,"DiscoveryData":{"Address":"192.0.2.1"}}`,
		"IpamDriver.RequestPool":                    `{"AddressSpace":"l","Pool":"10.0.0.0/24","SubPool":"10.0.0.128/25","Options":{},"V6":false}`,
		"IpamDriver.ReleasePool":                    `{"PoolID":"l/10.0.0.0/24"}`,
		"IpamDriver.RequestAddress":                 `{"PoolID":"l/10.0.0.0/24","Address":"10.0.0.5","Options":null}`,
		"IpamDriver.ReleaseAddress":                 `{"PoolID":"l/10.0.0.0/24","Address":"10.0.0.5"}`,
	}
}

func bodiless() []string {
	return []string{"Plugin.Activate", "NetworkDriver.GetCapabilities", "IpamDriver.GetCapabilities", "IpamDriver.GetDefaultAddressSpaces"}
}

// TestSamples keeps the other tests of bodies honest: what they break holds.
func TestSamples(t *testing.T) {
	d := ready(t, nil)
	for op, body := range samples() {
		if status, answer := d.call(t, op, body); status != 200 {
			t.Errorf("%s: %d %s", op, status, answer)
		}
	}
	for _, op := range bodiless() {
		if status, answer := d.call(t, op, ""); status != 200 {
			t.Errorf("%s: %d %s", op, status, answer)
		}
	}
}

// TestBrokenBodies breaks the body of every call in every way; nothing may
// reach the domain.
func TestBrokenBodies(t *testing.T) {
	d := ready(t, nil)
	for op, body := range samples() {
		broken := map[string]string{
			"empty": "", "blank": " \n\t", "null": "null", "text": `"x"`, "list": "[]", "number": "7",
			"not json": "NetworkID=n1", "trailing garbage": body + "x", "two objects": body + body,
			"binary": "\x00\x01\x02", "open": strings.Repeat(`{"Options":`, 20000),
		}
		for name, b := range broken {
			if msg := d.refused(t, op, b, 400); !strings.Contains(msg, "request") {
				t.Errorf("%s %s: %s", op, name, msg)
			}
		}
		for cut := 1; cut < len(body); cut++ {
			d.refused(t, op, body[:cut], 400)
		}
	}
	for _, op := range bodiless()[1:] {
		d.refused(t, op, "x", 400)
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("broken bodies reached the domain: %v", calls)
	}
}

// TestWrongTypes replaces each field of each call, at any depth, by a value of
// a type that it does not have.
func TestWrongTypes(t *testing.T) {
	d := ready(t, nil)
	free := []string{"DiscoveryData", "Options"}
	for op, body := range samples() {
		var fields map[string]any
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		for name, old := range fields {
			if name == "DiscoveryData" {
				continue
			}
			for _, wrong := range []any{7.5, map[string]any{"x": []any{}}, []any{1}, "x"} {
				if sameType(old, wrong) || slices.Contains(free, name) && sameType(map[string]any{}, wrong) {
					continue
				}
				changed := maps.Clone(fields)
				changed[name] = wrong
				b, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				if msg := d.refused(t, op, string(b), 400); !strings.Contains(msg, name) {
					t.Errorf("%s with %s=%v: %q does not name the field", op, name, wrong, msg)
				}
			}
		}
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("wrong types reached the domain: %v", calls)
	}
}

func sameType(a, b any) bool {
	kind := func(v any) string {
		switch v.(type) {
		case string:
			return "string"
		case map[string]any:
			return "object"
		case []any:
			return "list"
		case float64, bool:
			return "other"
		}
		return "null"
	}
	return kind(a) == kind(b)
}

// TestValues has what is JSON of the right types and still does not hold.
func TestValues(t *testing.T) {
	d := ready(t, nil)
	network := func(v4, v6 string) string { return `{"NetworkID":"n1","IPv4Data":` + v4 + `,"IPv6Data":` + v6 + `}` }
	endpoint := func(fields string) string { return `{"NetworkID":"n1","EndpointID":"e1","Interface":{` + fields + `}}` }
	for _, tc := range []struct{ op, body, want string }{
		{"NetworkDriver.CreateNetwork", `{}`, "NetworkID is missing"},
		{"NetworkDriver.CreateNetwork", network(`[null]`, `[]`), "IPv4Data.Pool is missing"},
		{"NetworkDriver.CreateNetwork", network(`[{}]`, `[]`), "IPv4Data.Pool is missing"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"10.0.0.0/33"}]`, `[]`), `IPv4Data.Pool: "10.0.0.0/33" is not an IPv4 address with a prefix length`},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"fd00::/64"}]`, `[]`), "not an IPv4 address"},
		{"NetworkDriver.CreateNetwork", network(`[]`, `[{"Pool":"10.0.0.0/24"}]`), "IPv6Data.Pool"},
		{"NetworkDriver.CreateNetwork", network(`[]`, `[{"Pool":"::ffff:10.0.0.0/120"}]`), "IPv6Data.Pool"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"10.0.0.5/24"}]`, `[]`), "the subnet is 10.0.0.0/24"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"0.0.0.0/0"}]`, `[]`), "--ipam-driver null"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"10.0.0.0/24","Gateway":"10.0.0.1"}]`, `[]`), "IPv4Data.Gateway"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"10.0.0.0/24","Gateway":"10.0.1.1/24"}]`, `[]`), "10.0.1.1 is not inside subnet 10.0.0.0/24"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"10.0.0.0/24","AuxAddresses":{"nas":"x"}}]`, `[]`), "AuxAddresses[nas]"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"10.0.0.0/24","AuxAddresses":{"nas":7}}]`, `[]`), "AuxAddresses[nas]"},
		{"NetworkDriver.CreateNetwork", network(`[{"Pool":"10.0.0.0/24"},{"Pool":"10.0.1.0/24"}]`, `[]`), "2 IPv4 subnets: a gangway network has one a family"},
		{"NetworkDriver.DeleteNetwork", `{"NetworkID":""}`, "NetworkID is missing"},
		{"NetworkDriver.CreateEndpoint", `{"NetworkID":"n1","Interface":{}}`, "EndpointID is missing"},
		{"NetworkDriver.CreateEndpoint", `{"NetworkID":"n1","EndpointID":"e1"}`, "Interface is missing"},
		{"NetworkDriver.CreateEndpoint", endpoint(`"Address":"10.0.0.2"`), "Interface.Address:"},
		{"NetworkDriver.CreateEndpoint", endpoint(`"Address":"fd00::2/64"`), "Interface.Address:"},
		{"NetworkDriver.CreateEndpoint", endpoint(`"AddressIPv6":"10.0.0.2/24"`), "such as fd00::2/64"},
		{"NetworkDriver.CreateEndpoint", endpoint(`"MacAddress":"02:42"`), "Interface.MacAddress"},
		{"NetworkDriver.CreateEndpoint", endpoint(`"MacAddress":"02:42:0a:00:00:02:00:00"`), "Interface.MacAddress"},
		{"NetworkDriver.Join", `{"NetworkID":"n1","EndpointID":"e1"}`, "SandboxKey is missing"},
		{"NetworkDriver.Leave", `{"EndpointID":"e1"}`, "NetworkID is missing"},
		{"NetworkDriver.DeleteEndpoint", `{"NetworkID":"n1"}`, "EndpointID is missing"},
		{"NetworkDriver.ProgramExternalConnectivity", `{"NetworkID":"n1"}`, "EndpointID is missing"},
		{"NetworkDriver.RevokeExternalConnectivity", `{}`, "NetworkID is missing"},
		{"NetworkDriver.EndpointOperInfo", `{}`, "NetworkID is missing"},
		{"IpamDriver.RequestPool", `{}`, "AddressSpace is missing"},
		{"IpamDriver.RequestPool", `{"AddressSpace":"l","SubPool":"10.0.0.0/25"}`, "--subnet together with --ip-range"},
		{"IpamDriver.RequestPool", `{"AddressSpace":"l","Pool":"10.0.0.0"}`, "Pool:"},
		{"IpamDriver.RequestPool", `{"AddressSpace":"l","Pool":"10.0.0.0/24","V6":true}`, "not an IPv6 address"},
		{"IpamDriver.RequestPool", `{"AddressSpace":"l","Pool":"10.0.0.0/24","SubPool":"fd00::/64"}`, "SubPool:"},
		{"IpamDriver.ReleasePool", `{}`, "PoolID is missing"},
		{"IpamDriver.RequestAddress", `{}`, "PoolID is missing"},
		{"IpamDriver.RequestAddress", `{"PoolID":"p","Address":"10.0.0.1/24"}`, "is not an IP address"},
		{"IpamDriver.RequestAddress", `{"PoolID":"p","Address":"fe80::1%eth0"}`, "is not an IP address"},
		{"IpamDriver.ReleaseAddress", `{"PoolID":"p"}`, "is not an IP address"},
	} {
		if msg := d.refused(t, tc.op, tc.body, 400); !strings.Contains(msg, tc.want) {
			t.Errorf("%s %s:\n got %s\nwant %s", tc.op, tc.body, msg, tc.want)
		}
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("reached the domain: %v", calls)
	}
}

// TestLenient has what looks odd and is right.
func TestLenient(t *testing.T) {
	d := ready(t, nil)
	for _, tc := range []struct{ op, body, want string }{
		{"NetworkDriver.DeleteNetwork", "\n {\"NetworkID\":\"n1\",\"NewInEngine99\":{\"a\":[1]}} \n", "DeleteNetwork n1"},
		{"NetworkDriver.Leave", `{"NetworkID":"hvs2zzjqhhqxlgkqnkzzzzzzz","EndpointID":"e"}`, "Leave hvs2zzjqhhqxlgkqnkzzzzzzz e"},
		{"NetworkDriver.CreateNetwork", `{"NetworkID":"n","IPv4Data":[{"Pool":"10.0.0.0/24","Gateway":"10.0.0.1/32","AuxAddresses":null}],"IPv6Data":null}`, "CreateNetwork n options={} v4=[10.0.0.0/24 gw=10.0.0.1/24 aux=map[]] v6=[]"},
		{"IpamDriver.RequestPool", `{"AddressSpace":"l","Pool":"10.0.0.77/24","SubPool":"10.0.0.200/25"}`, "RequestPool l 10.0.0.0/24 sub=10.0.0.128/25 v6=false options=map[]"},
		{"IpamDriver.RequestPool", `{"AddressSpace":"g","Pool":"fd00::/64","V6":false}`, "RequestPool g fd00::/64 sub=invalid Prefix v6=false options=map[]"},
	} {
		if status, answer := d.call(t, tc.op, tc.body); status != 200 {
			t.Errorf("%s: %d %s", tc.op, status, answer)
		}
		if calls := d.domain.take(); !slices.Equal(calls, []string{tc.want}) {
			t.Errorf("%s:\n got %v\nwant %s", tc.op, calls, tc.want)
		}
	}
}

// TestSize has a large request that is right, and one that is too large.
func TestSize(t *testing.T) {
	d := ready(t, nil)
	entry := `{"Proto":17,"IP":"","Port":10000,"HostIP":"","HostPort":10000,"HostPortEnd":10000},`
	list := strings.TrimSuffix(strings.Repeat(entry, 10000), ",")
	body := `{"NetworkID":"n1","EndpointID":"e1","Options":{"com.docker.network.portmap":[` + list + `]}}`
	if status, answer := d.call(t, "NetworkDriver.ProgramExternalConnectivity", body); status != 200 {
		t.Errorf("10 000 ports: %d %s", status, answer)
	}
	if calls := d.domain.take(); !slices.Equal(calls, []string{"Publish n1 e1 options={portmap=[10000]}"}) {
		t.Errorf("10 000 ports: %v", calls)
	}
	huge := `{"NetworkID":"` + strings.Repeat("n", maxBody) + `"}`
	if msg := d.refused(t, "NetworkDriver.DeleteNetwork", huge, http.StatusRequestEntityTooLarge); !strings.Contains(msg, "16 MiB") {
		t.Errorf("too large: %s", msg)
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("too large reached the domain: %v", calls)
	}
}

// TestRoutes has requests for what does not exist.
func TestRoutes(t *testing.T) {
	d := ready(t, nil)
	for _, op := range []string{"", "x", "NetworkDriver", "NetworkDriver.Nope", "NetworkDriver.Join/", "VolumeDriver.Create", "gangway/v1/", "gangway/v1/nope", "gangway/v2/status"} {
		if msg := d.refused(t, op, `{"NetworkID":"n1"}`, 404); !strings.Contains(msg, "no such call") {
			t.Errorf("%s: %s", op, msg)
		}
	}
	for op := range samples() {
		resp, err := d.client.Get("http://gangway/" + op)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(string(text), "POST") {
			t.Errorf("GET %s: %d %s", op, resp.StatusCode, text)
		}
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("reached the domain: %v", calls)
	}
}
