package main

import (
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
)

// newLog writes to stdout: what a managed plugin writes to stderr appears as
// an error in the engine's log.
func newLog(settings config.Settings) (*logrus.Entry, error) {
	level, err := logrus.ParseLevel(settings.LogLevel)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	logger := logrus.New()
	logger.SetOutput(os.Stdout)
	logger.SetLevel(level)
	logger.SetFormatter(formatter(settings.LogFormat))
	return logrus.NewEntry(logger), nil
}

func formatter(format string) logrus.Formatter {
	if format == "json" {
		return sameFields{&logrus.JSONFormatter{}}
	}
	return &logrus.TextFormatter{DisableColors: true, FullTimestamp: true}
}

// sameFields gives each field the value that it has as text. logrus writes a duration as
// a JSON number of nanoseconds, which does not say its unit.
type sameFields struct{ logrus.Formatter }

// Format is logrus.Formatter.
func (f sameFields) Format(e *logrus.Entry) ([]byte, error) {
	same := *e
	same.Data = maps.Clone(e.Data)
	for name, value := range same.Data {
		if d, is := value.(time.Duration); is {
			same.Data[name] = d.String()
		}
	}
	return f.Formatter.Format(&same)
}
