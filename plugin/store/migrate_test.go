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
			"network/a":  `{"ID":"a","Options":{"GatewayMode4":"nat","GatewayMode6":"nat","Host4":"","Host6":"","HostBinding4":"127.0.0.1","HostBinding6":"::","InhibitIPv4":false,"MTU":1400,"Trusted":""}}`,
			"network/b":  `{"ID":"b","Options":{"GatewayMode4":"nat","GatewayMode6":"routed","Host4":"","Host6":"","HostBinding6":"::1","InhibitIPv4":true,"Trusted":""}}`,
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
