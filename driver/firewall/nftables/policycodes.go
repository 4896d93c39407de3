package nftables

import (
	"slices"

	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// refusing is a chain that refuses for an option of a policy, or only counts what it would have
// refused.
type refusing struct {
	option  policy.Option
	audited bool
}

// everyRefusing lists them.
func everyRefusing() (all []refusing) {
	for _, o := range policy.Options() {
		if o != policy.OptionAllow && o != policy.OptionNames {
			all = append(all, refusing{o, false}, refusing{o, true})
		}
	}
	return all
}

// name is the chain's.
func (r refusing) name() string {
	what := map[policy.Option]string{
		policy.OptionEgress: "egress", policy.OptionDeny: "denied", policy.OptionHost: "host", policy.OptionIngress: "ingress", policy.OptionSource: "source",
	}[r.option]
	if r.audited {
		return "audit_" + what
	}
	return "refuse_" + what
}

func (r refusing) jump() []expr.Any { return jump(r.name()) }

// code is what it counts by, as a number in the kernel.
func (r refusing) code() uint32 {
	n := uint32(slices.Index(policy.Options(), r.option)) * 2 //nolint:gosec // few
	if r.audited {
		return n + 2
	}
	return n + 1
}

// refusingOf finds a chain by its number, or by its name.
func refusingOf(is func(refusing) bool) (refusing, bool) {
	all := everyRefusing()
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	return refusing{}, false
}

func (r refusing) reason() firewall.Reason {
	if r.audited {
		return firewall.Audited
	}
	return firewall.Policy
}

// incoming says that the chain is for what comes to containers.
func (r refusing) incoming() bool { return r.option == policy.OptionIngress }

// end is what becomes of a packet. What comes is dropped. So is what has an address that is
// none of the network: an answer to that would carry what a container has sent to somebody
// else.
func (r refusing) end() [][]expr.Any {
	switch {
	case r.audited:
		return nil
	case r.incoming() || r.option == policy.OptionSource:
		return [][]expr.Any{verdict(expr.VerdictDrop)}
	}
	return [][]expr.Any{reject()}
}
