package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"example.com/orderflow/adapters/sqlite"
)

// Processes that start together make the file together.
func TestOpenTogether(t *testing.T) {
	const files, stores = 20, 4
	folder := t.TempDir()
	for n := range files {
		url := "sqlite:" + filepath.Join(folder, fmt.Sprint(n, ".db"))
		var opening sync.WaitGroup
		for range stores {
			opening.Go(func() {
				store, err := sqlite.Open(t.Context(), url, sqlite.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := store.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
	}
}
