package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/printable"
)

// errorResponse is an error as both sides of the engine read it: from a status
// other than 200 every client takes Err, from a 200 the IPAM client takes Error
// (moby daemon/libnetwork/ipams/remote/api).
type errorResponse struct {
	Err   string
	Error string
}

// requestError is the caller's mistake: nothing was done. Everything else is
// answered as a failure of ours.
type requestError struct {
	status int
	msg    string
}

func (e *requestError) Error() string { return e.msg }

// badf is a request that does not hold.
func badf(format string, args ...any) error {
	return &requestError{status: http.StatusBadRequest, msg: fmt.Sprintf(format, args...)}
}

// restoringError is the end of a wait for the state, for its cause.
type restoringError struct{ cause error }

func (*restoringError) Error() string {
	return "gangway is still restoring its networks; try again in a moment"
}

func (e *restoringError) Unwrap() error { return e.cause }

// panicError is what is left of a request whose handling panicked.
type panicError struct {
	op    string
	value any
	stack []byte
}

func (e *panicError) Error() string {
	return fmt.Sprintf("%s: internal error (panic: %v); gangway's log has the details, please report them", e.op, e.value)
}

// writeError answers with err. The status is never 404: the engine takes that
// for success when it publishes ports. The text ends up on the terminal of whoever
// ran the command, as it is: the engine and its command pass it on.
func (s *Server) writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var bad *requestError
	if errors.As(err, &bad) {
		status = bad.status
	}
	text := printable.Text(s.o.Names.Text(err.Error()))
	writeJSON(w, status, errorResponse{Err: text, Error: text})
}

// writeJSON answers a call of the protocol with v.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", sdk.DefaultContentTypeV1_1)
	encode(w, status, v)
}

// encode sends v. A client that is gone is nobody's error.
func encode(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
