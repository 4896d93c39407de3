package nftables

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	nft "github.com/google/nftables"
)

// TestSample: what the probe tries has an element for each set that is not the packets'
// own, of as many bytes as the set declares.
func TestSample(t *testing.T) {
	items := sample()
	for _, s := range sets(table(tableName)) {
		if want := s.kind != counting; (len(items[s.Name]) > 0) != want {
			t.Errorf("%s: %d elements", s.Name, len(items[s.Name]))
		}
		for _, i := range items[s.Name] {
			if len(i.key) != int(s.KeyType.Bytes) || !s.verdict && len(i.data) != int(s.DataType.Bytes) {
				t.Errorf("%s: key of %d bytes and data of %d, declared are %d and %d", s.Name, len(i.key), len(i.data), s.KeyType.Bytes, s.DataType.Bytes)
			}
		}
	}
}

// TestTuples: what is written comes back, and a key of another length is none.
func TestTuples(t *testing.T) {
	for _, s := range sets(table(tableName)) {
		for _, i := range sample()[s.Name] {
			v, ok := s.keys.decode([]byte(i.key))
			if got := s.keys.encode(&v); !ok || got != i.key {
				t.Errorf("%s: %x became %x", s.Name, i.key, got)
			}
			if _, ok := s.keys.decode([]byte(i.key + "\x00")); ok {
				t.Errorf("%s: a key that is too long", s.Name)
			}
		}
	}
}

// TestRegisters: fields are loaded to where the kernel looks for them in keys.
func TestRegisters(t *testing.T) {
	six, all := headers()[1], []uint32{}
	s := six.find(openFromSet)
	for i := range s.key {
		all = append(all, s.keys.register(i))
	}
	// Two names of 16 bytes, a protocol in a word, an address of four and a port.
	if d := cmp.Diff([]uint32{1, 2, 3, 17, 21}, all); d != "" {
		t.Error(d)
	}
	answer := six.inMirrored(openFromSet)
	want := six.in(openFromSet, oifname, iifname, l4proto, saddr, sport)
	if d := cmp.Diff(want, answer); d != "" {
		t.Errorf("an answer: %s", d)
	}
}

// TestForeignFields: a rule that loads what a set does not have is found when it is made.
func TestForeignFields(t *testing.T) {
	for what, load := range map[string]func(){
		"another kind":  func() { headers()[0].in(subnetBridgeSet, iifname, saddr) },
		"too few":       func() { headers()[0].in(subnetBridgeSet, saddr) },
		"no such set":   func() { inet().in(subnetBridgeSet) },
		"no load of it": func() { inet().in(refusedSet) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			load()
		}()
	}
}

// TestTypes: a field alone and in a concatenation, as nft has them.
func TestTypes(t *testing.T) {
	four := headers()[0]
	for name, want := range map[string]nft.SetDatatype{
		subnetsSet: nft.TypeIPAddr, unprotectedSet: nft.TypeIFName,
		portAtMap: nft.MustConcatSetType(nft.TypeInetProto, nft.TypeIPAddr, nft.TypeInetService),
	} {
		if d := cmp.Diff(want, four.find(name).KeyType, cmpopts.IgnoreUnexported(nft.SetDatatype{})); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
