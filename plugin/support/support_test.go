package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// unpack reads an archive: its files by name, and their names in order.
func unpack(t *testing.T, packed []byte) (files map[string]string, names []string) {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, names
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 || !strings.HasPrefix(h.Name, folder) {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		name := strings.TrimPrefix(h.Name, folder)
		files[name], names = string(text), append(names, name)
	}
}

// says is a part with a text and an error.
func says(file, text string, err error) Part {
	return Part{file, "what " + file + " says", func(_ context.Context, to io.Writer) error {
		_, failed := io.Copy(to, strings.NewReader(text))
		return errors.Join(failed, err)
	}}
}

// TestWrite: parts are there in their order whatever fails, and the manifest tells what does.
func TestWrite(t *testing.T) { synctest.Test(t, testWrite) }

func testWrite(t *testing.T) {
	hangs := make(chan struct{})
	var out bytes.Buffer
	m, err := Write(t.Context(), &out, "1.2.3", []Part{
		says("b.txt", "b", nil),
		says("a.txt", "half", errors.New("broken: password=hunter2")),
		{"hangs.txt", "", func(context.Context, io.Writer) error { <-hangs; return nil }},
		{"late.txt", "", func(ctx context.Context, to io.Writer) error {
			_, _ = io.WriteString(to, "so far")
			<-ctx.Done()
			return ctx.Err()
		}},
		says("none.txt", "", errors.New("not installed")),
		says("long.txt", strings.Repeat("x", partBytes+1), nil),
	})
	close(hangs)
	if err != nil {
		t.Fatal(err)
	}
	files, names := unpack(t, out.Bytes())
	if got := strings.Join(names, " "); got != "manifest.json b.txt a.txt late.txt long.txt" {
		t.Errorf("files %s", got)
	}
	if files["b.txt"] != "b" || files["a.txt"] != "half" || files["late.txt"] != "so far" || len(files["long.txt"]) != partBytes {
		t.Errorf("%.100q", files)
	}
	var listed Manifest
	if err := json.Unmarshal([]byte(files["manifest.json"]), &listed); err != nil || listed.Version != "1.2.3" || len(listed.Parts) != 6 || len(m.Parts) != 6 {
		t.Errorf("%+v, %v", listed, err)
	}
	testListed(t, listed)
	if n := len(m.Failed()); n != 5 {
		t.Errorf("%d parts failed, want 5", n)
	}
}

// testListed looks at what the manifest says of what failed.
func testListed(t *testing.T, listed Manifest) {
	t.Helper()
	for i, want := range []string{"", "broken: password=***", "deadline", "deadline", "not installed", ""} {
		if e := listed.Parts[i]; (e.Error == "") != (want == "") || !strings.Contains(e.Error, want) || e.Cut != (i == 5) {
			t.Errorf("%+v, want %q", e, want)
		}
	}
}

// TestWriteIsBounded: many large parts do not make a file without an end.
func TestWriteIsBounded(t *testing.T) {
	var parts []Part
	for range allBytes/partBytes + 3 {
		parts = append(parts, says("x.txt", strings.Repeat("x", 2*partBytes), nil))
	}
	m, err := Write(t.Context(), io.Discard, "", parts)
	total := 0
	for _, e := range m.Parts {
		total += e.Bytes
	}
	if err != nil || total != allBytes || len(m.Failed()) != len(parts) {
		t.Errorf("%d bytes, %v", total, err)
	}
	broken, stop := io.Pipe()
	_ = broken.Close()
	if _, err := Write(t.Context(), stop, "", parts[:1]); err == nil {
		t.Error("a reader that has gone is no error")
	}
}

// TestMask: secrets are left out, and what only looks like one at a glance is not.
func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		`PASSWORD=hunter2 x`:                                                          `PASSWORD=*** x`,
		`"db_password": "hunter2", "a": 1`:                                            `"db_password": "***", "a": 1`,
		`msg="token=hunter2" plugin=1`:                                                `msg="token=***" plugin=1`,
		`msg="{\"api_key\": \"hunter2\"}"`:                                            `msg="{\"api_key\": \"***\"}"`,
		`proxy http://me:hunter2@proxy:3128/ used`:                                    `proxy http://***@proxy:3128/ used`,
		`docker run --auth-token hunter2 image`:                                       `docker run --auth-token *** image`,
		`Authorization: Bearer hunter2hunter2`:                                        `Authorization: Bearer ***`,
		"a\n-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----\nb": "a\n***\nb",
		`10.0.0.1:80 from gw-0 lladdr 02:42:0a:32:00:02 REACHABLE`:                    `10.0.0.1:80 from gw-0 lladdr 02:42:0a:32:00:02 REACHABLE`,
		`-A DOCKER-USER -m comment --comment "keys" -j DROP`:                          `-A DOCKER-USER -m comment --comment "keys" -j DROP`,
		`http://192.0.2.1:80/a@b fd00::1`:                                             `http://192.0.2.1:80/a@b fd00::1`,
	} {
		if got := string(newMasker().mask([]byte(text))); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// FuzzMask: what is masked is masked for good, and texts get no longer than by the mask.
func FuzzMask(f *testing.F) {
	f.Add([]byte("password=a token: b http://c:d@e"))
	m := newMasker()
	f.Fuzz(func(t *testing.T, text []byte) {
		once := m.mask(bytes.Clone(text))
		if len(once) > len(text)+len(masked)*(len(text)+1) {
			t.Errorf("%d bytes of %d", len(once), len(text))
		}
	})
}

// TestHost: what every Linux has is there, and programs get no environment.
func TestHost(t *testing.T) {
	t.Setenv("HUNTER", "hunter2")
	var out bytes.Buffer
	if err := run(t.Context(), &out, "env"); err != nil || strings.Contains(out.String(), "hunter") || !strings.Contains(out.String(), "PATH=") {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := run(t.Context(), &out, "no-such-program"); err == nil || err.Error() != "no-such-program is not installed" {
		t.Error(err)
	}
	if err := run(t.Context(), &out, "ls", "/nope"); err == nil || !strings.Contains(err.Error(), "/nope") {
		t.Error(err)
	}
	out.Reset()
	m, err := Write(t.Context(), &out, "", Host())
	files, _ := unpack(t, out.Bytes())
	if err != nil || !strings.Contains(files["host/kernel.txt"], "Linux") || !strings.Contains(files["host/sysctl.txt"], "net/ipv4/ip_forward = ") {
		t.Errorf("%v, %+v", err, m)
	}
}
