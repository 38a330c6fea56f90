package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadLogFindsStrangeLines(t *testing.T) {
	const sent = `{"time":"2026-11-23T10:00:00Z","level":"INFO","msg":"Received order","event_id":"e","order_id":"o"}` + "\n"
	tests := []struct {
		name, log string
		sends     int
		strange   []string
	}{
		{"nothing", "", 0, nil},
		{"sends", sent + `{"level":"WARN","msg":"else"}` + "\n" + sent, 2, nil},
		{"cut off by a kill", sent + sent[:20], 1, nil},
		{"a panic", sent + "panic: boom\n" + sent, 2, []string{"notification-1.0001.log: panic: boom"}},
		{"a panic in the end", sent + "panic: boom\n", 1, []string{"notification-1.0001.log: panic: boom"}},
		{"the reason of a failure", sent + "notification: consumer was not done\n", 1, nil},
		{"a reason, and it goes on", "notification: consumer was not done\n" + sent, 1, []string{"notification-1.0001.log: notification: consumer was not done"}},
		{"another program's", "order: consumer was not done\n", 0, []string{"notification-1.0001.log: order: consumer was not done"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := account{journal: new(journal)}
			a.readLog("notification-1.0001.log", tt.log)
			if len(a.sends) != tt.sends {
				t.Errorf("%d sends, want %d", len(a.sends), tt.sends)
			}
			if diff := cmp.Diff(tt.strange, a.breaches(logsOnly)); diff != "" {
				t.Errorf("strange lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadLogFindsSends(t *testing.T) {
	log := `{"time":"2026-11-23T12:00:00.000000001Z","level":"INFO","msg":"connected"}
{"time":"2026-11-23T12:00:00.5Z","level":"INFO","msg":"Received order","event_id":"1-created","order_id":"1","user_id":"u","product":"p","quantity":2}
panic: oh
{"time":"2026-11-23T12:00:01Z","level":"INFO","msg":"Received order","event_id":"2-cre`
	a := account{journal: new(journal)}
	a.readLog("n", log)
	want := []send{{EventID: "1-created", OrderID: "1", Order: Order{UserID: "u", Product: "p", Quantity: 2}, Time: noon.Add(500 * time.Millisecond), process: "n"}}
	if diff := cmp.Diff(want, a.sends, cmp.AllowUnexported(send{})); diff != "" {
		t.Errorf("sends (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"n: panic: oh"}, a.breaches(logsOnly)); diff != "" {
		t.Errorf("strange lines (-want +got):\n%s", diff)
	}
}
