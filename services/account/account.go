package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/wiring"
)

const (
	// Timeout bounds drawing up an account, even if a store or broker does not answer.
	Timeout = 2 * time.Second

	partTimeout = 600 * time.Millisecond // of the orders and of the queues, so that the others have time left
)

// Orders returns the account of the orders. It is [ports.Outbox].Account, or a
// [RemoteOrders] where another process keeps the orders.
type Orders func(ctx context.Context) (ports.OutboxAccount, error)

// Parts are what an account is drawn from. The order service alone has only Orders. A
// notifier alone has all but Orders: then nobody knows how many events there should be.
type Parts struct {
	Orders Orders // nil: not known
	Remote bool   // another process keeps the orders, and watches them

	Deliveries      ports.DeliveryLog // nil: no notifier; the others are required otherwise
	States          ports.ChannelStates
	DeadLetters     ports.DeadLetters
	DeadLetterQueue ports.DeadLetterQueue
	Channels        []Channel
	QueueOf         func(channel string) ports.EventQueue // of a channel that is not configured; nil: none is looked at
}

// Channel is a configured channel.
type Channel struct {
	Name         string
	Recipients   []string // of every event, as in the delivery log
	Queue        ports.EventQueue
	Subscription string // the queue's name among the dead letters
}

// Office draws up accounts.
type Office struct {
	parts Parts

	mu     sync.Mutex
	latest map[recipient]observation
}

type recipient struct{ channel, name string }

// observation is a recipient's account, and since when it has been the same.
type observation struct {
	account Recipient
	since   time.Time
}

// New returns an office. An error is returned when a required part is missing.
func New(parts Parts) (*Office, error) {
	if !wiring.IsNil(parts.Deliveries) {
		if err := wiring.Check("account",
			wiring.Part{Name: "channel states", Given: parts.States}, wiring.Part{Name: "dead letters", Given: parts.DeadLetters},
			wiring.Part{Name: "a dead-letter queue", Given: parts.DeadLetterQueue},
		); err != nil {
			return nil, err
		}
	} else if parts.Orders == nil {
		return nil, errors.New("account needs orders or a delivery log, got neither")
	}
	return &Office{parts: parts, latest: make(map[recipient]observation)}, nil
}

// State is whether an account adds up.
type State string

const (
	Even    State = "even"    // all is accounted for
	Moving  State = "moving"  // events are under way between two places, so the numbers differ for a moment
	Uneven  State = "uneven"  // events are not accounted for, or counted twice
	Unknown State = "unknown" // a part did not answer, or nobody knows the number of events
)

// Worst returns the state of a whole whose parts have these states.
func Worst(states ...State) State {
	order := []State{Even, Moving, Unknown, Uneven}
	worst := Even
	for _, s := range states {
		if slices.Index(order, s) > slices.Index(order, worst) {
			worst = s
		}
	}
	return worst
}

// Account is what became of all orders, at one moment.
type Account struct {
	At          time.Time
	State       State
	Orders      *OrdersPart // nil: not known
	Recipients  []Recipient // by channel, then by name
	Queues      []Queue     // by channel
	Unread      []Queue     // have messages and no consumer, and belong to no configured channel; without a name: what can't be read
	DeadLetters []ports.DeadLetterAccount
	LetterQueue *ports.QueueDepth // nil: not known
	Faults      []Fault           // parts that did not answer
}

// OrdersPart is the order service's part of an account.
type OrdersPart struct {
	ports.OutboxAccount
	Difference int // orders less published and waiting events
	State      State
}

// Recipient is the account of one channel and recipient.
type Recipient struct {
	ports.DeliveryAccount
	Configured bool      // false: some notifier had the recipient once
	Opened     time.Time // when it was added; zero: before accounts were kept
	InQueue    int       // messages of the channel's queue, in any state
	Events     *int      // that it gets: those published since then; nil: not known
	Difference int       // events less all the others
	Allowed    int       // how large the difference may be while events are under way
	State      State
}

// Queue is the queue of a channel.
type Queue struct {
	Channel string
	Missing bool // it does not exist: no consumer has ever connected
	ports.QueueDepth
}

// Fault is a part of the account that is missing, and why.
type Fault struct {
	Part  string // such as "store" or "queue email"
	Error string // without secrets
}

// settleTime is how long a difference may stay while nothing changes. A message may be in
// a handler, whose time is shorter.
const settleTime = time.Minute

// Draw draws up the account. It answers within [Timeout]; what did not is among the faults.
//
// It reads the queues after the published events, and the delivery log after the queues:
// in the direction in which events move. So an event that moves meanwhile is counted twice
// and not missed. A store may miss a notification that changes its state meanwhile, or count
// it twice: an account that does not add up is drawn up again.
func (o *Office) Draw(ctx context.Context) Account {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	first := o.draw(ctx)
	if first.State != Uneven {
		return first
	}
	sleep(ctx, secondLook)
	second := o.draw(ctx)
	if len(second.Faults) > len(first.Faults) {
		return first
	}
	for i := range second.Recipients {
		if r := &second.Recipients[i]; r.State == Uneven && !slices.ContainsFunc(first.Recipients, r.waitsAs) {
			r.State = Moving // between its states
		}
	}
	second.sum()
	return second
}

const secondLook = 50 * time.Millisecond // after an account that does not add up

func (o *Office) draw(ctx context.Context) Account {
	a := Account{At: domain.TruncateTime(time.Now())}
	orders := o.drawOrders(ctx, &a)
	if !wiring.IsNil(o.parts.Deliveries) {
		o.drawNotifications(ctx, &a, orders)
	}
	a.sum()
	return a
}

// sum sets the state of the whole.
func (a *Account) sum() {
	a.State = Even
	if a.Orders != nil {
		a.State = Worst(a.State, a.Orders.State)
	}
	for _, r := range a.Recipients {
		a.State = Worst(a.State, r.State)
	}
	if len(a.Faults) > 0 {
		a.State = Worst(a.State, Unknown)
	}
}

// waitsAs reports whether as many of the recipient's notifications wait, or are dead.
func (r *Recipient) waitsAs(other Recipient) bool {
	return r.Channel == other.Channel && r.DeliveryAccount.Recipient == other.DeliveryAccount.Recipient &&
		r.Retrying.N == other.Retrying.N && r.Held.N == other.Held.N && r.Dead.N == other.Dead.N
}

func (a *Account) fault(part string, err error) {
	a.Faults = append(a.Faults, Fault{part, mask.Error(err).Error()})
}

func (o *Office) drawOrders(ctx context.Context, a *Account) *OrdersPart {
	if o.parts.Orders == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	orders, err := o.parts.Orders(ctx)
	if err != nil {
		a.fault("orders", err)
		return nil
	}
	part := &OrdersPart{OutboxAccount: orders, Difference: orders.Orders - orders.Published - orders.Waiting.N, State: Even}
	if part.Difference != 0 {
		part.State = Uneven
	}
	a.Orders = part
	return part
}

// newer returns how many events may have been published since the orders' part was drawn
// up, marked or not.
func (o *Office) newer(ctx context.Context, a *Account, orders OrdersPart) int {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	now, err := o.parts.Orders(ctx)
	if err != nil {
		a.fault("orders", err)
		return math.MaxInt32 // nobody knows
	}
	return max(now.Published+now.Waiting.N-orders.Published, orders.Waiting.N)
}

func (o *Office) drawNotifications(ctx context.Context, a *Account, orders *OrdersPart) {
	depths := o.drawQueues(ctx, a)
	letters, err := o.parts.DeadLetters.Account(ctx)
	if err != nil {
		a.fault("dead letters", err)
	}
	a.DeadLetters = letters
	o.drawUnread(ctx, a)
	openings, err := o.parts.States.Openings(ctx)
	if err != nil {
		a.fault("openings", err)
		return
	}
	deliveries, err := o.parts.Deliveries.Account(ctx)
	if err != nil {
		a.fault("deliveries", err)
		return
	}
	all := o.recipients(deliveries)
	newer := sync.OnceValue(func() int { return o.newer(ctx, a, *orders) })
	opened := make(map[recipient]ports.Opening)
	for _, opening := range openings {
		opened[recipient{opening.Channel, opening.Recipient}] = opening
	}
	for i := range all {
		r := &all[i]
		depth, known := depths[r.Channel]
		r.InQueue = depth.Total()
		opening, isOpen := opened[recipient{r.Channel, r.DeliveryAccount.Recipient}]
		r.Opened = opening.At
		if r.State = Unknown; !r.Configured {
			r.State = Even // it gets no more events
		} else if orders != nil && isOpen && known {
			o.compare(r, orders.Published-opening.Before, opening.Uncertain, newer, depth, noEvents(letters, o.subscription(r.Channel)))
		}
	}
	a.Recipients = all
}

// compare sets the recipient's number of events, the difference and the state. The number is
// wrong by uncertain at most. newer says how many events more may be in the queue or the log.
//
// An event in the queue may be in the log, too, for as long as it waits there: it was
// published twice, or it is a dead letter that is replayed.
func (o *Office) compare(r *Recipient, events, uncertain int, newer func() int, depth ports.QueueDepth, unreadable int) {
	r.Events = &events
	r.Difference = events - r.Total() - r.InQueue
	r.Allowed = depth.Hidden + uncertain + unreadable
	twice := -r.Difference - uncertain // counted twice, at least
	queued := r.InQueue + depth.Hidden
	switch {
	case r.Difference <= uncertain && twice <= 0:
		r.State = Even
	case r.Difference > r.Allowed || twice > queued && twice > queued+newer():
		r.State = Uneven
	case o.stays(*r) && (r.Difference > 0 || twice > queued):
		r.State = Uneven
	default:
		r.State = Moving
	}
}

// stays reports whether the recipient's account has been the same for long.
func (o *Office) stays(r Recipient) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	key, now := recipient{r.Channel, r.DeliveryAccount.Recipient}, time.Now()
	last := o.latest[key]
	if last.since.IsZero() || last.account.Difference != r.Difference || last.account.Total() != r.Total() || *last.account.Events != *r.Events {
		o.latest[key] = observation{r, now}
		return false
	}
	return now.Sub(last.since) >= settleTime
}

// recipients returns the accounts of all recipients that are configured, and of others
// that have notifications.
func (o *Office) recipients(deliveries []ports.DeliveryAccount) []Recipient {
	byKey := make(map[recipient]*Recipient)
	for _, d := range deliveries {
		byKey[recipient{d.Channel, d.Recipient}] = &Recipient{DeliveryAccount: d}
	}
	for _, channel := range o.parts.Channels {
		for _, name := range channel.Recipients {
			key := recipient{channel.Name, name}
			if byKey[key] == nil {
				byKey[key] = &Recipient{DeliveryAccount: ports.DeliveryAccount{Channel: channel.Name, Recipient: name}}
			}
			byKey[key].Configured = true
		}
	}
	all := make([]Recipient, 0, len(byKey))
	for _, r := range byKey {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Recipient) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.DeliveryAccount.Recipient, b.DeliveryAccount.Recipient))
	})
	return all
}

func (o *Office) subscription(channel string) string {
	for _, c := range o.parts.Channels {
		if c.Name == channel {
			return c.Subscription
		}
	}
	return channel
}

// ChannelOf returns the name of the channel that has the subscription among the dead letters.
// A channel that is not configured has the subscription's name.
func (o *Office) ChannelOf(subscription string) string {
	for _, c := range o.parts.Channels {
		if c.Subscription == subscription {
			return c.Name
		}
	}
	return subscription
}

// noEvents returns how many messages of the subscription were no events: their letters
// are all that is known of them.
func noEvents(letters []ports.DeadLetterAccount, subscription string) int {
	for _, l := range letters {
		if l.Unreadable && l.Subscription == subscription {
			return l.Waiting.N + l.Discarded
		}
	}
	return 0
}

// drawQueues asks all queues at once. It returns the depths of those that answered, by
// channel.
func (o *Office) drawQueues(ctx context.Context, a *Account) map[string]ports.QueueDepth {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	queues := make([]Queue, len(o.parts.Channels))
	errs := make([]error, len(queues))
	var letters ports.QueueDepth
	var lettersErr error
	var asking sync.WaitGroup
	for i, channel := range o.parts.Channels {
		asking.Go(func() {
			queues[i].Channel = channel.Name
			queues[i].QueueDepth, errs[i] = channel.Queue.Depth(ctx)
		})
	}
	asking.Go(func() { letters, lettersErr = o.parts.DeadLetterQueue.Depth(ctx) })
	asking.Wait()
	depths := make(map[string]ports.QueueDepth)
	for i, queue := range queues {
		switch {
		case errors.Is(errs[i], ports.ErrNotFound):
			queue.Missing = true
		case errs[i] != nil:
			a.fault("queue of channel "+queue.Channel, errs[i])
			continue
		}
		depths[queue.Channel] = queue.QueueDepth
		a.Queues = append(a.Queues, queue)
	}
	slices.SortFunc(a.Queues, func(a, b Queue) int { return cmp.Compare(a.Channel, b.Channel) })
	switch {
	case errors.Is(lettersErr, ports.ErrNotFound):
		a.LetterQueue = new(ports.QueueDepth)
	case lettersErr != nil:
		a.fault("queue of dead letters", lettersErr)
	default:
		a.LetterQueue = &letters
	}
	return depths
}

// String returns the fault as a line.
func (f Fault) String() string { return fmt.Sprintf("%s: %s", f.Part, f.Error) }
