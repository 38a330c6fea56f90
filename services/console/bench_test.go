package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"example.com/orderflow/services/console"
)

// reader is a page that only counts.
type reader struct {
	header http.Header
	got    chan struct{}
}

func (r reader) Header() http.Header         { return r.header }
func (r reader) WriteHeader(int)             {}
func (r reader) Flush()                      {}
func (r reader) Write(b []byte) (int, error) { r.got <- struct{}{}; return len(b), nil }

// One look at the services, with an order since the last one, and its event for 50 pages. It
// happens at most four times a second.
func BenchmarkEventFor50Pages(b *testing.B) {
	w := newWorld(b)
	c := w.console()
	ctx, stop := context.WithCancel(b.Context())
	var pages sync.WaitGroup
	got := make(chan struct{})
	const open = 50
	console.Sample(c, ctx)
	for range open {
		pages.Go(func() {
			c.ServeHTTP(reader{make(http.Header), got}, httptest.NewRequestWithContext(ctx, http.MethodGet, "/console/events", nil))
		})
	}
	for range 2 * open { // the beginning, and the snapshot
		<-got
	}
	n := 0
	for b.Loop() {
		n++
		w.place(n, 1)
		console.Sample(c, ctx)
		for range open {
			<-got
		}
	}
	stop()
	pages.Wait()
}
