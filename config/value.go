package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// booleans are the two ways to write a boolean that are offered.
func booleans() []string { return []string{"true", "false"} }

// boolean takes what the built-in driver takes.
func boolean(v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("is neither true nor false")
	}
	return b, nil
}
