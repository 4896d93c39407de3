package main

import (
	"strings"
	"testing"
)

// TestLoadSettings: a mistake in the environment is answered on the socket that is set,
// one on the command line, or about the socket itself, ends the command.
func TestLoadSettings(t *testing.T) {
	tests := []struct {
		name   string
		flags  map[string]string
		env    []string
		socket string
		answer bool
		bad    string
		format string
	}{
		{name: "right", env: []string{"GANGWAY_SOCKET=/run/a.sock"}, socket: "/run/a.sock"},
		{name: "value", env: []string{"GANGWAY_SOCKET=/run/a.sock", "GANGWAY_LOG_LEVEL=verbose"}, socket: "/run/a.sock", answer: true, bad: "GANGWAY_LOG_LEVEL"},
		{name: "name", env: []string{"GANGWAY_POOL=10.0.0.0/8:24"}, socket: "/run/docker/plugins/gangway.sock", answer: true, bad: "GANGWAY_POOL"},
		{name: "value, socket as a flag", flags: map[string]string{"socket": "/run/b.sock"}, env: []string{"GANGWAY_FIREWALL=ipfw"}, socket: "/run/b.sock", answer: true, bad: "GANGWAY_FIREWALL"},
		{name: "flag", flags: map[string]string{"log-level": "verbose"}, bad: "--log-level"},
		{name: "flag and value", flags: map[string]string{"log-level": "verbose"}, env: []string{"GANGWAY_FIREWALL=ipfw"}, bad: "GANGWAY_FIREWALL"},
		{name: "format stays", env: []string{"GANGWAY_LOG_FORMAT=json", "GANGWAY_METRICS=9323"}, socket: "/run/docker/plugins/gangway.sock", answer: true, bad: "GANGWAY_METRICS", format: "json"},
		{name: "format", env: []string{"GANGWAY_LOG_FORMAT=logfmt", "GANGWAY_SOCKET=/run/a.sock"}, socket: "/run/a.sock", answer: true, bad: "GANGWAY_LOG_FORMAT"},
		{name: "socket", env: []string{"GANGWAY_SOCKET=a.sock"}, bad: "GANGWAY_SOCKET"},
	}
	for _, tt := range tests {
		if tt.format == "" && tt.socket != "" {
			tt.format = "text"
		}
		s, answer, err := loadSettings(tt.flags, tt.env)
		if answer != tt.answer || s.LogFormat != tt.format || s.Socket != tt.socket || (err == nil) != (tt.bad == "") || err != nil && !strings.Contains(err.Error(), tt.bad) {
			t.Errorf("%s: format %q, socket %q, answer %t, %v", tt.name, s.LogFormat, s.Socket, answer, err)
		}
	}
}
