package conntrack

import (
	"errors"
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
