package bench

import (
	"os"
	"slices"
	"testing"
)

// mode says how much is measured.
type mode struct {
	name string
	// ports are the numbers of published ports to start containers with. The
	// built-in driver does those up to builtinPorts in every round, and those
	// of builtinOnce a single time.
	ports        []int
	builtinPorts int
	builtinOnce  []int
	startRounds  rounds
	// trafficPorts are the numbers of ports published beside the one in use.
	trafficPorts   []int
	trafficRounds  rounds
	trafficSeconds string
	// Streams of one second, often, tell more than long ones: what a stream
	// gets differs from one to the next.
	throughputRounds  rounds
	throughputSeconds string
	// talkSeconds is how long requests and answers go on.
	talkSeconds string
	// containers are how many are started at once.
	containers     []int
	parallelRounds int
	networks       int
	// crowds are measured in this order in each round, so many times each.
	crowds                    []crowd
	crowdRounds, crowdSamples int
	healRounds                int
	// Each packet of the profile is sent so many times in each of so many rounds.
	profileRounds, profilePackets int
	// endpoints are the numbers of endpoints present when verbs are timed, with
	// portsEach published ports each; verbs is how many of each are timed.
	endpoints        []int
	portsEach, verbs int
	verbRounds       rounds
	// peerPorts are the numbers of ports to set up and take down beside what other
	// projects do, with peersThere published by another container.
	peerPorts, peersThere []int
	peerRounds            int
	// entries are the numbers of entries of policies, none first, policyNetworks how many
	// networks name one that is applied.
	entries, policyNetworks   []int
	policyRounds, applyRounds int
	policySeconds             string
}

// rounds is how often a part is measured: as a whole, and then what decides whether
// gangway reaches what it wants to, where two runs differ by more than is left.
type rounds struct{ whole, deciding int }

// pass is one round of a part: which variants are measured, in which sizes.
type pass struct {
	variants []Variant
	sizes    []int
}

// passes returns the rounds of a part in order, each of which begins with another
// variant than the last.
func (r rounds) passes(whole, deciding pass) []pass {
	all := slices.Concat(slices.Repeat([]pass{whole}, r.whole), slices.Repeat([]pass{deciding}, r.deciding))
	for i := range all {
		all[i].variants = turns(all[i].variants, i)
	}
	return all
}

func full() mode {
	return mode{
		name:  "full",
		ports: []int{0, 1, 10, 100, 1000, 10000}, builtinPorts: 10, builtinOnce: []int{100, 1000},
		startRounds:  rounds{9, 15},
		trafficPorts: []int{1, 1000, 10000}, trafficRounds: rounds{7, 23}, trafficSeconds: "1",
		throughputRounds: rounds{whole: 30}, throughputSeconds: "1", talkSeconds: "0.5",
		containers: []int{50, 200}, parallelRounds: 3,
		networks: 500,
		crowds:   []crowd{{100, 0}, {100, 1000}}, crowdRounds: 1, crowdSamples: 10,
		healRounds: 5, profileRounds: 3, profilePackets: 12000,
		endpoints: []int{0, 100, 1000}, portsEach: 20, verbs: 120, verbRounds: rounds{2, 3},
		peerPorts: []int{0, 1, 100, 1000}, peersThere: []int{0, 1000, 10000}, peerRounds: 3,
		entries: []int{0, 10, 1000, 10000}, policyNetworks: []int{1, 100}, policyRounds: 12, applyRounds: 3, policySeconds: "0.5",
	}
}

func quick() mode {
	return mode{
		name:  "quick",
		ports: []int{0, 1, 100, 1000}, builtinPorts: 1, builtinOnce: []int{100},
		startRounds:  rounds{whole: 2},
		trafficPorts: []int{1, 1000}, trafficRounds: rounds{whole: 2}, trafficSeconds: "1",
		throughputRounds: rounds{whole: 2}, throughputSeconds: "1", talkSeconds: "0.2",
		containers: []int{10}, parallelRounds: 1,
		networks: 20,
		crowds:   []crowd{{10, 0}, {10, 20}}, crowdRounds: 1, crowdSamples: 2,
		healRounds: 1, profileRounds: 2, profilePackets: 5000,
		endpoints: []int{0, 100}, portsEach: 20, verbs: 50, verbRounds: rounds{whole: 1},
		peerPorts: []int{0, 1, 100}, peersThere: []int{0, 1000}, peerRounds: 1,
		entries: []int{0, 10, 10000}, policyNetworks: []int{10}, policyRounds: 2, applyRounds: 1, policySeconds: "0.5",
	}
}

// modeOf reads BENCH, "full" if it is not set.
func modeOf(t testing.TB) mode {
	t.Helper()
	switch name := os.Getenv("BENCH"); name {
	case "", "full":
		return full()
	case "quick":
		return quick()
	default:
		t.Fatalf("BENCH=%s: full or quick", name)
		return mode{}
	}
}
