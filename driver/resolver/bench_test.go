package resolver

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// BenchmarkQuestion is the time from a container's question to the answer, by one connection
// of TCP, as the number of datagrams is bounded: of the server itself, of a name whose
// addresses are open already, and of one whose addresses have to be opened each time.
func BenchmarkQuestion(b *testing.B) {
	w := newTown(b)
	ask := func(b *testing.B, server string, name func(i int) string) {
		err := w.rooms["2"].do(func() error {
			conn, err := net.Dial("tcp", server)
			if err != nil {
				return err
			}
			defer conn.Close()
			by := &dns.Conn{Conn: conn}
			for i := 0; b.Loop(); i++ {
				q := questionFor(name(i), dns.TypeA)
				_ = conn.SetDeadline(time.Now().Add(4 * time.Second))
				if err = by.WriteMsg(q); err != nil {
					return err
				}
				m, err := by.ReadMsg()
				if err != nil || len(m.Answer) == 0 {
					return fmt.Errorf("%v: %w", m, err)
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("server", func(b *testing.B) { ask(b, "192.0.2.2:53", func(int) string { return "n1.wild.example" }) })
	w.police(false, townBindings(townPolicy))
	b.Run("open", func(b *testing.B) { ask(b, "8.8.8.8:53", func(int) string { return "n1.wild.example" }) })
	b.Run("opened", func(b *testing.B) {
		// Each name of these has an address of its own, and all of them together are more
		// than stay open.
		ask(b, "8.8.8.8:53", func(i int) string { return fmt.Sprintf("m%d.many.wild.example", i%2000) })
	})
}
