package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
)

// The file format of bbolt (internal/common: meta.go, page.go, bucket.go),
// version 2, in the machine's byte order.
const (
	magic         = 0xED0CDAED
	formatVersion = 2

	pageHeader = 16 // id uint64, flags uint16, count uint16, overflow uint32
	metaSize   = 64 // the last 8 bytes are the checksum of those before
	rootHeader = 16 // page id uint64, sequence uint64
	element    = 16 // on branch and leaf pages

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketLeaf   = 0x01
	noFreelist   = ^uint64(0)
)

// pages is a walk over a file.
type pages struct {
	file *os.File
	// size is that of a page, in bytes.
	size uint64
	// end is the first page number that is not in use.
	end  uint64
	seen map[uint64]bool
}

// checkPages walks all pages that the newest transaction reaches and refuses
// what bbolt would fault or loop on: pages outside of the file, reached twice,
// of the wrong kind, or with elements outside of them. It reads the file
// instead of mapping it, since a fault in a mapping ends the process.
func checkPages(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return errors.New("damaged: it is empty")
	}
	m, err := newestMeta(f)
	if err != nil {
		return err
	}
	if m.pageSize == 0 || m.end > uint64(info.Size())/m.pageSize {
		return fmt.Errorf("damaged: it has %d bytes and should have at least %d", info.Size(), m.end*m.pageSize)
	}
	p := &pages{file: f, size: m.pageSize, end: m.end, seen: map[uint64]bool{0: true, 1: true}}
	if m.freelist != noFreelist {
		if err := p.checkFreelist(m.freelist); err != nil {
			return fmt.Errorf("damaged: free list at page %d: %w", m.freelist, err)
		}
	}
	return p.checkTree(m.root)
}

// meta is what the walk needs of a meta page.
type meta struct{ pageSize, root, freelist, end, txid uint64 }

// newestMeta returns the newest valid one of the two meta pages. One invalid
// page is what a crash in the middle of a transaction leaves; the transaction
// before it then holds.
func newestMeta(f *os.File) (meta, error) {
	var newest meta
	found := false
	first, ok := readMeta(f, 0)
	if ok {
		newest, found = first, true
	}
	// The second page is where the first says; without it, at one of the page
	// sizes there are.
	for size := uint64(1 << 10); size <= 1<<16; size <<= 1 {
		if ok && size != first.pageSize {
			continue
		}
		second, valid := readMeta(f, size)
		if valid && second.pageSize == size && (!found || second.txid > newest.txid) {
			newest, found = second, true
		}
	}
	if !found {
		return meta{}, errors.New("it is not a state file, or its start is damaged")
	}
	return newest, nil
}

func readMeta(f *os.File, offset uint64) (meta, bool) {
	b := make([]byte, pageHeader+metaSize)
	if _, err := f.ReadAt(b, int64(offset)); err != nil {
		return meta{}, false
	}
	b = b[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8])
	if u32(b) != magic || u32(b[4:]) != formatVersion || u64(b[metaSize-8:]) != h.Sum64() {
		return meta{}, false
	}
	return meta{
		pageSize: uint64(u32(b[8:])), root: u64(b[16:]),
		freelist: u64(b[32:]), end: u64(b[40:]), txid: u64(b[48:]),
	}, true
}

// page is one page with its overflow.
type page struct {
	flags uint16
	count int
	body  []byte // from the header on
}

// read returns a page that has not been reached before.
func (p *pages) read(id uint64) (page, error) {
	if id >= p.end {
		return page{}, fmt.Errorf("page %d is behind the last one, %d", id, p.end-1)
	}
	header := make([]byte, pageHeader)
	if _, err := p.file.ReadAt(header, int64(id*p.size)); err != nil {
		return page{}, err
	}
	overflow := uint64(u32(header[12:]))
	if u64(header) != id || overflow >= p.end-id {
		return page{}, fmt.Errorf("page %d has the header of another", id)
	}
	for i := id; i <= id+overflow; i++ {
		if p.seen[i] {
			return page{}, fmt.Errorf("page %d is in use twice", i)
		}
		p.seen[i] = true
	}
	body := make([]byte, (overflow+1)*p.size)
	if _, err := p.file.ReadAt(body, int64(id*p.size)); err != nil {
		return page{}, err
	}
	return newPage(body), nil
}

func newPage(body []byte) page {
	return page{flags: u16(body[8:]), count: int(u16(body[10:])), body: body}
}

func (p *pages) checkFreelist(id uint64) error {
	free, err := p.read(id)
	if err != nil {
		return err
	}
	list, count := free.body[pageHeader:], uint64(free.count)
	if free.count == 0xFFFF {
		// The number did not fit: it is the first entry.
		count = u64(list)
		list = list[8:]
	}
	if free.flags != freelistPage || count > uint64(len(list)/8) {
		return errors.New("it is none")
	}
	for i := range count {
		if n := u64(list[i*8:]); n < 2 || n >= p.end {
			return fmt.Errorf("page %d is not in the file", n)
		}
	}
	return nil
}

// checkTree walks the tree of a bucket and the buckets in it. The depth is
// bounded since no page is visited twice.
func (p *pages) checkTree(root uint64) error {
	node, err := p.read(root)
	if err == nil {
		err = node.checkElements()
	}
	if err != nil {
		return fmt.Errorf("damaged: page %d: %w", root, err)
	}
	if node.flags == leafPage {
		return p.checkLeaf(node)
	}
	for i := range node.count {
		if err := p.checkTree(u64(node.element(i)[8:])); err != nil {
			return err
		}
	}
	return nil
}

// checkLeaf follows the buckets that a leaf page holds: small ones lie in the
// value itself.
func (p *pages) checkLeaf(leaf page) error {
	for i := range leaf.count {
		e := leaf.element(i)
		if u32(e)&bucketLeaf == 0 {
			continue
		}
		_, value, _ := leaf.keyValue(i)
		if len(value) < rootHeader {
			return errors.New("damaged: a bucket has no header")
		}
		if root := u64(value); root != 0 {
			if err := p.checkTree(root); err != nil {
				return err
			}
			continue
		}
		if len(value) < rootHeader+pageHeader {
			return errors.New("damaged: a bucket has no page")
		}
		inner := newPage(value[rootHeader:])
		if err := inner.checkElements(); err != nil || inner.flags != leafPage {
			return errors.Join(errors.New("damaged: a small bucket"), err)
		}
		if err := p.checkLeaf(inner); err != nil {
			return err
		}
	}
	return nil
}

func (g page) element(i int) []byte { return g.body[pageHeader+i*element:][:element] }

// keyValue returns the key of element i, and on a leaf its value.
func (g page) keyValue(i int) (key, value []byte, err error) {
	e := g.element(i)
	at := uint64(pageHeader + i*element)
	position, keySize, valueSize := uint64(u32(e)), uint64(u32(e[4:])), uint64(0)
	if g.flags == leafPage {
		position, keySize, valueSize = uint64(u32(e[4:])), uint64(u32(e[8:])), uint64(u32(e[12:]))
	}
	start := at + position
	end := start + keySize + valueSize
	if end > uint64(len(g.body)) {
		return nil, nil, fmt.Errorf("element %d is outside of the page", i)
	}
	return g.body[start : start+keySize], g.body[start+keySize : end], nil
}

// checkElements checks that all elements are inside the page and in order.
func (g page) checkElements() error {
	if g.flags != leafPage && g.flags != branchPage {
		return fmt.Errorf("kind %#x is neither branch nor leaf", g.flags)
	}
	if pageHeader+g.count*element > len(g.body) || g.flags == branchPage && g.count == 0 {
		return fmt.Errorf("%d elements do not fit", g.count)
	}
	var before []byte
	for i := range g.count {
		key, _, err := g.keyValue(i)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(before, key) >= 0 {
			return fmt.Errorf("element %d is out of order", i)
		}
		before = key
	}
	return nil
}

func u16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }

func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

func u64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }
