// Package page shows networks, containers, published ports and what passes in a browser,
// live.
//
// Invariant: it only reads. The page is one document, whose scripts and styles the browser
// knows by their hashes; it asks nobody but who has served it. Names are set as text,
// never as HTML: the browser is told to refuse the other way (Trusted Types). One sampler
// asks for all viewers, and for nobody it does not ask.
//
// It refuses cookies, every method but GET, hosts with a name that may be somebody else's
// (DNS rebinding), questions that another site's page has made, more viewers than a few,
// and, where a token is set, all data to who does not have it.
package page
