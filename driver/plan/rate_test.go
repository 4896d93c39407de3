package plan

import (
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestShaper: rates become token buckets that hold a frame and a queue; where nothing is bounded,
// and outside of a container, there is no object, and a pair names an ifb only for what it
// sends.
func TestShaper(t *testing.T) {
	rate := func(text string) config.Rate {
		r, err := config.ParseRate(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		in, out, ownIn, ownOut string
		mtu                    int
		want                   spec.Shaper
	}{
		{},
		{in: "100mbit", want: spec.Shaper{In: spec.Shape{Rate: 12_500_000, Burst: 125_000, Queue: 1_250_000}}},
		{in: "100mbit", ownIn: "none"},
		{out: "8kbit", want: spec.Shaper{Out: spec.Shape{Rate: 1000, Burst: 16 << 10, Queue: 64 << 10}}},
		{out: "1mbit/100", want: spec.Shaper{Out: spec.Shape{Rate: 125_000, Burst: 1518, Queue: 64 << 10}}},
		{out: "1mbit", mtu: 65535, want: spec.Shaper{Out: spec.Shape{Rate: 125_000, Burst: 65553, Queue: 65553}}},
		{in: "1mbit", ownIn: "1tbit/1gb", ownOut: "1gbit/1mb", want: spec.Shaper{
			In: spec.Shape{Rate: 125e9, Burst: 1 << 30, Queue: 1 << 31}, Out: spec.Shape{Rate: 125e6, Burst: 1 << 20, Queue: 12_500_000}}},
	} {
		n := &model.Network{ID: "n", Options: config.Network{RateIn: rate(c.in), RateOut: rate(c.out), MTU: c.mtu}}
		e := &model.Endpoint{ID: "0123456789abcdef", NetworkID: "n", Sandbox: "box", Options: config.Endpoint{RateIn: rate(c.ownIn), RateOut: rate(c.ownOut)}}
		bounded := c.want != spec.Shaper{}
		want := c.want
		if bounded {
			want.EndpointID, want.Host, want.Ifb = e.ID, "gv-0123456789ab", "gi-0123456789ab"
		}
		if got, is := Shaper(n, e); got != want || is != bounded {
			t.Errorf("%+v: %+v, %t", c, got, is)
		}
		if got := Veth(n, e, 0).Ifb; (got != "") != (want.Out.Rate > 0) {
			t.Errorf("%+v: the pair names %q", c, got)
		}
		e.Sandbox = ""
		if got, is := Shaper(n, e); is || Veth(n, e, 0).Ifb != "" {
			t.Errorf("%+v, in no container: %+v", c, got)
		}
	}
}
