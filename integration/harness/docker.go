package harness

import (
	"fmt"
	"os"
	"path"
	"strings"
	"testing"
)

// TryDocker runs the engine's own docker command and returns its output.
func (e *Engine) TryDocker(args ...string) (string, error) {
	return e.Try(append([]string{"docker"}, args...)...)
}

// Docker is TryDocker for commands that have to succeed.
func (e *Engine) Docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := e.TryDocker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Refused runs a docker command that has to fail and whose error has to contain
// every one of the words.
func (e *Engine) Refused(t testing.TB, words []string, args ...string) {
	t.Helper()
	_, err := e.TryDocker(args...)
	if err == nil {
		t.Fatalf("docker %s: succeeded, want an error with %q", strings.Join(args, " "), words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("docker %s: no %q in: %v", strings.Join(args, " "), word, err)
		}
	}
}

// Compose runs the suite's docker-compose with the given file in a project.
func (e *Engine) Compose(t testing.TB, project, file string, args ...string) string {
	t.Helper()
	dir := path.Join("/srv", project)
	if err := os.MkdirAll(e.Path(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	inside := path.Join(dir, "docker-compose.yml")
	if err := os.WriteFile(e.Path(inside), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return e.Run(t, append([]string{"docker-compose", "-p", project, "-f", inside}, args...)...)
}

// Network creates a network of the engine's driver and removes it with the
// test. It returns the network's id.
func (e *Engine) Network(t testing.TB, name string, args ...string) string {
	t.Helper()
	create := append([]string{"network", "create", "-d", e.Driver}, args...)
	id := e.Docker(t, append(create, name)...)
	t.Cleanup(func() { e.remove(t, "network", "rm", name) })
	return id
}

// remove runs a docker command that removes something; what a test removed
// itself is fine.
func (e *Engine) remove(t testing.TB, args ...string) {
	t.Helper()
	out, err := e.TryDocker(args...)
	if err != nil && !strings.Contains(strings.ToLower(out+err.Error()), "no such") &&
		!strings.Contains(err.Error(), "not found") {
		t.Errorf("clean up: %v", err)
	}
}

// Container is a container to start.
type Container struct {
	Name    string
	Network string
	// Args are further arguments of docker run, such as "-p", "80:80".
	Args []string
}

// Start starts the container with a command and removes it with the test.
func (e *Engine) Start(t testing.TB, c Container, cmd ...string) {
	t.Helper()
	if err := e.TryStart(t, c, cmd...); err != nil {
		t.Fatal(err)
	}
}

// TryStart is Start for containers that may fail to start.
func (e *Engine) TryStart(t testing.TB, c Container, cmd ...string) error {
	t.Helper()
	args := []string{"run", "-d", "--init", "--name", c.Name, "--hostname", c.Name, "--network", c.Network}
	args = append(append(args, c.Args...), Image)
	t.Cleanup(func() { e.remove(t, "rm", "-f", c.Name) })
	_, err := e.TryDocker(append(args, cmd...)...)
	return err
}

// Sleep starts a container that does nothing.
func (e *Engine) Sleep(t testing.TB, c Container) {
	t.Helper()
	e.Start(t, c, "sleep", "1000000")
}

// Serve starts a container that answers on pairs of protocol and address, and
// waits until it does.
func (e *Engine) Serve(t testing.TB, c Container, pairs ...string) {
	t.Helper()
	e.Start(t, c, append([]string{"probe", "serve"}, pairs...)...)
	e.Serving(t, c.Name)
}

// Serving waits until the container's probe server is bound.
func (e *Engine) Serving(t testing.TB, container string) {
	t.Helper()
	Eventually(t, "probe in "+container, func() error {
		out, err := e.TryDocker("logs", "--tail", "5", container)
		if err == nil && !strings.Contains(out, "ready") {
			err = fmt.Errorf("log says %q", out)
		}
		return err
	})
}

// Exec runs a command in a container; it has to succeed.
func (e *Engine) Exec(t testing.TB, container string, cmd ...string) string {
	t.Helper()
	out, err := e.TryExec(container, cmd...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TryExec is Exec for commands that may fail. Exit status 126 is runc's, whose
// own start fails now and then on a busy machine ("read init-p: connection reset
// by peer"); the command has not run then, and is tried once more.
func (e *Engine) TryExec(container string, cmd ...string) (string, error) {
	args := append([]string{"exec", container}, cmd...)
	out, err := e.TryDocker(args...)
	if err != nil && strings.Contains(err.Error(), "exit status 126") {
		return e.TryDocker(args...)
	}
	return out, err
}

// Inside returns the container as something that asks and answers.
func (e *Engine) Inside(container string) *Prober {
	return &Prober{name: container, try: func(args ...string) (string, error) {
		return e.TryExec(container, append([]string{"probe"}, args...)...)
	}}
}

// Address returns the container's IPv4 address in a network.
func (e *Engine) Address(t testing.TB, container, network string) string {
	t.Helper()
	return e.setting(t, container, network, "IPAddress")
}

// Address6 returns the container's IPv6 address in a network.
func (e *Engine) Address6(t testing.TB, container, network string) string {
	t.Helper()
	return e.setting(t, container, network, "GlobalIPv6Address")
}

// setting reads one of the container's endpoint settings; it must not be empty.
func (e *Engine) setting(t testing.TB, container, network, field string) string {
	t.Helper()
	format := fmt.Sprintf("{{(index .NetworkSettings.Networks %q).%s}}", network, field)
	value := e.Docker(t, "inspect", "--format", format, container)
	if value == "" || value == "invalid IP" {
		t.Fatalf("container %s has no %s in network %s", container, field, network)
	}
	return value
}
