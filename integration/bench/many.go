package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// call asks the engine's API and decodes the answer into into, unless that is
// nil. The docker command is left out where many calls are timed: it takes
// more than they do.
func (r *rig) call(method, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://docker"+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.api.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// object is a JSON object.
type object map[string]any

// parallel measures how long it takes until containers that are started at once
// all run, each with one published port, and until all are removed; and what of that is
// the processor time of the daemon.
func (r *rig) parallel(t testing.TB, m mode, to *Results) {
	for round := range m.parallelRounds {
		for _, v := range turns(Variants(), round) {
			r.with(t, v, func() {
				for _, n := range m.containers {
					ids := r.createAll(t, n)
					r.allAtOnce(t, to, "start", ids, func(id string) error { return r.call("POST", "/containers/"+id+"/start", nil, nil) })
					r.allAtOnce(t, to, "remove", ids, func(id string) error { return r.call("DELETE", "/containers/"+id+"?force=1", nil, nil) })
				}
			})
		}
	}
}

// allAtOnce measures one call for all containers.
func (r *rig) allAtOnce(t testing.TB, to *Results, name string, ids []string, f func(id string) error) {
	t.Helper()
	used := func() time.Duration {
		if r.daemon == nil {
			return 0
		}
		c := r.daemon.cpu(t)
		return c.user + c.system
	}
	before, start := used(), time.Now()
	r.each(t, ids, f)
	figure := Figure{Part: partParallel, Name: name, N: len(ids), Variant: r.active.Name, Unit: "s"}
	to.add(figure, time.Since(start).Seconds())
	if r.daemon != nil {
		figure.Name += ", processor time of the daemon"
		to.add(figure, (used() - before).Seconds())
	}
}

func (r *rig) createAll(t testing.TB, n int) []string {
	t.Helper()
	var ids []string
	for i := range n {
		port := strconv.Itoa(20000 + i)
		var made struct{ ID string }
		err := r.call("POST", "/containers/create", object{
			"Image": harness.Image, "Cmd": []string{"sleep", "1000000"},
			"ExposedPorts": object{port + "/tcp": object{}},
			"HostConfig": object{
				"NetworkMode":  network,
				"PortBindings": object{port + "/tcp": []object{{"HostPort": port}}},
			},
		}, &made)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID)
	}
	return ids
}

// each calls f for all ids at once.
func (r *rig) each(t testing.TB, ids []string, f func(id string) error) {
	t.Helper()
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = f(id)
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%s: %v", r.active.Name, err)
	}
}

// networks measures creating and removing many networks, one after the other:
// all of them, and the last tenth by itself.
func (r *rig) networks(t testing.TB, m mode, to *Results) {
	for _, v := range Variants() {
		r.activate(t, v)
		took := func(name string, f func(i int) error) {
			var each []float64
			for i := range m.networks {
				start := time.Now()
				if err := f(i); err != nil {
					t.Fatalf("%s: network %d: %v", v.Name, i, err)
				}
				each = append(each, time.Since(start).Seconds()*1e3)
			}
			tenth := len(each) / 10
			for part, of := range map[string][]float64{"first tenth": each[:tenth], "last tenth": each[len(each)-tenth:], "all": each} {
				to.add(Figure{Part: partNetworks, Name: name + ", " + part, N: m.networks, Variant: v.Name, Unit: "ms"}, median(of))
			}
		}
		took("create", func(i int) error {
			return r.createNetwork("bench"+strconv.Itoa(i), subnet(i))
		})
		took("remove", func(i int) error { return r.call("DELETE", "/networks/bench"+strconv.Itoa(i), nil, nil) })
		r.deactivate(t)
	}
}

// createNetwork creates a network of the variant whose turn it is.
func (r *rig) createNetwork(name string, of netip.Prefix) error {
	return r.call("POST", "/networks/create", object{
		"Name": name, "Driver": r.driver, "IPAM": object{"Config": []object{{"Subnet": of.String()}}},
	}, nil)
}

// subnet is the i-th /24 of 10.64.0.0/10.
func subnet(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + i>>8), byte(i), 0}), 24)
}
