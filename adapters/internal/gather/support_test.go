package gather_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"example.com/orderflow/adapters/internal/gather"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errRefused = errors.New("refused")

type item struct {
	N       int // its key
	Bytes   int
	Refused bool
}

func (i item) Key() string { return fmt.Sprintf("%09d", i.N) }
func (i item) Size() int   { return i.Bytes }

// server takes a second for each batch, and keeps the batches.
type server struct {
	mu      sync.Mutex
	batches [][]item
	busy    bool
	twice   bool // two batches were written at once
}

func (s *server) write(ctx context.Context, items []item) []error {
	return s.writeFor(ctx, time.Second, items)
}

func (s *server) writeFor(ctx context.Context, last time.Duration, items []item) []error {
	s.mu.Lock()
	s.batches = append(s.batches, items)
	s.twice = s.twice || s.busy
	s.busy = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy = false
	}()

	errs := make([]error, len(items))
	select {
	case <-time.After(last):
	case <-ctx.Done():
		for i := range errs {
			errs[i] = fmt.Errorf("given up: %w", ctx.Err())
		}
		return errs
	}
	for i, item := range items {
		if item.Refused {
			errs[i] = fmt.Errorf("item %d: %w", item.N, errRefused)
		}
	}
	return errs
}

func (s *server) check(t *testing.T, want ...[]item) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	if s.twice {
		t.Error("two batches were written at once")
	}
}

// callers calls Do for each item in a goroutine of its own.
type callers struct {
	g       *gather.Gatherer[item]
	wg      sync.WaitGroup
	answers []*answer
}

type answer struct {
	err  error
	took time.Duration
}

func (c *callers) call(ctx context.Context, items ...item) (answers []*answer) {
	for _, item := range items {
		a := &answer{}
		answers = append(answers, a)
		c.wg.Go(func() {
			start := time.Now()
			a.err = c.g.Do(ctx, item)
			a.took = time.Since(start)
		})
		synctest.Wait() // it has arrived
	}
	c.answers = append(c.answers, answers...)
	return answers
}

// wait waits for all answers and fails t if one is an error.
func (c *callers) wait(t *testing.T) {
	t.Helper()
	c.wg.Wait()
	for i, a := range c.answers {
		if a.err != nil {
			t.Errorf("caller %d: %v", i, a.err)
		}
	}
}

// items returns items of one byte with these keys.
func items(keys ...int) []item {
	list := make([]item, len(keys))
	for i, key := range keys {
		list[i] = item{N: key, Bytes: 1}
	}
	return list
}

// row returns count items of one byte, with consecutive keys.
func row(from, count int) []item {
	list := items(make([]int, count)...)
	for i := range list {
		list[i].N = from + i
	}
	return list
}
