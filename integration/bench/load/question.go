package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// question asks for the address of a name, one question after the other's answer.
func question(name string, to unix.Sockaddr, count int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeSocket(fd)
	tv := unix.NsecToTimeval(int64(4 * time.Second))
	if err = errors.Join(unix.Connect(fd, to), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)); err != nil {
		return err
	}
	asked := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // recursion desired, one question
	for label := range strings.SplitSeq(name, ".") {
		asked = append(append(asked, byte(len(label))), label...)
	}
	asked = append(asked, 0, 0, 1, 0, 1) // A, IN
	var all []float64
	answer := make([]byte, 512)
	start := time.Now()
	for n := range count {
		id := uint16(n + 1) //nolint:gosec // some hundred
		binary.BigEndian.PutUint16(asked, id)
		begun := time.Now()
		if _, err = unix.Write(fd, asked); err != nil {
			return fmt.Errorf("question: %w", err)
		}
		size := 0
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			size, err = unix.Read(fd, answer)
		}
		if err != nil || size < len(asked) || binary.BigEndian.Uint16(answer) != id || answer[3]&0xf != 0 || answer[7] == 0 {
			return fmt.Errorf("question: no answer: %x %w", answer[:max(size, 0)], err)
		}
		all = append(all, micros(begun))
	}
	return report(all, float64(len(all))/time.Since(start).Seconds())
}
