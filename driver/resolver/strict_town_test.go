package resolver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/gangway-net/gangway/config"
)

// strictTown is a town whose outside serves TLS at 8443, by UDP too, and HTTP at 8080.
type strictTown struct {
	*town
	mu sync.Mutex
	// served are the names that servers were asked for, with who asked; datagrams is how many
	// came.
	served    []string
	datagrams atomic.Int64
}

var strictPolicy = config.Policy{Egress: "deny", Allow: "*.wild.example:8443,*.wild.example:8080/tcp", Host: "any", Names: "strict"}

func newStrictTown(t *testing.T) *strictTown {
	t.Helper()
	w := &strictTown{town: newTown(t)}
	cert := selfSigned(t)
	err := w.out.do(func() error {
		secure, err := net.Listen("tcp", ":8443")
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = secure.Close() })
		go w.acceptTLS(secure, &tls.Config{Certificates: []tls.Certificate{cert}})
		plain, err := net.Listen("tcp", ":8080")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.serves(r.Host, r.RemoteAddr)
			_, _ = io.WriteString(rw, r.Host)
		})}
		t.Cleanup(func() { _ = server.Close() })
		go func() { _ = server.Serve(plain) }()
		packets, err := net.ListenPacket("udp", ":8443")
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = packets.Close() })
		go w.countPackets(packets)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (w *strictTown) serves(name, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	host, _, _ := net.SplitHostPort(who)
	w.served = append(w.served, name+" for "+host)
}

// acceptTLS greets each client by the name that it has said, and echoes.
func (w *strictTown) acceptTLS(l net.Listener, c *tls.Config) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer raw.Close()
			conn := tls.Server(raw, c)
			if conn.Handshake() != nil {
				w.serves("nobody", raw.RemoteAddr().String())
				return
			}
			w.serves(conn.ConnectionState().ServerName, raw.RemoteAddr().String())
			_, _ = io.Copy(conn, conn)
		}()
	}
}

func (w *strictTown) countPackets(c net.PacketConn) {
	b := make([]byte, 100)
	for {
		if _, _, err := c.ReadFrom(b); err != nil {
			return
		}
		w.datagrams.Add(1)
	}
}

// forget takes what servers were asked for until now, whatever it is.
func (w *strictTown) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.served = nil
}

// wantServed takes what servers were asked for until now.
func (w *strictTown) wantServed(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if fmt.Sprint(w.served) != fmt.Sprint(want) {
		w.t.Errorf("served %q, want %q", w.served, want)
	}
	w.served = nil
}

// slicing cuts what is written first into pieces of TLS records.
type slicing struct {
	net.Conn
	once sync.Once
}

func (s *slicing) Write(b []byte) (n int, err error) {
	s.once.Do(func() {
		n = len(b)
		for rest := b[5:]; len(rest) > 0 && err == nil; {
			size := min(40, len(rest))
			_, err = s.Conn.Write(append([]byte{22, 3, 1, 0, byte(size)}, rest[:size]...))
			rest = rest[size:]
		}
	})
	if n > 0 || err != nil {
		return n, err
	}
	return s.Conn.Write(b)
}

// secure opens a connection from a room that says a name, and has a byte echoed.
func (w *strictTown) secure(room, to, name string, cut bool) (*tls.Conn, error) {
	var conn *tls.Conn
	err := w.rooms[room].do(func() error {
		raw, err := net.DialTimeout("tcp", to, 3*time.Second)
		if err != nil {
			return err
		}
		if cut {
			raw = &slicing{Conn: raw}
		}
		conn = tls.Client(raw, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if err = conn.HandshakeContext(context.Background()); err == nil {
			err = echoed(conn)
		}
		if err != nil {
			_ = conn.Close()
		}
		return err
	})
	return conn, err
}

func echoed(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, err := conn.Write([]byte{1})
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	return err
}

func (w *strictTown) passes(room, to, name string, cut bool) bool {
	conn, err := w.secure(room, to, name, cut)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func (w *strictTown) asks(room, name string) {
	w.t.Helper()
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if m, err := w.ask(room, "udp", "10.1.0.1:53", name, kind); err != nil || m.Rcode != dns.RcodeSuccess {
			w.t.Fatalf("%s: %v (%v)", name, m, err)
		}
	}
}
