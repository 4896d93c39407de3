package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"
)

// oldest is the first schema that there was.
const oldest = 1

// contents are keys and values, by bucket.
type contents map[string]map[string][]byte

// migration looks at what a schema holds and returns the values that the next
// one has in their place. It is frozen when the schema is: it names parts of
// JSON as they were then, never a type of today's, whose next change would
// change the past as well.
type migration func(stored contents) (changed contents, err error)

// migrations lead from the schema oldest+i to the one after it. A new schema is
// needed when a stored value gets, loses or changes a part.
func migrations() []migration {
	return []migration{gatewayModes, endpointsApart, routersNoted, optionsAsGiven, addressesKept, policiesNamed, addressesLeased, bridgesAdded}
}

// migrate brings the content from a schema to the present one.
func migrate(tx *bbolt.Tx, version int) error {
	meta, data := tx.Bucket(metaBucket), tx.Bucket(dataBucket)
	for ; version < schema; version++ {
		stored, err := everything(data)
		if err != nil {
			return err
		}
		changed, err := migrations()[version-oldest](stored)
		if err != nil {
			return fmt.Errorf("bring schema %d to %d: %w", version, version+1, err)
		}
		for name, values := range changed {
			w := &write{bucket: []byte(name), changes: values}
			if err := w.apply(meta, data); err != nil {
				return fmt.Errorf("bring schema %d to %d: %w", version, version+1, err)
			}
		}
	}
	return meta.Put(schemaKey, []byte(strconv.Itoa(schema)))
}

// everything copies all buckets.
func everything(data *bbolt.Bucket) (contents, error) {
	all := contents{}
	err := data.ForEachBucket(func(name []byte) error {
		values := map[string][]byte{}
		all[string(name)] = values
		return data.Bucket(name).ForEach(func(k, v []byte) error {
			values[string(k)] = bytes.Clone(v)
			return nil
		})
	})
	return all, err
}

// gatewayModes leads from schema 1 to 2. Schema 1 was written before and after
// networks had gateway modes, a binding for IPv6 and addresses for outgoing
// traffic. Without them a network is not what the engine asks for when it
// repeats its request, which was refused as a contradiction.
func gatewayModes(stored contents) (contents, error) {
	changed := map[string][]byte{}
	for key, value := range stored["driver"] {
		if !strings.HasPrefix(key, "network/") {
			continue
		}
		fresh, err := withParts(value, "Options", map[string]string{
			"GatewayMode4": `"nat"`, "GatewayMode6": `"nat"`, "HostBinding6": `"::"`,
			"InhibitIPv4": "false", "Host4": `""`, "Host6": `""`, "Trusted": `""`,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		changed[key] = fresh
	}
	return contents{"driver": changed}, nil
}

// endpointsApart leads from schema 2 to 3, with which endpoints are in a file of
// their own (see Split, which moves them). An older version, which does not know that,
// would take the links of running containers for left over.
func endpointsApart(contents) (contents, error) { return nil, nil }

// routersNoted leads from schema 3 to 4, in which networks can have routers, and the
// record of the host says whose forwarding gangway has turned on since the boot. Those
// networks that there were have none. Until the next boot nobody knows of what an older
// version turned on, and it stays as it was.
func routersNoted(contents) (contents, error) { return nil, nil }

// addressesKept leads from schema 5 to 6, in which pools have options, and addresses are
// kept for who had them last. Those pools that there were have no options, and nothing was
// kept.
func addressesKept(contents) (contents, error) { return nil, nil }

// policiesNamed leads from schema 6 to 7, in which there are policies with names, and
// exceptions of networks and endpoints, and in which networks have the names that engines give
// them. There were none.
func policiesNamed(contents) (contents, error) { return nil, nil }

// addressesLeased leads from schema 7 to 8, in which addresses can have the lease of a DHCP
// server. There were none.
func addressesLeased(contents) (contents, error) { return nil, nil }

// bridgesAdded leads from schema 8 to 9, in which endpoints can be on further bridges of their networks. There
// were none. An older version would put them all on the first one, which has no ports for them.
func bridgesAdded(contents) (contents, error) { return nil, nil }

// withParts adds to an object inside of a JSON object the parts that it lacks.
func withParts(value []byte, inside string, parts map[string]string) ([]byte, error) {
	var outer, inner map[string]json.RawMessage
	if err := json.Unmarshal(value, &outer); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(outer[inside], &inner); err != nil {
		return nil, fmt.Errorf("%s: %w", inside, err)
	}
	if inner == nil {
		return nil, errors.New(inside + " is null")
	}
	for name, fallback := range parts {
		if _, ok := inner[name]; !ok {
			inner[name] = json.RawMessage(fallback)
		}
	}
	var err error
	if outer[inside], err = json.Marshal(inner); err != nil {
		return nil, err
	}
	return json.Marshal(outer)
}
