package driver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDroppedList: each packet is listed at one place, the closest that is known.
func TestDroppedList(t *testing.T) {
	var sums tally
	read := func(packets uint64, p dropPlace) reading {
		return reading{counter: p.String(), place: p, packets: packets}
	}
	sums.take(fromRules, nil)
	sums.take(fromRules, []reading{
		read(7, dropPlace{reason: "isolated"}),
		read(5, dropPlace{network: "n1", reason: "isolated"}),
		read(3, dropPlace{network: "n1", endpoint: "e1", reason: "isolated"}),
		read(2, dropPlace{network: "n1", endpoint: "e1", reason: "icc"}),
		read(1, dropPlace{network: "n1", endpoint: "gone", reason: "icc"}),
	})
	got := sums.list(func(endpoint string) string {
		if endpoint == "e1" {
			return "n1"
		}
		return ""
	})
	want := []Dropped{
		{Reason: "isolated", Packets: 7},
		{Reason: "icc", Packets: 1, NetworkID: "n1"},
		{Reason: "isolated", Packets: 5, NetworkID: "n1"},
		{Reason: "icc", Packets: 2, NetworkID: "n1", EndpointID: "e1"},
		{Reason: "isolated", Packets: 3, NetworkID: "n1", EndpointID: "e1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("dropped (-want +got):\n%s", d)
	}
}
