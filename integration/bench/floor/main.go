// Command floor is a network driver that answers every call and does nothing.
// What a container costs with it is the engine's own share of the time.
//
// It takes the path of its socket. Join names no interface, so containers get
// none, and no gateway service, so the engine adds none of its own.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/docker/go-plugins-helpers/sdk"
)

// answers is what each call of the driver's side of the protocol is answered.
var answers = map[string]string{
	"GetCapabilities":             `{"Scope":"local","ConnectivityScope":"local"}`,
	"CreateNetwork":               `{}`,
	"DeleteNetwork":               `{}`,
	"CreateEndpoint":              `{"Interface":{}}`,
	"DeleteEndpoint":              `{}`,
	"EndpointOperInfo":            `{"Value":{}}`,
	"Join":                        `{"DisableGatewayService":true}`,
	"Leave":                       `{}`,
	"ProgramExternalConnectivity": `{}`,
	"RevokeExternalConnectivity":  `{}`,
	"DiscoverNew":                 `{}`,
	"DiscoverDelete":              `{}`,
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: floor SOCKET")
		os.Exit(2)
	}
	h := sdk.NewHandler(`{"Implements": ["NetworkDriver"]}`)
	for name, answer := range answers {
		h.HandleFunc("/NetworkDriver."+name, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", sdk.DefaultContentTypeV1_1)
			// An engine that went away meanwhile asks again.
			_, _ = fmt.Fprintln(w, answer)
		})
	}
	if err := h.ServeUnix(os.Args[1], 0); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
