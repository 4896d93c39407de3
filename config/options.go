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
	// ForPool is docker network create --ipam-opt, beside --ipam-driver, and the options
	// of a network's ipam in a compose file.
	ForPool
	ForBoth = ForNetwork | ForContainer
	ForAny  = ForBoth | ForPool
)

func (w Where) String() string {
	switch w {
	case ForNetwork:
		return "network"
	case ForContainer:
		return "one container"
	case ForPool:
		return "address manager"
	case ForBoth:
		return "network, one container"
	}
	return fmt.Sprintf("place %d", uint8(w))
}

// option is what an option given in one place is called.
func (w Where) option() string {
	switch w {
	case ForContainer:
		return "endpoint option"
	case ForPool:
		return "address manager option"
	}
	return "network option"
}

// usage says where an option is given that one place alone has; one for both is told as
// a network's.
func (w Where) usage(name string) string {
	switch w {
	case ForContainer:
		return "is an option of one container: give it to docker run --network name=NETWORK,driver-opt=" + name + "=VALUE, or to docker network connect --driver-opt"
	case ForPool:
		return "is an option of Gangway's address manager: give it to docker network create --ipam-driver gangway:latest --ipam-opt"
	}
	return "is an option of networks: give it to docker network create -o"
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
	// network, container and pool take a value; each is nil where the option is not
	// allowed.
	network   func(*Network, string) error
	container func(*Endpoint, string) error
	pool      func(*Pool, string) error
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
	var known []string
	for _, row := range table {
		switch {
		case row.was == name:
			return Option{}, fmt.Errorf("%s %s is named %s", place.option(), name, row.Name)
		case row.Where&place != 0:
			known = append(known, row.Name)
		}
		switch {
		case row.Name != name:
		case row.Where&place != 0:
			return row, nil
		default:
			return Option{}, fmt.Errorf("%s %s %s", place.option(), name, row.Where.usage(name))
		}
	}
	return Option{}, fmt.Errorf("%w (gangway options lists them)", unknown(place.option(), name, known))
}

// first is the version that is to be released first.
const first = "1.0"
