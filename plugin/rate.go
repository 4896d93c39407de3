package plugin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"
	"github.com/sirupsen/logrus"
)

// Rates changes how much containers get and send. Package driver's Driver is the real one.
type Rates interface {
	// SetRate changes the rates of an endpoint while its container runs; nil leaves one as it
	// is, and an empty text is the network's.
	SetRate(ctx context.Context, networkID, endpointID string, in, out *string) error
}

// RateRequest asks for other rates of an endpoint. It is sent with POST: the one path of the
// admin API by which something changes.
type RateRequest struct {
	NetworkID  string `json:"network"`
	EndpointID string `json:"endpoint"`
	// In and Out are rates as in the options of the same names; without one it stays as it
	// is, and an empty one is the network's.
	In  *string `json:"in,omitempty"`
	Out *string `json:"out,omitempty"`
}

// routeRate changes rates. It is a call as those of the engine are: bounded, undone if it
// fails, and told in the log.
func (s *Server) routeRate(h sdk.Handler) {
	if s.o.Rates == nil {
		return
	}
	v := verb[RateRequest, none]{op: "rate", do: func(ctx context.Context, r *RateRequest) (*none, error) {
		return nil, s.o.Rates.SetRate(ctx, r.NetworkID, r.EndpointID, r.In, r.Out)
	}}
	h.HandleFunc(AdminPath+v.op, func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		var req RateRequest
		err := decode(w, r, false, &req)
		if err == nil {
			_, err = run(s, v, &req)
		}
		entry := s.o.Log.WithFields(logrus.Fields{"op": v.op, "dur": time.Since(started).Round(time.Microsecond)})
		logOutcome(entry.WithFields(subject{net: req.NetworkID, ep: req.EndpointID}.fields()), err, true)
		var bad *requestError
		switch {
		case errors.As(err, &bad):
			adminJSON(w, bad.status, ErrorBody{Error: err.Error()})
		case err != nil:
			adminJSON(w, http.StatusInternalServerError, ErrorBody{Error: s.o.Names.Text(err.Error())})
		default:
			adminJSON(w, http.StatusOK, none{})
		}
	})
}
