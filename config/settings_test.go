package config

import (
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func wantErr(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

func defaults() Settings {
	return Settings{
		StateDir: "/var/lib/gangway", Socket: "/run/docker/plugins/gangway.sock", Engines: []string{"/run/docker.sock"}, LogLevel: "info", LogFormat: "text", Firewall: "auto", Mark: Mark{Accept: 0x04000000, Drop: 0x08000000},
		Pools: []PoolRange{
			{netip.MustParsePrefix("10.200.0.0/13"), 24},
			{netip.MustParsePrefix("fd67:7761:7900::/48"), 64},
		},
		Policy: Policy{Egress: "open", Ingress: "any"},
	}
}

func with(change func(*Settings)) Settings {
	s := defaults()
	change(&s)
	return s
}

func TestLoadSettings(t *testing.T) {
	for name, c := range map[string]struct {
		flags map[string]string
		env   []string
		want  Settings
	}{
		"nothing":   {nil, nil, defaults()},
		"unrelated": {nil, []string{"PATH=/bin", "XGANGWAY_STATE=x", "GANGWAY=x", "gangway_state=x", "=", ""}, defaults()},
		"environment": {nil, []string{"GANGWAY_STATE=/s", "GANGWAY_SOCKET=/k.sock", "GANGWAY_ENGINE=/e.sock", "GANGWAY_LOG_LEVEL=debug", "GANGWAY_FIREWALL=iptables", "GANGWAY_MARK=0x3", "GANGWAY_FORWARDING=open", "GANGWAY_POOLS=10.0.0.0/8:16", "GANGWAY_LOG_FORMAT=json", "GANGWAY_METRICS=127.0.0.1:9323", "GANGWAY_PAGE_TOKEN=abcdefghij.012-_~", "GANGWAY_DEFAULT_EGRESS=deny", "GANGWAY_DEFAULT_INGRESS=lan", "GANGWAY_DEFAULT_HOST=8080,dns"},
			Settings{"/s", "/k.sock", []string{"/e.sock"}, "debug", "json", Listen{"tcp", "127.0.0.1:9323"}, "abcdefghij.012-_~", "iptables", Mark{1, 2}, true, []PoolRange{{netip.MustParsePrefix("10.0.0.0/8"), 16}}, Policy{Egress: "deny", Ingress: "lan", Host: "53,8080"}, nil}},
		"flag wins":       {map[string]string{"state": "/flag"}, []string{"GANGWAY_STATE=/env"}, with(func(s *Settings) { s.StateDir = "/flag" })},
		"flag hides":      {map[string]string{"log-level": "warn"}, []string{"GANGWAY_LOG_LEVEL=nonsense"}, with(func(s *Settings) { s.LogLevel = "warn" })},
		"empty is none":   {nil, []string{"GANGWAY_STATE=", "GANGWAY_POOLS=", "GANGWAY_LOG_LEVEL", "GANGWAY_SOCKET="}, defaults()},
		"first counts":    {nil, []string{"GANGWAY_STATE=/1", "GANGWAY_STATE=/2"}, with(func(s *Settings) { s.StateDir = "/1" })},
		"cleaned":         {map[string]string{"state": "/a//b/../c/", "socket": "/x/./y"}, nil, with(func(s *Settings) { s.StateDir, s.Socket = "/a/c", "/x/y" })},
		"no engine":       {nil, []string{"GANGWAY_ENGINE=off"}, with(func(s *Settings) { s.Engines = nil })},
		"metrics, IPv6":   {nil, []string{"GANGWAY_METRICS=[::1]:9323"}, with(func(s *Settings) { s.Metrics = Listen{"tcp", "[::1]:9323"} })},
		"metrics for all": {nil, []string{"GANGWAY_METRICS=0.0.0.0:80"}, with(func(s *Settings) { s.Metrics = Listen{"tcp", "0.0.0.0:80"} })},
		"metrics, socket": {map[string]string{"metrics": "unix:/run//m.sock"}, nil, with(func(s *Settings) { s.Metrics = Listen{"unix", "/run/m.sock"} })},
		"no metrics":      {map[string]string{"metrics": "off"}, []string{"GANGWAY_METRICS=nonsense"}, defaults()},
		"two engines":     {map[string]string{"engine": "/a//1.sock,/2.sock"}, nil, with(func(s *Settings) { s.Engines = []string{"/a/1.sock", "/2.sock"} })},
		"longest socket": {map[string]string{"socket": "/" + strings.Repeat("s", 106)}, nil,
			with(func(s *Settings) { s.Socket = "/" + strings.Repeat("s", 106) })},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := LoadSettings(c.flags, c.env)
			if state := c.flags["state"]; state != "" && got.Texts["state"] != state || len(got.Texts) != len(SettingsTable()) {
				t.Errorf("texts %v", got.Texts)
			}
			got.Texts = nil
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v (%v), want %+v", got, err, c.want)
			}
		})
	}
}

// TestSecret: the value of a secret setting is shown to nobody.
func TestSecret(t *testing.T) {
	secret := Setting{Secret: true}
	if secret.shown("hunter2") != "***" || secret.shown("") != "" || (Setting{}).shown("x") != "x" {
		t.Error("a secret is shown, or what is none is not")
	}
}

func TestRefusedSettings(t *testing.T) {
	const secret = "0123456789abcdef"
	for _, c := range []struct {
		flags map[string]string
		env   string
		err   string
	}{
		{nil, "GANGWAY_STAET=/x", `unknown environment variable "GANGWAY_STAET": did you mean GANGWAY_STATE?`},
		{nil, "GANGWAY_LOGLEVEL=", "did you mean GANGWAY_LOG_LEVEL?"},
		{nil, "GANGWAY_WHATEVER=1", "known are GANGWAY_STATE, GANGWAY_SOCKET, GANGWAY_ENGINE, GANGWAY_FIREWALL, GANGWAY_MARK, GANGWAY_FORWARDING, GANGWAY_POOLS, GANGWAY_DEFAULT_EGRESS, GANGWAY_DEFAULT_INGRESS, GANGWAY_DEFAULT_HOST, GANGWAY_LOG_LEVEL, GANGWAY_LOG_FORMAT, GANGWAY_METRICS, GANGWAY_PAGE_TOKEN"},
		{nil, "GANGWAY_DEFAULT_EGRESS=opn", `GANGWAY_DEFAULT_EGRESS: "opn" is no known value: did you mean open?`},
		{nil, "GANGWAY_DEFAULT_INGRESS=lann", `GANGWAY_DEFAULT_INGRESS: "lann" has "lann": did you mean lan?`},
		{nil, "GANGWAY_DEFAULT_HOST=0", `GANGWAY_DEFAULT_HOST: "0" has "0", which has port "0", which is none from 1 to 65535`},
		{nil, "GANGWAY_STATE=var/lib", `GANGWAY_STATE: path "var/lib" is not absolute`},
		{map[string]string{"state": ""}, "", `--state: path "" is not absolute`},
		{map[string]string{"state": "/"}, "", "root folder"},
		{map[string]string{"state": "/a\nb"}, "", "control characters"},
		{map[string]string{"socket": "g.sock"}, "", `--socket: path "g.sock" is not absolute`},
		{map[string]string{"socket": "/run/"}, "", "is a folder"},
		{map[string]string{"socket": "/" + strings.Repeat("s", 107)}, "", "has 108 bytes: the kernel takes at most 107"},
		{nil, "GANGWAY_ENGINE=unix:///run/docker.sock", `GANGWAY_ENGINE: path "unix:///run/docker.sock" is not absolute`},
		{map[string]string{"pools": ""}, "", `--pools: pool "" has no size`},
		{nil, "GANGWAY_POOLS=10.0.0.0/8", "GANGWAY_POOLS: pool"},
		{nil, "GANGWAY_FIREWALL=nft", `GANGWAY_FIREWALL: unknown firewall "nft": known are auto, nftables, iptables`},
		{nil, "GANGWAY_MARK=0x04000000", `GANGWAY_MARK: mark "0x04000000" has 1 bit set`},
		{map[string]string{"mark": "1"}, "", `--mark: mark "1" is not a number`},
		{nil, "GANGWAY_FORWARDING=yes", `GANGWAY_FORWARDING: unknown forwarding "yes": known are closed, open`},
		{nil, "GANGWAY_LOG_LEVEL=warning", `GANGWAY_LOG_LEVEL: unknown log level "warning": known are error, warn, info, debug`},
		{nil, "GANGWAY_LOG_LEVEL=INFO", "did you mean info?"},
		{nil, "GANGWAY_LOG_FORMAT=logfmt", `GANGWAY_LOG_FORMAT: unknown log format "logfmt": known are text, json`},
		{nil, "GANGWAY_METRICS=localhost:9323", `GANGWAY_METRICS: address "localhost:9323": want ADDRESS:PORT such as 127.0.0.1:9323`},
		{nil, "GANGWAY_METRICS=:9323", "0.0.0.0 or [::] for all addresses"},
		{nil, "GANGWAY_METRICS=9323", "want ADDRESS:PORT"},
		{nil, "GANGWAY_METRICS=127.0.0.1:0", "port 0 is none that a client could know"},
		{nil, "GANGWAY_METRICS=127.0.0.1:65536", "want ADDRESS:PORT"},
		{nil, "GANGWAY_METRICS=[::ffff:127.0.0.1]:9323", "write the IPv4 address 127.0.0.1"},
		{nil, "GANGWAY_METRICS=unix:m.sock", `path "m.sock" is not absolute`},
		{map[string]string{"metrics": ""}, "", `--metrics: address ""`},
		{nil, "GANGWAY_PAGE_TOKEN=" + secret[:15], "GANGWAY_PAGE_TOKEN: the token (15 bytes): want 16 to 256"},
		{nil, "GANGWAY_PAGE_TOKEN=" + strings.Repeat("x", 257), "the token (257 bytes)"},
		{nil, "GANGWAY_PAGE_TOKEN=" + secret + "#", "letters, digits and ._~-"},
		{nil, "GANGWAY_PAGE_TOKEN=" + secret + "\n", "letters, digits and ._~-"},
		{nil, "GANGWAY_PAGE_TOKEN=" + secret + "é", "letters, digits and ._~-"},
		{map[string]string{"page-token": ""}, "", "--page-token: the token (0 bytes)"},
		{map[string]string{"sate": "/x"}, "", `unknown flag "sate": did you mean state?`},
	} {
		_, err := LoadSettings(c.flags, []string{c.env})
		wantErr(t, err, c.err)
		if err != nil && strings.Contains(err.Error(), secret[:15]) {
			t.Errorf("the secret is told: %v", err)
		}
	}
}

// TestListenLocal: what others may reach is not local.
func TestListenLocal(t *testing.T) {
	for at, want := range map[string]bool{
		"off": false, "unix:/run/m.sock": true, "127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true,
		"0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "[fe80::1%lo]:1": false,
	} {
		l, err := ParseListen(at)
		if err != nil || l.Local() != want {
			t.Errorf("%s: %t (%v), want %t", at, l.Local(), err, want)
		}
	}
}

// TestSettingsTable keeps the table complete: each row sets its own field, by
// flag and by environment, and its default is what holds without it.
func TestSettingsTable(t *testing.T) {
	other := map[string]string{"state": "/elsewhere", "socket": "/elsewhere.sock", "engine": "off", "firewall": "iptables", "mark": "0x00101000", "forwarding": "open", "pools": "10.0.0.0/8:24", "log-level": "error", "log-format": "json", "metrics": "[::]:9323", "page-token": strings.Repeat("x", 16), "default-egress": "internet", "default-ingress": "none", "default-host": "none"}
	table := SettingsTable()
	// Texts is no setting, and three settings are of one field, Policy.
	if n := reflect.TypeFor[Settings]().NumField() - 1 + 2; len(table) != n || len(other) != n {
		t.Fatalf("%d rows, %d examples and %d fields", len(table), len(other), n)
	}
	for _, row := range table {
		if row.Help == "" || row.Default == "" || row.Env != envPrefix+strings.ToUpper(strings.ReplaceAll(row.Flag, "-", "_")) {
			t.Errorf("row %+v lacks something, or its names differ", row)
		}
		for source, load := range map[string]func(v string) (Settings, error){
			"flag":        func(v string) (Settings, error) { return LoadSettings(map[string]string{row.Flag: v}, nil) },
			"environment": func(v string) (Settings, error) { return LoadSettings(nil, []string{row.Env + "=" + v}) },
		} {
			got, err := load(row.Default)
			got.Texts = nil
			if err != nil || !reflect.DeepEqual(got, defaults()) {
				t.Errorf("%s %s with its default: %+v (%v)", source, row.Flag, got, err)
			}
			got, err = load(other[row.Flag])
			got.Texts = nil
			if d := differing(got, defaults()); err != nil || d != 1 {
				t.Errorf("%s %s changes %d fields (%v), want 1", source, row.Flag, d, err)
			}
		}
	}
}

func differing(a, b any) int {
	n, av, bv := 0, reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range av.NumField() {
		if !reflect.DeepEqual(av.Field(i).Interface(), bv.Field(i).Interface()) {
			n++
		}
	}
	return n
}

func TestParsePools(t *testing.T) {
	got, err := parsePools("192.168.0.0/16:30, fd00::/8:126 ,10.0.0.0/24:24")
	want := []PoolRange{
		{netip.MustParsePrefix("192.168.0.0/16"), 30}, {netip.MustParsePrefix("fd00::/8"), 126}, {netip.MustParsePrefix("10.0.0.0/24"), 24},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
	for text, part := range map[string]string{
		"":                                "has no size",
		"10.0.0.0/8":                      "has no size: want base:size",
		"fd00::/8":                        "has no size",
		"10.0.0.0:24":                     "is not a prefix",
		"10.0.0.0/33:24":                  "is not a prefix",
		"ten/8:24":                        "is not a prefix",
		"10.0.0.0/8:":                     `size "" is not a prefix length`,
		"10.0.0.0/8:x":                    `size "x" is not a prefix length`,
		"10.0.0.0/8:-1":                   "is not a prefix length",
		"10.0.0.0/8:300":                  "is not a prefix length",
		"10.1.0.0/8:24":                   "did you mean 10.0.0.0/8?",
		"fd00::1/64:64":                   "did you mean fd00::/64?",
		"10.0.0.0/8:7":                    "sizes are 8 to 30",
		"10.0.0.0/8:31":                   "sizes are 8 to 30",
		"10.0.0.0/31:31":                  "cannot be cut",
		"fd00::/64:127":                   "sizes are 64 to 126",
		"::ffff:10.0.0.0/104:120":         "not mapped into IPv6",
		"10.0.0.0/8:24,":                  `pool "" has no size`,
		"10.0.0.0/8:24,10.9.0.0/16:24":    "pool 10.9.0.0/16:24 overlaps pool 10.0.0.0/8:24",
		"fd00::/64:64,fd00::/64:64":       "overlaps",
		"10.0.0.0/8:24;192.168.0.0/16:24": "is not a prefix",
	} {
		_, err := parsePools(text)
		if err == nil {
			t.Errorf("%q is accepted", text)
			continue
		}
		wantErr(t, err, part)
	}
}

func FuzzParsePools(f *testing.F) {
	for _, s := range []string{"10.200.0.0/13:24,fd67:7761:7900::/48:64", "10.0.0.0/8:31", "::/0:0,", "fe80::%1/8:9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parsePools(text)
		if err != nil {
			return
		}
		var again []string
		for i, r := range got {
			if r.Base != r.Base.Masked() || r.Size < r.Base.Bits() || r.Size > r.Base.Addr().BitLen()-2 {
				t.Errorf("%q gives %v", text, r)
			}
			for _, o := range got[:i] {
				if o.Base.Overlaps(r.Base) {
					t.Errorf("%q gives overlapping %v and %v", text, o, r)
				}
			}
			again = append(again, r.String())
		}
		if second, err := parsePools(strings.Join(again, ",")); err != nil || !slices.Equal(got, second) {
			t.Errorf("%q gives %v, which reads as %v (%v)", text, got, second, err)
		}
	})
}

func FuzzLoadSettings(f *testing.F) {
	f.Add("state", "/x", "GANGWAY_STATE=/y")
	f.Add("socket", "/x/", "GANGWAY_POOLS=10.0.0.0/8:24")
	f.Add("", "", "GANGWAY_LOG_LEVEL=debug")
	f.Fuzz(func(t *testing.T, flag, value, env string) {
		s, err := LoadSettings(map[string]string{flag: value}, []string{env})
		if err != nil {
			return
		}
		for _, p := range []string{s.StateDir, s.Socket} {
			if !filepath.IsAbs(p) || filepath.Clean(p) != p || p == "/" {
				t.Errorf("path %q is accepted", p)
			}
		}
		if len(s.Socket) >= 108 || !slices.Contains(logLevels(), s.LogLevel) || len(s.Pools) == 0 {
			t.Errorf("%+v is accepted", s)
		}
		if name, _, _ := strings.Cut(env, "="); strings.HasPrefix(name, envPrefix) && !slices.ContainsFunc(SettingsTable(), func(r Setting) bool { return r.Env == name }) {
			t.Errorf("variable %q is accepted", name)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"com.docker.network.bridge.enable_icc", "com.docker.network.bridge.name", "com.docker.network.driver.mtu"}
	for name, want := range map[string]string{
		"com.docker.network.bridge.enable_iccc": known[0],
		"com.docker.network.bridge.Enable_ICC":  known[0],
		"com.docker.networks.bridge.name":       known[1],
		"enable_icc":                            known[0],
		"mtu":                                   known[2],
		"com.docker.network.bridge.mtu":         known[2],
		"com.docker.network.mtu":                known[2],
		"com.docker.network.driver.enable_icc":  known[0],
		"com.example.enable_ic":                 known[0],
		"com.docker.network.bridge.mtr":         "",
		"com.docker.network.bridge.foo":         "",
		"parent":                                "",
		"":                                      "",
		strings.Repeat("x", 1<<20):              "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest to %.50q is %q, want %q", name, got, want)
		}
	}
	for pair, want := range map[[2]string]int{{"", ""}: 0, {"a", ""}: 1, {"", "ab"}: 2, {"kitten", "sitting"}: 3, {"AB", "ab"}: 0} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("distance of %q is %d, want %d", pair, got, want)
		}
	}
	if got := sortedKeys(map[string]any{"b": 1, "a": 2}); !slices.Equal(got, slices.Sorted(maps.Keys(map[string]int{"a": 0, "b": 0}))) {
		t.Errorf("keys are %v", got)
	}
}
