package main

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadLog(t *testing.T) {
	const line = `{"time":"2026-11-23T12:00:00.5Z","level":"INFO","msg":"Received order","event_id":"1-created","order_id":"1","user_id":"u","product":"p","quantity":2}` + "\n"
	sent := send{
		EventID: "1-created", OrderID: "1", Order: Order{UserID: "u", Product: "p", Quantity: 2},
		Time: noon.Add(500 * time.Millisecond), process: "notification-1",
	}
	tests := []struct {
		name, log string
		sends     int
		strange   []string
	}{
		{"nothing", "", 0, nil},
		{"sends", line + `{"level":"WARN","msg":"else"}` + "\n" + line, 2, nil},
		{"cut off by a kill", line + line[:20], 1, nil},
		{"cut off at the end", line + line[:len(line)-10], 1, nil},
		{"a panic", line + "panic: boom\n" + line, 2, []string{"panic: boom"}},
		{"a panic in the end", line + "panic: boom\n", 1, []string{"panic: boom"}},
		{"a panic, and cut off", line + "panic: boom\n" + line[:100], 1, []string{"panic: boom"}},
		{"a broken send", `{"msg":"Received order",}` + "\n", 0, []string{`{"msg":"Received order",}`}},
		{"the reason of a failure", line + "notification: consumer was not done\n", 1, nil},
		{"a reason, and it goes on", "notification: consumer was not done\n" + line, 1, []string{"notification: consumer was not done"}},
		{"a reason, and cut off", "notification: consumer was not done\n" + line[:100], 0, []string{"notification: consumer was not done"}},
		{"another program's", "order: consumer was not done\n", 0, []string{"order: consumer was not done"}},
	}
	t.Run("a welcome", func(t *testing.T) {
		const log = "\n  orders  http://localhost:8080\n\n" + line + "panic: boom\n"
		a := account{journal: &journal{log: io.Discard}}
		a.readLog("orderflow-1.0001.log", log)
		if got := a.breaches(logsOnly); len(a.sends) != 1 || !cmp.Equal(got, []string{"orderflow-1.0001.log: panic: boom"}) {
			t.Errorf("%d sends, strange lines %q", len(a.sends), got)
		}
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := account{journal: &journal{log: io.Discard}}
			a.readLog("notification-1.0001.log", tt.log)
			if diff := cmp.Diff(slices.Repeat([]send{sent}, tt.sends), append([]send{}, a.sends...), cmp.AllowUnexported(send{})); diff != "" {
				t.Errorf("sends (-want +got):\n%s", diff)
			}
			var strange []string
			for _, line := range tt.strange {
				strange = append(strange, "notification-1.0001.log: "+line)
			}
			if diff := cmp.Diff(strange, a.breaches(logsOnly)); diff != "" {
				t.Errorf("strange lines (-want +got):\n%s", diff)
			}
		})
	}
}
