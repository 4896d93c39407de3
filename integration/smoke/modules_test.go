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

// TestForcedBackend: a backend that the kernel cannot have is no reason to end, but every
// call is answered with what is missing.
func TestForcedBackend(t *testing.T) {
	d := launch(t, binary(t), "nftables", t.TempDir())
	defer d.end()
	body := fmt.Sprintf(`{"NetworkID":"%064d","Options":{"com.docker.network.generic":{}},"IPv4Data":[{"AddressSpace":"x","Pool":"10.62.0.0/24","Gateway":"10.62.0.1/24"}],"IPv6Data":[]}`, 1)
	status, answer, err := d.send("NetworkDriver.CreateNetwork", body)
	if err != nil {
		t.Fatalf("%v\n%s", err, d.log.String())
	}
	works := testkit.KernelHas(5, 6) && !testkit.KernelBars("nf_tables")
	if works != (status == 200) {
		t.Errorf("CreateNetwork: %d %s", status, answer)
	}
	if status, left, err := d.send("NetworkDriver.DeleteNetwork", fmt.Sprintf(`{"NetworkID":"%064d"}`, 1)); works && (err != nil || status != 200) {
		t.Errorf("DeleteNetwork: %d %s %v", status, left, err)
	}
	if !works && (!strings.Contains(answer, "nf_tables") || !strings.Contains(answer, "GANGWAY_FIREWALL=iptables")) {
		t.Errorf("the refusal names neither the module nor the way out: %s", answer)
	}
}
