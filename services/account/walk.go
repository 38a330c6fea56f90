package account

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

const (
	walkPage  = 100 // orders in a page
	walkTries = 6   // for each page, until the order service answers
)

// RemoteWalk walks the orders that an order service returns at its public address, such as
// http://orders.internal:8080. A page that the service can't answer now is asked for again.
func RemoteWalk(client *http.Client, address string) Walk {
	return func(ctx context.Context, from, to time.Time, each func(domain.OrderID, time.Time) error) (unreadable int, err error) {
		query := url.Values{
			"limit":        {strconv.Itoa(walkPage)},
			"created_from": {from.UTC().Format(time.RFC3339Nano)}, "created_to": {to.UTC().Format(time.RFC3339Nano)},
		}
		for {
			target := strings.TrimRight(address, "/") + "/orders?" + query.Encode()
			page, err := getPage(ctx, client, target)
			if err != nil {
				return unreadable, err
			}
			unreadable += page.unreadable
			for _, order := range page.Data {
				if err := each(order.ID, order.CreatedAt); err != nil {
					return unreadable, err
				}
			}
			if page.NextCursor == "" {
				return unreadable, nil
			}
			query.Set("cursor", page.NextCursor)
		}
	}
}

type ordersPage struct {
	Data []struct {
		ID        domain.OrderID `json:"id"`
		CreatedAt time.Time      `json:"created_at"`
	} `json:"data"`
	NextCursor string `json:"next_cursor"`

	unreadable int // orders that the page has left out
}

func getPage(ctx context.Context, client *http.Client, target string) (page ordersPage, err error) {
	pause := 200 * time.Millisecond
	for try := 1; ; try++ {
		var after time.Duration
		page, after, err = tryPage(ctx, client, target)
		if err == nil || after < 0 || try == walkTries || ctx.Err() != nil {
			return page, err
		}
		sleep(ctx, max(after, pause))
		pause *= 2
	}
}

// passing are the answers of a service, or of a proxy before it, that is busy or down.
var passing = []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// tryPage also returns when to try again after an error, or a negative time if that can't
// help.
func tryPage(ctx context.Context, client *http.Client, target string) (page ordersPage, after time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return page, -1, err
	}
	response, err := client.Do(request)
	if err != nil {
		return page, 0, fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return page, 0, fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
	case slices.Contains(passing, response.StatusCode):
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return page, time.Duration(min(max(seconds, 0), 30)) * time.Second, fmt.Errorf("%w: it answers %s: %.200s", ports.ErrUnavailable, response.Status, body)
	case response.StatusCode != http.StatusOK:
		return page, -1, fmt.Errorf("%s answers %s: %.200s", target, response.Status, body)
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return page, -1, fmt.Errorf("the answer of %s is no page of orders: %w", target, err)
	}
	page.unreadable, _ = strconv.Atoi(response.Header.Get(httpapi.UnreadableHeader)) // none: 0
	return page, 0, nil
}
