package driver

import (
	"context"
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
)

// costless has no rules.
type costless struct{ firewall.Backend }

func (costless) Apply(context.Context, firewall.Delta) error { return nil }

// BenchmarkLife is what the driver itself costs in a container's life, with a host that costs
// little, beside 1000 endpoints. The engine's calls are those of docker run --rm -p.
func BenchmarkLife(b *testing.B) {
	for _, ports := range []int{1, 100} {
		b.Run(fmt.Sprint(ports, " ports"), func(b *testing.B) {
			f := newFakeHost()
			d := newTestDriver(b, f, "boot", func(o *Options) { o.Firewall = costless{f} })
			ctx := b.Context()
			if err := d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/16", "10.0.0.1")); err != nil {
				b.Fatal(err)
			}
			for i := range 1000 {
				id, addr := fmt.Sprintf("%016d", i), fmt.Sprintf("10.0.%d.%d/16", 1+i/250, 1+i%250)
				if _, err := d.CreateEndpoint(ctx, endpointRequest(netA, id, addr)); err != nil {
					b.Fatal(err)
				}
				if _, err := d.Join(ctx, netA, id, "/s/"+id, nil); err != nil {
					b.Fatal(err)
				}
			}
			var pairs []float64
			for p := range ports {
				pairs = append(pairs, float64(1024+2*p), float64(80+p))
			}
			b.ResetTimer()
			for b.Loop() {
				_, created := d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.200.2/16"))
				_, joined := d.Join(ctx, netA, ep1, "/s/x", nil)
				for _, err := range []error{
					created, joined, d.Publish(ctx, netA, ep1, portmap(pairs...)), d.Unpublish(ctx, netA, ep1), d.Leave(ctx, netA, ep1), d.DeleteEndpoint(ctx, netA, ep1),
				} {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
