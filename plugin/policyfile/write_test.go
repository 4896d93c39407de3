package policyfile

import (
	"testing"

	"github.com/gangway-net/gangway/config"
)

// TestWrite: what is written is read as the same.
func TestWrite(t *testing.T) {
	for _, p := range []config.Policy{
		{Egress: "deny"},
		{Egress: "deny", Allow: "*.example,10.0.0.1:80/tcp,[2001:db8::7]:443,network:db:5432/tcp", Deny: "*.b.example", Ingress: "443=any,80/tcp=network:app", Host: "53,8080-8090/tcp", Mode: "audit"},
		{Egress: "open", Allow: "none", Ingress: "none", Host: "53"},
		{Ingress: "any", Host: "any", Allow: "[2001:db8::7]:443"},
	} {
		text := Write("web", p, "learned of somebody", "second line")
		all, err := Parse("f", text)
		want := p
		if want.Allow == "none" {
			want.Allow = "" // a list of nothing is left out
		}
		if err != nil || len(all) != 1 || all[0].Name != "web" || all[0].Policy != want {
			t.Errorf("%s\nis read as %+v (%v), want %+v", text, all, err, want)
		}
	}
	for called, want := range map[string]string{"shop-web_1": "shop-web_1", "_a b": "a-b", "": "learned", "...": "learned"} {
		if got := NameFor(called); got != want {
			t.Errorf("%q is called %q, want %q", called, got, want)
		}
	}
}
