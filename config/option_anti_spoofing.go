package config

import "fmt"

func antiSpoofingOption() []Option {
	return []Option{{
		Name: "gangway.anti_spoofing", was: "com.docker.network.bridge.anti_spoofing", Where: ForNetwork, Values: "auto, true or false", Default: "auto", Since: first,
		Choices: append([]string{"auto"}, booleans()...),
		Help:    "keep containers from using addresses of the network that are not theirs, and from posing as routers; auto does so if the host's kernel can",
		network: func(n *Network, v string) (err error) { n.AntiSpoofing, err = antiSpoofing(v); return err },
		filter: func(n Network) string {
			if n.AntiSpoofing != SpoofingRefused {
				return ""
			}
			return "what containers send"
		},
	}}
}

// AntiSpoofing says whether containers are kept from claiming addresses of their
// network that are not theirs.
type AntiSpoofing string

// The zero value is what a network has whose user did not say.
const (
	// SpoofingAuto keeps them from it where the host's kernel can.
	SpoofingAuto AntiSpoofing = ""
	// SpoofingRefused does so, and there is no such network where it cannot.
	SpoofingRefused AntiSpoofing = "refused"
	// SpoofingAllowed lets containers send what they like.
	SpoofingAllowed AntiSpoofing = "allowed"
)

func antiSpoofing(v string) (AntiSpoofing, error) {
	if v == "auto" {
		return SpoofingAuto, nil
	}
	on, err := boolean(v)
	switch {
	case err != nil:
		return "", fmt.Errorf("is none of auto, true and false")
	case on:
		return SpoofingRefused, nil
	}
	return SpoofingAllowed, nil
}
