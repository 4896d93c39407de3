package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// aged writes a store of an older schema.
func aged(t *testing.T, version string, values map[string][]byte) (path string, image []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state.db")
	s, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s.Bucket("driver"), values)
	err = errors.Join(
		s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte(version)) }),
		s.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, image
}

// TestMigrate: what a value lacks is added, what it has is kept, other values
// stay as they are, and the second time there is nothing to do.
func TestMigrate(t *testing.T) {
	path, _ := aged(t, "1", map[string][]byte{
		"network/a":  []byte(`{"ID":"a","Options":{"MTU":1400,"HostBinding4":"127.0.0.1"}}`),
		"network/b":  []byte(`{"ID":"b","Options":{"GatewayMode6":"routed","HostBinding6":"::1","InhibitIPv4":true}}`),
		"endpoint/e": []byte(`{"ID":"e","Options":{}}`),
	})
	for range 2 {
		s := open(t, path)
		wantContent(t, s.Bucket("driver"), map[string]string{
			"network/a":  `{"ID":"a","Options":{"Given":{"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1","com.docker.network.driver.mtu":"1400"}}}`,
			"network/b":  `{"ID":"b","Options":{"Given":{"com.docker.network.bridge.gateway_mode_ipv6":"routed","com.docker.network.bridge.inhibit_ipv4":"true","gangway.host_binding_ipv6":"::1"}}}`,
			"endpoint/e": `{"ID":"e","Options":{}}`,
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(migrations()); n != schema-oldest {
		t.Errorf("%d migrations lead from schema %d to %d", n, oldest, schema)
	}
}

// TestMigrateFails: a value that the migration cannot read leaves the file as
// it was.
func TestMigrateFails(t *testing.T) {
	for value, part := range map[string]string{
		"{":                 "unexpected end",
		`{"ID":"z"}`:        "Options: unexpected end",
		`{"Options":null}`:  "Options is null",
		`{"Options":"nat"}`: "cannot unmarshal",
	} {
		t.Run(value, func(t *testing.T) {
			path, image := aged(t, "1", map[string][]byte{"network/a": []byte(`{"Options":{}}`), "network/z": []byte(value)})
			refused(t, path, image, "bring schema 1 to 2: network/z: ", part)
		})
	}
}

// TestMigrateOptions: what networks had beside the defaults becomes the text that a user
// would have given for it, what the engine said stays, and endpoints have no options.
func TestMigrateOptions(t *testing.T) {
	const plain = `"Bridge":"","MTU":0,"Masquerade":true,"ICC":true,"GatewayMode4":"nat","GatewayMode6":"nat","InhibitIPv4":false,"HostBinding4":"0.0.0.0","HostBinding6":"::","Host4":"","Host6":"","AntiSpoofing":"","Trusted":"","IfacePrefix":"eth"`
	const full = `"Bridge":"mine","MTU":1400,"Masquerade":false,"ICC":false,"GatewayMode4":"routed","GatewayMode6":"nat-unprotected","InhibitIPv4":true,"HostBinding4":"127.0.0.1,192.0.2.1","HostBinding6":"::1","Host4":"192.0.2.1","Host6":"fd00::1","AntiSpoofing":"allowed","Trusted":"eth0:eth1","IfacePrefix":"lan"`
	path, _ := aged(t, "4", map[string][]byte{
		"network/plain": []byte(`{"ID":"plain","Options":{"Internal":true,"IPv4":true,"IPv6":false,` + plain + `},"Bridge":"gw-1"}`),
		"network/full":  []byte(`{"ID":"full","Options":{"Internal":false,"IPv4":false,"IPv6":true,` + full + `},"Bridge":"mine"}`),
		"network/guard": []byte(`{"ID":"guard","Options":{"AntiSpoofing":"refused","HostBinding6":""}}`),
		"endpoint/e":    []byte(`{"ID":"e","MAC":"02:42:0a:00:00:02"}`),
		"host":          []byte(`{"BootID":"x"}`),
	})
	s := open(t, path)
	wantContent(t, s.Bucket("driver"), map[string]string{
		"network/plain": `{"Bridge":"gw-1","ID":"plain","Options":{"IPv4":true,"IPv6":false,"Internal":true}}`,
		"network/full": `{"Bridge":"mine","ID":"full","Options":{"Given":{` +
			`"com.docker.network.bridge.enable_icc":"false","com.docker.network.bridge.enable_ip_masquerade":"false",` +
			`"com.docker.network.bridge.gateway_mode_ipv4":"routed","com.docker.network.bridge.gateway_mode_ipv6":"nat-unprotected",` +
			`"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1,192.0.2.1","com.docker.network.bridge.inhibit_ipv4":"true",` +
			`"com.docker.network.bridge.name":"mine","com.docker.network.bridge.trusted_host_interfaces":"eth0:eth1",` +
			`"com.docker.network.container_iface_prefix":"lan","com.docker.network.driver.mtu":"1400",` +
			`"com.docker.network.host_ipv4":"192.0.2.1","com.docker.network.host_ipv6":"fd00::1",` +
			`"gangway.anti_spoofing":"false","gangway.host_binding_ipv6":"::1"},"IPv4":false,"IPv6":true,"Internal":false}}`,
		"network/guard": `{"ID":"guard","Options":{"Given":{"gangway.anti_spoofing":"true"}}}`,
		"endpoint/e":    `{"ID":"e","MAC":"02:42:0a:00:00:02","Options":{}}`,
		"host":          `{"BootID":"x"}`,
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for value, part := range map[string]string{
		`{"Options":{"Rate":"1"}}`: `options have a part "Rate"`,
		`{"Options":[]}`:           "options: json: cannot unmarshal",
	} {
		path, image := aged(t, "4", map[string][]byte{"network/z": []byte(value)})
		refused(t, path, image, "bring schema 4 to 5: network/z: ", part)
	}
}
