package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"example.com/orderflow/services/internal/files"
)

const (
	maxDocument = 256 << 10 // bytes of a JWKS

	fileInterval = 2 * time.Second
	urlInterval  = 5 * time.Minute
	loadTimeout  = 5 * time.Second
)

// OpenKeys returns the keys at the place, a file or a URL. An error is returned when the file
// can't be used. A URL is not asked before Run.
func OpenKeys(ctx context.Context, place string, log *slog.Logger) (*Keys, error) {
	if err := CheckPlace(place); err != nil {
		return nil, err
	}
	if isURL(place) {
		shown, _, _ := strings.Cut(place, "?")
		return newKeys(shown, urlInterval, fetcher(place), log), nil
	}
	k := newKeys(place, fileInterval, func(context.Context) ([]byte, error) { return readFile(place) }, log)
	return k, k.update(ctx)
}

// Examine loads the keys at the place once, and says what they are.
func Examine(ctx context.Context, place string) (found string, err error) {
	k, err := OpenKeys(ctx, place, slog.New(slog.DiscardHandler))
	if err == nil && isURL(place) {
		err = k.update(ctx)
	}
	if err != nil {
		return "", err
	}
	return k.current.Load().String(), nil
}

func isURL(place string) bool { return strings.Contains(place, "://") }

// CheckPlace returns an error when keys must not be loaded from the place: whoever can change
// them on the way can make valid tokens.
func CheckPlace(place string) error {
	if !isURL(place) {
		return nil
	}
	u, err := url.Parse(place)
	switch {
	case err == nil && u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("no keys can be loaded by %.20q; give an https URL, or a file", u.Scheme)
	case err != nil || u.Host == "" || u.Fragment != "":
		return errors.New("it is not a URL; give one such as https://login.example.com/jwks.json, or a file")
	case u.User != nil:
		return errors.New("the URL has a login; the keys are public, so give a URL without one")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("http lets others change the keys on the way; give an https URL, or a file")
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func readFile(path string) ([]byte, error) {
	file, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file)
}

func readAll(r io.Reader) ([]byte, error) {
	document, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(document) > maxDocument {
		err = fmt.Errorf("it is larger than %d KiB", maxDocument>>10)
	}
	return document, err
}

// fetcher returns a function that gets the document at the URL.
func fetcher(address string) func(context.Context) ([]byte, error) {
	client := &http.Client{
		Timeout:       loadTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Accept", "application/jwk-set+json, application/json")
		response, err := client.Do(request)
		if err != nil {
			return nil, errors.Unwrap(err) // without the URL
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the server answers %s, not 200", response.Status)
		}
		return readAll(response.Body)
	}
}
