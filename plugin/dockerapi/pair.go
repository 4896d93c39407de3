package dockerapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// side is one of two connections that are joined, with what is written to it.
type side struct {
	conn *net.UnixConn
	r    *bufio.Reader
	w    *bufio.Writer
}

// flushing reads, and has what was read before written out first: whoever waits for
// more has passed on all that there was.
type flushing struct {
	from io.Reader
	to   *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.to.Flush(); err != nil {
		return 0, err
	}
	return f.from.Read(p)
}

// pair joins a client and the engine.
type pair struct {
	client, engine side
	filler         *filler
	// calls are requests on their way to the engine, in their order. There is one
	// at most: the next waits for the head of the answer.
	calls chan *call
	// ended is closed when no more answers come.
	ended chan struct{}
}

// call is one request.
type call struct {
	// request is nil for what is no HTTP/1.
	request *http.Request
	// filter is what is left out of the answer here, and not by the engine; nil for nothing.
	filter *portFilter
	// raw says, once the head of the answer is there, whether what follows, both
	// ways, is no HTTP/1 any more.
	raw chan bool
}

func newPair(client, engine *net.UnixConn, f *filler) *pair {
	p := &pair{filler: f, calls: make(chan *call, 1), ended: make(chan struct{})}
	p.client = side{conn: client, w: bufio.NewWriterSize(client, writeSize)}
	p.engine = side{conn: engine, w: bufio.NewWriterSize(engine, writeSize)}
	p.client.r = bufio.NewReaderSize(flushing{client, p.engine.w}, readSize)
	p.engine.r = bufio.NewReaderSize(flushing{engine, p.client.w}, readSize)
	return p
}

// run passes on until both ways have ended. A half that is closed closes the half
// behind it, in both directions: one that writes to whom nobody reads gets the same
// error as without us.
func (p *pair) run(ctx context.Context) {
	var ways sync.WaitGroup
	ways.Go(func() { p.finish(&p.client, &p.engine, p.requests()) })
	ways.Go(func() {
		defer close(p.ended)
		p.finish(&p.engine, &p.client, p.answers(ctx))
	})
	ways.Wait()
}

// finish ends one way. Who sends what nobody takes any more gets an error; a connection
// that broke takes the other one along.
func (p *pair) finish(from, to *side, err error) {
	if to.w.Flush() != nil {
		_ = from.conn.CloseRead()
		// A sender that waits for room learns of the shutdown only when there is some.
		_, _ = io.Copy(io.Discard, from.conn)
		return
	}
	_ = to.conn.CloseWrite()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		_ = p.client.conn.Close()
		_ = p.engine.conn.Close()
	}
}

// requests passes on what the client sends.
func (p *pair) requests() error {
	var last *call
	for {
		if err := p.engine.w.Flush(); err != nil {
			return err
		}
		if _, err := p.client.r.Peek(1); err != nil {
			return err
		}
		if last != nil && p.isRaw(last) {
			return copyAll(p.engine.w, p.client.r)
		}
		var err error
		if last, err = p.request(); err != nil {
			return rest(&p.engine, &p.client, err)
		}
	}
}

// request passes on one request.
func (p *pair) request() (*call, error) {
	c := &call{raw: make(chan bool, 1)}
	var body bodyOf
	head, err := readHead(p.client.r)
	if err == nil {
		c.request, body, err = parseRequest(head)
	}
	if err == nil {
		if c.filter = filterOf(c.request); c.filter != nil {
			head = c.filter.rewrite(head, c.request)
		}
	}
	select {
	case p.calls <- c: // before the engine can answer
	case <-p.ended: // it will not; what it reads is its own matter
	}
	if _, failed := p.engine.w.Write(head); failed != nil {
		return nil, failed
	}
	if err == nil {
		err = body.copy(p.engine.w, p.client.r)
	}
	return c, err
}

// rest passes on what follows something that is no HTTP/1.
func rest(to, from *side, err error) error {
	if !errors.Is(err, errNotHTTP) {
		return err
	}
	return copyAll(to.w, from.r)
}

// isRaw waits for the head of the answer.
func (p *pair) isRaw(c *call) bool {
	select {
	case raw := <-c.raw:
		return raw
	case <-p.ended:
		return true
	}
}

// answers passes on what the engine sends.
func (p *pair) answers(ctx context.Context) error {
	for {
		if err := p.client.w.Flush(); err != nil {
			return err
		}
		if _, err := p.engine.r.Peek(1); err != nil {
			return err
		}
		var c *call
		select {
		case c = <-p.calls:
		default:
			return copyAll(p.client.w, p.engine.r) // it speaks without being asked
		}
		if c.request == nil {
			return copyAll(p.client.w, p.engine.r)
		}
		if goOn, err := p.answer(ctx, c); err != nil {
			return rest(&p.client, &p.engine, err)
		} else if !goOn {
			return nil
		}
	}
}

// answer passes on one answer, and says whether there can be others.
func (p *pair) answer(ctx context.Context, c *call) (goOn bool, err error) {
	for {
		head, err := readHead(p.engine.r)
		var a answerHead
		if err == nil {
			a, err = parseAnswer(head, c.request)
		}
		if err != nil {
			c.raw <- true
			_, _ = p.client.w.Write(head)
			return false, err
		}
		if raw := a.body.framing == byEnd; raw || a.status >= 200 {
			c.raw <- raw
			if kind := fillable(c.request, a); kind != nil {
				err = p.filled(ctx, *kind, c, message{head, a.body})
			} else if c.filter != nil && a.status == http.StatusOK {
				return false, p.refuse(errNotFiltered)
			} else if _, err = p.client.w.Write(head); err == nil {
				err = a.body.copy(p.client.w, p.engine.r)
			}
			return !raw, err
		}
		// 100 Continue and its like come before the answer.
		if _, err = p.client.w.Write(head); err != nil {
			return false, err
		}
	}
}

// message is the head of one, and how its body ends.
type message struct {
	head []byte
	body bodyOf
}

// errNotFiltered says why there is no answer to a question with a filter for ports.
var errNotFiltered = errors.New("the engine's list of containers cannot be filtered by ports here: its answer is too long, or of another form; ask without --filter publish and --filter expose")

// filled passes on an answer with the ports filled in and the filter applied, or as it is.
func (p *pair) filled(ctx context.Context, kind answerKind, c *call, m message) error {
	whole := &recorder{head: m.head, through: p.client.w, kept: c.filter != nil}
	if err := m.body.copy(whole, p.engine.r); err != nil {
		return p.unfilled(whole, c, err)
	}
	if whole.passed {
		return nil
	}
	text, err := decodeBody(m.head, whole.body, c.request)
	if err != nil {
		return p.unfilled(whole, c, nil)
	}
	text, changed := p.filler.fill(ctx, kind, text)
	if c.filter != nil {
		if text, err = c.filter.apply(text); err != nil {
			return p.unfilled(whole, c, nil)
		}
		changed = true
	}
	if !changed {
		return whole.pass()
	}
	if _, err = p.client.w.Write(withLength(m.head, len(text))); err == nil {
		_, err = p.client.w.Write(text)
	}
	return err
}

// unfilled passes on what was recorded of an answer that cannot be read. One that had to be
// filtered is refused: the client would take all for what it asked for.
func (p *pair) unfilled(whole *recorder, c *call, err error) error {
	if c.filter == nil {
		return errors.Join(whole.pass(), err)
	}
	return errors.Join(p.refuse(errNotFiltered), err, io.ErrUnexpectedEOF)
}

// refuse answers in the place of the engine, and ends the connection.
func (p *pair) refuse(why error) error {
	_, err := p.client.w.Write(refusal(why))
	return err
}
