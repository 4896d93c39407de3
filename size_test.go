package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a reader takes in at once. The linter funlen bounds functions as well, for one
// package at a time.
const (
	mostLines  = 400 // of a file
	mostOfFunc = 60  // lines of a function, without comments
	mostParams = 5   // of a function
	mostFields = 8   // of a struct that has methods
)

// records are values that describe one thing field by field, as others define it or as it
// is stored: to group the fields would hide what they are.
var records = map[string]string{
	"config.Network":           "a field for each option",
	"config.Policy":            "a field for each word",
	"driver.Status":            "as it is told, a field each",
	"driver/events.Event":      "as it is told and stored, a field each",
	"driver/firewall.Network":  "a field for each property",
	"driver/firewall.Ruleset":  "a list for each kind of element",
	"driver/model.Endpoint":    "as it is stored",
	"driver/model.Network":     "as it is stored",
	"driver/nftrace.Event":     "an attribute of the kernel's message each",
	"driver/plan.Source":       "what plans follow from, a field each",
	"driver/spec.Bridge":       "a setting of the kernel each",
	"driver/spec.RoutingRule":  "an attribute of the kernel's rule each",
	"driver/spec.Veth":         "a setting of the kernel each",
	"ipam/lease.Lease":         "as it is stored, a field each",
	"plugin/cli.query":         "the flags of a command",
	"plugin/doctor.Base":       "an attribute of the kernel's chain each",
	"plugin/doctor.Container":  "what is read of a container's namespace, a field for each file",
	"plugin/doctor.Match":      "what a rule of iptables matches",
	"plugin/doctor.Packet":     "what rules can match, a field each",
	"plugin/engine.attachment": "the engine's answer",
	"plugin/engine.network":    "the engine's answer",
}

// TestSizes: no file, function or struct with methods is longer than one takes in. Tests
// may keep in one struct what they compare.
func TestSizes(t *testing.T) {
	for dir, files := range goFiles(t) {
		fields, methods := map[string]int{}, map[string]bool{}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(src, []byte("\n")); n > mostLines {
				t.Errorf("%s has %d lines, at most %d: split it by what belongs together", file, n, mostLines)
			}
			set := token.NewFileSet()
			tree, err := parser.ParseFile(set, file, src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			functions(t, set, file, tree)
			if !strings.HasSuffix(file, "_test.go") && !forTests(filepath.ToSlash(dir)) {
				structs(tree, fields, methods)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(methods)) {
			_, record := records[filepath.ToSlash(dir)+"."+name]
			switch many := fields[name] > mostFields; {
			case many && !record:
				t.Errorf("%s: struct %s has methods and %d fields, at most %d: group those that belong together", dir, name, fields[name], mostFields)
			case record && !many:
				t.Errorf("%s: struct %s has %d fields and need not be among records", dir, name, fields[name])
			}
		}
	}
}

// goFiles returns the project's files by folder.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "build" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			all[filepath.Dir(path)] = append(all[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d packages, %v", len(all), err)
	}
	return all
}

// functions checks those of a file. Tests may have more parameters, where each is a
// column of a table.
func functions(t *testing.T, set *token.FileSet, file string, tree *ast.File) {
	t.Helper()
	for _, d := range tree.Decls {
		f, is := d.(*ast.FuncDecl)
		if !is || f.Body == nil {
			continue
		}
		if n := f.Type.Params.NumFields(); n > mostParams && !strings.HasSuffix(file, "_test.go") && !forTests(filepath.ToSlash(filepath.Dir(file))) {
			t.Errorf("%s: func %s has %d parameters, at most %d", file, f.Name.Name, n, mostParams)
		}
		n := set.Position(f.Body.Rbrace).Line - set.Position(f.Body.Lbrace).Line - 1
		for _, c := range tree.Comments {
			if c.Pos() > f.Body.Lbrace && c.End() < f.Body.Rbrace && startsLine(set, f, c) {
				n -= set.Position(c.End()).Line - set.Position(c.Pos()).Line + 1
			}
		}
		if n > mostOfFunc {
			t.Errorf("%s: func %s has %d lines, at most %d", file, f.Name.Name, n, mostOfFunc)
		}
	}
}

// startsLine says whether a comment stands alone on its lines.
func startsLine(set *token.FileSet, f *ast.FuncDecl, c *ast.CommentGroup) bool {
	alone, line := true, set.Position(c.Pos()).Line
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if n != nil && n.Pos() != f.Body.Pos() && n.Pos() < c.Pos() && set.Position(n.End()).Line == line {
			alone = false
		}
		return alone
	})
	return alone
}

// structs notes the fields of each struct of a file, and the types that have methods.
func structs(tree *ast.File, fields map[string]int, methods map[string]bool) {
	for _, d := range tree.Decls {
		if f, is := d.(*ast.FuncDecl); is && f.Recv != nil {
			of := f.Recv.List[0].Type
			if star, is := of.(*ast.StarExpr); is {
				of = star.X
			}
			if generic, is := of.(*ast.IndexExpr); is {
				of = generic.X
			}
			if name, is := of.(*ast.Ident); is {
				methods[name.Name] = true
			}
		}
		types, is := d.(*ast.GenDecl)
		if !is {
			continue
		}
		for _, s := range types.Specs {
			if named, is := s.(*ast.TypeSpec); is {
				if body, is := named.Type.(*ast.StructType); is {
					fields[named.Name.Name] = body.Fields.NumFields()
				}
			}
		}
	}
}
