package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// portMapping is an element of the list that engines send with Join.
type portMapping struct {
	Proto                 uint8
	IP                    string
	Port                  uint16
	HostIP                string
	HostPort, HostPortEnd uint16
}

// ports returns what the container publishes as options of Join. A port that the
// engine left to gangway to choose is chosen anew: nobody else knows which it was.
func (c container) ports(bare bool) (map[string]json.RawMessage, error) {
	list := []portMapping{}
	all := maps.Clone(c.HostConfig.PortBindings)
	if c.HostConfig.PublishAllPorts {
		for port := range c.Config.ExposedPorts {
			if len(all[port]) == 0 {
				if all == nil {
					all = map[string][]binding{}
				}
				all[port] = []binding{{}}
			}
		}
	}
	for _, port := range slices.Sorted(maps.Keys(all)) {
		for _, b := range all[port] {
			m, err := mapping(port, b)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
		}
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return map[string]json.RawMessage{
		"com.docker.network.portmap":                      raw,
		"com.docker.network.driver.private.no_proxy_6to4": json.RawMessage(strconv.FormatBool(bare)),
	}, nil
}

// mapping reads "80/tcp" and a host port: none, one, or "8000-8010".
func mapping(port string, b binding) (m portMapping, err error) {
	number, proto, _ := strings.Cut(port, "/")
	m.HostIP = b.HostIP
	var known bool
	if m.Proto, known = map[string]uint8{"tcp": 6, "": 6, "udp": 17, "sctp": 132}[proto]; !known {
		return m, fmt.Errorf("port %s: unknown protocol", port)
	}
	first, last, isRange := strings.Cut(b.HostPort, "-")
	if !isRange {
		last = first
	}
	for _, f := range []struct {
		to   *uint16
		text string
	}{{&m.Port, number}, {&m.HostPort, first}, {&m.HostPortEnd, last}} {
		if f.text == "" {
			continue
		}
		n, err := strconv.ParseUint(f.text, 10, 16)
		if err != nil {
			return m, fmt.Errorf("port %s: %w", port, err)
		}
		*f.to = uint16(n)
	}
	if m.Port == 0 {
		return m, fmt.Errorf("port %s: no number", port)
	}
	return m, nil
}
