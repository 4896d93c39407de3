package config

import "fmt"

// Keys that the engine itself puts beside the user's options of a network
// (libnetwork's netlabel package).
const (
	keyGeneric    = "com.docker.network.generic"
	keyInternal   = "com.docker.network.internal"
	keyEnableIPv4 = "com.docker.network.enable_ipv4"
	keyEnableIPv6 = "com.docker.network.enable_ipv6"
)

// ParseNetwork reads the options of CreateNetwork and GwAllocCheck as decoded
// from JSON. The user's are strings under com.docker.network.generic; an unknown
// one, a malformed one and one of another driver that asks for something are
// errors. What stands beside them comes from the engine alone: what is unknown
// there is a newer engine's and is passed over, since no user could take it out.
func ParseNetwork(options map[string]any) (Network, error) {
	n := Network{IPv4: true}
	for _, flag := range []struct {
		key string
		to  *bool
	}{{keyInternal, &n.Internal}, {keyEnableIPv4, &n.IPv4}, {keyEnableIPv6, &n.IPv6}} {
		if err := engineFlag(options, flag.key, flag.to); err != nil {
			return Network{}, err
		}
	}
	table := optionsTable()
	given, err := generic(table, n, options)
	if err == nil {
		err = n.take(table, given)
	}
	if err != nil {
		return Network{}, err
	}
	return n, nil
}

// take sets all options to what is given of them, or to their defaults. What the
// engine says beside them is set already.
func (n *Network) take(table []Option, given map[string]string) (err error) {
	if n.given, err = remember(given); err != nil {
		return err
	}
	for _, row := range table {
		if row.network == nil {
			continue
		}
		value, ok := given[row.Name]
		if !ok {
			value = row.Default
		}
		if err := row.network(n, value); err != nil {
			return fmt.Errorf("network option %s: %q %w", row.Name, value, err)
		}
	}
	if !n.IPv4 && !n.IPv6 {
		return fmt.Errorf("network has neither IPv4 nor IPv6: leave one of them on")
	}
	for _, row := range table {
		if row.check == nil {
			continue
		}
		if err := row.check(*n); err != nil {
			return fmt.Errorf("network option %s: %w", row.Name, err)
		}
	}
	return nil
}

// Unguarded refuses what needs a filter at the bridge's ports, on a host whose
// kernel has none; reason says why.
func (n Network) Unguarded(reason string) error {
	for _, row := range optionsTable() {
		if row.filter == nil {
			continue
		}
		if what := row.filter(n); what != "" {
			return fmt.Errorf("network option %s: this host cannot filter %s: %s; load the kernel modules sch_ingress and cls_bpf, or leave the option out", row.Name, what, reason)
		}
	}
	return nil
}

// engineFlag reads a bool that the engine sets; absent or null leaves the
// default.
func engineFlag(options map[string]any, key string, to *bool) error {
	switch v := options[key].(type) {
	case nil:
	case bool:
		*to = v
	default:
		return fmt.Errorf("network option %s: %s instead of true or false", key, kind(v))
	}
	return nil
}

// generic returns the user's options, all of known names. n has what the engine says
// beside them.
func generic(table []Option, n Network, options map[string]any) (map[string]string, error) {
	v := options[keyGeneric]
	values, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("network option %s: %s instead of an object", keyGeneric, kind(v))
	}
	given := map[string]string{}
	for _, name := range sortedKeys(values) {
		text, ok := values[name].(string)
		if f, foreign := elsewhere(name); foreign {
			if ok && f.idle != nil && f.idle(n, text) {
				continue
			}
			return nil, fmt.Errorf("network option %s %s", name, f.hint)
		}
		row, err := find(table, ForNetwork, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("network option %s: %s instead of a string", name, kind(values[name]))
		}
		if !row.Engine {
			given[name] = text
		}
	}
	return given, nil
}
