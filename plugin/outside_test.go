package plugin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode"
)

// TestOutside: an error may quote names and texts from outside. Neither the engine,
// whose command shows it as it is, nor the log gets anything that a terminal obeys.
func TestOutside(t *testing.T) {
	d := ready(t, nil)
	const obeyed = "in use by a\x1b[2J\u009b2J\u202e\nand by b\r\x7f\xff"
	d.domain.setHook(func(context.Context, string) error { return errors.New(obeyed) })
	text := d.refused(t, "NetworkDriver.DeleteNetwork", `{"NetworkID":"n1"}`, http.StatusInternalServerError)
	if want := "in use by a\\x1b[2J\\u009b2J\\u202e\nand by b\\r\\x7f\\xff"; text != want {
		t.Errorf("the engine gets %q, want %q", text, want)
	}
	text = d.refused(t, "No.Such%1b%5b2J%c2%9bCall", "{}", http.StatusNotFound)
	clean(t, "an unknown call", text)
	d.refused(t, "NetworkDriver.Join", "\u202e\x1b", http.StatusBadRequest)
	log := d.log.String()
	if !strings.Contains(log, "in use by a") {
		t.Errorf("the error is not in the log:\n%s", log)
	}
	clean(t, "the log", log)
}

func clean(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			t.Errorf("%s: has %U: %q", what, r, text)
			return
		}
	}
}
