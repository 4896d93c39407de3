package nftables

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// header is where the addresses of a family are in the header of its packets. One without
// a name is for both.
type header struct {
	// name ends the names of the family's chains and sets.
	name string
	// proto and icmp are the numbers of the family and of its ICMP.
	proto, icmp byte
	// saddr and daddr are offsets in bytes, words is an address's length in words.
	saddr, daddr, words uint32
}

// headers returns those of both families.
func headers() []header {
	return []header{
		{"4", unix.NFPROTO_IPV4, unix.IPPROTO_ICMP, 12, 16, 1},
		{"6", unix.NFPROTO_IPV6, unix.IPPROTO_ICMPV6, 8, 24, 4},
	}
}

// headerOf returns that of an address's family.
func headerOf(a netip.Addr) header {
	if a.Is6() {
		return headers()[1]
	}
	return headers()[0]
}

// both is for sets of both families.
func inet() header { return header{} }

// six says whether the family is IPv6.
func (h header) six() bool { return h.proto == unix.NFPROTO_IPV6 }

// own matches the family. nft names an address by it, where it is known already.
func (h header) own() []expr.Any { return rule(meta(expr.MetaKeyNFPROTO, 1), is(h.proto)) }

// kind is what a field holds. It has one line in each method of field and of kind.
type kind int

const (
	linkName kind = iota
	linkIndex
	hardwareAddress
	address
	portNumber
	protocol
	familyNumber
	number
)

// side says whose a field is: of the packet's way in and its sender, of its way out and
// its receiver, or of where a map leads to.
type side int

const (
	sender side = iota
	receiver
	target
)

// field is a part of the key of a set, or of what a map leads to.
type field struct {
	kind kind
	side side
	// load puts it into a register, of a field that is not taken from the packet as it is.
	load func(register uint32) []expr.Any
}

// The fields by the names that nft has for them.
var (
	iifname = field{kind: linkName, side: sender}
	oifname = field{kind: linkName, side: receiver}
	saddr   = field{kind: address, side: sender}
	daddr   = field{kind: address, side: receiver}
	sport   = field{kind: portNumber, side: sender}
	dport   = field{kind: portNumber, side: receiver}
	l4proto = field{kind: protocol}
	nfproto = field{kind: familyNumber}
	iif     = field{kind: linkIndex}
	// ether, a sender's hardware address, and code, a number of gangway's own, have no
	// place in packets that is always the same: rules that use them give the load.
	ether = field{kind: hardwareAddress}
	code  = field{kind: number}
	// toAddr and toPort are where a map leads to.
	toAddr = field{kind: address, side: target}
	toPort = field{kind: portNumber, side: target}
)

// loadedBy is the field as a rule loads it otherwise.
func (f field) loadedBy(load func(register uint32) []expr.Any) field {
	f.load = load
	return f
}

// mirrored is the field as it is in an answer.
func (f field) mirrored() field {
	if f.side != target && slices.Contains([]kind{linkName, address, portNumber}, f.kind) {
		f.side = receiver - f.side
	}
	return f
}

// inRegister loads the field from a packet of a family.
func (f field) inRegister(h header, register uint32) []expr.Any {
	if f.load != nil {
		return f.load(register)
	}
	switch f.kind {
	case linkName:
		return meta([...]expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME}[f.side], register)
	case linkIndex:
		return meta(expr.MetaKeyIIF, register)
	case address:
		return payloadAt(expr.PayloadBaseNetworkHeader, [...]uint32{h.saddr, h.daddr}[f.side], h.words*4, register)
	case portNumber:
		return payloadAt(expr.PayloadBaseTransportHeader, [...]uint32{0, 2}[f.side], 2, register)
	case protocol:
		return meta(expr.MetaKeyL4PROTO, register)
	case familyNumber:
		return meta(expr.MetaKeyNFPROTO, register)
	}
	panic(fmt.Sprintf("a rule has to say how to load a field of kind %d", f.kind))
}

// datatype is the kind's as a set declares it.
func (k kind) datatype(six bool) nft.SetDatatype {
	if k == address && six {
		return nft.TypeIP6Addr
	}
	return [...]nft.SetDatatype{
		linkName: nft.TypeIFName, linkIndex: nft.TypeIFIndex, hardwareAddress: nft.TypeEtherAddr, address: nft.TypeIPAddr,
		portNumber: nft.TypeInetService, protocol: nft.TypeInetProto, familyNumber: nft.TypeNFProto, number: nft.TypeMark,
	}[k]
}

// values are what the fields of an element hold; a set takes what its fields name.
type values struct {
	// link, addr and port are by side.
	link [2]string
	addr [3]netip.Addr
	port [3]uint16
	// proto is of the transport, family of the network.
	proto  spec.Protocol
	family byte
	number uint32
	// ether is six bytes.
	ether [6]byte
}

// appendTo writes the field's bytes.
func (f *field) appendTo(b []byte, v *values) []byte {
	switch f.kind {
	case linkName:
		return appendName(b, v.link[f.side])
	case address:
		if a := v.addr[f.side]; a.Is4() {
			four := a.As4()
			return append(b, four[:]...)
		}
		six := v.addr[f.side].As16()
		return append(b, six[:]...)
	case portNumber:
		return binary.BigEndian.AppendUint16(b, v.port[f.side])
	case protocol:
		return append(b, byte(v.proto))
	case familyNumber:
		return append(b, v.family)
	case number:
		return binary.NativeEndian.AppendUint32(b, v.number)
	case hardwareAddress:
		return append(b, v.ether[:]...)
	}
	panic(fmt.Sprintf("no element has a field of kind %d", f.kind))
}

// appendName writes a link's name as the kernel compares it.
func appendName(b []byte, name string) []byte {
	var full [ifnameLen]byte
	copy(full[:ifnameLen-1], name)
	return append(b, full[:]...)
}

// read takes the field from its bytes, of which there are as many as it has.
func (f field) read(b []byte, v *values) {
	switch f.kind {
	case linkName:
		v.link[f.side] = string(bytes.TrimRight(b, "\x00"))
	case address:
		v.addr[f.side], _ = netip.AddrFromSlice(b)
	case portNumber:
		v.port[f.side] = binary.BigEndian.Uint16(b)
	case protocol:
		v.proto = spec.Protocol(b[0])
	case familyNumber:
		v.family = b[0]
	case number:
		v.number = binary.NativeEndian.Uint32(b)
	case hardwareAddress:
		v.ether = [6]byte(b)
	}
}

// show writes the field as nft does.
func (f field) show(v *values) string {
	switch f.kind {
	case linkName:
		return fmt.Sprintf("%q", v.link[f.side])
	case address:
		return v.addr[f.side].String()
	case portNumber:
		return fmt.Sprint(v.port[f.side])
	case protocol:
		return strings.TrimPrefix(v.proto.String(), "proto-")
	case familyNumber:
		for _, h := range headers() {
			if h.proto == v.family {
				return "ipv" + h.name
			}
		}
		return fmt.Sprint(v.family)
	}
	if f.kind == hardwareAddress {
		return net.HardwareAddr(v.ether[:]).String()
	}
	return fmt.Sprintf("%#x", v.number)
}

// tuple is some fields in a row, with their places. One alone takes up its bytes, of
// several each takes up whole words of 32 bits.
type tuple struct {
	fields []field
	// types are those that the set declares, at where each field begins, in bytes; the
	// last one is the size of all.
	types []nft.SetDatatype
	at    []int
}

func tupleOf(fields []field, six bool) tuple {
	t := tuple{fields: fields, at: []int{0}}
	for _, f := range fields {
		typ := f.kind.datatype(six)
		size := int(typ.Bytes)
		if len(fields) > 1 {
			size = (size + 3) / 4 * 4
		}
		t.types, t.at = append(t.types, typ), append(t.at, t.at[len(t.at)-1]+size)
	}
	return t
}

// datatype is what a set declares.
func (t *tuple) datatype() nft.SetDatatype {
	switch len(t.types) {
	case 0:
		return nft.SetDatatype{}
	case 1:
		return t.types[0]
	}
	return nft.MustConcatSetType(t.types...)
}

// register is where the field of that index is, if the first one is in register 1.
func (t *tuple) register(index int) uint32 {
	return register(8 + uint32(t.at[index]/4)) //nolint:gosec // some words
}

// encode makes the bytes.
func (t *tuple) encode(v *values) string {
	var room [64]byte
	b := room[:0]
	for i := range t.fields {
		for b = t.fields[i].appendTo(b, v); len(b) < t.at[i+1]; {
			b = append(b, 0)
		}
	}
	return string(b)
}

// decode reads the bytes; ok says that there are as many as there should be.
func (t *tuple) decode(b []byte) (v values, ok bool) {
	if len(b) != t.at[len(t.at)-1] {
		return v, false
	}
	for i, f := range t.fields {
		f.read(b[t.at[i]:t.at[i]+int(t.types[i].Bytes)], &v)
	}
	return v, true
}

// show writes each field as nft does.
func (t *tuple) show(raw string) []string {
	v, ok := t.decode([]byte(raw))
	if !ok {
		return []string{"0x" + hex.EncodeToString([]byte(raw))}
	}
	var all []string
	for _, f := range t.fields {
		all = append(all, f.show(&v))
	}
	return all
}
