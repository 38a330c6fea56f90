package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// notify writes the notice of an order as the notifier does.
func notify(t *testing.T, out io.Writer, order string) {
	t.Helper()
	o, err := domain.NewOrder(domain.OrderID(order), "client-1", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logchannel.New(slog.NewJSONHandler(out, nil)).Send(t.Context(), ports.Outgoing{Event: o.Created()}); err != nil {
		t.Fatal(err)
	}
}

func placedOrders(n int) (ids []string, placed []answered) {
	for range n {
		id := newID()
		var a answered
		copy(a.order[:], id)
		ids, placed = append(ids, id), append(placed, a)
	}
	return ids, placed
}

func newNotices(t *testing.T) (*notices, *os.File) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	n, err := readNotices(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n, out
}

func TestNotices(t *testing.T) {
	n, out := newNotices(t)
	ids, placed := placedOrders(3)
	began := time.Now()
	fmt.Fprintln(out, `{"time":"2026-11-23T10:00:00Z","level":"INFO","msg":"listening","order_id":"`+ids[2]+`"}`)
	fmt.Fprintln(out, "panic: no JSON")
	notify(t, out, ids[0])
	var line strings.Builder
	notify(t, &line, ids[1])
	half := line.Len() / 2
	fmt.Fprint(out, line.String()[:half])

	if _, err := n.await(t.Context(), placed[:1], time.Second); err != nil {
		t.Error(err)
	}
	if _, err := n.await(t.Context(), placed[:2], 20*time.Millisecond); !errors.Is(err, errLost) {
		t.Errorf("half a line: got error %v, want %v", err, errLost)
	}
	fmt.Fprint(out, line.String()[half:])
	notify(t, out, ids[0])
	last, err := n.await(t.Context(), placed[:2], time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if first, second := n.at[placed[0].order], n.at[placed[1].order]; first.Before(began) || second.Before(first) || !last.Equal(second) {
		t.Errorf("noticed at %v and %v, the last at %v; began at %v", first, second, last, began)
	}
	if n.repeats != 1 || len(n.at) != 2 {
		t.Errorf("%d repeats of %d orders, want 1 of 2", n.repeats, len(n.at))
	}
	if _, err := n.await(t.Context(), placed, 20*time.Millisecond); !errors.Is(err, errLost) || !strings.Contains(err.Error(), ": 1 were answered") {
		t.Errorf("got error %v, want one order lost", err)
	}
}

// Other orders' notices do not prolong the wait. Expected notices, even behind a missing
// one, do.
func TestNoticesToCome(t *testing.T) {
	const silence = time.Minute
	for _, tt := range []struct {
		name              string
		missing, expected bool
		least, most       time.Duration
	}{
		{"others", true, false, silence, 3 * silence},
		{"those behind", true, true, 5 * silence, 8 * silence},
		{"all", false, true, 5 * silence, 6 * silence},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, out := newNotices(t)
				var placed []answered
				if tt.missing {
					_, placed = placedOrders(1)
				}
				ids, behind := placedOrders(50)
				if tt.expected {
					placed = append(placed, behind...)
				}
				began := time.Now()
				go func() {
					for _, id := range ids {
						notify(t, out, id)
						time.Sleep(6 * silence / time.Duration(len(ids)))
					}
				}()
				_, err := n.await(t.Context(), placed, silence)
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("ended after %v, want after %v to %v", took, tt.least, tt.most)
				}
				if tt.missing && (!errors.Is(err, errLost) || !strings.Contains(err.Error(), ": 1 were answered")) || !tt.missing && err != nil {
					t.Errorf("got error %v, want one order lost: %v", err, tt.missing)
				}
				time.Sleep(10 * silence) // until every notice is written
			})
		})
	}
}
