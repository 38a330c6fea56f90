package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const healthcheckTimeout = 5 * time.Second

// healthcheck asks /readyz at each address.
func healthcheck(ctx context.Context, out io.Writer, addresses []string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	var errs []error
	for _, address := range addresses {
		url := urlOf(address) + "/readyz"
		if err := askReady(ctx, url); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(out, "%s: ready\n", url)
	}
	return errors.Join(errs...)
}

// urlOf is where a service that listens on the address answers this machine.
func urlOf(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() || host == "127.0.0.1" {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func askReady(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	response, err := (&http.Client{Transport: new(http.Transport)}).Do(request) // by no proxy
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return nil
}
