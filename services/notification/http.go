package notification

import (
	"errors"
	"log/slog"
	"net/http"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

// Handler is the service's HTTP interface:
//
//	GET /notifications?order_id=     the notifications about an order
//	GET /livez, GET /readyz          health
//
// Errors are application/problem+json (RFC 9457).
//
// A request that was read is answered even if its client closes the sending side.
type Handler struct {
	httpapi.API // RequestTimeout, ServeHTTP and Stop

	service *Service
}

// NewHandler returns the HTTP interface of the service. It is ready while the
// store, the broker and every channel that is a [ports.Pinger] answer. Store and
// broker may be nil if they can't fail. Without a service NewHandler returns an
// error; without a logger it uses slog.Default().
func NewHandler(service *Service, store, broker ports.Pinger, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("notification handler", wiring.Part{Name: "a service", Given: service}); err != nil {
		return nil, err
	}
	if service.deliveries == nil {
		return nil, errors.New("notification handler needs a service made by NewService, got a zero value")
	}
	checks := []httpapi.Check{{Name: "store", Pinger: store}, {Name: "broker", Pinger: broker}}
	for _, r := range service.routes {
		if pinger, ok := r.Channel.(ports.Pinger); ok {
			checks = append(checks, httpapi.Check{Name: r.name, Pinger: pinger})
		}
	}
	health := httpapi.NewHealth(checks...)
	h := &Handler{service: service}
	h.API = httpapi.NewAPI(httpapi.Routes{
		"/notifications": {http.MethodGet: h.notifications},
	}, health, log)
	return h, nil
}

type notificationJSON struct {
	EventID domain.EventID `json:"event_id"`
	OrderID domain.OrderID `json:"order_id"`
	Channel string         `json:"channel"`
	Attempt int            `json:"attempt"`
	SentAt  string         `json:"sent_at"`
}

func (h *Handler) notifications(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := httpapi.Begin(r, h.RequestTimeout)
	defer cancel()
	query, err := httpapi.Query(r, httpapi.Parameter{Name: "order_id"})
	if err != nil {
		return err
	}
	id, err := domain.ParseOrderID(query["order_id"])
	if err != nil {
		return httpapi.Invalid(domain.FieldError{Field: "order_id", Reason: "must be an order's id: a UUID with hyphens"})
	}
	sent, err := h.service.Sent(ctx, id)
	if errors.Is(err, ports.ErrUnavailable) || ctx.Err() != nil {
		return httpapi.Unavailable("the store is unavailable")
	}
	if err != nil {
		return err
	}
	answer := struct {
		Data []notificationJSON `json:"data"`
	}{make([]notificationJSON, len(sent.Notifications))}
	for i, n := range sent.Notifications {
		answer.Data[i] = notificationJSON{
			EventID: n.EventID, OrderID: n.OrderID, Channel: n.Channel, Attempt: n.Attempt,
			SentAt: httpapi.FormatTime(n.At),
		}
	}
	httpapi.NoteUnreadable(w, sent.Unreadable)
	return httpapi.WriteJSON(w, http.StatusOK, answer)
}
