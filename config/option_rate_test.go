package config

import (
	"strings"
	"testing"
)

// TestRates: units are those of tc, whatever their case.
func TestRates(t *testing.T) {
	for text, want := range map[string]Rate{
		"": {}, "none": {None: true}, "8000": {Bytes: 1000}, "100mbit": {Bytes: 12_500_000}, "100Mbit": {Bytes: 12_500_000}, "1.5gbit": {Bytes: 187_500_000},
		"8kbit": {Bytes: 1000}, "1mibit": {Bytes: 131_072}, "1000bps": {Bytes: 1000}, "2mbps": {Bytes: 2_000_000}, "1kibps": {Bytes: 1024}, "1tbit": {Bytes: 125_000_000_000},
		"100mbit/1mb": {Bytes: 12_500_000, Burst: 1 << 20}, "100mbit/64k": {Bytes: 12_500_000, Burst: 64 << 10}, "100mbit/2000": {Bytes: 12_500_000, Burst: 2000},
		"100mbit/80kbit": {Bytes: 12_500_000, Burst: 10 << 10},
	} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		"fast": "is no rate:", "100mb": "is no rate:", "mbit": "is no rate:", "-1mbit": "is no rate:", "1e9": "is no rate:", "nan": "is no rate:", "infmbit": "is no rate:", "1 mbit": "is no rate:",
		"0": "cannot be kept", "7kbit": "cannot", "2tbit": "can be kept", "1mbit/": "burst that is no size", "1mbit/x": "burst that is no size", "1mbit/0": "burst that is no size",
		"100gbit/2gb": "too large a burst", "8kbit/100kb": "too large a burst", "1mbit/1mb/1": "burst that is no size", "None": "is no rate", "1__0mbit": "is no rate",
	} {
		if got, err := ParseRate(text); err == nil || got != (Rate{}) || !strings.Contains(err.Error(), strings.TrimPrefix(why, "cannot")) && !strings.Contains(err.Error(), "can be kept") {
			t.Errorf("%q: %+v, %v, want %s", text, got, err, why)
		}
	}
}

// TestRateOfOne: what is said for a container goes before what its network says, none as well.
func TestRateOfOne(t *testing.T) {
	network, own := Rate{Bytes: 1000}, Rate{Bytes: 2000}
	for _, c := range []struct{ own, want Rate }{{Rate{}, network}, {own, own}, {Rate{None: true}, Rate{None: true}}} {
		if got := c.own.Of(network); got != c.want {
			t.Errorf("%+v on a network of %+v: %+v", c.own, network, got)
		}
	}
}
