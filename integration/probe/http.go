package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// fetch asks an HTTP server for its first page and returns the page.
func fetch(addr string, timeout time.Duration) (string, error) {
	conn, err := dial("tcp", addr, "", time.Now().Add(timeout))
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // the answer is what counts
	if _, err = fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", err
	}
	head, page, ok := strings.Cut(string(answer), "\r\n\r\n")
	status, _, _ := strings.Cut(head, "\r\n")
	if !ok || !strings.Contains(status, " 200 ") {
		return "", fmt.Errorf("http: %s", status)
	}
	return strings.TrimSpace(page), nil
}
