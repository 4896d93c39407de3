package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/cli"
)

// writeTexts writes into dir what is made from the commands and the tables alone.
func writeTexts(r release, dir string) error {
	root := cli.New(cli.Options{Version: plugin.Version{Version: r.version}, Serve: func(*cobra.Command, []string) error { return nil }})
	var zsh, fish bytes.Buffer
	if err := root.GenZshCompletion(&zsh); err != nil {
		return err
	}
	if err := root.GenFishCompletion(&fish, true); err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"gangway.8":         md2man.Render([]byte(commandPage(r, root))),
		"gangway-options.7": md2man.Render([]byte(optionsPage(r))),
		"_gangway":          zsh.Bytes(),
		"gangway.fish":      fish.Bytes(),
		"gangway.default":   []byte(defaults()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // everybody reads them
			return err
		}
	}
	return nil
}

// title is the first line of a page (md2man(1)).
func title(r release, name, section, group string) string {
	return fmt.Sprintf("%s %s %q %q %q\n===\n\n", name, section, r.date.Format(time.DateOnly), "Gangway "+r.version, group)
}

// commandPage is gangway(8).
func commandPage(r release, root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(title(r, "GANGWAY", "8", "System Administration"))
	b.WriteString("# NAME\ngangway - network driver and address manager for Docker\n\n")
	b.WriteString("# SYNOPSIS\n**gangway serve** [*options*]\n\n**gangway** *command* [*options*]\n\n**docker gangway** *command* [*options*]\n\n")
	b.WriteString("# DESCRIPTION\n" + escape(root.Long) + "\n\n" +
		"The driver's name is **gangway**, and **gangway:latest** as well:\n\n" +
		"    docker network create -d gangway NAME\n\n" +
		"What can stand behind **-o** there is in gangway-options(7).\n\n" +
		"All commands but **serve** and **completion** are docker's as well: **docker gangway ports**. docker finds this program as its " +
		"plugin *docker-gangway*.\n\n")
	b.WriteString("# COMMANDS\n")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if !c.Hidden {
			writeCommand(&b, c)
		}
	}
	b.WriteString("# SETTINGS\nEach is a flag of **gangway serve**, and a variable of its environment. " +
		"The flag takes precedence. An empty variable counts as unset. A wrong value in the environment is told in the " +
		"answer to every call; the daemon does nothing else then.\n\n")
	for _, s := range config.SettingsTable() {
		fmt.Fprintf(&b, "**--%s** *value*, **%s**=*value*\n: %s%s\n\n", s.Flag, s.Env, escape(s.Help), defaultText(s.Default))
	}
	b.WriteString(files)
	return b.String()
}

const files = `# FILES
*/etc/default/gangway*
: settings of the daemon that systemd starts, one variable a line

*/var/lib/gangway*
: networks, endpoints and addresses, which survive a restart

*/run/docker/plugins/gangway.sock*
: the socket that the engine calls, root's alone

*/usr/libexec/docker/cli-plugins/docker-gangway*
: by which docker has the command **docker gangway**

*/run/gangway/docker.sock*
: the engine's API with the published ports, where gangway-api.service is enabled; for root and the group docker

*/usr/lib/systemd/network/00-gangway.network*, */usr/lib/NetworkManager/conf.d/00-gangway.conf*
: what keeps managers of the host's network off the bridges; a file of the same name in */etc* takes their place

# EXIT STATUS
0
: the answer is there and, for **status** and **health**, all is well

1
: an error, or the daemon reports a problem

2
: nothing is called what an argument, or **--network**, names

3
: **policy test** finds that it is refused, or **policy apply --dry-run** that something would change

# EXAMPLES
Is all well, and what was repaired?

    gangway status
    gangway events --follow

Published ports, which **docker ps** does not show for networks of a plugin:

    gangway ports
    gangway ports 8000/tcp
    docker gangway ports web --format 'table {{.Port}}\t{{.Ways}}'

Settings, and a restart that running containers do not notice:

    echo GANGWAY_LOG_LEVEL=debug >>/etc/default/gangway
    systemctl restart gangway

# SEE ALSO
gangway-options(7), docker-network-create(1), systemd.network(5)
`

// writeCommand is what a command's --help says.
func writeCommand(b *strings.Builder, c *cobra.Command) {
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	fmt.Fprintf(b, "## gangway %s\n%s\n\n", escape(c.Use), paragraphs(about))
	if c.Name() == "completion" {
		// Its long text is of cobra's; what each shell needs is in theirs.
		for _, shell := range c.Commands() {
			fmt.Fprintf(b, "**%s**\n: %s\n\n", shell.Name(), escape(shell.Short))
		}
	}
	writeFlags(b, c)
	if c.Name() == "policy" {
		for _, below := range c.Commands() {
			about := below.Long
			if about == "" {
				about = below.Short + "."
			}
			fmt.Fprintf(b, "### gangway policy %s\n%s\n\n", escape(below.Use), paragraphs(about))
			writeFlags(b, below)
		}
	}
}

func writeFlags(b *strings.Builder, c *cobra.Command) {
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		names := "**--" + f.Name + "**"
		if f.Shorthand != "" {
			names = "**-" + f.Shorthand + "**, " + names
		}
		value, usage := pflag.UnquoteUsage(f)
		standard := ""
		if value != "" {
			names += " *" + value + "*"
			standard = defaultText(f.DefValue)
		}
		fmt.Fprintf(b, "%s\n: %s%s\n\n", names, escape(usage), standard)
	})
}

// paragraphs escapes a text, and leaves lines that are indented as they are.
func paragraphs(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  ") {
			b.WriteString("    " + line)
		} else {
			b.WriteString(escape(line))
		}
	}
	return b.String()
}

// optionsPage is gangway-options(7).
func optionsPage(r release) string {
	var b strings.Builder
	b.WriteString(title(r, "GANGWAY-OPTIONS", "7", "Miscellaneous"))
	b.WriteString("# NAME\ngangway-options - options of Gangway's Docker networks\n\n")
	b.WriteString("# SYNOPSIS\n**docker network create -d gangway** [**-o** *name*=*value* ...] *network*\n\n")
	b.WriteString("# DESCRIPTION\nOptions belong to one network and are given when it is created, by **-o** or, in a compose file, " +
		"as **driver_opts**. Names and meanings are the built-in bridge driver's, except for those that are called Gangway's " +
		"own. An unknown option, or a wrong value, is an error that names the nearest known one. **gangway options** prints " +
		"this list.\n\n# OPTIONS\n")
	for _, o := range config.NetworkOptionsTable() {
		optionText(&b, o)
	}
	b.WriteString("# ADDRESS MANAGER\nOptions of Gangway's address manager are given by **--ipam-opt**, beside **--ipam-driver gangway:latest** " +
		"or, in a compose file, as **options** of the network's **ipam**.\n\n")
	for _, o := range config.OptionsTable() {
		if o.Where == config.ForPool {
			optionText(&b, o)
		}
	}
	b.WriteString("# EXAMPLES\nA network whose containers do not reach each other:\n\n" +
		"    docker network create -d gangway -o com.docker.network.bridge.enable_icc=false NAME\n\n" +
		"# SEE ALSO\ngangway(8), docker-network-create(1)\n")
	return b.String()
}

func optionText(b *strings.Builder, o config.Option) {
	fmt.Fprintf(b, "**%s**\n: %s\n\n    Values: %s%s\n\n", escape(o.Name), escape(o.Help), escape(o.Values), defaultText(o.Default))
}

func defaultText(value string) string {
	if value == "" {
		return ""
	}
	return " (default **" + escape(value) + "**)"
}

// escape leaves text as it is where Markdown has signs. Marks of code are left out: the
// tables have them for other pages.
func escape(text string) string {
	return strings.NewReplacer("`", "", "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`).Replace(text)
}

// defaults is the settings file, in which everything is a comment.
func defaults() string {
	var b strings.Builder
	b.WriteString("# Settings of gangway, one a line; see gangway(8). After a change:\n#\n#     systemctl restart gangway\n")
	for _, s := range config.SettingsTable() {
		fmt.Fprintf(&b, "\n# %s\n#%s=%s\n", strings.ReplaceAll(s.Help, "`", ""), s.Env, s.Default)
	}
	return b.String()
}
