package plugin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// TestAnnouncedBodies: what a client says that it will send costs nothing until it does.
func TestAnnouncedBodies(t *testing.T) {
	const connections, few = 60, 4 << 20
	d := ready(t, nil)
	before := allocated()
	for i := range connections {
		c, err := net.Dial("unix", d.sock.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "POST /NetworkDriver.Join HTTP/1.1\r\nHost: gangway\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", maxBody-i); err != nil {
			t.Fatal(err)
		}
		// The server says so when it reads the body, and not before.
		reply := make([]byte, len("HTTP/1.1 100 Continue"))
		if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, reply); err != nil || !strings.Contains(string(reply), "100") {
			t.Fatalf("%q, %v", reply, err)
		}
		if _, err := io.WriteString(c, "{"); err != nil {
			t.Fatal(err)
		}
	}
	if used := allocated() - before; used > few {
		t.Errorf("%d connections that announced %d MiB each cost %d KiB, want at most %d", connections, maxBody>>20, used>>10, few>>10)
	}
}

// TestLargeBody: a body of the largest size is read whole, and costs a small multiple
// of what it is.
func TestLargeBody(t *testing.T) {
	d := ready(t, nil)
	body := `{"NetworkID":"n1","EndpointID":"e1","Unknown":"` + strings.Repeat("x", maxBody-100) + `"}`
	before := allocated()
	if status, answer := d.call(t, "NetworkDriver.Leave", body); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	if used := allocated() - before; used > 8*maxBody {
		t.Errorf("a body of %d MiB costs %d MiB", maxBody>>20, used>>20)
	}
}

// allocated is how much memory was ever allocated, whether or not it is free again.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
