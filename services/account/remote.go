package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
)

const maxAnswer = 1 << 20 // bytes of another process's answer

// RemoteOrders returns the account of the orders that another process keeps. The URL is
// that process's admin address, such as http://orders.internal:9080.
func RemoteOrders(client *http.Client, url string) Orders {
	admin := adminAddress{client, strings.TrimRight(url, "/")}
	return func(ctx context.Context) (account ports.OutboxAccount, err error) {
		var v View
		if err := admin.get(ctx, "/account", &v); err != nil {
			return account, err
		}
		if v.Orders == nil {
			if len(v.Faults) > 0 {
				err = fmt.Errorf("%w: %s", ports.ErrUnavailable, Fault(v.Faults[0]))
			} else {
				err = errors.New("its account has no orders; give the admin address of the order service")
			}
			return account, fmt.Errorf("ask %s/account: %w", admin.url, err)
		}
		oldest, _ := time.Parse(time.RFC3339, v.Orders.Waiting.Oldest) // empty: nothing waits
		return ports.OutboxAccount{
			Orders: v.Orders.Orders, Published: v.Orders.Published, Waiting: ports.Backlog{N: v.Orders.Waiting.Count, Oldest: oldest},
		}, nil
	}
}

// RemoteOrderStore returns the orders that another process keeps, at the URL that
// [RemoteOrders] takes. It lists only the orders of one user.
func RemoteOrderStore(client *http.Client, url string) OrderStore {
	return remoteStore{adminAddress{client, strings.TrimRight(url, "/")}}
}

type remoteStore struct{ admin adminAddress }

// remoteOrder is an order as the order service's answers have it.
type remoteOrder struct {
	ID        domain.OrderID `json:"id"`
	UserID    string         `json:"user_id"`
	Product   string         `json:"product"`
	Quantity  int            `json:"quantity"`
	CreatedAt time.Time      `json:"created_at"`
}

func (o remoteOrder) order() domain.Order {
	return domain.Order{ID: o.ID, UserID: o.UserID, Product: o.Product, Quantity: o.Quantity, CreatedAt: domain.TruncateTime(o.CreatedAt)}
}

// remoteTrace is the answer of GET /trace/{id}.
type remoteTrace struct {
	Order   remoteOrder `json:"order"`
	Event   Place       `json:"event"`
	Claimed struct {
		Process string    `json:"process"`
		Until   time.Time `json:"until"`
	} `json:"claimed"`
}

func (s remoteStore) trace(ctx context.Context, id domain.OrderID) (t remoteTrace, err error) {
	err = s.admin.get(ctx, "/trace/"+url.PathEscape(string(id)), &t)
	if r, ok := errors.AsType[*refusal](err); ok && r.code == http.StatusNotFound && !r.isElsewhere() {
		err = fmt.Errorf("get order %s: %w", id, ports.ErrNotFound)
	}
	return t, err
}

// Get implements [OrderStore].
func (s remoteStore) Get(ctx context.Context, id domain.OrderID) (domain.Order, error) {
	t, err := s.trace(ctx, id)
	return t.Order.order(), err
}

// Holder implements [OrderStore].
func (s remoteStore) Holder(ctx context.Context, id domain.EventID) (ports.Holder, error) {
	order, _ := id.OrderID()
	t, err := s.trace(ctx, order)
	if err == nil && t.Event != Waiting {
		err = fmt.Errorf("find event %s: %w", id, ports.ErrNotFound)
	}
	return ports.Holder{Process: t.Claimed.Process, Until: t.Claimed.Until}, err
}

// List implements [OrderStore].
func (s remoteStore) List(ctx context.Context, query ports.OrderQuery) (page ports.OrderPage, err error) {
	parameters := url.Values{"limit": {strconv.Itoa(min(max(query.Limit, 1), walkPage))}}
	if query.Cursor != "" {
		parameters.Set("cursor", query.Cursor)
	}
	var answer struct {
		Data       []remoteOrder `json:"data"`
		NextCursor string        `json:"next_cursor"`
	}
	err = s.admin.get(ctx, "/users/"+url.PathEscape(query.UserID)+"/orders?"+parameters.Encode(), &answer)
	for _, order := range answer.Data {
		page.Orders = append(page.Orders, order.order())
	}
	page.NextCursor = answer.NextCursor
	if query.Cursor != "" && isRefusal(err, http.StatusUnprocessableEntity) {
		err = fmt.Errorf("list orders: %w", ports.ErrInvalidCursor)
	}
	return page, err
}

// adminAddress is the admin address of another process.
type adminAddress struct {
	client *http.Client
	url    string
}

// get gets an answer. ErrUnavailable is returned when the other process does not answer or
// refuses the request, as [refusal].
func (a adminAddress) get(ctx context.Context, path string, into any) (err error) {
	defer func() {
		if err != nil {
			place, _, _ := strings.Cut(path, "?")
			err = fmt.Errorf("ask %s%s: %w", a.url, place, err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // it repeats the address
			err = failed.Err
		}
		return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", ports.ErrUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		refusal := &refusal{code: response.StatusCode, status: response.Status, detail: string(body)}
		var problem struct{ Detail string }
		if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
			refusal.detail = problem.Detail
		}
		return refusal
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("its answer can't be read: %w", err)
	}
	return nil
}

// refusal is an answer with another status than 200. It wraps ErrUnavailable.
type refusal struct {
	code   int
	status string
	detail string
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%v: it answers %s: %.200s", ports.ErrUnavailable, r.status, r.detail)
	if r.isElsewhere() {
		text += "; give the admin address of the order service"
	}
	return text
}

// isElsewhere reports whether the address is not that of an order service's operators.
func (r *refusal) isElsewhere() bool {
	return r.code == http.StatusNotFound && r.detail == httpapi.NoPath
}

func (r *refusal) Unwrap() error { return ports.ErrUnavailable }

// isRefusal reports whether the other process has refused the request with this status.
func isRefusal(err error, code int) bool {
	var r *refusal
	return errors.As(err, &r) && r.code == code
}
