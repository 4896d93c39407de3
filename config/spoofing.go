package config

import "fmt"

// AntiSpoofing says whether containers are kept from claiming addresses of their
// network that are not theirs.
type AntiSpoofing string

// The zero value is what a network has whose user did not say, those that were
// stored before there was the option included.
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

// Unguarded refuses what needs a filter at the bridge's ports, on a host whose
// kernel has none; reason says why.
func (n Network) Unguarded(reason string) error {
	switch {
	case n.AntiSpoofing == SpoofingRefused:
		return fmt.Errorf("network option %s: this host cannot filter what containers send: %s; load the kernel modules sch_ingress and cls_bpf, or leave the option out", optionSpoofing, reason)
	case !n.ICC:
		return fmt.Errorf("network option %s: this host cannot filter what containers send each other: %s; load the kernel modules sch_ingress and cls_bpf, or leave the option out", optionICC, reason)
	}
	return nil
}
