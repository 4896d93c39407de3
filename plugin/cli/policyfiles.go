package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

// exitDiffers says that apply --dry-run would change something, or that test finds a refusal.
const exitDiffers = 3

const policyApplyLong = `Make policies what files say: all of them in one step, or none. What is said of a
policy takes the place of all that was said before; policies of other names stay. The
same files again change nothing.

A file has one policy or several, with --- between them; "-" is the standard input.
Running containers follow at once: flows that are forbidden by now are ended, all
others go on.

With --dry-run nothing changes. What would become other is shown line by line, and the
exit code is 3; it is 0 where all is so already.`

func policyApply() policyLeaf {
	var dry bool
	return policyLeaf{
		use: "apply FILE...", short: "Make policies what files say", long: policyApplyLong,
		args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("want a file, or - for the standard input; see \"%s --help\"", cmd.CommandPath())
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&dry, "dry-run", false, "show what would change, and change nothing")
		},
		run: func(ctx context.Context, q query, args []string) error { return q.applyPolicies(ctx, args, dry) },
	}
}

func (q query) applyPolicies(ctx context.Context, files []string, dry bool) error {
	request := plugin.PolicyFiles{DryRun: dry}
	for _, name := range files {
		text, err := readPolicies(name)
		if err != nil {
			return err
		}
		request.Files = append(request.Files, text)
	}
	var outcomes []driver.PolicyOutcome
	raw, err := q.send(ctx, http.MethodPost, "policies", request, &outcomes)
	if err != nil {
		return err
	}
	if q.json {
		if err := q.printJSON(raw); err != nil {
			return err
		}
	}
	changes := false
	for _, o := range outcomes {
		changes = changes || o.Action != driver.PolicyUnchanged
		if q.json {
			continue
		}
		if err := q.outcome(o, dry); err != nil {
			return err
		}
	}
	if dry && changes {
		return &exitError{exitDiffers, nil}
	}
	return nil
}

// readPolicies reads a file, or the standard input.
func readPolicies(name string) (plugin.PolicyFile, error) {
	if name == "-" {
		text, err := io.ReadAll(os.Stdin)
		return plugin.PolicyFile{Name: "stdin", Text: string(text)}, err
	}
	text, err := os.ReadFile(name) //nolint:gosec // the user names it
	return plugin.PolicyFile{Name: name, Text: string(text)}, err
}

// outcome tells what has become of a policy, or would.
func (q query) outcome(o driver.PolicyOutcome, dry bool) error {
	line := o.Name + ": " + o.Action
	if o.Action != driver.PolicyUnchanged {
		if dry {
			line = o.Name + ": would be " + o.Action
			for _, d := range diff(o.Before, o.After) {
				if _, err := fmt.Fprintln(q.out, printable.Text(d)); err != nil {
					return err
				}
			}
		}
		if n := len(o.Networks) + len(o.Endpoints); n > 0 {
			line += ", for " + users(len(o.Networks), len(o.Endpoints))
		}
	}
	_, err := fmt.Fprintln(q.out, line)
	return err
}

func users(networks, containers int) string {
	text := count(uint64(networks), "network")
	if containers > 0 {
		text += " and " + count(uint64(containers), "container") + " by name"
	}
	return text
}

// diff is what leads from one text to another, line by line: a line that goes begins with a
// minus, one that comes with a plus.
func diff(before, after string) (out []string) {
	a, b := linesOf(before), linesOf(after)
	first, last := 0, 0
	for first < min(len(a), len(b)) && a[first] == b[first] {
		out = append(out, "  "+a[first])
		first++
	}
	for last < min(len(a), len(b))-first && a[len(a)-1-last] == b[len(b)-1-last] {
		last++
	}
	out = append(out, middle(a[first:len(a)-last], b[first:len(b)-last])...)
	for _, line := range a[len(a)-last:] {
		out = append(out, "  "+line)
	}
	return out
}

// middle is diff of texts that neither begin nor end with the same line.
func middle(a, b []string) (out []string) {
	same := common(a, b)
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j] && same != nil:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && (same == nil || same[i+1][j] >= same[i][j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// maxCommon bounds what a comparison of two texts costs.
const maxCommon = 4 << 20

// common says how many lines a[i:] and b[j:] have in common, in their order; nil where that is
// too much to find out.
func common(a, b []string) [][]int {
	if (len(a)+1)*(len(b)+1) > maxCommon {
		return nil
	}
	same := make([][]int, len(a)+1)
	for i := range same {
		same[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				same[i][j] = same[i+1][j+1] + 1
			} else {
				same[i][j] = max(same[i+1][j], same[i][j+1])
			}
		}
	}
	return same
}

func policyNames(ctx context.Context, q query, have int) (all []string) {
	if have > 0 {
		return nil
	}
	l, err := fetch[driver.PolicyStatus](ctx, q, "policies")
	if err != nil {
		return nil
	}
	for _, p := range l.list {
		all = append(all, p.Name)
	}
	return all
}

func policyShow() policyLeaf {
	return policyLeaf{
		use: "show NAME", short: "Print a policy as it was applied, comments too", args: exactly(1), complete: policyNames,
		run: func(ctx context.Context, q query, args []string) error {
			l, err := fetch[driver.PolicyStatus](ctx, q, "policies")
			if err != nil {
				return err
			}
			var known []named
			for _, p := range l.list {
				known = append(known, named{p.Name, []string{p.Name}})
			}
			l.keep(func(p driver.PolicyStatus) bool { return p.Name == args[0] })
			switch {
			case len(l.list) == 0:
				return notFound(fmt.Sprintf("there is no policy %q", args[0]), args[0], known)
			case q.json:
				return q.printJSON(l.each[0])
			}
			_, err = fmt.Fprint(q.out, printable.Text(l.list[0].Text))
			return err
		},
	}
}

func policyRm() policyLeaf {
	return policyLeaf{
		use: "rm NAME", short: "Remove a policy that nobody uses", args: exactly(1), complete: policyNames,
		run: func(ctx context.Context, q query, args []string) error {
			var none struct{}
			if _, err := q.send(ctx, http.MethodDelete, "policies?name="+url.QueryEscape(args[0]), nil, &none); err != nil {
				return err
			}
			_, err := fmt.Fprintln(q.out, args[0]+": removed")
			return err
		},
	}
}

func policyLs() policyLeaf {
	return policyLeaf{
		use: "ls", short: "List policies, who uses them, and exceptions", args: noArgs,
		complete: func(context.Context, query, int) []string { return nil },
		run: func(ctx context.Context, q query, _ []string) error {
			policies, err := fetch[driver.PolicyStatus](ctx, q, "policies")
			if err != nil {
				return err
			}
			exceptions, err := fetch[plugin.Exception](ctx, q, "policies/exceptions")
			if err != nil {
				return err
			}
			if q.json {
				raw, err := json.Marshal(map[string]any{"policies": policies.each, "exceptions": exceptions.each})
				return errors.Join(err, q.printJSON(raw))
			}
			var rows [][]string
			for _, p := range policies.list {
				rows = append(rows, []string{p.Name, strconv.Itoa(len(p.Networks)), strconv.Itoa(len(p.Endpoints)), says(p.Policy)})
			}
			if err := q.table([]string{"POLICY", "NETWORKS", "CONTAINERS", "SAYS"}, rows); err != nil || len(exceptions.list) == 0 {
				return err
			}
			rows = nil
			for _, x := range exceptions.list {
				rows = append(rows, []string{q.whom(x.Whom, x.NamesOfWhom), verb(x.Deny), x.To, untilText(x.Until)})
			}
			if _, err := fmt.Fprintln(q.out); err != nil {
				return err
			}
			return q.table([]string{"EXCEPTION FOR", "WHAT", "DESTINATION", "UNTIL"}, rows)
		},
	}
}

// says is a policy in a line.
func says(p config.Policy) string {
	var words []string
	for _, w := range config.PolicyWords() {
		if value := p.Word(w); value != "" {
			words = append(words, w+"="+value)
		}
	}
	const most = 100
	text := strings.Join(words, " ")
	if cut := slices.Clone([]rune(text)); len(cut) > most {
		text = string(cut[:most-1]) + "…"
	}
	return text
}
