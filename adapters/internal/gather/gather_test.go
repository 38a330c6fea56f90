package gather_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/internal/gather"
)

func TestLoneCallerDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := callers{g: gather.New(s.write)}
		for i := range 3 {
			start := time.Now()
			if err := c.g.Do(t.Context(), item{N: i}); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("took %v, want one second, for the write", took)
			}
		}
		s.check(t, []item{{N: 0}}, []item{{N: 1}}, []item{{N: 2}})
	})
}

func TestCallsDuringAWriteShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := callers{g: gather.New(s.write)}
		c.call(t.Context(), row(0, 10)...)
		time.Sleep(time.Second + time.Second/2)
		c.call(t.Context(), row(10, 5)...)
		c.wait(t)
		s.check(t, items(0), row(1, 9), row(10, 5))
		for i, a := range c.answers {
			if a.took > 2*time.Second {
				t.Errorf("caller %d waited for %v, want at most 2s, for two writes", i, a.took)
			}
		}
	})
}

func TestBounds(t *testing.T) {
	const mega = 1 << 20
	sized := func(sizes ...int) []item {
		list := row(1, len(sizes))
		for i, size := range sizes {
			list[i].Bytes = size
		}
		return list
	}
	tests := []struct {
		name  string
		items []item // that wait together
		want  []int  // sizes of the batches
	}{
		{"MaxItems", row(1, 256), []int{256}},
		{"MaxItems and one", row(1, 257), []int{256, 1}},
		{"MaxBytes", sized(mega, mega, 2*mega), []int{3}},
		{"MaxBytes and one", sized(mega, mega, 2*mega+1, 7), []int{2, 2}},
		{"a too large item is written alone", sized(1, 20*mega, 2, 3), []int{1, 1, 2}},
		{"too large items come first", sized(20*mega, 21*mega, 2), []int{1, 1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s server
				c := callers{g: gather.New(s.write)}
				c.call(t.Context(), item{})
				c.call(t.Context(), tt.items...)
				c.wait(t)
				want := [][]item{{{}}}
				for _, n := range tt.want {
					want = append(want, tt.items[:n])
					tt.items = tt.items[n:]
				}
				s.check(t, want...)
			})
		})
	}
}

func TestBatchIsSortedByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := callers{g: gather.New(s.write)}
		first, second := item{N: 7, Bytes: 1}, item{N: 7, Bytes: 2}
		c.call(t.Context(), items(0, 9, 3)...)
		c.call(t.Context(), first, second)
		c.call(t.Context(), items(1)...)
		c.wait(t)
		s.check(t, items(0), []item{{N: 1, Bytes: 1}, {N: 3, Bytes: 1}, first, second, {N: 9, Bytes: 1}})
	})
}

func TestEachCallerHasItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := callers{g: gather.New(s.write)}
		c.call(t.Context(), items(0)...)
		all := items(5, 1, 4, 2, 3)
		for i := range all {
			all[i].Refused = all[i].N%2 == 0
		}
		answers := c.call(t.Context(), all...)
		c.wg.Wait()
		if len(s.batches) != 2 {
			t.Errorf("%d batches, want 2", len(s.batches))
		}
		for i, item := range all {
			want := ""
			if item.Refused {
				want = fmt.Sprintf("item %d: refused", item.N)
			}
			if got := answers[i].err; want == "" && got != nil || want != "" && (got == nil || got.Error() != want) {
				t.Errorf("caller of item %d: got %v, want %q", item.N, got, want)
			}
		}
	})
}

func TestEndedCallerDoesNotAffectOthers(t *testing.T) {
	tests := []struct {
		name  string
		ended []int         // whose contexts end
		at    time.Duration // when
		want  [][]item
	}{
		{"the caller of the running write", []int{0}, time.Second / 2, [][]item{items(0), items(1, 2, 3, 4)}},
		{"the first waiting caller", []int{1}, time.Second / 2, [][]item{items(0), items(2, 3, 4)}},
		{"the last waiting caller", []int{4}, time.Second / 2, [][]item{items(0), items(1, 2, 3)}},
		{"all waiting callers", []int{1, 2, 3, 4}, time.Second / 2, [][]item{items(0)}},
		{"the first caller of a batch", []int{1}, time.Second * 3 / 2, [][]item{items(0), items(1, 2, 3, 4)}},
		{"all but one caller of a batch", []int{1, 2, 4}, time.Second * 3 / 2, [][]item{items(0), items(1, 2, 3, 4)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s server
				c := callers{g: gather.New(s.write)}
				ending, cancel := context.WithTimeout(t.Context(), tt.at)
				defer cancel()
				ends := map[int]bool{}
				for _, n := range tt.ended {
					ends[n] = true
				}
				for n := range 5 {
					ctx := t.Context()
					if ends[n] {
						ctx = ending
					}
					c.call(ctx, items(n)...)
				}
				c.wg.Wait()
				for n, a := range c.answers {
					switch {
					case !ends[n] && a.err != nil:
						t.Errorf("caller %d, whose context has not ended: %v", n, a.err)
					case ends[n] && !errors.Is(a.err, context.DeadlineExceeded):
						t.Errorf("caller %d, whose context has ended: got %v, want DeadlineExceeded", n, a.err)
					case ends[n] && a.took != tt.at:
						t.Errorf("caller %d, whose context ended after %v, got its answer after %v", n, tt.at, a.took)
					}
				}
				c.g.Close(t.Context())
				s.check(t, tt.want...)
			})
		})
	}
}

func TestEndedContextWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		g := gather.New(s.write)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Do(ctx, item{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
		g.Close(t.Context())
		s.check(t)
	})
}

// A batch that no caller waits for must not delay the next one.
func TestWritesContextEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const forever = 1000 * time.Hour
		var took []time.Duration
		g := gather.New(func(ctx context.Context, items []item) []error {
			start := time.Now()
			select {
			case <-ctx.Done():
			case <-time.After(forever):
			}
			took = append(took, time.Since(start))
			return make([]error, len(items))
		})
		c := callers{g: g}
		for _, after := range []time.Duration{5, 30, 10, 20} {
			ctx, cancel := context.WithTimeout(t.Context(), after*time.Second)
			defer cancel()
			c.call(ctx, item{N: int(after)})
		}
		c.wg.Wait()
		g.Close(t.Context())
		if diff := cmp.Diff([]time.Duration{5 * time.Second, 25 * time.Second}, took); diff != "" {
			t.Errorf("the writes' contexts ended after (-want +got):\n%s", diff)
		}
	})
}

func TestPanicAnswersEachCaller(t *testing.T) {
	tests := []struct {
		name  string
		write func(items []item) []error
		want  string
	}{
		{"panic", func([]item) []error { panic("boom") }, "panicked: boom"},
		{"too few errors", func([]item) []error { return nil }, "panicked: 0 errors for"},
		{"too many errors", func([]item) []error { return make([]error, 20) }, "panicked: 20 errors for"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fails := true
				g := gather.New(func(_ context.Context, items []item) []error {
					time.Sleep(time.Second)
					if fails {
						return tt.write(items)
					}
					return make([]error, len(items))
				})
				c := callers{g: g}
				c.call(t.Context(), row(0, 10)...)
				c.wg.Wait()
				for i, a := range c.answers {
					if a.err == nil || !strings.Contains(a.err.Error(), tt.want) {
						t.Errorf("caller %d: got %v, want an error with %q", i, a.err, tt.want)
					}
				}
				fails = false
				if err := g.Do(t.Context(), item{}); err != nil {
					t.Errorf("after the panic: %v", err)
				}
			})
		})
	}
}

func TestCloseWaitsForWaitingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := callers{g: gather.New(s.write)}
		c.call(t.Context(), row(0, 3)...)
		start := time.Now()
		c.g.Close(t.Context())
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("closed after %v, want two seconds, for two batches", took)
		}
		c.wait(t)
		s.check(t, items(0), items(1, 2))
		if err := c.g.Do(t.Context(), item{}); !errors.Is(err, gather.ErrClosed) {
			t.Errorf("after Close: got %v, want ErrClosed", err)
		}
		c.g.Close(t.Context())
		s.check(t, items(0), items(1, 2))
	})
}

func TestCloseCancelsWriteWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := callers{g: gather.New(s.write)}
		c.call(t.Context(), row(0, 3)...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		start := time.Now()
		c.g.Close(ctx)
		if took := time.Since(start); took != time.Second/2 {
			t.Errorf("closed after %v, want half a second", took)
		}
		c.wg.Wait()
		for i, a := range c.answers {
			if !errors.Is(a.err, context.Canceled) {
				t.Errorf("caller %d: got %v, want Canceled", i, a.err)
			}
		}
	})
}
