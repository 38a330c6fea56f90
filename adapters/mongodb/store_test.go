package mongodb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func TestOpenRefusesURL(t *testing.T) {
	tests := []struct {
		name, url string
		want      string
	}{
		{"empty", "", "scheme must be"},
		{"other scheme", "postgres://u:secret@localhost/orders", "scheme must be"},
		{"no host", "mongodb:///orders", "must have at least 1 host"},
		{"line break in the database", "mongodb://u:secret@localhost/orders%0a", `the database's name, "orders\n", has an invisible character; remove it`},
		{"escape in the database", "mongodb://u:secret@localhost/orders%1b%5b31m", "has an invisible character"},
		{"zero-width space in the database", "mongodb://u:secret@localhost/ord\u200b", "has an invisible character"},
		{"no database", "mongodb://localhost:27017", "names no database; add one after the host, as in mongodb://localhost:27017/orderflow"},
		{"no database, slash", "mongodb://localhost:27017/", "as in mongodb://localhost:27017/orderflow"},
		{"no database, options", "mongodb://a:1,b:2/?replicaSet=rs0", "as in mongodb://a:1,b:2/orderflow"},
		{"no database, login", "mongodb://u:secret@localhost/?w=1", "as in mongodb://user:password@localhost/orderflow?authSource=admin"},
		{"no database, question mark in login", "mongodb://u?x:secret@localhost/", "as in mongodb://user:password@localhost/orderflow?authSource=admin"},
		{"at sign in password", "mongodb://u:x@secret@localhost/orders", "unescaped @ sign"},
		{"colon in password", "mongodb://u:x:secret@localhost/orders", "unescaped colon"},
		{"slash in password", "mongodb://u:x/secret@localhost/orders", "unescaped slash"},
		{"percent sign in password", "mongodb://u:%secret@localhost/orders", "invalid password"},
		{"quote in password", `mongodb://u:%"secret@localhost/orders`, "invalid password"},
		{"missing host", "mongodb://u:secret/orders", "invalid host"},
		{"missing host, colons", "mongodb://u:x:secret/orders", "invalid host"},
		{"option without value", "mongodb://u:secret@localhost/orders?tls", "invalid option"},
		{"option with a secret", "mongodb://localhost/orders?tlsCertificateKeyFilePassword=%secret", "invalid option value"},
		{"option of a wrong type", "mongodb://u:secret@localhost/orders?timeoutMS=soon", "invalid value"},
		{"option with a bad percent sign", "mongodb://localhost/orders?appName=%secret", "option appName: "},
		{"unknown option", "mongodb://u:secret@localhost/orders?tsl=true", "option tsl: unknown option"},
		{"removed option", "mongodb://localhost/orders?replicaSet=rs0&wtimeoutMS=5000", "option wtimeoutMS: unknown option"},
		{"option without effect", "mongodb://localhost/orders?socketTimeoutMS=5000", "option socketTimeoutMS: it has no effect; set timeoutMS"},
		{"unknown read preference", "mongodb://localhost/orders?readPreference=secret", "option readPreference: invalid value"},
		{"unknown compressor", "mongodb://localhost/orders?compressors=zlib,secret", "option compressors: invalid value; the compressors are snappy, zlib, zstd"},
		{"unknown option, password with question mark", "mongodb://u:x@y/?secret=1@localhost/orders", "option …: "},
		{"unknown option, name server asked", "mongodb+srv://u:x@nowhere.invalid/orders?tsl=true", "option tsl: unknown option"},
		{"no CA file", "mongodb://localhost/orders?tls=true&tlsCAFile=/no/secret.pem", "option tlsCAFile: no such file or directory"},
		{"no CA file, old name", "mongodb://localhost/orders?sslCertificateAuthorityFile=/no/secret.pem", "option sslCertificateAuthorityFile: no such file or directory"},
		{"no CA file, name server asked", "mongodb+srv://nowhere.invalid/orders?tlsCAFile=/no/secret.pem", "option tlsCAFile: no such file or directory"},
		{"CA file without a certificate", "mongodb://localhost/orders?tlsCAFile=main_test.go", "option tlsCAFile: the specified CA file does not contain any valid certificates"},
		{"CA file is a directory", "mongodb://localhost/orders?tlsCAFile=.", "option tlsCAFile: is a directory"},
		{"no certificate", "mongodb://localhost/orders?tlsCertificateKeyFile=/no/secret.pem", "option tlsCertificateKeyFile: no such file or directory"},
		{"certificate file without a certificate", "mongodb://localhost/orders?tlsCertificateKeyFile=main_test.go&tlsCertificateKeyFilePassword=secret", "option tlsCertificateKeyFile, tlsCertificateKeyFilePassword: "},
		{"certificate without key", "mongodb://localhost/orders?tlsCertificateFile=main_test.go", "option tlsCertificateFile: "},
		{"key without certificate", "mongodb://localhost/orders?tlsPrivateKeyFile=main_test.go", "option tlsPrivateKeyFile: "},
		{"password without a file", "mongodb://localhost/orders?tls=true&tlsCertificateKeyFilePassword=secret", "option tlsCertificateKeyFilePassword: it needs a file; set tlsCertificateKeyFile"},
		{"TLS off after its options", "mongodb://localhost/orders?tlsDisableOCSPEndpointCheck=true&tls=false", "option tlsDisableOCSPEndpointCheck: TLS is off"},
		{"TLS off before its options", "mongodb://localhost/orders?ssl=false&tlsDisableOCSPEndpointCheck=true", "option tlsDisableOCSPEndpointCheck: TLS is off"},
		{"TLS never on", "mongodb://localhost/orders?tlsInsecure=true", "option tlsInsecure: TLS is off; set tls=true"},
		{"other write concern", "mongodb://localhost/orders?w=1", "option w: the adapter sets it to majority; remove it"},
		{"other journal", "mongodb://localhost/orders?retryWrites=true&Journal=false", "option Journal: the adapter sets it to true; remove it"},
		{"other read concern", "mongodb://localhost/orders?readConcernLevel=available", "option readConcernLevel: the adapter sets it to local; remove it"},
		{"other read preference", "mongodb://localhost/orders?readPreference=secondary", "option readPreference: the adapter sets it to primary; remove it"},
		{"read preference's tags", "mongodb://localhost/orders?readPreferenceTags=dc:x", "option readPreferenceTags: it has no effect"},
		{"read preference's staleness", "mongodb://localhost/orders?maxStalenessSeconds=100", "option maxStalenessSeconds: it has no effect"},
		{"option given twice", "mongodb://localhost/orders?appName=a&replicaSet=rs0&appname=b", "option appname: it is given twice; remove one"},
		{"option given twice, by two names", "mongodb://localhost/orders?tls=true&ssl=true", "option ssl: it is given twice; remove one"},
		{"empty replica set", "mongodb://localhost/orders?replicaSet=", "option replicaSet: "},
		{"options in conflict", "mongodb://u:secret@localhost/orders?w=0&journal=true", "w=0 and j=true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, err := mongodb.Open(t.Context(), tt.url, mongodb.Options{})
			if err == nil {
				_ = store.Close(t.Context())
				t.Fatal("opened")
			}
			if errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("%v: wraps ErrUnavailable, but waiting can't help", err)
			}
			if got := err.Error(); !strings.HasPrefix(got, "open store: ") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want it to contain %q", got, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v: shows the secret", err)
			}
		})
	}
}

func TestOpenNamesUnreachableHost(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ended, end := context.WithCancel(t.Context())
	end()
	tests := []struct {
		name   string
		ctx    context.Context
		url    string
		host   string
		within time.Duration
		cause  error
	}{
		{"until the URL's timeout", t.Context(), "mongodb://u:secret@" + host + "/orders?serverSelectionTimeoutMS=200", host, 3 * time.Second, nil},
		{"until the context's deadline", ctx, "mongodb://u:secret@" + host + "/orders", host, 3 * time.Second, context.DeadlineExceeded},
		{"with an ended context", ended, "mongodb://u:secret@" + host + "/orders", host, time.Second, context.Canceled},
		{"unknown name", t.Context(), "mongodb+srv://u:secret@nowhere.invalid/orders", "nowhere.invalid", time.Minute, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			_, err := mongodb.Open(tt.ctx, tt.url, mongodb.Options{})
			if !errors.Is(err, ports.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			if tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("%v: does not wrap %v", err, tt.cause)
			}
			if d := time.Since(start); d > tt.within {
				t.Errorf("took %v, want at most %v", d, tt.within)
			}
			if !strings.Contains(err.Error(), tt.host) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v: want it to name %s and no secret", err, tt.host)
			}
		})
	}
}

// A refused login is also an outage, because it works once somebody has corrected
// it on the server.
func TestOpenWithWrongLogin(t *testing.T) {
	u, err := url.Parse(databaseURL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("nobody", "secret")
	u.RawQuery = "authSource=admin"
	_, err = mongodb.Open(bounded(t), u.String(), mongodb.Options{})
	if err == nil {
		t.Fatal("opened")
	}
	if !errors.Is(err, ports.ErrRefused) || !errors.Is(err, ports.ErrUnavailable) {
		t.Errorf("got %v, want ErrRefused and ErrUnavailable", err)
	}
	if !strings.Contains(err.Error(), u.Host) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want it to name %s, and no secret", err, u.Host)
	}
}

func TestDefaultDurations(t *testing.T) {
	for _, unset := range []time.Duration{0, -1, -time.Hour} {
		store := openWith(t, mongodb.Options{OutboxLease: unset, DeliveryLease: unset, DeadLetterRetention: unset})
		orders, deliveries, letters := store.Orders(), store.Deliveries(), store.DeadLetters()
		if got := orders.ClaimLease(); got != 15*time.Second {
			t.Errorf("lease %v: a claim on an event lasts for %v, want 15 s", unset, got)
		}
		if got := deliveries.ClaimLease(); got != 45*time.Second {
			t.Errorf("lease %v: a claim on a delivery lasts for %v, want 45 s", unset, got)
		}
		letter := deadLetter(fmt.Sprint("letter ", unset), epoch)
		putLetter(t, letters, letter)
		if err := letters.Settle(bounded(t), deadLetterRecord(letter.ID, epoch), ports.Discarded, "me"); err != nil {
			t.Fatal(err)
		}
		if _, err := letters.Get(bounded(t), letter.ID); err != nil {
			t.Errorf("retention %v: get a letter right after Settle: %v", unset, err)
		}
	}
}

// description is the part of an index that the tests compare.
type description struct {
	Name, Keys string
	Sparse     bool
	Expires    bool
	Only       string // the field that each document in it has
}

func indexes(t *testing.T, collection *mongo.Collection) []description {
	t.Helper()
	cursor, err := collection.Indexes().List(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	var specs []struct {
		Name   string
		Key    bson.D
		Sparse bool
		Expire *int                       `bson:"expireAfterSeconds"`
		Only   map[string]map[string]bool `bson:"partialFilterExpression"`
	}
	if err := cursor.All(bounded(t), &specs); err != nil {
		t.Fatal(err)
	}
	var list []description
	for _, s := range specs {
		d := description{Name: s.Name, Keys: s.Key.String(), Sparse: s.Sparse, Expires: s.Expire != nil && *s.Expire == 0}
		for field, condition := range s.Only {
			if condition["$exists"] {
				d.Only += field
			}
		}
		list = append(list, d)
	}
	return list
}

func TestOpenCreatesIndexes(t *testing.T) {
	url := databaseURL(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 3 { // processes that start at the same time
		wg.Go(func() {
			other, err := mongodb.Open(bounded(t), url, mongodb.Options{})
			if err != nil {
				t.Errorf("open at the same time: %v", err)
				return
			}
			if err := other.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	store := open(t, url, mongodb.Options{})

	keys := func(fields ...any) string { // names and directions
		var d bson.D
		for i := 0; i < len(fields); i += 2 {
			d = append(d, bson.E{Key: fields[i].(string), Value: int32(fields[i+1].(int))})
		}
		return d.String()
	}
	id := description{"_id_", keys("_id", 1), false, false, ""}
	for collection, want := range map[string][]description{
		"orders": {
			id,
			{"newest_first", keys("created_at", -1, "_id", -1), false, false, ""},
			{"user_newest_first", keys("user_id", 1, "created_at", -1, "_id", -1), false, false, ""},
			{"waiting", keys("outbox.free_at", 1), false, false, "outbox.free_at"},
			{"late", keys("late", 1), false, false, "late"},
		},
		"deliveries": {
			id,
			{"latest_first", keys("sent_at", -1, "_id", -1), false, false, ""},
			{"user_latest_first", keys("user_id", 1, "sent_at", -1, "_id", -1), false, false, ""},
			{"state_latest_first", keys("state", 1, "sent_at", -1, "_id", -1), false, false, "state"},
			{"due", keys("wait.channel", 1, "wait.next_try", 1), false, false, "wait.next_try"},
			{"held", keys("wait.held_by.channel", 1, "wait.held_by.receiver", 1, "sent_at", 1), false, false, "wait.held_by"},
			{"claim", keys("wait.claim.token", 1), false, false, "wait.claim.token"},
			{"late", keys("late", 1), false, false, "late"},
		},
		"dead_letters": {
			id,
			{"oldest_first", keys("since", 1, "_id", 1), false, false, ""},
			{"state_oldest_first", keys("state", 1, "since", 1, "_id", 1), false, false, ""},
			{"user_oldest_first", keys("user_id", 1, "since", 1, "_id", 1), false, false, "user_id"},
			{"groups", keys("state", 1, "subscription", 1, "reason_group", 1, "since", 1, "_id", 1), false, false, ""},
			{"forget", keys("forget_at", 1), true, true, ""},
		},
		"operator_actions": {
			id,
			{"latest_first", keys("at", -1, "_id", -1), false, false, ""},
			{"action_latest_first", keys("action", 1, "at", -1, "_id", -1), false, false, ""},
			{"by_latest_first", keys("by", 1, "at", -1, "_id", -1), false, false, ""},
			{"forget", keys("forget_at", 1), false, true, ""},
		},
	} {
		byName := cmpopts.SortSlices(func(a, b description) bool { return a.Name < b.Name })
		if diff := cmp.Diff(want, indexes(t, store.Database().Collection(collection)), byName); diff != "" {
			t.Errorf("indexes of %s (-want +got):\n%s", collection, diff)
		}
	}
}

// An index of earlier versions only costs time. Without the right to drop it the store
// opens, and logs what a person can do.
func TestOpenDropsFormerIndexes(t *testing.T) {
	for _, former := range []struct {
		collection, name, key string
		sparse                bool
	}{
		{"deliveries", "order", "order_id", false},
		{"orders", "outbox", "outbox.free_at", true},
	} {
		t.Run(former.collection, func(t *testing.T) {
			p := newProxy(t, databaseURL(t))
			collection := open(t, p.url, mongodb.Options{}).Database().Collection(former.collection)
			index := mongo.IndexModel{Keys: bson.D{{Key: former.key, Value: 1}}, Options: options.Index().SetName(former.name).SetSparse(former.sparse)}
			if _, err := collection.Indexes().CreateOne(bounded(t), index); err != nil {
				t.Fatal(err)
			}
			has := func() bool {
				return slices.ContainsFunc(indexes(t, collection), func(d description) bool { return d.Name == former.name })
			}
			p.refuse(13, "dropIndexes")
			var log bytes.Buffer
			open(t, p.url, mongodb.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			drop := fmt.Sprintf(`db.%s.dropIndex(\"%s\")`, former.collection, former.name)
			if line := log.String(); !strings.Contains(line, "level=WARN") || !strings.Contains(line, drop) {
				t.Errorf("the log is %q, want a warning with the command that drops the index", line)
			}
			if !has() {
				t.Error("the index was dropped without the right")
			}
			p.Heal()
			open(t, p.url, mongodb.Options{})
			if has() {
				t.Error("the index of an earlier version is still there")
			}
		})
	}
}

func TestOpenReportsConflictingIndex(t *testing.T) {
	only := bson.M{"outbox.free_at": bson.M{"$exists": true}}
	tests := []struct {
		name  string
		there mongo.IndexModel
		drop  string
	}{
		{
			"other options",
			mongo.IndexModel{Keys: bson.D{{Key: "outbox.free_at", Value: 1}}, Options: options.Index().SetName("waiting")},
			`db.orders.dropIndex("waiting")`,
		},
		{
			"other keys",
			mongo.IndexModel{Keys: bson.D{{Key: "outbox", Value: 1}}, Options: options.Index().SetName("waiting").SetPartialFilterExpression(only)},
			`db.orders.dropIndex("waiting")`,
		},
		{
			"other name",
			mongo.IndexModel{Keys: bson.D{{Key: "outbox.free_at", Value: 1}}, Options: options.Index().SetName("mine").SetPartialFilterExpression(only)},
			`db.orders.dropIndex("mine")`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := databaseURL(t)
			store := open(t, url, mongodb.Options{})
			view := store.Database().Collection("orders").Indexes()
			if err := view.DropOne(bounded(t), "waiting"); err != nil {
				t.Fatal(err)
			}
			if _, err := view.CreateOne(bounded(t), tt.there); err != nil {
				t.Fatal(err)
			}
			_, err := mongodb.Open(bounded(t), url, mongodb.Options{})
			if err == nil {
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.drop) || errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("got %v, want it to contain %s", err, tt.drop)
			}
		})
	}
}

// Every write asks for the majority's journal. No call needs more round trips than
// these.
func TestCommands(t *testing.T) {
	var r recorder
	options := mongodb.Monitored(r.monitor())
	options.OutboxLease = time.Nanosecond // so that events are free immediately
	store := openWith(t, options)
	orders, deliveries, letters := store.Orders(), store.Deliveries(), store.DeadLetters()
	ctx := bounded(t)
	now := time.Now().Truncate(time.Millisecond).UTC()
	order := newOrder(t, "ann", now)
	id := order.Created().ID
	notification := domain.Notification{EventID: id, OrderID: order.ID, Channel: "log", Attempt: 1, State: domain.Sent, At: now}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var claim ports.DeliveryClaim
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"Ping", func() { must(store.Ping(ctx)) }, "update"},
		{"Add", func() { must(orders.Add(ctx, order, domain.Origin{})) }, "insert"},
		{"Get", func() { _, err := orders.Get(ctx, order.ID); must(err) }, "find"},
		{"List", func() { _, err := orders.List(ctx, ports.OrderQuery{Limit: 1000}); must(err) }, "find"},
		{"Outbox.Claim", func() {
			events, err := orders.Claim(ctx, 256)
			must(err)
			if len(events) != 1 {
				t.Errorf("claimed %d events, want 1", len(events))
			}
		}, "find update find"},
		{"MarkPublished", func() { must(orders.MarkPublished(ctx, id)) }, "update"},
		{"Outbox.Claim of nothing", func() { _, err := orders.Claim(ctx, 256); must(err) }, "find find"},
		{"List of many", func() {
			backlog(t, store, 300)
			r.reset()
			_, err := orders.List(ctx, ports.OrderQuery{Limit: 250})
			must(err)
		}, "find"},
		{"Outbox.Claim of many", func() { _, err := orders.Claim(ctx, 256); must(err) }, "find update"},
		{"MarkPublished of nothing", func() { must(orders.MarkPublished(ctx)) }, ""},
		{"DeliveryLog.Claim", func() {
			var err error
			claim, err = deliveries.Claim(ctx, keyOf(id, "log"))
			must(err)
		}, "insert"},
		{"Release", func() { must(claim.Release(ctx)) }, "update"},
		{"Record", func() { must(claim.Record(ctx, notification, domain.Event{})) }, "insert"},
		{"Record again", func() { must(claim.Record(ctx, notification, domain.Event{})) }, "insert update find"},
		{"DeliveryLog.Claim of a recorded delivery", func() {
			if _, err := deliveries.Claim(ctx, keyOf(id, "log")); !errors.Is(err, ports.ErrExists) {
				t.Errorf("claim a recorded delivery: got %v, want ErrExists", err)
			}
		}, "insert find"},
		{"DeliveryLog.Claim of a released delivery", func() {
			claim, err := deliveries.Claim(ctx, keyOf(id, "mail"))
			must(err)
			must(claim.Release(ctx))
			r.reset()
			_, err = deliveries.Claim(ctx, keyOf(id, "mail"))
			must(err)
		}, "insert find update find"},
		{"DeliveryLog.Claim of a claimed delivery", func() {
			if _, err := deliveries.Claim(ctx, keyOf(id, "mail")); !errors.Is(err, ports.ErrClaimed) {
				t.Errorf("claim a claimed delivery: got %v, want ErrClaimed", err)
			}
		}, "insert find update find find"},
		{"DeliveryLog.List", func() { _, err := deliveries.List(ctx, ports.NotificationQuery{OrderID: order.ID}); must(err) }, "find"},
		{"DeadLetters.Put", func() { must(letters.Put(ctx, deadLetter("letter", epoch))) }, "find update"},
		{"DeadLetters.Put again", func() { must(letters.Put(ctx, deadLetter("letter", epoch))) }, "find update find"},
		{"DeadLetters.Put of another failure", func() { must(letters.Put(ctx, deadLetter("letter", epoch.Add(time.Hour)))) }, "find update"},
		{"DeadLetters.Get", func() { _, err := letters.Get(ctx, "letter"); must(err) }, "find"},
		{"DeadLetters.List", func() { _, err := letters.List(ctx, ports.DeadLetterQuery{Limit: 1000}); must(err) }, "find"},
		{"Settle of a changed record", func() {
			if err := letters.Settle(ctx, deadLetterRecord("letter", epoch), ports.Replayed, "me"); !errors.Is(err, ports.ErrChanged) {
				t.Errorf("settle: got %v, want ErrChanged", err)
			}
		}, "update find"},
		{"Settle", func() {
			must(letters.Put(ctx, deadLetter("other", epoch)))
			r.reset()
			must(letters.Settle(ctx, deadLetterRecord("other", epoch), ports.Replayed, "me"))
		}, "update update"},
	}
	for _, step := range steps {
		commands := r.during(step.do)
		if got := names(commands); got != step.want {
			t.Errorf("%s sends %q, want %q", step.name, got, step.want)
		}
		for _, command := range commands {
			switch name := names([]bson.Raw{command}); name {
			case "insert", "update":
				w, _ := command.Lookup("writeConcern", "w").StringValueOK()
				j, _ := command.Lookup("writeConcern", "j").BooleanOK()
				if w != "majority" || !j {
					t.Errorf("%s: %s is sent with write concern %v, want the majority's journal", step.name, name, command.Lookup("writeConcern"))
				}
			case "find":
				if level, _ := command.Lookup("readConcern", "level").StringValueOK(); level != "local" {
					t.Errorf("%s: %s is sent with read concern %q, want local", step.name, name, level)
				}
			}
		}
	}
}
