package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
	"golang.org/x/sync/errgroup"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/domain"
)

// fileName is the name that the executable gives its file in the folder of its data.
const fileName = "orderflow.db"

// countEmbedded counts the rows of the file that the process has closed.
func (s *stage) countEmbedded() (stored, waiting int) {
	stored, waiting, err := countFile(filepath.Join(s.data, fileName))
	check(err)
	return stored, waiting
}

// countFile returns how many orders the file has, and how many events are not
// published or wait in a queue.
func countFile(path string) (stored, waiting int, err error) {
	db, err := sqlite3.OpenFlags(path, sqlite3.OPEN_READONLY)
	if err != nil {
		return 0, 0, fmt.Errorf("count the orders in %s: %w", path, err)
	}
	defer db.Close()
	count, _, err := db.Prepare("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox) + (SELECT count(*) FROM messages)")
	if err != nil {
		return 0, 0, fmt.Errorf("count the orders in %s: %w", path, err)
	}
	defer count.Close()
	if count.Step() {
		stored, waiting = count.ColumnInt(0), count.ColumnInt(1)
	}
	if err := count.Err(); err != nil {
		return 0, 0, fmt.Errorf("count the orders in %s: %w", path, err)
	}
	return stored, waiting, nil
}

// fillFile makes a file of orders that are published and notified.
func fillFile(ctx context.Context, path string, count int) []answered {
	store := must(sqlite.Open(ctx, "sqlite:"+path, sqlite.Options{}))
	orders, events := make([]answered, count), make([]domain.EventID, count)
	began := time.Now()
	group, filling := errgroup.WithContext(ctx)
	group.SetLimit(512) // enough for full batches
	for n := range count {
		order, err := domain.NewOrder(domain.OrderID(newID()), userName(n), "Laptop", 1, began.Add(time.Duration(n-count)*time.Second))
		check(err)
		copy(orders[n].order[:], order.ID)
		events[n] = order.Created().ID
		group.Go(func() error {
			if err := store.Orders().Add(filling, order, domain.Origin{}); err != nil {
				return err
			}
			return recordSent(filling, store, order)
		})
	}
	check(group.Wait())
	for len(events) > 0 {
		some := events[:min(len(events), 1000)]
		check(store.Orders().MarkPublished(ctx, some...))
		events = events[len(some):]
	}
	check(store.Close(ctx))
	return orders
}

// recordSent records the order's notification as the channel log does.
func recordSent(ctx context.Context, store *sqlite.Store, order domain.Order) error {
	event := order.Created()
	n := domain.Notification{
		EventID: event.ID, Channel: "log", OrderID: order.ID, UserID: order.UserID,
		State: domain.Sent, At: order.CreatedAt, Attempt: 1, First: order.CreatedAt,
		Attempts: []domain.Attempt{{At: order.CreatedAt, Outcome: domain.Accepted}},
	}
	claim, err := store.Deliveries().Claim(ctx, n.Key())
	if err != nil {
		return err
	}
	return claim.Record(ctx, n, event)
}

// copyFile copies the file to the disk.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync() // now, not while something is measured
}
