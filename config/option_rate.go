package config

import (
	"errors"
	"strconv"
	"strings"
)

// rateOptions bound what passes between containers and their network.
func rateOptions() []Option {
	one := func(name, help string, network func(*Network) *Rate, container func(*Endpoint) *Rate) Option {
		return Option{
			Name: name, Where: ForBoth, Values: "a rate as tc writes it, such as 100mbit, and a burst behind a `/`, such as 100mbit/1mb; none", Since: first, Help: help,
			network:   func(n *Network, v string) (err error) { *network(n), err = ParseRate(v); return err },
			container: func(e *Endpoint, v string) (err error) { *container(e), err = ParseRate(v); return err },
		}
	}
	return []Option{
		one(OptionRateIn, "how much each container gets in a second at most, from wherever it comes; without a burst one is derived",
			func(n *Network) *Rate { return &n.RateIn }, func(e *Endpoint) *Rate { return &e.RateIn }),
		one(OptionRateOut, "how much each container sends in a second at most, wherever it goes",
			func(n *Network) *Rate { return &n.RateOut }, func(e *Endpoint) *Rate { return &e.RateOut }),
	}
}

// The names of the options of rates, which are changed while a container runs.
const (
	OptionRateIn  = "gangway.rate.in"
	OptionRateOut = "gangway.rate.out"
)

// Rate bounds how much passes in one direction. The zero value is what nobody said
// anything about.
type Rate struct {
	// Bytes are those of a second, 0 for no bound; Burst are those that pass at once after
	// a pause, 0 for what suits the rate.
	Bytes, Burst uint64
	// None says that there is no bound, whatever the network has.
	None bool
}

// Of returns the rate that counts for a container whose network has another one.
func (r Rate) Of(network Rate) Rate {
	if r == (Rate{}) {
		return network
	}
	return r
}

// What a rate and a burst can be. A frame of 1500 bytes takes a second and a half at the
// least rate; nothing that a container is joined by is as fast as the most. The kernel
// counts a burst in 32 bits, and as the time that it takes at the rate.
const (
	minRate, maxRate = 1000, 125e9
	maxBurst         = 1 << 30
	maxBurstSeconds  = 60
)

// rateUnits are those of tc(8), in bytes: bit and its multiples are bits, bps and its
// multiples are bytes, in a second. A number alone is of bits.
func rateUnits() map[string]float64 {
	units := map[string]float64{"": 1. / 8, "bit": 1. / 8, "bps": 1}
	for i, prefix := range []string{"k", "m", "g", "t"} {
		si, binary := 1., 1.
		for range i + 1 {
			si, binary = si*1000, binary*1024
		}
		units[prefix+"bit"], units[prefix+"bps"] = si/8, si
		units[prefix+"ibit"], units[prefix+"ibps"] = binary/8, binary
	}
	return units
}

// sizeUnits are those of tc(8) for sizes: k, m and g are binary. A number alone is of bytes.
func sizeUnits() map[string]float64 {
	const k = 1024
	return map[string]float64{
		"": 1, "b": 1, "k": k, "kb": k, "m": k * k, "mb": k * k, "g": k * k * k, "gb": k * k * k,
		"bit": 1. / 8, "kbit": k / 8, "mbit": k * k / 8, "gbit": k * k * k / 8,
	}
}

// ParseRate reads a rate; "none" is no bound, "" says nothing.
func ParseRate(v string) (Rate, error) {
	switch v {
	case "":
		return Rate{}, nil
	case "none":
		return Rate{None: true}, nil
	}
	text, burst, given := strings.Cut(v, "/")
	bytes, err := quantity(text, rateUnits())
	switch {
	case err != nil:
		return Rate{}, errors.New("is no rate: want such as 100mbit, 12.5mbps (bytes) or 1gbit, a burst behind a /, or none")
	case bytes < minRate || bytes > maxRate:
		return Rate{}, errors.New("is no rate that can be kept: want 8kbit to 1tbit")
	}
	r := Rate{Bytes: uint64(bytes)}
	if !given {
		return r, nil
	}
	size, err := quantity(burst, sizeUnits())
	switch {
	case err != nil || size < 1:
		return Rate{}, errors.New("has a burst that is no size: want such as 64kb or 1mb behind the /")
	case size > maxBurst || size > maxBurstSeconds*bytes:
		return Rate{}, errors.New("has too large a burst: want 1gb at most, and no more than passes in a minute")
	}
	r.Burst = uint64(size)
	return r, nil
}

// quantity reads a number with a unit behind it, whatever its case.
func quantity(v string, units map[string]float64) (float64, error) {
	i := strings.LastIndexAny(v, "0123456789.") + 1
	unit, known := units[strings.ToLower(v[i:])]
	if !known || strings.ContainsAny(v[:i], "+-eExX_ ") {
		return 0, errors.New("no such unit")
	}
	number, err := strconv.ParseFloat(v[:i], 64)
	return number * unit, err
}

// String writes the rate as it can be given, in the largest unit that keeps it whole; empty for
// no bound.
func (r Rate) String() string {
	if r.Bytes == 0 {
		return ""
	}
	text := whole(r.Bytes*8, 1000, "bit", "kbit", "mbit", "gbit", "tbit")
	if r.Burst > 0 {
		text += "/" + whole(r.Burst, 1024, "b", "kb", "mb", "gb")
	}
	return text
}

func whole(n, step uint64, units ...string) string {
	for len(units) > 1 && n%step == 0 {
		n, units = n/step, units[1:]
	}
	return strconv.FormatUint(n, 10) + units[0]
}
