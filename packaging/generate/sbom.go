package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const (
	project = "github.com/gangway-net/gangway"
	// unknown is what SPDX writes where nothing is claimed.
	unknown = "NOASSERTION"
)

// writeSBOM writes what a program is built from, and the Debian packages that are
// shipped with it, if there are any.
func writeSBOM(out io.Writer, r release, program, debian string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return err
	}
	modules, err := modulesOf(program)
	if err != nil {
		return err
	}
	name := "gangway-" + r.version + "-" + setting(info, "GOARCH")
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	if debian != "" {
		name = "gangway-plugin-" + strings.TrimPrefix(name, "gangway-")
	}
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: name, DocumentNamespace: "https://" + project + "/spdx/" + name + "/" + sum,
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "gangway-generate-" + r.version}},
			Created:  r.date.Format(time.RFC3339),
		},
	}
	main := newPackage("gangway", r.version, "Apache-2.0", "pkg:golang/"+project+"@"+r.version)
	main.PrimaryPackagePurpose = "APPLICATION"
	main.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: sum}}
	add(doc, main, "DOCUMENT", "DESCRIBES")
	for _, m := range modules {
		version := m.version
		p := newPackage(m.path, version, m.id, "pkg:golang/"+m.path+"@"+version)
		p.PrimaryPackagePurpose = "LIBRARY"
		add(doc, p, main.PackageSPDXIdentifier, "DEPENDS_ON")
	}
	if debian != "" {
		if err = addDebian(doc, debian, main.PackageSPDXIdentifier); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	_, err = out.Write(append(b, '\n'))
	return err
}

// addDebian adds the packages that a file lists. Their licences are in the files
// named copyright that are shipped with them.
func addDebian(doc *spdx.Document, path string, beside common.ElementID) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return fmt.Errorf("%s: %q: want name, version and architecture", path, line)
		}
		version := strings.NewReplacer("+", "%2B", ":", "%3A").Replace(f[1])
		p := newPackage(f[0], f[1], unknown, "pkg:deb/debian/"+f[0]+"@"+version+"?arch="+f[2])
		add(doc, p, beside, "DEPENDS_ON")
	}
	return nil
}

func newPackage(name, version, licence, purl string) *spdx.Package {
	return &spdx.Package{
		PackageName: name, PackageVersion: version, PackageSPDXIdentifier: identifier(name),
		PackageDownloadLocation: unknown, PackageLicenseConcluded: unknown, PackageLicenseDeclared: licence,
		PackageCopyrightText: unknown,
		PackageExternalReferences: []*spdx.PackageExternalReference{
			{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl},
		},
	}
}

// identifier is a package's name in the document: letters, digits, dots and dashes.
func identifier(name string) common.ElementID {
	return common.ElementID("Package-" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, name))
}

func add(doc *spdx.Document, p *spdx.Package, from common.ElementID, relation string) {
	doc.Packages = append(doc.Packages, p)
	doc.Relationships = append(doc.Relationships, &spdx.Relationship{
		RefA:         common.MakeDocElementID("", string(from)),
		RefB:         common.MakeDocElementID("", string(p.PackageSPDXIdentifier)),
		Relationship: relation,
	})
}

// setting is one that a program was built with.
func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
