package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
)

// A daemon that cannot work answers all the same, with the reason, where nobody would
// see why it ended: an engine whose plugin ends before it answers says "no such file"
// after twelve seconds, and starts it again and again.

// errAgain ends a daemon that could work by now. An engine starts its plugin again.
var errAgain = errors.New("what was in the way is gone: gangway has to be started again")

// managed says whether an engine runs this process: as the first of a PID namespace.
// A service manager and a person are told by its end.
func managed() bool { return os.Getpid() == 1 }

// loadSettings is config.LoadSettings, and says whether a mistake is in the environment
// and can be answered on the socket. Whoever mistypes a flag looks at a terminal.
func loadSettings(flags map[string]string, environ []string) (s config.Settings, answer bool, err error) {
	s, err = config.LoadSettings(flags, environ)
	if err == nil {
		return s, false, nil
	}
	if _, wrong := config.LoadSettings(flags, nil); wrong != nil {
		return config.Settings{}, false, err
	}
	rest := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		// Who reads a log by program is to be able to read this one.
		_, bad := config.LoadSettings(flags, []string{entry})
		format := bad == nil && strings.HasPrefix(entry, "GANGWAY_LOG_FORMAT=")
		return !format && !strings.HasPrefix(entry, "GANGWAY_SOCKET=")
	})
	fallback, wrong := config.LoadSettings(flags, rest)
	if wrong != nil {
		return config.Settings{}, false, err
	}
	return fallback, true, err
}

// refuseSettings answers every call with what is wrong about the settings, until ctx
// ends.
func refuseSettings(ctx context.Context, settings config.Settings, version plugin.Version, why error) error {
	log, err := newLog(settings)
	if err != nil {
		return err
	}
	sock, err := listen(ctx, settings.Socket, log)
	if err != nil {
		return errors.Join(why, err)
	}
	next := "correct it in /etc/default/gangway and restart gangway"
	if managed() {
		next = "docker plugin disable -f gangway, docker plugin set gangway NAME=VALUE, docker plugin enable gangway"
	}
	return refuse(ctx, sock, log, version, fmt.Errorf("wrong setting: %w; %s", why, next))
}

// refuse answers every call with why, until ctx ends.
func refuse(ctx context.Context, sock *plugin.Socket, log *logrus.Entry, version plugin.Version, why error) error {
	log.WithError(why).Error("no call is carried out")
	server, err := plugin.New(plugin.Options{Refuse: why, Version: version, Log: log, Notify: notify, Watchdog: watchdog(log)})
	if err != nil {
		return errors.Join(why, err, sock.Close())
	}
	return server.Serve(ctx, sock)
}

// refuseStart is for a start that failed: it tells who started the daemon, in the way
// that is seen there. A plugin that another gangway keeps from working ends when that
// one has ended.
func refuseStart(ctx context.Context, sock *plugin.Socket, log *logrus.Entry, version plugin.Version, why error) error {
	if !managed() || ctx.Err() != nil {
		return errors.Join(why, sock.Close())
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if errors.Is(why, errTaken) {
		go func() {
			if lock, err := takeOver(ctx, forEver); err == nil {
				logError(log, lock.Close())
				stop(errAgain)
			}
		}()
	}
	err := refuse(ctx, sock, log, version, why)
	if errors.Is(context.Cause(ctx), errAgain) {
		return errors.Join(errAgain, err)
	}
	return err
}

// forEver is longer than any wait for another daemon.
const forEver = 1 << 62 * time.Nanosecond
