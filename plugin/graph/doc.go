// Package graph draws networks, the containers on them and their published ports: as SVG,
// Mermaid and Graphviz's dot.
//
// Invariant: it is pure, and the same networks give the same bytes. A name is text in the
// picture, whatever is in it: what it cannot be is another element, another line or another
// picture. Pictures hold all that they need, and ask nothing of elsewhere.
//
// It refuses to say how much passes: a file is of one moment.
package graph
