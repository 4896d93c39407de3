package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gangway-net/gangway/config"
)

const optionsLong = `List the options of networks, which can stand behind "docker network create -o"
or as driver_opts of a network in a compose file, and of one container's place on
a network: behind "docker network connect --driver-opt", or as driver_opts of a
service's network; and of the address manager: behind "docker network create
--ipam-driver gangway:latest --ipam-opt", or as options of a network's ipam. They
are those of this build; no daemon is asked.

--words is for scripts: one line an option, with its name and the values that
can be listed.`

// option is one option in JSON.
type option struct {
	Name    string   `json:"name"`
	For     []string `json:"for"`
	Values  string   `json:"values"`
	Choices []string `json:"choices,omitempty"`
	Default string   `json:"default"`
	Help    string   `json:"help"`
	Since   string   `json:"since"`
	// Engine says that the engine carries it out.
	Engine bool `json:"engine,omitempty"`
}

func optionsCommand() *cobra.Command {
	var asJSON, words, network, container, pool bool
	cmd := &cobra.Command{
		Use:   "options",
		Short: "List the options that networks and containers have",
		Long:  optionsLong,
		Args:  noArgs,

		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			place := config.ForAny
			switch {
			case network:
				place = config.ForNetwork
			case container:
				place = config.ForContainer
			case pool:
				place = config.ForPool
			}
			table := slices.DeleteFunc(config.OptionsTable(), func(o config.Option) bool { return o.Where&place == 0 })
			text := listOptions
			switch {
			case asJSON:
				text = encodeOptions
			case words:
				text = optionWords
			}
			b, err := text(table)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	cmd.Flags().BoolVar(&words, "words", false, "print names and values alone")
	cmd.Flags().BoolVar(&network, "network", false, "list options of networks alone")
	cmd.Flags().BoolVar(&container, "container", false, "list options of one container alone")
	cmd.Flags().BoolVar(&pool, "ipam", false, "list options of the address manager alone")
	cmd.MarkFlagsMutuallyExclusive("json", "words")
	cmd.MarkFlagsMutuallyExclusive("network", "container", "ipam")
	return cmd
}

// plain takes the documentation's marks out of a text.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }

func listOptions(table []config.Option) ([]byte, error) {
	var b bytes.Buffer
	for i, o := range table {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n    %s\n    for: %s\n    values: %s", o.Name, plain(o.Help), o.Where, plain(o.Values))
		if o.Default != "" {
			fmt.Fprintf(&b, " (default %s)", o.Default)
		}
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

func optionWords(table []config.Option) ([]byte, error) {
	var b bytes.Buffer
	for _, o := range table {
		fmt.Fprintln(&b, strings.Join(append([]string{o.Name}, o.Choices...), " "))
	}
	return b.Bytes(), nil
}

func encodeOptions(table []config.Option) ([]byte, error) {
	var list []option
	for _, o := range table {
		places := strings.Split(o.Where.String(), ", ")
		list = append(list, option{o.Name, places, plain(o.Values), o.Choices, o.Default, plain(o.Help), o.Since, o.Engine})
	}
	b, err := json.MarshalIndent(list, "", "  ")
	return append(b, '\n'), err
}
