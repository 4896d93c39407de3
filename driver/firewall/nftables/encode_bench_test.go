package nftables

import (
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// BenchmarkEncode makes the messages that publish 10 000 ports, without a kernel: of
// single ports, and of as many ports that a run cannot be an interval for.
func BenchmarkEncode(b *testing.B) {
	several := firewall.Ruleset{}
	for i := range 10000 {
		several.Ports = append(several.Ports, published("a", "1", spec.TCP, "192.0.2.1", uint16(1024+i), uint16(1024+i), "10.200.0.2", 80))
	}
	shifted := firewall.Ruleset{Ports: []firewall.Port{published("a", "9", spec.UDP, "0.0.0.0", 10000, 19999, "10.200.0.9", 20000)}}
	for _, c := range []struct {
		name  string
		ports firewall.Ruleset
	}{{"single", several}, {"shifted", shifted}} {
		b.Run(c.name+"=10000", func(b *testing.B) {
			all, w := sets(table(tableName)), &wire{}
			b.ReportAllocs()
			for b.Loop() {
				known := contents{}
				batch, err := w.compose(tableName, 0, known.transaction(known.delta(firewall.Delta{Add: c.ports})).writer(all))
				if err != nil || len(batch) < 40 {
					b.Fatal(len(batch), err)
				}
			}
		})
	}
}
