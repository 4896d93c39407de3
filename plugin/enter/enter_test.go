package enter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// TestNamespace: f runs in the other namespace, and the caller stays in its own.
func TestNamespace(t *testing.T) {
	const own = "/proc/thread-self/ns/net"
	name := func() string {
		t.Helper()
		n, err := os.Readlink(own)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, other, outer := name(), "", ""
	failed := errors.New("f failed")
	nstest.Do(t, func() {
		other, outer = name(), fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		f, err := os.Open(own)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
		var seen string
		if err := Namespace(path, func() error { seen = name(); return failed }); !errors.Is(err, failed) {
			t.Errorf("error %v, want that of f", err)
		}
		if seen != other {
			t.Errorf("f ran in %s, want %s", seen, other)
		}
	})
	if now := name(); now != before || other == before {
		t.Errorf("the caller is in %s, was in %s; the other one is %s", now, before, other)
	}
	testkit.Eventually(t, "no thread is in the other namespace", func() bool {
		threads, err := filepath.Glob("/proc/self/task/*/ns/net")
		if err != nil || len(threads) == 0 {
			t.Fatal(threads, err)
		}
		return !slices.ContainsFunc(threads, func(path string) bool {
			at, _ := os.Readlink(path)
			return at == other && path != outer // which nstest may keep
		})
	})
	if err := Namespace("/nobody", func() error { t.Error("ran"); return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a namespace that is not there: %v", err)
	}
}
