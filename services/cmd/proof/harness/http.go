package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client keeps no connections: the services' goroutines would count them.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get returns the body of an answer with status 200.
func get(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("get %s: %s", url, response.Status)
	}
	return response.Body, nil
}

// GetJSON decodes the answer to a GET.
func GetJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	body, err := get(ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	return nil
}

// Ready reports whether the service at the address says so.
func Ready(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	body, err := get(ctx, "http://"+addr+"/readyz")
	if err != nil {
		return false
	}
	body.Close()
	return true
}

// SendJSON sends the body, and returns an error unless the answer has status 2xx.
func SendJSON(ctx context.Context, method, url string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, 1000)) // for the error alone
		return fmt.Errorf("%s %s: %s: %s", method, url, response.Status, answer)
	}
	return nil
}
