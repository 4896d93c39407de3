package testkit

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// TestCall: a daemon gets the call as it was meant, a refusal is no error, and
// a socket without daemon is one.
func TestCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.sock")
	client := UnixClient(path, Patience)
	if status, answer, err := Call(client, "NetworkDriver.Join", ""); err == nil {
		t.Errorf("nobody listens, and answers %d %q", status, answer)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+string(body)+"\n")
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	status, answer, err := Call(client, "NetworkDriver.Join", "{}")
	if err != nil || status != http.StatusBadRequest || answer != "POST /NetworkDriver.Join {}" {
		t.Errorf("got %d %q, %v", status, answer, err)
	}
	client.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
