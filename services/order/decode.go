package order

import (
	"net/http"

	"example.com/orderflow/services/internal/httpapi"
)

func (p *Placement) fields() []httpapi.Field {
	return []httpapi.Field{
		{Name: "user_id", Set: httpapi.String(&p.UserID)},
		{Name: "product", Set: httpapi.String(&p.Product)},
		{Name: "quantity", Set: httpapi.Int(&p.Quantity)}, // the domain checks its range
	}
}

func readPlacement(w http.ResponseWriter, r *http.Request) (p Placement, err error) {
	err = httpapi.ReadObject(w, r, "an order", p.fields()...)
	return p, err
}
