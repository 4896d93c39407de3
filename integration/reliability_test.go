package integration

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestReliability ends and starts the engine and gangway in any order, under
// traffic. The newest engine with the daemon and the oldest one with the plugin
// go through everything; the other two through what is about one of both only,
// and with GANGWAY_TEST_LONG through everything as well.
func TestReliability(t *testing.T) {
	t.Parallel()
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Forky} {
		for _, driver := range []harness.Driver{harness.Daemon, harness.Managed} {
			whole := (suite == harness.Forky) == (driver == harness.Daemon) || long()
			name := string(suite) + "/daemon"
			if driver == harness.Managed {
				name = string(suite) + "/plugin"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				// Who turns forwarding off makes gangway turn it on, and what that closes would
				// outlive the scenario.
				cfg := harness.Config{Suite: suite, Driver: driver, Env: []string{"GANGWAY_FORWARDING=open"}}
				if suite == harness.Bookworm && driver == harness.Daemon {
					cfg.Env = append(cfg.Env, "GANGWAY_FIREWALL=iptables") // the others have nftables
				}
				e := harness.Start(t, cfg)
				warmUp(t, e)
				for _, s := range reliability() {
					if !s.concerns(driver, whole) {
						continue
					}
					t.Run(s.name, func(t *testing.T) {
						e.Restored(t)
						s.run(t, e)
						settled(t, e)
					})
				}
			})
		}
	}
}

// long says that the tests are to take all combinations.
func long() bool { return os.Getenv("GANGWAY_TEST_LONG") != "" }

type restart struct {
	name string
	run  func(t *testing.T, e *harness.Engine)
	// plugin and daemon say that it is about one of both only.
	plugin, daemon bool
}

func reliability() []restart {
	return []restart{
		{name: "killed-at-rest", run: testKilledAtRest},
		{name: "killed-in-verbs", run: testKilledInVerbs},
		{name: "killed-in-each-verb", run: testKilledInEachVerb, daemon: true},
		{name: "lost-removal", run: testLostRemoval},
		{name: "unclaimed", run: testUnclaimed},
		{name: "unclaimed-off", run: testUnclaimedOff, daemon: true},
		{name: "disabled", run: testDisabled, plugin: true},
		{name: "given-up", run: testGivenUp, plugin: true},
		{name: "engine-first", run: testEngineFirst, daemon: true},
		{name: "socket-unit", run: testSocketUnit, daemon: true},
		{name: "live-restore", run: testLiveRestore},
		{name: "heal", run: testHeal},
		{name: "flapping", run: testFlapping, daemon: true},
	}
}

// concerns says whether the scenario is run with the driver: on an engine that
// goes through everything, or because the other driver has no such thing.
func (r restart) concerns(driver harness.Driver, whole bool) bool {
	switch {
	case r.plugin:
		return driver == harness.Managed
	case r.daemon:
		return driver == harness.Daemon
	}
	return whole
}

// settled removes what a scenario made, and fails the test if gangway keeps
// anything of it.
func settled(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Run(t, "sh", "-c", `set -- $(docker ps -aq); [ $# = 0 ] || docker rm -f "$@"; docker network prune -f`)
	harness.Eventually(t, "nothing is left in gangway", func() error {
		var status struct {
			State                      string
			Causes                     []struct{ What string }
			Networks, Endpoints, Ports int
		}
		e.GangwayJSON(t, &status, "status")
		if status.Networks+status.Endpoints+status.Ports > 0 || status.State != "ok" {
			return fmt.Errorf("status %+v", status)
		}
		return nil
	})
}

// traffic runs a server and a client on a network and returns what must go on:
// a stream and questions from outside to the published port, questions from
// container to container, and pings from a container to the outside.
func traffic(t *testing.T, e *harness.Engine, subnet string) (stop func(t *testing.T)) {
	t.Helper()
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", subnet + ".0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: append(publish("8000:80"), "--restart", "always", "--ip", subnet+".10")},
		"tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	stream := e.LAN.Outside.Stream(t, "192.0.2.1:8000")
	outside := e.LAN.Outside.Repeat(t, "tcp", "192.0.2.1:8000")
	inside := e.RepeatInside(t, "c2", "udp", subnet+".10:80")
	pings := e.RepeatInside(t, "c2", "icmp", "192.0.2.2")
	return func(t *testing.T) {
		t.Helper()
		asked := outside.Stop(t) + inside.Stop(t) + pings.Stop(t)
		t.Logf("%d questions, none lost; longest wait of the stream %s", asked, stream.Stop(t))
	}
}

// newContainer fails the test unless a new container has part in the network.
func newContainer(t *testing.T, e *harness.Engine, name string) {
	t.Helper()
	e.Serve(t, harness.Container{Name: name, Network: "n1", Args: publish("8100:80")}, "tcp", "0.0.0.0:80")
	from(t, "new container", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8100"), name, "192.0.2.2")
	by(t, "new container asks", e.Inside(name).Get(t, "tcp", "c1:80"), "c1")
	e.Docker(t, "rm", "-f", name)
}

// killGangway ends gangway as a crash does, and back brings it back.
func killGangway(t *testing.T, e *harness.Engine) (back func()) {
	t.Helper()
	if e.Driver == string(harness.Daemon) {
		e.KillGangway(t)
		return func() { e.StartGangway(t) }
	}
	e.KillPlugin(t) // the engine starts it again
	return func() {}
}

// crash kills gangway, and waits until it is back with its networks. Meanwhile is run where it stays
// down until then: the engine starts the plugin again at once.
func crash(t *testing.T, e *harness.Engine, meanwhile ...func()) {
	t.Helper()
	back := killGangway(t, e)
	if e.Driver == string(harness.Daemon) {
		for _, do := range meanwhile {
			do()
		}
	}
	back()
	harness.Eventually(t, "gangway is back", func() error {
		_, err := e.TryGangway("networks")
		return err
	})
}

func ready(t *testing.T, e *harness.Engine) {
	t.Helper()
	harness.Eventually(t, "gangway is ready", func() error {
		_, err := e.TryGangway("health")
		return err
	})
}

// testKilledAtRest: nothing is lost while gangway is down, however it ended.
func testKilledAtRest(t *testing.T, e *harness.Engine) {
	stop := traffic(t, e, "10.90.0")
	for range 2 {
		back := killGangway(t, e)
		time.Sleep(time.Second) // of traffic without gangway
		back()
		ready(t, e)
	}
	stop(t)
	newContainer(t, e, "c3")
}

// testKilledInVerbs: gangway is killed while the engine starts and removes
// containers. Whatever the engine says of them, afterwards everything works and
// nothing is left.
func testKilledInVerbs(t *testing.T, e *harness.Engine) {
	stop := traffic(t, e, "10.91.0")
	for i := range 6 {
		name := fmt.Sprintf("k%d", i)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := e.TryDocker("run", "-d", "--init", "--name", name, "--network", "n1", "-p", "8200:80", harness.Image, "sleep", "1000")
			if err != nil {
				t.Logf("%s: %v", name, err)
			}
		})
		if i%2 == 1 { // at the removal, else at the start
			wg.Wait()
			wg.Go(func() { _, _ = e.TryDocker("rm", "-f", name) })
		}
		time.Sleep(time.Duration(130*i) * time.Millisecond)
		back := killGangway(t, e)
		back()
		ready(t, e)
		wg.Wait()
		if _, err := e.TryDocker("rm", "-f", name); err != nil && !strings.Contains(strings.ToLower(err.Error()), "no such") {
			t.Errorf("remove %s: %v", name, err)
		}
	}
	newContainer(t, e, "c3")
	stop(t)
}

// testGivenUp: an engine that finds no plugin when it looks, half a second after
// it has restarted it, gives it up within a quarter of a minute. The traffic goes
// on, and enabling brings the plugin back; so does the engine's next start.
func testGivenUp(t *testing.T, e *harness.Engine) {
	stop := traffic(t, e, "10.96.0")
	giveUp(t, e)
	if _, err := e.TryGangway("status"); err == nil || !strings.Contains(err.Error(), "docker plugin enable") {
		t.Errorf("gangway status does not say how to go on: %v", err)
	}
	e.Docker(t, "plugin", "enable", "gangway")
	ready(t, e)
	stop(t)
	newContainer(t, e, "c3")
	if long() {
		giveUp(t, e)
		e.Stop(t)
		startEngine(t, e, "given up", "10.96.0.10")
	}
}

// giveUp makes the engine give the plugin up: each one that it starts is killed
// as soon as it is seen, until one was gone before the engine looked.
func giveUp(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.KillPlugin(t)
	first := time.Now()
	harness.Eventually(t, "the engine gives the plugin up", func() error {
		_, _ = e.Try("sh", "-c", "kill -9 $(pidof gangway)") // none is there most of the time
		if state := e.Docker(t, "plugin", "ls", "--format", "{{.Enabled}}"); state != "false" {
			return fmt.Errorf("enabled: %s", state)
		}
		return nil
	})
	t.Logf("the engine gave the plugin up %s after its first end", time.Since(first).Round(100*time.Millisecond))
}

// testDisabled: a plugin that is disabled by force leaves the traffic alone.
func testDisabled(t *testing.T, e *harness.Engine) {
	stop := traffic(t, e, "10.92.0")
	e.Docker(t, "plugin", "disable", "-f", "gangway")
	time.Sleep(time.Second) // of traffic without gangway
	e.Docker(t, "plugin", "enable", "gangway")
	ready(t, e)
	stop(t)
	newContainer(t, e, "c3")
}

// startEngine starts the engine, and fails the test unless the container c1,
// which is always restarted, comes back by itself with its address and port.
func startEngine(t *testing.T, e *harness.Engine, what, address string) {
	t.Helper()
	began := time.Now()
	e.StartEngine(t)
	t.Logf("the engine starts with gangway %s: %s", what, time.Since(began).Round(time.Millisecond))
	harness.Eventually(t, "published port", func() error {
		_, err := e.LAN.Outside.TryGet("tcp", "192.0.2.1:8000", "-timeout", "1s")
		return err
	})
	from(t, "published port", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
	if got := e.Address(t, "c1", "n1"); got != address {
		t.Errorf("c1 has %s, want %s", got, address)
	}
}

// testEngineFirst: the engine starts while gangway is down, with and without a
// socket left behind, and gangway comes two seconds later. The engine's start
// goes on then, and its containers come back by themselves.
func testEngineFirst(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.93.0.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: append(publish("8000:80"), "--restart", "always", "--ip", "10.93.0.10")}, "tcp", "0.0.0.0:80")
	e.Stop(t)
	startEngine(t, e, "there", "10.93.0.10")
	for _, c := range []struct {
		what string
		end  func(testing.TB)
	}{{"stopped", e.StopGangway}, {"killed", e.KillGangway}} {
		e.Stop(t)
		c.end(t)
		var later sync.WaitGroup
		later.Go(func() {
			time.Sleep(2 * time.Second)
			e.StartGangway(t)
		})
		startEngine(t, e, c.what, "10.93.0.10")
		later.Wait()
	}
	newContainer(t, e, "c3")
	if long() {
		goneForGood(t, e)
	}
}

// goneForGood: an engine that finds no gangway at all starts without it, and its
// containers are started by hand when gangway is there again.
func goneForGood(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Stop(t)
	e.StopGangway(t)
	began := time.Now()
	e.StartEngine(t)
	t.Logf("the engine starts without gangway: %s", time.Since(began).Round(time.Millisecond))
	e.StartGangway(t)
	e.Docker(t, "restart", "c1")
	e.Serving(t, "c1")
	newContainer(t, e, "c3")
}

// testLiveRestore: with live-restore, containers and their traffic outlive the
// engine, gangway, and both.
func testLiveRestore(t *testing.T, e *harness.Engine) {
	e.Stop(t)
	e.Arguments("--live-restore")
	e.StartEngine(t)
	ready(t, e)
	t.Cleanup(func() {
		e.Stop(t)
		e.Arguments()
		e.StartEngine(t)
	})
	stop := traffic(t, e, "10.94.0")
	for _, end := range []func(testing.TB){e.Stop, e.Kill} {
		end(t)
		back := killGangway(t, e)
		time.Sleep(time.Second) // of traffic without any of both
		back()
		e.StartEngine(t)
		ready(t, e)
	}
	stop(t)
	newContainer(t, e, "c3")
	settled(t, e)
}
