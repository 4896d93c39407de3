package upgrade

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/plugin/store"
)

var (
	keep = flag.String("keep", "", "keep what a version leaves as testdata of that name")
	with = flag.String("program", "", "the program that -keep is about; today's if empty")
)

func TestMain(m *testing.M) { nstest.Main(m) }

// stateFile is the program's, of those that it has the one that every version has. In
// a folder of testdata they are packed.
const (
	stateFile = "gangway.db"
	packed    = ".gz"
)

// bootID tells one boot of the host from another.
const bootID = "/proc/sys/kernel/random/boot_id"

// The boots of the host.
const (
	thatBoot  = "00000000-0000-4000-8000-000000000001"
	otherBoot = "00000000-0000-4000-8000-000000000002"
)

// setBoot has the programs see a boot of the host.
func setBoot(t *testing.T, id string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "boot_id")
	if err := os.WriteFile(path, []byte(id+"\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(path, bootID, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(bootID, 0); err != nil {
			t.Error(err)
		}
	})
}

func todays(t *testing.T) string {
	t.Helper()
	path, err := today()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKeep writes testdata for a version; without -keep it only shows that the
// calls work.
func TestKeep(t *testing.T) {
	setBoot(t, thatBoot)
	path := *with
	if path == "" {
		path = todays(t)
	}
	dir := t.TempDir()
	if *keep != "" {
		dir = filepath.Join("testdata", *keep)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	nstest.Do(t, func() {
		state := t.TempDir()
		prepare(t)
		p := start(t, path, state)
		calls := create(t, p, *with != "")
		p.stop(t)
		keepKernel(t, dir)
		writeCalls(t, dir, calls)
		for _, file := range files(t, state, "*.db") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := io.WriteString(z, read(t, state, file)); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			write(t, dir, file+packed, b.String())
		}
	})
}

// files returns the names of a folder's files that match.
func files(t *testing.T, dir, pattern string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s holds no %s (%v)", dir, pattern, err)
	}
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// eachVersion runs a test for each folder of testdata.
func eachVersion(t *testing.T, test func(t *testing.T, dir string)) {
	dirs, err := filepath.Glob("testdata/*/" + stateFile + packed)
	if err != nil || len(dirs) < 3 {
		t.Fatalf("testdata holds %v (%v)", dirs, err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) { test(t, dir) })
	}
}

// unpacked puts kept state files into a folder of their own.
func unpacked(t *testing.T, dir string) (state string) {
	t.Helper()
	state = t.TempDir()
	for _, file := range files(t, dir, "*.db"+packed) {
		z, err := gzip.NewReader(strings.NewReader(read(t, dir, file)))
		if err != nil {
			t.Fatal(err)
		}
		image, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		write(t, state, strings.TrimSuffix(file, packed), string(image))
	}
	return state
}

// reference returns what today's program makes of the calls, by itself.
func reference(t *testing.T, calls []call) (made string) {
	t.Helper()
	nstest.Do(t, func() {
		prepare(t)
		p := start(t, todays(t), t.TempDir())
		p.repeat(t, calls, false)
		made = picture(t)
		p.stop(t)
	})
	return made
}

// TestUpgrade starts today's program where an earlier one ended: with its state,
// its links and its rules, and what a file has brought back. The kernel holds what today's program would have made
// of the same calls, repeated calls get the same answers, new ones work, and
// their removal leaves nothing.
func TestUpgrade(t *testing.T) {
	upgrade(t, thatBoot, func(t *testing.T, dir, state, want string) *program {
		putKernel(t, dir)
		shell(t, "nft -f -", formerTables)
		p := start(t, todays(t), state)
		same(t, "restored", want, picture(t))
		return p
	})
}

// TestUpgradeWithReboot is the same with a reboot between the two: networks are
// there again, and the engine's calls bring back the rest.
func TestUpgradeWithReboot(t *testing.T) {
	upgrade(t, otherBoot, func(t *testing.T, _, state, _ string) *program {
		start(t, todays(t), state).stop(t)
		return start(t, todays(t), state)
	})
}

// upgrade goes from each version that was kept to today's program, which begin
// starts on the state; want is the picture that it is to come to.
func upgrade(t *testing.T, boot string, begin func(t *testing.T, dir, state, want string) *program) {
	t.Helper()
	eachVersion(t, func(t *testing.T, dir string) {
		setBoot(t, boot)
		calls := readCalls(t, dir)
		want := reference(t, calls)
		nstest.Do(t, func() {
			prepare(t)
			empty := picture(t)
			state := unpacked(t, dir)
			p := begin(t, dir, state, want)
			p.repeat(t, calls, boot == thatBoot)
			same(t, "after repeated calls", want, picture(t))
			lifeGoesOn(t, p, want)
			p.removeAll(t, calls)
			same(t, "left behind", empty, picture(t))
			p.stop(t)
			emptied(t, state)
		})
	})
}

// lifeGoesOn makes a network and a container, and one on a network of old.
func lifeGoesOn(t *testing.T, p *program, want string) {
	t.Helper()
	a := &asker{t: t, p: p}
	a.network(network{id: strings.Repeat("9", 64), subnets: []string{""}, endpoints: []endpoint{
		{id: "9" + strings.Repeat("8", 63), ports: []port{{6, "", 80, "", 0, 0}}},
	}})
	a.endpoint(strings.Repeat("1", 64), []pool{{id: "gangway-local/10.50.0.0/24/10.50.0.128/25"}, {id: "gangway-local/fd00:50::/64"}},
		endpoint{id: "9" + strings.Repeat("7", 63), ports: []port{{6, "", 80, "", 8090, 8090}}})
	if a.failed != nil {
		t.Fatal(a.failed)
	}
	p.removeAll(t, a.calls)
	same(t, "after new ones", want, picture(t))
}

// emptied fails the test unless a state holds no network and no address.
func emptied(t *testing.T, state string) {
	t.Helper()
	all, err := store.OpenFiles(state, strings.TrimSpace(read(t, "", bootID)), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	networks, err := all.Split("driver", model.EndpointKeys)
	if err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []interface {
		Load(func(key string, value []byte) error) error
	}{networks, all.Bucket("ipam")} {
		err := bucket.Load(func(key string, value []byte) error {
			if key != "host" && !strings.HasPrefix(key, "cursor/") {
				t.Errorf("the state still holds %s: %s", key, value)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestNewerVersion: a state that a later version wrote is refused by name, and
// neither it nor the kernel is touched.
func TestNewerVersion(t *testing.T) {
	eachVersion(t, func(t *testing.T, dir string) {
		setBoot(t, thatBoot)
		nstest.Do(t, func() {
			prepare(t)
			putKernel(t, dir)
			state := unpacked(t, dir)
			db, err := bbolt.Open(filepath.Join(state, stateFile), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("99")) })
			if err != nil {
				t.Fatal(err)
			}
			if err = db.Close(); err != nil {
				t.Fatal(err)
			}
			image, kernel := read(t, state, stateFile), picture(t)
			p := launch(t, todays(t), state)
			err = p.wait(t)
			if log := p.log.String(); err == nil || !strings.Contains(log, "written by a newer gangway (schema 99, this one knows") ||
				!strings.Contains(log, "install that version again") {
				t.Errorf("it ends with %v and says:\n%s", err, log)
			}
			if read(t, state, stateFile) != image {
				t.Error("the state file was changed")
			}
			same(t, "the kernel", kernel, picture(t))
		})
	})
}
