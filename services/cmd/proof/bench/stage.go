package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// bench is one run of the program.
type bench struct {
	sizes
	servers  *servers
	folder   string // of the executables and the logs
	profiles string // folder; empty: none
	figures  figures
	remarks  []string // disturbances of the run
	progress io.Writer
}

// remark reports a disturbance at once, and below the tables.
func (b *bench) remark(format string, args ...any) {
	b.remarks = append(b.remarks, fmt.Sprintf(format, args...))
	fmt.Fprintf(b.progress, "bench: %s\n", b.remarks[len(b.remarks)-1])
}

// stage is a way at work: its services as processes, with a database of their own.
type stage struct {
	*bench
	way      string
	database harness.Database
	orders   []*service
	notifier *service
	notices  *notices

	stored int        // orders in the database
	waited []answered // orders to notify at the start
	placed []answered // orders of this stage
}

// play starts the way's services on a database with that many orders, acts, and
// accounts for every order afterwards.
func (b *bench) play(ctx context.Context, way string, services int, d harness.Database, stored int, act func(*stage) error) (err error) {
	s := &stage{bench: b, way: way, database: d, stored: stored}
	defer func() {
		s.close()
		if err != nil {
			err = fmt.Errorf("%s: %w", way, err)
		}
	}()
	if err := s.open(ctx, services); err != nil {
		return err
	}
	if err := act(s); err != nil {
		return err
	}
	err = errors.Join(s.account(ctx), s.stop())
	if err == nil {
		err = s.accountAtRest(ctx)
	}
	return errors.Join(err, s.remarkComplaints())
}

// playAnew plays with a new database.
func (b *bench) playAnew(ctx context.Context, way string, services int, act func(*stage) error) error {
	d := b.servers.newDatabase()
	if err := b.play(ctx, way, services, d, 0, act); err != nil {
		return err
	}
	return b.servers.drop(ctx, d)
}

// open starts the services one after the other. Each is ready before the next.
func (s *stage) open(ctx context.Context, services int) error {
	for range services {
		p, err := s.start(orderService)
		if err != nil {
			return err
		}
		s.orders = append(s.orders, p)
		if err := p.awaitReady(ctx); err != nil {
			return err
		}
	}
	var err error
	if s.notifier, err = s.start(notifier); err != nil {
		return err
	}
	if s.notices, err = readNotices(s.notifier.Log); err != nil {
		return err
	}
	return s.notifier.awaitReady(ctx)
}

func (s *stage) start(name string) (*service, error) {
	path := filepath.Join(s.folder, name)
	args := []string{"--store=" + s.database.URL.String(), "--broker=" + s.servers.Broker.String()}
	if s.way == ours {
		args = append(args, "--shutdown-delay=0s")
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		path = self
		args = append([]string{"way", s.way, name}, args...)
		name = s.way + "-" + name
	}
	command, err := harness.NewCommand(name, path, args...)
	if err != nil {
		return nil, err
	}
	p, err := command.Start(filepath.Join(s.folder, fmt.Sprintf("%s.%d.log", name, len(s.orders))))
	if err != nil {
		return nil, err
	}
	return &service{Process: p}, nil
}

func (s *service) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := s.AwaitReady(ctx)
	s.ready = time.Since(s.Began)
	return err
}

func (s *stage) addresses() []string {
	addresses := make([]string, len(s.orders))
	for i, p := range s.orders {
		addresses[i] = p.Addr
	}
	return addresses
}

// load places orders and remembers them.
func (s *stage) load(ctx context.Context, clients int, rate float64, duration time.Duration) ([]answered, time.Duration, error) {
	all, took, err := load{
		addresses: s.addresses(), clients: clients, rate: rate, duration: duration,
		request: postOrders(clients), status: http.StatusCreated,
	}.run(ctx)
	s.placed = append(s.placed, all...)
	return all, took, err
}

// loadNotified places orders and waits until they are notified.
func (s *stage) loadNotified(ctx context.Context, clients int, rate float64, duration time.Duration) ([]answered, error) {
	all, _, err := s.load(ctx, clients, rate, duration)
	if err == nil {
		_, err = s.await(ctx, all)
	}
	return all, err
}

// measure lets clients place orders as fast as they are answered, after a warm-up, and
// adds the figures under the name.
func (s *stage) measure(ctx context.Context, clients int, under string) error {
	if _, err := s.loadNotified(ctx, clients, 0, s.duration/5); err != nil {
		return err
	}
	before, began := readCPU(), time.Now()
	profiled := s.profileCPU(ctx, clients)
	all, took, err := s.load(ctx, clients, 0, s.duration)
	if err = errors.Join(err, profiled()); err != nil {
		return err
	}
	last, err := s.await(ctx, all)
	if err != nil {
		return err
	}
	s.figures.addCPU(under, before, readCPU(), len(all))
	s.figures.add(name(under, "orders"), rate(len(all), took))
	s.figures.add(name(under, "notified"), rate(s.notices.count(all), last.Sub(began)))
	s.figures.addPercentiles(under, latencies(all))
	return nil
}

// profileCPU lets ours write profiles during a measurement, if a folder is set. The
// function that it returns waits for them.
func (s *stage) profileCPU(ctx context.Context, clients int) (wait func() error) {
	if s.profiles == "" || s.way != ours {
		return func() error { return nil }
	}
	errs := make([]error, len(s.services()))
	var wg sync.WaitGroup
	for i, p := range s.services() {
		wg.Go(func() {
			file := filepath.Join(s.profiles, fmt.Sprintf("%s-%d.pprof", p.Name, clients))
			errs[i] = p.profileCPU(ctx, max(1, int(s.duration.Seconds())), file)
		})
	}
	return func() error {
		wg.Wait()
		return errors.Join(errs...)
	}
}

// await waits until the orders are notified, and returns when the last was. Only ours
// promises to notify all.
func (s *stage) await(ctx context.Context, orders []answered) (time.Time, error) {
	if s.way == ours {
		return s.notices.await(ctx, orders, silence)
	}
	last, err := s.notices.await(ctx, orders, 3*time.Second)
	if errors.Is(err, errLost) {
		err = nil
	}
	return last, err
}

// account checks that every answered order is stored and, with ours, notified. It
// remarks the losses of another way.
func (s *stage) account(ctx context.Context) error {
	if _, err := s.await(ctx, s.placed); err != nil {
		return err
	}
	if lost := len(s.placed) - s.notices.count(s.placed); lost > 0 {
		s.remark("%s: of %d orders that were answered, %d are not notified", wayTitle(s.way), len(s.placed), lost)
	}
	count, err := s.database.Count(ctx, harness.Orders)
	if err != nil {
		return err
	}
	s.stored += len(s.placed)
	if count != s.stored {
		return fmt.Errorf("%w: %d are stored, %d were answered", errLost, count, s.stored)
	}
	return nil
}

// accountAtRest checks, after the services have ended, that the outbox is empty. Ours
// must have notified every order once, and no other.
func (s *stage) accountAtRest(ctx context.Context) error {
	waiting, err := s.database.Waiting(ctx, nil)
	if err != nil {
		return err
	}
	if waiting > 0 {
		return fmt.Errorf("%d orders are still in the outbox", waiting)
	}
	if s.way != ours {
		return nil
	}
	if err := s.notices.read(); err != nil {
		return err
	}
	if repeats := s.notices.repeats; repeats > 0 {
		return fmt.Errorf("%d notifications were repeated", repeats)
	}
	expected := slices.Concat(s.waited, s.placed)
	if all := len(s.notices.at); all != len(expected) || s.notices.count(expected) != all {
		return fmt.Errorf("%d orders were notified, want the %d that were answered or had waited", all, len(expected))
	}
	return nil
}

func (s *stage) services() []*service {
	if s.notifier == nil {
		return s.orders
	}
	return append(slices.Clone(s.orders), s.notifier)
}

// remarkComplaints remarks which services were disturbed.
func (s *stage) remarkComplaints() error {
	for _, p := range s.services() {
		count, first, err := complaints(p.Log)
		if err != nil {
			return err
		}
		if count > 0 {
			s.remark("%s warned %d times, so something disturbed its figures: %s", p.Name, count, first)
		}
	}
	return nil
}

// stop ends the services with SIGTERM.
func (s *stage) stop() (err error) {
	for _, p := range s.services() {
		err = errors.Join(err, p.End(syscall.SIGTERM))
	}
	return err
}

// close kills the services that still run, and removes the logs.
func (s *stage) close() {
	if s.notices != nil {
		s.notices.close()
	}
	for _, p := range s.services() {
		p.Kill()
		_ = os.Remove(p.Log) // the folder goes at the end
	}
}
