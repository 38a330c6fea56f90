package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/services/cmd/proof/harness"
)

// queryFile reads the rows of a query as text, without the adapter and without writing.
func (t *fileTrial) queryFile(sql string) (rows []string, err error) {
	conn, err := sqlite3.OpenFlags(t.data, sqlite3.OPEN_READONLY)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.data, err)
	}
	defer conn.Close()
	if err := conn.BusyTimeout(5 * time.Second); err != nil {
		return nil, err
	}
	statement, _, err := conn.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.data, err)
	}
	defer statement.Close()
	for statement.Step() {
		var columns []string
		for i := range statement.ColumnCount() {
			columns = append(columns, statement.ColumnText(i))
		}
		rows = append(rows, strings.Join(columns, " "))
	}
	return rows, statement.Err()
}

// fileBacklog counts what the file has.
func (t *fileTrial) fileBacklog() (b backlog, err error) {
	rows, err := t.queryFile(`SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM deliveries), (SELECT count(*) FROM outbox),
		(SELECT count(*) FROM messages) + (SELECT count(*) FROM dead_letter_queue),
		(SELECT count(*) FROM deliveries WHERE next_try IS NOT NULL OR held_channel IS NOT NULL)`)
	if err == nil {
		_, err = fmt.Sscan(rows[0], &b.orders, &b.notifications, &b.outbox, &b.queued, &b.waiting)
	}
	return b, err
}

// drainFile waits until nothing waits in the file. After the timeout, the account finds
// what is missing.
func (t *fileTrial) drainFile(ctx context.Context) error {
	began, state := time.Now(), ""
	drained := await(ctx, fileDrainTimeout, func() bool {
		b, err := t.fileBacklog()
		if state = b.String(); err != nil {
			state = err.Error()
		}
		return err == nil && b.isDrained(backlog{}, t.channelsOfEach())
	})
	if t.drained = time.Since(began); !drained && ctx.Err() == nil {
		t.breaks(drainsInTime, "after %v: %v", fileDrainTimeout, state)
	}
	return context.Cause(ctx)
}

// channelsOfEach returns how many notifications each order has.
func (t *fileTrial) channelsOfEach() int {
	if t.hasPicky() {
		return usualNotifications + 1
	}
	return usualNotifications
}

// hasPicky reports whether the processes have the channel picky.
func (t *fileTrial) hasPicky() bool { return strings.HasPrefix(t.notifies().Name, programVictim) }

// collectFile collects the evidence over HTTP, stops the processes, checks the file, and
// accounts for everything.
func (t *fileTrial) collectFile(ctx context.Context) (err error) {
	a := &t.account
	a.requests, a.picky = t.load.requests, t.hasPicky()
	if err := t.checkStories(ctx, t.notifications()); err != nil {
		return err
	}
	if err := a.readOrders(ctx, t.takesOrders().Addr); err != nil {
		return err
	}
	channels := append([]string{"log"}, channels...)
	if t.hasPicky() {
		channels = append(channels, harness.Picky)
	}
	for _, channel := range channels {
		if err := a.readNotifications(ctx, t.notifications(), channel); err != nil {
			return err
		}
	}
	if err := a.readLetters(ctx, t.notifies().Admin); err != nil {
		return err
	}
	for _, p := range t.processes {
		if err := t.end(p, syscall.SIGTERM); err != nil {
			t.breaks(stopsWell, "%v", err)
		}
	}
	t.checkFile()
	a.arrivals, a.arrivalFaults = t.arrivals(), make(map[string][]string)
	for channel, r := range t.receivers {
		a.arrivalFaults[channel] = r.Faults()
	}
	if err := a.readLogs(t.folder); err != nil {
		return err
	}
	a.settle()
	return nil
}

// checkFile finds what is wrong with the file after the last process has ended well.
func (t *fileTrial) checkFile() {
	b, err := t.fileBacklog()
	if err != nil {
		t.breaks(fileIsSound, "%v", err)
		return
	}
	if b.outbox > 0 {
		t.breaks(outboxEmpty, "%d events", b.outbox)
	}
	if b.queued > 0 {
		t.breaks(queuesEmpty, "%d messages", b.queued)
	}
	if b.orders != len(t.account.orders) || b.notifications != len(t.account.records) {
		t.breaks(listsAll, "the file has %d orders and %d notifications, the lists have %d and %d",
			b.orders, b.notifications, len(t.account.orders), len(t.account.records))
	}
	for _, check := range []struct{ sql, want string }{
		{"PRAGMA integrity_check", "ok"},
		{"SELECT count(*) FROM owners", "0"},
		{"SELECT count(*) FROM delivery_claims", "0"},
		{"SELECT n - (SELECT count(*) FROM orders) FROM counters WHERE name = 'orders'", "0"},
	} {
		rows, err := t.queryFile(check.sql)
		if got := strings.Join(rows, "; "); err != nil || got != check.want {
			t.breaks(fileIsSound, "%s: %q, %v; want %q", check.sql, got, err, check.want)
		}
	}
	left, err := filepath.Glob(t.data + "-owner-*")
	if err != nil || len(left) > 0 {
		t.breaks(fileIsSound, "lock files are left: %q, %v", left, err)
	}
}

// readOrders reads all orders, as users do.
func (a *account) readOrders(ctx context.Context, addr string) error {
	return readPages(ctx, "http://"+addr+"/orders", url.Values{}, func(o Order) {
		a.orders = append(a.orders, storedOrder{Order: o})
	})
}

// readNotifications reads the channel's notifications.
func (a *account) readNotifications(ctx context.Context, addr, channel string) error {
	type listed struct {
		EventID   string    `json:"event_id"`
		OrderID   string    `json:"order_id"`
		Channel   string    `json:"channel"`
		Recipient string    `json:"recipient"`
		Attempt   int       `json:"attempt"`
		State     string    `json:"state"`
		Reason    string    `json:"reason"`
		At        time.Time `json:"at"`
	}
	return readPages(ctx, "http://"+addr+"/notifications", url.Values{"channel": {channel}}, func(n listed) {
		r := record{OrderID: n.OrderID, Attempt: n.Attempt, SentAt: n.At, State: n.State, Reason: n.Reason}
		r.ID.EventID, r.ID.Channel, r.ID.Recipient = n.EventID, n.Channel, n.Recipient
		if r.State == "sent" {
			r.State = ""
		}
		a.records = append(a.records, r)
	})
}

// readPages reads a list to its end.
func readPages[T any](ctx context.Context, list string, query url.Values, each func(T)) error {
	query.Set("limit", "100")
	for {
		var page struct {
			Data       []T
			NextCursor string `json:"next_cursor"`
		}
		if err := harness.GetJSON(ctx, list+"?"+query.Encode(), &page); err != nil {
			return fmt.Errorf("read a list: %w", err)
		}
		for _, element := range page.Data {
			each(element)
		}
		if page.NextCursor == "" {
			return nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
