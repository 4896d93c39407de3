package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

const (
	// partTime and partBytes bound one part, allBytes all of them.
	partTime  = 15 * time.Second
	partBytes = 4 << 20
	allBytes  = 32 << 20
	// folder is what the file unpacks to.
	folder = "gangway-support/"
)

// Part is one file of the archive.
type Part struct {
	// File is its path in the archive, What says what it is.
	File, What string
	// Collect writes it. What it has written before an error is kept.
	Collect func(ctx context.Context, to io.Writer) error
}

// Manifest says what an archive has, and what it lacks.
type Manifest struct {
	Version string    `json:"version"`
	Created time.Time `json:"created"`
	Parts   []Entry   `json:"parts"`
}

// Entry is about one part.
type Entry struct {
	File  string `json:"file"`
	What  string `json:"what"`
	Bytes int    `json:"bytes"`
	// Cut says that there was more.
	Cut bool `json:"cut,omitempty"`
	// Error is why it is missing, or not whole.
	Error string `json:"error,omitempty"`
}

// Failed lists the parts that are missing or not whole.
func (m Manifest) Failed() (all []Entry) {
	for _, e := range m.Parts {
		if e.Cut || e.Error != "" {
			all = append(all, e)
		}
	}
	return all
}

// Write collects parts one after the other, and writes them as a packed archive in their order,
// behind the manifest. An error is one of writing.
func Write(ctx context.Context, to io.Writer, version string, parts []Part) (Manifest, error) {
	m := Manifest{Version: version, Created: time.Now().UTC().Truncate(time.Second), Parts: []Entry{}}
	texts, room, secrets := make([][]byte, len(parts)), allBytes, newMasker()
	for i, p := range parts {
		e := Entry{File: p.File, What: p.What}
		text := bounded{room: min(partBytes, room)}
		if err := p.collect(ctx, &text); err != nil {
			e.Error = string(secrets.mask([]byte(err.Error())))
		}
		texts[i] = secrets.mask(text.Bytes())
		e.Bytes, e.Cut = len(texts[i]), text.cut
		room = max(0, room-e.Bytes)
		m.Parts = append(m.Parts, e)
	}
	packed := gzip.NewWriter(to)
	archive := tar.NewWriter(packed)
	add := func(name string, text []byte) error {
		err := archive.WriteHeader(&tar.Header{Name: folder + name, Mode: 0o600, Size: int64(len(text)), ModTime: m.Created, Format: tar.FormatPAX})
		if err == nil {
			_, err = archive.Write(text)
		}
		return err
	}
	listing, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if err := add("manifest.json", append(listing, '\n')); err != nil {
		return m, err
	}
	for i, p := range parts {
		if len(texts[i]) == 0 {
			continue
		}
		if err := add(p.File, texts[i]); err != nil {
			return m, err
		}
	}
	if err := archive.Close(); err != nil {
		return m, err
	}
	return m, packed.Close()
}

// collect is Collect within its time, also where that does not keep to it: then what it has
// written is left out.
func (p Part) collect(ctx context.Context, to *bounded) error {
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	text, done := bounded{room: to.room}, make(chan error, 1)
	go func() { done <- p.Collect(ctx, &text) }()
	select {
	case err := <-done:
		to.buf, to.cut = text.buf, text.cut
		return err
	case <-ctx.Done():
	}
	select { // who hears of the end may be about to return what there is
	case err := <-done:
		to.buf, to.cut = text.buf, text.cut
		return err
	case <-time.After(time.Second):
		return fmt.Errorf("not collected: %w", context.Cause(ctx))
	}
}

// bounded keeps the beginning of what is written. A buffer that is part of it would be
// written past its bound by io.Copy, by its ReadFrom.
type bounded struct {
	buf  bytes.Buffer
	room int
	cut  bool
}

func (b *bounded) Bytes() []byte { return b.buf.Bytes() }

func (b *bounded) Write(p []byte) (int, error) {
	if fits := b.room - b.buf.Len(); len(p) > fits {
		b.cut = true
		b.buf.Write(p[:fits])
	} else {
		b.buf.Write(p)
	}
	return len(p), nil
}
