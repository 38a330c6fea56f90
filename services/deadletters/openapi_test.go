package deadletters_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
)

func TestOpenAPI(t *testing.T) {
	h := newHandler(t, newService(t, new(memory.DeadLetters), new(memory.Broker).DeadLetterQueue(), discard))
	if diff := cmp.Diff(h.Operations(), described.Operations()); diff != "" {
		t.Errorf("operations (-served +documented):\n%s", diff)
	}
	for _, e := range described.Examples() {
		if w := described.Do(h, e.Request()); w.Code != http.StatusOK && e.Name != "getDeadLetter" {
			t.Errorf("%s: the example is refused: %d %s", e.Name, w.Code, w.Body)
		}
	}
	described.CheckRefusals(t, h)
}
