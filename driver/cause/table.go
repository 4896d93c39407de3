package cause

import "slices"

// Table lists all causes in the order of the documentation, with an example of what is said of
// each.
func Table() []Cause {
	return slices.Concat(problems(), degradations(), unopened(), limits())
}

func problems() []Cause {
	return []Cause{
		{
			Refused, Problem, "another gangway (plain daemon or managed plugin) serves this host already",
			"no network is made and no container with one starts", "do what the reason says; gangway has to be started again then",
		},
		{
			CheckFailed, Problem, "a comparison of the kernel with the desired state failed, with its error",
			"links, rules or ports of networks may not be what they should be; it is tried again every few seconds",
			"gangway events says since when; the log and gangway doctor may say what is in the way",
		},
		{
			Unstored, Problem, "the state cannot be written: no space left on device",
			"no network is made and no container with one starts, and a restart would go back to what was written last", "make room on the disk of the state's folder, or mend it",
		},
	}
}

func degradations() []Cause {
	return []Cause{
		{
			Restoring, Degraded, "networks are being restored",
			"calls of the engine wait for that", "wait; if it takes longer than a minute, the log says for what",
		},
		{
			Hung, Degraded, "no answer for 7s: compare links",
			"requests for the same wait, others go on", "look at the load of the host and at the kernel's log (dmesg)",
		},
		{
			PortUnheld, Degraded, "published port tcp 0.0.0.0:8080 is not held: in use by nginx",
			"who has it may get what is meant for the container, and nothing is relayed to it from ::1", "stop what has the port, or publish another one; it is tried again every few seconds",
		},
		{
			Unmet, Degraded, "an address, a link, a route or ports of the host that a network needs are not there",
			"it is said with each", "it is said with each",
		},
		{
			Flapping, Degraded, "somebody undoes a repair again and again: bridge gw-0f1e2d3c4b5a: was down: set up",
			"each time networks are cut off, or open, until the repair", "gangway events may tell who: have that program leave alone what is Gangway's",
		},
		{
			Unclaimed, Degraded, "2 links of running containers are in no stored state",
			"they and all rules are left as they are until an engine has said whose they are", "let gangway reach the engine's API (GANGWAY_ENGINE)",
		},
		{
			Unnamed, Degraded, "the engine's API at /run/docker.sock does not answer",
			"names are not known, and what the engine removed while gangway was down stays", "start the engine, or correct GANGWAY_ENGINE (off: none is asked)",
		},
		{
			Uncounted, Degraded, "refused packets are not counted: the kernel's error",
			"gangway drops and the metrics show less than there is", "see the kernel's log (dmesg); the rest of the datapath does not depend on it",
		},
		{
			Unlimited, Degraded, "how often containers ask the host for neighbours is not bounded",
			"a container can fill the host's table of neighbours, and so slow others down", "load the kernel's module nf_tables with limit, or update the kernel; it is tried again at each check",
		},
		{
			Unremembered, Degraded, "write events to /var/lib/gangway/events.jsonl: no space left on device",
			"what has happened is not known after a restart", "make room on the disk of the state's folder, or mend it; it is tried again every few seconds",
		},
		{
			Unserved, Degraded, "metrics are not served at 192.0.2.1:9323: cannot assign requested address",
			"who collects metrics gets none", "give the host the address, stop what has the port, or correct GANGWAY_METRICS; it is tried again every 5 s",
		},
	}
}

// unopened are degradations of policies and addresses.
func unopened() []Cause {
	return []Cause{
		{
			NoPolicy, Degraded, "policy agents is not there, and network 0f1e2d3c4b5a names it",
			"nothing leaves for whom it is for but what their options allow, and nobody reaches them", "gangway policy apply the file that has it",
		},
		{
			Mismatched, Degraded, "this kernel takes an IPv6 address for another one that differs in its sixth byte alone",
			"what is open to one subnet of IPv6 may be open to its neighbours, in policies with ports above all", "update the kernel: stable ones are right since April 2025",
		},
		{
			NoNetwork, Degraded, "there is no network db: the policy of network 0f1e2d3c4b5a has network:db",
			"what the entry opens stays closed", "create the network, or take it out of the policy; a network that was just made is known when the engine's API has named it",
		},
		{
			LeaseLost, Degraded, "the lease of 192.168.1.50 is lost: DHCP server 192.168.1.1 refuses",
			"the container keeps the address, but the server may give it to another machine", "let the server answer, or reserve the address there: it is asked again every minute; or start the container again for another address",
		},
		{
			Unresolved, Degraded, "the addresses of registry.example, which a policy names, are not known: ask 192.0.2.53:53 by udp: i/o timeout",
			"who has the policy reaches it by what was learned before, until that ends, and by servers of its own", "see whether the servers in the host's /etc/resolv.conf answer the host; it is tried again within a minute",
		},
	}
}

// limits are of the host: nothing is wrong because of them.
func limits() []Cause {
	return []Cause{
		{
			Unprotected, OK, "nothing keeps others from flushing the rules",
			"if they do, networks are open until the repair, mostly less than a second", "run Linux 5.12 or newer with nf_tables",
		},
		{
			Unguarded, OK, "containers are not kept from claiming addresses of their neighbours, with the kernel's error",
			"one container can take what is meant for another of its network", "load the kernel's modules sch_ingress and cls_bpf, and start gangway again",
		},
		{
			MarkShared, OK, "rules of this host use the same bits of the packet mark, with the rules",
			"either may take the other's marks for its own", "set GANGWAY_MARK to two other bits; docs/firewalls.md says who uses which",
		},
		{
			HostAsked, OK, "the host's server of names, 127.0.0.53, is on its loopback, and policies allow *.packages.example",
			"the engine asks it in the host's own name, so nobody sees who has asked: what *.NAME allows stays closed, and no name is refused",
			"have containers ask the gateway of their network themselves: dns: [10.80.0.1] in the compose file, docker run --dns",
		},
		{
			Privileged, OK, "the daemon keeps more rights than it needs, with the kernel's error",
			"a fault in it could do more than it has to", "report it, with gangway support",
		},
	}
}

func row(code Code) Cause {
	for _, c := range Table() {
		if c.Code == code {
			return c
		}
	}
	return Cause{Code: code, State: Problem}
}

// Codes lists the codes of a state.
func Codes(s State) (all []Code) {
	for _, c := range With(Table(), s) {
		all = append(all, c.Code)
	}
	return all
}
