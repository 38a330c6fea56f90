package gather_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"example.com/orderflow/adapters/internal/gather"
)

type visitor struct {
	After   time.Duration // since the visitor before
	Timeout time.Duration
	Item    item
}

var visitors = rapid.Custom(func(t *rapid.T) []visitor {
	list := make([]visitor, rapid.IntRange(0, 40).Draw(t, "visitors"))
	keys := rapid.Permutation(row(0, len(list))).Draw(t, "keys")
	for i := range list {
		list[i] = visitor{
			After:   time.Duration(rapid.IntRange(0, 3).Draw(t, "after")) * time.Second,
			Timeout: time.Duration(rapid.IntRange(0, 20).Draw(t, "timeout"))*time.Second + time.Millisecond,
			Item: item{
				N:       keys[i].N,
				Bytes:   rapid.SampledFrom([]int{1, gather.MaxBytes / 3, gather.MaxBytes, 2 * gather.MaxBytes}).Draw(t, "bytes"),
				Refused: rapid.Bool().Draw(t, "refused"),
			},
		}
	}
	return list
})

// With random arrivals, deadlines and durations of writes, each caller gets the
// answer that belongs to its item.
func TestEachCallerGetsItsItemsAnswer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := visitors.Draw(rt, "all")
		lasts := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 5).Draw(rt, "how long the writes last")
		synctest.Test(t, func(*testing.T) {
			var s server
			n := 0
			c := callers{g: gather.New(func(ctx context.Context, items []item) []error {
				n++
				return s.writeFor(ctx, time.Duration(lasts[n%len(lasts)])*time.Second, items)
			})}
			for _, v := range all {
				time.Sleep(v.After)
				ctx, cancel := context.WithTimeout(context.Background(), v.Timeout)
				defer cancel()
				c.call(ctx, v.Item)
			}
			c.wg.Wait()
			c.g.Close(context.Background())
			checkBatches(rt, &s, all)
			checkAnswers(rt, &s, all, c.answers)
		})
	})
}

func checkBatches(t *rapid.T, s *server, all []visitor) {
	if s.twice {
		t.Error("two batches were written at once")
	}
	last := -1
	for _, batch := range s.batches {
		if !slices.IsSortedFunc(batch, func(x, y item) int { return x.N - y.N }) {
			t.Errorf("batch %v is not in the order of its keys", batch)
		}
		bytes := 0
		var came []int
		for _, item := range batch {
			bytes += item.Bytes
			came = append(came, slices.IndexFunc(all, func(v visitor) bool { return v.Item == item }))
		}
		if len(batch) > 1 && bytes > gather.MaxBytes {
			t.Errorf("a batch of %d items has %d bytes", len(batch), bytes)
		}
		if slices.Min(came) <= last {
			t.Errorf("batch of visitors %v after visitor %d: not in the order of arrival, or written twice", came, last)
		}
		last = slices.Max(came)
	}
}

func checkAnswers(t *rapid.T, s *server, all []visitor, answers []*answer) {
	written := slices.Concat(s.batches...)
	for i, v := range all {
		err, took := answers[i].err, answers[i].took
		switch {
		case took > v.Timeout:
			t.Errorf("visitor %d with a timeout of %v got its answer after %v", i, v.Timeout, took)
		case errors.Is(err, context.DeadlineExceeded):
			if took < v.Timeout {
				t.Errorf("visitor %d with a timeout of %v got its answer after %v: %v", i, v.Timeout, took, err)
			}
		case !slices.Contains(written, v.Item):
			t.Errorf("visitor %d's item was not written, and the error is %v", i, err)
		case errors.Is(err, errRefused) != v.Item.Refused || err != nil && !v.Item.Refused:
			t.Errorf("visitor %d, item refused: %v, got error %v", i, v.Item.Refused, err)
		}
	}
}
