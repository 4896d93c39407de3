package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// composeFile is written as a user writes it; DRIVER and IPAM are filled in.
const composeFile = `version: "2.4"
services:
  web:
    image: gangway-test:latest
    command: probe serve tcp 0.0.0.0:8080
    init: true
    hostname: web
    ports:
      - "8000:8080"
      - "127.0.0.1:8443:8080"
    networks:
      front:
        ipv4_address: 10.76.0.80
      back:
        aliases: [store]
  db:
    image: gangway-test:latest
    command: probe serve tcp 0.0.0.0:5432
    init: true
    hostname: db
    networks: [back]
networks:
  front:
    driver: DRIVER
    driver_opts:
      com.docker.network.driver.mtu: "1420"
      com.docker.network.bridge.name: gwfront0
    ipam:
      driver: IPAM
      config:
        - subnet: 10.76.0.0/24
          gateway: 10.76.0.1
          ip_range: 10.76.0.128/25
  back:
    driver: DRIVER
    internal: true
    ipam:
      driver: IPAM
      config:
        - subnet: 10.76.1.0/24
`

// testCompose: a compose file with the driver, its options, addresses and ports
// comes up, goes down without a trace, and comes up again.
func testCompose(t *testing.T, e *harness.Engine) {
	ipam := e.Driver
	if e.Driver == string(harness.Builtin) {
		ipam = "default"
	}
	file := strings.NewReplacer("DRIVER", e.Driver, "IPAM", ipam).Replace(composeFile)
	before := e.Snapshot(t)
	t.Cleanup(func() { e.Compose(t, "shop", file, "down", "-t", "1") })
	for range 2 {
		e.Compose(t, "shop", file, "up", "-d")
		web := e.Docker(t, "ps", "-q", "--filter", "label=com.docker.compose.service=web")
		db := e.Docker(t, "ps", "-q", "--filter", "label=com.docker.compose.service=db")
		e.Serving(t, web)
		e.Serving(t, db)
		from(t, "outside", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "web", "192.0.2.2")
		by(t, "loopback", e.Get(t, "tcp", "127.0.0.1:8443"), "web")
		by(t, "web asks db", e.Inside(web).Get(t, "tcp", "db:5432"), "db")
		by(t, "db asks web by its alias", e.Inside(db).Get(t, "tcp", "store:8080"), "web")
		if got := e.Address(t, web, "shop_front"); got != "10.76.0.80" {
			t.Errorf("web has %s, want 10.76.0.80", got)
		}
		if got := e.Links(t)["gwfront0"].MTU; got != 1420 {
			t.Errorf("MTU of gwfront0 is %d, want 1420", got)
		}
		e.Compose(t, "shop", file, "down", "-t", "1")
		if e.Driver != string(harness.Builtin) {
			e.Unchanged(t, before)
		}
	}
}
