package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// testAPIConsumers makes the calls that Traefik makes of an engine (its pkg/provider/docker:
// the version, the list of all containers, each of them, events of containers), reads of the
// answers what it reads, and chooses addresses and ports as it does: the lowest port of
// NetworkSettings.Ports. Portainer's lists take the first two and the Ports of the list.
func testAPIConsumers(t *testing.T, e *harness.Engine) {
	e.StartAPI(t)
	e.Network(t, "n1", "--subnet", "10.77.0.0/24")
	e.Serve(t, harness.Container{Name: "exposes", Network: "n1", Args: []string{"--expose", "8080", "--label", "traefik.enable=true"}}, "tcp", "0.0.0.0:8080")
	e.Serve(t, harness.Container{Name: "publishes", Network: "n1", Args: publish("8000:80", "8443:443")}, "tcp", "0.0.0.0:80")

	client := testkit.UnixClient(e.Path(harness.APISocket), time.Minute)
	get := func(path string, into any) {
		t.Helper()
		resp, err := client.Get("http://engine" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
	}
	var version struct{ APIVersion string }
	get("/version", &version)
	base := "/v" + version.APIVersion
	if found, want := backends(get, base), map[string]string{"exposes": e.Address(t, "exposes", "n1") + ":8080", "publishes": e.Address(t, "publishes", "n1") + ":80"}; found["exposes"] != want["exposes"] || found["publishes"] != want["publishes"] {
		t.Errorf("backends are %v, want %v", found, want)
	}

	resp, err := client.Get("http://engine" + base + "/events?filters=" + url.QueryEscape(`{"type":{"container":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	e.Sleep(t, harness.Container{Name: "later", Network: "n1", Args: []string{"--expose", "9"}})
	events := json.NewDecoder(resp.Body)
	for {
		var event struct{ Action string }
		if err := events.Decode(&event); err != nil {
			t.Fatalf("events: %v", err)
		}
		if event.Action == "start" {
			break
		}
	}
	if found := backends(get, base); found["later"] != e.Address(t, "later", "n1")+":9" {
		t.Errorf("backends after the event are %v", found)
	}
}

// backends are the addresses by container that a proxy chooses.
func backends(get func(path string, into any), base string) map[string]string {
	var all []struct{ ID string }
	get(base+"/containers/json?all=1", &all)
	found := map[string]string{}
	for _, c := range all {
		var one struct {
			Name            string
			NetworkSettings struct {
				Ports    map[string][]struct{ HostIP, HostPort string }
				Networks map[string]struct{ IPAddress string }
			}
		}
		get(base+"/containers/"+c.ID+"/json", &one)
		var ports []int
		for key := range one.NetworkSettings.Ports {
			number, _, _ := strings.Cut(key, "/")
			if n, err := strconv.Atoi(number); err == nil {
				ports = append(ports, n)
			}
		}
		for _, n := range one.NetworkSettings.Networks {
			if len(ports) > 0 {
				found[strings.TrimPrefix(one.Name, "/")] = n.IPAddress + ":" + strconv.Itoa(slices.Min(ports))
			}
		}
	}
	return found
}
