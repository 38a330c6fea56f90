package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is no line of the log is strange, but for the reason of a failure in the
// end.
func TestStrangeLines(t *testing.T) {
	const sent = `{"time":"2026-11-23T10:00:00Z","level":"INFO","msg":"Received order","event_id":"e","order_id":"o"}` + "\n"
	tests := []struct {
		name, log string
		sends     int
		strange   []string
	}{
		{"nothing", "", 0, nil},
		{"sends", sent + `{"level":"WARN","msg":"else"}` + "\n" + sent, 2, nil},
		{"cut off by a kill", sent + sent[:20], 1, nil},
		{"a panic", sent + "panic: boom\n" + sent, 2, []string{"panic: boom"}},
		{"a panic in the end", sent + "panic: boom\n", 1, []string{"panic: boom"}},
		{"the reason of a failure", sent + "notification: consumer was not done\n", 1, nil},
		{"a reason, and it goes on", "notification: consumer was not done\n" + sent, 1, []string{"notification: consumer was not done"}},
		{"another program's", "order: consumer was not done\n", 0, []string{"order: consumer was not done"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e evidence
			var strange []string
			err := e.readLog("notification-1", strings.NewReader(tt.log), func(line string) { strange = append(strange, line) })
			if err != nil || len(e.sends) != tt.sends {
				t.Errorf("%d sends, error %v, want %d", len(e.sends), err, tt.sends)
			}
			if diff := cmp.Diff(tt.strange, strange); diff != "" {
				t.Errorf("strange lines (-want +got):\n%s", diff)
			}
		})
	}
}
