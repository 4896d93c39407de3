package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// command is one that asks the daemon.
type command struct {
	use, short string
	// long explains the columns; empty for short.
	long string
	// lists says that the answer is a list, which can be cut and put into other forms.
	lists *lists
	// follows says that the command can go on printing what is new; then run
	// bounds its questions itself. spans says that it has --since and --until.
	follows, spans bool
	// subject is what a command has that is about one thing or two, and whose answer is no
	// list.
	subject *subject
	// run writes the answer.
	run func(ctx context.Context, q query) error
}

// subject is what a command about one thing or two has. It bounds its questions itself:
// --timeout is for each of them.
type subject struct {
	// pair says that it takes two arguments, and not at most one.
	pair bool
	// complete returns what an argument may be.
	complete func(ctx context.Context, q query) []string
	flags    func(f *pflag.FlagSet, q *query)
}

// takes says whether there may be one more argument behind so many.
func (s *subject) takes(have int) bool {
	return s != nil && (have == 0 || s.pair && have == 1)
}

// query is one run of a command.
type query struct {
	out  io.Writer
	json bool
	// full leaves ids uncut.
	full bool
	// format is the form of a list.
	format string
	// want is which part of a list is wanted.
	want wanted
	// follow says to go on until ctx ends, and timeout how long one answer may
	// take.
	follow  bool
	timeout time.Duration
	find    func(context.Context) (*daemon, error)
	// trace, doctor and rate are what these commands are to do; hint takes what is no part of an
	// answer.
	trace  traceFlags
	doctor doctorFlags
	rate   rateFlags
	hint   io.Writer
}

// id cuts an id as docker does.
func (q query) id(id string) string {
	if q.full {
		return id
	}
	return id[:min(len(id), 12)]
}

// completeTime bounds the question for names at a press of the key.
const completeTime = 2 * time.Second

func (c command) cobra(o Options) *cobra.Command {
	var q query
	var socket, since, until string
	cmd := &cobra.Command{
		Use:     c.use,
		Short:   c.short,
		Long:    c.long,
		GroupID: askGroup,
		Args:    c.args,
	}
	ready := func() query {
		q.out, q.hint = cmd.OutOrStdout(), cmd.ErrOrStderr()
		q.find = func(ctx context.Context) (*daemon, error) { return findDaemon(ctx, o.PluginDir, socket) }
		return q
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.timeout <= 0 {
			return fmt.Errorf("--timeout %s: want more than 0s, such as 30s", q.timeout)
		}
		var err error
		if q.want.span, err = parseSpan(since, until, time.Now()); err != nil {
			return err
		}
		ctx := cmd.Context()
		if !c.follows && c.subject == nil {
			bounded, cancel := context.WithTimeout(ctx, q.timeout)
			defer cancel()
			ctx = bounded
		}
		for i, into := range []*string{&q.want.argument, &q.want.second}[:len(args)] {
			*into = args[i]
		}
		return c.run(ctx, ready())
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch {
		case c.subject.takes(len(args)):
			return completion(cmd, c.subject.complete, ready)
		case c.lists != nil && c.lists.argument && len(args) == 0:
			return completion(cmd, c.lists.complete, ready)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	f := cmd.Flags()
	f.BoolVar(&q.json, "json", false, "print the daemon's answer as JSON")
	f.StringVar(&socket, "socket", "", "the daemon's socket `file` (default: the one that answers in "+o.PluginDir+")")
	f.DurationVar(&q.timeout, "timeout", 30*time.Second, "how long to wait for the daemon")
	if c.follows {
		f.BoolVarP(&q.follow, "follow", "f", false, "go on with what is new until interrupted")
	}
	if c.spans {
		f.StringVar(&since, "since", "", "list what happened since a `TIME`, or so long ago")
		f.StringVar(&until, "until", "", "list what happened until a `TIME`, or so long ago")
	}
	if c.subject != nil {
		c.subject.flags(f, &q)
	}
	if c.lists != nil {
		c.listFlags(cmd, &q, ready)
	}
	return cmd
}

// args takes one argument at most, and that where it means something, or a pair.
func (c command) args(cmd *cobra.Command, args []string) error {
	if c.subject != nil && c.subject.pair {
		if len(args) != 2 || args[0] == "" || args[1] == "" {
			return fmt.Errorf("want two arguments, as in \"%s\"; see \"%s --help\"", cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
	if c.subject == nil && (c.lists == nil || !c.lists.argument) {
		return noArgs(cmd, args)
	}
	if len(args) > 1 {
		return unexpected(cmd, args[1])
	}
	if len(args) == 1 && args[0] == "" {
		return fmt.Errorf("the argument is empty; see \"%s --help\"", cmd.CommandPath())
	}
	return nil
}

// listFlags declares the flags of lists.
func (c command) listFlags(cmd *cobra.Command, q *query, ready func() query) {
	f := cmd.Flags()
	forms := []string{"json", "table"}
	if c.lists.forms != nil {
		forms = c.lists.forms
		f.StringVar(&q.format, "format", forms[0], "`FORM` of the answer: "+strings.Join(forms, ", "))
	} else {
		f.StringVar(&q.format, "format", "", "print \"json\", one object a line, \"table `TEMPLATE`\", or a Go template for each line")
		if !c.spans {
			f.BoolVar(&q.full, "no-trunc", false, "cut nothing, and show ids and more columns")
		}
	}
	cmd.MarkFlagsMutuallyExclusive("json", "format")
	words := func(list func(context.Context, query) []string) cobra.CompletionFunc {
		return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completion(cmd, list, ready)
		}
	}
	completions := map[string]cobra.CompletionFunc{"format": words(func(context.Context, query) []string { return forms })}
	if c.lists.network {
		f.StringVar(&q.want.network, "network", "", "list what is on one `NETWORK`, by name or id")
		completions["network"] = words(networkNames)
	}
	if c.lists.flags != nil {
		c.lists.flags(f, q)
	}
	for flag, complete := range completions {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete) // fails for a flag that is not there
	}
}

// completion asks the daemon for what a word can be.
func completion(cmd *cobra.Command, list func(context.Context, query) []string, ready func() query) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	return list(ctx, ready()), cobra.ShellCompDirectiveNoFileComp
}
