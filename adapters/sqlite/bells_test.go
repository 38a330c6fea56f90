package sqlite

import (
	"path/filepath"
	"testing"

	"example.com/orderflow/domain"
)

// A store sees each change by others once, and none while nobody writes.
func TestSawChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	other := openInside(t, path, Options{})
	c, err := other.file.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.sawChange()
	for n := range 5 {
		for range 10 {
			if c.sawChange() {
				t.Errorf("saw a change before write %d", n)
			}
		}
		if err := other.Orders().Add(t.Context(), newOrder(t, n), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
		if !c.sawChange() {
			t.Errorf("did not see write %d", n)
		}
	}
}
