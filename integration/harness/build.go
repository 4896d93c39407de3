package harness

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// toolsInside is where an engine's tree shows the built programs.
const toolsInside = "/opt/gangway"

// tools builds the programs that the tests run, once a run, and returns their
// folder. They are static: they run in every tree and in every container.
var tools = sync.OnceValues(func() (string, error) {
	dir, err := current.folder("tools")
	if err != nil {
		return "", err
	}
	return dir, build(filepath.Join(dir, "probe"), "./integration/probe")
})

// gangwayBinary builds gangway into the folder of tools, once a run.
var gangwayBinary = sync.OnceValues(func() (string, error) {
	dir, err := tools()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gangway")
	return path, build(path, ".")
})

// pluginDir makes the managed plugin's folder, once a run, and returns it.
var pluginDir = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	if err := command(root, "make", "plugin"); err != nil {
		return "", err
	}
	return filepath.Join(root, "build", "plugin"), nil
})

// moduleRoot finds the folder of go.mod from the test's working folder up.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod in the working folder or above")
}

func build(output, pkg string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	return command(root, "env", "CGO_ENABLED=0", "go", "build", "-o", output, pkg)
}

func command(dir string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Image is the one image that every engine has: Debian's busybox, and probe.
const Image = "gangway-test:latest"

// writeImage writes the image's root as a tar stream: the tree's own busybox
// with the libraries it needs, a link for each of its applets, and probe.
func writeImage(w io.Writer, tree, probe string) error {
	out, err := exec.Command("chroot", tree, "ldd", "/bin/busybox").Output()
	if err != nil {
		return fmt.Errorf("libraries of busybox: %w", err)
	}
	applets, err := exec.Command("chroot", tree, "/bin/busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("applets of busybox: %w", err)
	}
	files := map[string]string{"/bin/busybox": filepath.Join(tree, "bin/busybox"), "/bin/probe": probe}
	for _, field := range strings.Fields(string(out)) {
		if strings.HasPrefix(field, "/") {
			files[field] = filepath.Join(tree, field)
		}
	}
	tw := tar.NewWriter(w)
	for _, dir := range []string{"etc", "tmp", "proc", "sys", "dev", "run", "var"} {
		if err = tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	for name, source := range files {
		if err = addFile(tw, name, source); err != nil {
			return fmt.Errorf("add %s to the image: %w", name, err)
		}
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet == "busybox" {
			continue
		}
		header := &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777}
		if err = tw.WriteHeader(header); err != nil {
			return err
		}
	}
	return tw.Close()
}

func addFile(tw *tar.Writer, name, source string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "/"), Mode: 0o755, Size: int64(len(content))}
	if err = tw.WriteHeader(header); err != nil {
		return err
	}
	_, err = tw.Write(content)
	return err
}
