package dockerapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	// maxHead bounds the head of a message, as net/http does; what is longer passes
	// unread.
	maxHead = 1 << 20
	// readSize is more than writeSize: what fills a reader is written without a copy.
	readSize, writeSize = 32 << 10, 16 << 10
)

// errNotHTTP says that what comes cannot be followed. It was passed on nevertheless.
var errNotHTTP = errors.New("no HTTP/1 message")

// framing says where a body ends.
type framing int

const (
	byLength framing = iota
	byChunks
	// byEnd is with the connection.
	byEnd
)

// bodyOf is the body of a message: how it ends, and its length.
type bodyOf struct {
	framing framing
	length  int64
}

// readHead reads the head of a message with the empty line behind it. What was read
// of one that has no end is returned with the error.
func readHead(r *bufio.Reader) (head []byte, err error) {
	for {
		line, err := r.ReadSlice('\n')
		head = append(head, line...)
		switch {
		case len(head) > maxHead:
			return head, errNotHTTP
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return head, err
		case bytes.HasSuffix(head, []byte("\n\r\n")), bytes.HasSuffix(head, []byte("\n\n")):
			return head, nil
		}
	}
}

func parseRequest(head []byte) (*http.Request, bodyOf, error) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil || req.ProtoMajor != 1 {
		return nil, bodyOf{}, errNotHTTP
	}
	if len(req.TransferEncoding) > 0 {
		return req, bodyOf{framing: byChunks}, nil
	}
	return req, bodyOf{length: max(req.ContentLength, 0)}, nil
}

// answerHead is what the head of an answer says.
type answerHead struct {
	status int
	header http.Header
	body   bodyOf
}

// parseAnswer reads the head of an answer to req.
func parseAnswer(head []byte, req *http.Request) (answerHead, error) {
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), req)
	if err != nil {
		return answerHead{}, errNotHTTP
	}
	defer func() { _ = res.Body.Close() }() // which is not there
	a := answerHead{status: res.StatusCode, header: res.Header}
	switch {
	case a.status == http.StatusSwitchingProtocols:
		a.body.framing = byEnd
	case res.Body == http.NoBody:
	case len(res.TransferEncoding) > 0:
		a.body.framing = byChunks
	case res.ContentLength < 0:
		a.body.framing = byEnd
	default:
		a.body.length = res.ContentLength
	}
	return a, nil
}

// copy passes a body on as it is on the wire.
func (b bodyOf) copy(w io.Writer, r *bufio.Reader) error {
	switch b.framing {
	case byChunks:
		return copyChunks(w, r)
	case byEnd:
		return copyAll(w, r)
	}
	return copyN(w, r, b.length)
}

// copyAll passes on what comes until the end, which is no error.
func copyAll(w io.Writer, r *bufio.Reader) error {
	for {
		_, err := r.Peek(1)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = copyN(w, r, int64(r.Buffered()))
		}
		if err != nil {
			return err
		}
	}
}

// copyN writes from the reader's own buffer.
func copyN(w io.Writer, r *bufio.Reader, n int64) error {
	for n > 0 {
		if _, err := r.Peek(1); err != nil {
			return unexpected(err)
		}
		part, err := r.Peek(int(min(n, int64(r.Buffered()))))
		if err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
		if _, err := r.Discard(len(part)); err != nil {
			return err
		}
	}
	return nil
}

// copyChunks passes on a chunked body (RFC 9112, section 7.1) with the chunks that
// it came in, and the trailer.
func copyChunks(w io.Writer, r *bufio.Reader) error {
	for {
		line, err := copyLine(w, r)
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
		if err != nil || n < 0 {
			return errNotHTTP
		}
		if n == 0 {
			break
		}
		if err = copyN(w, r, n); err != nil {
			return err
		}
		if line, err = copyLine(w, r); err != nil {
			return err
		}
		if len(line) > 0 {
			return errNotHTTP
		}
	}
	for {
		if line, err := copyLine(w, r); err != nil || len(line) == 0 {
			return err
		}
	}
}

// copyLine passes a line on and returns it without its end; it holds until the next
// read.
func copyLine(w io.Writer, r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if _, failed := w.Write(line); failed != nil {
		return nil, failed
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		err = errNotHTTP
	}
	return bytes.TrimRight(line, "\r\n"), unexpected(err)
}

// unexpected tells an end in the middle from one between messages.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// withLength is a head for a body of so many bytes, whatever was said before.
func withLength(head []byte, length int) []byte {
	var out []byte
	for line := range bytes.Lines(head) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")), bytes.EqualFold(name, []byte("Transfer-Encoding")):
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			out = append(out, "Content-Length: "+strconv.Itoa(length)+"\r\n"...)
			out = append(out, line...)
		default:
			out = append(out, line...)
		}
	}
	return out
}
