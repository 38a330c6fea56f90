package mongodb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// collectionIndexes are a collection with the indexes that it needs, and the index of an
// earlier version, which it does not.
type collectionIndexes struct {
	*mongo.Collection
	indexes []index
	former  *index // nil: none

	// Some servers take no other index on the former one's keys. Otherwise the former
	// index is dropped last, so that queries always have one.
	dropFirst bool
}

func (s *Store) indexed() []collectionIndexes {
	return []collectionIndexes{
		{Collection: s.orders, indexes: orderIndexes, former: &formerOrderIndex, dropFirst: true},
		{Collection: s.deliveries, indexes: deliveryIndexes, former: &formerDeliveryIndex},
		{Collection: s.deadLetters, indexes: deadLetterIndexes},
		{Collection: s.actions, indexes: actionIndexes},
	}
}

// IndexProgress is a step of building indexes.
type IndexProgress struct {
	Index string // with its collection, such as "orders.newest_first"
	State IndexState
	After time.Duration // how long the build has taken
}

// IndexState is what has happened to an index.
type IndexState string

const (
	IndexExists   IndexState = "exists"   // there was nothing to do
	IndexBuilding IndexState = "building" // the build has begun
	IndexBuilt    IndexState = "built"
	IndexDropped  IndexState = "dropped" // this version does not use it
)

// BuildIndexes builds the missing indexes of the database at the URL, and drops those that
// this version replaces, as [Open] does by default. It waits until the server has built
// them. It may be repeated, also while stores are open.
//
// The errors are those of [Open].
func BuildIndexes(ctx context.Context, url string, o Options, progress func(IndexProgress)) error {
	s, opts, err := connect(url, o)
	if err != nil {
		return fmt.Errorf("build indexes: %w", err)
	}
	defer s.disconnect(ctx)
	if err = s.Ping(ctx); err == nil {
		// A context without a deadline gets the driver's short timeout.
		building, cancel := context.WithTimeout(ctx, 365*24*time.Hour)
		defer cancel()
		err = s.buildIndexes(building, progress)
	}
	if err != nil {
		return fmt.Errorf("build indexes at %s: %w", strings.Join(opts.Hosts, ","), err)
	}
	return nil
}

func (s *Store) buildIndexes(ctx context.Context, progress func(IndexProgress)) error {
	for _, c := range s.indexed() {
		if c.dropFirst {
			s.dropFormer(ctx, c, progress)
		}
		there, _ := c.Indexes().ListSpecifications(ctx) // only for the progress; the builds report an outage
		for _, index := range c.indexes {
			step := IndexProgress{Index: c.Name() + "." + index.name, State: IndexExists}
			build := !index.isIn(there)
			if build {
				step.State = IndexBuilding
			}
			progress(step)
			began := time.Now()
			if err := createIndex(ctx, c.Collection, index); err != nil {
				return err
			}
			if build {
				step.State, step.After = IndexBuilt, time.Since(began)
				progress(step)
			}
		}
		if !c.dropFirst {
			s.dropFormer(ctx, c, progress)
		}
	}
	return nil
}

// dropFormer drops the index that this version does not use, because it costs each write
// some time. It is no error if the server refuses.
func (s *Store) dropFormer(ctx context.Context, c collectionIndexes, progress func(IndexProgress)) {
	if c.former == nil || !exists(ctx, c.Collection, *c.former) {
		return
	}
	if err := c.Indexes().DropOne(ctx, c.former.name); err != nil {
		s.options.Logger.WarnContext(ctx, "an index that is not used any more makes writing slower",
			"drop_it_with", fmt.Sprintf("db.%s.dropIndex(%q)", c.Name(), c.former.name), "error", err)
		return
	}
	progress(IndexProgress{Index: c.Name() + "." + c.former.name, State: IndexDropped})
}

// missingIndexes returns the names of the indexes that do not exist, with their collections.
func (s *Store) missingIndexes(ctx context.Context) (missing []string, err error) {
	for _, c := range s.indexed() {
		there, err := c.Indexes().ListSpecifications(ctx)
		if err != nil {
			return nil, fmt.Errorf("list indexes of collection %s: %w", c.Name(), classify(ctx, err))
		}
		for _, index := range c.indexes {
			if !index.isIn(there) {
				missing = append(missing, c.Name()+"."+index.name)
			}
		}
	}
	return missing, nil
}

// logMissingIndexes logs which indexes are missing. It is no error if that can't be found
// out, because a service works without indexes, too.
func (s *Store) logMissingIndexes(ctx context.Context) {
	missing, err := s.missingIndexes(ctx)
	switch {
	case err != nil:
		s.options.Logger.WarnContext(ctx, "it is not known whether indexes are missing", "error", err)
	case len(missing) > 0:
		s.options.Logger.WarnContext(ctx, "indexes are missing, and are not built at the start: calls may read all records, so build them before",
			"missing", strings.Join(missing, ", "))
	}
}
