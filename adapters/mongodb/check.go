package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/orderflow/adapters/internal/tlscheck"
	"example.com/orderflow/ports"
)

// maxClockDifference is how far this machine's clock and the server's may be apart.
// Processes measure each other's claims, which last 15 s or more, by their own clocks.
const maxClockDifference = 3 * time.Second

// Check reports whether a store at the URL would work: the server, its certificates and
// clock, the write concern, the indexes, and the user's rights. It changes nothing, and
// waits for no server longer than one call takes.
func Check(ctx context.Context, url string, o Options) []ports.Finding {
	s, opts, err := connect(url, o)
	if err != nil {
		return []ports.Finding{{What: "URL", Fault: err.Error(), WayOut: "correct the URL"}}
	}
	defer s.disconnect(ctx)
	c := &check{store: s, hosts: strings.Join(opts.Hosts, ",")}
	if c.certificates(ctx, opts) && c.server(ctx, opts) {
		c.writeConcern(ctx)
		if there, ok := c.collections(ctx); ok {
			c.rights(ctx, there)
			c.indexes(ctx, there)
		}
	}
	return c.found
}

// check gathers the findings about one store.
type check struct {
	store *Store
	hosts string
	found []ports.Finding
}

func (c *check) add(what, value, fault, wayOut string) {
	c.found = append(c.found, ports.Finding{What: what, Value: value, Fault: fault, WayOut: wayOut})
}

// certificates examines the certificates of the servers and the client. It reports false
// if no connection can succeed.
func (c *check) certificates(ctx context.Context, opts *options.ClientOptions) (ok bool) {
	if opts.TLSConfig == nil {
		return true
	}
	for _, host := range opts.Hosts {
		found, usable := tlscheck.Check(ctx, withPort(host), opts.TLSConfig, tlsHints)
		ok = ok || usable
		for _, f := range found {
			if !slices.Contains(c.found, f) { // the client's certificate is the same for all
				c.found = append(c.found, f)
			}
		}
	}
	return ok
}

// server finds out whether the server answers, its version, and its clock.
func (c *check) server(ctx context.Context, opts *options.ClientOptions) (ok bool) {
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	db := c.store.orders.Database()
	var hello struct {
		LocalTime time.Time
		SetName   string
	}
	if err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		fault, wayOut := tlscheck.Explain(err, tlsHints)
		switch {
		case fault != "":
		case isRefused(err):
			fault, wayOut = err.Error(), "check user, password, authSource and authMechanism in the URL"
		default:
			fault, wayOut = fmt.Sprintf("it does not answer: %v", err), "start it, or name another in the URL"
		}
		c.add("server", c.hosts, fault, wayOut)
		return false
	}
	var asked, answered time.Time
	asked = time.Now()
	err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello) // on an open connection, which takes less time
	answered = time.Now()
	version := c.version(ctx, db)
	if hello.SetName != "" {
		version += ", replica set " + hello.SetName
	}
	c.add("server", fmt.Sprintf("%s, %s", c.hosts, version), "", "")
	if opts.Auth != nil {
		c.add("login", opts.Auth.Username, "", "")
	}
	if err == nil && !hello.LocalTime.IsZero() {
		c.clock(hello.LocalTime, asked, answered)
	}
	return true
}

func (c *check) version(ctx context.Context, db *mongo.Database) string {
	var build struct {
		Version  string
		FerretDB *struct{ Version string } `bson:"ferretdb"`
	}
	if err := db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err != nil {
		return "of an unknown version"
	}
	if build.FerretDB != nil {
		return fmt.Sprintf("FerretDB %s (as MongoDB %s)", build.FerretDB.Version, build.Version)
	}
	return "MongoDB " + build.Version
}

// clock compares the server's time with this machine's, which was between asked and
// answered.
func (c *check) clock(server, asked, answered time.Time) {
	var ahead time.Duration // of the server, at least
	switch {
	case server.After(answered):
		ahead = server.Sub(answered)
	case server.Before(asked.Truncate(time.Millisecond)):
		ahead = server.Sub(asked)
	}
	fault, wayOut := "", ""
	if ahead.Abs() > maxClockDifference {
		fault = fmt.Sprintf("claims can't be measured by clocks that are more than %v apart", maxClockDifference)
		wayOut = "synchronise both machines' clocks, for example by NTP"
	}
	value := "the server's is the same"
	if rounded := ahead.Abs().Round(time.Millisecond); rounded > 0 {
		value = fmt.Sprintf("the server's is %v behind", rounded)
		if ahead > 0 {
			value = fmt.Sprintf("the server's is %v ahead", rounded)
		}
	}
	c.add("clock", value, fault, wayOut)
}

// writeConcern finds out whether the majority confirms a write.
func (c *check) writeConcern(ctx context.Context) {
	began := time.Now()
	err := c.store.Ping(ctx)
	switch {
	case err == nil:
		c.add("write concern", fmt.Sprintf("majority, journal; confirmed in %v", time.Since(began).Round(time.Millisecond)), "", "")
	case isRefused(err): // see rights
	default:
		c.add("write concern", "majority, journal", fmt.Sprintf("the server does not confirm a write: %v", err),
			"bring up enough members of the replica set")
	}
}

// collections returns which of the store's collections exist.
func (c *check) collections(ctx context.Context) (there []string, ok bool) {
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	db := c.store.orders.Database()
	there, err := db.ListCollectionNames(ctx, bson.D{}, options.ListCollections().SetAuthorizedCollections(true).SetNameOnly(true))
	if err != nil {
		c.refused(err, "list the collections of "+db.Name())
		return nil, false
	}
	return there, true
}

func (c *check) all() []*mongo.Collection {
	s := c.store
	return []*mongo.Collection{s.orders, s.deliveries, s.claimed, s.deadLetters, s.contacts, s.channels, s.pauses, s.actions, s.owners, s.counts, s.totals(), s.openings()}
}

// rights tries each kind of call on each collection, with calls that have no effect.
func (c *check) rights(ctx context.Context, there []string) {
	nothing := bson.M{"_id": bson.M{"$in": bson.A{}}}
	calls := []struct {
		right string
		call  func(context.Context, *mongo.Collection) error
	}{
		{"find", func(ctx context.Context, to *mongo.Collection) error {
			err := to.FindOne(ctx, nothing).Err()
			if errors.Is(err, mongo.ErrNoDocuments) {
				err = nil
			}
			return err
		}},
		{"insert", func(ctx context.Context, to *mongo.Collection) error {
			if !slices.Contains(there, to.Name()) {
				return nil // some servers would make the collection
			}
			// A server looks for the right first, then at the document, which no server takes.
			err := to.Database().RunCommand(ctx, bson.D{
				{Key: "insert", Value: to.Name()}, {Key: "documents", Value: bson.A{bson.M{"_id": bson.A{"a list"}}}},
			}).Err()
			if !isRefused(err) {
				err = nil
			}
			return err
		}},
		{"update", func(ctx context.Context, to *mongo.Collection) error {
			_, err := to.UpdateOne(ctx, nothing, bson.M{"$unset": bson.M{"check": ""}})
			return err
		}},
		{"remove", func(ctx context.Context, to *mongo.Collection) error {
			_, err := to.DeleteOne(ctx, nothing)
			return err
		}},
		{"listIndexes", func(ctx context.Context, to *mongo.Collection) error {
			_, err := to.Indexes().ListSpecifications(ctx)
			return err
		}},
	}
	var names []string
	faults := len(c.found)
	for _, kind := range calls {
		names = append(names, kind.right)
		var refused []string
		var reason error
		for _, to := range c.all() {
			ctx, cancel := c.store.bound(ctx)
			if err := kind.call(ctx, to); err != nil {
				refused, reason = append(refused, to.Name()), err
			}
			cancel()
		}
		if reason != nil {
			c.refused(reason, fmt.Sprintf("%s in %s", kind.right, strings.Join(refused, ", ")))
		}
	}
	if len(c.found) == faults {
		c.add("rights", strings.Join(names, ", "), "", "")
	}
}

// refused adds what the user can't do.
func (c *check) refused(err error, attempt string) {
	fault, wayOut := fmt.Sprintf("it can't be done: %v", err), "mend what the server names"
	if isRefused(err) {
		fault, wayOut = fmt.Sprintf("the server refuses it: %v", err), "give the user the role readWrite on the database "+c.store.orders.Database().Name()
	}
	c.add("right", attempt, fault, wayOut)
}

// indexes finds out which indexes are missing. Without any collection there are none yet.
func (c *check) indexes(ctx context.Context, there []string) {
	ctx, cancel := c.store.bound(ctx)
	defer cancel()
	var all int
	fresh := true
	for _, collection := range c.store.indexed() {
		all += len(collection.indexes)
		fresh = fresh && !slices.Contains(there, collection.Name())
	}
	missing, err := c.store.missingIndexes(ctx)
	switch {
	case err != nil: // see rights
	case len(missing) > 0 && !c.mayBuild(ctx, missing):
	case fresh && !c.store.options.KeepIndexes:
		c.add("indexes", "none yet; the first start builds them", "", "")
	case len(missing) > 0:
		c.add("indexes", fmt.Sprintf("%d of %d", all-len(missing), all), "missing: "+strings.Join(missing, ", "), "build them by the command indexes")
	default:
		c.add("indexes", fmt.Sprintf("all %d", all), "", "")
	}
}

// mayBuild reports whether the user may build the missing indexes. It tries an index of a
// kind that no server has: a server looks for the right first.
func (c *check) mayBuild(ctx context.Context, missing []string) bool {
	collection, _, _ := strings.Cut(missing[0], ".")
	err := c.store.orders.Database().RunCommand(ctx, bson.D{
		{Key: "createIndexes", Value: collection},
		{Key: "indexes", Value: bson.A{bson.M{"name": "check", "key": bson.M{"_id": "no such kind"}}}},
	}).Err()
	if !isRefused(err) {
		return true
	}
	c.add("right", "createIndexes in "+collection, fmt.Sprintf("the server refuses it: %v; missing: %s", err, strings.Join(missing, ", ")),
		"let a user with the role readWrite run the command indexes")
	return false
}
