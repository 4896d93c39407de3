package config

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Keys of an endpoint's options (libnetwork's netlabel package).
const (
	keyMACAddress = "com.docker.network.endpoint.macaddress"
	keyDNSServers = "com.docker.network.endpoint.dnsservers"
	keySysctls    = "com.docker.network.endpoint.sysctls"
	keyIfname     = "com.docker.network.endpoint.ifname"
)

// ParseEndpoint reads the options of CreateEndpoint. In them the engine's own
// keys and the user's driver options (docker network connect --driver-opt) stand
// side by side. The engine's are checked for type and carried out by others: the
// address manager, ParsePublish with the call that publishes, the engine.
//
// The user's are always strings: an unknown key of another type comes from a newer
// engine and is passed over, since no user could take it out.
func ParseEndpoint(options EndpointOptions) (Endpoint, error) {
	var e Endpoint
	table := OptionsTable()
	given, err := driverOptions(table, options)
	if err == nil {
		err = e.take(table, given)
	}
	if err != nil {
		return Endpoint{}, err
	}
	return e, nil
}

// take sets all options to what is given of them, or to their defaults. One that is
// not given, and that networks have too, is left to the network.
func (e *Endpoint) take(table []Option, given map[string]string) (err error) {
	if e.given, err = remember(given); err != nil {
		return err
	}
	for _, row := range table {
		value, ok := given[row.Name]
		if row.container == nil || !ok && row.Where == ForBoth {
			continue
		}
		if !ok {
			value = row.Default
		}
		if err := row.container(e, value); err != nil {
			return fmt.Errorf("endpoint option %s: %q %w", row.Name, value, err)
		}
	}
	return nil
}

// driverOptions returns the user's options, all of known names.
func driverOptions(table []Option, options EndpointOptions) (map[string]string, error) {
	given := map[string]string{}
	for _, name := range sortedKeys(options) {
		switch name {
		case keyPortMap, keyExposed, keyNoProxy6To4:
			continue
		}
		var v any
		if err := json.Unmarshal(options[name], &v); err != nil {
			return nil, fmt.Errorf("endpoint option %s: %w", name, err)
		}
		engines, err := engineKey(name, v)
		if err != nil {
			return nil, err
		}
		if engines {
			continue
		}
		if err := driverOption(table, name, v, given); err != nil {
			return nil, err
		}
	}
	return given, nil
}

// engineKey checks what the engine itself puts among an endpoint's options.
func engineKey(name string, v any) (engines bool, err error) {
	switch name {
	case keyDNSServers:
		return true, stringList(name, v)
	case keyMACAddress:
		// It stands readable in the request's Interface, which is the one that counts.
		if _, ok := v.(string); !ok {
			return true, fmt.Errorf("endpoint option %s: %s instead of a string", name, kind(v))
		}
		return true, nil
	case keyIfname:
		// libnetwork drops an interface name that a remote driver answers with,
		// so accepting this would start a container without the name it needs.
		return true, fmt.Errorf("endpoint option %s: the engine names interfaces of plugin drivers by itself: leave it out, or set the network option %s", name, optionIfacePrefix)
	}
	return false, nil
}

func driverOption(table []Option, name string, v any, given map[string]string) error {
	text, ok := v.(string)
	if f, foreign := elsewhere(name); foreign && ok {
		return fmt.Errorf("endpoint option %s %s", name, f.hint)
	}
	row, err := find(table, ForContainer, name)
	switch {
	case err != nil && ok:
		return err
	case err != nil: // a newer engine's
		return nil
	case !ok:
		return fmt.Errorf("endpoint option %s: %s instead of a string", name, kind(v))
	case !row.Engine:
		given[name] = text
	}
	return nil
}

// NamesServers says whether a container was given servers to ask for names, by its user or
// the engine's.
func NamesServers(options EndpointOptions) bool {
	var all []string
	return json.Unmarshal(options[keyDNSServers], &all) == nil && len(all) > 0
}

func stringList(name string, v any) error {
	list, ok := v.([]any)
	if !ok && v != nil {
		return fmt.Errorf("endpoint option %s: %s instead of a list", name, kind(v))
	}
	if i := slices.IndexFunc(list, func(e any) bool { _, ok := e.(string); return !ok }); i >= 0 {
		return fmt.Errorf("endpoint option %s: element %d is %s instead of a string", name, i, kind(list[i]))
	}
	return nil
}
