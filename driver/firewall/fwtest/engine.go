package fwtest

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/testkit"
)

// The rules of the engines are for docker0 with one container that publishes
// port 9000. Those in iptables are what 26.1 and 28.5 leave in the kernel; 20.10
// leaves the former, but nothing for IPv6. The administrator's are of every kind
// that a careless backend might take for its own.
//
// 29 is an engine in its nftables mode ("firewall-backend": "nftables"). No such
// engine was run: 29.nft is written after moby 29.7.2, the package
// daemon/libnetwork/drivers/bridge/internal/nftabler and its golden file
// testdata/TestNftabler/hairpin=false,internal=false,icc=true,masq=true,
// snat=false,gwm=nat,bindlh=false, the defaults of a daemon. It has their
// tables, chains, hooks, priorities and verdicts, without counters and comments;
// 29.0.0 has the same. 29.rules is what moby's iptabler.NewCleaner and
// setupUserChains leave of an earlier run in iptables mode until the host
// reboots: DOCKER-USER and the policy.
//
//go:embed engine
var ruleFiles embed.FS

// engine29 is the engine in nftables mode.
const engine29 = "29"

// possible is the setting as far as the hosts can have it. An engine that has
// rules on a host without iptables has them in nf_tables.
func (o Options) possible(s setting) setting {
	if o.NoIPTables {
		s.policy = ""
		if s.engine != "" {
			s.engine = engine29
		}
	}
	return s
}

// possible are those of the settings that the suite's hosts can have, each once. In short they are
// the first and the last one, and the first alone on an emulated processor: whose rules there are beside the
// backend's makes no difference to what a kernel can do.
func (s *suite) possible(all ...setting) []setting {
	var out []setting
	for _, set := range all {
		if set = s.opts.possible(set); !slices.Contains(out, set) {
			out = append(out, set)
		}
	}
	switch {
	case testkit.OtherKernel():
		return out[:1]
	case testing.Short() && len(out) > 2:
		return slices.Delete(out, 1, len(out)-1)
	}
	return out
}

// foreignRules puts the rules of others into a host.
func foreignRules(h *node, o Options, s setting) error {
	for _, f := range families {
		if err := foreignIPTables(h, o, s, f); err != nil {
			return err
		}
	}
	return foreignTables(h, s)
}

// foreignIPTables puts what others have in iptables into a host.
func foreignIPTables(h *node, o Options, s setting, f family) error {
	files := []string{s.engine, "admin"}
	switch {
	case s.policy == "":
		files = nil
	case s.engine == "", s.engine == "20" && f == v6:
		files[0] = "none"
	case s.engine == "20":
		files[0] = "26"
	}
	for _, file := range files {
		script, err := ruleFiles.ReadFile("engine/" + file + ".rules")
		if err != nil {
			return err
		}
		if err := restore(h, o, f, fill(string(script), f, s)); err != nil {
			return fmt.Errorf("%s rules of %s: %w", f, file, err)
		}
	}
	if o.Marker == "" || s.engine != "" && s.policy != "" {
		return nil // what a real engine has in iptables is mark enough
	}
	if err := restore(h, o, f, "*filter\n:"+o.Marker+" - [0:0]\nCOMMIT\n"); err != nil {
		return fmt.Errorf("%s chain %s: %w", f, o.Marker, err)
	}
	return nil
}

// foreignTables adds native tables, where there is nft.
func foreignTables(h *node, s setting) error {
	admin, err := ruleFiles.ReadFile("engine/admin.nft")
	if err != nil {
		return err
	}
	engine, err := ruleFiles.ReadFile("engine/29.nft")
	if err != nil {
		return err
	}
	script := string(admin)
	if s.engine == engine29 {
		for _, f := range families {
			script += fill(string(engine), f, s)
		}
	}
	_, err = h.command(script, "nft", "-f", "-")
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" && s.engine != engine29 {
		return nil
	}
	return err
}

func fill(script string, f family, s setting) string {
	d := addresses["d1"][f]
	return strings.NewReplacer(
		"POLICY", s.policy,
		"FAMILY", [...]string{"ip", "ip6"}[f],
		"CONTAINER", d.String(),
		"SUBNET", subnet("d1", f).String(),
		"LOOPBACK", [...]string{"127.0.0.0/8", "::1/128"}[f],
		"NOTLINKLOCAL", [...]string{"", "ip6 saddr != fe80::/10"}[f],
		"TARGET", netip.AddrPortFrom(d, 80).String(),
	).Replace(script)
}

// restore runs a script of iptables-restore in a host, beside what is there.
func restore(h *node, o Options, f family, script string) error {
	_, err := h.command(script, o.tool(f)+"-restore", "--noflush", "--wait")
	return err
}

// tool is the command of a family, such as ip6tables-legacy.
func (o Options) tool(f family) string {
	name := o.IPTables
	if name == "" {
		name = "iptables"
	}
	if f == v6 {
		return "ip6" + strings.TrimPrefix(name, "ip")
	}
	return name
}

// bridgeNetfilter switches br_netfilter in the calling thread's namespace. A
// kernel without it has it off.
func bridgeNetfilter(flag string) error {
	for _, name := range [...]string{"iptables", "ip6tables"} {
		err := writeSysctl("bridge/bridge-nf-call-"+name, flag)
		switch {
		case errors.Is(err, fs.ErrNotExist) && flag == "0":
		case errors.Is(err, unix.ENOENT):
			return fmt.Errorf("br_netfilter is missing, load it with `modprobe br_netfilter`: %w", err)
		case err != nil:
			return err
		}
	}
	return nil
}
