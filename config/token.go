package config

import (
	"fmt"
	"strings"
)

// A token has so many characters: one that is shorter could be guessed.
const (
	minToken = 16
	maxToken = 256
)

// ParseToken reads a secret, or off. It takes what stands in a URL as it is. No error has
// the value in it: errors are logged.
func ParseToken(v string) (string, error) {
	if v == "off" {
		return "", nil
	}
	const fit = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-"
	if len(v) < minToken || len(v) > maxToken || strings.ContainsFunc(v, func(r rune) bool { return !strings.ContainsRune(fit, r) }) {
		return "", fmt.Errorf("the token (%d bytes): want %d to %d letters, digits and ._~-, such as \"openssl rand -hex 16\" prints, or off", len(v), minToken, maxToken)
	}
	return v, nil
}
