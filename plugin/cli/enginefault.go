package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/doctor"
)

// engineFault says why the engine does not answer; empty if it does. A daemon that knows
// names has them from the engine, which it hears all the time, and then nobody is asked.
func (q query) engineFault(ctx context.Context, s doctor.State) (fault string, notes []string) {
	named := slices.ContainsFunc(s.Networks, func(n plugin.Network) bool { return n.Name != "" })
	if named {
		return "", nil
	}
	socket := q.doctor.engine
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return "", []string{"not looked at: the engine: " + socket + " does not exist; name its socket with --engine"}
	}
	if stopped(socket) {
		return "nobody runs who would answer on " + socket, nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if err := ping(ctx, socket); err != nil {
		return err.Error(), nil
	}
	if len(s.Networks) > 0 {
		notes = append(notes, "the engine on "+socket+" answers, and the daemon knows no names: see its setting GANGWAY_ENGINE")
	}
	return "", notes
}

// stopped says that the engine's pid file is gone or names nobody. Where systemd holds the
// socket, a question would start an engine that somebody has stopped.
func stopped(socket string) bool {
	name, ok := strings.CutSuffix(socket, ".sock")
	if !ok {
		return false
	}
	text, err := os.ReadFile(name + ".pid") //nolint:gosec // beside the socket that was named
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	pid, parseErr := strconv.Atoi(strings.TrimSpace(string(text)))
	return err == nil && parseErr == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// ping asks the engine whether it is there.
func ping(ctx context.Context, socket string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/_ping", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s takes the question and gives no answer within %s", socket, probeTime)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens on %s", socket)
	case err != nil:
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", socket, resp.Status)
	}
	return err
}
