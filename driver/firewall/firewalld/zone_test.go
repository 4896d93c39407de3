package firewalld

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/integration/testkit"
)

// bus starts a message bus of the test's own and returns its socket and what
// ends it.
func bus(t *testing.T, dir string) (socket string, end func()) {
	t.Helper()
	socket = filepath.Join(dir, "bus")
	config := filepath.Join(dir, "bus.conf")
	must(t, os.WriteFile(config, []byte(`<busconfig><listen>unix:path=`+socket+`</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`), 0o600))
	cmd := exec.CommandContext(t.Context(), "dbus-daemon", "--nofork", "--config-file="+config)
	if err := cmd.Start(); err != nil {
		testkit.Missing(t, err.Error())
	}
	end = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	testkit.Eventually(t, "the bus", func() bool {
		conn, err := net.Dial("unix", socket)
		return err == nil && conn.Close() == nil
	})
	return socket, end
}

// manager is a firewalld as far as it matters here.
type manager struct {
	conn *dbus.Conn

	mu    sync.Mutex
	zones map[string][]string // interfaces; no entry for a zone that does not exist
	calls int
}

func startManager(t *testing.T, socket string, zones ...string) *manager {
	t.Helper()
	conn, err := dbus.Connect("unix:path=" + socket)
	must(t, err)
	m := &manager{conn: conn, zones: map[string][]string{}}
	for _, z := range zones {
		m.zones[z] = nil
	}
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.ExportMethodTable(map[string]any{"getDefaultZone": m.defaultZone}, path, service))
	must(t, conn.ExportMethodTable(map[string]any{
		"getInterfaces": m.interfaces, "addInterface": m.add, "removeInterface": m.remove, "getZoneOfInterface": m.zoneOf,
	}, path, zoneMethods))
	_, err = conn.RequestName(service, dbus.NameFlagDoNotQueue)
	must(t, err)
	return m
}

// call locks the manager for one call.
func (m *manager) call() func() {
	m.mu.Lock()
	m.calls++
	return m.mu.Unlock
}

func refuse(text string) *dbus.Error { return dbus.NewError(exception, []any{text}) }

func (m *manager) defaultZone() (string, *dbus.Error) {
	defer m.call()()
	return "public", nil
}

func (m *manager) interfaces(zone string) ([]string, *dbus.Error) {
	defer m.call()()
	list, ok := m.zones[zone]
	if !ok {
		return nil, refuse("INVALID_ZONE: " + zone)
	}
	return slices.Clone(list), nil
}

func (m *manager) of(iface string) string {
	for _, z := range slices.Sorted(maps.Keys(m.zones)) {
		if slices.Contains(m.zones[z], iface) {
			return z
		}
	}
	return ""
}

func (m *manager) zoneOf(iface string) (string, *dbus.Error) {
	defer m.call()()
	return m.of(iface), nil
}

func (m *manager) add(zone, iface string) (string, *dbus.Error) {
	defer m.call()()
	if _, ok := m.zones[zone]; !ok {
		return "", refuse("INVALID_ZONE: " + zone)
	}
	switch m.of(iface) {
	case "":
		m.zones[zone] = append(m.zones[zone], iface)
		return zone, nil
	case zone:
		return "", refuse("ZONE_ALREADY_SET: '" + iface + "' already bound to '" + zone + "'")
	}
	return "", refuse("ZONE_CONFLICT: '" + iface + "' already bound to a zone")
}

func (m *manager) remove(zone, iface string) (string, *dbus.Error) {
	defer m.call()()
	if m.of(iface) != zone {
		return "", refuse("UNKNOWN_INTERFACE: '" + iface + "' is not in '" + zone + "'")
	}
	m.take(zone, iface)
	return zone, nil
}

func (m *manager) take(zone, iface string) {
	m.zones[zone] = slices.DeleteFunc(m.zones[zone], func(i string) bool { return i == iface })
	_ = m.conn.Emit(path, zoneMethods+".InterfaceRemoved", zone, iface)
}

// change changes the zones behind the test's zone.
func (m *manager) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// docker returns what zone docker holds.
func (m *manager) docker() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(slices.Values(m.zones["docker"]))
}

func (m *manager) called() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

func newZone(t *testing.T, socket string) (*Zone, chan struct{}) {
	t.Helper()
	changes := make(chan struct{}, 100)
	z := New(Options{Socket: socket, Changed: func() { changes <- struct{}{} }, Log: testkit.Quiet()})
	t.Cleanup(func() { must(t, z.Close()) })
	return z, changes
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func told(t *testing.T, changes chan struct{}, of string) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(testkit.Patience):
		t.Fatalf("not told of %s", of)
	}
}

// settled wants bridges while none is moving.
func settled(bridges ...string) func() ([]string, []string) {
	return func() ([]string, []string) { return bridges, nil }
}

// sync fails the test unless Sync repairs what want says.
func (z *Zone) sync(t *testing.T, bridges []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	got, err := z.Sync(t.Context(), settled(bridges...))
	must(t, err)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("repairs (-want +got):\n%s", d)
	}
}

func put(b string) string { return "bridge " + b + ": was not in firewalld's zone docker: put there" }

func out(b string) string {
	return "bridge " + b + ": was left in firewalld's zone docker: taken out"
}

// TestMembership: bridges enter and leave, whatever was there before.
func TestMembership(t *testing.T) {
	socket, _ := bus(t, t.TempDir())
	m := startManager(t, socket, "docker", "trusted")
	m.change(func() {
		m.zones["docker"] = []string{"docker0", "gw-0123456789ab", "gw-not-ours"}
		m.zones["trusted"] = []string{"gw-b"}
	})
	z, _ := newZone(t, socket)
	must(t, z.Enter(t.Context(), "gw-a"))
	must(t, z.Enter(t.Context(), "gw-a"))
	must(t, z.Enter(t.Context(), "gw-b")) // the administrator's word
	must(t, z.Enter(t.Context(), "chosen"))
	z.sync(t, []string{"chosen", "gw-a", "gw-b", "gw-c"}, put("gw-c"), out("gw-0123456789ab"))
	must(t, z.Leave(t.Context(), "gw-c"))
	must(t, z.Leave(t.Context(), "gw-c"))
	must(t, z.Leave(t.Context(), "gw-b"))
	z.sync(t, []string{"gw-a"}, out("chosen"))
	if d := cmp.Diff([]string{"docker0", "gw-a", "gw-not-ours"}, m.docker()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"gw-b"}, m.zones["trusted"]); d != "" {
		t.Error(d)
	}
}

// TestNothingThere: without a bus or without firewalld nothing is done, and
// either is noticed when it comes.
func TestNothingThere(t *testing.T) {
	dir := t.TempDir()
	z, changes := newZone(t, filepath.Join(dir, "bus"))
	want := []string{"gw-a"}
	must(t, z.Enter(t.Context(), "gw-a"))
	z.sync(t, want)
	socket, end := bus(t, dir)
	z.sync(t, want)
	told(t, changes, "the connection")
	m := startManager(t, socket, "docker")
	told(t, changes, "firewalld's start")
	z.sync(t, want, put("gw-a"))
	must(t, m.conn.Close())
	told(t, changes, "firewalld's end")
	z.sync(t, want)
	must(t, z.Leave(t.Context(), "gw-a"))
	must(t, z.Enter(t.Context(), "gw-a"))
	startManager(t, socket, "docker")
	told(t, changes, "firewalld's restart")
	z.sync(t, want, put("gw-a"))
	end()
	told(t, changes, "the end of the bus")
	z.sync(t, want) // a socket that nobody listens at
	must(t, os.Remove(socket))
	socket, _ = bus(t, dir)
	m = startManager(t, socket, "docker")
	z.sync(t, want, put("gw-a"))
	if d := cmp.Diff(want, m.docker()); d != "" {
		t.Error(d)
	}
}

// TestSignals: what firewalld tells leads to another look, what it does not
// costs none.
func TestSignals(t *testing.T) {
	socket, _ := bus(t, t.TempDir())
	m := startManager(t, socket, "docker", "trusted")
	z, changes := newZone(t, socket)
	want := []string{"gw-a", "gw-b"}
	z.sync(t, want, put("gw-a"), put("gw-b"))
	told(t, changes, "the connection")
	asked := m.called()
	for range 10 {
		z.sync(t, want)
	}
	if n := m.called() - asked; n != 0 {
		t.Errorf("%d calls without a signal", n)
	}
	m.change(func() { m.take("docker", "gw-b") })
	told(t, changes, "a bridge taken out")
	z.sync(t, want, put("gw-b"))
	m.change(func() {
		m.zones["docker"] = nil
		must(t, m.conn.Emit(path, service+".Reloaded"))
	})
	told(t, changes, "a reload")
	z.sync(t, want, put("gw-a"), put("gw-b"))
	must(t, z.Leave(t.Context(), "gw-b"))
	m.change(func() { m.take("docker", "somebody's") })
	must(t, m.conn.Emit(path, service+".Reloaded"))
	told(t, changes, "a reload")
	if n := len(changes); n != 0 {
		t.Errorf("told %d times of what does not matter", n)
	}
	z.mu.Lock()
	z.looked = time.Now().Add(-lookTime)
	z.mu.Unlock()
	m.change(func() { m.zones["docker"] = nil })
	z.sync(t, []string{"gw-a"}, put("gw-a"))
}

// TestNoZone: without the engine's zone the user learns what to do, until it is
// there; a bridge that is in another one needs none.
func TestNoZone(t *testing.T) {
	socket, _ := bus(t, t.TempDir())
	m := startManager(t, socket, "trusted")
	z, _ := newZone(t, socket)
	z.sync(t, nil)
	for name, err := range map[string]error{
		"enter": z.Enter(t.Context(), "gw-a"),
		"sync":  func() error { _, err := z.Sync(t.Context(), settled("gw-a")); return err }(),
	} {
		if !errors.Is(err, errNoZone) || !strings.Contains(err.Error(), "gw-a") {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, z.Leave(t.Context(), "gw-a"))
	m.change(func() { m.zones["trusted"] = []string{"gw-a"} })
	z.sync(t, []string{"gw-a"})
	m.change(func() { m.zones = map[string][]string{"docker": nil} })
	must(t, m.conn.Emit(path, service+".Reloaded"))
	testkit.Eventually(t, "the signal", func() bool { z.mu.Lock(); defer z.mu.Unlock(); return z.stale })
	z.sync(t, []string{"gw-a"}, put("gw-a"))
}

// TestSilent: a firewalld that does not answer holds up the first call for a
// bounded time, and no other until it answers.
func TestSilent(t *testing.T) {
	socket, _ := bus(t, t.TempDir())
	m := startManager(t, socket, "docker")
	z, changes := newZone(t, socket)
	z.sync(t, nil)
	told(t, changes, "the connection")
	m.mu.Lock()
	unlock := sync.OnceFunc(m.mu.Unlock)
	t.Cleanup(unlock)
	if err := z.Enter(t.Context(), "gw-a"); !errors.Is(err, errSilent) {
		t.Errorf("the first call: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), answerTime/2)
	defer cancel()
	for range 3 {
		if _, err := z.Sync(short, settled("gw-a")); !errors.Is(err, errSilent) {
			t.Errorf("a later call: %v", err)
		}
	}
	if short.Err() != nil {
		t.Error("later calls waited as well")
	}
	unlock()
	told(t, changes, "the answer")
	if _, err := z.Sync(t.Context(), settled("gw-a")); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"gw-a"}, m.docker()); d != "" {
		t.Error(d)
	}
}

// TestDeadBus: a bus that takes connections and says nothing is no better.
func TestDeadBus(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", socket)
	must(t, err)
	z, _ := newZone(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := z.Enter(ctx, "gw-a"); err == nil {
		t.Error("no error")
	}
	must(t, l.Close())
}
