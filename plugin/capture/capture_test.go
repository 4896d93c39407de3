package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// pair makes a veth pair: host is the end that is captured on, inside what a container has.
func pair(t *testing.T, host, inside string) (hostEnd, insideEnd *sender) {
	t.Helper()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: host}, PeerName: inside}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(host); err == nil {
			_ = netlink.LinkDel(l)
		}
	})
	var ends [2]*sender
	for i, name := range []string{host, inside} {
		// The kernel's own packets would be counted: it greets with IPv6.
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6"), []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		ends[i] = &sender{index: l.Attrs().Index}
	}
	for _, name := range []string{host, inside} {
		testkit.Eventually(t, name+" is up", func() bool {
			l, err := netlink.LinkByName(name)
			return err == nil && l.Attrs().OperState == netlink.OperUp
		})
	}
	return ends[0], ends[1]
}

// sender sends frames by one link.
type sender struct{ index int }

func (s *sender) send(t *testing.T, frame []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: s.index}); err != nil {
		t.Fatal(err)
	}
}

// frameOf is a frame of an experimental type, with a payload of n bytes.
func frameOf(n int, text string) []byte {
	f := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, text...)
	return append(f, make([]byte, n-len(text))...)
}

// run captures in the background; done has the result.
func run(ctx context.Context, t *testing.T, w io.Writer, o Options) (done chan Result) {
	t.Helper()
	done = make(chan Result, 1)
	listening := make(chan struct{})
	o.Listening = func() { close(listening) }
	failed := make(chan error, 1)
	go func() {
		r, err := Run(ctx, w, o)
		if err != nil {
			failed <- err
			t.Errorf("capture: %v", err)
		}
		done <- r
	}()
	select {
	case <-listening:
	case err := <-failed:
		t.Fatal(err)
	}
	return done
}

func link(host, name string) Link {
	return Link{Host: host, Name: name, Description: "container web, network front"}
}

// fields has tshark say these fields of each packet.
func fields(t *testing.T, file string, names ...string) []string {
	t.Helper()
	args := []string{"-n", "-r", file, "-T", "fields", "-E", "separator=,"}
	for _, n := range names {
		args = append(args, "-e", n)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, stderr.String())
	}
	return strings.Fields(string(out))
}

func output(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "web.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestCapture: tcpdump and tshark read what was captured: each packet once, with its
// direction as the container sees it, its length, its bytes, and its VLAN tag; the interface
// with the names; and what was cut off.
func TestCapture(t *testing.T) {
	testkit.Need(t, "tshark", "tcpdump")
	host, inside := pair(t, "gvtest", "eth9")
	f := output(t)
	done := run(t.Context(), t, f, Options{Links: []Link{link("gvtest", "eth0")}, Count: 4, Snaplen: 200, Application: "gangway test"})
	before := time.Now().Add(-time.Minute)
	inside.send(t, frameOf(50, "request"))
	host.send(t, frameOf(60, "answer"))
	inside.send(t, frameOf(1000, "long"))
	tagged := frameOf(46, "tagged")
	tagged = slices.Insert(tagged, 12, 0x81, 0x00, 0x20, 0x07) // VLAN 7, priority 1
	inside.send(t, tagged)
	r := <-done
	if r.Packets != 4 || r.Dropped != 0 || r.Gone {
		t.Errorf("result %+v", r)
	}
	got := fields(t, f.Name(), "frame.packet_flags_direction", "frame.len", "frame.cap_len", "frame.interface_name", "vlan.id")
	want := []string{
		"0x00000002,64,64,eth0,", "0x00000001,74,74,eth0,",
		"0x00000002,1014,200,eth0,", "0x00000002,64,64,eth0,7",
	}
	if !slices.Equal(got, want) {
		t.Errorf("tshark reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, stamp := range fields(t, f.Name(), "frame.time_epoch") {
		seconds, err := strconv.ParseFloat(stamp, 64)
		if err != nil || seconds < float64(before.Unix()) || seconds > float64(time.Now().Add(time.Minute).Unix()) {
			t.Errorf("time of a packet: %s", stamp)
		}
	}
	// Newer ones of tshark put the words of a text with a comma into quotes.
	about := fields(t, f.Name(), "frame.interface_description")
	words := strings.FieldsFunc(strings.Join(about, " "), func(r rune) bool { return strings.ContainsRune(` ",\`, r) })
	if !strings.Contains(strings.Join(words, " "), "container web network front") {
		t.Errorf("interface description %q", about)
	}
	out, err := exec.CommandContext(t.Context(), "tcpdump", "-nxxr", f.Name()).CombinedOutput()
	if err != nil || strings.Count(string(out), "ethertype Unknown (0x88b5)") != 4 {
		t.Errorf("tcpdump: %v\n%s", err, out)
	}
	if want := "0x0000:  0200 0000 0001 0200 0000 0002 8100 2007\n\t0x0010:  88b5 7461 6767 6564"; !strings.Contains(string(out), want) {
		t.Errorf("the packet with a VLAN tag is not as it was sent:\n%s", out)
	}
}

// TestTwoNetworks: a container's interfaces stand in one file.
func TestTwoNetworks(t *testing.T) {
	testkit.Need(t, "tshark")
	_, first := pair(t, "gvtest1", "eth8")
	second, _ := pair(t, "gvtest2", "eth9")
	f := output(t)
	ctx, stop := context.WithCancel(t.Context())
	done := run(ctx, t, f, Options{Links: []Link{link("gvtest1", "eth0"), link("gvtest2", "eth1")}})
	first.send(t, frameOf(50, ""))
	second.send(t, frameOf(50, ""))
	// What was sent before the end is in the file: no wait is needed.
	stop()
	if r := <-done; r.Packets != 2 || r.Gone {
		t.Errorf("result %+v", r)
	}
	got := fields(t, f.Name(), "frame.interface_name", "frame.packet_flags_direction")
	slices.Sort(got)
	if want := []string{"eth0,0x00000002", "eth1,0x00000001"}; !slices.Equal(got, want) {
		t.Errorf("tshark reads %q, want %q", got, want)
	}
}

// TestGone: the capture ends with the last of the links, and has what came before, though a
// link was down in between.
func TestGone(t *testing.T) {
	_, inside := pair(t, "gvtest1", "eth8")
	pair(t, "gvtest2", "eth9")
	var out bytes.Buffer
	done := run(t.Context(), t, &out, Options{Links: []Link{link("gvtest1", "eth0"), link("gvtest2", "eth1")}})
	inside.send(t, frameOf(50, ""))
	for i, name := range []string{"gvtest2", "gvtest1"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(netlink.LinkSetDown(l), netlink.LinkDel(l)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			select {
			case r := <-done:
				t.Fatalf("ended with one link of two: %+v", r)
			default:
			}
		}
	}
	if r := <-done; !r.Gone || r.Packets != 1 {
		t.Errorf("result %+v", r)
	}
}

// TestClosedPipe: a reader that has gone ends the capture, with packets and without.
func TestClosedPipe(t *testing.T) {
	_, inside := pair(t, "gvtest", "eth9")
	for _, packets := range []int{0, 1} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		done := run(t.Context(), t, w, Options{Links: []Link{link("gvtest", "eth0")}})
		_ = r.Close()
		for range packets {
			inside.send(t, frameOf(50, ""))
		}
		<-done
		_ = w.Close()
	}
}

// TestStatistics: what the kernel had no room for is counted, in the result and in the file.
func TestStatistics(t *testing.T) {
	_, inside := pair(t, "gvtest", "eth9")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	done := run(t.Context(), t, writer, Options{Links: []Link{link("gvtest", "eth0")}})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	frame := frameOf(1400, "")
	sent := uint64(0)
	// More than the pipe, the buffers and the queue hold, which nobody reads.
	for ; sent < 100_000; sent++ {
		if err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: inside.index}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := netlink.LinkByName("gvtest")
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(reader)
		file <- all
	}()
	r := <-done
	_ = writer.Close()
	if r.Dropped == 0 || r.Packets+r.Dropped != sent {
		t.Errorf("%d sent, %d written, %d dropped", sent, r.Packets, r.Dropped)
	}
	all := <-file
	// The last block is that of the statistics: dropped stand in an option of 8 bytes.
	option := []byte{optDropped, 0, 8, 0}
	at := bytes.LastIndex(all, option)
	if at < 0 || at+12 > len(all) || !bytes.Equal(all[at+4:at+12], bytesOf(r.Dropped)) {
		t.Errorf("the file does not end with %d dropped: % x", r.Dropped, all[max(len(all)-100, 0):])
	}
}

func bytesOf(n uint64) (b []byte) {
	for range 8 {
		b, n = append(b, byte(n)), n>>8
	}
	return b
}

// TestNotHere: a link that is not in this namespace, or another one of that name, is an error
// that says so.
func TestNotHere(t *testing.T) {
	pair(t, "gvtest", "eth9")
	for _, l := range []Link{{Host: "gvother", Description: "container web"}, {Host: "gvtest", Index: 1 << 20, Description: "container web"}} {
		_, err := Run(t.Context(), io.Discard, Options{Links: []Link{l}})
		if err == nil || !strings.Contains(err.Error(), "of container web is not here: run it in the network namespace") {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// TestLast: what came before the end and was not read yet is captured as well.
func TestLast(t *testing.T) {
	host, inside := pair(t, "gvtest", "eth9")
	s, err := listen(host.index, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	inside.send(t, frameOf(50, ""))
	s.stop()
	packets := 0
	err = s.receive(func(frame) error { packets++; return nil }, func() error { return nil })
	if err != nil || packets != 1 {
		t.Errorf("%d packets, error %v", packets, err)
	}
}
