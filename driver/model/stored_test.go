package model

import (
	"encoding"
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/gangway-net/gangway/integration/golden"
)

// TestStoredForm notices when what is stored gets, loses or changes a part.
// Then the schema needs a new number and a migration, see CONTRIBUTING.
func TestStoredForm(t *testing.T) {
	var lines []string
	form("network", reflect.TypeFor[Network](), &lines)
	form("endpoint", reflect.TypeFor[Endpoint](), &lines)
	form("policy", reflect.TypeFor[NamedPolicy](), &lines)
	form("host", reflect.TypeFor[HostRecord](), &lines)
	got, err := json.MarshalIndent(lines, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, filepath.Join("testdata", "stored.golden"), string(got)+"\n")
}

// form lists the parts of a type as JSON has them. Options are stored as the user's
// text: another one changes nothing.
func form(path string, of reflect.Type, lines *[]string) {
	_, isText := reflect.New(of).Interface().(encoding.TextUnmarshaler)
	_, hasForm := reflect.New(of).Interface().(json.Unmarshaler)
	switch {
	case isText || hasForm:
	case of.Kind() == reflect.Pointer:
		form(path, of.Elem(), lines)
		return
	case of.Kind() == reflect.Slice:
		form(path+"[]", of.Elem(), lines)
		return
	case of.Kind() == reflect.Struct:
		for _, f := range reflect.VisibleFields(of) {
			if f.Tag.Get("json") == "-" {
				continue // it is not stored
			}
			form(path+"."+f.Name+string(f.Tag), f.Type, lines)
		}
		return
	}
	*lines = append(*lines, path+" "+of.String())
}
