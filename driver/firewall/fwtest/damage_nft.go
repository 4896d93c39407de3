package fwtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// nftObject is one object of a ruleset as nft prints it in JSON.
type nftObject struct {
	// kind is table, chain, rule, set or map.
	kind          string
	Family, Table string
	Name, Chain   string
	Handle        int
	Elem          []json.RawMessage
	// Flags of sets; tables have a string.
	Flags json.RawMessage
}

// place names what holds the object, or the object itself if it has a name.
func (o nftObject) place() string {
	switch o.kind {
	case "table":
		return o.Family + " " + o.Name
	case "rule":
		return o.Family + " " + o.Table + " " + o.Chain
	}
	return o.Family + " " + o.Table + " " + o.Name
}

// nftObjects lists a host's native objects, without those of iptables-nft.
func nftObjects(h *node) ([]nftObject, error) {
	out, err := h.command("", "nft", "-j", "-a", "list", "ruleset")
	if err != nil {
		return nil, err
	}
	return parseNft(out)
}

func parseNft(out string) ([]nftObject, error) {
	var doc struct {
		Nftables []map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		return nil, fmt.Errorf("read nft's JSON: %w", err)
	}
	var list []nftObject
	for _, entry := range doc.Nftables {
		for kind, body := range entry {
			if !slices.Contains([]string{"table", "chain", "rule", "set", "map"}, kind) {
				continue
			}
			o := nftObject{kind: kind}
			if err := json.Unmarshal(body, &o); err != nil {
				return nil, fmt.Errorf("read nft's %s: %w", kind, err)
			}
			table := o.Table
			if kind == "table" {
				table = o.Name
			}
			if !ofIPTables("table " + o.Family + " " + table) {
				list = append(list, o)
			}
		}
	}
	return list, nil
}

// damagesNative finds what can be broken of native tables that are in after
// and not in before. Handles change when a table is made anew, so a rule is
// known by its place in the chain.
func damagesNative(before, after []nftObject) []damage {
	foreign := map[string]bool{}
	for _, o := range before {
		if o.kind == "table" {
			foreign[o.place()] = true
		}
	}
	var out []damage
	rules := map[string]int{}
	for _, o := range after {
		if foreign[o.Family+" "+o.Table] || o.kind == "table" && foreign[o.place()] {
			continue
		}
		at := o.place()
		switch o.kind {
		case "table":
			out = append(out, nftDamage("delete table "+at), nftDamage("flush table "+at))
		case "chain":
			out = append(out, nftDamage("flush chain "+at),
				nftDamage("insert rule "+at+" meta l4proto 253 return"),
				nftDamage("add rule "+at+" meta l4proto 253 return"))
		case "rule":
			out = append(out, deleteRule(at, rules[at]))
			rules[at]++
		default:
			if len(o.Elem) > 0 && !strings.Contains(string(o.Flags), "dynamic") { // else packets put them there
				out = append(out, nftDamage("flush "+o.kind+" "+at))
			}
		}
	}
	return out
}

func nftDamage(command string) damage {
	return damage{"nft " + command, func(h *node) error {
		_, err := h.command(command+"\n", "nft", "-f", "-")
		return err
	}}
}

// deleteRule deletes the rule of that number in a chain.
func deleteRule(chain string, number int) damage {
	return damage{fmt.Sprintf("nft delete rule %d of %s", number, chain), func(h *node) error {
		objects, err := nftObjects(h)
		if err != nil {
			return err
		}
		left := number
		for _, o := range objects {
			if o.kind != "rule" || o.place() != chain {
				continue
			}
			if left--; left < 0 {
				return nftDamage(fmt.Sprintf("delete rule %s handle %d", chain, o.Handle)).do(h)
			}
		}
		return fmt.Errorf("chain %s has no rule %d", chain, number)
	}}
}

// isNative tells lines of a dump that are not iptables'.
func isNative(line string) bool { return strings.HasPrefix(line, "nft ") }
