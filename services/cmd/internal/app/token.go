package app

import (
	"fmt"
	"net/http"
	"os"
)

// Variables with the token that the commands, and a notifier at --orders-url, send to the
// admin addresses of services. There is no flag: every user of the machine could read it.
const (
	tokenVariable     = "ORDERFLOW_TOKEN"
	tokenFileVariable = tokenVariable + "_FILE"
)

// ownToken returns the token, or none.
func ownToken() (string, error) {
	token, err := clean(os.Getenv(tokenVariable))
	path := os.Getenv(tokenFileVariable)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", tokenVariable, err)
	case path == "":
		return token, nil
	case token != "":
		return "", fmt.Errorf("%s: %s is set, too; remove one of them", tokenFileVariable, tokenVariable)
	}
	if token, err = readPassword(path); err != nil {
		return "", fmt.Errorf("%s: %w", tokenFileVariable, atPath(path, path, err))
	}
	return token, nil
}

// WithToken makes the client send the token, if there is one, and follow no redirects, which
// could lead it to others. The token's file is read for each request, so it may change.
func WithToken(client *http.Client) *http.Client { return withSender(client, sender{}) }

// withAdminToken does so for a client of admin addresses. An answer that refuses the token is
// an error, which names the setting.
func withAdminToken(client *http.Client) *http.Client { return withSender(client, sender{admin: true}) }

func withSender(client *http.Client, s sender) *http.Client {
	s.RoundTripper = client.Transport
	client.Transport = s
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

type sender struct {
	http.RoundTripper
	admin bool // an admin address gets the requests
}

// RoundTrip sends the request with the token.
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := ownToken()
	if err != nil {
		return nil, err
	}
	if token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.RoundTripper.RoundTrip(r)
	if err != nil || !s.admin {
		return response, err
	}
	switch response.StatusCode {
	case http.StatusUnauthorized:
		err = fmt.Errorf("the service asks for a token; set %s to one of its --admin-tokens-file", tokenVariable)
		if token != "" {
			err = fmt.Errorf("the service does not know the token of %s; the command token new makes one", tokenVariable)
		}
	case http.StatusTooManyRequests:
		err = fmt.Errorf("the service does not know the token of %s, and had too many wrong ones", tokenVariable)
	default:
		return response, nil
	}
	_ = response.Body.Close()
	return nil, err
}

// CloseIdleConnections closes those of the transport.
func (s sender) CloseIdleConnections() {
	if t, ok := s.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
