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
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// bench is one run of the program.
type bench struct {
	sizes
	servers  *servers
	folder   string // of the executables, and of what the processes write
	profiles string // the folder for them; empty: none
	figures  figures
	remarks  []string // what disturbed the run
	progress io.Writer
}

// remark tells at once what is also told below the tables.
func (b *bench) remark(format string, args ...any) {
	b.remarks = append(b.remarks, fmt.Sprintf(format, args...))
	fmt.Fprintf(b.progress, "bench: %s\n", b.remarks[len(b.remarks)-1])
}

// stage is a way at work: its services as processes, with a database of their
// own.
type stage struct {
	*bench
	way      string
	database database
	orders   []*process
	notifier *process
	notices  *notices

	stored int        // orders that are in the database
	waited []answered // at the start, to be notified
	placed []answered // here
	ready  struct{ order, notifier time.Duration }
}

// play has a way play on a stage, and takes account of every order afterwards.
// So many orders are in its database at the start.
func (b *bench) play(ctx context.Context, way string, services int, d database, stored int, act func(*stage) error) (err error) {
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
	err = s.takeAccount(ctx)
	if err = errors.Join(err, s.stop()); err == nil {
		err = s.lookAgain(ctx)
	}
	return errors.Join(err, s.tellComplaints())
}

// playAnew plays with a new database.
func (b *bench) playAnew(ctx context.Context, way string, act func(*stage) error) error {
	d := b.servers.newDatabase()
	if err := b.play(ctx, way, 1, d, 0, act); err != nil {
		return err
	}
	return b.servers.drop(ctx, d)
}

// open starts one service after the other, each once the one before is ready.
func (s *stage) open(ctx context.Context, services int) error {
	for range services {
		p, err := s.start(orderService)
		if err != nil {
			return err
		}
		s.orders = append(s.orders, p)
		if s.ready.order, err = p.awaitReady(ctx); err != nil {
			return err
		}
	}
	var err error
	if s.notifier, err = s.start(notifier); err != nil {
		return err
	}
	if s.notices, err = readNotices(s.notifier.log); err != nil {
		return err
	}
	s.ready.notifier, err = s.notifier.awaitReady(ctx)
	return err
}

func (s *stage) start(service string) (*process, error) {
	args := []string{"--store=" + s.database.url, "--broker=" + s.servers.broker}
	if s.way == ours {
		args = append(args, "--shutdown-delay=0s")
		return start(s.folder, service, filepath.Join(s.folder, service), args...)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(s.folder, s.way+"-"+service, self, append([]string{"way", s.way, service}, args...)...)
}

func (s *stage) addresses() []string {
	addresses := make([]string, len(s.orders))
	for i, p := range s.orders {
		addresses[i] = p.address
	}
	return addresses
}

// load places orders and keeps account of them.
func (s *stage) load(ctx context.Context, clients int, rate float64, duration time.Duration) ([]answered, time.Duration, error) {
	all, took, err := load{
		addresses: s.addresses(), clients: clients, rate: rate, duration: duration,
		request: postOrders(clients), status: http.StatusCreated,
	}.run(ctx)
	s.placed = append(s.placed, all...)
	return all, took, err
}

// measure has so many clients place orders as fast as they are answered, after
// a while to warm up, and adds the figures under the name.
func (s *stage) measure(ctx context.Context, clients int, under string) error {
	warm, _, err := s.load(ctx, clients, 0, s.duration/5)
	if err != nil {
		return err
	}
	if _, err := s.await(ctx, warm); err != nil {
		return err
	}
	before, began := readCPU(), time.Now()
	profiled := s.profileCPU(ctx, clients)
	all, took, err := s.load(ctx, clients, 0, s.duration)
	err = errors.Join(err, profiled())
	if err != nil {
		return err
	}
	last, err := s.await(ctx, all)
	if err != nil {
		return err
	}
	s.figures.addCPU(under, before, readCPU(), len(all))
	times := latencies(all)
	s.figures.add(name(under, "orders"), rate(len(all), took))
	s.figures.add(name(under, "notified"), rate(s.notices.count(all), last.Sub(began)))
	s.figures.addTime(name(under, "p50"), percentile(times, 50))
	s.figures.addTime(name(under, "p99"), percentile(times, 99))
	return nil
}

// profileCPU has ours write profiles for as long as a measurement takes, if they
// are asked for, and returns a function that waits for them.
func (s *stage) profileCPU(ctx context.Context, clients int) (wait func() error) {
	if s.profiles == "" || s.way != ours {
		return func() error { return nil }
	}
	errs := make([]error, len(s.processes()))
	var wg sync.WaitGroup
	for i, p := range s.processes() {
		wg.Go(func() {
			file := filepath.Join(s.profiles, fmt.Sprintf("%s-%d.pprof", p.name, clients))
			errs[i] = p.profileCPU(ctx, max(1, int(s.duration.Seconds())), file)
		})
	}
	return func() error {
		wg.Wait()
		return errors.Join(errs...)
	}
}

// await waits until the orders are notified, and returns when the last was.
// Only ours promises all of them.
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

// takeAccount checks that what was answered is stored, and of ours that it was
// notified; what another way has lost is remarked.
func (s *stage) takeAccount(ctx context.Context) error {
	if _, err := s.await(ctx, s.placed); err != nil {
		return err
	}
	if lost := len(s.placed) - s.notices.count(s.placed); lost > 0 {
		s.remark("%s: of %d orders that were answered, %d are not notified", wayTitle(s.way), len(s.placed), lost)
	}
	count, err := s.database.Collection("orders").CountDocuments(ctx, bson.M{})
	if err != nil {
		return fmt.Errorf("count orders: %w", err)
	}
	s.stored += len(s.placed)
	if count != int64(s.stored) {
		return fmt.Errorf("%w: %d are stored, %d were answered", errLost, count, s.stored)
	}
	return nil
}

// lookAgain checks what is left once the services have ended: nothing in the
// outbox and, of ours, a notification of each order, once, and of no other.
func (s *stage) lookAgain(ctx context.Context) error {
	waiting, err := countWaiting(ctx, s.database.Collection("orders"))
	if err != nil {
		return fmt.Errorf("count the outbox: %w", err)
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

func (s *stage) processes() []*process {
	all := s.orders
	if s.notifier != nil {
		all = append(all[:len(all):len(all)], s.notifier)
	}
	return all
}

// tellComplaints remarks which services were disturbed.
func (s *stage) tellComplaints() error {
	for _, p := range s.processes() {
		count, first, err := p.complaints()
		if err != nil {
			return err
		}
		if count > 0 {
			s.remark("%s warned %d times; its figures are of a disturbed run: %s", p.name, count, first)
		}
	}
	return nil
}

// stop ends the services well.
func (s *stage) stop() error {
	var errs []error
	for _, p := range s.processes() {
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}

// close ends what still runs, and forgets what it wrote.
func (s *stage) close() {
	if s.notices != nil {
		s.notices.close()
	}
	for _, p := range s.processes() {
		p.kill()
		_ = os.Remove(p.log) // the folder goes in the end
	}
}
