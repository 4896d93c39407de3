// Package capture writes what passes a container's interface as pcapng, which tcpdump and
// Wireshark read.
//
// It listens at the host's end of the veth pair with a packet socket (packet(7)): nothing
// is installed or run in the container, and what its port filter drops is seen as well.
// Directions are the container's: what it sends comes in at the host's end.
//
// Invariant: what is written is complete blocks, in a file that ends with the number of
// packets that the kernel has dropped, however the capture ends, unless the reader has gone.
//
// The package refuses to filter and to decode: what reads the file does that. It changes
// nothing in the kernel but its own sockets.
package capture
