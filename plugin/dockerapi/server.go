package dockerapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver"
)

const (
	// acceptPause is how long no connection is taken after one could not be: there are
	// too many open files.
	acceptPause = 100 * time.Millisecond
	// refuseTime bounds what a client that cannot be served may take.
	refuseTime = 5 * time.Second
)

// Options are what Serve works with.
type Options struct {
	// Engine is the engine's API socket.
	Engine string
	// Ports tells what is published now.
	Ports func(context.Context) ([]driver.PortStatus, error)
	// Endpoints tells which endpoints there are, by their ids.
	Endpoints func(context.Context) (map[string]bool, error)
	Log       *logrus.Entry
}

// Serve joins each client on the socket with the engine until ctx ends. Then it closes
// the socket and all connections, as an engine that stops does.
func Serve(ctx context.Context, s *Socket, o Options) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	closed := make(chan error, 1)
	clients.Go(func() {
		<-ctx.Done()
		closed <- s.Close()
	})
	f := &filler{ports: o.Ports, endpoints: o.Endpoints, log: o.Log}
	for {
		c, err := s.listener.AcceptUnix()
		switch {
		case err == nil:
			clients.Go(func() { join(ctx, c, o.Engine, f) })
		case ctx.Err() != nil:
			return <-closed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve %s: %w", s.path, err)
		default:
			o.Log.WithError(err).Warn("a connection was not taken")
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

// join serves one client.
func join(ctx context.Context, client *net.UnixConn, socket string, f *filler) {
	defer func() { _ = client.Close() }()
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		refuse(client, fmt.Errorf("the engine does not answer: %w", err))
		return
	}
	engine := c.(*net.UnixConn)
	defer func() { _ = engine.Close() }()
	defer context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = engine.Close()
	})()
	newPair(client, engine, f).run(ctx)
}

// refuse answers a client in the place of the engine, in the form of its errors.
func refuse(client *net.UnixConn, why error) {
	if client.SetDeadline(time.Now().Add(refuseTime)) != nil {
		return
	}
	if _, err := readHead(bufio.NewReader(client)); err != nil {
		return
	}
	_, _ = client.Write(refusal(why))
	// Data that is not read would have the client lose the answer.
	_ = client.CloseWrite()
	_, _ = io.Copy(io.Discard, client)
}

// refusal is an answer in the place of the engine, in the form of its errors.
func refusal(why error) []byte {
	text, err := json.Marshal(map[string]string{"message": why.Error()})
	if err != nil {
		text = []byte("{}")
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		http.StatusBadGateway, http.StatusText(http.StatusBadGateway), len(text), text)
}
