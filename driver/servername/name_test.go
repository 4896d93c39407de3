package servername

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// helloFor is what crypto/tls sends first.
func helloFor(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	c.InsecureSkipVerify = true
	go func() { _ = tls.Client(near, c).HandshakeContext(t.Context()) }()
	b := make([]byte, 16<<10)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// inRecords cuts a hello into records of that size.
func inRecords(hello []byte, size int) (b []byte) {
	for rest := hello[recordHeader:]; len(rest) > 0; {
		n := min(size, len(rest))
		b = append(append(b, recordHandshake, 3, 1, byte(n>>8), byte(n)), rest[:n]...)
		rest = rest[n:]
	}
	return b
}

// TestHello: the name of a ClientHello is read however it is cut, and not before it is whole.
func TestHello(t *testing.T) {
	for _, c := range []*tls.Config{{ServerName: "Registry.Example"}, {ServerName: "registry.example", MaxVersion: tls.VersionTLS12}, {ServerName: "registry.example", NextProtos: []string{"h2", "http/1.1"}}} {
		whole := helloFor(t, c)
		for _, size := range []int{len(whole), 1000, 100, 40} {
			cut := inRecords(whole, size)
			for n := range cut {
				if _, name, err := Of(cut[:n]); !errors.Is(err, ErrMore) {
					t.Fatalf("%d of %d bytes in records of %d: %q, %v", n, len(cut), size, name, err)
				}
			}
			if proto, name, err := Of(append(cut, "more"...)); proto != TLS || name != "registry.example" || err != nil {
				t.Errorf("in records of %d: %s %q %v", size, proto, name, err)
			}
		}
	}
}

// TestHelloRefused: what says no name, two names, no name of the DNS, or is malformed.
func TestHelloRefused(t *testing.T) {
	plain := helloFor(t, &tls.Config{ServerName: "registry.example"})
	with := func(change func(b []byte) []byte) []byte { return change(slices.Clone(plain)) }
	for what, b := range map[string][]byte{
		"no name":             helloFor(t, &tls.Config{}),
		"an address":          helloFor(t, &tls.Config{ServerName: "192.0.2.1"}),
		"one byte a record":   inRecords(plain, 1),
		"another record":      append(inRecords(plain, len(plain))[:recordHeader], 20, 3, 1, 0, 1, 1)[recordHeader:],
		"a record between":    slices.Concat(inRecords(plain, 100)[:105], []byte{20, 3, 3, 0, 1, 1}, inRecords(plain, 100)[105:]),
		"an empty record":     slices.Concat([]byte{22, 3, 1, 0, 0}, plain),
		"a too long record":   with(func(b []byte) []byte { b[3], b[4] = 0x40, 1; return b }),
		"another message":     with(func(b []byte) []byte { b[5] = 2; return b }),
		"a huge message":      with(func(b []byte) []byte { b[6] = 2; return b }),
		"a too short message": with(func(b []byte) []byte { b[8]--; return b }),
		"another version":     with(func(b []byte) []byte { b[1] = 2; return b }),
		"a name of spaces":    bytes.Replace(plain, []byte("registry.example"), []byte("registry example"), 1),
		"a name with a zero":  bytes.Replace(plain, []byte("registry.example"), []byte("registry\x00example"), 1),
		"a name with no dot":  bytes.Replace(plain, []byte("registry.example"), []byte("registry..exampl"), 1),
		"another kind":        bytes.Replace(plain, []byte("\x00\x00\x10registry"), []byte("\x01\x00\x10registry"), 1),
		"SSL 2":               {0x80, 0x2e, 1, 3, 1},
		"SSH":                 []byte("SSH-2.0-OpenSSH_9.2\r\n"),
		"a text":              []byte("hello\r\n\r\n"),
	} {
		if _, name, err := Of(b); err == nil || errors.Is(err, ErrMore) {
			t.Errorf("%s: %q, %v", what, name, err)
		}
	}
	if twice := twoNames(t, plain); twice != nil {
		if _, name, err := Of(twice); err == nil {
			t.Errorf("with two extensions for names it is %q", name)
		}
	}
}

// twoNames is a hello with the extension for names twice.
func twoNames(t *testing.T, plain []byte) []byte {
	t.Helper()
	extension := []byte("\x00\x00\x00\x15\x00\x13\x00\x00\x10registry.example")
	i := bytes.Index(plain, extension)
	if i < 0 {
		t.Fatal("the extension is not where it was looked for")
	}
	r := reader{rest: plain[recordHeader+messageHeader:]}
	r.take(2 + randomLength)
	r.vector(1)
	r.vector(2)
	r.vector(1)
	all := len(plain) - len(r.rest)
	b := slices.Concat(plain[:i], bytes.Replace(extension, []byte("registry"), []byte("anyother"), 1), plain[i:])
	n := len(extension)
	add := func(at int) {
		size := int(b[at])<<8 + int(b[at+1]) + n
		b[at], b[at+1] = byte(size>>8), byte(size)
	}
	add(3)
	add(7)
	add(all)
	return b
}

// TestRequest: the host of a request of HTTP/1, whoever writes it how.
func TestRequest(t *testing.T) {
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n":                                             "a.example",
		"GET / HTTP/1.1\r\nhost:A.Example.:8080\r\nX: y\r\n\r\n":                                "a.example",
		"GET http://b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n":                            "b.example",
		"POST /x HTTP/1.0\nHost: a.example\nContent-Length: 1\n\nx":                             "a.example",
		"GET / HTTP/1.1\r\n\r\n":                                                                "",
		"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n":                                             "",
		"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n":                                      "",
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n":                          "",
		"GET / HTTP/1.1\r\nHost: a.example:80 b.example\r\n\r\n":                                "",
		"GET / HTTP/1.1\r\nHost: a.example/b\r\n\r\n":                                           "",
		"GET a.example HTTP/1.1\r\nHost: a.example\r\n\r\n":                                     "",
		"GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n":                            "",
		"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n":                             "",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                      "",
		"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx": "",
		"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip\r\n\r\nx":                "",
		"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n":                                            "",
		"GET / HTTP/1.1\r\n Host: a.example\r\n\r\n":                                            "",
	} {
		proto, name, err := Of([]byte(text))
		if proto != HTTP || name != want || (err == nil) != (want != "") || errors.Is(err, ErrMore) {
			t.Errorf("%q: %s %q %v", text, proto, name, err)
		}
	}
	if _, _, err := Of([]byte("GET / HTTP/1.1\r\nHost: a.example\r\n")); !errors.Is(err, ErrMore) {
		t.Errorf("half a head: %v", err)
	}
}

// TestPass: what is passed on has one Host and one length, and nothing that changes the protocol.
func TestPass(t *testing.T) {
	for text, want := range map[string]string{
		"GET http://a.example/x?y HTTP/1.1\r\nHost: b.example\r\nAccept: z\r\n\r\n":                                                                                    "GET /x?y HTTP/1.1\r\nHost: a.example\r\nAccept: z\r\n\r\n",
		"GET //b.example/%2e/ HTTP/1.1\r\nHost: A.example:80\r\n\r\n":                                                                                                  "GET //b.example/%2e/ HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings, X\r\nX: 1\r\nUpgrade: h2c\r\nHTTP2-Settings: z\r\n\r\n":                             "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabcGET":                                                                   "POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n2;x=y\r\nab\r\n0\r\nHost: b\r\n\r\nGET": "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
		"POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n":                                                                                     "POST / HTTP/1.0\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
	} {
		r, err := ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var b bytes.Buffer
		if err = r.Pass(&b); err != nil || b.String() != want {
			t.Errorf("%q is passed on as %q (%v), want %q", text, b.String(), err, want)
		}
	}
	r, err := ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\na")))
	if err != nil {
		t.Fatal(err)
	}
	if err = r.Pass(io.Discard); err == nil {
		t.Error("a body that is cut short is passed on as whole")
	}
}

// FuzzOf: nothing breaks it; a name is one of the DNS; and more bytes do not change it.
func FuzzOf(f *testing.F) {
	f.Add(helloFor(f, &tls.Config{ServerName: "registry.example"}))
	f.Add(inRecords(helloFor(f, &tls.Config{ServerName: "registry.example"}), 50))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		proto, name, err := Of(b)
		if err != nil {
			return
		}
		if again, err := valid(name); again != name || err != nil {
			t.Errorf("%q is a name", name)
		}
		if p, n, err := Of(append(b, b...)); p != proto || n != name || err != nil {
			t.Errorf("with more it is %s %q %v, and was %s %q", p, n, err, proto, name)
		}
	})
}

// FuzzPass: whoever reads what is passed on reads the same host, and one request.
func FuzzPass(f *testing.F) {
	f.Add([]byte("POST http://b.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\nConnection: x\r\n\r\nab"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if r.Pass(&out) != nil {
			return
		}
		from := bufio.NewReader(&out)
		again, err := http.ReadRequest(from)
		if err != nil {
			t.Fatalf("%q is passed on as %q: %v", b, out.Bytes(), err)
		}
		host, _, err := net.SplitHostPort(again.Host)
		if err != nil {
			host = again.Host
		}
		if _, err = io.Copy(io.Discard, again.Body); err != nil || host != r.Name || again.URL.Host != "" {
			t.Errorf("%q is for %q, and is read as for %q (%v)", b, r.Name, host, err)
		}
		if rest, _ := io.ReadAll(from); len(rest) > 0 {
			t.Errorf("%q is passed on with %q behind it", b, rest)
		}
	})
}
