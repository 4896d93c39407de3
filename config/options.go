package config

import "fmt"

// Where says what an option can be given to.
type Where uint8

// The places of options.
const (
	// ForNetwork is docker network create -o, and driver_opts of a network in a
	// compose file.
	ForNetwork Where = 1 << iota
	// ForContainer is docker run --network name=NETWORK,driver-opt=NAME=VALUE,
	// docker network connect --driver-opt, and driver_opts of a service's network.
	ForContainer
	ForBoth = ForNetwork | ForContainer
)

func (w Where) String() string {
	switch w {
	case ForNetwork:
		return "network"
	case ForContainer:
		return "one container"
	case ForBoth:
		return "network, one container"
	}
	return fmt.Sprintf("place %d", uint8(w))
}

// Option is one row of the table of options. Each is in a file of its own, option_*.go,
// with its parser and what it contradicts; those that are one thing share a file.
type Option struct {
	// Name is as users write it. Docker's names have Docker's meaning; Gangway's own
	// begin with gangway.
	Name string
	// Where says what it can be given to.
	Where Where
	// Values describes what is allowed; Default is the value, as text, that
	// counts when the option is absent. One for both counts for a container only
	// when it is given to that: else what its network has counts.
	Values, Default string
	// Choices are the values if there are few, for completion; else nil.
	Choices []string
	// Help is a sentence fragment for the documentation.
	Help string
	// Since is the version of Gangway that has it first.
	Since string
	// Engine says that the engine carries the option out, for every driver. It
	// arrives here too and means nothing.
	Engine bool

	// was is the name that it had before, of which users are told.
	was string
	// network and container take a value; each is nil where the option is not
	// allowed.
	network   func(*Network, string) error
	container func(*Endpoint, string) error
	// check refuses what the option contradicts; nil for nothing. The error goes on
	// behind the option's name.
	check func(Network) error
	// filter says what the network has to filter at the bridge's ports for the
	// option's sake; "" or nil for nothing.
	filter func(Network) string
}

// find returns the row of an option that is given in a place. What is not allowed
// there is refused with where it is, or with the nearest known name.
func find(table []Option, place Where, name string) (Option, error) {
	what := map[Where]string{ForNetwork: "network option", ForContainer: "endpoint option"}[place]
	var known []string
	for _, row := range table {
		switch {
		case row.was == name:
			return Option{}, fmt.Errorf("%s %s is named %s", what, name, row.Name)
		case row.Where&place != 0:
			known = append(known, row.Name)
		}
		if row.Name != name {
			continue
		}
		switch {
		case row.Where&place != 0:
			return row, nil
		case place == ForContainer:
			return Option{}, fmt.Errorf("endpoint option %s is an option of networks: give it to docker network create -o", name)
		}
		return Option{}, fmt.Errorf("network option %s is an option of one container: give it to docker run --network name=NETWORK,driver-opt=%s=VALUE, or to docker network connect --driver-opt", name, name)
	}
	return Option{}, fmt.Errorf("%w (gangway options lists them)", unknown(what, name, known))
}

// first is the version that is to be released first.
const first = "1.0"
