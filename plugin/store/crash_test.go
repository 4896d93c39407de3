package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// writerEnv makes the test binary a process that writes to the store at that
// path until it is killed.
const writerEnv = "GANGWAY_STORE_TEST_WRITER"

// writers of a process, each with keys of its own.
const writers = 4

// writeForever updates from several goroutines and says on stdout what has been
// acknowledged, one "writer number" a line.
func writeForever(path string) int {
	s, err := openStore(&Store{path: path, unsynced: unsynced(path)}, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	b := s.Bucket("b")
	var out sync.Mutex
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				if err := b.Update(writerChanges(w, i)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				out.Lock()
				_, err := fmt.Printf("%d %d\n", w, i)
				out.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return 1
}

// unsynced says whether the file is one of those that are not waited for.
func unsynced(path string) bool { return strings.HasPrefix(filepath.Base(path), "boot-") }

// writerChanges adds two keys, and deletes one of ten updates before.
func writerChanges(w, i int) map[string][]byte {
	value := []byte(strings.Repeat(fmt.Sprint(i), 50))
	changes := map[string][]byte{
		fmt.Sprintf("%d/%06d/a", w, i): value,
		fmt.Sprintf("%d/%06d/b", w, i): value,
	}
	if i >= 10 {
		changes[fmt.Sprintf("%d/%06d/a", w, i-10)] = nil
	}
	return changes
}

// TestKill kills writers at odd moments: what they were told is stored must be,
// and of what they were not told, each update all or none.
func TestKill(t *testing.T) {
	for _, acks := range []int{1, 7, 50, 123, 400, 2000} {
		for _, file := range []string{"state.db", "boot-1.db"} {
			t.Run(fmt.Sprint(file, " ", acks), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), file)
				acked := killWriter(t, path, acks)
				got := content(t, open(t, path).Bucket("b"))
				for w := range writers {
					last := acked[w]
					if got[fmt.Sprintf("%d/%06d/b", w, last+1)] != "" {
						// Written, and killed before it was said.
						last++
					}
					checkWriter(t, got, w, last)
				}
			})
		}
	}
}

// checkWriter compares with what updates 0 to last of a writer leave.
func checkWriter(t *testing.T, got map[string]string, w, last int) {
	t.Helper()
	want := map[string][]byte{}
	for i := 0; i <= last; i++ {
		for k, v := range writerChanges(w, i) {
			if v == nil {
				delete(want, k)
			} else {
				want[k] = v
			}
		}
	}
	for k, v := range want {
		if got[k] != string(v) {
			t.Errorf("writer %d acknowledged %d: %s is %q", w, last, k, got[k])
		}
	}
	for k := range got {
		if strings.HasPrefix(k, fmt.Sprint(w, "/")) && want[k] == nil {
			t.Errorf("writer %d acknowledged %d: %s should not be there", w, last, k)
		}
	}
}

// killWriter starts a writer, kills it after so many acknowledgements and
// returns the last one for each of its goroutines, -1 for none.
func killWriter(t *testing.T, path string, acks int) [writers]int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := [writers]int{-1, -1, -1, -1}
	lines := bufio.NewReader(out)
	for seen := 0; ; seen++ {
		if seen == acks {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			if seen < acks {
				t.Errorf("writer ended after %d acknowledgements: %v", seen, err)
			}
			break
		}
		var w, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &i); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		last[w] = i
	}
	if err := cmd.Wait(); err == nil {
		t.Error("writer was not killed")
	}
	return last
}
