package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/orderflow/services/cmd/proof/harness"
)

// stage is a way at work: its services as processes, with a database of their own.
type stage struct {
	*bench
	way string

	executables string   // folder of those of ours
	env         []string // of the notifier

	database harness.Database
	data     string     // the embedded way's folder, in place of the database
	orders   []*process // the order services
	all      []*process // and the notifier
	notices  *notices

	filled []answered // orders that were stored before the start
	waited []answered // those of them whose events were not published
	placed []answered // orders of this stage
}

// newStage returns a stage without orders. The first write creates its database.
func (b *bench) newStage(way string) *stage {
	id := "bench_" + strings.ToLower(rand.Text())
	return &stage{bench: b, way: way, executables: b.folder, database: b.servers.Database(id), data: filepath.Join(b.folder, id)}
}

func (s *stage) isOurs() bool { return slices.Contains(ourWays, s.way) }

// start starts the services one after the other. Each is ready before the next. The
// embedded way has one process, whatever the number.
func (s *stage) start(ctx context.Context, orderServices int) {
	if s.way == embedded {
		p := s.startCommand(ctx, must(harness.NewOrderflow(filepath.Join(s.executables, harness.Orderflow), s.data, "--shutdown-delay=0s")), 0)
		s.orders, s.notices = s.all, must(readNotices(p.Log))
		return
	}
	for n := range orderServices {
		s.orders = append(s.orders, s.startService(ctx, orderService, n))
	}
	notifier := s.startService(ctx, notifier, 0)
	s.notices = must(readNotices(notifier.Log))
}

func (s *stage) startService(ctx context.Context, name string, n int) *process {
	path, args := filepath.Join(s.executables, name), []string{"--shutdown-delay=0s"}
	env := harness.ServerEnv(s.database.URL, s.servers.Broker)
	if name == notifier {
		env = append(env, s.env...)
	}
	if !s.isOurs() {
		path, args = must(os.Executable()), []string{"way", s.way, name}
		name = s.way + "-" + name
	}
	command := must(harness.NewCommand(name, path, args...))
	command.Env = env
	return s.startCommand(ctx, command, n)
}

// startCommand returns the process once it is ready.
func (s *stage) startCommand(ctx context.Context, command harness.Command, n int) *process {
	p := &process{Process: must(command.Start(filepath.Join(s.folder, fmt.Sprintf("%s.%d.log", command.Name, n))))}
	s.all = append(s.all, p)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	check(p.AwaitReady(ctx, 2*time.Millisecond))
	p.ready = time.Since(p.Began)
	return p
}

// close kills the services that still run, and removes the logs and the database.
func (s *stage) close(ctx context.Context) {
	if s.notices != nil {
		s.notices.close()
	}
	for _, p := range s.all {
		p.Kill()
		if count, first := p.complaints(); count > 0 {
			s.remark("%s warned %d times, so something disturbed its figures: %s", p.Name, count, first)
		}
		_ = os.Remove(p.Log) // the folder goes at the end
	}
	if s.way == embedded {
		s.remove(ctx, func(context.Context) error { return os.RemoveAll(s.data) })
		return
	}
	s.remove(ctx, func(ctx context.Context) error {
		if err := s.database.Drop(ctx); err != nil {
			return fmt.Errorf("drop database %s: %w", s.database.Name(), err)
		}
		return nil
	})
}

// load returns a closed loop that places orders.
func (s *stage) load(clients int, duration time.Duration) load {
	l := load{clients: clients, duration: duration, request: postOrder, status: http.StatusCreated}
	for _, p := range s.orders {
		l.addresses = append(l.addresses, p.Addr)
	}
	return l
}

// place places orders and remembers them.
func (s *stage) place(ctx context.Context, clients int, rate float64, duration time.Duration) ([]answered, time.Duration, error) {
	l := s.load(clients, duration)
	l.rate = rate
	all, took, err := l.run(ctx)
	if err == nil && len(all) == 0 {
		err = errors.New("no order was answered")
	}
	s.placed = append(s.placed, all...)
	return all, took, err
}

// placeNotified places orders and waits until they are notified.
func (s *stage) placeNotified(ctx context.Context, clients int, rate float64, duration time.Duration) []answered {
	all, _, err := s.place(ctx, clients, rate, duration)
	check(err)
	s.await(ctx, all)
	return all
}

// measure lets clients place orders as fast as they are answered, after a warm-up, and
// adds the figures under the name.
func (s *stage) measure(ctx context.Context, clients int, under string) {
	s.placeNotified(ctx, clients, 0, s.duration/5)
	before, began := readCPU(), time.Now()
	var profiles errgroup.Group
	if s.Profile != "" && s.isOurs() {
		for _, p := range s.all {
			name := fmt.Sprintf("%s-%d.pprof", p.Name, clients)
			if s.executables != s.folder {
				name = "other-" + name
			}
			path := filepath.Join(s.Profile, name)
			profiles.Go(func() error { return p.profileCPU(ctx, max(1, int(s.duration.Seconds())), path) })
		}
	}
	all, took, err := s.place(ctx, clients, 0, s.duration)
	check(errors.Join(err, profiles.Wait()))
	last := s.await(ctx, all)
	s.figures.addCPU(under, before, readCPU(), len(all))
	s.figures.add(name(under, "orders"), rate(len(all), took))
	s.figures.add(name(under, "notified"), rate(s.notices.count(all), last.Sub(began)))
	s.figures.addPercentiles(under, latencies(all))
}

// await waits until the orders are notified, and returns when the last was. Only ours
// promises to notify all.
func (s *stage) await(ctx context.Context, orders []answered) time.Time {
	bound := silence
	if !s.isOurs() {
		bound = 3 * time.Second
	}
	last, err := s.notices.await(ctx, orders, bound)
	if s.isOurs() || !errors.Is(err, errLost) {
		check(err)
	}
	return last
}

// finish stops the services, and accounts for every order: each that was answered is
// stored, and none is left in the outbox. Ours must have notified every order once,
// and no other. The losses of another way are remarked.
func (s *stage) finish(ctx context.Context) {
	s.await(ctx, s.placed)
	for _, p := range s.all {
		check(p.End(syscall.SIGTERM))
	}
	if lost := len(s.placed) - s.notices.count(s.placed); lost > 0 {
		s.remark("%s: of %d orders that were answered, %d are not notified", s.way, len(s.placed), lost)
	}
	stored, waiting := s.count(ctx)
	if want := len(s.filled) + len(s.placed); stored != want {
		check(fmt.Errorf("%s: %w: %d are stored, %d were answered", s.way, errLost, stored, want))
	}
	if waiting > 0 {
		check(fmt.Errorf("%s: %d orders still wait to be published", s.way, waiting))
	}
	if s.isOurs() {
		check(s.notices.account(slices.Concat(s.waited, s.placed)))
	}
}

// count returns how many orders are stored, and how many of their events wait to be
// published.
func (s *stage) count(ctx context.Context) (stored, waiting int) {
	if s.way == embedded {
		return s.countEmbedded()
	}
	return must(s.database.Count(ctx, harness.Orders)), must(s.database.Waiting(ctx, nil))
}
