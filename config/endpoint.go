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

// CheckEndpoint checks the options of CreateEndpoint. In them the engine's own
// keys and the user's driver options (docker network connect --driver-opt) stand
// side by side. The engine's are checked for type and carried out by others: the
// address manager, ParsePublish with the call that publishes, the engine.
//
// gangway has no driver options for endpoints, so one that is given is refused.
// These are always strings: an unknown key of another type comes from a newer
// engine and is passed over, since no user could take it out.
func CheckEndpoint(options EndpointOptions) error {
	for _, name := range sortedKeys(options) {
		switch name {
		case keyPortMap, keyExposed, keyNoProxy6To4:
			continue
		}
		var v any
		if err := json.Unmarshal(options[name], &v); err != nil {
			return fmt.Errorf("endpoint option %s: %w", name, err)
		}
		if err := endpointOption(name, v); err != nil {
			return err
		}
	}
	return nil
}

func endpointOption(name string, v any) error {
	switch name {
	case keyDNSServers:
		return stringList(name, v)
	case keyMACAddress, keySysctls:
		// The MAC address stands readable in the request's Interface, which is the
		// one that counts; sysctls are applied by the engine (27.0 and later).
		if _, ok := v.(string); !ok {
			return fmt.Errorf("endpoint option %s: %s instead of a string", name, kind(v))
		}
		return nil
	case keyIfname:
		// libnetwork drops an interface name that a remote driver answers with,
		// so accepting this would start a container without the name it needs.
		return fmt.Errorf("endpoint option %s: the engine names interfaces of plugin drivers by itself: leave it out, or set the network option com.docker.network.container_iface_prefix", name)
	}
	if _, ok := v.(string); !ok {
		return nil
	}
	if f, ok := elsewhere(name); ok {
		return fmt.Errorf("endpoint option %s %s", name, f.hint)
	}
	if slices.Contains(networkOptionNames(), name) {
		return fmt.Errorf("endpoint option %s is an option of networks: give it to docker network create -o", name)
	}
	return unknown("endpoint option", name, []string{keySysctls})
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
