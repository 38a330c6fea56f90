package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// WebhookSecret signs the webhooks.
const WebhookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// StartWebhookServer starts a server that takes webhooks at any path.
func StartWebhookServer() (*Receiver, error) {
	verifier, err := standardwebhooks.NewWebhook(WebhookSecret)
	if err != nil {
		return nil, err
	}
	return startReceiver(func(l *life, listener net.Listener) io.Closer {
		server := &http.Server{
			Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.takeWebhook(verifier, w, r) }),
			ReadTimeout: time.Minute, IdleTimeout: 5 * time.Second, // notifiers at rest keep no connection
			ErrorLog: log.New(io.Discard, "", 0), // kills and cuts are no news
		}
		go func() { _ = server.Serve(listener) }() // ends with Close
		return server
	})
}

func (l *life) takeWebhook(verifier *standardwebhooks.Webhook, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil { // the link was cut
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := r.Header.Get(standardwebhooks.HeaderWebhookID)
	if err := verifier.Verify(body, r.Header); err != nil {
		l.fault("webhook %q to %s: %v", id, r.URL.Path, err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if l.isBusy() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch err := l.accept(id, r.URL.Path, dump(r, body)); {
	case errors.Is(err, errRefused):
		w.WriteHeader(http.StatusInternalServerError)
	case err != nil:
		panic(http.ErrAbortHandler) // the connection ends without an answer
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func dump(r *http.Request, body []byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s\r\n", r.Method, r.URL.Path)
	_ = r.Header.Write(&out) // a buffer takes everything
	fmt.Fprintf(&out, "\r\n%s", body)
	return out.Bytes()
}
