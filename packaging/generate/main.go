// Command generate writes what a package has besides the program and the files of
// the folder packaging: manual pages, completion, the settings file, the change log, the
// licences of what the program is built from, and its bill of materials.
//
//	generate text DIR        gangway.8, gangway-options.7, _gangway, gangway.fish, gangway.default
//	generate changelog FILE  what nfpm makes a package's change log from
//	generate notices PROGRAM the licences of the modules in PROGRAM
//	generate sbom PROGRAM [DEBIAN]
//	                         what is in PROGRAM, and in the Debian packages that DEBIAN
//	                         lists ("name version architecture" a line), as SPDX 2.3
//
// Everything is made from the code's own tables and from what the toolchain wrote into
// PROGRAM. Equal input gives equal bytes: dates are those of SOURCE_DATE_EPOCH, and the
// version is that of the variable VERSION.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// release is what is packaged.
type release struct {
	version string
	// date is that of the commit.
	date time.Time
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer, getenv func(string) string) error {
	seconds, err := strconv.ParseInt(getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	r := release{version: getenv("VERSION"), date: time.Unix(seconds, 0).UTC()}
	if r.version == "" {
		return errors.New("VERSION is not set")
	}
	if len(args) < 2 {
		return errors.New("usage: generate text DIR | changelog FILE | notices PROGRAM | sbom PROGRAM [DEBIAN]")
	}
	switch what, of := args[0], args[1]; what {
	case "text":
		return writeTexts(r, of)
	case "changelog":
		return writeChangelog(out, r, of)
	case "notices":
		return writeNotices(out, of)
	case "sbom":
		debian := ""
		if len(args) > 2 {
			debian = args[2]
		}
		return writeSBOM(out, r, of, debian)
	default:
		return fmt.Errorf("unknown: %q", what)
	}
}
