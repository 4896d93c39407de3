package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// maxBody bounds a request. The engine sends every published port twice, in
// about 120 bytes: 16 MiB hold the lists of a container that publishes each TCP
// and each UDP port there is, and 10 000 ports take a tenth.
const maxBody = 16 << 20

// decode reads the body of r into req. Unknown fields are allowed, since
// engines add some; everything else must be one complete JSON object.
func decode(w http.ResponseWriter, r *http.Request, bodiless bool, req any) error {
	if r.Method != http.MethodPost {
		return &requestError{status: http.StatusMethodNotAllowed, msg: "method " + r.Method + ": calls of the plugin protocol are POST requests"}
	}
	body, err := readBody(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &requestError{status: http.StatusRequestEntityTooLarge, msg: "request body is larger than 16 MiB: publish fewer ports, or a contiguous range"}
	case err != nil:
		return badf("read request body: %v", err)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		if bodiless {
			return nil
		}
		return badf("request body is empty: the connection broke while the call was under way and the engine repeats it without its content; run the command again")
	}
	if body[0] != '{' {
		return badf("request body is not a JSON object: it starts with %q", body[:1])
	}
	if err := json.Unmarshal(body, req); err != nil {
		return explainJSON(err, len(body))
	}
	return nil
}

// readBody reads up to maxBody bytes. Its memory grows with what has come: the length
// that a client announces may be a lie, and sixty of them would cost a gigabyte.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
}

// explainJSON says what is wrong with a body in words of the protocol, not of
// the Go types behind it.
func explainJSON(err error, size int) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return badf("request field %s: %s instead of %s", wrong.Field, wrong.Value, wrong.Type)
	case errors.As(err, &syntax) && syntax.Offset >= int64(size):
		return badf("request body ends too early, after %d bytes", size)
	case errors.As(err, &syntax):
		return badf("request body is not JSON: byte %d: %v", syntax.Offset, err)
	}
	return badf("request body: %v", err)
}
