package move_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/move"
)

// execute runs statements as another program could.
func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := sqlite3.Open(strings.TrimPrefix(url, "sqlite:"))
	must(t, err, conn.BusyTimeout(5*time.Second), conn.Exec(sql), conn.Close())
}

// What was removed or altered at the target is named. The next move copies what is missing,
// and is not even, because it can't change orders and notifications that are done.
func TestAccountFindsDifferences(t *testing.T) {
	url := fileURL(t)
	source, target := openFile(t, fileURL(t)), openTarget(t, url)
	fill(t, source)
	mustBeEven(t, source, target)
	id := func(n int) string { return string(order(n).ID) }
	execute(t, url, `
		DELETE FROM orders WHERE id = '`+id(3)+`';
		UPDATE orders SET quantity = 77, user_id = 'eve' WHERE id = '`+id(4)+`';
		INSERT INTO outbox (order_id, owner, free_at) VALUES ('`+id(5)+`', NULL, 0);
		DELETE FROM deliveries WHERE event_id = '`+id(6)+`-created' AND state = 'sent';
		UPDATE deliveries SET details = json_set(details, '$.attempts[0].code', '999') WHERE event_id = '`+id(7)+`-created' AND state = 'sent';
		UPDATE contacts SET addresses = '{}' WHERE user_id = 'user 2';
		DELETE FROM contacts WHERE user_id = 'user 3';
		DELETE FROM channels WHERE name = 'gone';
		UPDATE pauses SET reason = 'other' WHERE receiver = 'b';
		DELETE FROM dead_letters WHERE id = '`+id(0)+`-created.email';
		UPDATE dead_letters SET body = x'00' WHERE id = '`+id(1)+`-created.email';`)
	faults := func(report move.Report, err error) (faults []string) {
		t.Helper()
		must(t, err)
		for _, l := range report.Lines {
			for _, fault := range l.Faults {
				faults = append(faults, l.Kind+": "+fault)
			}
			if len(l.Faults) != l.Missing+l.Different && l.Missing == 0 {
				t.Errorf("%s: %d missing, %d different, faults %v", l.Kind, l.Missing, l.Different, l.Faults)
			}
		}
		slices.Sort(faults)
		return faults
	}
	different := []string{
		"contacts: different: user user 2: Addresses",
		"dead letters: different: " + id(1) + "-created.email: Message.Body",
		"events to publish: different: " + id(5) + "-created: it was published, but waits at the target",
		"notifications: different: event " + id(7) + "-created by log: Attempts.Code",
		"orders: different: " + id(4) + ": UserID, Quantity",
		"pauses: different: webhook b: Reason",
	}
	report, err := move.Run(t.Context(), source, target, move.Options{DryRun: true})
	if diff := cmp.Diff(different, faults(report, err)); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	missing := 0
	for _, l := range report.Lines {
		missing += l.Missing
	}
	if missing != 5 || report.IsEven() {
		t.Errorf("%d are missing, even: %v; want 5 and false", missing, report.IsEven())
	}
	// The dry run has changed nothing.
	if _, err := target.Orders.Get(t.Context(), order(3).ID); !errors.Is(err, ports.ErrNotFound) {
		t.Errorf("after a dry run: error %v, want ErrNotFound", err)
	}

	report, err = move.Run(t.Context(), source, target, move.Options{})
	if diff := cmp.Diff([]string{different[3], different[4]}, faults(report, err)); diff != "" || report.IsEven() {
		t.Errorf("move: even: %v, faults (-want +got):\n%s", report.IsEven(), diff)
	}
	execute(t, url, `UPDATE orders SET quantity = `+string(rune('0'+order(4).Quantity))+`, user_id = '`+order(4).UserID+`' WHERE id = '`+id(4)+`';
		DELETE FROM deliveries WHERE event_id = '`+id(7)+`-created' AND state = 'sent';`)
	mustBeEven(t, source, target)
	if diff := diff(contentOf(t, source), read(t, target)); diff != "" {
		t.Errorf("target (-file +target):\n%s", diff)
	}
}

// Records that can't be read are counted, keep the account from being even, and the file
// is not marked as moved.
func TestAccountOfUnreadableRecords(t *testing.T) {
	sourceURL := fileURL(t)
	source, target := openFile(t, sourceURL), openTarget(t, fileURL(t))
	fill(t, source)
	execute(t, sourceURL, `UPDATE orders SET quantity = 0 WHERE id = '`+string(order(2).ID)+`';
		UPDATE contacts SET off = '?' WHERE user_id = 'user 1';
		UPDATE deliveries SET event = '?' WHERE event_id = '`+string(order(1).ID)+`-created' AND state = 'held';
		UPDATE dead_letters SET properties = '?' WHERE id LIKE '`+string(order(0).ID)+`%';`)
	report, err := move.Run(t.Context(), source, target, move.Options{})
	must(t, err)
	unreadable := make(map[string]int)
	var faults []string
	for _, l := range report.Lines {
		if l.Unreadable > 0 {
			unreadable[l.Kind] = l.Unreadable
		}
		if l.Missing+l.Different > 0 && l.Kind != "notifications" {
			t.Errorf("%+v", *l)
		}
		faults = append(faults, l.Faults...)
	}
	if diff := cmp.Diff([]string{"missing: event " + string(order(1).ID) + "-created by log endpoint"}, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"orders": 1, "contacts": 1, "dead letters": 1}, unreadable); diff != "" || report.IsEven() {
		t.Errorf("even: %v, unreadable (-want +got):\n%s", report.IsEven(), diff)
	}
	must(t, source.Close(t.Context()))
	openTarget(t, sourceURL) // a service can use it
}

func TestMoveOfUsedFile(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "orderflow.db")
	source, target := openFile(t, url), openTarget(t, fileURL(t))
	openFile(t, url)
	if _, err := move.Run(t.Context(), source, target, move.Options{}); !errors.Is(err, ports.ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
}

// A record of the target that can't be read is named, and stays as it is.
func TestUnreadableRecordsOfTheTarget(t *testing.T) {
	url := fileURL(t)
	source, target := openFile(t, fileURL(t)), openTarget(t, url)
	fill(t, source)
	mustBeEven(t, source, target)
	execute(t, url, `UPDATE orders SET quantity = 0 WHERE id = '`+string(order(2).ID)+`';
		UPDATE dead_letters SET failures = '?' WHERE id LIKE '`+string(order(0).ID)+`%';
		UPDATE deliveries SET details = '?' WHERE event_id = '`+string(order(1).ID)+`-created' AND state = 'sent'`)
	report, err := move.Run(t.Context(), source, target, move.Options{})
	must(t, err)
	var faults []string
	for _, l := range report.Lines {
		for _, fault := range l.Faults {
			about, _, _ := strings.Cut(strings.Replace(fault, "different: ", "different ", 1), ": ")
			faults = append(faults, about)
		}
	}
	slices.Sort(faults)
	want := []string{
		"different " + string(order(0).ID) + "-created.email", "different " + string(order(2).ID),
		"missing", // its list does not have the notification
	}
	if diff := cmp.Diff(want, faults); diff != "" || report.IsEven() {
		t.Errorf("even: %v, faults (-want +got):\n%s", report.IsEven(), diff)
	}
}

// More records than a page or a batch of marks, of which many have the same time.
func TestMoveOfManyPages(t *testing.T) {
	source, target := openFile(t, fileURL(t)), openTarget(t, fileURL(t))
	const many = 2500
	for n := range many {
		o := order(n)
		o.CreatedAt = recently.Add(time.Duration(n%3) * time.Millisecond)
		must(t, source.Orders().Add(t.Context(), o, domain.Origin{}))
		if n%2 == 0 {
			must(t, source.Orders().MarkPublished(t.Context(), o.Created().ID))
		}
		record(t, source.Deliveries(), notification(n, 0, domain.Sent), domain.Event{})
	}
	for _, l := range mustBeEven(t, source, target).Lines {
		want := map[string]int{"orders": many, "notifications": many, "events to publish": many / 2}[l.Kind]
		if l.InFile != want || l.Same != want {
			t.Errorf("%+v, want %d", *l, want)
		}
	}
}

// A target that is unavailable for a moment does not end the move.
func TestTargetIsUnavailableForAMoment(t *testing.T) {
	source, target := openFile(t, fileURL(t)), openTarget(t, fileURL(t))
	fill(t, source)
	s := &failing{anyOrders: target.Orders}
	target.Orders = s
	mustBeEven(t, source, target)
	if s.failed.Load() == 0 {
		t.Error("the target has not failed")
	}
}

// failing fails every third time.
type failing struct {
	anyOrders
	calls, failed atomic.Int64
}

func (f *failing) Add(ctx context.Context, order domain.Order, origin domain.Origin) error {
	if f.calls.Add(1)%3 == 0 {
		f.failed.Add(1)
		return fmt.Errorf("%w: a test", ports.ErrUnavailable)
	}
	return f.anyOrders.Add(ctx, order, origin)
}
