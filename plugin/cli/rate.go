package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
)

const rateLong = `Show how much containers get and send in a second at most, or change it while
a container runs.

IN is what the container gets, OUT what it sends: "none", or a rate and a burst
as tc writes them, such as "100mbit" or "100mbit/1mb" (bit, kbit, mbit, gbit and
tbit are bits, bps and its multiples bytes; 64k, 1mb and others of a burst are
binary). With --in and --out the command changes it; "default" stands for what
the network has. On several networks --network says on which.

What is changed so holds until the container stops, also over restarts of the
daemon. For longer give the container gangway.rate.in and gangway.rate.out
(docs/rate.md).

` + aboutNames + `

Values for --format: .Container, .ContainerID, .ID, .Network, .NetworkID, .In,
.Out.`

// rateFlags are those of gangway rate.
type rateFlags struct{ in, out string }

func rateView() view {
	return view{
		headers: row{"Container": "CONTAINER", "ContainerID": "CONTAINER ID", "ID": "ENDPOINT ID", "Network": "NETWORK", "NetworkID": "NETWORK ID", "In": "IN", "Out": "OUT"},
		short:   `{{.Container}}\t{{.Network}}\t{{.In}}\t{{.Out}}`,
		long:    `{{.Container}}\t{{.ContainerID}}\t{{.ID}}\t{{.Network}}\t{{.NetworkID}}\t{{.In}}\t{{.Out}}`,
	}
}

func rateCommand() command {
	return command{
		use: "rate [CONTAINER]", short: "Show or change how much a container gets and sends in a second", long: rateLong,
		lists: &lists{argument: true, network: true, complete: containerNames, flags: func(f *pflag.FlagSet, q *query) {
			f.StringVar(&q.rate.in, "in", "", "from now on the container gets at most this `RATE`")
			f.StringVar(&q.rate.out, "out", "", "from now on the container sends at most this `RATE`")
		}}, run: runRate,
	}
}

func runRate(ctx context.Context, q query) error {
	if q.rate != (rateFlags{}) {
		if err := q.changeRate(ctx); err != nil {
			return err
		}
	}
	l, err := q.wantedEndpoints(ctx)
	if err != nil {
		return err
	}
	if q.json {
		return l.printRaw(q)
	}
	sortEndpoints(l.list)
	var rows []row
	for _, e := range l.list {
		rows = append(rows, row{
			"Container": q.name(e.ContainerName, e.ID), "ContainerID": dash(q.id(e.ContainerID)), "ID": q.id(e.ID),
			"Network": q.name(e.NetworkName, e.NetworkID), "NetworkID": q.id(e.NetworkID), "In": dash(e.RateIn), "Out": dash(e.RateOut),
		})
	}
	return q.show(rateView(), rows)
}

// changeRate has the daemon change the rates of one container on one network.
func (q query) changeRate(ctx context.Context) error {
	if q.want.argument == "" {
		return errors.New("name the container whose rate is to change, as in \"gangway rate web --in 100mbit\"")
	}
	l, err := q.wantedEndpoints(ctx)
	if err != nil {
		return err
	}
	if len(l.list) != 1 {
		return fmt.Errorf("container %q has %d places on networks: say with --network which one", q.want.argument, len(l.list))
	}
	r := plugin.RateRequest{NetworkID: l.list[0].NetworkID, EndpointID: l.list[0].ID}
	for _, d := range []struct {
		flag, text string
		to         **string
	}{{"in", q.rate.in, &r.In}, {"out", q.rate.out, &r.Out}} {
		switch d.text {
		case "":
			continue
		case "default":
			d.text = ""
		}
		if _, err = config.ParseRate(d.text); err != nil {
			return fmt.Errorf("--%s: %q %w", d.flag, d.text, err)
		}
		*d.to = &d.text
	}
	_, err = q.send(ctx, http.MethodPost, "rate", r, &struct{}{})
	return err
}
