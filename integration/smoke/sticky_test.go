package smoke

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/plugin"
)

// TestSticky: a container that an engine names has its address again after a restart of
// the daemon, another one does not get it meanwhile, and the daemon shows for whom it is
// kept.
func TestSticky(t *testing.T) {
	path, dir := binary(t), t.TempDir()
	const pool = "gangway-local/10.60.0.0/24"
	d := start(t, path, "auto", dir)
	defer func() { d.end() }()
	d.mustAnswer("RequestPool", `{"AddressSpace":"gangway-local","Pool":"10.60.0.0/24","SubPool":"","Options":{},"V6":false}`)
	web := d.named(pool, "web")
	d.mustAnswer("ReleaseAddress", fmt.Sprintf(`{"PoolID":%q,"Address":%q}`, pool, web))
	d.end()
	d = start(t, path, "auto", dir)
	if db := d.named(pool, "db"); db == web {
		t.Errorf("db has web's address %s, and others are free", db)
	}
	kept := func() (who string) {
		resp, err := d.client.Get("http://gangway" + plugin.AdminPath + "addresses")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var all []plugin.Address
		if err = json.NewDecoder(resp.Body).Decode(&all); err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if a.State == "kept" {
				who += fmt.Sprint(a.Address, " ", a.ContainerName)
			}
		}
		return who
	}
	if got, want := kept(), fmt.Sprint(web, " web"); got != want {
		t.Errorf("kept is %q, want %q", got, want)
	}
	if again := d.named(pool, "web"); again != web {
		t.Errorf("web has %s, and had %s", again, web)
	}
	if got := kept(); got != "" {
		t.Errorf("kept is %q, which is in use", got)
	}
	d.mustAnswer("ReleasePool", fmt.Sprintf(`{"PoolID":%q}`, pool))
}

// mustAnswer sends a call of the address manager.
func (d *daemon) mustAnswer(op, body string) string {
	d.t.Helper()
	status, answer, err := d.send("IpamDriver."+op, body)
	if err != nil || status != 200 {
		d.t.Fatalf("%s %s: %d %s %v", op, body, status, answer, err)
	}
	return answer
}

// named asks for an address as an engine does from 29 on.
func (d *daemon) named(pool, name string) netip.Addr {
	d.t.Helper()
	answer := d.mustAnswer("RequestAddress", fmt.Sprintf(`{"PoolID":%q,"Address":"","Options":{"com.docker.network.endpoint.name":%q}}`, pool, name))
	var got struct{ Address netip.Prefix }
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		d.t.Fatal(err)
	}
	return got.Address.Addr()
}
