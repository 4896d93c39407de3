package page

import (
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
)

// TestViewersShare: what is told costs the same for one viewer as for all that there may be: it
// is put into words once, and they share it, also while it waits for them.
func TestViewersShare(t *testing.T) {
	tell := func(viewers int) float64 {
		l := &live{log: testkit.Quiet(), viewers: map[chan []byte]bool{}}
		var all []chan []byte
		for range viewers {
			c := make(chan []byte, backlog)
			l.viewers[c] = true
			all = append(all, c)
		}
		graph, changing := split(graphtest.Many(50, 10).Graph)
		m := message{Graph: graph, Tick: &changing, Packets: []plugin.DroppedPacket{{}}}
		var lines [][]byte
		allocated := testing.AllocsPerRun(10, func() {
			l.tell(m)
			lines = nil
			for _, c := range all {
				lines = append(lines[:len(lines):cap(lines)], <-c)
			}
		})
		for _, line := range lines {
			if &line[0] != &lines[0][0] {
				t.Error("viewers have a copy each")
			}
		}
		return allocated
	}
	if one, all := tell(1), tell(maxViewers); all > one+10 {
		t.Errorf("%v allocations for one viewer, %v for %d", one, all, maxViewers)
	}
}
