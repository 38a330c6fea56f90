package order

import (
	"encoding/json"
	"errors"
	"testing"

	"example.com/orderflow/services/internal/httpapi"
)

// An accepted body is valid JSON, and encoding/json decodes it to the same placement.
// A refused body gets a problem.
func FuzzPlacement(f *testing.F) {
	for _, body := range []string{
		`{"user_id":"123","product":"Laptop","quantity":1}`,
		`{"user_id":"123","product":"Laptop","quantity":1,}`,
		`{"user_id":"1","user_id":"2","product":"é","quantity":1e3}`,
		`{"user_id":null,"product":["x"],"quantity":"1"} {}`,
		`{"user_id":"\ud800","product":"\u0000","quantity":99999999999999999999}`,
		"{\"user_id\":\"\xff\"}", `[]`, `{`, ``, `{"a"`, `{"a":`, `{"a":1`, `{"a":1 "b":2}`, `{1:2}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got Placement
		err := httpapi.DecodeObject(body, "an order", got.fields(everybody)...)
		if err != nil {
			var problem *httpapi.Problem
			if !errors.As(err, &problem) || problem.Detail == "" || problem.Status != 400 && problem.Status != 422 {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("accepted invalid JSON")
		}
		var want struct {
			UserID   string      `json:"user_id"`
			Product  string      `json:"product"`
			Quantity json.Number `json:"quantity"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepted, but encoding/json fails: %v", err)
		}
		if got.UserID != want.UserID || got.Product != want.Product {
			t.Errorf("got %+v, encoding/json %+v", got, want)
		}
		if n, err := want.Quantity.Int64(); err == nil && int64(got.Quantity) != n {
			t.Errorf("got quantity %d, encoding/json %d", got.Quantity, n)
		}
	})
}
