package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/firewall"
)

// Drops tells what was refused. Package driver's Driver is the real one.
type Drops interface {
	Dropped(ctx context.Context) []driver.Dropped
	// Decisions lists what entries of policies have decided: of a network, of an endpoint, or
	// of all.
	Decisions(ctx context.Context, of string) ([]driver.Decisions, error)
	// FollowDrops hands packets to take as they are refused, until ctx ends. It calls
	// started when it has begun to hear of them.
	FollowDrops(ctx context.Context, started func() error, take func(driver.DroppedPacket) error) error
}

// Dropped is how many packets were refused at one place, with the names.
type Dropped struct {
	driver.Dropped
	Whose
}

// Decisions are what the entries of one policy have decided, with the names.
type Decisions struct {
	driver.Decisions
	Whose
}

// DroppedPacket is one packet that was refused, with the names.
type DroppedPacket struct {
	Time     time.Time          `json:"time"`
	Reason   firewall.Reason    `json:"reason"`
	By       driver.PolicyEntry `json:"by,omitzero"`
	Protocol string             `json:"protocol,omitempty"`
	From     Party              `json:"from"`
	To       Party              `json:"to"`
	// Name is the one that was asked for, of a question for a name.
	Name string `json:"name,omitempty"`
	Lost uint64 `json:"lost,omitempty"`
}

// PolicyOf says whose policy an entry is of that has refused something: "gangway.egress=deny of
// network agents". It is empty for none.
func (w Whose) PolicyOf(by driver.PolicyEntry, networkID, endpointID string) string {
	switch {
	case by == (driver.PolicyEntry{}):
		return ""
	case by.Own:
		return by.String() + " of container " + cmp.Or(w.ContainerName, short(w.ContainerID), short(endpointID))
	}
	return by.String() + " of network " + cmp.Or(w.NetworkName, short(networkID))
}

// ByPolicy is what the policy that has refused a packet says, and whose it is: of the container
// that has sent it, or of the one that was to get it.
func (p DroppedPacket) ByPolicy() string {
	of := p.From
	if p.By.Incoming() {
		of = p.To
	}
	return of.PolicyOf(p.By, of.NetworkID, of.EndpointID)
}

// Party is who has sent a packet or was to get it.
type Party struct {
	driver.Party
	Whose
}

// FollowDropsQuery is the name and query by which the admin API is asked for packets as they
// are refused: one JSON object a line.
const FollowDropsQuery = "drops?follow"

// linesType is the type of that answer.
const linesType = "application/x-ndjson"

// lineTime is how long a reader has to take a line, before it is given up.
const lineTime = time.Minute

// routeDrops answers with what was refused.
func (s *Server) routeDrops(h sdk.Handler) {
	if s.o.Drops == nil && s.o.Refuse == nil {
		return
	}
	sums := s.adminAnswer(func(ctx context.Context) (any, error) {
		out := []Dropped{}
		for _, d := range s.o.Drops.Dropped(ctx) {
			out = append(out, Dropped{d, s.whose(d.NetworkID, d.EndpointID)})
		}
		return out, nil
	})
	h.HandleFunc(AdminPath+"decisions", getOnly(func(w http.ResponseWriter, r *http.Request) {
		of := r.URL.Query().Get("of")
		s.adminAnswer(func(ctx context.Context) (any, error) { return s.Decisions(ctx, of) })(w, r)
	}))
	h.HandleFunc(AdminPath+"drops", getOnly(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("follow") {
			s.followDrops(w, r)
			return
		}
		sums(w, r)
	}))
}

// Decisions lists what entries of policies have decided: of a network, of an endpoint, or of
// all.
func (s *Server) Decisions(ctx context.Context, of string) ([]Decisions, error) {
	out := []Decisions{}
	if s.o.Drops == nil {
		return out, nil
	}
	all, err := s.o.Drops.Decisions(ctx, of)
	for _, d := range all {
		out = append(out, Decisions{d, s.whose(d.NetworkID, d.EndpointID)})
	}
	return out, err
}

// followDrops writes packets until the reader has gone, or the daemon stops.
func (s *Server) followDrops(w http.ResponseWriter, r *http.Request) {
	s.streamLines(w, r, func(ctx context.Context, started func() error, line func(any) error) error {
		return s.o.Drops.FollowDrops(ctx, started, func(p driver.DroppedPacket) error { return line(s.packet(p)) })
	})
}

// streamLines answers with what is said from when it has started on, a JSON object a line, until the
// reader has gone, or the daemon stops.
func (s *Server) streamLines(w http.ResponseWriter, r *http.Request, say func(ctx context.Context, started func() error, line func(any) error) error) {
	ctx, cancel := s.untilStopping(r.Context())
	defer cancel()
	wait, stop := context.WithTimeout(ctx, s.o.VerbTime)
	err := s.waitReady(wait)
	stop()
	if err != nil {
		adminJSON(w, http.StatusServiceUnavailable, ErrorBody{Error: err.Error()})
		return
	}
	// The times of the server are for answers that end.
	conn := http.NewResponseController(w)
	if err = conn.SetReadDeadline(time.Time{}); err != nil {
		adminJSON(w, http.StatusInternalServerError, ErrorBody{Error: err.Error()})
		return
	}
	begun := false
	started := func() error {
		begun = true
		w.Header().Set("Content-Type", linesType)
		w.WriteHeader(http.StatusOK)
		return lineOf(conn, func() error { return nil })
	}
	lines := json.NewEncoder(w)
	err = say(ctx, started, func(v any) error {
		return lineOf(conn, func() error { return lines.Encode(v) })
	})
	if err != nil && !begun {
		adminJSON(w, http.StatusInternalServerError, ErrorBody{Error: s.o.Names.Text(err.Error())})
	}
}

// lineOf writes a line for which the reader has some time.
func lineOf(conn *http.ResponseController, write func() error) error {
	if err := conn.SetWriteDeadline(time.Now().Add(lineTime)); err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	return conn.Flush()
}

func (s *Server) packet(p driver.DroppedPacket) DroppedPacket {
	party := func(p driver.Party) Party { return Party{p, s.whose(p.NetworkID, p.EndpointID)} }
	return DroppedPacket{p.Time, p.Reason, p.By, p.Protocol, party(p.From), party(p.To), p.Name, p.Lost}
}
