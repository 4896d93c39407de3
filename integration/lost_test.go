package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// keptNetwork is a network as gangway shows it.
type keptNetwork struct{ ID, Bridge, Engine string }

// kept returns the networks that gangway keeps.
func kept(t *testing.T, e *harness.Engine) (all []keptNetwork) {
	t.Helper()
	e.GangwayJSON(t, &all, "networks")
	return all
}

// testLostRemoval: an engine removes a network, and gangway is killed before it has
// read the call. The engine reports success and never repeats it. The network goes
// by itself, and no other one does.
func testLostRemoval(t *testing.T, e *harness.Engine) {
	stop := traffic(t, e, "10.88.0")
	e.Network(t, "lost", "--subnet", "10.88.1.0/24") // with an address manager of ours, its calls come first
	e.Network(t, "empty", "--subnet", "10.88.2.0/24")
	named(t, e)
	lost := e.Docker(t, "network", "inspect", "-f", "{{.Id}}", "lost")

	e.Run(t, "sh", "-c", "kill -STOP $(pidof gangway)")
	t.Cleanup(func() { _, _ = e.Try("sh", "-c", "kill -CONT $(pidof gangway)") }) // if it was not killed
	removed := make(chan error, 1)
	go func() {
		_, err := e.TryDocker("network", "rm", "lost")
		removed <- err
	}()
	harness.Eventually(t, "the call waits at the socket", func() error {
		// Network, state, what is to be read or to be accepted.
		_, err := e.Try("sh", "-c", `ss -xnaH | grep -E '^u_str +(LISTEN|ESTAB) +[1-9][0-9]* .*gangway\.sock'`)
		return err
	})
	back := killGangway(t, e)
	back()
	ready(t, e)
	if err := <-removed; err != nil {
		t.Errorf("the engine does not report success: %v", err)
	}
	holds := func(n keptNetwork) bool { return n.ID == lost }
	i := slices.IndexFunc(kept(t, e), holds)
	if i < 0 {
		t.Fatal("the removal was not lost")
	}
	bridge := kept(t, e)[i].Bridge
	began := time.Now()
	harness.EventuallyWithin(t, 2*time.Minute, "the network goes", func() error {
		if now := kept(t, e); slices.ContainsFunc(now, holds) {
			return fmt.Errorf("networks %+v", now)
		}
		return nil
	})
	t.Logf("removed %s after gangway was ready", time.Since(began).Round(time.Second))
	if _, is := e.Links(t)[bridge]; is {
		t.Errorf("bridge %s is there still", bridge)
	}
	if n := len(kept(t, e)); n != 2 {
		t.Errorf("%d networks are left, want n1 and the empty one", n)
	}
	if events := e.Gangway(t, "events"); !strings.Contains(events, "network "+lost[:12]+" is not the engine's any more") {
		t.Errorf("no event tells of it:\n%s", events)
	}
	e.Sleep(t, harness.Container{Name: "c4", Network: "empty"})
	e.Docker(t, "rm", "-f", "c4")
	stop(t)
	newContainer(t, e, "c3")
	if long() && e.Driver == string(harness.Daemon) {
		lostWhileDown(t, e)
	}
}

// lostWhileDown: gangway is down for longer than the engine goes on calling it while
// containers and a network are removed. All are gone later, and with our own address
// manager the container's address is free again. With the engine's, which gives the
// address to the next container, that one starts at once.
func lostWhileDown(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Network(t, "small", args(gangwayIPAM(e), []string{"--subnet", "10.88.3.0/29"})...)
	e.Network(t, "lost", args(gangwayIPAM(e), []string{"--subnet", "10.88.4.0/24"})...)
	e.Sleep(t, harness.Container{Name: "c5", Network: "small"})
	e.Sleep(t, harness.Container{Name: "c6", Network: "empty"})
	address := e.Address(t, "c6", "empty")
	named(t, e)
	e.KillGangway(t)
	began := time.Now()
	e.Docker(t, "rm", "-f", "c5", "c6")
	e.Docker(t, "network", "rm", "lost")
	t.Logf("the engine took %s to find nobody", time.Since(began).Round(time.Second))
	e.StartGangway(t)
	ready(t, e)
	if n := len(kept(t, e)); n != 4 {
		t.Errorf("%d networks: the removal was not lost", n)
	}
	e.Sleep(t, harness.Container{Name: "c7", Network: "empty"})
	if got := e.Address(t, "c7", "empty"); got != address {
		t.Errorf("the engine gives %s, not %s again: nothing was tried", got, address)
	}
	// The first try comes too early, and must not be in the way of the next ones.
	harness.EventuallyWithin(t, 2*time.Minute, "the network goes", func() error {
		_, err := e.TryDocker(args([]string{"network", "create", "-d", e.Driver}, gangwayIPAM(e), []string{"--subnet", "10.88.4.0/24", "next"})...)
		return err
	})
	if n := len(kept(t, e)); n != 4 {
		t.Errorf("%d networks with the next one", n)
	}
	// The subnet has five addresses beside the gateway's.
	for i := range 5 {
		name := fmt.Sprintf("small%d", i)
		harness.EventuallyWithin(t, 4*time.Minute, "an address for "+name, func() error {
			_, err := e.TryDocker("run", "-d", "--init", "--name", name, "--network", "small", harness.Image, "sleep", "1000")
			if err != nil {
				_, _ = e.TryDocker("rm", "-f", name)
			}
			return err
		})
	}
}

// named waits until the engine has named all networks as its own.
func named(t *testing.T, e *harness.Engine) {
	t.Helper()
	harness.Eventually(t, "the engine names its networks", func() error {
		for _, n := range kept(t, e) {
			if n.Engine == "" {
				return fmt.Errorf("not %s", n.ID)
			}
		}
		return nil
	})
}
