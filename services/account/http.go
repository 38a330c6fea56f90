package account

import (
	"log/slog"
	"net/http"

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
