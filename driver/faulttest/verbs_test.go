package faulttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/wiring"
)

const (
	network  = "aaaaaaaaaaaa1111"
	endpoint = "eeeeeeeeeeee1111"
)

// verb is one step of a container's life.
type verb struct {
	name string
	run  func(ctx context.Context, w *world) error
	// back leads from the state after the verb to the one before it.
	back func(ctx context.Context, w *world) error
	// down says that the verb takes something away: it goes on past errors.
	down bool
}

func createNetwork(ctx context.Context, w *world) error {
	return w.CreateNetwork(ctx, networkRequest(network, 0))
}

func createEndpoint(ctx context.Context, w *world) error {
	_, err := w.CreateEndpoint(ctx, endpointRequest(network, endpoint, 0, 2))
	return err
}

func join(ctx context.Context, w *world) error {
	_, err := w.Join(ctx, network, endpoint, "/netns/1", nil)
	return err
}

func publish(ctx context.Context, w *world) error {
	return w.Publish(ctx, network, endpoint, ports(8080, 80, 9090, 90))
}

func publishOthers(ctx context.Context, w *world) error {
	return w.Publish(ctx, network, endpoint, ports(9090, 91, 7070, 70))
}

func unpublish(ctx context.Context, w *world) error { return w.Unpublish(ctx, network, endpoint) }

func leave(ctx context.Context, w *world) error { return w.Leave(ctx, network, endpoint) }

func deleteEndpoint(ctx context.Context, w *world) error {
	return w.DeleteEndpoint(ctx, network, endpoint)
}

// unjoin undoes join: an endpoint that left has its link still.
func unjoin(ctx context.Context, w *world) error {
	return errors.Join(leave(ctx, w), deleteEndpoint(ctx, w), createEndpoint(ctx, w))
}

// createLeft undoes the deletion of an endpoint that left.
func createLeft(ctx context.Context, w *world) error {
	return errors.Join(createEndpoint(ctx, w), join(ctx, w), leave(ctx, w))
}

func deleteNetwork(ctx context.Context, w *world) error { return w.DeleteNetwork(ctx, network) }

// nameOwner has an engine name the network as its own, and disown has nobody.
func nameOwner(ctx context.Context, w *world) error {
	_, _, err := w.NoteInventory(ctx, driver.Inventory{Engine: "engine", Networks: map[string]string{network: "n"}})
	return err
}

func disown(ctx context.Context, w *world) error {
	return errors.Join(deleteNetwork(ctx, w), createNetwork(ctx, w))
}

func createNamed(ctx context.Context, w *world) error {
	return errors.Join(createNetwork(ctx, w), nameOwner(ctx, w))
}

func forget(ctx context.Context, w *world) error {
	_, err := w.Forget(ctx, network)
	return err
}

func verbs() []verb {
	return []verb{
		{"create network", createNetwork, deleteNetwork, false},
		{"name the owner", nameOwner, disown, false},
		{"create endpoint", createEndpoint, deleteEndpoint, false},
		{"join", join, unjoin, false},
		{"publish", publish, unpublish, false},
		{"publish others", publishOthers, publish, false},
		{"unpublish", unpublish, publishOthers, true},
		{"leave", leave, join, true},
		{"delete endpoint", deleteEndpoint, createLeft, true},
		{"delete network", deleteNetwork, createNamed, true},
		{"create network again", createNetwork, deleteNetwork, false},
		{"forget network", forget, createNetwork, true},
	}
}

// TestUnfinishedPair: a pair that a kill left before it had its alias goes with its
// endpoint, whatever the engine does next.
func TestUnfinishedPair(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		do(t, w, "create network", createNetwork)
		do(t, w, "create endpoint", createEndpoint)
		left := w.picture(t)
		do(t, w, "join", join)
		w.close()
		host := "gv-" + endpoint[:12]
		sh(t, "ip link set "+host+" nomaster down; ip link set "+host+" alias ''; tc qdisc del dev "+host+" ingress")
		w = mustOpen(t, backend, dir)
		defer w.close()
		same(t, "after the start", left, w.picture(t))
		do(t, w, "join again", join)
		w.sound(t, "at the end")
	})
}

// do runs a step that has to succeed.
func do(t *testing.T, w *world, what string, step func(context.Context, *world) error) {
	t.Helper()
	if err := step(t.Context(), w); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// eachBackend runs a test with every firewall in a world of its own, which has
// to be empty again at the end.
func eachBackend(t *testing.T, test func(t *testing.T, backend, dir string)) {
	for _, backend := range wiring.Backends() {
		t.Run(backend, func(t *testing.T) {
			warmUp(t)
			dir := t.TempDir()
			w := mustOpen(t, backend, dir)
			w.sound(t, "at the start")
			empty := w.picture(t)
			w.close()
			test(t, backend, dir)
			w = mustOpen(t, backend, dir)
			defer w.close()
			if err := w.DeleteNetwork(t.Context(), network); err != nil {
				t.Fatal(err)
			}
			warmUp(t)
			same(t, "left behind at the end", empty, w.picture(t))
		})
	}
}

// TestFaultAtEveryOperation fails every operation of every verb, and loses its
// answer. A verb that builds leaves everything as it was, one that takes away
// leaves, at the latest after the next comparison, what it leaves without a
// fault. Then it succeeds.
func TestFaultAtEveryOperation(t *testing.T) {
	count := 0
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer w.close()
		for _, v := range verbs() {
			before, after := both(t, w, v)
			for _, k := range []kind{fails, answers} {
				for n := 1; ; n += stride() {
					w.faults.set(n, k, 0)
					err := v.run(t.Context(), w)
					what, hit := w.faults.hit()
					w.faults.set(0, fails, 0)
					if !hit {
						do(t, w, "back from "+v.name, v.back)
						break
					}
					count++
					at := fmt.Sprintf("%s, fault %d/%d at %s", v.name, n, k, what)
					if err == nil || !errors.Is(err, errInjected) || !strings.Contains(err.Error(), what) {
						t.Fatalf("%s: the error does not say so: %v", at, err)
					}
					recovers(t, w, v, at, before, after)
					do(t, w, "back from "+v.name, v.back)
				}
			}
			do(t, w, v.name, v.run)
		}
	})
	t.Logf("%d faults injected", count)
}

// both returns the pictures before and after a verb, and goes back to before.
func both(t *testing.T, w *world, v verb) (before, after string) {
	t.Helper()
	before = w.picture(t)
	do(t, w, v.name, v.run)
	after = w.picture(t)
	do(t, w, "back from "+v.name, v.back)
	same(t, "going back and forth", before, w.picture(t))
	return before, after
}

// recovers looks at what a failed verb left, and repeats it.
func recovers(t *testing.T, w *world, v verb, at, before, after string) {
	t.Helper()
	if !v.down {
		same(t, at+": not as before", before, w.picture(t))
		w.sound(t, at)
	}
	if err := v.run(t.Context(), w); err != nil {
		t.Fatalf("%s, repeated: %v", at, err)
	}
	w.Reconcile(t.Context())
	same(t, at+": repeated", after, w.picture(t))
	w.sound(t, at)
}

// TestDeadlineAtEveryStep ends the time of every verb at every step at which
// something asks for it.
func TestDeadlineAtEveryStep(t *testing.T) {
	count := 0
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer w.close()
		for _, v := range verbs() {
			before, after := both(t, w, v)
			for n := 1; ; n += stride() {
				ctx := expireAt(t.Context(), n)
				err := v.run(ctx, w)
				if !ctx.over() {
					break // the verb has been done, which leads to the next one
				}
				count++
				at := fmt.Sprintf("%s, time over at step %d (%v)", v.name, n, err)
				if err != nil {
					recovers(t, w, v, at, before, after)
				}
				do(t, w, "back from "+v.name, v.back)
			}
		}
	})
	t.Logf("%d deadlines", count)
}

// TestKilledAtEveryOperation kills the process before every operation of every
// verb, and at times in the middle of them. The next one finds everything as
// before or after the verb, and the repeated verb succeeds.
func TestKilledAtEveryOperation(t *testing.T) {
	count := 0
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		for i, v := range verbs() {
			_, after := both(t, w, v)
			for n, hit := 1, true; hit; n += stride() {
				for _, late := range lateness(backend) {
					w.close()
					hit = die(t, job{backend, dir, i, n, late})
					w = mustOpen(t, backend, dir)
					if !hit {
						break // the verb has been done, which leads to the next one
					}
					count++
					at := fmt.Sprintf("%s, killed %s into operation %d", v.name, late, n)
					w.sound(t, at)
					do(t, w, at+", repeated", v.run)
					same(t, at+": repeated", after, w.picture(t))
					do(t, w, "back from "+v.name, v.back)
				}
			}
		}
	})
	t.Logf("%d times killed", count)
}

// lateness is how far into an operation the process is killed.
func lateness(backend string) []time.Duration {
	switch {
	case long():
		return []time.Duration{0, 100 * time.Microsecond, 300 * time.Microsecond, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond}
	case backend == "nftables":
		return []time.Duration{0, 500 * time.Microsecond}
	}
	return []time.Duration{0}
}

// stride is how far it is from one operation that fails to the next: each is tried, in short every third.
func stride() int {
	if testing.Short() {
		return 3
	}
	return 1
}

// long says whether the tests may take many minutes.
func long() bool { return os.Getenv("GANGWAY_TEST_LONG") != "" }

// jobEnv tells a second run of the test binary in which verb it is to die.
const jobEnv = "GANGWAY_FAULTTEST_JOB"

type job struct {
	backend, dir string
	verb, n      int
	late         time.Duration
}

// die runs a verb in another process that is killed at operation n, or late
// into it. It returns false if the verb has fewer operations.
func die(t *testing.T, j job) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %d %d", jobEnv, j.backend, j.dir, j.verb, j.n, j.late))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return true
	}
	t.Fatalf("job %+v: %v\n%s", j, err, out)
	return false
}

// doomed is the other process. It ends with 0 if it was not killed.
func doomed(text string) (code int) {
	var j job
	if _, err := fmt.Sscanf(text, "%s %s %d %d %d", &j.backend, &j.dir, &j.verb, &j.n, &j.late); err != nil {
		fmt.Println(err)
		return 1
	}
	run := doomedVerb
	if j.backend == addressJob {
		run = doomedCall
	}
	if err := run(j); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func doomedVerb(j job) error {
	w, err := open(context.Background(), j.backend, j.dir)
	if err != nil {
		return err
	}
	k := killed
	if j.late > 0 {
		k = interval
	}
	w.faults.set(j.n, k, j.late)
	if err := doomable()[j.verb].run(context.Background(), w); err != nil {
		return err
	}
	if _, hit := w.faults.hit(); hit {
		end() // the operation was faster than the death
	}
	return nil
}
