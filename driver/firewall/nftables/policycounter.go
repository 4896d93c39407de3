package nftables

import (
	"context"
	"fmt"
	"sync"

	nft "github.com/google/nftables"

	"github.com/gangway-net/gangway/driver/firewall"
)

// policyReader reads what the policy table has counted. It has a connection of its own, so
// that it waits for no change of the table and none for it.
type policyReader struct {
	mu   sync.Mutex
	wire wire
	conn *nft.Conn
}

func (r *policyReader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wire.close()
	r.stop()
}

func (r *policyReader) stop() {
	if r.conn != nil {
		_ = r.conn.CloseLasting()
	}
	r.conn = nil
}

// read returns the elements of the sets that count, by set; none where there is no table.
func (r *policyReader) read() (map[string][]nft.SetElement, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.wire.open(); err != nil {
		return nil, err
	}
	is, err := r.wire.look(policyTable)
	if err != nil || !is.exists {
		return nil, err
	}
	if r.conn == nil {
		if r.conn, err = nft.New(nft.AsLasting()); err != nil {
			return nil, fmt.Errorf("connect to nf_tables: %w", err)
		}
	}
	all := map[string][]nft.SetElement{}
	for name := range setsOf([]row{rowsOfPolicy().refused, rowsOfPolicy().refusedAt}) {
		if all[name], err = r.conn.GetSetElements(&nft.Set{Table: table(policyTable), Name: name}); err != nil {
			r.stop() // there may be answers in it that belong to nothing any more
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	return all, nil
}

var _ firewall.Counter = (*PolicyTable)(nil)

// Refused implements firewall.Counter.
func (p *PolicyTable) Refused(ctx context.Context) ([]firewall.Refusal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	elements, err := p.reader.read()
	if err != nil {
		return nil, fmt.Errorf("read what table inet %s refused: %w", policyTable, err)
	}
	var all []firewall.Refusal
	for name, s := range setsOf([]row{rowsOfPolicy().refused, rowsOfPolicy().refusedAt}) {
		for _, e := range elements[name] {
			v, ok := s.keys.decode(e.Key)
			reason := map[uint32]firewall.Reason{codeRefused: firewall.Policy, codeAudited: firewall.Audited}[v.number]
			if !ok || reason == "" || e.Counter == nil {
				continue // somebody else's
			}
			r := firewall.Refusal{Reason: reason, Bridge: v.link[receiver], Addr: v.addr[receiver], Packets: e.Counter.Packets}
			r.Counter = fmt.Sprint("policy ", r.Bridge, " ", r.Reason, " ", r.Addr)
			all = append(all, r)
		}
	}
	return all, nil
}
