package smoke

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// TestModules: what needs a module that the kernel does not have is refused with its name,
// and nothing is left of it; where the kernel has it, it works.
func TestModules(t *testing.T) {
	d := start(t, binary(t), "auto", t.TempDir())
	defer d.end()
	bare := testkit.KernelBars("cls_bpf")
	for i, option := range []string{"gangway.anti_spoofing\":\"true", "com.docker.network.bridge.enable_icc\":\"false"} {
		id := fmt.Sprintf("%064d", i+1)
		body := fmt.Sprintf(`{"NetworkID":"%s","Options":{"com.docker.network.enable_ipv4":true,"com.docker.network.enable_ipv6":false,"com.docker.network.generic":{"%s"}},"IPv4Data":[{"AddressSpace":"x","Pool":"10.61.%d.0/24","Gateway":"10.61.%d.1/24"}],"IPv6Data":[]}`, id, option, i, i)
		status, answer, err := d.send("NetworkDriver.CreateNetwork", body)
		if err != nil {
			t.Fatal(err)
		}
		if bare != (status != 200) {
			t.Errorf("%s: %d %s", option, status, answer)
		}
		if name, _, _ := strings.Cut(option, `"`); bare && (!strings.Contains(answer, "cls_bpf") || !strings.Contains(answer, name)) {
			t.Errorf("the refusal does not name the option %s and the module cls_bpf: %s", name, answer)
		}
		if status, answer, err = d.send("NetworkDriver.DeleteNetwork", fmt.Sprintf(`{"NetworkID":"%s"}`, id)); err != nil || status != 200 {
			t.Errorf("delete: %d %s %v", status, answer, err)
		}
	}
	if left := d.sh("ip -o link show | grep -E ' g[wpv]-' || :"); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestForcedBackend: a daemon that is to use a backend which the kernel cannot have ends,
// and says what is missing and what to do.
func TestForcedBackend(t *testing.T) {
	if testkit.KernelHas(5, 6) && !testkit.KernelBars("nf_tables") {
		start(t, binary(t), "nftables", t.TempDir()).end()
		return
	}
	d := launch(t, binary(t), "nftables", t.TempDir())
	err := d.cmd.Wait()
	if said := d.log.String(); err == nil || !strings.Contains(said, "nf_tables") || !strings.Contains(said, "GANGWAY_FIREWALL=iptables") {
		t.Errorf("the daemon ends with %v and says\n%s", err, said)
	}
}
