package deadletters_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/services/deadletters"
)

func TestOpenAPI(t *testing.T) {
	service := newService(t, new(memory.DeadLetters), new(memory.Broker).DeadLetterQueue(), discard)
	h := newHandler(t, service)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := service.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer stop()
	for starts := false; !starts; runtime.Gosched() {
		_, err := service.StartJob(t.Context(), deadletters.JobRequest{Decision: deadletters.Decision{Action: deadletters.Replay, DryRun: true}})
		starts = err == nil
	}
	if diff := cmp.Diff(h.Operations(), described.Operations()); diff != "" {
		t.Errorf("operations (-served +documented):\n%s", diff)
	}
	for _, e := range described.Examples() {
		if w := described.Do(h, e.Request()); w.Code >= 300 && (w.Code != http.StatusNotFound || e.Method == "POST" && !strings.Contains(e.URL, "/jobs/")) {
			t.Errorf("%s: the example is refused: %d %s", e.Name, w.Code, w.Body)
		}
	}
	described.CheckRefusals(t, h)
}
