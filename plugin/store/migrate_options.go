package store

import (
	"encoding/json"
	"fmt"
	"strings"
)

// optionsAsGiven leads from schema 4 to 5, in which the options of networks and of
// endpoints are what the user gave, by name, and are parsed again at each load. Before,
// networks had what came of it, the defaults among them; these are left out, since
// nobody knows whether the user gave them. Endpoints had no options. Two options had
// other names in what the user gave, but none here.
func optionsAsGiven(stored contents) (contents, error) {
	changed := map[string][]byte{}
	for key, value := range stored["driver"] {
		var to func(json.RawMessage) (json.RawMessage, error)
		switch {
		case strings.HasPrefix(key, "network/"):
			to = networkAsGiven
		case strings.HasPrefix(key, "endpoint/"):
			to = func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage("{}"), nil }
		default:
			continue
		}
		var parts map[string]json.RawMessage
		err := json.Unmarshal(value, &parts)
		if err == nil {
			parts["Options"], err = to(parts["Options"])
		}
		if err == nil {
			changed[key], err = json.Marshal(parts)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return contents{"driver": changed}, nil
}

// parsedOption is an option as schema 4 had it: its name, its default, and the text of
// values that had other words.
type parsedOption struct {
	name, fallback string
	words          map[string]string
}

func parsedOptions() map[string]parsedOption {
	const bridge = "com.docker.network.bridge."
	return map[string]parsedOption{
		"Bridge":       {name: bridge + "name"},
		"MTU":          {name: "com.docker.network.driver.mtu", fallback: "0"},
		"Masquerade":   {name: bridge + "enable_ip_masquerade", fallback: "true"},
		"ICC":          {name: bridge + "enable_icc", fallback: "true"},
		"GatewayMode4": {name: bridge + "gateway_mode_ipv4", fallback: "nat"},
		"GatewayMode6": {name: bridge + "gateway_mode_ipv6", fallback: "nat"},
		"InhibitIPv4":  {name: bridge + "inhibit_ipv4", fallback: "false"},
		"HostBinding4": {name: bridge + "host_binding_ipv4", fallback: "0.0.0.0"},
		"HostBinding6": {name: "gangway.host_binding_ipv6", fallback: "::"},
		"Host4":        {name: "com.docker.network.host_ipv4"},
		"Host6":        {name: "com.docker.network.host_ipv6"},
		"AntiSpoofing": {name: "gangway.anti_spoofing", words: map[string]string{"refused": "true", "allowed": "false"}},
		"Trusted":      {name: bridge + "trusted_host_interfaces"},
		"IfacePrefix":  {name: "com.docker.network.container_iface_prefix", fallback: "eth"},
	}
}

func networkAsGiven(options json.RawMessage) (json.RawMessage, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(options, &parts); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	fresh, given := map[string]any{}, map[string]string{}
	for part, value := range parts {
		switch part {
		case "Internal", "IPv4", "IPv6": // the engine's
			fresh[part] = value
			continue
		}
		o, known := parsedOptions()[part]
		if !known {
			return nil, fmt.Errorf("options have a part %q, which schema 4 did not have", part)
		}
		text := string(value) // a number or a boolean
		if value[0] == '"' {
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, fmt.Errorf("options, %s: %w", part, err)
			}
		}
		if word, ok := o.words[text]; ok {
			text = word
		}
		// Empty was the default of each that could be empty.
		if text != "" && text != o.fallback {
			given[o.name] = text
		}
	}
	if len(given) > 0 {
		fresh["Given"] = given
	}
	return json.Marshal(fresh)
}
