package sqlite

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/domain"
)

// A log that a long read has let grow is used anew once the read has ended.
func TestLogIsBounded(t *testing.T) {
	var text bytes.Buffer
	path := filepath.Join(t.TempDir(), "orderflow.db")
	s := openInside(t, path, Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
	keeper := logKeeper{max: 20 * 4096}
	reader, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := reader.Exec("BEGIN; SELECT count(*) FROM orders"); err != nil {
		t.Fatal(err)
	}
	pages := func() int { // of the log, beside those that are copied
		t.Helper()
		c := <-s.readers
		defer func() { s.readers <- c }()
		log, copied, err := c.conn.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
		if err != nil {
			t.Fatal(err)
		}
		return max(log, log-copied)
	}
	for n := range 30 {
		if err := s.Orders().Add(t.Context(), newOrder(t, n), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	keeper.keep(t.Context(), s)
	if n := pages(); n < 30 || !strings.Contains(text.String(), "another program reads the file for long") {
		t.Errorf("%d pages, logged %q; want 30 and a warning", n, &text)
	}
	text.Reset()
	if err := reader.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	keeper.keep(t.Context(), s)
	if n := pages(); n < 30 {
		t.Errorf("%d pages: tried again at once", n)
	}
	keeper.next = time.Time{}
	keeper.keep(t.Context(), s)
	if err := s.Orders().Add(t.Context(), newOrder(t, 30), domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	if n := pages(); n > 20 || text.Len() > 0 {
		t.Errorf("%d pages, logged %q; want few, and nothing", n, &text)
	}
}
