package hostport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

func many(n int, ask func(port uint16) spec.PortRequest) []spec.PortRequest {
	want := make([]spec.PortRequest, n)
	for i := range want {
		want[i] = ask(uint16(10000 + i))
	}
	return want
}

func nat4(p uint16) spec.PortRequest    { return ask(p, p, p+20000, any4) }
func relayed(p uint16) spec.PortRequest { return only4(ask(p, p, p+20000, any6)) }
func dual(p uint16) spec.PortRequest    { return only4(ask(p, p, p+20000, any4, any6)) }

func TestNothingLeaks(t *testing.T) {
	m := manager(t)
	// The first relay starts the poller, which stays until Close.
	reserve(t, m, ownerA, relayed(9000))
	m.Trim(portsOf(ownerA, nil))
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 3 {
		reserve(t, m, ownerA, append(many(500, dual), only4(udpAsk(5300, 53, any6)))...)
		serve := func(t *testing.T) {
			serveTCP(t, cont4, 30000, echoTCP)
			serveUDP(t, cont4, 53)
			if got := exchange(t, "[::1]:10000", "x"); got != "x" {
				t.Errorf("got %q", got)
			}
			ping(t, dialUDPFrom(t, "", "[::1]:5300"), "x")
			hanging := dialTCP(t, "[::1]:10000")
			_, _ = hanging.Write([]byte("x"))
			_, _ = hanging.Read(make([]byte, 1))
		}
		t.Run("traffic", serve)
		m.Trim(portsOf(ownerA, nil))
	}
	wantSame(t, m, map[key]string{})
	// Pipes for splice are pooled, and go with a garbage collection.
	eventually(t, "goroutines and files as before", func() bool {
		runtime.GC()
		return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
	})
	if handlers(m) != 0 || held(m) != 0 || relayFiles(m) != 0 {
		t.Errorf("left: %d handlers, %d sockets, %d files", handlers(m), held(m), relayFiles(m))
	}
}

func handlers(m *Manager) int {
	m.relays.poll.mu.Lock()
	defer m.relays.poll.mu.Unlock()
	return len(m.relays.poll.handlers)
}

func TestTenThousandPorts(t *testing.T) {
	m := manager(t)
	if m.fds.l.files < 10000+m.fds.l.headroom {
		t.Fatalf("the hard limit of open files, %d, is too low for this test", m.fds.l.files)
	}
	goroutines := runtime.NumGoroutine()
	for name, ask := range map[string]func(uint16) spec.PortRequest{"nat": nat4, "relayed": relayed} {
		runs := reserve(t, m, ownerA, many(10000, ask)...)
		if len(runs) != 1 || runs[0].Len() != 10000 {
			t.Errorf("%s: got %v", name, runs)
		}
		if n := runtime.NumGoroutine() - goroutines; n > 2 {
			t.Errorf("%s: %d goroutines more", name, n)
		}
		if name == "relayed" {
			serveTCP(t, cont4, 39999, echoTCP)
			if got := exchange(t, "[::1]:19999", "last"); got != "last" {
				t.Errorf("got %q", got)
			}
		}
		m.Trim(portsOf(ownerA, nil))
	}
}

func TestFileLimit(t *testing.T) {
	m := managerWith(t, func(l *limits) { l.files = l.headroom + 100 })
	reserve(t, m, ownerA, many(80, dual)...)
	before := snapshot(m)
	_, err := m.Reserve(context.Background(), ownerB, []spec.PortRequest{ask(7000, 7000, 80, any4)})
	if err != nil {
		t.Error(err)
	}
	m.Trim(portsOf(ownerB, nil))
	_, err = m.Reserve(context.Background(), ownerB, many(80, func(p uint16) spec.PortRequest { return dual(p + 5000) }))
	if !errors.Is(err, unix.EMFILE) {
		t.Fatalf("error is %v", err)
	}
	for _, part := range []string{"80 more host port sockets", "limit of 356 open files", "that makes 416", "RLIMIT_NOFILE"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	wantSame(t, m, before)
}

// The kernel's own limit, met on the way, undoes everything too.
func TestKernelFileLimit(t *testing.T) {
	m := manager(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: uint64(openFiles(t) + 50), Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, err := m.Reserve(context.Background(), ownerA, many(100, nat4))
	if err2 := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err2 != nil {
		t.Fatal(err2)
	}
	if !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), "raise RLIMIT_NOFILE") {
		t.Errorf("error is %v", err)
	}
	wantSame(t, m, map[key]string{})
}

// The kernel has room for many open files before the first is opened.
func TestNewWidensFileTable(t *testing.T) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	New(quiet(), anyLink{})
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "FDSize:")
	size, err := strconv.Atoi(strings.Fields(rest)[0])
	if want := min(int(l.Cur), tableSize); err != nil || size < want {
		t.Errorf("room for %d open files, %v, want %d", size, err, want)
	}
}

func TestNewRaisesFileLimit(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) }()
	low := unix.Rlimit{Cur: old.Max / 2, Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	m := New(quiet(), anyLink{})
	defer m.Close()
	// Beyond the hard limit only with CAP_SYS_RESOURCE.
	if got := m.fds.l.files; got != int(old.Max) && got != maxFiles {
		t.Errorf("limit is %d, want %d or %d", got, old.Max, maxFiles)
	}
}

// available is the machine's memory that is left, in KiB.
func available(b *testing.B) (kib int) {
	b.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d", &kib); err == nil {
			return kib
		}
	}
	b.Fatal("no MemAvailable in /proc/meminfo")
	return 0
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// BenchmarkReserve reserves and releases n ports. heap-B/port is what
// a held port costs the process, all-B/port what it costs the machine (roughly:
// others use memory meanwhile, so look at it for many ports only).
func BenchmarkReserve(b *testing.B) {
	kinds := []struct {
		name string
		ask  func(uint16) spec.PortRequest
	}{
		{"nat", nat4}, {"relayed", relayed}, {"dual", dual},
		{"ephemeral", func(p uint16) spec.PortRequest { return ask(0, 0, p, netip.IPv4Unspecified()) }},
	}
	for _, kind := range kinds {
		for _, n := range []int{1, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) {
				m := manager(b)
				want := many(n, kind.ask)
				// The first time leaves the poller behind.
				reserve(b, m, ownerA, want[0])
				m.Trim(portsOf(ownerA, nil))
				heapBefore, availableBefore := heap(), available(b)
				reserve(b, m, ownerA, want...)
				heapBytes, allBytes := int64(heap()-heapBefore), 1024*(availableBefore-available(b))
				m.Trim(portsOf(ownerA, nil))
				for b.Loop() {
					reserve(b, m, ownerA, want...)
					m.Trim(portsOf(ownerA, nil))
				}
				b.ReportMetric(float64(heapBytes)/float64(n), "heap-B/port")
				b.ReportMetric(float64(allBytes)/float64(n), "all-B/port")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/port")
			})
		}
	}
}

// A long list, which is opened by several threads, is all or nothing as a short
// one is: a port in its middle that is not free leaves nothing behind, and none
// of its ports is opened twice.
func TestLongListIsAllOrNothing(t *testing.T) {
	m := manager(t)
	const n = 40 * perThread
	fd, err := m.relays.filters.bind(binding{key: key{any4, 10000 + n/2, spec.TCP}})
	if err != nil {
		t.Fatal(err)
	}
	sockets := openSockets(t)
	for _, want := range [][]spec.PortRequest{many(n, nat4), many(n, dual)} {
		_, err = m.Reserve(context.Background(), ownerA, want)
		busy := (*ConflictError)(nil)
		if !errors.As(err, &busy) || busy.Port != 10000+n/2 {
			t.Fatalf("error is %v", err)
		}
		if now := openSockets(t); now != sockets || held(m) != 0 {
			t.Errorf("%d sockets are open, were %d; %d are counted", now, sockets, held(m))
		}
	}
	_ = unix.Close(fd)
	for range 2 { // the second finds all of them held
		reserve(t, m, ownerA, many(n, dual)...)
		if now := openSockets(t); now != sockets-1+n || held(m) != n {
			t.Errorf("%d sockets more are open, %d are counted, want %d", now-sockets+1, held(m), n)
		}
	}
	m.Trim(portsOf(ownerA, nil))
	if now := openSockets(t); now != sockets-1 || held(m) != 0 {
		t.Errorf("%d sockets more are open, %d are counted", now-sockets+1, held(m))
	}
}

// What a long list asks for twice, at all addresses and at one of them, is in its
// own way, wherever it stands and whichever of the two a thread has opened first.
func TestLongListInItsOwnWay(t *testing.T) {
	m := manager(t)
	const n = 2 * perThread
	for port := uint16(10000); port < 10000+n; port++ {
		want := append(many(n, dual), only4(ask(port, port, 80, loopback4)))
		_, err := m.Reserve(context.Background(), ownerA, want)
		busy := (*ConflictError)(nil)
		if !errors.As(err, &busy) || busy.Owner != ownerA || busy.Port != port || held(m) != 0 {
			t.Errorf("port %d twice: error is %v, %d sockets are counted", port, err, held(m))
		}
	}
}
