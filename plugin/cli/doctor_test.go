package cli

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestDoctor(t *testing.T) {
	dir := host(t, namedHost())
	for arg, want := range map[string]string{"shop-dv-1": "did you mean", "70000/tcp": "want 1 to 65535", "8000/xtp": "tcp, udp or sctp"} {
		r := gangway(t, dir, "doctor", arg)
		if r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("doctor %s: exit code %d, %s", arg, r.code, r.stderr)
		}
	}
}

// TestDoctorEngine: of a daemon that knows no names it is asked whether the engine answers.
func TestDoctorEngine(t *testing.T) {
	dir := host(t, busyHost())
	files := t.TempDir()
	socket, pid := filepath.Join(files, "docker.sock"), filepath.Join(files, "docker.pid")
	says := func(what, want string) {
		t.Helper()
		r := gangway(t, dir, "doctor", "--engine", socket)
		if out := r.stdout + r.stderr; r.code == 2 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, no %q in\n%s", what, r.code, want, out)
		}
	}
	says("no socket", "not looked at: the engine: "+socket+" does not exist")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	says("no engine behind its socket", "the engine does not answer: nobody runs who would answer on "+socket)
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	status := http.StatusOK
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })}
	go func() { _ = server.Serve(l) }()
	says("an engine that answers", "the engine on "+socket+" answers, and the daemon knows no names")
	status = http.StatusInternalServerError
	says("an engine with an error", "the engine does not answer: "+socket+" answers 500")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	says("an engine that went", "the engine does not answer: nobody listens on "+socket)
	named := host(t, namedHost())
	if r := gangway(t, named, "doctor", "--engine", socket); strings.Contains(r.stdout, "the engine") {
		t.Errorf("where names are known:\n%s", r.stdout)
	}
	if r := gangway(t, named, "doctor", "--client", "web"); r.code == 0 || !strings.Contains(r.stderr, "want an address") {
		t.Errorf("--client web: %s", r.stderr)
	}
}
