package kernels

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// kernel is one that Debian has.
type kernel struct {
	// name is the version that the suite's kernel belongs to, for people.
	name string
	// suite is the Debian suite.
	suite string
	// without are modules that the kernel is told never to load, and only the suites that
	// are run on it; nil for none, and for all.
	without, only []string
	// cpu is qemu's processor; "" for one that has everything.
	cpu string
}

// kernels returns all: Debian's, oldest first, of which newest moves on with Debian, one that lacks
// what Gangway can do without, and one whose sets find the wrong addresses.
func kernels() []kernel {
	return []kernel{
		// Its look-ups with AVX2 are wrong (see avx2 below); what else may be wrong shows without.
		{name: "5.10", suite: "bullseye", cpu: "max,-avx2"},
		{name: "6.1", suite: "bookworm"}, {name: "6.12", suite: "trixie"}, {name: "newest", suite: "sid"},
		{name: "bare", suite: "bookworm", without: []string{"nf_tables", "cls_bpf"}, only: []string{"smoke"}},
		{name: "avx2", suite: "bullseye", only: []string{"lookups"}},
	}
}

// runs returns those of the suites that are run on the kernel.
func (k kernel) runs(all []suite) []suite {
	return slices.DeleteFunc(slices.Clone(all), func(s suite) bool { return k.only != nil && !slices.Contains(k.only, s.name) })
}

// choose returns the kernels of that list of names, the oldest and the newest of Debian's
// for an empty one, and all for "all".
func choose(names string) ([]kernel, error) {
	all := kernels()
	switch names {
	case "":
		return choose("5.10 newest")
	case "all":
		return all, nil
	}
	var chosen []kernel
	for _, name := range strings.Fields(names) {
		i := slices.IndexFunc(all, func(k kernel) bool { return k.name == name || k.suite == name })
		if i < 0 {
			return nil, fmt.Errorf("no kernel %q; there are %+v", name, all)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// suite is the tests of one package, or some of them.
type suite struct {
	name, folder string
	limit        time.Duration
	// args are further ones of the test program.
	args []string
}

func suites() []suite {
	return []suite{
		{name: "smoke", folder: "integration/smoke", limit: 15 * time.Minute},
		{name: "lookups", folder: "driver/firewall/nftables", limit: 5 * time.Minute, args: []string{"-test.run=TestSixthByte"}},
		{name: "watch", folder: "driver/watch", limit: 15 * time.Minute},
		{name: "conntrack", folder: "driver/conntrack", limit: 15 * time.Minute},
		{name: "portfilter", folder: "driver/link/portfilter", limit: 15 * time.Minute},
		{name: "nftrace", folder: "driver/nftrace", limit: 15 * time.Minute},
		{name: "hostport", folder: "driver/hostport", limit: 20 * time.Minute},
		{name: "link", folder: "driver/link", limit: 40 * time.Minute},
		{name: "nftables", folder: "driver/firewall/nftables", limit: 60 * time.Minute},
		{name: "iptables", folder: "driver/firewall/iptables", limit: 60 * time.Minute},
		{name: "faulttest", folder: "driver/faulttest", limit: 20 * time.Minute, args: []string{"-test.run=TestRandomLife|TestKilled|TestRecordings"}},
	}
}
