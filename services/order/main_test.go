package order_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/order"
)

// described and admin check all answers against the description of the two handlers. The
// program serves the log level, profiles, metrics and the account.
var (
	described = apitest.Load(order.OpenAPI, func(path string) bool {
		return !strings.HasPrefix(path, "/debug/") && path != "/log-level" && path != "/metrics" && path != "/account" && path != "/status" && path != "/session" && !isAdmin(path)
	})
	admin = apitest.Load(order.OpenAPI, isAdmin)
)

func isAdmin(path string) bool {
	return strings.HasPrefix(path, "/trace/") || strings.HasPrefix(path, "/users/")
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(apitest.Main{Tests: m, Documents: []*apitest.Document{described, admin}})
}

// must returns a constructor's value, and panics if the constructor failed.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}
