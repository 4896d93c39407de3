package support

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// searchPath is where programs are looked for, whatever the caller's is.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Host lists what the host tells: versions, links, addresses, routes, rules.
func Host() []Part {
	parts := []Part{
		file("host/kernel.txt", "the kernel's version", "/proc/version"),
		file("host/os-release.txt", "the distribution", "/etc/os-release"),
		{"host/sysctl.txt", "the kernel's network settings", settings},
		{"host/modules.txt", "the kernel's modules for networks", modules},
	}
	for _, c := range []struct{ name, what, command string }{
		{"versions/nft", "the version of nft", "nft --version"},
		{"versions/iptables", "the version of iptables", "iptables --version"},
		{"versions/ip", "the version of ip", "ip -V"},
		{"links", "links with what they count", "ip -details -statistics link show"},
		{"bridge-ports", "ports of bridges", "bridge -details link show"},
		{"addresses", "addresses", "ip address show"},
		{"neighbours", "neighbours", "ip neighbour show"},
		{"routing-rules4", "rules of policy routing", "ip -4 rule show"},
		{"routing-rules6", "the same for IPv6", "ip -6 rule show"},
		{"routes4", "routes of all tables", "ip -4 route show table all"},
		{"routes6", "the same for IPv6", "ip -6 route show table all"},
		{"traffic-control", "queues and their filters", "tc -statistics qdisc show"},
		{"nftables", "all rules of nf_tables", "nft -a list ruleset"},
		{"iptables", "all rules of iptables", "iptables-save -c"},
		{"ip6tables", "the same for IPv6", "ip6tables-save -c"},
		{"iptables-legacy", "rules of iptables-legacy", "iptables-legacy-save -c"},
		{"ip6tables-legacy", "the same for IPv6", "ip6tables-legacy-save -c"},
	} {
		args := strings.Fields(c.command)
		parts = append(parts, Part{"host/" + c.name + ".txt", c.what + " (" + c.command + ")", func(ctx context.Context, to io.Writer) error {
			return run(ctx, to, args...)
		}})
	}
	return parts
}

// run writes what a program prints. It gets no environment but where to look for others.
func run(ctx context.Context, to io.Writer, args ...string) error {
	path, err := find(args[0])
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...) //nolint:gosec // those of the table
	cmd.Env = []string{"PATH=" + searchPath, "LC_ALL=C"}
	var said bounded
	said.room = 1 << 10
	cmd.Stdout, cmd.Stderr = to, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(said.Bytes())))
	}
	return nil
}

func find(program string) (string, error) {
	for _, folder := range filepath.SplitList(searchPath) {
		path := filepath.Join(folder, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", program)
}

// file is a part that is a file of the host.
func file(name, what, path string) Part {
	return Part{name, what, func(_ context.Context, to io.Writer) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = to.Write(text)
		return err
	}}
}

// settings writes what of /proc/sys decides what packets do.
func settings(_ context.Context, to io.Writer) error {
	var all []string
	for _, pattern := range []string{
		"net/ipv4/ip_forward", "net/ipv6/conf/*/forwarding", "net/ipv6/conf/*/disable_ipv6", "net/ipv6/conf/*/accept_ra",
		"net/ipv4/conf/*/rp_filter", "net/ipv4/conf/*/route_localnet", "net/ipv4/conf/*/arp_*", "net/ipv4/neigh/default/gc_thresh*", "net/ipv6/neigh/default/gc_thresh*",
		"net/bridge/bridge-nf-*", "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_tcp_*",
		"net/ipv4/ip_local_*", "fs/file-nr",
	} {
		found, err := filepath.Glob("/proc/sys/" + pattern)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	for _, path := range all {
		text, err := os.ReadFile(path) //nolint:gosec // of /proc/sys
		if err != nil {
			continue // its link is gone
		}
		if _, err := fmt.Fprintf(to, "%s = %s\n", strings.TrimPrefix(path, "/proc/sys/"), strings.TrimSpace(string(text))); err != nil {
			return err
		}
	}
	return nil
}

// modules writes those that are about networks.
func modules(_ context.Context, to io.Writer) error {
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, " ")
		for _, part := range []string{"nf", "xt_", "ip", "br", "veth", "sch_", "cls_", "act_", "vlan", "bond", "tun", "wireguard"} {
			if strings.HasPrefix(name, part) {
				if _, err := io.WriteString(to, line); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// logLines is how many of the last lines of the log are written, searchLines among how many
// of the engine's those of a managed plugin are looked for.
const (
	logLines    = "2000"
	searchLines = "50000"
)

// Log is the daemon's log, as far as the system's journal has it. plugin is the id of the
// managed plugin; empty for the plain daemon.
func Log(plugin string) Part {
	return Part{"log.txt", "the last lines of the log (journalctl)", func(ctx context.Context, to io.Writer) error {
		if plugin == "" {
			return run(ctx, to, "journalctl", "--no-pager", "--output=short-iso", "--lines="+logLines, "--unit=gangway.service")
		}
		all := bounded{room: 64 << 20}
		err := run(ctx, &all, "journalctl", "--no-pager", "--output=short-iso", "--lines="+searchLines, "--unit=docker.service")
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(bytes.NewReader(all.Bytes()))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			// The engine writes of its other containers as well.
			if bytes.Contains(lines.Bytes(), []byte("plugin="+plugin)) {
				if _, err := fmt.Fprintf(to, "%s\n", lines.Bytes()); err != nil {
					return err
				}
			}
		}
		return lines.Err()
	}}
}

// Engine is the version of the engine behind an API socket. Of the rest of what it tells of
// itself (info) some may be secret.
func Engine(socket string) Part {
	return Part{"engine.json", "the engine's version (" + socket + ")", func(ctx context.Context, to io.Writer) error {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/version", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return errors.New("the engine answers " + resp.Status)
		}
		_, err = io.Copy(to, resp.Body)
		return err
	}}
}
