package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	probe "github.com/coreos/go-iptables/iptables"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/procfile"
)

const (
	// lockWait is how long, in seconds, a run waits for the lock that legacy
	// iptables takes against itself.
	lockWait = "10"
	// runTime bounds one run.
	runTime = 60 * time.Second
)

// variant is one of the two implementations behind the same commands; both may
// be installed, and the engine uses the one that the host's alternatives name.
type variant string

const (
	nft    variant = "nft"
	legacy variant = "legacy"
	// only is the one of a host where the commands have no variants' names.
	only variant = ""
)

// command returns a command's name, for example ip6tables-nft-restore.
func (v variant) command(six bool, verb string) string {
	parts := []string{"iptables"}
	if six {
		parts[0] = "ip6tables"
	}
	for _, p := range []string{string(v), verb} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "-")
}

// installed returns the variants whose commands are all there, and that the kernel can
// have, the one that "iptables" stands for first.
func installed(ctx context.Context) ([]variant, error) {
	var found []variant
	for _, v := range []variant{nft, legacy, only} {
		if v == only && len(found) > 0 {
			break
		}
		if !v.complete() || v == nft && legacy.complete() && withoutNFTables(ctx) {
			continue
		}
		found = append(found, v)
	}
	if len(found) == 0 {
		return nil, errors.New("find iptables, iptables-save, iptables-restore and the same of ip6tables: " +
			"not all are in PATH; install iptables (Debian: apt-get install iptables)")
	}
	if len(found) == 2 && defaultMode() == "legacy" {
		slices.Reverse(found)
	}
	return found, nil
}

// noNFTables is what the nf_tables variant says on a kernel that has no nf_tables, neither
// built in nor as a module that it could load: the subsystem of netlink is not there
// (nfnetlink_rcv_msg).
const noNFTables = "Could not fetch rule set generation id: Invalid argument"

// withoutNFTables says whether the kernel has no nf_tables. Then there is nobody's rule in
// that variant, and no use for it; Debian's package brings both.
func withoutNFTables(ctx context.Context) bool {
	_, err := run(ctx, "", nft.command(false, "save"))
	return err != nil && strings.Contains(err.Error(), noNFTables)
}

func (v variant) complete() bool {
	for _, six := range []bool{false, true} {
		for _, verb := range []string{"", "save", "restore"} {
			if _, err := exec.LookPath(v.command(six, verb)); err != nil {
				return false
			}
		}
	}
	return true
}

// defaultMode is "nf_tables" or "legacy", as the command iptables says.
func defaultMode() string {
	out, err := exec.Command("iptables", "--version").Output()
	if err == nil && strings.Contains(string(out), "(legacy)") {
		return "legacy"
	}
	return "nf_tables"
}

// hasEngine says whether the engine's chains are in the variant's filter
// table. Legacy tables come to be when they are looked at, so their list is
// asked first.
func (v variant) hasEngine() (bool, error) {
	if v == legacy && !slices.Contains(legacyTables(), "filter") {
		return false, nil
	}
	t, err := probe.New(probe.Path(v.command(false, "")), probe.Timeout(10))
	if err != nil {
		return false, fmt.Errorf("run %s: %w", v.command(false, ""), err)
	}
	for _, name := range []string{"DOCKER-USER", "DOCKER"} {
		there, err := t.ChainExists("filter", name)
		if err != nil {
			return false, errors.New(explain(err.Error(), ""))
		}
		if there {
			return true, nil
		}
	}
	return false, nil
}

// legacyTables returns the legacy tables of this network namespace.
func legacyTables() []string { return legacyTablesOf(false) }

func legacyTablesOf(six bool) []string {
	name := "ip_tables_names"
	if six {
		name = "ip6_tables_names"
	}
	data, err := procfile.Read("/proc/thread-self/net/" + name)
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// hasIPv6 says whether the kernel has IPv6 in this network namespace.
func hasIPv6() bool {
	_, err := os.Stat("/proc/thread-self/net/if_inet6")
	return err == nil
}

// list lists one family, with regard to the hooks that there may be.
func (v variant) list(ctx context.Context, six bool, hooks []hook) (listing, error) {
	name := v.command(six, "save")
	out, err := run(ctx, "", name)
	if err != nil {
		return listing{}, err
	}
	l, err := parse(out, hooks)
	if err != nil {
		return l, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// restore applies a script to one family. With debugging the log has it, as it is.
func (v variant) restore(ctx context.Context, log *logrus.Entry, six bool, script string) error {
	if script == "" {
		return nil
	}
	command := v.command(six, "restore")
	log.Debugf("%s --noflush\n%s", command, script)
	_, err := run(ctx, script, command, "--noflush", "--wait", lockWait)
	return err
}

func run(ctx context.Context, stdin, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run %s: %w", name, ctx.Err())
	}
	return nil, fmt.Errorf("run %s: %w: %s", name, err, explain(complaint.String(), stdin))
}
