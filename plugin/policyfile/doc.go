// Package policyfile reads files of named policies: YAML, one policy a document.
//
//	# what agents reach
//	name: agents
//	egress: deny
//	egress.allow:
//	  - 10.0.5.7:5432/tcp   # the database
//
// The words are those of the options without "gangway."; lists may be a text with commas, as in
// options. Each error names file, line and column. The text of a document is kept as it
// is: it is what gets stored and shown again.
//
// It refuses what YAML has beside that: aliases, tags, merged keys, directives.
package policyfile
