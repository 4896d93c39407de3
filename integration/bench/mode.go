package bench

import (
	"os"
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
	startRounds  int
	// trafficPorts are the numbers of ports published beside the one in use.
	trafficPorts   []int
	trafficRounds  int
	trafficSeconds string
	// Streams of one second, often, tell more than long ones: what a stream
	// gets differs from one to the next.
	throughputRounds           int
	throughputSeconds          string
	containers, parallelRounds int
	networks                   int
	healRounds                 int
	// endpoints are the numbers of endpoints present when verbs are timed, with
	// portsEach published ports each; verbs is how many of each are timed.
	endpoints        []int
	portsEach, verbs int
	verbRounds       int
}

func full() mode {
	return mode{
		name:  "full",
		ports: []int{0, 1, 10, 100, 1000, 10000}, builtinPorts: 10, builtinOnce: []int{100, 1000},
		startRounds:  9,
		trafficPorts: []int{1, 1000, 10000}, trafficRounds: 7, trafficSeconds: "2",
		throughputRounds: 11, throughputSeconds: "1",
		containers: 50, parallelRounds: 3,
		networks:   500,
		healRounds: 5,
		endpoints:  []int{0, 100, 1000}, portsEach: 20, verbs: 120, verbRounds: 2,
	}
}

func quick() mode {
	return mode{
		name:  "quick",
		ports: []int{0, 1, 100, 1000}, builtinPorts: 1, builtinOnce: []int{100},
		startRounds:  2,
		trafficPorts: []int{1, 1000}, trafficRounds: 2, trafficSeconds: "1",
		throughputRounds: 2, throughputSeconds: "1",
		containers: 10, parallelRounds: 1,
		networks:   20,
		healRounds: 1,
		endpoints:  []int{0, 100}, portsEach: 20, verbs: 50, verbRounds: 1,
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
