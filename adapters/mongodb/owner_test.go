package mongodb_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// beat is the pause between two signs of life in these tests.
const beat = 150 * time.Millisecond

// holder is a process that has claimed a delivery and an event.
type holder struct {
	*mongodb.Store
	sent  domain.Notification // what it would record
	claim ports.DeliveryClaim
}

func hold(t *testing.T, store *mongodb.Store) holder {
	t.Helper()
	order := newOrder(t, "ann", epoch)
	h := holder{Store: store, sent: domain.Notification{
		EventID: order.Created().ID, OrderID: order.ID, Channel: "mail", Attempt: 1, SentAt: epoch,
	}}
	if err := store.Orders().Add(bounded(t), order); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.claim, err = store.Deliveries().Claim(bounded(t), h.sent.EventID, h.sent.Channel); err != nil {
		t.Fatal(err)
	}
	return h
}

// taken reports whether another store can have the holder's claim on its
// delivery.
func (h holder) taken(t *testing.T, by *mongodb.Store) bool {
	t.Helper()
	_, err := by.Deliveries().Claim(bounded(t), h.sent.EventID, h.sent.Channel)
	if err != nil && !errors.Is(err, ports.ErrClaimed) {
		t.Fatalf("claim of what another has: %v", err)
	}
	return err == nil
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for ctx := bounded(t); !holds(); time.Sleep(beat / 10) {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// owners returns the ids of all owners that have a document.
func owners(t *testing.T, store *mongodb.Store) []string {
	t.Helper()
	var all []struct {
		ID string `bson:"_id"`
	}
	found, err := store.Database().Collection("owners").Find(bounded(t), bson.M{"_id": bson.M{"$type": "string"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := found.All(bounded(t), &all); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, owner := range all {
		ids = append(ids, owner.ID)
	}
	slices.Sort(ids)
	return ids
}

// refuseBeats makes the proxy answer signs of life with an error code.
func refuseBeats(p *proxy, code int) {
	answer := answers(func(command bson.Raw) bson.D {
		if collection, _ := command.Lookup("update").StringValueOK(); collection != "owners" {
			return nil
		}
		return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "refused by the proxy"}}
	})
	p.answers.Store(&answer)
}

// A dead process's claims go to two others, each claim to one of them. A living
// process, and one of an earlier version, keep theirs.
func TestClaimsEndWithTheirOwner(t *testing.T) {
	t.Parallel()
	var log logBuffer
	options := mongodb.Beating(beat)
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	url := databaseURL(t)
	dead := open(t, url, options)
	living, one, other := hold(t, open(t, url, options)), open(t, url, options), open(t, url, options)
	ctx := bounded(t)

	earlier := newOrder(t, "bob", epoch)
	document := document(earlier)
	document["outbox"] = bson.M{"free_at": time.Now().Add(10 * time.Second), "claim": "EARLIER"}
	if _, err := dead.Database().Collection("orders").InsertOne(ctx, document); err != nil {
		t.Fatal(err)
	}
	_, err := dead.Database().Collection("delivery_claims").InsertOne(ctx, bson.M{
		"_id":   bson.D{{Key: "event_id", Value: string(earlier.Created().ID)}, {Key: "channel", Value: "mail"}},
		"token": "EARLIER", "free_at": time.Now().Add(30 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	strange := bson.A{bson.M{"_id": 7}, bson.M{"_id": "strange", "beats": bson.A{}}}
	if _, err := dead.Database().Collection("owners").InsertMany(ctx, strange); err != nil {
		t.Fatal(err)
	}

	var held []holder
	var want []domain.EventID
	for range 10 {
		held = append(held, hold(t, dead))
		want = append(want, held[len(held)-1].sent.EventID)
	}
	dead.Die()
	if held[0].taken(t, one) {
		t.Error("a claim is taken from a process that has only just died")
	}
	if events, err := one.Orders().Claim(ctx, 100); err != nil || len(events) > 0 {
		t.Errorf("%d events are free, error %v, of a process that has only just died; want none", len(events), err)
	}

	for i, h := range held {
		eventually(t, "a dead process's claim is free", func() bool { return h.taken(t, one) || h.taken(t, other) })
		if h.taken(t, one) || h.taken(t, other) {
			t.Errorf("delivery %d: both have the claim", i)
		}
	}
	var got []domain.EventID
	for _, store := range []*mongodb.Store{one, other} {
		events, err := store.Orders().Claim(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, eventIDs(events)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events claimed after their owner's death (-want +got):\n%s", diff)
	}
	if living.taken(t, one) {
		t.Error("a living process's claim is taken")
	}
	if _, err := one.Deliveries().Claim(ctx, earlier.Created().ID, "mail"); !errors.Is(err, ports.ErrClaimed) {
		t.Errorf("claim of what a process of an earlier version has: got %v, want ErrClaimed", err)
	}
	eventually(t, "only the living are owners", func() bool {
		alive := []string{living.Owner(), one.Owner(), other.Owner()}
		slices.Sort(alive)
		return slices.Equal(owners(t, one), alive)
	})
	if line := "a process ended without closing its store; its claims are free\" owner=" + dead.Owner() + " events_freed=10"; !strings.Contains(log.String(), line) {
		t.Errorf("the log is %q, want it to contain %q", log.String(), line)
	}
}

// logBuffer is a log that stores write at once.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(line)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// Nobody has to wait for a process that has closed its store.
func TestCloseFreesClaims(t *testing.T) {
	url := databaseURL(t)
	rest := open(t, url, mongodb.Options{})
	closing, err := mongodb.Open(bounded(t), url, mongodb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	held := hold(t, closing)
	if held.taken(t, rest) {
		t.Error("an open store's claim is taken")
	}
	if err := closing.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if !held.taken(t, rest) {
		t.Error("a closed store's claim is not free")
	}
	events, err := rest.Orders().Claim(bounded(t), 10)
	if err != nil || len(events) != 1 {
		t.Errorf("claimed %d events of a closed store, error %v; want one", len(events), err)
	}
	if diff := cmp.Diff([]string{rest.Owner()}, owners(t, rest)); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// While the store is away, or takes no signs of life from anybody, nobody counts
// as dead; nor do they just after it is back.
func TestOutageEndsNoClaim(t *testing.T) {
	outages := map[string]func(*proxy){
		"cut":             (*proxy).Cut,
		"mute":            func(p *proxy) { p.mute.Store(true) },
		"takes no beats":  func(p *proxy) { p.refuse(8000, "update") },
		"shows no owners": func(p *proxy) { p.refuse(8000, "find") },
	}
	for name, begin := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, databaseURL(t))
			one, other := open(t, p.url, mongodb.Beating(beat)), open(t, p.url, mongodb.Beating(beat))
			t.Cleanup(p.Heal)
			held := hold(t, one)
			begin(p)
			time.Sleep(2 * mongodb.MissedBeats * beat) // for beats to be missed
			p.Cut()                                    // what waits for a lost answer waits no longer
			p.Heal()
			back := time.Now()
			for time.Since(back) < 3*mongodb.MissedBeats*beat {
				_, err := other.Deliveries().Claim(bounded(t), held.sent.EventID, held.sent.Channel)
				if err == nil {
					t.Fatalf("a living process's claim is taken %v after the outage", time.Since(back))
				}
				if events, err := other.Orders().Claim(bounded(t), 10); err == nil && len(events) > 0 {
					t.Fatalf("a living process's event is free %v after the outage", time.Since(back))
				}
				time.Sleep(beat / 5)
			}
			if alive := owners(t, one); !slices.Contains(alive, one.Owner()) || !slices.Contains(alive, other.Owner()) {
				t.Errorf("the owners are %q, want %s and %s among them", alive, one.Owner(), other.Owner())
			}
		})
	}
}

// A process may be cut off for so long that others take it for dead. What it
// claims meanwhile lasts for its lease; then it goes on as before.
func TestOwnerComesBack(t *testing.T) {
	t.Parallel()
	url := databaseURL(t)
	rest := open(t, url, mongodb.Beating(beat))
	p := newProxy(t, url)
	away := open(t, p.url, mongodb.Beating(beat))
	t.Cleanup(p.Heal)
	before := hold(t, away)

	refuseBeats(p, 8000)
	eventually(t, "its claim is free", func() bool { return before.taken(t, rest) })
	meanwhile := hold(t, away)
	if meanwhile.taken(t, rest) {
		t.Error("what it has claimed without a sign of life is taken")
	}
	if err := before.claim.Record(bounded(t), before.sent); err != nil {
		t.Errorf("record what was claimed before: %v", err)
	}

	p.Heal()
	eventually(t, "it is an owner again", func() bool { return slices.Contains(owners(t, rest), away.Owner()) })
	after := hold(t, away)
	if after.taken(t, rest) {
		t.Error("what it claims when it is back is taken")
	}
	away.Die()
	eventually(t, "what it claimed when it was back is free", func() bool { return after.taken(t, rest) })
	if meanwhile.taken(t, rest) {
		t.Error("what it has claimed without a sign of life ends with it")
	}
}

// What a dead process has sent and recorded is not sent again.
func TestRecordOutlivesItsOwner(t *testing.T) {
	t.Parallel()
	one, other := openTwice(t, mongodb.Beating(beat))
	held := hold(t, one)
	if err := held.claim.Record(bounded(t), held.sent); err != nil {
		t.Fatal(err)
	}
	one.Die()
	eventually(t, "it is dead", func() bool { return !slices.Contains(owners(t, other), one.Owner()) })
	if _, err := other.Deliveries().Claim(bounded(t), held.sent.EventID, held.sent.Channel); !errors.Is(err, ports.ErrExists) {
		t.Errorf("claim what a dead process has recorded: got %v, want ErrExists", err)
	}
}

// A process that can give no sign of life says so at the start.
func TestOpenWithoutTheRightToBeat(t *testing.T) {
	p := newProxy(t, databaseURL(t))
	refuseBeats(p, 13)
	_, err := mongodb.Open(bounded(t), p.url, mongodb.Options{})
	if !errors.Is(err, ports.ErrRefused) || !strings.Contains(err.Error(), "write sign of life: ") {
		t.Errorf("got %v, want ErrRefused of a sign of life", err)
	}
}

// A store can be closed soon although its server is away.
func TestCloseWhileTheServerIsAway(t *testing.T) {
	p := newProxy(t, databaseURL(t))
	store, err := mongodb.Open(bounded(t), p.url, mongodb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	start := time.Now()
	_ = store.Close(ctx)
	if d := time.Since(start); d > 6*time.Second {
		t.Errorf("took %v, want some 1 s", d)
	}
}
