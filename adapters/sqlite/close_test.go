package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
)

// After the last Close everything is in the one file: SQLite has removed its log.
func TestCloseLeavesOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.db")
	store, err := sqlite.Open(t.Context(), "sqlite:"+path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "ann", "Laptop", 1, time.Now())
	if err == nil {
		err = store.Orders().Add(t.Context(), order, domain.Origin{})
	}
	if err == nil {
		_, err = store.Orders().Get(t.Context(), order.ID)
	}
	if err == nil {
		err = store.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if diff := cmp.Diff([]string{path}, files); err != nil || diff != "" {
		t.Errorf("files (-want +got):\n%s\n%v", diff, err)
	}
}
