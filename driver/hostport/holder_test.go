package hostport

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestFindInode(t *testing.T) {
	const table = header +
		"   0: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n" +
		"   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1\n" +
		"   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1\n" +
		"   3: 0100007F:0050 0200007F:C350 06 00000000:00000000 00:00000000 00000000     0        0 0 1\n"
	const table6 = header +
		"   0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 21 2\n" +
		"   1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 2\n" +
		"   2: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23 2\n"
	tests := []struct {
		table string
		ip    netip.Addr
		port  uint16
		want  uint64
	}{
		{table, any4, 8080, 12},
		{table, loopback4, 8080, 12},
		{table, netip.MustParseAddr("127.0.0.2"), 8080, 0},
		{table, any6, 8080, 0},
		{table, loopback4, 22, 13},
		{table, any4, 80, 0},
		{table6, any6, 53, 21},
		{table6, any4, 53, 0},
		{table6, loopback4, 8080, 22},
		{table6, any4, 81, 23},
		{table6, host6, 81, 23},
	}
	for _, tt := range tests {
		if got := findInode(strings.NewReader(tt.table), key{tt.ip, tt.port, spec.TCP}); got != tt.want {
			t.Errorf("%s:%d gives inode %d, want %d", tt.ip, tt.port, got, tt.want)
		}
	}
}

// TestHolderName: a process names itself as it likes; the name is shown without what
// a terminal obeys, in one line.
func TestHolderName(t *testing.T) {
	const own = "/proc/self/comm"
	before, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if failed := os.WriteFile(own, before, 0); failed != nil {
			t.Error(failed)
		}
	})
	if err = os.WriteFile(own, []byte("a\x1b[2J\u009b\nb"), 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	want := fmt.Sprintf(`a\x1b[2J\u009b\nb (pid %d)`, os.Getpid())
	if got := findHolder(t.Context(), key{loopback4, port, spec.TCP}); got != want {
		t.Errorf("the holder is %q, want %q", got, want)
	}
}

func FuzzParseSocketLine(f *testing.F) {
	f.Add("   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1")
	f.Add("   0: 00000000000000000000000001000000:0035 00:0000 07 0:0 00:0 0 0 0 21 2")
	f.Add(header)
	f.Fuzz(func(t *testing.T, line string) {
		if local, _, _, ok := parseSocketLine(line); ok && !local.IsValid() {
			t.Errorf("%q gives no address", line)
		}
	})
}
