package conntrack

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/nlattr"
	"github.com/gangway-net/gangway/driver/spec"
)

// Of linux/netfilter/nfnetlink_conntrack.h. The limit is told by Linux 4.18 and on.
const (
	msgStatistics = unix.NFNL_SUBSYS_CTNETLINK<<8 | 5

	attrEntries    = 1
	attrMaxEntries = 2
)

// Use asks how many flows there are. The kernel has both numbers at hand.
func (t *Table) Use() (spec.FlowUse, error) {
	// The kernel calls the one answer a part of several (NLM_F_MULTI), and sends no end:
	// without an acknowledgement to wait for, this would wait for ever.
	answers, err := t.request(msgStatistics, unix.NLM_F_ACK, unix.AF_UNSPEC).Execute(unix.NETLINK_NETFILTER, 0)
	if err == nil && len(answers) == 0 {
		err = fmt.Errorf("no answer")
	}
	if err != nil {
		return spec.FlowUse{}, fmt.Errorf("count the tracked flows: %w", explain(err))
	}
	u, err := parseUse(answers[0])
	return u, wrap(err, "count the tracked flows")
}

func parseUse(m []byte) (u spec.FlowUse, err error) {
	if len(m) < sizeofGenmsg {
		return spec.FlowUse{}, fmt.Errorf("message of %d bytes", len(m))
	}
	for a, err := range nlattr.All(m[sizeofGenmsg:]) {
		switch {
		case err != nil:
			return spec.FlowUse{}, err
		case len(a.Value) != 4:
		case a.Kind == attrEntries:
			u.Flows = binary.BigEndian.Uint32(a.Value)
		case a.Kind == attrMaxEntries:
			u.Limit = binary.BigEndian.Uint32(a.Value)
		}
	}
	return u, nil
}
