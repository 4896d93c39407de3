package conntrack

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestExplain(t *testing.T) {
	for _, err := range []error{unix.EPROTONOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL} {
		if got := explain(err); !errors.Is(got, err) || !strings.Contains(got.Error(), "nf_conntrack_netlink") {
			t.Errorf("%v becomes %q", err, got)
		}
	}
	if err := explain(nil); err != nil {
		t.Errorf("nil becomes %v", err)
	}
}

func TestAgain(t *testing.T) {
	calls := 0
	err := again(t.Context(), func() error {
		calls++
		if calls < 3 {
			return netlink.ErrDumpInterrupted
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = 0
	err = again(t.Context(), func() error { calls++; return netlink.ErrDumpInterrupted })
	if !errors.Is(err, netlink.ErrDumpInterrupted) || calls != tries {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func FuzzParseFlow(f *testing.F) {
	tuple := selection{addr: netip.MustParseAddr("10.9.0.2"), direction: attrOrig, proto: unix.IPPROTO_UDP}.attributes()[0].Serialize()
	reply := selection{addr: netip.MustParseAddr("10.9.0.2"), direction: attrReply}.attributes()[0].Serialize()
	f.Add(slices.Concat([]byte{unix.AF_INET, 0, 0, 0}, tuple, reply))
	f.Add([]byte{unix.AF_INET, 0, 0, 0, 5, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, m []byte) {
		got, err := parseFlow(slices.Clip(m))
		if err == nil && (!got.dst.IsValid() || !got.from.IsValid() || len(got.name) > len(m)) {
			t.Errorf("%x becomes %+v", m, got)
		}
	})
}
