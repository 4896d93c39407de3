package servername

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

var errLine = errors.New("the first line or the Host of the request is malformed")

// ofRequest reads the name of a request whose head is there as a whole.
func ofRequest(b []byte) (string, error) {
	if len(b) >= 3 && b[0] == 'P' && b[1] == 'R' && b[2] == 'I' {
		return "", errors.New("it is HTTP/2 without TLS")
	}
	if line, _, whole := bytes.Cut(b, []byte("\n")); whole && !bytes.Contains(line, []byte(" HTTP/")) {
		return "", ErrUnknown // as SSH
	}
	if !ended(b) {
		return "", ErrMore
	}
	r, err := ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return "", err
	}
	return r.Name, nil
}

// ended says whether the head of a request ends in these bytes.
func ended(b []byte) bool {
	return bytes.Contains(b, []byte("\r\n\r\n")) || bytes.Contains(b, []byte("\n\n")) || bytes.Contains(b, []byte("\n\r\n"))
}

// Request is one of HTTP/1.
type Request struct {
	// Name is the host, as policies write names.
	Name string
	of   *http.Request
}

// ReadRequest reads the head of a request. The body is read by Pass.
func ReadRequest(r *bufio.Reader) (*Request, error) {
	of, err := http.ReadRequest(r)
	if err != nil {
		return nil, fmt.Errorf("read a request of HTTP: %w", err)
	}
	switch {
	case of.ProtoMajor != 1:
		return nil, errors.New("the request is of another version than HTTP/1")
	case of.Method == http.MethodConnect:
		return nil, errors.New("CONNECT leads to who knows whom")
	}
	if of.URL.Host != "" { // the first line's, which goes before Host, and takes its place below
		if of.URL.Scheme != "http" || of.URL.User != nil {
			return nil, errLine
		}
		of.RequestURI = of.URL.RequestURI()
	}
	if of.RequestURI != "*" && !strings.HasPrefix(of.RequestURI, "/") {
		return nil, errLine
	}
	host, port := of.Host, ""
	if h, p, wrong := net.SplitHostPort(host); wrong == nil {
		host, port = h, p
	}
	name, err := valid(host)
	if err != nil {
		return nil, err
	}
	if of.Host = name; port != "" {
		if _, err = strconv.ParseUint(port, 10, 16); err != nil {
			return nil, errLine
		}
		of.Host += ":" + port
	}
	return &Request{name, of}, nil
}

// Pass passes the request on, made anew: what was read is what a server reads, with one
// length and one Host. What would make the connection one of another protocol is left out.
func (r *Request) Pass(w io.Writer) (err error) {
	h := r.of.Header.Clone()
	for _, list := range h.Values("Connection") {
		for one := range strings.SplitSeq(list, ",") {
			if one = http.CanonicalHeaderKey(strings.TrimSpace(one)); one != "Close" && one != "Keep-Alive" {
				h.Del(one)
			}
		}
	}
	for _, gone := range []string{"Connection", "Upgrade", "Http2-Settings", "Te", "Trailer", "Content-Length", "Transfer-Encoding", "Host", "Proxy-Connection"} {
		h.Del(gone)
	}
	switch {
	case r.of.Close:
		h.Set("Connection", "close")
	case r.of.ProtoMinor == 0:
		h.Set("Connection", "keep-alive")
	}
	chunked := len(r.of.TransferEncoding) > 0
	switch {
	case chunked:
		h.Set("Transfer-Encoding", "chunked")
	case r.of.ContentLength > 0 || r.of.Method != http.MethodGet && r.of.Method != http.MethodHead:
		h.Set("Content-Length", fmt.Sprint(r.of.ContentLength))
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.%d\r\nHost: %s\r\n", r.of.Method, r.of.RequestURI, r.of.ProtoMinor, r.of.Host)
	_ = h.Write(&head) // into memory
	head.WriteString("\r\n")
	if _, err = w.Write(head.Bytes()); err != nil {
		return err
	}
	return r.writeBody(w, chunked)
}

func (r *Request) writeBody(w io.Writer, chunked bool) error {
	if !chunked {
		_, err := io.Copy(w, r.of.Body)
		return err
	}
	buffer := make([]byte, 8<<10)
	for {
		n, err := r.of.Body.Read(buffer)
		if n > 0 {
			if _, failed := fmt.Fprintf(w, "%x\r\n%s\r\n", n, buffer[:n]); failed != nil {
				return failed
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_, err = io.WriteString(w, "0\r\n\r\n")
			return err
		case err != nil:
			return err
		}
	}
}
