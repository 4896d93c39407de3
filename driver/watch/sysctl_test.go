package watch

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// event is what inotify tells, with the name of a file and its padding.
func event(watch int32, mask uint32, file string) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(watch))
	b = binary.NativeEndian.AppendUint32(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(file)))
	return append(b, file...)
}

// TestSysctlEvents: a change of what is no link's own, and one that got lost, is about
// all links; the end of a watch is about none.
func TestSysctlEvents(t *testing.T) {
	tr := &tree{names: map[uint32]string{7: "gw-a", 8: "gw-b"}}
	a, b := event(7, unix.IN_MODIFY, "accept_ra\x00\x00\x00"), event(8, unix.IN_MODIFY, "route_localnet\x00\x00")
	tests := map[string]struct {
		read []byte
		want spec.Scope
	}{
		"nothing":        {nil, spec.Scope{}},
		"one":            {a, spec.Scope{Links: map[string]bool{"gw-a": true}}},
		"two":            {slices.Concat(a, b), spec.Scope{Links: map[string]bool{"gw-a": true, "gw-b": true}}},
		"of all":         {event(2, unix.IN_MODIFY, "ip_forward\x00\x00"), spec.Scope{All: true}},
		"too many":       {event(-1, unix.IN_Q_OVERFLOW, ""), spec.Scope{All: true}},
		"a watch's end":  {event(9, unix.IN_IGNORED, ""), spec.Scope{}},
		"half an event":  {a[:15], spec.Scope{}},
		"half of a name": {a[:20], spec.Scope{Links: map[string]bool{"gw-a": true}}},
	}
	for name, c := range tests {
		if got := tr.see(c.read); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
