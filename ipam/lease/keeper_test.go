package lease_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/ipam/lease"
	"github.com/gangway-net/gangway/ipam/lease/leasetest"
)

const (
	mac   = "02:00:00:00:00:aa"
	other = "02:00:00:00:00:bb"
	held  = "10.85.0.2"
)

func key() lease.Key { return lease.Key{Pool: "lan", Addr: netip.MustParseAddr(held)} }

// world is a keeper that runs with one lease of an hour.
type world struct {
	*lease.Keeper
	server *leasetest.Server

	mu      sync.Mutex
	written []lease.Lease
	told    []string
	name    string
	failing error
}

// set changes what the keeper is answered.
func (w *world) set(name string, failing error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.name, w.failing = name, failing
}

func (w *world) tells() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

func (w *world) writes() []lease.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.written)
}

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, length time.Duration, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{server: leasetest.New("10.85.0.0/24", length)}
		w.Keeper = lease.New(lease.Options{
			Server: w.server, Log: testkit.Quiet(), Name: func(netip.Addr) string {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.name
			},
			Write: func(_ context.Context, _ lease.Key, l lease.Lease, still func() bool) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				if still() {
					w.written = append(w.written, l)
				}
				return w.failing
			},
			Tell: func(l lease.Lease) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.told = append(w.told, l.Gone)
			},
		})
		l, err := w.Obtain(t.Context(), lease.Ask{Link: "eth1", MAC: mac, Name: "web"}, func(lease.Lease) error { return nil })
		if err != nil || l.Address.Addr().String() != held || l.State(time.Now()) != lease.Bound {
			t.Fatalf("%+v, %v", l, err)
		}
		w.Keep(key(), l)
		w.server.Take()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		f(t, w)
		stop()
		<-done
	})
}

// after lets time pass, and compares what the server was asked meanwhile.
func (w *world) after(t *testing.T, d time.Duration, want ...string) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := w.server.Take(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func (w *world) state(t *testing.T, want string) lease.Lease {
	t.Helper()
	l, ok := w.Of(key())
	if got := l.State(time.Now()); !ok || got != want {
		t.Errorf("%s, want %s", got, want)
	}
	return l
}

const (
	renew   = "renew " + mac + " " + held + " name=web"
	rebind  = "rebind " + mac + " " + held + " name=web"
	again   = "discover " + mac + " name=web wish=" + held
	request = "request " + mac + " " + held + " name=web"
)

// TestRenewed: at half of its time a lease is extended, and that is stored.
func TestRenewed(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		w.after(t, 29*time.Minute)
		w.after(t, time.Minute, renew)
		w.after(t, 30*time.Minute, renew)
		w.state(t, lease.Bound)
		if len(w.writes()) != 2 || time.Until(w.writes()[1].Until) != time.Hour || len(w.tells()) != 0 {
			t.Errorf("written %+v, told %q", w.writes(), w.tells())
		}
	})
}

// TestForever: a lease without an end is not asked for again.
func TestForever(t *testing.T) {
	bubble(t, 0, func(t *testing.T, w *world) {
		w.after(t, 1000*time.Hour)
		w.state(t, lease.Bound)
	})
}

// TestAway: while its server is away a lease is asked for again and again, of any server in the
// end, and holds on until its end. Then it is lost, the container keeps the address, and gets
// the lease back when the server does.
func TestAway(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		w.server.Away(true)
		// 30:00, half of the rest until 52:30 each time, a minute at least.
		w.after(t, 30*time.Minute+10*time.Second, renew)
		w.state(t, lease.Renewing)
		w.after(t, 12*time.Minute, renew)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if calls := w.server.Take(); len(calls) < 3 || calls[len(calls)-1] != rebind || slices.Contains(calls[:len(calls)-1], rebind) {
			t.Errorf("%q", calls)
		}
		w.state(t, lease.Rebinding)
		time.Sleep(6*time.Minute + 40*time.Second)
		synctest.Wait()
		if w.state(t, lease.Rebinding); len(w.tells()) != 0 {
			t.Errorf("told of %q before the end", w.tells())
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		l := w.state(t, lease.Lost)
		if len(w.tells()) != 1 || !strings.Contains(l.Gone, "no DHCP server answers at eth1") || len(w.Lost()) != 1 {
			t.Errorf("told %q, lost %q", w.tells(), l.Gone)
		}
		if all := w.writes(); all[len(all)-1].Gone == "" {
			t.Error("that it is lost is not stored")
		}
		w.server.Away(false)
		w.server.Take()
		w.after(t, 90*time.Second, again, request)
		w.state(t, lease.Bound)
		if len(w.tells()) != 2 || w.tells()[1] != "" || len(w.Lost()) != 0 {
			t.Errorf("told %q", w.tells())
		}
	})
}

// TestForgotten: a lease that somebody else has had for a while is the container's again after that.
func TestForgotten(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		w.server.Move(held, other)
		w.after(t, 30*time.Minute, renew, again)
		w.state(t, lease.Lost)
		w.server.Move(held, "")
		w.after(t, time.Minute, again, request)
		w.state(t, lease.Bound)
		if len(w.tells()) != 2 {
			t.Errorf("told %q", w.tells())
		}
	})
}

// TestTaken: an address that the server gives to somebody else is lost, and stays the
// container's; it is not taken back while somebody else has it.
func TestTaken(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		w.server.Move(held, other)
		w.after(t, 30*time.Minute, renew, again)
		l := w.state(t, lease.Lost)
		if l.Address.Addr().String() != held || !strings.Contains(l.Gone, `10.85.0.1 refuses ("no")`) || len(w.tells()) != 1 {
			t.Errorf("%+v, told %q", l, w.tells())
		}
		w.after(t, 10*time.Minute, slices.Repeat([]string{again}, 10)...)
		if w.server.Holder(held) != other || len(w.tells()) != 1 {
			t.Errorf("held by %s, told %q", w.server.Holder(held), w.tells())
		}
	})
}

// TestRefusedAnew: a server that refuses to extend, and grants the address anew.
func TestRefusedAnew(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		w.server.RefuseOnce()
		w.after(t, 30*time.Minute, renew, again, request)
		w.state(t, lease.Bound)
		if len(w.tells()) != 0 {
			t.Errorf("told %q", w.tells())
		}
	})
}

// TestNamed: once the container's name is known, the server is told.
func TestNamed(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		l, _ := w.Forget(key())
		l.Name = ""
		w.Keep(key(), l)
		w.after(t, time.Minute)
		w.set("my_web.1", nil)
		w.after(t, 3*time.Second, "renew "+mac+" "+held+" name=my-web-1")
		w.after(t, time.Minute)
		if l := w.state(t, lease.Bound); l.Name != "my-web-1" || w.writes()[0].Name != "my-web-1" {
			t.Errorf("%+v", l)
		}
	})
}

// TestGivenBackMeanwhile: a lease that is extended while its address is given back is given back
// after that, and is stored no more.
func TestGivenBackMeanwhile(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		hold := make(chan struct{})
		w.server.Hold(hold)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		l, ok := w.Forget(key())
		w.server.Take()
		if !ok {
			t.Fatal("no lease")
		}
		close(hold)
		w.server.Hold(nil)
		w.GiveBack(t.Context(), l)
		w.after(t, time.Second, "release "+mac+" "+held, "release "+mac+" "+held)
		if len(w.writes()) != 0 || w.server.Holder(held) != "" {
			t.Errorf("written %+v, held by %q", w.writes(), w.server.Holder(held))
		}
	})
}

// TestUnstored: a lease that cannot be stored is kept all the same.
func TestUnstored(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		w.set("", errors.New("disk full"))
		w.after(t, 30*time.Minute, renew)
		if l := w.state(t, lease.Bound); time.Until(l.Until) != time.Hour {
			t.Errorf("%+v", l)
		}
	})
}

// TestKeptOver: a lease that is lost, or past its times, is asked for at once when somebody keeps it.
func TestKeptOver(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		l, _ := w.Forget(key())
		lost := l
		lost.Gone = "taken"
		w.Keep(key(), lost)
		w.after(t, time.Second, again, request)
		l.Renew = time.Now().Add(-time.Minute)
		w.Keep(key(), l)
		w.after(t, time.Second, renew)
	})
}

// TestObtain: what is refused, and what is said then.
func TestObtain(t *testing.T) {
	bubble(t, time.Hour, func(t *testing.T, w *world) {
		for name, c := range map[string]struct {
			set  func()
			ask  lease.Ask
			fits error
			want string
		}{
			"away":     {func() { w.server.Away(true) }, lease.Ask{}, nil, "no DHCP server answers at eth1 within 9s"},
			"another":  {func() { w.server.Grant("10.85.0.77") }, lease.Ask{Wish: netip.MustParseAddr("10.85.0.9"), Must: true}, nil, "offers 10.85.0.77 to " + other + " and not 10.85.0.9"},
			"refused":  {func() { w.server.Refusing(true) }, lease.Ask{}, nil, `refuses ("no") the address`},
			"no place": {func() {}, lease.Ask{}, errors.New("elsewhere"), "elsewhere"},
		} {
			c.set()
			c.ask.Link, c.ask.MAC = "eth1", other
			begun := time.Now()
			_, err := w.Obtain(t.Context(), c.ask, func(lease.Lease) error { return c.fits })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("%s: after %s", name, took)
			}
			w.server.Away(false)
			w.server.Refusing(false)
		}
	})
}

func TestHostName(t *testing.T) {
	for name, want := range map[string]string{
		"web": "web", "my_web.1": "my-web-1", "-a-": "a", "": "", strings.Repeat("x", 80): strings.Repeat("x", 63), "é": "",
	} {
		if got := lease.HostName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
