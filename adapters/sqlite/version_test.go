package sqlite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenFile is a file of version 1 as SQL. A released version's file never changes.
const goldenFile = "testdata/version1.sql"

// Files of earlier versions are read as if this one had written them.
func TestFilesOfEarlierVersions(t *testing.T) {
	newest := filepath.Join(t.TempDir(), "orderflow.db")
	fillAll(t, newest)
	dump := dumpOf(t, newest)
	if *update {
		if err := os.WriteFile(goldenFile, []byte(dump), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "orderflow.db")
	execute(t, path, string(golden))
	before := schemaOf(t, path)
	scratch := filepath.Join(t.TempDir(), "orderflow.db")
	execute(t, scratch, steps[0])
	if diff := cmp.Diff(schemaOf(t, scratch), before); diff != "" {
		t.Errorf("the tables of version 1 (-schema.sql +%s); before a release, go test -run %s -update mends it:\n%s", goldenFile, t.Name(), diff)
	}
	got := contentsOf(t, path)
	if diff := cmp.Diff(contentsOf(t, newest), got); diff != "" {
		t.Errorf("contents (-this version +version 1):\n%s", diff)
	}
	if err := openInside(t, path, Options{}).Close(t.Context()); err != nil { // moves it forward
		t.Fatal(err)
	}
	if diff := cmp.Diff(schemaOf(t, newest), schemaOf(t, path)); diff != "" {
		t.Errorf("tables (-this version +version 1, moved forward):\n%s", diff)
	}
}

// fillAll keeps something of every kind in a new file.
func fillAll(t *testing.T, path string) {
	t.Helper()
	s, err := Open(t.Context(), scheme+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for n := range 3 {
		if err := s.Orders().Add(ctx, newOrder(t, n), domain.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	for n, state := range []domain.NotificationState{domain.Sent, domain.Retrying, domain.Held, domain.Dead} {
		recordNew(t, s, state, n)
	}
	letter := newLetter(1)
	event := newOrder(t, 7).Created()
	pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "mail"}, Kind: ports.Manual, Since: epoch, Reason: "reason", By: "ann"}
	settled := newLetter(2)
	err = errors.Join(
		s.Orders().MarkPublished(ctx, newOrder(t, 0).Created().ID),
		s.DeadLetters().Put(ctx, letter), s.DeadLetters().Put(ctx, settled),
		s.Contacts().Put(ctx, ports.Contact{UserID: "ann", Language: "en", Addresses: map[string]string{"mail": "ann@example.com"}, UpdatedAt: epoch}),
		s.ChannelStates().Pause(ctx, pause),
		s.persistDeclare(ctx, &outage{logger: slog.Default()}, "audit"),
		errors.Join(s.Publisher().Publish(ctx, event)...),
		s.DeadLetterQueue().SetAside(ctx, "audit", event, letter.Failure),
	)
	if err == nil {
		_, err = s.ChannelStates().Register(ctx, "mail")
	}
	if err := errors.Join(err, s.Close(ctx)); err != nil {
		t.Fatal(err)
	}
}

// contents are what the ports return of a file.
type contents struct {
	Count         int
	Orders        []domain.Order
	Waiting       int // events
	Notifications []domain.Notification
	OfUser        []domain.Order
	ToUser        []domain.Notification
	Due           int
	Letters       []ports.DeadLetterRecord
	Contact       ports.Contact
	Channels      []string
	Pauses        []ports.Pause
	Queues        map[string]domain.Event
	SetAside      ports.DeadLetter

	OrderAccount    ports.OutboxAccount
	DeliveryAccount []ports.DeliveryAccount
	LetterAccount   []ports.DeadLetterAccount
}

// contentsOf reads a copy, because it takes what it reads of the queues.
func contentsOf(t *testing.T, path string) (c contents) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "orderflow.db")
	execute(t, path, "VACUUM INTO '"+copied+"'")
	s := openInside(t, copied, Options{})
	ctx := t.Context()
	orders, err1 := s.Orders().List(ctx, ports.OrderQuery{Limit: 100})
	events, err2 := s.Orders().Claim(ctx, 100)
	notifications, err3 := s.Deliveries().List(ctx, ports.NotificationQuery{Limit: 100})
	due, err4 := s.Deliveries().ClaimDue(ctx, "mail", 100)
	letters, err5 := s.DeadLetters().List(ctx, ports.DeadLetterQuery{Limit: 100})
	count, err6 := s.Orders().Count(ctx)
	contact, err7 := s.Contacts().Get(ctx, "ann")
	pauses, err8 := s.ChannelStates().Pauses(ctx)
	channels, err9 := s.ChannelStates().Register(ctx)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		t.Fatal(err)
	}
	orderAccount, err1 := s.Orders().Account(ctx)
	deliveryAccount, err2 := s.Deliveries().Account(ctx)
	letterAccount, err3 := s.DeadLetters().Account(ctx)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	ofUser, err1 := s.Orders().List(ctx, ports.OrderQuery{UserID: orders.Orders[0].UserID, Limit: 100})
	toUser, err2 := s.Deliveries().List(ctx, ports.NotificationQuery{UserID: notifications.Notifications[0].UserID, Limit: 100})
	if err := errors.Join(err1, err2); err != nil || len(ofUser.Orders) == 0 || len(toUser.Notifications) == 0 {
		t.Fatalf("%d orders and %d notifications of users, error %v", len(ofUser.Orders), len(toUser.Notifications), err)
	}
	c = contents{OfUser: ofUser.Orders, ToUser: toUser.Notifications, Count: count, Orders: orders.Orders, Waiting: len(events), Notifications: notifications.Notifications, Due: len(due),
		OrderAccount: orderAccount, DeliveryAccount: deliveryAccount, LetterAccount: letterAccount,
		Letters: letters.Records, Contact: contact, Channels: channels, Pauses: pauses, Queues: map[string]domain.Event{}}
	var reading sync.WaitGroup
	var mu sync.Mutex
	for _, queue := range []string{"", "audit"} {
		ctx, cancel := context.WithCancel(ctx)
		reading.Go(func() {
			err := s.Subscription(queue).Consume(ctx, func(_ context.Context, d ports.Delivery) error {
				mu.Lock()
				defer mu.Unlock()
				c.Queues[queue] = d.Event
				cancel()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(ctx)
	err := s.DeadLetterQueue().Drain(ctx, func(_ context.Context, letter ports.DeadLetter) error {
		delete(letter.Message.Headers, wire.HeaderDataSchema) // messages of version 1 lack it
		c.SetAside = letter
		cancel()
		return nil
	})
	reading.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// execute runs statements on the file as another program.
func execute(t testing.TB, path, sql string) {
	t.Helper()
	c, err := sqlite3.Open(path)
	if err == nil {
		err = errors.Join(c.Exec(sql), c.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rowsOf returns the rows' first columns.
func rowsOf(t testing.TB, path, sql string) (rows []string) {
	t.Helper()
	c, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	st, _, err := c.Prepare(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer st.Close()
	for st.Step() {
		rows = append(rows, st.ColumnText(0))
	}
	if err := st.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func schemaOf(t testing.TB, path string) []string {
	t.Helper()
	return rowsOf(t, path, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid")
}

// dumpOf returns the statements that make a closed file.
func dumpOf(t testing.TB, path string) string {
	t.Helper()
	var dump strings.Builder
	for _, sql := range schemaOf(t, path) {
		fmt.Fprintf(&dump, "%s;\n", sql)
	}
	for _, table := range rowsOf(t, path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name") {
		columns := rowsOf(t, path, "SELECT 'quote(' || name || ')' FROM pragma_table_info('"+table+"')")
		for _, values := range rowsOf(t, path, "SELECT "+strings.Join(columns, " || ', ' || ")+" FROM "+table) {
			fmt.Fprintf(&dump, "INSERT INTO %s VALUES (%s);\n", table, values)
		}
	}
	for _, pragma := range []string{"application_id", "user_version"} {
		fmt.Fprintf(&dump, "PRAGMA %s = %s;\n", pragma, rowsOf(t, path, "PRAGMA "+pragma)[0])
	}
	return dump.String()
}

// Processes that start together run each step once. A step that fails changes nothing.
func TestMoveForward(t *testing.T) {
	before := steps
	defer func() { steps = before }()
	path := filepath.Join(t.TempDir(), "orderflow.db")
	fillAll(t, path)

	steps = append(before[:len(before):len(before)], "CREATE TABLE added (n INTEGER); INSERT INTO added VALUES (1); CREATE TABLE orders (id TEXT)")
	_, err := Open(t.Context(), scheme+path, Options{})
	checkUnavailable(t, err, path, fmt.Sprintf("move its tables to version %d", len(steps)))
	if tables := rowsOf(t, path, "SELECT name FROM sqlite_schema WHERE name = 'added'"); len(tables) > 0 {
		t.Error("a step that has failed has left a table")
	}

	steps = append(before[:len(before):len(before)], "CREATE TABLE added (n INTEGER)", "INSERT INTO added VALUES (1)")
	var opening sync.WaitGroup
	for range 4 {
		opening.Go(func() {
			s, err := Open(t.Context(), scheme+path, Options{})
			if err == nil {
				err = s.Close(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
	version, rows := rowsOf(t, path, "PRAGMA user_version"), rowsOf(t, path, "SELECT n FROM added")
	if version[0] != fmt.Sprint(len(steps)) || len(rows) != 1 {
		t.Errorf("version %s, %d rows, want %d and 1", version, len(rows), len(steps))
	}

	steps = before
	_, err = Open(t.Context(), scheme+path, Options{})
	checkUnavailable(t, err, path, "start that release")
}

// A dead owner's messages are found among a large backlog without reading it.
func TestTakenMessagesHaveAnIndex(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	plan := planOf(t, s, "UPDATE messages SET owner = NULL WHERE owner = ?")
	if !strings.Contains(strings.Join(plan, "\n"), "messages_taken") {
		t.Errorf("plan %q", plan)
	}
}
