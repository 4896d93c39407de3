package nftables

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// String is a transaction as the commands of nft that would do the same, for the log,
// which asks for it with debugging only. The rules of a table that is made are left out:
// they are always the same, but for the ranges of ports.
func (tx transaction) String() string {
	var b strings.Builder
	name := "inet " + tx.table
	if tx.remove {
		fmt.Fprintf(&b, "delete table %s\n", name)
	}
	if tx.create || tx.adopt {
		fmt.Fprintf(&b, "add table %s\n", name)
	}
	if tx.moves() && !tx.create && !tx.remove {
		b.WriteString(tx.high.commands(name))
	}
	types := map[string]set{}
	for _, s := range sets(table(tx.table)) {
		types[s.Name] = s
	}
	for _, step := range []struct {
		verb  string
		items contents
	}{{"delete", tx.gone}, {"add", tx.fresh}} {
		for _, name := range slices.Sorted(maps.Keys(step.items)) {
			if name == rangesName {
				continue // they are rules
			}
			for _, i := range sorted(step.items[name]) {
				fmt.Fprintf(&b, "%s element inet %s %s { %s }\n", step.verb, tx.table, name, types[name].show(i))
			}
		}
	}
	return b.String()
}

// show is how nft writes an element.
func (s set) show(i item) string {
	end := i.key
	switch {
	case s.kind == span && i.end != "":
		end = before(i.end) // it is the first key behind
	case s.kind == span:
		end = strings.Repeat("\xff", len(i.key))
	case s.kind == concatSpan:
		end = i.end
	}
	first, last := parts(s.KeyType.Name, i.key), parts(s.KeyType.Name, end)
	for n := range first {
		if first[n] != last[n] {
			first[n] += "-" + last[n]
		}
	}
	text := strings.Join(first, " . ")
	if i.note != "" {
		text += fmt.Sprintf(" comment %q", i.note)
	}
	switch {
	case i.data == "":
	case s.DataType.Name == nft.TypeVerdict.Name:
		text += " : goto " + i.data
	default:
		text += " : " + strings.Join(parts(s.DataType.Name, i.data), " . ")
	}
	return text
}

// before is the key before another one.
func before(key string) string {
	b := []byte(key)
	for n := len(b) - 1; n >= 0; n-- {
		b[n]--
		if b[n] != 0xff {
			break
		}
	}
	return string(b)
}

// parts writes a key or value of a type, which may be a concatenation: each part takes
// up whole words of 32 bits.
func parts(types, raw string) []string {
	var out []string
	for name := range strings.SplitSeq(types, " . ") {
		size := widths()[name]
		if size == 0 || len(raw) < size {
			return append(out, "0x"+hex.EncodeToString([]byte(raw)))
		}
		out = append(out, part(name, raw[:size]))
		raw = raw[min(len(raw), (size+3)/4*4):]
	}
	return out
}

// widths are the bytes of what keys are made of.
func widths() map[string]int {
	return map[string]int{
		nft.TypeIFName.Name: ifnameLen, nft.TypeInetProto.Name: 1, nft.TypeInetService.Name: 2,
		nft.TypeIPAddr.Name: 4, nft.TypeIP6Addr.Name: 16,
	}
}

// part writes one of them.
func part(name, raw string) string {
	switch name {
	case nft.TypeIFName.Name:
		return fmt.Sprintf("%q", strings.TrimRight(raw, "\x00"))
	case nft.TypeInetService.Name:
		return fmt.Sprint(int(raw[0])<<8 | int(raw[1]))
	case nft.TypeInetProto.Name:
		switch raw[0] {
		case unix.IPPROTO_TCP:
			return "tcp"
		case unix.IPPROTO_UDP:
			return "udp"
		case unix.IPPROTO_SCTP:
			return "sctp"
		}
		return fmt.Sprint(raw[0])
	}
	a, _ := netip.AddrFromSlice([]byte(raw))
	return a.String()
}
