package link_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAddressBook changes addresses and links at random: what the book has is
// what the kernel lists, and it got to know by following.
func TestAddressBook(t *testing.T) {
	inside(t, func(f fixture) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		f.book("at the start")
		changes := 400
		if testing.Short() {
			changes = 40
		}
		for i := range changes {
			line := f.change(r)
			// Some fail: they ask for what is there, or is not.
			_ = exec.Command("ip", strings.Fields(line)...).Run()
			if i%3 == 0 {
				f.book(fmt.Sprintf("after change %d, ip %s", i, line))
			}
		}
		f.book("at the end")
		if !f.Listed() {
			t.Error("the book did not follow the kernel")
		}
	})
}

// change is one command of ip.
func (f fixture) change(r *rand.Rand) string {
	link := fmt.Sprint("d", r.IntN(3))
	address := fmt.Sprintf("10.0.%d.%d", r.IntN(2), 1+r.IntN(3))
	length := 24 + r.IntN(2)
	return []string{
		"link add " + link + " type bridge",
		"link set " + link + " up",
		"link set " + link + " down",
		"link del " + link,
		fmt.Sprintf("addr add %s/%d dev %s", address, length, link),
		fmt.Sprintf("addr add %s/%d dev %s", address, length, link),
		fmt.Sprintf("addr add %s peer 10.1.0.%d/%d dev %s", address, 1+r.IntN(2), length, link),
		fmt.Sprintf("addr replace %s/%d dev %s valid_lft 100 preferred_lft %d", address, length, link, r.IntN(2)*50),
		fmt.Sprintf("addr del %s/%d dev %s", address, length, link),
		"addr flush dev " + link,
		"link set lo " + []string{"up", "down"}[r.IntN(2)],
	}[r.IntN(11)]
}

func (f fixture) book(when string) {
	f.t.Helper()
	book, kernel, err := f.Book(context.Background())
	f.ok(err)
	if d := cmp.Diff(kernel, book); d != "" {
		f.t.Errorf("%s (-kernel +book):\n%s", when, d)
	}
}

// TestAddressBookOverrun: more changes than the socket takes lose none.
func TestAddressBookOverrun(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add d0 type bridge")
		f.book("at the start")
		var batch strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&batch, "addr add 10.2.%d.%d/32 dev d0\n", i/250, i%250+1)
		}
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(batch.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		f.book("after 2000 changes")
		f.sh("ip addr del 10.2.0.1/32 dev d0")
		f.book("after one more")
		if !f.Listed() {
			t.Error("the book did not follow the kernel again")
		}
	})
}
