package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// opened is a journal in a file of the test's.
func opened(t *testing.T, path string) *Journal {
	t.Helper()
	j := Open(Options{File: path})
	t.Cleanup(func() {
		select {
		case <-j.file.stop:
		default:
			j.Close()
		}
	})
	return j
}

// texts are those of the events, and fails where a number is not larger than the one before.
func texts(t *testing.T, list []Event) (all []string) {
	t.Helper()
	for i, e := range list {
		if i > 0 && e.Number <= list[i-1].Number {
			t.Errorf("number %d follows %d", e.Number, list[i-1].Number)
		}
		all = append(all, e.Text)
	}
	return all
}

// TestRestart: events outlive their journal, with names and times; the numbers of the next one
// are larger, also those that were never written, and who follows goes on where he was.
func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "events.jsonl")
	describe := func(e *Event) { e.ContainerName, e.NetworkName = "web", "front" }
	j := Open(Options{File: path, Describe: describe})
	j.Repaired("bridge gw-1: was down: set up")
	j.Add(Problem, "two\nlines", "")
	first := j.After(t.Context(), 0, 0)
	j.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	j = opened(t, path)
	if got := j.After(t.Context(), 0, 0); len(got) != 2 || got[0].ContainerName != "web" || !got[1].Time.Equal(first[1].Time) || got[1].Text != "two\nlines" {
		t.Errorf("after a restart: %+v", got)
	}
	if got := j.After(t.Context(), first[1].Number, 0); len(got) != 0 {
		t.Errorf("told again: %+v", got)
	}
	j.Add(Lost, "later", "removed")
	for _, after := range []uint64{first[1].Number, first[1].Number + 1} {
		if got := texts(t, j.After(t.Context(), after, 0)); !slices.Equal(got, []string{"later: removed"}) {
			t.Errorf("after %d: %q", after, got)
		}
	}
	if n := j.Counts(); n[Repair] != 0 || n[Lost] != 1 {
		t.Errorf("counted %v, want those of this start alone", n)
	}
}

// TestFileIsBounded: neither many events nor long ones make the file grow without an end.
func TestFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	j := opened(t, path)
	for i := range 4 * most {
		j.Add(Problem, fmt.Sprint(i, strings.Repeat("x", maxText/2)), "")
		if i%most == 0 {
			testkit.Eventually(t, "written", func() bool { return countText(path, `"text":"`+fmt.Sprint(i)) > 0 })
		}
	}
	testkit.Eventually(t, "written", func() bool { return countText(path, `"text":"`+fmt.Sprint(4*most-1)) > 0 })
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxFile {
		t.Errorf("the file is %v, %v", info, err)
	}
	want := j.After(t.Context(), 0, 0)
	j.Close()
	got := opened(t, path).After(t.Context(), 0, 0)
	if a, b := texts(t, got), texts(t, want); !slices.Equal(a, b) {
		t.Errorf("%d events, want %d", len(a), len(b))
	}
}

// countText counts a text in the file.
func countText(path, text string) int {
	content, _ := os.ReadFile(path) // nothing is in a file that is not there
	return bytes.Count(content, []byte(text))
}

// TestFileFails: a file that cannot be written holds up nobody, is told of, and is tried again
// with all that there is by then.
func TestFileFails(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // in the way of the folder
		t.Fatal(err)
	}
	told := make(chan string, 8)
	path := filepath.Join(folder, "events.jsonl")
	j := Open(Options{File: path, Tell: func(problem string) { told <- problem }})
	defer j.Close()
	if problem := <-told; !strings.Contains(problem, path) {
		t.Errorf("told %q", problem)
	}
	j.Repaired("x: was down: set up")
	if got := j.After(t.Context(), 0, 0); len(got) != 1 || j.Trouble() == "" {
		t.Errorf("%+v, trouble %q", got, j.Trouble())
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	for problem := range told { // the read, the write, and then none
		if problem == "" {
			break
		}
	}
	if countText(path, "x: was down: set up") != 1 || j.Trouble() != "" {
		t.Errorf("not written, trouble %q", j.Trouble())
	}
}

// TestFullDisk: on a disk that is full the file stays what it was, and half a line is never left.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := newFile(filepath.Join(t.TempDir(), "events.jsonl"), nil)
	lines := func(uint64, bool) ([]byte, uint64) { return []byte(`{"number":1,"kind":"repair"}` + "\n"), 1 }
	if err := f.write(lines); err != nil {
		t.Fatal(err)
	}
	sound := f.open
	f.open = full
	more := func(uint64, bool) ([]byte, uint64) { return []byte(`{"number":2,"kind":"repair"}` + "\n"), 2 }
	if err := f.write(more); err == nil || f.trouble() == "" || f.open != nil || f.last != 1 {
		t.Errorf("%v, trouble %q, last %d", err, f.trouble(), f.last)
	}
	if err := sound.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.write(more); err != nil || f.trouble() != "" || f.last != 2 {
		t.Errorf("%v, trouble %q, last %d", err, f.trouble(), f.last)
	}
	f.shut()
}

// TestHungDisk: a write that does not end is told of, and the end does not wait for it.
func TestHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hangs := newFile("events.jsonl", nil), make(chan struct{})
		f.path = filepath.Join(t.TempDir(), f.path)
		go f.run(func(uint64, bool) ([]byte, uint64) { <-hangs; return nil, 0 })
		time.Sleep(hungTime + time.Second)
		if text := f.trouble(); !strings.Contains(text, "no answer for 6s") {
			t.Errorf("trouble %q", text)
		}
		f.close()
		close(hangs)
		<-f.ended
	})
}

// TestCutAnywhere: wherever the file breaks off, whole lines before that are read, and no
// number is given twice.
func TestCutAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	var known []string
	given := uint64(0)
	for range 60 {
		j := Open(Options{File: path})
		if got := texts(t, j.After(t.Context(), 0, 0)); !slices.Equal(got, known) {
			t.Fatalf("read %d events, want %d", len(got), len(known))
		}
		for i := range random.IntN(8) {
			text := fmt.Sprintf("%d %s", i, strings.Repeat("é", random.IntN(50)))
			j.Add(Problem, text, "")
			known = append(known, text)
			list := j.After(t.Context(), 0, 0)
			if n := list[len(list)-1].Number; n <= given {
				t.Fatalf("number %d after %d", n, given)
			}
			given = list[len(list)-1].Number
		}
		j.Close()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(2) == 0 {
			content = content[:random.IntN(len(content)+1)]
			known = known[:bytes.Count(content, []byte("\n"))]
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// FuzzRead: whatever the file holds, what is read is in order and within its bounds.
func FuzzRead(f *testing.F) {
	line := string(entryOf(Event{Number: 7, Kind: Repair, Text: "x"}).line)
	for _, s := range []string{"", line, line + line, line[:9], "\x00\x00\n" + line, "[]\nnull\n{}\n" + line, strings.Replace(line, "7", "1e300", 1), strings.Replace(line, "7", "18446744073709551615", 1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := readEvents(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > bytes.Count(content, []byte("\n")) {
			t.Errorf("%d events of %d lines", len(list), bytes.Count(content, []byte("\n")))
		}
		texts(t, list)
		for _, e := range list {
			if len(e.Text) > maxText+len("…") || e.Number > maxNumber || e.Kind == "" {
				t.Errorf("read %+v", e)
			}
			back, err := readEvents(bytes.NewReader(entryOf(e).line))
			if err != nil || len(back) != 1 || back[0].Number != e.Number {
				t.Errorf("%+v is read back as %+v, %v", e, back, err)
			}
		}
	})
}

// killed is the variable by which TestKilled starts the process that it kills.
const killed = "GANGWAY_TEST_EVENTS"

// TestKilled: a journal whose process is killed while it writes is read, and lacks at most what
// was not written yet.
func TestKilled(t *testing.T) {
	if path := os.Getenv(killed); path != "" {
		writeUntilKilled(path)
	}
	path := filepath.Join(t.TempDir(), "events.jsonl")
	for round := range 8 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=TestKilled$")
		child.Env = append(os.Environ(), killed+"="+path)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "some are written", func() bool {
			return countText(path, fmt.Sprintf(" of %d", child.Process.Pid)) > 5*round
		})
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // says that it was killed
		j := Open(Options{File: path})
		list := j.After(t.Context(), 0, 0)
		texts(t, list)
		if own := fmt.Sprintf(" of %d", child.Process.Pid); !slices.ContainsFunc(list, func(e Event) bool { return strings.Contains(e.Text, own) }) {
			t.Fatalf("round %d: none of the %d events is of the process that was killed", round, len(list))
		}
		j.Close()
	}
	if content, err := os.ReadFile(path); err != nil || !json.Valid(bytes.SplitN(content, []byte("\n"), 2)[0]) {
		t.Errorf("the file does not begin with an event: %v", err)
	}
}

// writeUntilKilled writes events of all lengths for ever.
func writeUntilKilled(path string) {
	j := Open(Options{File: path})
	for i := 0; ; i++ {
		j.Add(Problem, fmt.Sprintf("%d of %d %s", i, os.Getpid(), strings.Repeat("x", i%maxText)), "")
		if i%10 == 0 {
			time.Sleep(time.Millisecond) // lets the disk keep up
		}
	}
}
