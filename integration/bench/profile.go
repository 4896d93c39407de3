package bench

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/fwtest"
	"github.com/gangway-net/gangway/driver/firewall/iptables"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
	"github.com/gangway-net/gangway/integration/testkit"
)

// crossings are the variants of the profile: each with an engine's rules, as those have it.
func crossings() map[string]fwtest.Crossing {
	log, mark := testkit.Quiet(), firewall.DefaultMark()
	return map[string]fwtest.Crossing{
		BuiltinName: {Engine: true, BuiltIn: true},
		NftablesName: {Engine: true, NewBackend: func(ctx context.Context) (firewall.Backend, error) {
			hook, err := iptables.NewForwardHook(ctx, log, mark)
			if err != nil {
				return nil, err
			}
			return nftables.New(ctx, nftables.Options{Log: log, Mark: mark, ForwardHook: hook})
		}},
		IptablesName: {Engine: true, NewBackend: func(ctx context.Context) (firewall.Backend, error) {
			table, err := nftables.NewFailClosed(ctx, log, mark)
			if err != nil {
				return nil, err
			}
			return iptables.New(ctx, iptables.Options{Log: log, Mark: mark, FailClosed: table})
		}},
	}
}

// The units of a packet's passage.
const (
	hookChains = "chains"
	rulesAsked = "rules"
	lookUps    = "look-ups"
	packetTime = "ns"
)

// profiles counts what packets meet on each way, and how long that takes.
func profiles(t testing.TB, m mode, to *Results) {
	for round := range m.profileRounds {
		for _, six := range []bool{false, true} {
			for _, v := range turns(named(BuiltinName, NftablesName, IptablesName), round) {
				c := crossings()[v.Name]
				c.IPv6 = six
				for _, p := range fwtest.Profile(t, c, m.profilePackets) {
					add := func(unit string, value float64) {
						to.add(Figure{Part: partProfile, Name: p.Way + " " + unit, N: family(six), Variant: v.Name, Unit: unit}, value)
					}
					add(hookChains, float64(p.Chains))
					add(rulesAsked, float64(p.Rules))
					add(lookUps, float64(p.Lookups))
					add(packetTime, float64(p.Time.Nanoseconds()))
				}
			}
		}
	}
}

func family(six bool) int {
	if six {
		return 6
	}
	return 4
}

// waysInWords are the rows of the profile's table.
func waysInWords() [][2]string {
	return [][2]string{
		{"published/first", "from outside to a published port, first packet"},
		{"published/asked", "the same, later packets"},
		{"published/answered", "its answers"},
		{"outside/first", "from a container to the outside, first packet"},
		{"outside/asked", "the same, later packets"},
		{"outside/answered", "its answers"},
		{"host/first", "from a container to the host, first packet"},
		{"host/asked", "the same, later packets"},
		{"within/first", "from container to container, first packet"},
		{"within/asked", "the same, later packets"},
		{"others", "from a link of others to one of others"},
	}
}

// profileTable is empty if nothing was profiled.
func profileTable(r *Results) string {
	if len(r.of(partProfile)) == 0 {
		return ""
	}
	var out strings.Builder
	columns := []string{BuiltinName, NftablesName, IptablesName}
	run := r.runOf(partProfile)
	fmt.Fprintf(&out, "Linux %s, %s.\n", run.Kernel, run.CPU)
	for _, n := range []int{family(false), family(true)} {
		fmt.Fprintf(&out, "\n| IPv%d | %s |\n|---%s|\n", n, strings.Join(columns, " | "), strings.Repeat("|---", len(columns)))
		for _, way := range waysInWords() {
			fmt.Fprintf(&out, "| %s |", way[1])
			for _, v := range columns {
				fmt.Fprintf(&out, " %s |", passageCell(r, way[0], n, v))
			}
			out.WriteString("\n")
		}
	}
	return out.String()
}

func passageCell(r *Results, way string, n int, variant string) string {
	var value [4]float64
	for i, unit := range []string{hookChains, rulesAsked, lookUps, packetTime} {
		value[i], _ = r.median(partProfile, way+" "+unit, n, variant)
	}
	return fmt.Sprintf("%.0f / %.0f / %.0f, %.2f us", value[0], value[1], value[2], value[3]/1000)
}
