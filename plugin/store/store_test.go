package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/ipam"
)

var (
	_ driver.Store = (*Split)(nil)
	_ ipam.Store   = (*Bucket)(nil)
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		os.Exit(writeForever(path))
	}
	os.Exit(m.Run())
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func content(t testing.TB, b *Bucket) map[string]string {
	t.Helper()
	got := map[string]string{}
	before := ""
	err := b.Load(func(k string, v []byte) error {
		if k <= before {
			t.Errorf("key %q comes after %q", k, before)
		}
		got[k], before = string(v), k
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantContent(t testing.TB, b *Bucket, want map[string]string) {
	t.Helper()
	if got := content(t, b); !maps.Equal(got, want) {
		t.Errorf("content is %v, want %v", got, want)
	}
}

func wantErr(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

func update(t testing.TB, b *Bucket, changes map[string][]byte) {
	t.Helper()
	if err := b.Update(changes); err != nil {
		t.Fatal(err)
	}
}

func TestUpdateAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "down", "state.db")
	s := open(t, path)
	a, b := s.Bucket("a"), s.Bucket("b")
	wantContent(t, a, nil)
	update(t, a, nil)
	update(t, a, map[string][]byte{"gone": nil})
	update(t, a, map[string][]byte{"x": []byte("1"), "y": []byte("2"), "empty": {}})
	update(t, b, map[string][]byte{"x": []byte("other")})
	update(t, a, map[string][]byte{"x": []byte("3"), "y": nil, "missing": nil, "z": []byte("4")})
	want := map[string]string{"x": "3", "z": "4", "empty": ""}
	wantContent(t, a, want)
	wantContent(t, b, map[string]string{"x": "other"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	wantContent(t, s.Bucket("a"), want)
	wantContent(t, s.Bucket("b"), map[string]string{"x": "other"})
	wantContent(t, s.Bucket("never"), nil)
}

func TestModes(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(folder, "state.db")
	open(t, path)
	for name, want := range map[string]os.FileMode{folder: os.ModeDir | 0o700, path: 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v (%v), want the state file alone", entries, err)
	}
}

func TestRefusedUpdates(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	b := s.Bucket("b")
	update(t, b, map[string][]byte{"kept": []byte("1")})
	long := strings.Repeat("k", bbolt.MaxKeySize+1)
	for _, c := range []struct {
		bucket *Bucket
		key    string
		err    string
	}{
		{b, "", "key of 0 bytes in bucket b"},
		{b, long, "key of 32769 bytes in bucket b"},
		{s.Bucket(""), "k", "bucket name of 0 bytes"},
		{s.Bucket(long), "k", "bucket name of 32769 bytes"},
	} {
		wantErr(t, c.bucket.Update(map[string][]byte{"other": []byte("2"), c.key: []byte("3")}), c.err)
	}
	update(t, b, map[string][]byte{long[1:]: nil})
	wantContent(t, b, map[string]string{"kept": "1"})
}

// TestLoadStops covers errors of the visitor, and a visitor that writes: bbolt
// by itself can wait for ever there.
func TestLoadStops(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "state.db")).Bucket("b")
	update(t, b, map[string][]byte{"x": []byte("1"), "y": []byte("2")})
	stop, visits := errors.New("stop"), 0
	err := b.Load(func(k string, _ []byte) error {
		visits++
		update(t, b, map[string][]byte{k: nil, "big": make([]byte, 8<<20)})
		return stop
	})
	if !errors.Is(err, stop) || err.Error() != "stop" || visits != 1 {
		t.Errorf("error %v after %d visits, want the visitor's after 1", err, visits)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.Bucket("b").Update(map[string][]byte{"x": {1}}), "write b to state file", "not open")
	wantErr(t, s.Bucket("b").Load(func(string, []byte) error { return nil }), "read b from state file", "not open")
}

func TestHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	first := open(t, path)
	_, err := Open(path, 30*time.Millisecond)
	wantErr(t, err, path, "held by another gangway")

	opened := make(chan error, 1)
	go func() {
		s, err := Open(path, time.Minute)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("after the other has closed it: %v", err)
	}
}

// TestCreateOnce has many openers meet an empty folder: each gets the file that
// the first one made.
func TestCreateOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	// What a crash in the middle of creating leaves.
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	const openers = 8
	var wg sync.WaitGroup
	for i := range openers {
		wg.Go(func() {
			s, err := Open(path, time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			update(t, s.Bucket("b"), map[string][]byte{fmt.Sprint(i): {}})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := content(t, open(t, path).Bucket("b")); len(got) != openers {
		t.Errorf("content is %v, want all of %d", got, openers)
	}
}

func TestConcurrentUpdates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	const writers, rounds = 16, 20
	var wg sync.WaitGroup
	for w := range writers {
		b := s.Bucket(fmt.Sprint("bucket", w%3))
		wg.Go(func() {
			for i := range rounds {
				// Two keys of one update are there together or not at all.
				pair := fmt.Sprintf("%02d-%02d", w, i)
				if err := b.Update(map[string][]byte{pair + "a": []byte(pair), pair + "b": []byte(pair), "shared": []byte(pair)}); err != nil {
					t.Error(err)
				}
				got := content(t, b)
				if got[pair+"a"] != pair || got[pair+"b"] != pair {
					t.Errorf("update %s returned and is not there", pair)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	total := 0
	for i := range 3 {
		total += len(content(t, s.Bucket(fmt.Sprint("bucket", i))))
	}
	if want := writers*rounds*2 + 3; total != want {
		t.Errorf("%d keys, want %d", total, want)
	}
}

// TestSharedTransactions holds the disk and counts what waits for it.
func TestSharedTransactions(t *testing.T) {
	q := queue{turn: make(chan struct{}, 1)}
	busy, release := make(chan struct{}), make(chan struct{})
	var sizes []int
	boom := errors.New("disk is full")
	commit := func(batch []*write) error {
		sizes = append(sizes, len(batch))
		if len(sizes) == 1 {
			close(busy)
			<-release
			return nil
		}
		return boom
	}
	submit := func() error { return q.submit(&write{done: make(chan struct{})}, commit) }
	first := make(chan error, 1)
	go func() { first <- submit() }()
	<-busy
	const others = 9
	errs := make(chan error, others)
	for range others {
		go func() { errs <- submit() }()
	}
	waitFor(t, "all to wait", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.waiting) == others
	})
	close(release)
	if err := <-first; err != nil {
		t.Errorf("first: %v", err)
	}
	for range others {
		if err := <-errs; !errors.Is(err, boom) {
			t.Errorf("one of the others: %v, want the commit's error", err)
		}
	}
	if len(sizes) != 2 || sizes[1] != others {
		t.Errorf("transactions of %v writes, want 1 and %d", sizes, others)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		case <-tick.C:
		}
	}
}

// TestModel compares random updates, with restarts between, with a map.
func TestModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	for range 12 {
		s, err := Open(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := s.Bucket("b")
		for range 15 {
			changes := map[string][]byte{}
			for range rng.IntN(40) {
				k := fmt.Sprint("key", rng.IntN(300))
				if rng.IntN(3) == 0 {
					changes[k] = nil
					delete(want, k)
					continue
				}
				changes[k] = bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(200))
				want[k] = string(changes[k])
			}
			update(t, b, changes)
		}
		wantContent(t, b, want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
