package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// followed is a line of gangway drops --follow --json.
type followed struct {
	Reason, Protocol string
	From, To         followedParty
}

type followedParty struct {
	Address, ContainerName, NetworkName string
	Port                                int
}

// logsRefused says whether the rules log what they refuse.
func logsRefused(t *testing.T, e *harness.Engine) bool {
	t.Helper()
	if e.Firewall() == "iptables" {
		return strings.Contains(e.Run(t, "iptables-save"), "NFLOG")
	}
	return strings.Contains(e.Run(t, "nft", "list", "table", "inet", "gangway"), "log ")
}

// testFollowDrops: whoever follows is told of each packet that is refused, with names, and the
// rules log as long as that goes on.
func testFollowDrops(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.94.0.0/24")
	e.Network(t, "n2", "--subnet", "10.95.0.0/24")
	e.Serve(t, harness.Container{Name: "victim", Network: "n1", Args: []string{"--ip", "10.94.0.9"}}, "tcp", "0.0.0.0:81")
	e.Sleep(t, harness.Container{Name: "hostile", Network: "n2", Args: []string{"--ip", "10.95.0.9"}})
	if logsRefused(t, e) {
		t.Error("the rules log, though nobody looks")
	}
	known(t, e, "victim", "hostile")
	// What the administrator accepts after all arrives, and is no line. Gangway's hook may have
	// to move for such a rule first: until then packets are dropped, and are lines.
	for _, rule := range []string{"-s 10.95.0.9 -d 10.94.0.9 -p tcp --dport 81", "-s 10.94.0.9 -d 10.95.0.9 -p tcp --sport 81"} {
		e.Run(t, "sh", "-c", "iptables -I DOCKER-USER "+rule+" -j ACCEPT")
		t.Cleanup(func() { e.Run(t, "sh", "-c", "iptables -D DOCKER-USER "+rule+" -j ACCEPT") })
	}
	harness.Eventually(t, "what DOCKER-USER accepts", func() error {
		_, err := e.Inside("hostile").TryGet("tcp", "10.94.0.9:81", "-timeout", "700ms")
		return err
	})
	cmd, out := startFollowing(t, e, "victim")
	if _, err := e.Inside("hostile").TryGet("tcp", "10.94.0.9:81"); err != nil {
		t.Errorf("what DOCKER-USER accepts does not arrive: %v", err)
	}
	e.Inside("hostile").Unreachable(t, "tcp", "10.94.0.9:80")
	var got followed
	line, err := out.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &got)
	}
	if err != nil {
		t.Fatalf("gangway drops --follow prints %q: %v", line, err)
	}
	got.From.Port = 0 // it may be any
	want := followed{Reason: "isolated", Protocol: "tcp", From: followedParty{"10.95.0.9", "hostile", "n2", 0}, To: followedParty{"10.94.0.9", "victim", "n1", 80}}
	if got != want {
		t.Errorf("gangway drops --follow prints %s", line)
	}
	// The command is a child of the one that enters the node.
	if err = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // what enters the node ends by the signal
	logsNoMore(t, e)
	if e.Driver == string(harness.Daemon) {
		followThroughEnds(t, e)
	}
}

// startFollowing starts gangway drops --follow, and waits until the rules log.
func startFollowing(t *testing.T, e *harness.Engine, container string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := e.GangwayCommand(t.Context(), "drops", "-f", container, "--json")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "rules that log", func() error {
		if !logsRefused(t, e) {
			return errors.New("the rules do not log")
		}
		return nil
	})
	return cmd, bufio.NewReader(out)
}

func logsNoMore(t *testing.T, e *harness.Engine) {
	t.Helper()
	harness.Eventually(t, "the end of the log", func() error {
		if logsRefused(t, e) {
			return errors.New("the rules log still")
		}
		return nil
	})
}

// followThroughEnds: the end of the daemon is one of the log, and a daemon that comes after one
// that could not end it does that.
func followThroughEnds(t *testing.T, e *harness.Engine) {
	t.Helper()
	cmd, _ := startFollowing(t, e, "victim")
	e.StopGangway(t)
	if err := cmd.Wait(); err == nil {
		t.Error("gangway drops --follow ends with its daemon as if nothing had happened")
	}
	if logsRefused(t, e) {
		t.Error("the rules log after the daemon's end")
	}
	e.StartGangway(t)
	harness.Eventually(t, "the containers' names", func() error {
		_, err := e.TryGangway("endpoints", "victim")
		return err
	})
	cmd, _ = startFollowing(t, e, "victim")
	e.KillGangway(t)
	_ = cmd.Wait()
	if !logsRefused(t, e) {
		t.Error("a daemon that was killed has put its rules in order")
	}
	e.StartGangway(t)
	logsNoMore(t, e)
}
