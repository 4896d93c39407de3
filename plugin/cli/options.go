package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gangway-net/gangway/config"
)

const optionsLong = `List the options of networks: what can stand behind "docker network create -o",
or as driver_opts in a compose file. They are those of this build; no daemon is
asked.

--words is for scripts: one line an option, with its name and the values that
can be listed.`

// option is one option of networks in JSON.
type option struct {
	Name    string   `json:"name"`
	Values  string   `json:"values"`
	Choices []string `json:"choices,omitempty"`
	Default string   `json:"default"`
	Help    string   `json:"help"`
}

func optionsCommand() *cobra.Command {
	var asJSON, words bool
	cmd := &cobra.Command{
		Use:   "options",
		Short: "List the options that networks have",
		Long:  optionsLong,
		Args:  noArgs,

		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := listOptions
			switch {
			case asJSON:
				text = encodeOptions
			case words:
				text = optionWords
			}
			b, err := text()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	cmd.Flags().BoolVar(&words, "words", false, "print names and values alone")
	cmd.MarkFlagsMutuallyExclusive("json", "words")
	return cmd
}

// plain takes the README's marks out of a text.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }

func listOptions() ([]byte, error) {
	var b bytes.Buffer
	for i, o := range config.NetworkOptionsTable() {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n    %s\n    %s", o.Name, plain(o.Help), plain(o.Values))
		if o.Default != "" {
			fmt.Fprintf(&b, " (default %s)", o.Default)
		}
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

func optionWords() ([]byte, error) {
	var b bytes.Buffer
	for _, o := range config.NetworkOptionsTable() {
		fmt.Fprintln(&b, strings.Join(append([]string{o.Name}, o.Choices...), " "))
	}
	return b.Bytes(), nil
}

func encodeOptions() ([]byte, error) {
	var list []option
	for _, o := range config.NetworkOptionsTable() {
		list = append(list, option{o.Name, plain(o.Values), o.Choices, o.Default, plain(o.Help)})
	}
	b, err := json.MarshalIndent(list, "", "  ")
	return append(b, '\n'), err
}
