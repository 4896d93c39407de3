package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const policyLong = `Keep policies, which say who may talk to whom, and ask what counts.

A policy is a document of YAML with a name, which networks and containers say
as gangway.policy. It can change while they run. The words are those of the options
without "gangway.":

  # what agents reach
  name: agents
  egress: deny
  egress.allow:
    - 10.0.5.7:5432/tcp   # the database
  host: dns

What counts, the first one that says something: options of the container, options
of the network, the policy that they name, the daemon's settings. Beside that are
exceptions, which "allow" and "deny" make.`

// policyLeaf is a command below policy.
type policyLeaf struct {
	use, short, long string
	args             cobra.PositionalArgs
	// complete returns what the next argument may be.
	complete func(ctx context.Context, q query, have int) []string
	flags    func(f *pflag.FlagSet)
	run      func(ctx context.Context, q query, args []string) error
	// lasting says that it ends by itself; --timeout is then for single answers.
	lasting bool
}

func policyCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Keep policies: who may talk to whom", Long: policyLong}
	for _, l := range []policyLeaf{
		policyApply(), policyLs(), policyShow(), policyRm(), policyAllow(false), policyAllow(true), policyRevoke(), policyExplain(), policyTest(), policyLearn(),
	} {
		cmd.AddCommand(l.cobra(o))
	}
	return cmd
}

func (l policyLeaf) cobra(o Options) *cobra.Command {
	var q query
	var socket string
	cmd := &cobra.Command{Use: l.use, Short: l.short, Long: l.long, Args: l.args}
	ready := func() query {
		q.out, q.hint = cmd.OutOrStdout(), cmd.ErrOrStderr()
		q.find = func(ctx context.Context) (*daemon, error) { return findDaemon(ctx, o.PluginDir, socket) }
		return q
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.timeout <= 0 {
			return fmt.Errorf("--timeout %s: want more than 0s, such as 30s", q.timeout)
		}
		ctx := cmd.Context()
		if !l.lasting {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, q.timeout)
			defer cancel()
		}
		return l.run(ctx, ready(), args)
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if l.complete == nil {
			return nil, cobra.ShellCompDirectiveDefault // files
		}
		return completion(cmd, func(ctx context.Context, q query) []string { return l.complete(ctx, q, len(args)) }, ready)
	}
	f := cmd.Flags()
	f.BoolVar(&q.json, "json", false, "print the daemon's answer as JSON")
	f.StringVar(&socket, "socket", "", "the daemon's socket `file` (default: the one that answers in "+o.PluginDir+")")
	f.DurationVar(&q.timeout, "timeout", 30*time.Second, "how long to wait for the daemon")
	if l.flags != nil {
		l.flags(f)
	}
	return cmd
}

// exactly takes so many arguments, none of which is empty.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		for _, a := range args {
			if a == "" {
				return fmt.Errorf("an argument is empty; see \"%s --help\"", cmd.CommandPath())
			}
		}
		if len(args) > n {
			return unexpected(cmd, args[n])
		}
		if len(args) < n {
			return fmt.Errorf("want as many arguments as in \"%s\"; see \"%s --help\"", cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}
