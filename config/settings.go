package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Settings are what the daemon runs with.
type Settings struct {
	// StateDir is the absolute path of the folder that holds what must survive
	// a restart.
	StateDir string
	// Socket is the absolute path of the unix socket that the engine calls.
	Socket string
	// Engines are the absolute paths of the API sockets of the engines that the daemon
	// serves; empty for none.
	Engines []string
	// LogLevel is error, warn, info or debug; LogFormat is text or json.
	LogLevel, LogFormat string
	// Metrics is where metrics are served beside the socket; the zero value for nowhere.
	Metrics Listen
	// PageToken is what a browser has to know for the page beside the metrics; empty for
	// nothing. It is a secret.
	PageToken string
	// Firewall is auto, nftables or iptables: what keeps the rules. auto means
	// nftables where the kernel can do it, else iptables.
	Firewall string
	// Mark is the bits of the packet mark that the rules use.
	Mark Mark
	// Router says that the host may be a router: what forwarding opens between links of
	// others stays open.
	Router bool
	// Pools are the ranges for automatic subnets; never empty.
	Pools []PoolRange
	// Policy is what counts for networks that say nothing themselves: Egress and Ingress,
	// and Host, which may be empty.
	Policy Policy
	// Texts are the values as they were given, by flag, for who looks at them: secret ones
	// are masked.
	Texts map[string]string
}

// Setting is one row of the table of settings.
type Setting struct {
	// Flag is the flag's name without dashes; Env the environment variable.
	Flag, Env string
	// Default is the value, as text, if neither is given.
	Default string
	// Secret says that the value is shown to nobody.
	Secret bool
	// Help is a sentence fragment for the flag's help and the documentation.
	Help string

	set func(*Settings, string) error
}

// SettingsTable lists every setting in the order of the documentation.
func SettingsTable() []Setting {
	return slices.Concat(datapathSettings(), policySettings(), outputSettings())
}

// datapathSettings are about what the daemon does.
func datapathSettings() []Setting {
	return []Setting{
		{
			Flag: "state", Env: "GANGWAY_STATE", Default: "/var/lib/gangway",
			Help: "folder that keeps networks and addresses over a restart (absolute path)",
			set:  func(s *Settings, v string) (err error) { s.StateDir, err = absolute(v); return err },
		},
		{
			Flag: "socket", Env: "GANGWAY_SOCKET", Default: "/run/docker/plugins/gangway.sock",
			Help: "unix socket that the engine calls; its file name is the driver's name (absolute path)",
			set:  func(s *Settings, v string) (err error) { s.Socket, err = socketPath(v); return err },
		},
		{
			Flag: "engine", Env: "GANGWAY_ENGINE", Default: "/run/docker.sock",
			Help: "the engine's API socket, read in the background for names, and to find what was removed while gangway was down (absolute path, those of several engines with commas between them, or off)",
			set:  func(s *Settings, v string) (err error) { s.Engines, err = engineSockets(v); return err },
		},
		{
			Flag: "firewall", Env: "GANGWAY_FIREWALL", Default: "auto",
			Help: "what keeps the rules (" + strings.Join(firewalls(), ", ") + "); auto is nftables where the kernel can do it, else iptables",
			set: func(s *Settings, v string) (err error) {
				s.Firewall, err = oneOf("firewall", v, firewalls())
				return err
			},
		},
		{
			Flag: "mark", Env: "GANGWAY_MARK", Default: "0x0c000000",
			Help: "two bits of the packet mark, as a mask, which the rules use while a packet is forwarded; no other program may use them",
			set:  func(s *Settings, v string) (err error) { s.Mark, err = parseMark(v); return err },
		},
		{
			Flag: "forwarding", Env: "GANGWAY_FORWARDING", Default: "closed",
			Help: "whether the host passes packets of others on between its other links where Gangway turned forwarding on (" +
				strings.Join(forwardings(), ", ") + "); closed drops them unless a rule of yours accepts them, open is for routers",
			set: func(s *Settings, v string) error {
				v, err := oneOf("forwarding", v, forwardings())
				s.Router = v == "open"
				return err
			},
		},
		{
			Flag: "pools", Env: "GANGWAY_POOLS", Default: "10.200.0.0/13:24,fd67:7761:7900::/48:64",
			Help: "ranges for networks that name no subnet, each with the size of the subnets (base:size,...)",
			set:  func(s *Settings, v string) (err error) { s.Pools, err = parsePools(v); return err },
		},
	}
}

// outputSettings are about what the daemon says.
func outputSettings() []Setting {
	return []Setting{
		{
			Flag: "log-level", Env: "GANGWAY_LOG_LEVEL", Default: "info",
			Help: "least severe messages to log (" + strings.Join(logLevels(), ", ") + ")",
			set: func(s *Settings, v string) (err error) {
				s.LogLevel, err = oneOf("log level", v, logLevels())
				return err
			},
		},
		{
			Flag: "log-format", Env: "GANGWAY_LOG_FORMAT", Default: "text",
			Help: "form of a message in the log (" + strings.Join(logFormats(), ", ") + ")",
			set: func(s *Settings, v string) (err error) {
				s.LogFormat, err = oneOf("log format", v, logFormats())
				return err
			},
		},
		{
			Flag: "metrics", Env: "GANGWAY_METRICS", Default: "off",
			Help: "where metrics for Prometheus are served to whoever can connect, beside the socket, and the page (ADDRESS:PORT, unix:/PATH, or off)",
			set:  func(s *Settings, v string) (err error) { s.Metrics, err = ParseListen(v); return err },
		},
		{
			Flag: "page-token", Env: "GANGWAY_PAGE_TOKEN", Default: "off", Secret: true,
			Help: "secret that the page beside the metrics asks for (16 to 256 letters, digits and ._~-), without which it is served on loopback and unix sockets only, or off; a flag is seen by all users of the host, a variable is not",
			set:  func(s *Settings, v string) (err error) { s.PageToken, err = ParseToken(v); return err },
		},
	}
}

// LoadSettings puts the settings together: a flag wins over the environment,
// the environment over the default. flags holds the flags given on the command
// line only, by name; environ is in the form of os.Environ. An empty variable
// counts as unset, because config files of managed plugins cannot leave one
// out; an empty flag is a value, and refused. A variable that starts with
// GANGWAY_ and is not in the table is refused.
func LoadSettings(flags map[string]string, environ []string) (Settings, error) {
	table := SettingsTable()
	env, err := environment(environ, table)
	if err != nil {
		return Settings{}, err
	}
	if err := knownFlags(flags, table); err != nil {
		return Settings{}, err
	}
	s := Settings{Texts: map[string]string{}}
	for _, row := range table {
		source, value := "default of --"+row.Flag, row.Default
		if v := env[row.Env]; v != "" {
			source, value = row.Env, v
		}
		if v, given := flags[row.Flag]; given {
			source, value = "--"+row.Flag, v
		}
		if err := row.set(&s, value); err != nil {
			return Settings{}, fmt.Errorf("%s: %w", source, err)
		}
		s.Texts[row.Flag] = row.shown(value)
	}
	return s, nil
}

// shown is a value as others may see it.
func (s Setting) shown(value string) string {
	if s.Secret && value != "" && value != s.Default {
		return "***"
	}
	return value
}

const envPrefix = "GANGWAY_"

// environment picks gangway's own variables. Of a variable that is there twice
// the first counts, as for os.Getenv.
func environment(environ []string, table []Setting) (map[string]string, error) {
	known := make([]string, 0, len(table))
	for _, row := range table {
		known = append(known, row.Env)
	}
	env := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if !slices.Contains(known, name) {
			return nil, unknown("environment variable", name, known)
		}
		if _, twice := env[name]; !twice {
			env[name] = value
		}
	}
	return env, nil
}

func knownFlags(flags map[string]string, table []Setting) error {
	known := make([]string, 0, len(table))
	for _, row := range table {
		known = append(known, row.Flag)
	}
	for name := range flags {
		if !slices.Contains(known, name) {
			return unknown("flag", name, known)
		}
	}
	return nil
}

// absolute cleans an absolute path of a file or folder.
func absolute(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("path %q is not absolute", path)
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("path %q has control characters", path)
	}
	clean := filepath.Clean(path)
	if clean == "/" {
		return "", fmt.Errorf("path %q is the root folder", path)
	}
	return clean, nil
}

// maxSocket is what fits into sun_path with its final zero (unix(7)).
const maxSocket = 107

func socketPath(path string) (string, error) {
	clean, err := absolute(path)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(path, "/") {
		return "", fmt.Errorf("path %q is a folder: name the socket in it", path)
	}
	if len(clean) > maxSocket {
		return "", fmt.Errorf("path %q has %d bytes: the kernel takes at most %d for a socket", path, len(clean), maxSocket)
	}
	return clean, nil
}

// engineSockets reads paths with commas between them, and a word for none.
func engineSockets(list string) (sockets []string, err error) {
	if list == "off" {
		return nil, nil
	}
	for path := range strings.SplitSeq(list, ",") {
		socket, err := socketPath(path)
		if err != nil {
			return nil, err
		}
		if slices.Contains(sockets, socket) {
			return nil, fmt.Errorf("socket %s is there twice", socket)
		}
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

func logLevels() []string { return []string{"error", "warn", "info", "debug"} }

func logFormats() []string { return []string{"text", "json"} }

func firewalls() []string { return []string{"auto", "nftables", "iptables"} }

func forwardings() []string { return []string{"closed", "open"} }

func oneOf(what, v string, known []string) (string, error) {
	if !slices.Contains(known, v) {
		return "", unknown(what, v, known)
	}
	return v, nil
}
