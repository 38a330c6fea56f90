package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/orderflow/services/cmd/proof/harness"
)

// The queues of the other ways.
const (
	originalQueue = "bench_original"
	usualQueue    = "bench_usual"
	ceilingQueue  = "bench_ceiling"
)

// servers are the real ones, with the run's own databases.
type servers struct {
	*harness.Servers
	cleaned   bool // the queues are the run's own
	databases []harness.Database
}

func openServers(store, broker string) (*servers, error) {
	opened, err := harness.OpenServers(store, broker)
	if err != nil {
		return nil, err
	}
	return &servers{Servers: opened}, nil
}

// newDatabase names a database. The first write creates it.
func (s *servers) newDatabase() harness.Database {
	d := s.Database("bench_" + strings.ToLower(rand.Text()))
	s.databases = append(s.databases, d)
	return d
}

func (s *servers) drop(ctx context.Context, d harness.Database) error {
	if err := d.Drop(ctx); err != nil {
		return fmt.Errorf("drop database %s: %w", d.Name(), err)
	}
	s.databases = slices.DeleteFunc(s.databases, func(other harness.Database) bool { return other == d })
	return nil
}

// clean deletes the queues. The first time in the default virtual host, it refuses to
// delete any messages: they are not of this run.
func (s *servers) clean(ctx context.Context) error {
	spare := !s.cleaned && s.VHost() == "/"
	err := s.Clean(ctx, spare, slices.Concat(harness.Queues, []string{originalQueue, usualQueue, ceilingQueue})...)
	s.cleaned = s.cleaned || err == nil
	return err
}

// close deletes what the run has made.
func (s *servers) close(ctx context.Context) (err error) {
	if s.cleaned {
		err = s.clean(ctx)
	}
	for _, d := range slices.Clone(s.databases) {
		err = errors.Join(err, s.drop(ctx, d))
	}
	return errors.Join(err, s.Close(ctx))
}
