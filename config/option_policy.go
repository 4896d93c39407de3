package config

import "fmt"

// policyModeOptions say how a network's policy is kept.
func policyModeOptions() []Option {
	mode := policyOption("gangway.mode", "enforce or audit",
		"what becomes of that which the policy refuses; audit lets it pass, counted and told as what would have been refused; enforce if nothing is said",
		func(v string) (string, error) { return word(v, Modes()) }, func(p *Policy) *string { return &p.Mode })
	mode.Choices = Modes()
	return []Option{mode, {
		Name: "gangway.lock", Where: ForNetwork, Values: "true or false", Default: "false", Choices: booleans(), Since: first,
		Help:    "refuse containers that bring a policy of their own",
		network: func(n *Network, v string) (err error) { n.Lock, err = boolean(v); return err },
	}}
}

// policySettings are what counts for networks that say nothing themselves.
func policySettings() []Setting {
	return []Setting{
		{
			Flag: "default-egress", Env: "GANGWAY_DEFAULT_EGRESS", Default: EgressOpen,
			Help: "gangway.egress of networks without it (open, internet, deny)",
			set:  func(s *Settings, v string) (err error) { s.Policy.Egress, err = egressWord(v); return valued(v, err) },
		},
		{
			Flag: "default-ingress", Env: "GANGWAY_DEFAULT_INGRESS", Default: Any,
			Help: "gangway.ingress of networks without it",
			set:  func(s *Settings, v string) (err error) { s.Policy.Ingress, err = ingressList(v); return valued(v, err) },
		},
		{
			Flag: "default-host", Env: "GANGWAY_DEFAULT_HOST", Default: "auto",
			Help: "gangway.host of networks without it; auto is any where egress is open, else dns",
			set: func(s *Settings, v string) (err error) {
				if s.Policy.Host = ""; v != "auto" {
					s.Policy.Host, err = hostAccessList(v)
				}
				return valued(v, err)
			},
		},
	}
}

// valued names the value that an error is about.
func valued(v string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%q %w", v, err)
}
