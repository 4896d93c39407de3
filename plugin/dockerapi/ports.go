package dockerapi

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/gangway-net/gangway/driver"
)

// binding is one published port, as the engine lists it (PortSummary in its API).
type binding struct {
	IP          string `json:",omitempty"`
	PrivatePort uint16
	PublicPort  uint16 `json:",omitempty"`
	Type        string
}

// mapped is one published port, as the engine shows it of a container (PortBinding).
type mapped struct{ HostIp, HostPort string } //nolint:revive // the engine's names

func (b binding) mapped() mapped { return mapped{b.IP, strconv.Itoa(int(b.PublicPort))} }

func (b binding) key() string { return strconv.Itoa(int(b.PrivatePort)) + "/" + b.Type }

// bindings takes runs of ports apart, in the order of the container's ports.
func bindings(runs []driver.PortStatus) (all []binding) {
	slices.SortFunc(runs, func(a, b driver.PortStatus) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP), cmp.Compare(a.First, b.First))
	})
	for _, run := range runs {
		for i := range int(run.Last-run.First) + 1 {
			all = append(all, binding{run.HostIP.String(), run.ContainerFirst + uint16(i), run.First + uint16(i), run.Protocol})
		}
	}
	slices.SortStableFunc(all, func(a, b binding) int { return cmp.Compare(a.PrivatePort, b.PrivatePort) })
	return slices.Compact(all)
}

// mergeList adds to the Ports of a list. A port that is exposed only, which has no
// public one, gives way to what publishes it, as with the engine's own drivers.
func mergeList(old []byte, add []binding) ([]byte, error) {
	var there []json.RawMessage
	if err := json.Unmarshal(old, &there); err != nil {
		return nil, err
	}
	published := map[string]bool{}
	for _, b := range add {
		published[b.key()] = true
	}
	known := map[binding]bool{}
	merged := []json.RawMessage{}
	for _, raw := range there {
		var b binding
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, err
		}
		if b.PublicPort == 0 && published[b.key()] {
			continue
		}
		known[b] = true
		merged = append(merged, raw)
	}
	for _, b := range add {
		if known[b] {
			continue
		}
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		merged = append(merged, raw)
	}
	return json.Marshal(merged)
}

// mergeMap adds to the Ports of a container. Ports that are exposed only, as "80/tcp", lead
// nowhere there.
func mergeMap(old []byte, add []binding, exposed []string) ([]byte, error) {
	merged := map[string]json.RawMessage{}
	if err := json.Unmarshal(old, &merged); err != nil {
		return nil, err
	}
	if merged == nil {
		merged = map[string]json.RawMessage{}
	}
	for _, key := range exposed {
		if _, there := merged[key]; !there {
			merged[key] = nil
		}
	}
	byKey := map[string][]mapped{}
	for _, b := range add {
		byKey[b.key()] = append(byKey[b.key()], b.mapped())
	}
	for key, ports := range byKey {
		list, err := mergeMapped(merged[key], ports)
		if err != nil {
			return nil, err
		}
		merged[key] = list
	}
	return json.Marshal(merged)
}

// mergeMapped adds to what one port of a container is bound to.
func mergeMapped(old json.RawMessage, add []mapped) (json.RawMessage, error) {
	var there []json.RawMessage
	if old != nil {
		if err := json.Unmarshal(old, &there); err != nil {
			return nil, err
		}
	}
	known := map[mapped]bool{}
	for _, raw := range there {
		var m mapped
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		known[m] = true
	}
	for _, m := range add {
		if known[m] {
			continue
		}
		raw, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		there = append(there, raw)
	}
	return json.Marshal(there)
}
