package store

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// split opens the files of a folder in a boot, and their split bucket.
func split(t *testing.T, folder, boot string) (*Files, *Split) {
	t.Helper()
	f, err := OpenFiles(folder, boot, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	s, err := f.Split("b", "short/")
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}

func (s *Split) content(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := s.Load(func(key string, value []byte) error { all[key] = string(value); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *Split) wants(t *testing.T, want map[string]string) {
	t.Helper()
	if got := s.content(t); !maps.Equal(got, want) {
		t.Errorf("content is %v, want %v", got, want)
	}
}

func folderOf(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("no database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func namesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// TestSplit: a boot's keys are there as long as it lasts, all others always, and no
// file of another boot is read or left.
func TestSplit(t *testing.T) {
	folder := filepath.Join(folderOf(t), "with[")
	if err := os.Rename(folderOf(t, "boot-7.db", "boot-7.db.new", "bootstrap.db"), folder); err != nil {
		t.Fatal(err)
	}
	f, s := split(t, folder, "1")
	if err := s.Update(map[string][]byte{"short/a": []byte("1"), "short/b": []byte("2"), "long": []byte("3")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(map[string][]byte{"short/b": nil}); err != nil {
		t.Fatal(err)
	}
	wantContent(t, f.Bucket("b"), map[string]string{"long": "3"})
	for _, boot := range []string{"1", "1", "2"} {
		want := map[string]string{"short/a": "1", "long": "3"}
		if boot == "2" {
			delete(want, "short/a")
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f, s = split(t, folder, boot)
		s.wants(t, want)
		if names := namesIn(t, folder); !slices.Equal(names, []string{"boot-" + boot + ".db", "bootstrap.db", "gangway.db"}) {
			t.Errorf("boot %s: files %q", boot, names)
		}
	}
}

// TestSplitMoves: what an older version kept durably is moved, once.
func TestSplitMoves(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, durableFile)
	old := open(t, path)
	update(t, old.Bucket("b"), map[string][]byte{"short/a": []byte("1"), "long": []byte("2")})
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f, s := split(t, folder, "1")
		s.wants(t, map[string]string{"short/a": "1", "long": "2"})
		wantContent(t, f.Bucket("b"), map[string]string{"long": "2"})
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSplitFails: whichever file refuses a change of both, none of it is done.
func TestSplitFails(t *testing.T) {
	for name, refuses := range map[string]func(f *Files) *Store{
		"durable": func(f *Files) *Store { return f.durable },
		"boot":    func(f *Files) *Store { return f.boot },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			f, s := split(t, folder, "1")
			before := map[string][]byte{"short/a": []byte("1"), "short/b": []byte("2"), "long": []byte("3")}
			if err := s.Update(before); err != nil {
				t.Fatal(err)
			}
			if err := refuses(f).db.Close(); err != nil {
				t.Fatal(err)
			}
			err := s.Update(map[string][]byte{"short/a": nil, "short/b": []byte("4"), "short/c": []byte("5"), "long": nil})
			wantErr(t, err, refuses(f).path, "not open")
			_ = f.Close()
			_, s = split(t, folder, "1")
			s.wants(t, map[string]string{"short/a": "1", "short/b": "2", "long": "3"})
		})
	}
}

// TestFilesRefused: without one of the files there is none, and the other is free.
func TestFilesRefused(t *testing.T) {
	for boot, message := range map[string]string{
		"":     "no id of a boot",
		"../1": "no id of a boot",
		"7":    "boot-7.db cannot be used, and was left as it is",
	} {
		folder := folderOf(t, "boot-7.db")
		_, err := OpenFiles(folder, boot, 0)
		wantErr(t, err, folder, message)
		if err := open(t, filepath.Join(folder, durableFile)).Close(); err != nil {
			t.Error(err)
		}
		if b, err := os.ReadFile(filepath.Join(folder, "boot-7.db")); err != nil || string(b) != "no database" {
			t.Errorf("boot %q: the file holds %q (%v)", boot, b, err)
		}
	}
}
