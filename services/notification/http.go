package notification

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/wiring"
)

// Handler is the service's HTTP interface:
//
//	GET /notifications?order_id=     what was sent about an order
//	GET /livez, GET /readyz          health
//
// Errors are application/problem+json (RFC 9457).
//
// What was read is answered, within the request's time, though its client has
// closed its sending side.
type Handler struct {
	RequestTimeout time.Duration // how long a request's work may take; 0: 10 s. To be set before first use

	routes  http.Handler
	health  *httpapi.Health
	service *Service
}

// NewHandler returns the HTTP interface of the service. It is ready while store,
// broker and every channel that is a [ports.Pinger] answer; store and broker may
// be nil, if there is none that could be away. Without a service it returns an
// error; without a logger it uses slog.Default().
func NewHandler(service *Service, store, broker ports.Pinger, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("notification handler", wiring.Part{Name: "a service", Given: service}); err != nil {
		return nil, err
	}
	if service.deliveries == nil {
		return nil, errors.New("notification handler needs a service that NewService has made, got a zero value")
	}
	checks := []httpapi.Check{{Name: "store", Pinger: store}, {Name: "broker", Pinger: broker}}
	for _, channel := range service.channels {
		if pinger, ok := channel.(ports.Pinger); ok {
			checks = append(checks, httpapi.Check{Name: channel.Name(), Pinger: pinger})
		}
	}
	health := httpapi.NewHealth(checks...)
	h := &Handler{health: health, service: service}
	h.routes = httpapi.NewHandler(httpapi.Routes{
		"/notifications": {http.MethodGet: h.notifications},
	}, health, log)
	return h, nil
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.routes.ServeHTTP(w, r) }

// Stop makes /readyz answer 503 from now on, and each answer the last of its
// connection: the first step of a shutdown. All else is answered as before.
func (h *Handler) Stop() { h.health.Stop() }

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
		return httpapi.Unavailable("the store is not available")
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
			SentAt: httpapi.FormatTime(n.SentAt),
		}
	}
	httpapi.NoteUnreadable(w, sent.Unreadable)
	return httpapi.WriteJSON(w, http.StatusOK, answer)
}
