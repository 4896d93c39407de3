package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// packages are what the registry has: a package, one that it needs, and one of which the tarball
// is on a host of another name.
func packages(host string) map[string]*published {
	all := map[string]*published{
		"tool":    {needs: "part", script: `module.exports = "tool with " + require("part");`, host: host},
		"part":    {script: `module.exports = "part";`, host: host},
		"strayed": {script: `module.exports = "strayed";`, host: "cdn.example"},
	}
	return all
}

// published is a package.
type published struct {
	needs, script, host string
}

// tarball is the package as npm unpacks it.
func (p published) tarball(name string) ([]byte, error) {
	manifest, err := json.Marshal(p.manifest(name))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	files := tar.NewWriter(zipped)
	for _, f := range []struct {
		name string
		text []byte
	}{{"package.json", manifest}, {"index.js", []byte(p.script)}} {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "package/" + f.name, Mode: 0o644, Size: int64(len(f.text))}
		if err = files.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err = files.Write(f.text); err != nil {
			return nil, err
		}
	}
	if err = files.Close(); err != nil {
		return nil, err
	}
	err = zipped.Close()
	return b.Bytes(), err
}

func (p published) manifest(name string) map[string]any {
	m := map[string]any{"name": name, "version": "1.0.0", "main": "index.js"}
	if p.needs != "" {
		m["dependencies"] = map[string]string{p.needs: "^1.0.0"}
	}
	return m
}

// document is what a registry says of a package.
func (p published) document(name string, port string) (map[string]any, error) {
	tarball, err := p.tarball(name)
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(tarball)
	version := p.manifest(name)
	version["dist"] = map[string]string{
		"tarball":   fmt.Sprintf("https://%s:%s/%s/-/%s-1.0.0.tgz", p.host, port, name, name),
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
	}
	return map[string]any{"name": name, "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{"1.0.0": version}}, nil
}

// listenRegistry is a registry of npm by HTTPS. The folder has its certificate and key; it is
// known by the name that it is asked for.
func listenRegistry(folder, addr string, failed chan<- error) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, rest, tarball := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/-/")
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		p := packages(host)[name]
		if p == nil || tarball && rest != name+"-1.0.0.tgz" {
			http.NotFound(w, r)
			return
		}
		var answer []byte
		if tarball {
			answer, err = p.tarball(name)
		} else {
			var document map[string]any
			if document, err = p.document(name, port); err == nil {
				answer, err = json.Marshal(document)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(answer)
	})}
	go func() {
		report(failed, server.ServeTLS(l, filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")))
	}()
	return nil
}
