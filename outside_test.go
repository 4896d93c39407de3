package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/gangway-net/gangway/config"
)

// TestLogOutside: names and texts from outside reach the log escaped, in a message, an
// error and a field; nothing in them is a line of its own.
func TestLogOutside(t *testing.T) {
	log, err := newLog(config.Settings{LogLevel: "debug"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log.Logger.SetOutput(&out)
	const obeyed = "a\x1b[2J\u009b\u202e\x7f\xff\nlevel=info b"
	log.WithError(errors.New(obeyed)).WithField("addr", obeyed).Warn(obeyed)
	if got := strings.Count(out.String(), "\n"); got != 1 {
		t.Errorf("%d lines, want 1:\n%q", got, out.String())
	}
	if bad := strings.IndexFunc(strings.TrimSuffix(out.String(), "\n"), func(r rune) bool { return !unicode.IsPrint(r) }); bad >= 0 {
		t.Errorf("byte %d of %q", bad, out.String())
	}
	if got := strings.Count(out.String(), `a\x1b[2J\u009b\u202e\x7f\xff\nlevel`); got != 3 {
		t.Errorf("shown %d times, want 3:\n%s", got, out.String())
	}
}
