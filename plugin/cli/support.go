package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/support"
	"github.com/gangway-net/gangway/printable"
)

const supportLong = `Write one file (tar.gz) for a ticket: what the daemon says of itself, its networks,
endpoints, ports and events, what gangway doctor says, links, addresses, routes and
rules of the host, versions, and the last lines of the log.

  gangway support
  gangway support -o web.tar.gz
  gangway support | ssh host "cat > web.tar.gz"

Without -o it is a file in the current folder, named by the time, or standard output
where that is no terminal. Only root can read the file.

It has no environment variables, neither the daemon's nor the containers', and what
looks like a secret in rules and the log is masked. It does have names of networks
and containers, addresses, and the rules of others: look into it before you hand it
on. manifest.json in it lists all parts, and why one is missing: the file is written
whatever fails, also without a daemon.`

// supportTime bounds a question to the daemon.
const supportTime = 10 * time.Second

// stdoutName stands for standard output.
const stdoutName = "-"

func supportCommand(o Options) *cobra.Command {
	var socket, file string
	cmd := &cobra.Command{
		Use: "support", Short: "Write one file for a ticket", Long: supportLong, GroupID: askGroup, Args: noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := query{timeout: supportTime, hint: cmd.ErrOrStderr(), find: func(ctx context.Context) (*daemon, error) { return findDaemon(ctx, o.PluginDir, socket) }}
			return q.support(cmd.Context(), cmd.OutOrStdout(), file, o.Version)
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "", "the daemon's socket `file` (default: the one that answers in "+o.PluginDir+")")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE`; - is standard output")
	return cmd
}

// support writes the file.
func (q query) support(ctx context.Context, out io.Writer, file string, version plugin.Version) error {
	if file == "" && !isTerminal(out) || file == stdoutName {
		if isTerminal(out) {
			return errors.New("standard output is a terminal, and the file is packed: name one with -o FILE")
		}
		m, err := support.Write(ctx, out, version.Version, q.supportParts(ctx, version))
		return q.supportDone(m, "standard output", err)
	}
	if file == "" {
		file = "gangway-support-" + time.Now().Format("20060102-150405") + ".tar.gz"
	}
	// Nobody sees half of it, nor through another's eyes: a new file is root's alone.
	fresh, err := os.CreateTemp(filepath.Dir(file), ".gangway-support-*")
	if err != nil {
		return err
	}
	m, err := support.Write(ctx, fresh, version.Version, q.supportParts(ctx, version))
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", file, err), os.RemoveAll(fresh.Name()))
	}
	return q.supportDone(m, file, nil)
}

// supportDone tells where the file is, and what it lacks.
func (q query) supportDone(m support.Manifest, where string, err error) error {
	if err != nil {
		return err
	}
	lines := []string{fmt.Sprintf("%s of %s written to %s", count(uint64(len(m.Parts)-len(m.Failed())), "part"), count(uint64(len(m.Parts)), "part"), where)}
	for _, e := range m.Failed() {
		why := e.Error
		if why == "" {
			why = "it is longer than that"
		}
		lines = append(lines, "not whole: "+e.File+": "+why)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(q.hint, printable.Word(line)); err != nil {
			return err
		}
	}
	return nil
}

// supportParts are the daemon's and the host's.
func (q query) supportParts(ctx context.Context, version plugin.Version) (parts []support.Part) {
	parts = append(parts, support.Part{File: "command.json", What: "the version of this command", Collect: func(_ context.Context, to io.Writer) error {
		return json.NewEncoder(to).Encode(version)
	}})
	for _, name := range []string{"version", "status", "networks", "endpoints", "ports", "drops", "events"} {
		parts = append(parts, support.Part{File: "daemon/" + name + ".json", What: "gangway " + name + " --json", Collect: func(ctx context.Context, to io.Writer) error {
			return q.supportAnswer(ctx, to, name)
		}})
	}
	parts = append(parts, support.Part{File: "doctor.txt", What: "gangway doctor", Collect: func(ctx context.Context, to io.Writer) error {
		q.out = to
		err := runDoctor(ctx, q)
		if found := (*exitError)(nil); errors.As(err, &found) && found.err == nil {
			return nil // it has found something
		}
		return err
	}})
	engines, managed := q.supportDaemon(ctx)
	for _, socket := range engines {
		parts = append(parts, support.Engine(socket))
	}
	return append(append(parts, support.Host()...), support.Log(managed))
}

// supportAnswer writes an answer of the daemon.
func (q query) supportAnswer(ctx context.Context, to io.Writer, name string) error {
	d, err := q.find(ctx)
	if err != nil {
		return err
	}
	raw, err := d.ask(ctx, name)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err = json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(to, b.String())
	return err
}

// supportDaemon returns the API sockets of the engines that the daemon serves, or the usual
// one where it does not say, and the id of the managed plugin, if it is one.
func (q query) supportDaemon(ctx context.Context) (engines []string, managed string) {
	ctx, cancel := context.WithTimeout(ctx, supportTime)
	defer cancel()
	engines = []string{"/run/docker.sock"}
	d, err := q.find(ctx)
	if err != nil {
		return engines, ""
	}
	if folder := filepath.Base(filepath.Dir(d.socket)); len(folder) == 64 {
		// The plugin has the host's sockets elsewhere.
		return engines, folder
	}
	raw, err := d.ask(ctx, "status")
	if err != nil {
		return engines, ""
	}
	var s plugin.Status
	if json.Unmarshal(raw, &s) == nil && s.Settings["engine"] != "" {
		engines = nil
		for _, socket := range strings.Split(s.Settings["engine"], ",") {
			if filepath.IsAbs(socket) { // else it is off
				engines = append(engines, socket)
			}
		}
	}
	return engines, ""
}
