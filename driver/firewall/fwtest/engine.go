package fwtest

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// The rules of the engines are what 26.1 and 28.5 leave in the kernel for
// docker0 with one container that publishes port 9000; 20.10 leaves the former,
// but nothing for IPv6. The administrator's are of every kind that a careless
// backend might take for its own.
//
//go:embed engine
var ruleFiles embed.FS

// foreignRules puts the rules of others into a host.
func foreignRules(h *node, o Options, s setting) error {
	if o.NoIPTables {
		return foreignTable(h)
	}
	for _, f := range families {
		engine := s.engine
		switch {
		case engine == "", engine == "20" && f == v6:
			engine = "none"
		case engine == "20":
			engine = "26"
		}
		for _, file := range [...]string{engine, "admin"} {
			script, err := ruleFiles.ReadFile("engine/" + file + ".rules")
			if err != nil {
				return err
			}
			if err := restore(h, o, f, fill(string(script), f, s)); err != nil {
				return fmt.Errorf("%s rules of %s: %w", f, file, err)
			}
		}
		if o.Marker == "" || s.engine != "" {
			continue // what a real engine has is mark enough
		}
		if err := restore(h, o, f, "*filter\n:"+o.Marker+" - [0:0]\nCOMMIT\n"); err != nil {
			return fmt.Errorf("%s chain %s: %w", f, o.Marker, err)
		}
	}
	return foreignTable(h)
}

// foreignTable adds a native table, where there is nft.
func foreignTable(h *node) error {
	script, err := ruleFiles.ReadFile("engine/admin.nft")
	if err != nil {
		return err
	}
	_, err = h.command(string(script), "nft", "-f", "-")
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		return nil
	}
	return err
}

func fill(script string, f family, s setting) string {
	d := addresses["d1"][f]
	return strings.NewReplacer(
		"POLICY", s.policy,
		"CONTAINER", d.String(),
		"SUBNET", subnet("d1", f).String(),
		"LOOPBACK", [...]string{"127.0.0.0/8", "::1/128"}[f],
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
