package mongodb_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// byHand opens stores that write signs of life only in Open and Round.
var byHand = mongodb.Beating(time.Hour)

// rounds calls Round of each store, n times.
func rounds(t *testing.T, n int, stores ...*mongodb.Store) {
	t.Helper()
	for range n {
		for _, store := range stores {
			if err := store.Round(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// holder is a process that has claimed a delivery and an event.
type holder struct {
	*mongodb.Store
	sent  domain.Notification // for Record
	claim ports.DeliveryClaim
}

func hold(t *testing.T, store *mongodb.Store) holder {
	t.Helper()
	order := newOrder(t, "ann", epoch)
	h := holder{Store: store, sent: domain.Notification{
		EventID: order.Created().ID, OrderID: order.ID, Channel: "mail", Attempt: 1, State: domain.Sent, At: epoch,
	}}
	if err := store.Orders().Add(bounded(t), order, domain.Origin{}); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.claim, err = store.Deliveries().Claim(bounded(t), keyOf(h.sent.EventID, h.sent.Channel)); err != nil {
		t.Fatal(err)
	}
	return h
}

// taken reports whether another store gets the holder's claim on its delivery.
func (h holder) taken(t *testing.T, by *mongodb.Store) bool {
	t.Helper()
	_, err := by.Deliveries().Claim(bounded(t), keyOf(h.sent.EventID, h.sent.Channel))
	if err != nil && !errors.Is(err, ports.ErrClaimed) {
		t.Fatalf("claim a claimed delivery: %v", err)
	}
	return err == nil
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for ctx := bounded(t); !holds(); time.Sleep(20 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("did not happen in time: %s", what)
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

// Two processes share a dead process's claims. A living process and one of an earlier
// version keep theirs.
func TestClaimsEndWithTheirOwner(t *testing.T) {
	var log bytes.Buffer
	options := byHand
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
	all := []*mongodb.Store{living.Store, one, other}
	rounds(t, mongodb.MissedBeats-1, all...) // after the one in Open
	if held[0].taken(t, one) {
		t.Error("a claim is taken before its owner has missed enough beats")
	}
	if events, err := one.Orders().Claim(ctx, 100); err != nil || len(events) > 0 {
		t.Errorf("%d events are free, error %v, before their owner has missed enough beats; want none", len(events), err)
	}
	rounds(t, 1, all...)
	for i, h := range held {
		if h.taken(t, one) == h.taken(t, other) {
			t.Errorf("delivery %d: want exactly one store to have the claim", i)
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
	if _, err := one.Deliveries().Claim(ctx, keyOf(earlier.Created().ID, "mail")); !errors.Is(err, ports.ErrClaimed) {
		t.Errorf("claim a delivery that an earlier version has claimed: got %v, want ErrClaimed", err)
	}
	rounds(t, 1, all...) // the strange owner was first read a round later
	alive := []string{living.Owner(), one.Owner(), other.Owner()}
	slices.Sort(alive)
	if diff := cmp.Diff(alive, owners(t, one)); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if line := "a process ended without closing its store; its claims are free\" owner=" + dead.Owner() + " events_freed=10"; !strings.Contains(log.String(), line) {
		t.Errorf("the log is %q, want it to contain %q", log.String(), line)
	}
}

// Close frees the store's claims at once.
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

// An outage of the store for all processes ends no claim, neither during the outage
// nor just after it.
func TestOutageEndsNoClaim(t *testing.T) {
	outages := map[string]func(*proxy){
		"cut":             (*proxy).Cut,
		"mute":            func(p *proxy) { p.mute.Store(true) },
		"refuses beats":   func(p *proxy) { p.refuse(8000, "update") },
		"refuses to list": func(p *proxy) { p.refuse(8000, "find") },
	}
	for name, begin := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, databaseURL(t))
			held, other := hold(t, open(t, p.url, byHand)), open(t, p.url, byHand)
			t.Cleanup(p.Heal)
			begin(p)
			for range 2 * mongodb.MissedBeats {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if err := other.Round(ctx); !errors.Is(err, ports.ErrUnavailable) {
					t.Errorf("round during the outage: got %v, want ErrUnavailable", err)
				}
				cancel()
			}
			p.Cut() // ends calls that wait for a lost answer
			p.Heal()
			eventually(t, "the store is back", func() bool { return other.Round(bounded(t)) == nil })
			rounds(t, mongodb.MissedBeats-1, other) // before the holder's next beat
			eventually(t, "the holder beats", func() bool { return held.Round(bounded(t)) == nil })
			rounds(t, 2*mongodb.MissedBeats, held.Store, other)
			if held.taken(t, other) {
				t.Error("a living process's claim is taken")
			}
			if events, err := other.Orders().Claim(bounded(t), 10); err != nil || len(events) > 0 {
				t.Errorf("%d events of a living process are free, error %v; want none", len(events), err)
			}
		})
	}
}

// After a round that fails, the count of missed beats starts again.
func TestCountOfMissedBeatsStartsAgain(t *testing.T) {
	url := databaseURL(t)
	silent := hold(t, open(t, url, byHand))
	p := newProxy(t, url)
	watching := open(t, p.url, byHand) // its first round is in Open
	rounds(t, mongodb.MissedBeats-1, watching)
	refuseBeats(p, 8000)
	if err := watching.Round(bounded(t)); !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("round while the store refuses signs of life: got %v, want ErrUnavailable", err)
	}
	p.Heal()
	rounds(t, mongodb.MissedBeats, watching)
	if silent.taken(t, watching) {
		t.Error("a claim is taken before its owner has missed enough beats in a row")
	}
	rounds(t, 1, watching)
	if !silent.taken(t, watching) {
		t.Error("a claim is not taken although its owner has missed enough beats")
	}
}

// A process that can't write signs of life loses its claims. Its claims from that
// time last for the whole lease. After its next beat it continues as before.
func TestOwnerComesBack(t *testing.T) {
	t.Parallel()
	const beat = 2 * time.Second // a busy server may not answer within shorter ones
	url := databaseURL(t)
	rest := open(t, url, byHand)
	p := newProxy(t, url)
	away := open(t, p.url, mongodb.Beating(beat))
	t.Cleanup(p.Heal)
	before := hold(t, away)

	refuseBeats(p, 8000)
	eventually(t, "the process has no fresh beat", func() bool { return !away.IsFresh() })
	rounds(t, mongodb.MissedBeats+1, rest)
	if !before.taken(t, rest) {
		t.Error("the claim of a process without beats is not taken")
	}
	meanwhile := hold(t, away)
	if meanwhile.taken(t, rest) {
		t.Error("a claim made without a fresh beat is taken")
	}
	if err := before.claim.Record(bounded(t), before.sent, domain.Event{}); err != nil {
		t.Errorf("record a delivery that was claimed before: %v", err)
	}

	p.Heal()
	eventually(t, "the process has a fresh beat", away.IsFresh)
	after := hold(t, away)
	if after.taken(t, rest) {
		t.Error("a claim made after the fresh beat is taken")
	}
	away.Die()
	rounds(t, mongodb.MissedBeats+1, rest)
	if !after.taken(t, rest) {
		t.Error("a claim made after the fresh beat is not taken after the process died")
	}
	if meanwhile.taken(t, rest) {
		t.Error("a claim made without a fresh beat ends with the process")
	}
}

// A store writes signs of life by itself while it is open.
func TestStoreBeats(t *testing.T) {
	t.Parallel()
	store := openNew(t) // a busy server may not answer within shorter beats
	beats := func() int32 {
		t.Helper()
		document, err := store.Database().Collection("owners").FindOne(bounded(t), bson.M{"_id": store.Owner()}).Raw()
		if err != nil {
			t.Fatal(err)
		}
		return document.Lookup("beats").Int32()
	}
	first := beats()
	eventually(t, "the store has written three more beats", func() bool { return beats() >= first+3 })
}

// Losing one sign of life does not end a living process, because the next one comes
// before others have counted too many readings.
func TestLostBeatEndsNoOwner(t *testing.T) {
	t.Parallel()
	const beat = 2 * time.Second
	url := databaseURL(t)
	proxy := newProxy(t, url)
	arrived := make(chan time.Time, 100)
	var seen atomic.Int32
	lose := answers(func(command bson.Raw) bson.D {
		if collection, _ := command.Lookup("update").StringValueOK(); collection != "owners" {
			return nil
		}
		if seen.Add(1) == 3 {
			time.Sleep(3 * beat) // longer than the beat may take
			return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: 1}, {Key: "errmsg", Value: "lost"}}
		}
		arrived <- time.Now()
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}} // without a delay by a busy store
	})
	proxy.answers.Store(&lose)
	open(t, proxy.url, mongodb.Beating(beat))
	first, second := <-arrived, <-arrived
	third := <-arrived
	if gap, most := third.Sub(second), mongodb.MissedBeats*beat; gap >= most {
		t.Errorf("the next sign of life came %v after the last, want less than %v (the first two: %v)", gap, most, second.Sub(first))
	}
}

// A notification that a dead process has recorded is not sent again.
func TestRecordOutlivesItsOwner(t *testing.T) {
	one, other := openTwice(t, byHand)
	held := hold(t, one)
	if err := held.claim.Record(bounded(t), held.sent, domain.Event{}); err != nil {
		t.Fatal(err)
	}
	rounds(t, mongodb.MissedBeats+1, other)
	if _, err := other.Deliveries().Claim(bounded(t), keyOf(held.sent.EventID, held.sent.Channel)); !errors.Is(err, ports.ErrExists) {
		t.Errorf("claim a delivery that a dead process has recorded: got %v, want ErrExists", err)
	}
}

// Open fails if the store refuses signs of life.
func TestOpenWithoutTheRightToBeat(t *testing.T) {
	p := newProxy(t, databaseURL(t))
	refuseBeats(p, 13)
	_, err := mongodb.Open(bounded(t), p.url, mongodb.Options{})
	if !errors.Is(err, ports.ErrRefused) || !strings.Contains(err.Error(), "write sign of life: ") {
		t.Errorf("got %v, want ErrRefused for a sign of life", err)
	}
}

// Close returns soon although the server does not answer.
func TestCloseDuringAnOutage(t *testing.T) {
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
		t.Errorf("took %v, want about 1 s", d)
	}
}
