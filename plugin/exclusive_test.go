package plugin

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/gangway-net/gangway/driver"
)

// creations are the networks that were asked for.
type creations struct {
	*recorder
	mu  sync.Mutex
	all []driver.CreateNetworkRequest
}

func (c *creations) CreateNetwork(ctx context.Context, r driver.CreateNetworkRequest) error {
	c.mu.Lock()
	c.all = append(c.all, r)
	c.mu.Unlock()
	return c.recorder.CreateNetwork(ctx, r)
}

// TestExclusive: the driver learns of which pools no other network can be.
func TestExclusive(t *testing.T) {
	c := &creations{recorder: &recorder{}}
	d := ready(t, func(o *Options) { o.Networks = c })
	data := func(space, subnet string) string { return fmt.Sprintf(`{"AddressSpace":%q,"Pool":%q}`, space, subnet) }
	for _, q := range []struct {
		v4, v6 string
		want   bool
	}{
		{data("LocalDefault", "10.0.0.0/24"), "", true},
		{data("LocalDefault", held.String()), "", true}, // is another manager's
		{data("gangway-local", "10.0.0.0/24"), "", true},
		{data("gangway-local", held.String()), "", false},
		{data("gangway-local", held.String()), data("gangway-local", "fd00::/64"), false},
		{data("gangway-local", "10.0.0.0/24"), data("gangway-local", "fd00::/64"), true},
		{data("gangway-global", "10.0.0.0/24"), "", false},
		{data("GlobalDefault", "10.0.0.0/24"), "", false},
		{data("somebody-elses", "10.0.0.0/24"), "", false},
		{data("", "10.0.0.0/24"), "", false},
	} {
		body := fmt.Sprintf(`{"NetworkID":"n1","Options":{},"IPv4Data":[%s],"IPv6Data":[%s]}`, q.v4, q.v6)
		if status, text := d.call(t, "NetworkDriver.CreateNetwork", body); status != 200 {
			t.Fatalf("%s: %d %s", body, status, text)
		}
		if got := c.all[len(c.all)-1]; got.Exclusive != q.want || got.IPv4[0].Space == "" && q.want {
			t.Errorf("%s: %+v, want exclusive %t", body, got, q.want)
		}
	}
}
