package webhookchannel

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	maxBody       = 64 << 10 // bytes that are read of an answer, so that its connection can be used again
	maxText       = domain.MaxAnswer
	maxRetryAfter = 24 * time.Hour
)

// readText returns the beginning of the answer's body, and closes it. It ignores errors of
// reading, because only the answer's code matters.
func readText(response *http.Response) string {
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return "" // its body is a connection
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if response.Header.Get("Content-Encoding") != "" {
		return ""
	}
	return string(body)
}

// sendError returns Send's error for the answer's code. The error shows the text.
func sendError(response *http.Response, text string) error {
	code := response.StatusCode
	said := strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
	if text != "" {
		said += ": " + text
	}
	err := errors.New("answered " + said)
	switch {
	case 200 <= code && code <= 299:
		return nil
	case code == http.StatusGone:
		return ports.Gone(err)
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests,
		502 <= code && code <= 504, 521 <= code && code <= 524:
		err = ports.Postpone(err)
	case 300 <= code && code <= 399:
		err = fmt.Errorf("redirects are not followed: %w", err)
	}
	if after, ok := retryAfter(response.Header.Get("Retry-After"), time.Now()); ok {
		err = ports.RetryAfter(err, after)
	}
	return err
}

// retryAfter reads the header's value: seconds, or the date of an HTTP header. It
// returns at most maxRetryAfter.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, seconds > 0
	}
	at, err := http.ParseTime(value)
	if err != nil || !at.After(now) {
		return 0, false
	}
	return min(at.Sub(now), maxRetryAfter), true
}
