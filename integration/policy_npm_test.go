package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// npmFile has agents that install packages, and reach nothing else. VOLUMES, DRIVER and COURIER
// are filled in.
const npmFile = `version: "2.4"
services:
  agent: &agent
    image: gangway-test:latest
    command: sleep 1000000
    init: true
    volumes: VOLUMES
    environment:
      PATH: /usr/bin:/bin
      HOME: /tmp
      NODE_EXTRA_CA_CERTS: /srv/registry/cert.pem
      npm_config_registry: https://registry.example/
      npm_config_fetch_retries: "0"
      npm_config_fetch_timeout: "20000"
      npm_config_update_notifier: "false"
    networks: [agents]
  open:
    <<: *agent
    networks: [open]
COURIERnetworks:
  agents:
    driver: DRIVER
    driver_opts: {gangway.egress: deny, gangway.egress.allow: "registry.example:443,10.0.5.7:5432"}
  open:
    driver: DRIVER
`

// npmCourier is a service with words of its own, as newer versions of compose have it.
const npmCourier = `  courier:
    <<: *agent
    networks: {agents: {driver_opts: {gangway.egress.allow: "registry.example:443,cdn.example:443"}}}
`

// certify makes a key with a certificate for names, in a folder.
func certify(t *testing.T, folder string, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, &c, &c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: signed}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// npmRoom are containers that install packages.
type npmRoom struct {
	*harness.Engine
	t *testing.T
}

func (r npmRoom) container(service string) string {
	r.t.Helper()
	return r.Docker(r.t, "ps", "-q", "--filter", "label=com.docker.compose.project=npm", "--filter", "label=com.docker.compose.service="+service)
}

// install installs a package, and runs it.
func (r npmRoom) install(container, name string) error {
	script := fmt.Sprintf(`rm -rf /tmp/w && mkdir /tmp/w && cd /tmp/w && timeout 90 npm install %[1]s && test "$(node -p 'require("%[1]s")')" = "$1"`, name)
	want := map[string]string{"tool": "tool with part", "strayed": "strayed"}[name]
	_, err := r.TryExec(container, "sh", "-c", script, "sh", want)
	return err
}

// testPolicyNPM: agents install a package with what it needs by npm from a registry on a
// neighbour, which their network's policy names, and reach nothing else: no tarball at a name that
// is not allowed, no other port of the registry's host, no other host, nothing of the host. From an
// open network the same is reached; and an agent's own words open a name more for it alone.
func testPolicyNPM(t *testing.T, e *harness.Engine) {
	volumes := append(e.NPM(t), "/srv/registry:/srv/registry:ro")
	folder := t.TempDir()
	certify(t, folder, "registry.example", "cdn.example")
	e.Run(t, "mkdir", "-p", "/srv/registry")
	cert, err := os.ReadFile(filepath.Join(folder, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.Path("/srv/registry/cert.pem"), cert, 0o600); err != nil {
		t.Fatal(err)
	}
	const names = "dns:registry.example=192.0.2.3;cdn.example=192.0.2.2"
	e.LAN.Neighbour.Serve(t, names, "192.0.2.3:53", "npm:"+folder, "192.0.2.3:443", "tcp", "192.0.2.3:8443")
	e.LAN.Outside.Serve(t, "npm:"+folder, "192.0.2.2:443", "tcp", "192.0.2.2:8443")
	e.Host.Serve(t, "tcp", "192.0.2.1:8443")
	askServer(t, e, "192.0.2.3")
	courier := ""
	if e.Suite == harness.Forky {
		courier = npmCourier
	}
	file := strings.NewReplacer("DRIVER", e.Driver, "VOLUMES", `["`+strings.Join(volumes, `", "`)+`"]`, "COURIER", courier).Replace(npmFile)
	t.Cleanup(func() { e.Compose(t, "npm", file, "down", "-t", "0") })
	e.Compose(t, "npm", file, "up", "-d")
	r := npmRoom{e, t}
	agent, open, carries := r.container("agent"), r.container("open"), r.container("courier")
	if courier == "" {
		carries = "courier"
		args := []string{"-e", "PATH=/usr/bin:/bin", "-e", "HOME=/tmp", "-e", "NODE_EXTRA_CA_CERTS=/srv/registry/cert.pem", "-e", "npm_config_registry=https://registry.example/", "-e", "npm_config_fetch_retries=0"}
		for _, v := range volumes {
			args = append(args, "-v", v)
		}
		// A list cannot be told to docker run: a container's word may be one entry of it.
		e.Sleep(t, harness.Container{Name: carries, Network: "name=npm_agents,driver-opt=gangway.egress.allow=*.example:443", Args: args})
	}
	for _, c := range []struct {
		container, name string
		installs        bool
	}{{agent, "tool", true}, {agent, "strayed", false}, {carries, "tool", true}, {carries, "strayed", true}, {open, "tool", true}, {open, "strayed", true}} {
		if err := r.install(c.container, c.name); (err == nil) != c.installs {
			t.Errorf("%s installs %s: %v", c.container, c.name, err)
		}
	}
	for _, to := range []string{"192.0.2.3:8443", "registry.example:8443", "192.0.2.2:8443", "cdn.example:8443", "192.0.2.1:8443"} {
		if _, err := e.Inside(agent).TryGet("tcp", to, "-timeout", "5s"); err == nil {
			t.Errorf("an agent reaches %s", to)
		}
		e.Inside(open).Get(t, "tcp", to)
	}
}
