package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// kind names the JSON type of a decoded value.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", v)
}

// sortedKeys makes the first error of several always the same one.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// objects returns the elements of a list of objects; null is an empty list, as
// Go's encoder writes one.
func objects(key string, v any) ([]map[string]any, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("%s: %s instead of a list", key, kind(v))
	}
	out := make([]map[string]any, 0, len(list))
	for i, e := range list {
		o, ok := e.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: element %d is %s instead of an object", key, i, kind(e))
		}
		out = append(out, o)
	}
	return out, nil
}

// number reads a whole number from 0 to limit; absent is 0.
func number(o map[string]any, field string, limit uint16) (uint16, error) {
	switch v := o[field].(type) {
	case nil:
		return 0, nil
	case float64:
		if v != math.Trunc(v) || v < 0 || v > float64(limit) {
			return 0, fmt.Errorf("%s %v is not a whole number from 0 to %d", field, v, limit)
		}
		return uint16(v), nil
	default:
		return 0, fmt.Errorf("%s is %s instead of a number", field, kind(v))
	}
}

// text reads a string; absent is "".
func text(o map[string]any, field string) (string, error) {
	switch v := o[field].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("%s is %s instead of a string", field, kind(v))
	}
}
