package reader

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/servername"
)

// serve asks what is known of a connection, and has it passed on or refuses it.
func (s *sockets) serve(conn *net.TCPConn, six bool) {
	f := &flow{client: conn, from: plain(conn.RemoteAddr())}
	local := plain(conn.LocalAddr())
	// Peers that vanished must not keep one of a bounded number of places.
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	var c Client
	known := false
	err := s.came(f, six)
	if err == nil {
		c, known = s.r.o.Whose(f.link, f.from.Addr())
	}
	if err == nil && known {
		f.to, err = s.r.o.Host.Asked(unix.IPPROTO_TCP, f.from, local)
	}
	if err != nil || !known || !c.Policy.Reads() || f.to == local {
		reset(conn)
		return
	}
	if !s.r.enter(f) {
		s.r.refuse(f, c, firewall.Limited, "")
		reset(conn)
		return
	}
	s.r.running.Go(func() {
		defer s.r.leave(f)
		defer func() { _ = conn.Close() }()
		s.r.pass(f, c)
	})
}

// came asks by which link the client has come.
func (s *sockets) came(f *flow, six bool) error {
	raw, err := f.client.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) { f.link, err = s.r.o.Host.Came(int(fd), six) }) //nolint:gosec // a descriptor
	return errors.Join(err, failed)
}

func plain(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// pass reads what a connection says, and passes it on if the policy allows that. What the policy
// allows whatever the name is passed on unread: such a client may wait for the server to begin.
func (r *Reader) pass(f *flow, c Client) {
	var begin []byte
	var proto servername.Protocol
	if !c.Policy.Decide(f.packet(), false) {
		var name string
		var err error
		begin, proto, name, err = r.hello(f.client)
		switch {
		case err != nil && len(begin) == 0 && !errors.Is(err, errSilent):
			f.reset() // it looked whether somebody is there
			return
		case err != nil:
			r.refuse(f, c, firewall.Policy, "("+err.Error()+")")
			sayNo(f.client, proto)
			return
		case !r.mayGo(f, c, name):
			r.refuse(f, c, firewall.Policy, name)
			sayNo(f.client, proto)
			return
		}
		f.says(name)
	}
	server, err := r.dial(f, c)
	if err != nil {
		r.o.Log.WithError(err).Debugf("pass on a connection of %s to %s", f.from, f.to)
		f.reset()
		return
	}
	defer func() { _ = server.Close() }()
	// The policy may have changed since it was asked. From here on a change ends the flow.
	if !f.goesOn(server) || !r.allows(f) {
		f.reset()
		return
	}
	var back sync.WaitGroup
	back.Go(func() { f.forward(f.client, server) })
	if proto == servername.HTTP {
		r.requests(f, begin)
	} else if _, err = server.Write(begin); err != nil {
		f.reset()
	} else {
		f.forward(server, f.client)
	}
	back.Wait()
}

// mayGo says whether the policy allows a name, and whether the client has the address of that
// very name: else it could say any name to anybody who serves many.
func (r *Reader) mayGo(f *flow, c Client, name string) bool {
	if !c.Policy.OpensTo(name, f.to.Port()) {
		return false
	}
	return r.o.Knows(policy.Who{Addr: f.from.Addr()}, f.to.Addr(), name) || r.o.Knows(policy.Who{Policy: c.Texts}, f.to.Addr(), name)
}

func (r *Reader) refuse(f *flow, c Client, reason firewall.Reason, name string) {
	r.o.Refuse(Refusal{Bridge: c.Bridge, From: f.from, To: f.to, Reason: reason, Name: name})
}

// dial connects to where the client has, if rules would let that pass.
func (r *Reader) dial(f *flow, c Client) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.l.dial)
	defer cancel()
	source, err := r.o.Host.Way(ctx, Passage{f.link, c.Bridge, f.from.Addr(), f.to.Addr()})
	if err != nil {
		r.refuse(f, c, firewall.Isolated, "")
		return nil, err
	}
	var d net.Dialer
	d.KeepAliveConfig.Enable = true
	if source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: source.AsSlice()}
	}
	conn, err := d.DialContext(ctx, "tcp", f.to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// errSilent is of clients that wait for the server to begin, and of slow ones.
var errSilent = errors.New("no server name is said in time")

// hello reads until a client has said which server it means.
func (r *Reader) hello(conn *net.TCPConn) (begin []byte, proto servername.Protocol, name string, err error) {
	if err = conn.SetReadDeadline(time.Now().Add(r.l.hello)); err != nil {
		return nil, "", "", err
	}
	begin = make([]byte, 0, 2<<10)
	for {
		if len(begin) == cap(begin) {
			begin = append(begin, make([]byte, len(begin))...)[:len(begin)]
		}
		n, failed := conn.Read(begin[len(begin):min(cap(begin), servername.MostBytes)])
		begin = begin[:len(begin)+n]
		proto, name, err = servername.Of(begin)
		switch {
		case !errors.Is(err, servername.ErrMore):
			return begin, proto, name, errors.Join(err, conn.SetReadDeadline(time.Time{}))
		case errors.Is(failed, os.ErrDeadlineExceeded):
			return begin, proto, "", errSilent
		case failed != nil || len(begin) >= servername.MostBytes:
			return begin, proto, "", servername.ErrNoName
		}
	}
}

// sayNo tells a client in its own words that it is refused: the alert access_denied, or an
// answer.
func sayNo(conn *net.TCPConn, proto servername.Protocol) {
	defer func() { _ = conn.Close() }()
	text := map[servername.Protocol]string{
		servername.TLS:  "\x15\x03\x01\x00\x02\x02\x31",
		servername.HTTP: "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 44\r\nConnection: close\r\n\r\nA network policy does not allow this server\n",
	}[proto]
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil || text == "" {
		reset(conn)
		return
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.CloseWrite()
	// What is left unread would make a reset of the end, which could go before the text.
	_, _ = io.CopyN(io.Discard, conn, servername.MostBytes)
}

// requests passes on one request after the other, as long as each says a host that is allowed.
func (r *Reader) requests(f *flow, begin []byte) {
	// The head of a request is bounded, its body is not.
	bounded := &io.LimitedReader{R: io.MultiReader(bytes.NewReader(begin), f.client)}
	from := bufio.NewReader(bounded)
	for {
		bounded.N = servername.MostBytes
		if _, err := from.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				err = f.server.CloseWrite()
			}
			if err != nil && !errors.Is(err, unix.ENOTCONN) {
				f.reset()
			}
			return
		}
		_ = f.client.SetReadDeadline(time.Now().Add(r.l.hello))
		request, err := servername.ReadRequest(from)
		_ = f.client.SetReadDeadline(time.Time{})
		if err == nil && !f.said(request.Name) {
			if c, known := r.o.Whose(f.link, f.from.Addr()); !known || !r.mayGo(f, c, request.Name) {
				r.refuse(f, c, firewall.Policy, request.Name)
				err = servername.ErrNoName
			}
		}
		if err != nil {
			f.reset()
			return
		}
		f.says(request.Name)
		bounded.N = math.MaxInt64
		if err = request.Pass(f.server); err != nil {
			f.reset()
			return
		}
	}
}
