package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// raceEar counts what arrives at the outside, by port.
const raceEar = `nft -f - <<'EOF'
table inet races {
	set seen { type inet_service; flags dynamic; counter; }
	chain in { type filter hook prerouting priority -450; udp dport 6001-6009 update @seen { udp dport }; }
}
EOF`

// racer is a container that sends from its first moment on, again and again, each time by a flow
// of its own.
type racer struct {
	*harness.Engine
	name, attach string
	port         int
	open         bool
}

func (r racer) start(t *testing.T) {
	t.Helper()
	r.Start(t, harness.Container{Name: r.name, Network: r.attach}, "probe", "repeat", "-timeout", "50ms", "-every", "5ms", "udp", fmt.Sprintf("192.0.2.2:%d", r.port))
}

// sends waits until the container has sent so many packets more.
func (r racer) sends(t *testing.T, more int) {
	t.Helper()
	sent := func() int {
		n, err := strconv.Atoi(strings.TrimSpace(r.Run(t, "sh", "-c", "docker logs "+r.name+" | wc -l")))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := sent()
	harness.EventuallyWithin(t, 2*time.Minute, "what "+r.name+" sends", func() error {
		if n := sent(); n < before+more {
			return fmt.Errorf("%d packets", n-before)
		}
		return nil
	})
}

// arrived is how many of its packets have arrived outside.
func (r racer) arrived(t *testing.T) (packets int) {
	t.Helper()
	for _, element := range strings.Split(r.LAN.Outside.Run(t, "nft", "list", "set", "inet", "races", "seen"), ",") {
		if _, rest, found := strings.Cut(element, fmt.Sprintf("%d counter packets ", r.port)); found {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			packets += n
		}
	}
	return packets
}

// check demands that nothing has arrived of who may send nothing, and something of the others.
func (r racer) check(t *testing.T, when string) {
	t.Helper()
	if n := r.arrived(t); n > 0 != r.open {
		t.Errorf("%s: %d packets of %s have arrived", when, n, r.name)
	}
}

// testPolicyRaces: nothing leaves a container before its policy is there, whether its network has
// it or itself, and nothing while the daemon or the engine are killed and come back, nor while rules
// are flushed. From an open network the same arrives all the time.
func testPolicyRaces(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Run(t, "sh", "-c", raceEar)
	t.Cleanup(func() { e.LAN.Outside.Run(t, "nft", "delete table inet races") })
	e.Network(t, "n1", "--subnet", "10.74.0.0/24")
	e.Network(t, "n2", "--subnet", "10.75.0.0/24", "-o", "gangway.egress=deny")
	racers := []racer{
		{e, "open", "n1", 6001, true}, {e, "shut", "n2", 6002, false},
		{e, "own", "name=n1,driver-opt=gangway.egress=deny", 6003, false}, {e, "named", "name=n1,driver-opt=gangway.egress=deny,driver-opt=gangway.egress.allow=registry.example:443", 6004, false},
	}
	for _, r := range racers {
		r.start(t)
	}
	step := func(when string) {
		t.Helper()
		before := racers[0].arrived(t)
		for _, r := range racers {
			r.sends(t, 50)
			r.check(t, when)
		}
		if racers[0].arrived(t) == before {
			t.Errorf("%s: nothing arrives from an open network", when)
		}
	}
	step("from the start on")
	for range 3 {
		e.Docker(t, "restart", "-t", "0", "shut", "own", "named")
		step("after they have started again")
	}
	back := killGangway(t, e)
	step("while the daemon is down, or comes back")
	back()
	step("while the daemon comes back")
	flushGangway(t, e)
	for _, r := range racers { // what is open may be gone for a moment
		r.sends(t, 50)
		r.check(t, "after a flush")
	}
	harness.Eventually(t, "the open network to be back", func() error {
		if before := racers[0].arrived(t); before == racers[0].arrived(t) {
			return fmt.Errorf("nothing arrives")
		}
		return nil
	})
}
