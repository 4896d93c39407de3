package nftables

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	nft "github.com/google/nftables"

	"github.com/gangway-net/gangway/driver/firewall"
)

// reader reads the sets that count. It has connections of its own, so that it waits for
// no change of the rules and none for it.
type reader struct {
	mu   sync.Mutex
	wire wire
	conn *nft.Conn
}

func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wire.close()
	r.stop()
}

// stop ends the connection that reads sets.
func (r *reader) stop() {
	if r.conn != nil {
		_ = r.conn.CloseLasting()
	}
	r.conn = nil
}

// read returns the elements of all sets that count, by set, and if need be those that
// tell whose address is whose; none where there is no table.
func (r *reader) read() (map[string][]nft.SetElement, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.wire.open(); err != nil {
		return nil, err
	}
	is, err := r.wire.look(tableName)
	if err != nil || !is.exists {
		return nil, err
	}
	if r.conn == nil {
		if r.conn, err = nft.New(nft.AsLasting()); err != nil {
			return nil, fmt.Errorf("connect to nf_tables: %w", err)
		}
	}
	all := map[string][]nft.SetElement{}
	for _, h := range headers() {
		for _, name := range []string{refusedSet, refusedSet + h.name, spoofedSet + h.name, homeSet + h.name} {
			if all[name] != nil || name == homeSet+h.name && len(all[spoofedSet+h.name]) == 0 {
				continue
			}
			if all[name], err = r.conn.GetSetElements(&nft.Set{Table: table(tableName), Name: name}); err != nil {
				r.stop() // there may be answers in it that belong to nothing any more
				return nil, fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	return all, nil
}

var _ firewall.Counter = (*Backend)(nil)

// Refused implements firewall.Counter.
func (b *Backend) Refused(ctx context.Context) ([]firewall.Refusal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sets, err := b.reader.read()
	if err != nil {
		return nil, fmt.Errorf("read what table inet %s refused: %w", tableName, err)
	}
	all := refusals(slices.Concat(sets[refusedSet], sets[refusedSet+"4"], sets[refusedSet+"6"]), b.kernel.mark)
	for _, h := range headers() {
		all = append(all, claims(sets[spoofedSet+h.name], sets[homeSet+h.name])...)
	}
	return all, nil
}

// refusals makes one of each pair of elements for what was refused and what was overruled
// of it. What has another form, as of an element that somebody else added, is left out.
func refusals(elements []nft.SetElement, m firewall.Mark) []firewall.Refusal {
	var all []firewall.Refusal
	at := map[string]int{}
	for _, e := range elements {
		r, overruled, ok := refusalOf(e.Key, m)
		if !ok || e.Counter == nil {
			continue
		}
		i, found := at[r.Counter]
		if !found {
			i = len(all)
			at[r.Counter], all = i, append(all, r)
		}
		if overruled {
			all[i].Overruled = e.Counter.Packets
		} else {
			all[i].Packets = e.Counter.Packets
		}
	}
	return all
}

// refusalOf reads a key.
func refusalOf(key []byte, m firewall.Mark) (r firewall.Refusal, overruled, ok bool) {
	if len(key) < ifnameLen+4 {
		return r, false, false
	}
	r.Bridge = strings.TrimRight(string(key[:ifnameLen]), "\x00")
	code := binary.NativeEndian.Uint32(key[ifnameLen:])
	overruled, code = code&m.Accept != 0, code&^m.Accept
	for _, reason := range reasons()[1:] {
		if reasonCode(m, reason) == code {
			r.Reason = reason
		}
	}
	ok = r.Reason != ""
	if rest := key[ifnameLen+4:]; ok && len(rest) > 0 {
		r.Addr, ok = netip.AddrFromSlice(rest)
	}
	r.Counter = fmt.Sprint(r.Bridge, " ", r.Reason, " ", r.Addr)
	return r, overruled, ok
}

// claims are of addresses by other links than their network's. Homes are the networks'
// subnets with their bridges.
func claims(elements, homes []nft.SetElement) []firewall.Refusal {
	var all []firewall.Refusal
	for _, e := range elements {
		addr, ok := netip.AddrFromSlice(e.Key)
		if !ok || e.Counter == nil {
			continue
		}
		r := firewall.Refusal{Counter: "claims of " + addr.String(), Reason: firewall.Spoofed, Addr: addr, Packets: e.Counter.Packets}
		for _, h := range homes {
			at := len(e.Key)
			if len(h.Key) == at+ifnameLen && len(h.KeyEnd) >= at && string(h.Key[:at]) <= string(e.Key) && string(e.Key) <= string(h.KeyEnd[:at]) {
				r.Bridge = strings.TrimRight(string(h.Key[at:]), "\x00")
			}
		}
		all = append(all, r)
	}
	return all
}
