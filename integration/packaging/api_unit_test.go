package packaging

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestUnitAPI: the unit of the second API socket is there and off. Once it is started it
// fills in ports under all its restrictions, also after a restart, for root and docker's
// group; and it goes with the rest.
func TestUnitAPI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIn(t, dir, nil, "build")
	s := systemd{Node: harness.StartSystemd(t), script: root(t) + "/scripts/daemon.sh"}
	s.daemonScript(t, "install", dir+"/gangway")
	for _, question := range []string{"is-enabled", "is-active"} {
		if state, err := s.Try("systemctl", question, "gangway-api.service"); err == nil {
			t.Errorf("%s: %s", question, state)
		}
	}
	s.calls(t, 4)
	s.engineOf(t, `[{"Id":"c1","Ports":[],"NetworkSettings":{"Networks":{"n1":{"EndpointID":"e1"}}}}]`)

	s.Run(t, "systemctl", "enable", "--now", "gangway-api.service")
	s.showsPorts(t)
	folder := s.Run(t, "stat", "-c", "%a %U %G %i", "/run/gangway")
	if !strings.HasPrefix(folder, "750 root docker ") {
		t.Errorf("the folder is %s", folder)
	}
	if got := s.Run(t, "stat", "-c", "%a %U %G %F", harness.APISocket); got != "660 root docker socket" {
		t.Errorf("the socket is %s", got)
	}
	pid := s.Run(t, "systemctl", "show", "--property", "MainPID", "--value", "gangway-api.service")
	status := s.Run(t, "cat", "/proc/"+pid+"/status")
	for _, want := range []string{"Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in:\n%s", want, status)
		}
	}
	s.Run(t, "systemctl", "kill", "--signal", "KILL", "gangway-api.service")
	s.showsPorts(t)
	s.daemonScript(t, "install", dir+"/gangway")
	s.showsPorts(t)
	if again := s.Run(t, "stat", "-c", "%a %U %G %i", "/run/gangway"); again != folder {
		t.Errorf("the folder was %s and is %s: a container that has it mounted has lost it", folder, again)
	}
	if s.Run(t, "systemctl", "show", "--property", "MainPID", "--value", "gangway-api.service") == pid {
		t.Error("the upgrade did not restart it")
	}
	s.daemonScript(t, "uninstall")
	if left := s.Run(t, "sh", "-c", "ls -d /run/gangway /etc/systemd/system/*/gangway* 2>/dev/null; pidof gangway || true"); left != "" {
		t.Errorf("left after uninstalling:\n%s", left)
	}
}

// engineOf is an engine that has these containers.
func (s systemd) engineOf(t *testing.T, containers string) {
	t.Helper()
	var l net.Listener
	var err error
	if l, err = s.Listen("/run/docker.sock"); err != nil {
		t.Fatal(err)
	}
	engine := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, containers)
	})}
	go func() { _ = engine.Serve(l) }()
	t.Cleanup(func() { _ = engine.Close() })
}

// showsPorts asks for containers on the second socket.
func (s systemd) showsPorts(t *testing.T) {
	t.Helper()
	client := testkit.UnixClient(s.Path(harness.APISocket), 30*time.Second)
	defer client.CloseIdleConnections()
	harness.Eventually(t, "the port is shown", func() error {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://docker/v1.41/containers/json", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("%w; its journal:\n%s", err, s.journal())
		}
		defer resp.Body.Close()
		var containers []struct {
			ID    string `json:"Id"`
			Ports []struct{ PublicPort int }
		}
		if err = json.NewDecoder(resp.Body).Decode(&containers); err == nil && (len(containers) != 1 || containers[0].ID != "c1" || len(containers[0].Ports) == 0 || containers[0].Ports[0].PublicPort != 8000) {
			err = fmt.Errorf("containers: %+v; its journal:\n%s", containers, s.journal())
		}
		return err
	})
}

func (s systemd) journal() string {
	out, err := s.Try("systemctl", "status", "--no-pager", "--lines", "20", "gangway-api.service")
	return fmt.Sprint(out, "\n", err)
}
