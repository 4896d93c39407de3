package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/plugin"
)

// dockerPlugin is one of the places where every docker command looks for plugins.
const dockerPlugin = "/usr/local/lib/docker/cli-plugins/docker-gangway"

// installDockerPlugin makes "docker gangway" a command: by a link, as packages do, or
// out of the managed plugin, as the README says.
func installDockerPlugin(t *testing.T, e *harness.Engine) {
	t.Helper()
	copied := "install -D /opt/gangway/gangway /usr/local/bin/gangway && mkdir -p /usr/local/lib/docker/cli-plugins && ln -sf /usr/local/bin/gangway " + dockerPlugin
	if e.Driver == string(harness.Managed) {
		copied = `install -D "$(docker info -f '{{.DockerRootDir}}')/plugins/$(docker plugin inspect -f '{{.ID}}' gangway)/rootfs/gangway" ` + dockerPlugin
	}
	e.Run(t, "sh", "-c", copied)
	t.Cleanup(func() { e.Run(t, "rm", "-f", dockerPlugin, "/usr/local/bin/gangway") })
}

// testShownNames: "docker gangway" shows what docker ps does: the names of containers and
// networks, renamed ones and such as are made anew, after the engine was restarted; and
// ids as long as the engine cannot be asked.
func testShownNames(t *testing.T, e *harness.Engine) {
	installDockerPlugin(t, e)
	id := e.Network(t, "shop_front", "--subnet", "10.97.0.0/24")
	web := harness.Container{Name: "shop-web-1", Network: "shop_front", Args: publish("8000:80", "9000-9009:9000-9009/udp")}
	e.Serve(t, web, "tcp", "0.0.0.0:80")
	t.Cleanup(func() { e.Docker(t, "rm", "-f", "shop-old-1") })
	shown(t, e, "shop-web-1", "shop_front")
	var ports []plugin.Port
	e.GangwayJSON(t, &ports, "ports", "shop-web-1", "--network", "shop_front")
	if want := e.Docker(t, "inspect", "-f", "{{.Id}}", "shop-web-1"); len(ports) < 2 || ports[0].ContainerID != want || ports[0].NetworkID != id || ports[0].NetworkName != "shop_front" {
		t.Errorf("ports: %+v, want container %s and network %s", ports, want, id)
	}
	if out := e.Docker(t, "gangway", "ports", "8000", "--format", `{{.Container}}\t{{.Ways}}`); !strings.HasPrefix(out, "shop-web-1\t0.0.0.0 (nat)") {
		t.Errorf("one port: %q", out)
	}
	e.Refused(t, []string{"exit status 2", `no container "shop-wep-1"`, `did you mean "shop-web-1"?`}, "gangway", "ports", "shop-wep-1")
	called(t, e)

	e.Docker(t, "rename", "shop-web-1", "shop-old-1")
	shown(t, e, "shop-old-1", "shop_front")
	e.Refused(t, []string{"in use by container shop-old-1 (network shop_front)"}, "run", "--rm", "--network", "shop_front", "-p", "8000:80", harness.Image, "true")
	// Another one has the name now.
	web.Args = publish("8001:80")
	e.Serve(t, web, "tcp", "0.0.0.0:80")
	shown(t, e, "shop-web-1", "shop_front")
	if out := e.Docker(t, "gangway", "ports", "--format", "{{.Port}} {{.Container}}"); out != "8000/tcp shop-old-1\n8001/tcp shop-web-1\n9000-9009/udp shop-old-1" {
		t.Errorf("two containers: %q", out)
	}

	endpoint := e.Docker(t, "inspect", "-f", "{{.NetworkSettings.Networks.shop_front.EndpointID}}", "shop-old-1")
	e.Kill(t)
	shown(t, e, endpoint[:12], id[:12])
	if out, err := e.TryGangway("ports", "shop-old-1"); err == nil || !strings.Contains(err.Error(), "no names are known") {
		t.Errorf("a name without an engine: %s, %v", out, err)
	}
	e.StartEngine(t)
	startAgain(t, e, "shop-old-1")
	shown(t, e, "shop-old-1", "shop_front")
	begin := time.Now()
	e.Stop(t)
	t.Logf("the engine ended after %s", time.Since(begin).Round(time.Millisecond))
	e.StartEngine(t)
	startAgain(t, e, "shop-web-1")
	shown(t, e, "shop-web-1", "shop_front")
}

// startAgain starts a container after a crash of its engine, which does not take back
// what the container had: gangway finds that out in a few seconds.
func startAgain(t *testing.T, e *harness.Engine, container string) {
	t.Helper()
	harness.Eventually(t, "start of "+container, func() error {
		_, err := e.TryDocker("start", container)
		return err
	})
}

// shown waits until "docker gangway ports" names a container and a network: names come
// in the background.
func shown(t *testing.T, e *harness.Engine, container, network string) {
	t.Helper()
	harness.Eventually(t, "name "+container, func() error {
		out, err := e.TryDocker("gangway", "ports", "--format", "{{.Container}} {{.Network}}")
		if err == nil && !slices.Contains(strings.Split(out, "\n"), container+" "+network) {
			err = fmt.Errorf("docker gangway ports: %q", out)
		}
		return err
	})
}

// known waits until containers can be named: names come in the background.
func known(t *testing.T, e *harness.Engine, containers ...string) {
	t.Helper()
	for _, name := range containers {
		harness.Eventually(t, "name "+name, func() error {
			_, err := e.TryGangway("endpoints", name)
			return err
		})
	}
}

// called: docker knows the command, its help, and what can stand behind it.
func called(t *testing.T, e *harness.Engine) {
	t.Helper()
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"--help"}, "gangway*"},
		{[]string{"gangway", "--help"}, "docker gangway [command]"},
		{[]string{"help", "gangway"}, "docker gangway [command]"},
		{[]string{"-H", "unix:///run/docker.sock", "gangway", "networks"}, "shop_front"},
		{[]string{"gangway", "endpoints", "shop-web-1"}, "10.97.0.2/24"},
		{[]string{"gangway", "status"}, "running since"},
	} {
		if out := e.Docker(t, c.words...); !strings.Contains(out, c.want) {
			t.Errorf("docker %s: no %q in\n%s", strings.Join(c.words, " "), c.want, out)
		}
	}
	// Completion calls the plugin as such: by docker (23 and later), or by the shell's
	// script, which finds it with docker info.
	if out := e.Run(t, dockerPlugin, "__completeNoDesc", "gangway", "ports", "shop"); !strings.HasPrefix(out, "shop-web-1\n") {
		t.Errorf("completion: %q", out)
	}
	if e.Suite != harness.Bookworm {
		ends(t, e)
		if out := e.Docker(t, "__complete", "gangway", "endp"); !strings.HasPrefix(out, "endpoints\t") {
			t.Errorf("completion by docker: %q", out)
		}
	}
}

// ends: a command that goes on ends with the docker command that called it.
func ends(t *testing.T, e *harness.Engine) {
	t.Helper()
	follow := e.Daemon(t, "docker", "gangway", "events", "--follow")
	// docker calls its plugins for what they are first. The one that goes on is connected
	// to docker and then to the daemon: from there on docker has its signals.
	running := func() bool {
		_, err := e.Try("sh", "-c", `for p in $(pidof docker-gangway); do
			grep -qa events "/proc/$p/cmdline" && [ "$(ls -l "/proc/$p/fd" | grep -c socket:)" -ge 2 ] && exit 0
		done; exit 1`)
		return err == nil
	}
	harness.Eventually(t, "the plugin's start", func() error {
		if !running() {
			return errors.New("there is no docker-gangway")
		}
		return nil
	})
	follow.Signal(t, syscall.SIGTERM)
	harness.Eventually(t, "the plugin's end", func() error {
		if _, err := e.Try("pidof", "docker-gangway"); err == nil {
			return errors.New("docker-gangway goes on without docker")
		}
		return nil
	})
}
