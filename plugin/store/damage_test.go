package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
)

// sample writes a store with branch pages, free pages, a page with overflow and
// two buckets, one small enough to lie inside another page.
func sample(t testing.TB) (path string, image []byte, states []map[string]string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state.db")
	s, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s.Bucket("small"), map[string][]byte{"k": []byte("v")})
	b := s.Bucket("b")
	for round := range 3 {
		changes := map[string][]byte{}
		for i := range 150 {
			changes[fmt.Sprintf("key%04d", i)] = bytes.Repeat([]byte{byte('a' + round)}, 60)
		}
		changes["large"] = bytes.Repeat([]byte("large"), 2000)
		update(t, b, changes)
	}
	states = append(states, content(t, b))
	update(t, b, map[string][]byte{"key0007": nil, "key0008": []byte("x")})
	states = append(states, content(t, b))
	if err = s.Close(); err != nil {
		t.Fatal(err)
	}
	image, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, image, states
}

// refused checks that Open gives an error and leaves the file alone.
func refused(t *testing.T, path string, image []byte, parts ...string) {
	t.Helper()
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, 0)
	if err == nil {
		_ = s.Close()
	}
	wantErr(t, err, append(parts, path)...)
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(after, image) {
		t.Error("the file was changed")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v (%v), want the state file alone", entries, err)
	}
}

func TestTruncated(t *testing.T) {
	path, image, states := sample(t)
	used := usedBytes(t, path)
	rng := rand.New(rand.NewPCG(3, 4))
	sizes := []int{0, 1, 15, 79, 80, 4095, 4096, 8192, 12288, used - 4096, used - 1}
	for range 20 {
		sizes = append(sizes, rng.IntN(used))
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			refused(t, path, image[:size], "cannot be used, and was left as it is", "put back a copy")
		})
	}
	// Behind the last page in use there is only room.
	if err := os.WriteFile(path, image[:used], 0o600); err != nil {
		t.Fatal(err)
	}
	wantContent(t, open(t, path).Bucket("b"), states[1])
}

func usedBytes(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := newestMeta(f)
	if err != nil {
		t.Fatal(err)
	}
	return int(m.end * m.pageSize)
}

func TestGarbage(t *testing.T) {
	path, image, _ := sample(t)
	rng := rand.NewChaCha8([32]byte{5})
	noise := make([]byte, 64<<10)
	_, _ = rng.Read(noise)
	headless := bytes.Clone(image)
	clear(headless[:2*os.Getpagesize()])
	for name, garbage := range map[string][]byte{
		"noise": noise, "text": []byte("networks: []\n"), "zeros": make([]byte, 32<<10),
		"no meta pages": headless, "noise behind the meta pages": append(bytes.Clone(image[:8192]), noise...),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, path, garbage, "cannot be used, and was left as it is", "move it away")
		})
	}
}

// TestFlippedBits damages one byte at a time. Either the file is refused, or
// the damage was where nothing is stored and all content is there. A damaged
// meta page alone is what a crash leaves too: there the content may be that of
// the transaction before.
func TestFlippedBits(t *testing.T) {
	path, image, states := sample(t)
	page := os.Getpagesize()
	rng := rand.New(rand.NewPCG(6, 7))
	offsets := []int{}
	for at := 0; at < len(image); at += page {
		// Headers and first elements carry the structure.
		for i := range 64 {
			offsets = append(offsets, at+i)
		}
		for range 30 {
			offsets = append(offsets, at+rng.IntN(page))
		}
	}
	refusals := 0
	for _, at := range offsets {
		if at >= len(image) {
			continue
		}
		damaged := bytes.Clone(image)
		damaged[at] ^= 1 << rng.IntN(8)
		got, err := reopened(t, path, damaged)
		switch {
		case err != nil:
			refusals++
			if !strings.Contains(err.Error(), "left as it is") {
				t.Errorf("byte %d: %v", at, err)
			}
		case maps.Equal(got, states[1]), at < 2*page && maps.Equal(got, states[0]):
		default:
			t.Errorf("byte %d of page %d flipped: accepted with other content", at%page, at/page)
		}
	}
	if refusals < len(offsets)/10 {
		t.Errorf("only %d of %d damaged files were refused", refusals, len(offsets))
	}
}

// reopened opens a damaged file, and checks that it is unchanged if refused.
func reopened(t testing.TB, path string, image []byte) (map[string]string, error) {
	t.Helper()
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, 0)
	if err != nil {
		after, readErr := os.ReadFile(path)
		if readErr != nil || !bytes.Equal(after, image) {
			t.Errorf("the file was changed (%v)", readErr)
		}
		return nil, err
	}
	defer s.Close()
	return content(t, s.Bucket("b")), nil
}

// FuzzOpen damages several bytes at once: no input may end the process or be
// accepted with content that was never stored.
func FuzzOpen(f *testing.F) {
	path, image, states := sample(f)
	f.Add(uint32(8192), []byte{1, 2, 3}, uint32(0))
	f.Add(uint32(4096*3+8), []byte{2, 0, 255, 255}, uint32(100))
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, cut uint32) {
		damaged := bytes.Clone(image[:len(image)-int(cut)%len(image)])
		if len(damaged) > 0 {
			copy(damaged[int(at)%len(damaged):], patch)
		}
		got, err := reopened(t, path, damaged)
		if err == nil && !maps.Equal(got, states[0]) && !maps.Equal(got, states[1]) {
			t.Error("accepted with content that was never stored")
		}
	})
}

// TestForeign has databases that are sound and not this package's.
func TestForeign(t *testing.T) {
	type tx = *bbolt.Tx
	for name, c := range map[string]struct {
		change func(tx tx) error
		err    string
	}{
		"newer schema": {
			func(tx tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte("5")) },
			"written by a newer gangway (schema 5, this one knows 4): install that version again",
		},
		"schema 0":       {func(tx tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte("0")) }, "never in use"},
		"schema no word": {func(tx tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte("x")) }, "not a number"},
		"no schema":      {func(tx tx) error { return tx.Bucket(metaBucket).Delete(schemaKey) }, "not gangway's"},
		"no data":        {func(tx tx) error { return tx.DeleteBucket(dataBucket) }, "not gangway's"},
		"other database": {func(tx tx) error { return tx.DeleteBucket(metaBucket) }, "not gangway's"},
		"value changed": {func(tx tx) error {
			return tx.Bucket(dataBucket).Bucket([]byte("b")).Put([]byte("key0001"), []byte("y"))
		}, `bucket "b" does not match its digest`},
		"key lost": {func(tx tx) error {
			return tx.Bucket(dataBucket).Bucket([]byte("b")).Delete([]byte("key0001"))
		}, `bucket "b" does not match its digest`},
		"bucket lost":  {func(tx tx) error { return tx.Bucket(dataBucket).DeleteBucket([]byte("b")) }, `bucket "b" is missing`},
		"digest lost":  {func(tx tx) error { return tx.Bucket(metaBucket).Delete(digestKey([]byte("b"))) }, "does not match its digest"},
		"no bucket":    {func(tx tx) error { return tx.Bucket(dataBucket).Put([]byte("x"), []byte("y")) }, `"x" is not a bucket`},
		"key too many": {func(tx tx) error { return tx.Bucket(metaBucket).Put([]byte("x"), []byte("y")) }, `unknown key "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			path, _, _ := sample(t)
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err = errors.Join(db.Update(c.change), db.Close()); err != nil {
				t.Fatal(err)
			}
			image, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			refused(t, path, image, c.err)
		})
	}
}

func TestNoFile(t *testing.T) {
	folder := t.TempDir()
	_, err := Open(folder, 0)
	wantErr(t, err, folder, "not a regular file")

	file := filepath.Join(folder, "file")
	if err = os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(filepath.Join(file, "state.db"), 0)
	wantErr(t, err, "open state file "+file, "not a directory")
}

// TestReadOnlyFolder runs without root's right to write anywhere.
func TestReadOnlyFolder(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o555); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		if os.Geteuid() == 0 {
			// The user id for files is the thread's own; the thread ends with
			// the goroutine, since it is never unlocked.
			runtime.LockOSThread()
			if err := syscall.Setfsuid(65534); err != nil {
				result <- err
				return
			}
		}
		_, err := Open(filepath.Join(folder, "state.db"), 0)
		result <- err
	}()
	wantErr(t, <-result, "open state file "+folder, "permission denied")
}

// TestBroken has the file vanish under an open store: the fault of the mapping
// must become an error, of every later call too.
func TestBroken(t *testing.T) {
	path, _, _ := sample(t)
	s := open(t, path)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.Bucket("b").Load(func(string, []byte) error { return nil }), path, "damaged: runtime error")
	wantErr(t, s.Bucket("b").Update(map[string][]byte{"x": {}}), path, "damaged: runtime error")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
