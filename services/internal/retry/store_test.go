package retry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
)

// A store's error may have a user's id, which may be an address.
func TestOutagesAreLoggedWithoutAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		store, calls := retry.Store{Waiting: "notifications", Log: slog.New(slog.NewTextHandler(&out, nil))}, 0
		err := store.UntilAvailable(t.Context(), func() error {
			if calls++; calls == 1 {
				return fmt.Errorf("get contact of ann.lee@example.com: %w", ports.ErrUnavailable)
			}
			return nil
		})
		if log := out.String(); err != nil || strings.Contains(log, "ann.lee") || !strings.Contains(log, "get contact of a…@example.com: unavailable") {
			t.Errorf("error %v, logged:\n%s", err, log)
		}
	})
}
