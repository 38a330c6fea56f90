package gather_test

import (
	"context"
	"sync"
	"testing"

	"example.com/orderflow/adapters/internal/gather"
)

// BenchmarkGather reports how many items a cheap write takes. In one case 200
// callers call Do at once, as after a write that has answered all of them.
func BenchmarkGather(b *testing.B) {
	for name, atOnce := range map[string]int{"callers=1": 1, "callers=200": 200} {
		b.Run(name, func(b *testing.B) {
			writes := 0
			g := gather.New(func(_ context.Context, items []item) []error {
				writes++
				return make([]error, len(items))
			})
			for b.Loop() {
				ready := make(chan struct{})
				var callers sync.WaitGroup
				for n := range atOnce {
					callers.Go(func() {
						<-ready
						if err := g.Do(b.Context(), item{N: n}); err != nil {
							b.Error(err)
						}
					})
				}
				close(ready)
				callers.Wait()
			}
			g.Close(b.Context())
			b.ReportMetric(float64(b.N*atOnce)/float64(writes), "items/write")
		})
	}
}
