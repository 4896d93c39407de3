package capture

import (
	"encoding/binary"
	"io"
	"time"
)

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng). Four kinds of blocks are less
// than their writer in gopacket/gopacket, whose tables of protocols make the program two
// megabytes larger.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1a2b3c4d

	optApplication = 4 // of a section
	optName        = 2 // of an interface
	optDescription = 3
	optResolution  = 9
	optFlags       = 2 // of a packet
	optStart       = 2 // of statistics
	optEnd         = 3
	optReceived    = 4
	optDropped     = 5 // where Wireshark looks for what the kernel has dropped
	optDelivered   = 8
)

// The direction of a packet, in its flags.
const (
	inbound  = 1
	outbound = 2
)

// linkEthernet is LINKTYPE_ETHERNET.
const linkEthernet = 1

// nanoseconds is the resolution of times, a power of ten.
const nanoseconds = 9

// statistics are what an interface's capture ends with.
type statistics struct {
	start, end                   time.Time
	received, dropped, delivered uint64
}

// pcapng writes blocks, each by one call. Readers learn the order of bytes from the section's
// magic number.
type pcapng struct {
	w   io.Writer
	buf []byte
}

func (p *pcapng) begin(kind uint32) {
	p.buf = binary.LittleEndian.AppendUint32(p.buf[:0], kind)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, 0)
}

// end writes the block. Its length stands in front and at the end.
func (p *pcapng) end() error {
	length := uint32(len(p.buf) + 4) //nolint:gosec // a packet with some options
	binary.LittleEndian.PutUint32(p.buf[4:], length)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, length)
	_, err := p.w.Write(p.buf)
	return err
}

// pad fills up to a multiple of four bytes.
func (p *pcapng) pad() {
	for len(p.buf)%4 != 0 {
		p.buf = append(p.buf, 0)
	}
}

func (p *pcapng) option(code uint16, value []byte) {
	value = value[:min(len(value), 1<<10)]
	p.buf = binary.LittleEndian.AppendUint16(p.buf, code)
	p.buf = binary.LittleEndian.AppendUint16(p.buf, uint16(len(value))) //nolint:gosec // bounded above
	p.buf = append(p.buf, value...)
	p.pad()
}

// lastOption ends a list of options.
func (p *pcapng) lastOption() { p.buf = append(p.buf, 0, 0, 0, 0) }

func (p *pcapng) section(application string) error {
	p.begin(blockSection)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, byteOrderMagic)
	p.buf = binary.LittleEndian.AppendUint16(p.buf, 1) // version 1.0
	p.buf = binary.LittleEndian.AppendUint16(p.buf, 0)
	p.buf = binary.LittleEndian.AppendUint64(p.buf, ^uint64(0)) // of unknown length
	p.option(optApplication, []byte(application))
	p.lastOption()
	return p.end()
}

// networkInterface describes the next interface; they are numbered from 0.
func (p *pcapng) networkInterface(name, description string, snaplen uint32) error {
	p.begin(blockInterface)
	p.buf = binary.LittleEndian.AppendUint16(p.buf, linkEthernet)
	p.buf = binary.LittleEndian.AppendUint16(p.buf, 0)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, snaplen)
	p.option(optName, []byte(name))
	p.option(optDescription, []byte(description))
	p.option(optResolution, []byte{nanoseconds})
	p.lastOption()
	return p.end()
}

// stamp is a time as blocks have it: the upper half first, whatever the order of bytes.
func (p *pcapng) stamp(b []byte, t time.Time) []byte {
	n := uint64(t.UnixNano()) //nolint:gosec // after 1970
	b = binary.LittleEndian.AppendUint32(b, uint32(n>>32))
	return binary.LittleEndian.AppendUint32(b, uint32(n)) //nolint:gosec // the lower half
}

func (p *pcapng) packet(f frame) error {
	p.begin(blockPacket)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, f.link)
	p.buf = p.stamp(p.buf, f.at)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(len(f.data))) //nolint:gosec // up to the snap length
	p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(f.length))    //nolint:gosec // of a frame
	p.buf = append(p.buf, f.data...)
	p.pad()
	p.option(optFlags, binary.LittleEndian.AppendUint32(nil, f.direction))
	p.lastOption()
	return p.end()
}

func (p *pcapng) statistics(link uint32, s statistics) error {
	p.begin(blockStatistics)
	p.buf = binary.LittleEndian.AppendUint32(p.buf, link)
	p.buf = p.stamp(p.buf, s.end)
	p.option(optStart, p.stamp(nil, s.start))
	p.option(optEnd, p.stamp(nil, s.end))
	p.option(optReceived, binary.LittleEndian.AppendUint64(nil, s.received))
	p.option(optDropped, binary.LittleEndian.AppendUint64(nil, s.dropped))
	p.option(optDelivered, binary.LittleEndian.AppendUint64(nil, s.delivered))
	p.lastOption()
	return p.end()
}
