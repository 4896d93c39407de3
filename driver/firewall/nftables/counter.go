package nftables

import (
	"context"
	"fmt"
	"slices"
	"sync"

	nft "github.com/google/nftables"

	"github.com/gangway-net/gangway/driver/firewall"
)

// reader reads the sets of a table that count. It has connections of its own, so that it waits for
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

// read returns the elements of sets of a table, by set; none where there is no table.
func (r *reader) read(in string, sets ...string) (map[string][]nft.SetElement, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.wire.open(); err != nil {
		return nil, err
	}
	is, err := r.wire.look(in)
	if err != nil || !is.exists {
		return nil, err
	}
	if r.conn == nil {
		if r.conn, err = nft.New(nft.AsLasting()); err != nil {
			return nil, fmt.Errorf("connect to nf_tables: %w", err)
		}
	}
	all := map[string][]nft.SetElement{}
	for _, name := range sets {
		if all[name], err = r.conn.GetSetElements(&nft.Set{Table: table(in), Name: name}); err != nil {
			r.stop() // there may be answers in it that belong to nothing any more
			return nil, fmt.Errorf("set %s: %w", name, err)
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
	sets, err := b.reader.read(tableName, refusedSet, refusedSet+"4", refusedSet+"6", spoofedSet+"4", spoofedSet+"6")
	if err != nil {
		return nil, fmt.Errorf("read what table inet %s refused: %w", tableName, err)
	}
	all := refusals(slices.Concat(sets[refusedSet], sets[refusedSet+"4"], sets[refusedSet+"6"]), b.kernel.mark)
	for _, h := range headers() {
		claimed := sets[spoofedSet+h.name]
		if len(claimed) == 0 {
			continue // whose address is whose is of interest only then
		}
		homes, err := b.reader.read(tableName, subnetBridgeSet+h.name)
		if err != nil {
			return nil, fmt.Errorf("read the subnets of table inet %s: %w", tableName, err)
		}
		all = append(all, claims(h, claimed, homes[subnetBridgeSet+h.name])...)
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
	var v values
	for _, h := range append(headers(), inet()) {
		if v, ok = h.find(refusedSet).keys.decode(key); ok {
			break
		}
	}
	if !ok {
		return r, false, false
	}
	r.Bridge, r.Addr = v.link[receiver], v.addr[receiver]
	overruled = v.number&m.Accept != 0
	for _, reason := range reasons()[1:] {
		if reasonCode(m, reason) == v.number&^m.Accept {
			r.Reason = reason
		}
	}
	r.Counter = fmt.Sprint(r.Bridge, " ", r.Reason, " ", r.Addr)
	return r, overruled, r.Reason != ""
}

// claims are of a family's addresses by other links than their network's. Homes are the
// networks' subnets with their bridges.
func claims(h header, elements, homes []nft.SetElement) []firewall.Refusal {
	var all []firewall.Refusal
	for _, e := range elements {
		v, ok := h.find(spoofedSet).keys.decode(e.Key)
		if !ok || e.Counter == nil {
			continue
		}
		addr := v.addr[sender]
		r := firewall.Refusal{Counter: "claims of " + addr.String(), Reason: firewall.Spoofed, Addr: addr, Packets: e.Counter.Packets}
		for _, home := range homes {
			keys := h.find(subnetBridgeSet).keys
			first, one := keys.decode(home.Key)
			last, other := keys.decode(home.KeyEnd)
			if one && other && !addr.Less(first.addr[sender]) && !last.addr[sender].Less(addr) {
				r.Bridge = first.link[sender]
			}
		}
		all = append(all, r)
	}
	return all
}
