package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unpack returns the files of an archive, by name.
func unpack(t *testing.T, packed io.Reader) map[string]string {
	t.Helper()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "gangway-support/")] = string(text)
	}
}

// TestSupport: the file has what the daemon says, is root's alone, and has no environment.
func TestSupport(t *testing.T) {
	t.Setenv("HUNTER_SECRET", "hunter2")
	path := filepath.Join(t.TempDir(), "web.tar.gz")
	if err := os.WriteFile(path, []byte("an older one, for all to read"), 0o644); err != nil { //nolint:gosec // on purpose
		t.Fatal(err)
	}
	r := gangway(t, host(t, namedHost()), "support", "-o", path)
	if r.code != 0 || r.stdout != "" || !strings.Contains(r.stderr, " written to "+path) {
		t.Errorf("%+v", r)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	testContent(t, path)
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// testContent looks at what is in the file.
func testContent(t *testing.T, path string) {
	t.Helper()
	packed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	files := unpack(t, packed)
	for name, want := range map[string]string{
		"manifest.json": `"file": "daemon/status.json"`, "command.json": clientVersion.Version, "daemon/version.json": daemonVersion.Version,
		"daemon/status.json": `"state": "ok"`, "daemon/networks.json": "shop_front", "daemon/endpoints.json": "shop-web-1", "daemon/ports.json": "10000",
		"daemon/drops.json": "unpublished", "daemon/events.json": "was down", "doctor.txt": "\n", "host/kernel.txt": "Linux",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: no %q in %.300q", name, want, files[name])
		}
	}
	for name, text := range files {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s has the environment", name)
		}
	}
}

// TestSupportAlone: the file is written without a daemon as well, where there is a folder for
// it; standard output takes it where it is no terminal.
func TestSupportAlone(t *testing.T) {
	r := gangway(t, t.TempDir(), "support")
	if files := unpack(t, bytes.NewReader([]byte(r.stdout))); r.code != 0 || !strings.Contains(files["manifest.json"], "no gangway daemon is running") || files["host/kernel.txt"] == "" {
		t.Errorf("without a daemon: exit code %d, %s", r.code, files["manifest.json"])
	}
	if r := gangway(t, t.TempDir(), "support", "-o", "/nope/x"); r.code != exitProblem || !strings.Contains(r.stderr, "/nope") {
		t.Errorf("a folder that is not there: %+v", r)
	}
}
