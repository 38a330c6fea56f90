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
	After    time.Duration // since the one before
	Patience time.Duration
	Item     item
}

var visitors = rapid.Custom(func(t *rapid.T) []visitor {
	list := make([]visitor, rapid.IntRange(0, 40).Draw(t, "visitors"))
	keys := rapid.Permutation(row(0, len(list))).Draw(t, "keys")
	for i := range list {
		list[i] = visitor{
			After:    time.Duration(rapid.IntRange(0, 3).Draw(t, "after")) * time.Second,
			Patience: time.Duration(rapid.IntRange(0, 20).Draw(t, "patience"))*time.Second + time.Millisecond,
			Item: item{
				N:       keys[i].N,
				Bytes:   rapid.SampledFrom([]int{1, gather.MaxBytes / 3, gather.MaxBytes, 2 * gather.MaxBytes}).Draw(t, "bytes"),
				Refused: rapid.Bool().Draw(t, "refused"),
			},
		}
	}
	return list
})

// Whoever comes and goes, and however long writes take: everybody has an
// answer, and it is true.
func TestAnswersAreTrue(t *testing.T) {
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
				ctx, cancel := context.WithTimeout(context.Background(), v.Patience)
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
		t.Error("two batches were under way at once")
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
			t.Errorf("batch of visitors %v after visitor %d: not in their turn, or twice", came, last)
		}
		last = slices.Max(came)
	}
}

func checkAnswers(t *rapid.T, s *server, all []visitor, answers []*answer) {
	written := slices.Concat(s.batches...)
	for i, v := range all {
		err, took := answers[i].err, answers[i].took
		switch {
		case took > v.Patience:
			t.Errorf("visitor %d with a patience of %v was let go after %v", i, v.Patience, took)
		case errors.Is(err, context.DeadlineExceeded):
			if took < v.Patience {
				t.Errorf("visitor %d with a patience of %v was let go after %v: %v", i, v.Patience, took, err)
			}
		case !slices.Contains(written, v.Item):
			t.Errorf("visitor %d was not written, and told %v", i, err)
		case errors.Is(err, errRefused) != v.Item.Refused || err != nil && !v.Item.Refused:
			t.Errorf("visitor %d, refused: %v, was told %v", i, v.Item.Refused, err)
		}
	}
}
