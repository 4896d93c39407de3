package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// onAPI is the docker command on gangway's second API socket.
func onAPI(words ...string) []string {
	return append([]string{"docker", "-H", "unix://" + harness.APISocket}, words...)
}

// testDockerPS: on the second API socket docker shows the ports that gangway published,
// and all else as on the engine's own.
func testDockerPS(t *testing.T, e *harness.Engine) {
	log := e.StartAPI(t)
	e.Network(t, "n1", "--subnet", "10.79.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "127.0.0.1:8443:443", "9000-9002:9000-9002/udp")}, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "c3", Network: "bridge", Args: publish("8001:80")})

	format := []string{"ps", "--format", "{{.Names}}: {{.Ports}}"}
	direct, through := e.Docker(t, format...), e.Run(t, onAPI(format...)...)
	for _, want := range []string{"0.0.0.0:8000->80/tcp", "127.0.0.1:8443->443/tcp", "0.0.0.0:9000-9002->9000-9002/udp"} {
		if !strings.Contains(through, want) || strings.Contains(direct, want) {
			t.Errorf("docker ps shows\n%s\nwithout us\n%s\nwant %s", through, direct, want)
		}
	}
	for _, name := range []string{"c2", "c3"} {
		if a, b := lineOf(direct, name), lineOf(through, name); a != b {
			t.Errorf("%q has become %q", a, b)
		}
	}
	if got := strings.Split(e.Run(t, onAPI("port", "c1", "80/tcp")...), "\n"); !slices.Contains(got, "0.0.0.0:8000") {
		t.Errorf("docker port c1 80/tcp: %q", got)
	}
	if got := e.Run(t, onAPI("port", "c1")...); strings.Count(got, "/udp -> 0.0.0.0:900") != 3 {
		t.Errorf("docker port c1:\n%s", got)
	}
	sameButPorts(t, e, "c1", "c2", "c3")
	filteredByPort(t, e)
	otherPorts(t, e)
	if e.Driver == string(harness.Daemon) {
		withoutDaemon(t, e, log)
	}
}

// filteredByPort: filters for ports find containers of Gangway's networks and others, beside
// all other filters and limits.
func filteredByPort(t *testing.T, e *harness.Engine) {
	t.Helper()
	for args, want := range map[string]string{
		"--filter publish=8000": "c1", "--filter publish=8000/tcp": "c1", "--filter publish=8000/udp": "", "--filter publish=9001/udp": "c1",
		"--filter publish=8001": "c3", "--filter publish=8000-8001": "c1 c3", "--filter publish=8000-8001 -n 1": "c3", "--filter publish=8000 -n 1": "c1",
		"--filter expose=80": "c1 c3", "--filter expose=443": "c1", "--filter publish=8000 --filter name=c3": "", "--filter publish=8001 --filter expose=443": "c1 c3",
		"--filter publish=8000 -s": "c1", "--filter name=c2": "c2",
	} {
		names := strings.Fields(e.Run(t, onAPI(append([]string{"ps", "--format", "{{.Names}}"}, strings.Fields(args)...)...)...))
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("docker ps %s: %q, want %q", args, got, want)
		}
	}
	for _, value := range []string{"publish=8000:80", "expose=x", "publish=9-8"} {
		_, direct := e.TryDocker("ps", "--filter", value)
		_, through := e.Try(onAPI("ps", "--filter", value)...)
		if direct == nil || through == nil || direct.Error() != strings.ReplaceAll(through.Error(), "-H unix://"+harness.APISocket+" ", "") {
			t.Errorf("docker ps --filter %s: %v, without us %v", value, through, direct)
		}
	}
}

// otherPorts: SCTP, IPv6, and ports that are exposed only.
func otherPorts(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Network(t, "n6", "--ipv6", "--subnet", "fd79::/64", "--subnet", "10.78.0.0/24")
	e.Sleep(t, harness.Container{Name: "c6", Network: "n6", Args: append(publish("8600:80", "8601-8602:81-82/sctp"), "--expose", "7070/udp")})
	for port, want := range map[string]string{"80/tcp": "[::]:8600", "81/sctp": "0.0.0.0:8601", "82/sctp": "[::]:8602"} {
		// The command of 20.10 leaves the brackets out.
		got := strings.Split(strings.ReplaceAll(e.Run(t, onAPI("port", "c6", port)...), ":::", "[::]:"), "\n")
		if !slices.Contains(got, want) {
			t.Errorf("docker port c6 %s: %q, want %s", port, got, want)
		}
	}
	if got := e.Run(t, onAPI("inspect", "--format", "{{json .NetworkSettings.Ports}}", "c6")...); !strings.Contains(got, `"7070/udp":null`) {
		t.Errorf("exposed ports: %s", got)
	}
	if got := e.Run(t, onAPI("ps", "-q", "--filter", "publish=8602/sctp")...); got == "" || strings.Contains(got, "\n") {
		t.Errorf("by a port of SCTP: %q", got)
	}
}

func lineOf(text, word string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, word) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// sameButPorts: of an inspection nothing but the ports is another.
func sameButPorts(t *testing.T, e *harness.Engine, names ...string) {
	t.Helper()
	read := func(args ...string) (all []map[string]any) {
		t.Helper()
		dec := json.NewDecoder(strings.NewReader(e.Run(t, append(args, names...)...)))
		dec.UseNumber()
		if err := dec.Decode(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	direct, through := read("docker", "inspect"), read(onAPI("inspect")...)
	ports := func(of map[string]any) any { return of["NetworkSettings"].(map[string]any)["Ports"] }
	want := map[string]any{
		"80/tcp": bound("8000"), "443/tcp": []any{map[string]any{"HostIp": "127.0.0.1", "HostPort": "8443"}},
		"9000/udp": bound("9000"), "9001/udp": bound("9001"), "9002/udp": bound("9002"),
	}
	// [::] is there where the host has IPv6, by a relay.
	got := fmt.Sprint(ports(through[0]))
	for key, list := range want {
		if !strings.Contains(got, key+":["+strings.Trim(fmt.Sprint(list), "[]")) {
			t.Errorf("ports %s, want %s: %v", got, key, list)
		}
	}
	if len(ports(through[0]).(map[string]any)) != len(want) {
		t.Errorf("ports: %s", got)
	}
	direct[0]["NetworkSettings"].(map[string]any)["Ports"] = ports(through[0])
	if !reflect.DeepEqual(direct, through) {
		t.Errorf("inspected\n%v\nwithout us\n%v", through, direct)
	}
}

func bound(port string) []any {
	return []any{map[string]any{"HostIp": "0.0.0.0", "HostPort": port}}
}

// withoutDaemon: while gangway is down, answers are the engine's, and the log says so
// once.
func withoutDaemon(t *testing.T, e *harness.Engine, log func() string) {
	t.Helper()
	e.StopGangway(t)
	defer e.StartGangway(t)
	for range 2 {
		format := []string{"ps", "--no-trunc", "--format", "{{.ID}} {{.Networks}} {{.Ports}}"}
		direct, through := e.Docker(t, format...), e.Run(t, onAPI(format...)...)
		if direct != through {
			t.Errorf("docker ps shows\n%s\nwithout us\n%s", through, direct)
		}
	}
	if n := strings.Count(log(), "without the ports"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, log())
	}
}

// testDockerPSCompose: compose shows the ports, whatever its version.
func testDockerPSCompose(t *testing.T, e *harness.Engine) {
	e.StartAPI(t)
	file := strings.ReplaceAll(`version: "2.4"
services:
  web:
    image: gangway-test:latest
    command: sleep 1000000
    ports: ["8000:8080"]
    networks: [front]
networks:
  front:
    driver: DRIVER
`, "DRIVER", e.Driver)
	e.Compose(t, "seen", file, "up", "-d")
	defer e.Compose(t, "seen", file, "down", "-t", "0")
	got := e.Run(t, "env", "DOCKER_HOST=unix://"+harness.APISocket, "docker-compose", "-p", "seen", "-f", "/srv/seen/docker-compose.yml", "ps")
	if !strings.Contains(got, "0.0.0.0:8000->8080/tcp") {
		t.Errorf("docker-compose ps:\n%s", got)
	}
}

// testAPIStreams: on the second API socket streams go both ways, with a terminal and
// without one, and each way ends by itself.
func testAPIStreams(t *testing.T, e *harness.Engine) {
	e.StartAPI(t)
	e.Network(t, "n1")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})

	s := e.Session(t, onAPI("exec", "-i", "c1", "sh", "-c", "cat; echo and then; exit 7")...)
	s.Say(t, "first\n")
	s.Shows(t, "first\n")
	s.Say(t, "second\n")
	s.CloseInput(t)
	if out, err := s.Ends(t); out != "first\nsecond\nand then\n" || err == nil || err.Error() != "exit status 7" {
		t.Errorf("exec: %q, %v", out, err)
	}

	s = e.Terminal(t, onAPI("exec", "-it", "c1", "sh")...)
	s.Say(t, "stty size && tty; echo a$((1+1))b\n")
	s.Shows(t, "/dev/pts/0")
	s.Shows(t, "a2b")
	s.Say(t, "exit 3\n")
	if out, err := s.Ends(t); err == nil || err.Error() != "exit status 3" {
		t.Errorf("exec at a terminal: %q, %v", out, err)
	}

	s = e.Terminal(t, onAPI("run", "-it", "--name", "c2", "--network", "n1", harness.Image, "sh")...)
	t.Cleanup(func() { e.Docker(t, "rm", "-f", "c2") })
	s.Say(t, "echo a$((1+1))b\n")
	s.Shows(t, "a2b")
	second := e.Terminal(t, onAPI("attach", "c2")...)
	second.Say(t, "echo c$((2+2))d\n")
	second.Shows(t, "c4d")
	s.Shows(t, "c4d")
	second.Say(t, "\x10\x11") // detaches
	_, _ = second.Ends(t)
	s.Say(t, "exit\n")
	if out, err := s.Ends(t); err != nil {
		t.Errorf("run at a terminal: %q, %v", out, err)
	}
	following(t, e)
}

// following: what is followed comes as it happens, ends with what it follows, and when
// its reader goes.
func following(t *testing.T, e *harness.Engine) {
	t.Helper()
	events := e.Session(t, onAPI("events", "--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.name}}")...)
	e.Docker(t, "create", "-i", "--name", "c3", "--network", "n1", harness.Image, "sh", "-c", "while read -r line; do echo got $line; done")
	t.Cleanup(func() { e.Docker(t, "rm", "-f", "c3") })
	// An event that comes before somebody listens is not told.
	harness.Eventually(t, "events", func() error {
		e.Docker(t, "rename", "c3", "c4")
		e.Docker(t, "rename", "c4", "c3")
		if !strings.Contains(events.Output(), "rename c3") {
			return fmt.Errorf("events: %q", events.Output())
		}
		return nil
	})
	writer := e.Session(t, onAPI("start", "-ai", "c3")...)
	events.Shows(t, "start c3")
	logs := e.Session(t, onAPI("logs", "-f", "c3")...)
	for _, line := range []string{"one", "two"} {
		writer.Say(t, line+"\n")
		writer.Shows(t, "got "+line)
		logs.Shows(t, "got "+line)
	}
	writer.CloseInput(t)
	for _, s := range []*harness.Session{writer, logs} {
		if out, err := s.Ends(t); out != "got one\ngot two\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	}
	events.Shows(t, "die c3")
}

// testAPIBodies: large bodies pass whole, in both directions.
func testAPIBodies(t *testing.T, e *harness.Engine) {
	e.StartAPI(t)
	dir := "/srv/bodies"
	if err := os.MkdirAll(e.Path(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Run(t, "rm", "-rf", dir) })
	host := "unix://" + harness.APISocket
	// What is sent is not compressible, and differs from place to place.
	e.Run(t, "sh", "-c", `cd "$0" && head -c 100000000 /dev/urandom >big && tar cf big.tar big && docker -H "$1" import big.tar big:1`, dir, host)
	t.Cleanup(func() { e.Docker(t, "rmi", "-f", "big:1") })
	// From 25 on no two archives of an image have the same times in them.
	e.Run(t, "sh", "-c", `cd "$0" && mkdir direct through && docker save big:1 >direct.tar && docker -H "$1" save big:1 >through.tar &&
		tar xf direct.tar -C direct && tar xf through.tar -C through && diff -r direct through && [ $(stat -c %s direct.tar) = $(stat -c %s through.tar) ]`, dir, host)
	id := e.Docker(t, "image", "inspect", "--format", "{{.Id}}", "big:1")
	e.Run(t, "sh", "-c", `cd "$0" && docker rmi big:1 && docker -H "$1" load <direct.tar`, dir, host)
	if again := e.Docker(t, "image", "inspect", "--format", "{{.Id}}", "big:1"); again != id {
		t.Errorf("loaded as %s instead of %s", again, id)
	}
	e.Run(t, onAPI("create", "--name", "c1", harness.Image, "true")...)
	t.Cleanup(func() { e.Docker(t, "rm", "-f", "c1") })
	e.Run(t, "sh", "-c", `cd "$0" && docker -H "$1" cp big c1:/big && docker -H "$1" cp c1:/big back && cmp big back`, dir, host)
	if e.Suite == harness.Bookworm { // the only one whose command builds by itself in both ways
		build(t, e, dir, "1")
	}
	build(t, e, dir, "0")
}

// build builds an image from a file, by BuildKit (HTTP/2 within an upgraded connection)
// or the engine's own builder.
func build(t *testing.T, e *harness.Engine, dir, buildKit string) {
	t.Helper()
	e.Run(t, "sh", "-c", `mkdir -p "$0/context" && cd "$0/context" && cp ../big . && printf 'FROM scratch\nCOPY big /big\n' >Dockerfile &&
		DOCKER_BUILDKIT=$2 docker -H "$1" build -t built:1 . && docker -H "$1" create --name built built:1 /big && docker cp built:/big - | tar xO | cmp - big`,
		dir, "unix://"+harness.APISocket, buildKit)
	e.Docker(t, "rm", "-f", "built")
	e.Docker(t, "rmi", "-f", "built:1")
}

// testAPIRefuses: without an engine docker shows why; a socket that somebody answers on,
// or what is none, is left alone.
func testAPIRefuses(t *testing.T, e *harness.Engine) {
	e.StartAPI(t, "--engine", "/run/nobody.sock")
	_, err := e.Try(onAPI("ps")...)
	if err == nil || !strings.Contains(err.Error(), "the engine does not answer") || !strings.Contains(err.Error(), "/run/nobody.sock") {
		t.Errorf("docker ps: %v", err)
	}
	if got := e.Run(t, "stat", "-c", "%a %U %G %F", harness.APISocket); got != "660 root docker socket" {
		t.Errorf("the socket is %s", got)
	}
	for path, want := range map[string]string{harness.APISocket: "somebody answers", "/run/docker.sock": "the engine's own", "/etc/hostname": "not a socket"} {
		if _, err := e.TryGangway("api", "--socket", path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--socket %s: %v, want %q", path, err, want)
		}
	}
}
