package move

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// orders copies or accounts for the orders, and for their events in the outbox.
func (m *mover) orders(ctx context.Context, copying bool) error {
	events := &events{mover: m, copying: copying, line: Line{Kind: "events to publish"}}
	list := func(orders ports.OrderRepository) lister[domain.Order] {
		return func(ctx context.Context, cursor string) (page[domain.Order], error) {
			p, err := orders.List(ctx, ports.OrderQuery{Limit: ports.MaxListLimit, Cursor: cursor})
			return page[domain.Order]{p.Orders, p.NextCursor, p.Unreadable}, err
		}
	}
	err := walk(ctx, m, kind[domain.Order]{
		name: "orders", total: m.rows["orders"], workers: workers, chunk: 1,
		source: list(m.source.Orders()), target: list(m.target.Orders),
		compare: func(a, b domain.Order) int {
			return -cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(string(a.ID), string(b.ID)))
		},
		id:   func(o domain.Order) string { return string(o.ID) },
		find: func(ctx context.Context, o domain.Order) (domain.Order, error) { return m.target.Orders.Get(ctx, o.ID) }, findsItself: true,
		isNewer: func(domain.Order, domain.Order) bool { return false },
		put: oneByOne(func(ctx context.Context, c *change[domain.Order]) error {
			if c.before != nil {
				c.kept = true // orders never change
				return nil
			}
			return c.keep(m.target.Orders.Add(ctx, c.record, m.unfinished[c.record.ID]), ports.ErrExists)
		}),
		settle: events.settle,
	}, copying)
	if err == nil {
		err = events.flush(ctx)
	}
	if err == nil && !copying {
		m.report.Lines = append(m.report.Lines, &events.line)
	}
	return err
}

// eventBatch is how many events one call marks or looks for.
const eventBatch = 1000

// events puts the events of orders that the target has into the state that they have in
// the file: published, or waiting.
type events struct {
	*mover
	copying bool

	mu        sync.Mutex
	published batch // that were added by this run, so that they wait
	waiting   batch // that were added by this run
	unknown   batch // the other orders'
	line      Line
}

// batch collects events for one call.
type batch []domain.EventID

// add returns a full batch, or nil.
func (b *batch) add(id domain.EventID) (full batch) {
	*b = append(*b, id)
	if len(*b) == eventBatch {
		full, *b = *b, nil
	}
	return full
}

// settle is called with each order that both sides have. Add has claimed the event of a
// copied one, so that no relay at the target publishes it before.
func (e *events) settle(ctx context.Context, order domain.Order, copied bool) error {
	id := order.Created().ID
	e.mu.Lock()
	var published, waiting, unknown batch
	switch {
	case !copied:
		unknown = e.unknown.add(id)
	case e.isUnfinished(id):
		waiting = e.waiting.add(id)
	default:
		published = e.published.add(id)
	}
	e.mu.Unlock()
	return e.handle(ctx, published, waiting, unknown)
}

// flush handles the rest.
func (e *events) flush(ctx context.Context) error {
	return e.handle(ctx, e.published, e.waiting, e.unknown)
}

func (e *events) handle(ctx context.Context, published, waiting, unknown batch) error {
	if !e.copying {
		return e.check(ctx, unknown)
	}
	left, err := e.find(ctx, unknown)
	if err != nil {
		return err
	}
	for _, id := range left {
		if !e.isUnfinished(id) { // an interrupted move has added it, and not marked it
			published = append(published, id)
		}
	}
	if len(published) > 0 {
		if err := insist(ctx, func(ctx context.Context) error { return e.target.Orders.MarkPublished(ctx, published...) }); err != nil {
			return err
		}
	}
	if len(waiting) > 0 {
		return insist(ctx, func(ctx context.Context) error { return e.target.Orders.Release(ctx, time.Unix(0, 0), waiting...) })
	}
	return nil
}

func (e *events) isUnfinished(id domain.EventID) bool {
	order, _ := id.OrderID()
	_, ok := e.unfinished[order]
	return ok
}

// find returns those of the events that wait at the target.
func (e *events) find(ctx context.Context, ids batch) (waiting []domain.EventID, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = insist(ctx, func(ctx context.Context) (err error) {
		waiting, err = e.target.Orders.Waiting(ctx, ids...)
		return err
	})
	return waiting, err
}

// check counts the events that wait. A service at the target has published those that
// wait only in the file.
func (e *events) check(ctx context.Context, ids batch) error {
	found, err := e.find(ctx, ids)
	if err != nil {
		return err
	}
	waits := make(map[domain.EventID]bool, len(found))
	for _, id := range found {
		waits[id] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		switch unfinished := e.isUnfinished(id); {
		case unfinished:
			e.line.InFile++
			if waits[id] {
				e.line.Same++
			} else {
				e.line.Newer++
			}
		case waits[id]:
			e.line.Different++
			e.line.fault("different: " + string(id) + ": it was published, but waits at the target")
		}
	}
	return nil
}
