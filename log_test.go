package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
)

// logged is what a log of that level and form has of a message of each level.
func logged(t *testing.T, level, format string) string {
	t.Helper()
	log, err := newLog(config.Settings{LogLevel: level, LogFormat: format})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log.Logger.SetOutput(&out)
	entry := log.WithFields(logrus.Fields{"op": "NetworkDriver.Join", "dur": 1500 * time.Microsecond, "late": true}).WithError(errors.New("a \"b\"\nc"))
	for _, l := range []logrus.Level{logrus.ErrorLevel, logrus.WarnLevel, logrus.InfoLevel, logrus.DebugLevel} {
		entry.Log(l, "a message")
	}
	if len(entry.Data) != 4 || entry.Data["dur"] != 1500*time.Microsecond {
		t.Errorf("the entry's own fields are changed: %v", entry.Data)
	}
	return out.String()
}

// TestLogFormats: a message has the same level and fields in each form, and the same
// messages are left out.
func TestLogFormats(t *testing.T) {
	for level, want := range map[string]int{"error": 1, "warn": 2, "info": 3, "debug": 4} {
		text, lines := logged(t, level, "text"), logged(t, level, "json")
		if strings.Count(text, "\n") != want || strings.Count(lines, "\n") != want {
			t.Fatalf("level %s:\n%s%s", level, text, lines)
		}
		asText := strings.Split(text, "\n")
		for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if _, err := time.Parse(time.RFC3339, fmt.Sprint(got["time"])); err != nil {
				t.Error(err)
			}
			delete(got, "time")
			name := []string{"error", "warning", "info", "debug"}[i]
			if fmt.Sprint(got) != fmt.Sprint(map[string]any{"level": name, "msg": "a message", "op": "NetworkDriver.Join", "dur": "1.5ms", "late": true, "error": "a \"b\"\nc"}) {
				t.Errorf("%v", got)
			}
			for _, field := range []string{"level=" + name, `msg="a message"`, "op=NetworkDriver.Join", "dur=1.5ms", "late=true"} {
				if !strings.Contains(asText[i], field) {
					t.Errorf("text has no %s: %s", field, asText[i])
				}
			}
		}
	}
}
