package harness

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Daemon starts a daemon on the engine's host, whose log is kept when the test
// fails. It ends with the test.
func (e *Engine) Daemon(t testing.TB, args ...string) *Process {
	t.Helper()
	p, err := e.startDaemon(filepath.Join(e.dir, filepath.Base(args[0])+".log"), nil, args...)
	if err != nil {
		t.Fatalf("start %s: %v", args[0], err)
	}
	t.Cleanup(func() { p.Signal(t, syscall.SIGTERM) })
	return p
}

// SystemBus starts the host's message bus. It ends with the test.
func (e *Engine) SystemBus(t testing.TB) {
	t.Helper()
	e.Run(t, "mkdir", "-p", "/run/dbus")
	p := e.Daemon(t, "dbus-daemon", "--system", "--nofork", "--nopidfile")
	Eventually(t, "the system bus", func() error {
		_, err := e.Try("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames")
		if err != nil {
			return p.exitedOr(err.Error())
		}
		return nil
	})
}

// Firewalld starts firewalld with settings of its configuration, such as
// "DefaultZone=drop", beside a system bus. It ends with the test.
func (e *Engine) Firewalld(t testing.TB, settings ...string) *Process {
	t.Helper()
	for _, s := range settings {
		key, _, _ := strings.Cut(s, "=")
		e.Run(t, "sed", "-i", "s/^"+key+"=.*/"+s+"/", "/etc/firewalld/firewalld.conf")
	}
	p := e.Daemon(t, "firewalld", "--nofork", "--nopid")
	Eventually(t, "firewalld", func() error {
		_, err := e.Try("firewall-cmd", "--state")
		if err != nil {
			return p.exitedOr(err.Error())
		}
		return nil
	})
	return p
}
