package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
)

// Ten thousand ports are a megabyte of JSON that an engine sends with each of
// three calls. Decoding them into values takes longer than all rules for them;
// so the lists stay as they came until a call needs them, and are then read
// object by object without a value for each field. What is read here has been
// found to be valid JSON by encoding/json; nothing checks it again.

// EndpointOptions are the options of CreateEndpoint, Join and
// ProgramExternalConnectivity: a JSON object, whose values are decoded when they
// are needed. encoding/json reads it and finds malformed text.
type EndpointOptions map[string]json.RawMessage

// elements goes through a JSON list. null is an empty one, as Go's encoder
// writes it; of anything else there is an error.
func elements(key string, raw []byte) (iter.Seq2[int, []byte], error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] != '[' && raw[0] != 'n' {
		return nil, fmt.Errorf("%s: %s instead of a list", key, typeOf(raw))
	}
	return func(yield func(int, []byte) bool) {
		if len(raw) == 0 || raw[0] == 'n' {
			return
		}
		i := 0
		for rest := open(raw); rest[0] != ']'; i++ {
			var value []byte
			value, rest = next(rest)
			if !yield(i, value) {
				return
			}
		}
	}, nil
}

// members goes through the members of a JSON object.
func members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for rest := open(object); rest[0] != '}'; {
			var quoted, value []byte
			quoted, rest = next(rest)
			name, _ := unquote(quoted)
			value, rest = next(rest)
			if !yield(name, value) {
				return
			}
		}
	}
}

// open steps into a list or object.
func open(raw []byte) []byte { return bytes.TrimLeft(raw[1:], separators) }

// separators are all that stands between values.
const separators = " \t\r\n,:"

// next splits a text at the end of its first value.
func next(raw []byte) (value, rest []byte) {
	end := valueEnd(raw)
	return raw[:end], bytes.TrimLeft(raw[end:], separators)
}

func valueEnd(raw []byte) int {
	switch raw[0] {
	case '"':
		return stringEnd(raw)
	case '{', '[':
		depth := 0
		for i := 0; ; i++ {
			switch raw[i] {
			case '"':
				i += stringEnd(raw[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	end := bytes.IndexAny(raw, separators+"]}")
	if end < 0 {
		return len(raw)
	}
	return end
}

// stringEnd is the length of the string that a text starts with.
func stringEnd(raw []byte) int {
	for i := 1; ; i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// typeOf names the type of a JSON value, as kind does for a decoded one.
func typeOf(raw []byte) string {
	switch raw[0] {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '[':
		return "a list"
	case '{':
		return "an object"
	}
	return "a number"
}

// number reads a whole number from 0 to limit; null is 0.
func number(field string, raw []byte, limit uint16) (uint16, error) {
	if short := len(raw) <= len("65535"); short {
		n := 0
		for _, c := range raw {
			if c < '0' || c > '9' {
				n = math.MaxInt32
				break
			}
			n = 10*n + int(c-'0')
		}
		if n <= int(limit) {
			return uint16(n), nil
		}
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return 0, fmt.Errorf("%s %s is not a whole number from 0 to %d", field, raw, limit)
	}
	switch v := v.(type) {
	case nil:
		return 0, nil
	case float64:
		if v != math.Trunc(v) || v < 0 || v > float64(limit) {
			return 0, fmt.Errorf("%s %v is not a whole number from 0 to %d", field, v, limit)
		}
		return uint16(v), nil
	}
	return 0, fmt.Errorf("%s is %s instead of a number", field, typeOf(raw))
}

// text reads a string; null is "".
func text(field string, raw []byte) (string, error) {
	switch {
	case raw[0] == 'n':
		return "", nil
	case raw[0] != '"':
		return "", fmt.Errorf("%s is %s instead of a string", field, typeOf(raw))
	}
	return unquote(raw)
}

// unquote reads a string. Only one with an escape takes encoding/json.
func unquote(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}
