package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/adapters/internal/dispatch"
	"example.com/orderflow/adapters/internal/gather"
	"example.com/orderflow/ports"
)

// DefaultPrefetch is the default of Options.Prefetch.
const DefaultPrefetch = dispatch.DefaultPrefetch

// Options are the settings of a store. A duration or number of 0 or less means the
// default.
type Options struct {
	Logger              *slog.Logger  // nil: slog.Default()
	OutboxLease         time.Duration // how long a claim on an event lasts; default: 15 s
	DeliveryLease       time.Duration // how long a claim on a delivery lasts; default: 45 s
	DeadLetterRetention time.Duration // how long settled dead letters are kept; default: ports.DeadLetterRetention
	ActionRetention     time.Duration // how long operators' actions are kept; default: ports.OperatorActionRetention

	// Delays between two attempts; one more attempt follows the last. Default: a
	// second, growing to ten minutes.
	Delays []time.Duration

	HandleTimeout time.Duration // how long a handler may take; default: 30 s
	StopTimeout   time.Duration // how long a handler may take after Consume or Drain was stopped; default: 5 s
	Prefetch      int           // the most events that a call of Consume handles at once; default: DefaultPrefetch

	// SubscriptionPrefetch replaces Prefetch for the subscriptions with these names.
	SubscriptionPrefetch map[string]int

	Moved bool // open the file even if its data was moved to another store

	vfs          string        // SQLite's file system, of tests
	writeTimeout time.Duration // how long a write may take, of tests; default: callTimeout
}

func (o Options) withDefaults() Options {
	byDefault := func(set *time.Duration, usual time.Duration) {
		if *set <= 0 {
			*set = usual
		}
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	byDefault(&o.OutboxLease, 15*time.Second)
	byDefault(&o.DeliveryLease, 45*time.Second)
	byDefault(&o.DeadLetterRetention, ports.DeadLetterRetention)
	byDefault(&o.ActionRetention, ports.OperatorActionRetention)
	if len(o.Delays) == 0 {
		o.Delays = dispatch.DefaultDelays()
	}
	return o
}

// Store is an open file. Its methods return its parts, the same ones each time.
type Store struct {
	options Options
	file    file
	owner   int64
	lock    *os.File // held while this store is open

	writes  *gather.Gatherer[*write]
	writer  *connection      // only the gatherer's goroutine uses it
	recent  [2]recentPart    // only the gatherer's goroutine uses it
	suspect bool             // a sync has failed; only the gatherer's goroutine uses it
	readers chan *connection // those that nobody uses

	readersOpen int
	watcher     *connection // only watch uses it

	places   []place // does not change after Open
	loss     atomic.Pointer[error]
	linked   atomic.Bool // the database has another name
	troubled atomic.Bool // the disk has failed the latest transaction with a change

	bells     bells
	consuming consuming

	closing  chan struct{} // closed when Close begins
	lifetime context.Context
	end      context.CancelFunc // ends the calls that still run

	goroutines sync.WaitGroup // end when closing is closed
	closeOnce  sync.Once
	closeErr   error

	parts struct {
		orders      Orders
		deliveries  Deliveries
		deadLetters DeadLetters
		contacts    Contacts
		states      ChannelStates
		actions     OperatorActions
	}
}

var _ ports.Pinger = (*Store)(nil)

// readerCount bounds the reads at once.
const readerCount = 4

// Open opens the file at the URL, and makes it if it does not exist.
//
// An error that wraps [ports.ErrUnavailable] names the file; opening again later may
// help. If it also wraps [ports.ErrRefused], a person has to change something first,
// and the error says what.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	f, err := parseURL(url)
	if err == nil {
		f.path, err = resolve(f.path)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	f.vfs = o.vfs
	s := &Store{options: o.withDefaults(), file: f, readers: make(chan *connection, readerCount), closing: make(chan struct{})}
	s.parts.orders.store, s.parts.deliveries.store, s.parts.deadLetters.store = s, s, s
	s.parts.contacts.store, s.parts.states.store, s.parts.actions.store = s, s, s
	s.recent = [...]recentPart{{userList: userOrders, limit: maxRecent}, {userList: userDeliveries, limit: maxRecent}}
	s.writes = gather.New(s.writeAll)
	s.writes.Timeout = cmp.Or(o.writeTimeout, callTimeout)
	s.lifetime, s.end = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		_ = s.close(ctx)
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	warning, err := s.file.checkFileSystem(kindOf(filepath.Dir(s.file.path)))
	if err != nil {
		return err
	}
	if warning != "" {
		s.options.Logger.WarnContext(ctx, warning, "file", s.file.path)
	}
	if err := s.file.prepare(); err != nil {
		return err
	}
	if err := s.file.migrate(ctx, s.options.Logger); err != nil {
		return err
	}
	if s.writer, err = s.file.connect(ctx); err != nil {
		return err
	}
	s.writer.watchLog()
	reading := s.file
	reading.cacheSize /= readerCount // lists read few pages, and the system keeps them, too
	if s.watcher, err = reading.connect(ctx); err != nil {
		return err
	}
	for range readerCount {
		c, err := reading.connect(ctx)
		if err != nil {
			return err
		}
		s.readers <- c
		s.readersOpen++
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		p, err := placeOf(s.file.path + suffix)
		if err == nil && p.info.Mode().Perm() != s.file.mode {
			err = os.Chmod(p.path, s.file.mode)
		}
		if err != nil {
			return s.file.classify(err)
		}
		s.places = append(s.places, p)
	}
	if err := s.countRecent(ctx); err != nil {
		return err
	}
	if err := s.register(ctx); err != nil {
		return err
	}
	s.goroutines.Go(s.watch)
	return nil
}

// countProbes is the counter of the changes that Ping has made to try the disk.
const countProbes = "probes"

// Ping returns nil if the file can be written.
func (s *Store) Ping(ctx context.Context) error {
	durability, f := fleeting, func(*tx) error { return nil }
	if s.troubled.Load() { // only a change shows whether the disk works again
		durability, f = durable, func(tx *tx) error { tx.count(countProbes, 1); return nil }
	}
	err := s.write(ctx, durability, f)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Close waits for calls that have begun, ends what this process has claimed, and
// closes the file. When ctx ends, it ends the calls. Later calls return an error.
func (s *Store) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { s.closeErr = s.close(ctx) })
	return s.closeErr
}

// closeGrace is how long Close waits for the calls that it has ended.
const closeGrace = time.Second

func (s *Store) close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		close(s.closing)
		s.writes.Close(ctx)
		defer context.AfterFunc(ctx, s.end)()
		s.goroutines.Wait()
		var readers []*connection
		for range s.readersOpen {
			readers = append(readers, <-s.readers)
		}
		s.end()
		s.unregister()
		for _, c := range append(readers, s.watcher, s.writer) {
			if c == nil {
				continue // Open has failed
			}
			if s.lost() != nil {
				c.leaveFiles()
			}
			c.close()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-done:
		return nil
	case <-time.After(closeGrace):
		return fmt.Errorf("close store: %w: %s: a call still waits for the disk", ports.ErrUnavailable, s.file.path)
	}
}

// describe prefixes an error with what was attempted.
func describe(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), *err)
	}
}
