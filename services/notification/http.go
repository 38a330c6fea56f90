package notification

import (
	"cmp"
	"context"
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
type Handler struct {
	RequestTimeout time.Duration // how long an answer may take; 0: 10 s. To be set before first use

	routes http.Handler
	health *httpapi.Health
}

// NewHandler returns the HTTP interface of the service. It is ready while both
// store and broker answer; either may be nil, if there is none that could be
// away. Without a service it returns an error; without a logger it uses
// slog.Default().
func NewHandler(service *Service, store, broker ports.Pinger, log *slog.Logger) (*Handler, error) {
	if err := wiring.Check("notification handler", wiring.Part{Name: "a service", Given: service}); err != nil {
		return nil, err
	}
	health := httpapi.NewHealth(
		httpapi.Check{Name: "store", Pinger: store},
		httpapi.Check{Name: "broker", Pinger: broker},
	)
	a := api{service}
	return &Handler{
		health: health,
		routes: httpapi.NewHandler(httpapi.Routes{
			"/notifications": {http.MethodGet: a.notifications},
			"/livez":         {http.MethodGet: health.Live},
			"/readyz":        {http.MethodGet: health.Ready},
		}, wiring.Logger(log)),
	}, nil
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(h.RequestTimeout, httpapi.DefaultRequestTimeout))
	defer cancel()
	h.routes.ServeHTTP(w, r.WithContext(ctx))
}

// Stop makes /readyz answer 503 from now on: the first step of a shutdown.
func (h *Handler) Stop() { h.health.Stop() }

type api struct{ service *Service }

type notificationJSON struct {
	EventID domain.EventID `json:"event_id"`
	OrderID domain.OrderID `json:"order_id"`
	Channel string         `json:"channel"`
	Attempt int            `json:"attempt"`
	SentAt  string         `json:"sent_at"`
}

func (a api) notifications(w http.ResponseWriter, r *http.Request) error {
	query, err := httpapi.Query(r, "order_id")
	if err != nil {
		return err
	}
	id, err := domain.ParseOrderID(query["order_id"])
	if err != nil {
		return httpapi.Invalid(domain.FieldError{Field: "order_id", Reason: "must be an order's id: a UUID in lower case with hyphens"})
	}
	sent, err := a.service.Sent(r.Context(), id)
	if errors.Is(err, ports.ErrUnavailable) || r.Context().Err() != nil {
		return httpapi.Unavailable("the store did not answer in time")
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
	httpapi.WriteJSON(w, http.StatusOK, answer)
	return nil
}
