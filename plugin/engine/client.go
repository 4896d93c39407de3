package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gangway-net/gangway/driver"
)

// askTime bounds one question. An engine that starts does not answer, one that is
// busy takes its time.
const askTime = 20 * time.Second

// maxAnswer bounds what is read of an answer, in bytes; a network takes about one
// kilobyte.
const maxAnswer = 64 << 20

// Client asks the engine behind an API socket. It asks for lists and events only, which
// every API version has: the engine's client library knows hundreds of calls, and
// brings more code than the rest of gangway has.
type Client struct {
	http *http.Client
	// stream is for answers that do not end.
	stream *http.Client
	wake   *wake
}

// NewClient returns a client that connects to the unix socket at each question.
func NewClient(socket string) *Client {
	c := &Client{wake: &wake{socket: socket}}
	transport := &http.Transport{
		DisableKeepAlives:     true, // minutes pass between questions
		ResponseHeaderTimeout: askTime,
		DialContext:           c.wake.dial,
	}
	c.http = &http.Client{Timeout: askTime, Transport: transport}
	streaming := transport.Clone()
	streaming.DialContext = c.wake.listen
	streaming.DisableKeepAlives = false
	streaming.ResponseHeaderTimeout = 0 // an engine that starts takes its time, and is not asked twice
	c.stream = &http.Client{Transport: streaming}
	return c
}

// Networks returns the engine's networks. It is known by the id of its network of
// the driver "host", which an engine makes once and keeps with all others; a list
// without that is of an engine that ends, and an error.
func (c *Client) Networks(ctx context.Context) (listed driver.Inventory, err error) {
	err = c.get(ctx, "/networks", func(body io.Reader) error {
		listed, err = readNetworks(body)
		return err
	})
	return listed, err
}

// readNetworks reads the answer of NetworkList (Engine API).
func readNetworks(body io.Reader) (driver.Inventory, error) {
	var all []struct{ ID, Name, Driver string }
	if err := json.NewDecoder(body).Decode(&all); err != nil {
		return driver.Inventory{}, err
	}
	listed := driver.Inventory{Networks: map[string]string{}}
	for _, n := range all {
		listed.Networks[n.ID] = n.Name
		if n.Driver == "host" {
			listed.Engine = n.ID
		}
	}
	if listed.Engine == "" {
		return driver.Inventory{}, errors.New("the list of networks is not complete: it lacks the network host")
	}
	return listed, nil
}

// Addresses returns the addresses that are in use on one of the engine's networks:
// those of containers, gateways, and what the user keeps for others.
func (c *Client) Addresses(ctx context.Context, networkID string) (addrs []netip.Addr, err error) {
	err = c.get(ctx, "/networks/"+networkID, func(body io.Reader) error {
		addrs, err = readAddresses(body)
		return err
	})
	return addrs, err
}

// readAddresses reads the answer of NetworkInspect (Engine API).
func readAddresses(body io.Reader) ([]netip.Addr, error) {
	var n struct {
		IPAM struct {
			Config []struct {
				Gateway            string
				AuxiliaryAddresses map[string]string
			}
		}
		Containers map[string]struct{ IPv4Address, IPv6Address string }
	}
	if err := json.NewDecoder(body).Decode(&n); err != nil {
		return nil, err
	}
	var texts []string
	for _, pool := range n.IPAM.Config {
		texts = append(texts, pool.Gateway)
		for _, text := range pool.AuxiliaryAddresses {
			texts = append(texts, text)
		}
	}
	for _, on := range n.Containers {
		texts = append(texts, on.IPv4Address, on.IPv6Address)
	}
	var out []netip.Addr
	for _, text := range texts {
		text, _, _ = strings.Cut(text, "/")
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}

// get asks for a path and has the answer read.
func (c *Client) get(ctx context.Context, path string, read func(body io.Reader) error) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	if err := read(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}
