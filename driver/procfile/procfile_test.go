package procfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/procfile"
)

// TestRead: files of every size around that of the first read are read as os.ReadFile does.
func TestRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, 511, 512, 513, 1024, 1025, 70000} {
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := procfile.Read(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
	}
	if status, err := procfile.Read("/proc/self/status"); err != nil || !bytes.Contains(status, []byte("Pid:")) {
		t.Errorf("status of this process: %q, %v", status, err)
	}
}

// TestReadErrors: errors say what os.ReadFile's say.
func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]error{filepath.Join(dir, "none"): fs.ErrNotExist, dir: unix.EISDIR} {
		_, err := procfile.Read(name)
		_, like := os.ReadFile(name)
		if !errors.Is(err, want) || err.Error() != like.Error() {
			t.Errorf("%v, want %v", err, like)
		}
	}
}
