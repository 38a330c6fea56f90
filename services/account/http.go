package account

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

// Handler is the HTTP interface for operators. The public must not reach it:
//
//	GET /account    the account; 200 whether it adds up or not
//
// It answers within [Timeout] even if the store or the broker does not: the answer names
// what is missing. Errors are application/problem+json (RFC 9457).
type Handler struct {
	httpapi.API // RequestTimeout and ServeHTTP

	office *Office
}

// NewHandler returns an error if the office is nil. If log is nil, the handler uses
// slog.Default().
func NewHandler(office *Office, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("account handler", wiring.Part{Name: "an office", Given: office}); err != nil {
		return nil, err
	}
	h := &Handler{office: office}
	h.API = httpapi.NewOperatorAPI(httpapi.Routes{"/account": {http.MethodGet: h.account}}, log)
	return h, nil
}

func (h *Handler) account(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	return httpapi.WriteJSON(w, http.StatusOK, NewView(h.office.Draw(ctx)))
}

const maxAnswer = 1 << 20 // bytes of an account

// RemoteOrders returns the account of the orders that another process keeps. The URL is
// that process's admin address, such as http://orders.internal:9080.
func RemoteOrders(client *http.Client, url string) Orders {
	url = strings.TrimRight(url, "/") + "/account"
	return func(ctx context.Context) (account ports.OutboxAccount, err error) {
		defer func() {
			if err != nil {
				err = fmt.Errorf("ask %s: %w", url, err)
			}
		}()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return account, err
		}
		response, err := client.Do(request)
		if err != nil {
			return account, fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return account, fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
		}
		var v View
		if response.StatusCode != http.StatusOK {
			return account, fmt.Errorf("%w: it answers %s: %.200s", ports.ErrUnavailable, response.Status, body)
		}
		if err := json.Unmarshal(body, &v); err != nil {
			return account, fmt.Errorf("its answer is no account: %w", err)
		}
		if v.Orders == nil {
			if len(v.Faults) > 0 {
				return account, fmt.Errorf("%w: %s", ports.ErrUnavailable, Fault(v.Faults[0]))
			}
			return account, fmt.Errorf("its account has no orders; give the admin address of the order service")
		}
		oldest, _ := time.Parse(time.RFC3339, v.Orders.Waiting.Oldest) // empty: nothing waits
		return ports.OutboxAccount{
			Orders: v.Orders.Orders, Published: v.Orders.Published, Waiting: ports.Backlog{N: v.Orders.Waiting.Count, Oldest: oldest},
		}, nil
	}
}
