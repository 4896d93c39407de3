package integration

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// testSocketUnit: with a socket that a service manager keeps, what the engine
// asks for while gangway is down waits for it, and so does an engine that
// starts, for longer than it would look for a socket. While gangway cannot
// start, neither waits.
func testSocketUnit(t *testing.T, e *harness.Engine) {
	e.StopGangway(t)
	e.HoldSocket(t)
	e.StartGangway(t)
	stop := traffic(t, e, "10.97.0")
	e.Sleep(t, harness.Container{Name: "c3", Network: "n1"})
	for _, end := range []func(testing.TB){e.StopGangway, e.KillGangway} {
		end(t)
		verbsWait(t, e)
	}
	newContainer(t, e, "c4")
	stop(t)

	e.Stop(t)
	e.StopGangway(t)
	away := 2 * time.Second
	if long() {
		away = 40 * time.Second
	}
	var later sync.WaitGroup
	later.Go(func() {
		time.Sleep(away)
		e.StartGangway(t)
	})
	startEngine(t, e, fmt.Sprintf("%s late behind its socket", away), "10.97.0.10")
	later.Wait()
	newContainer(t, e, "c4")
	if long() { // it takes as long as the engine looks for a driver: half a minute
		cannotStart(t, e)
	}
}

// verbsWait has the engine start, remove and connect containers while gangway is
// down, and starts it a second later: all of that is done then.
func verbsWait(t *testing.T, e *harness.Engine) {
	t.Helper()
	began := time.Now()
	var verbs sync.WaitGroup
	for _, command := range [][]string{
		{"run", "-d", "--name", "w1", "--network", "n1", "-p", "8201:80", harness.Image, "sleep", "1000"},
		{"run", "-d", "--name", "w2", "--network", "n1", "-p", "8202:80", harness.Image, "sleep", "1000"},
		args([]string{"network", "create", "-d", e.Driver}, gangwayIPAM(e), []string{"n2"}),
		{"rm", "-f", "c3"},
	} {
		verbs.Go(func() {
			if _, err := e.TryDocker(command...); err != nil {
				t.Errorf("while gangway is down: %v", err)
			}
		})
	}
	time.Sleep(time.Second)
	e.StartGangway(t)
	verbs.Wait()
	t.Logf("four commands while gangway was down for a second: %s", time.Since(began).Round(time.Millisecond))
	e.Docker(t, "rm", "-f", "w1", "w2")
	e.Docker(t, "network", "rm", "n2")
	e.Sleep(t, harness.Container{Name: "c3", Network: "n1"})
}

// cannotStart starts the engine while gangway is started over and over and
// cannot work. The engine's start goes on without it, and all works again when
// gangway does.
func cannotStart(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Stop(t)
	e.StopGangway(t)
	up := make(chan struct{})
	var broken sync.WaitGroup
	broken.Go(func() {
		for {
			select {
			case <-up:
				return
			case <-time.After(time.Second): // as the unit does
				e.FailGangway(t, "GANGWAY_STATE=/proc/none")
			}
		}
	})
	began := time.Now()
	e.StartEngine(t)
	t.Logf("the engine starts with a gangway that cannot start: %s", time.Since(began).Round(time.Millisecond))
	close(up)
	broken.Wait()
	e.StartGangway(t)
	e.Docker(t, "restart", "c1")
	newContainer(t, e, "c4")
}
