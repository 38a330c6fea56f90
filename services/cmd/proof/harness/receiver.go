package harness

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"time"
)

// The channels that send to receivers, and the operator's endpoint among the
// recipients of webhooks.
const (
	Email    = "email"
	Webhook  = "webhook"
	Operator = "operator"
)

// Receiver is a mail server or a server for webhooks on this machine, and what it got.
// It can be killed, and then comes back at the same address.
type Receiver struct {
	Addr  string
	serve func(*life, net.Listener) io.Closer

	mu       sync.Mutex
	life     *life // nil while it is killed
	delay    time.Duration
	refusing bool
	refused  int // answers, which take turns
	got      map[string]Arrival
	sample   []byte
	faults   []string
}

// life is the time from a start of a receiver to its next kill.
type life struct {
	*Receiver
	server io.Closer
}

// Arrival is what a receiver knows of the notification with one id.
type Arrival struct {
	To      string      // an address, or the path of a URL
	Times   []time.Time // when it was accepted, in order
	Refused int         // how often it was refused itself
}

func startReceiver(serve func(*life, net.Listener) io.Closer) (*Receiver, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r := &Receiver{Addr: addr, serve: serve, got: make(map[string]Arrival)}
	return r, r.Start()
}

// Start brings the receiver back.
func (r *Receiver) Start() error {
	listener, err := net.Listen("tcp", r.Addr)
	if err != nil {
		return fmt.Errorf("start a receiver: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = &life{Receiver: r}
	r.life.server = r.serve(r.life, listener)
	return nil
}

// Kill closes the listener and all connections at once. Nothing is accepted any more.
func (r *Receiver) Kill() {
	r.mu.Lock()
	ended := r.life
	r.life = nil
	r.mu.Unlock()
	if ended != nil {
		_ = ended.server.Close() // some connections are closed already
	}
}

// Delay makes the receiver wait before each answer.
func (r *Receiver) Delay(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = d
}

// Refuse makes the receiver refuse everything. By turns it says that it takes nothing
// at the moment, and that it does not take this notification.
func (r *Receiver) Refuse(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusing = on
}

// Arrivals returns all arrivals by the notification's id.
func (r *Receiver) Arrivals() map[string]Arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.got)
}

// Count returns the number of different notifications that were accepted.
func (r *Receiver) Count() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.got {
		if len(a.Times) > 0 {
			n++
		}
	}
	return n
}

// Sample returns the first message as it was received.
func (r *Receiver) Sample() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sample
}

// Faults returns what was wrong with the messages that no notification may cause,
// such as a signature that does not verify.
func (r *Receiver) Faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults
}

// isBusy counts an answer, and reports whether the receiver takes nothing at the
// moment.
func (l *life) isBusy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.refusing {
		return false
	}
	l.refused++
	return l.refused%2 == 0
}

// The reasons for which a receiver does not accept a notification.
var (
	errKilled  = errors.New("the receiver was killed")
	errRefused = errors.New("the receiver does not take this notification now")
)

// accept notes the notification as late as possible: its answer follows at once.
func (l *life) accept(id, to string, message []byte) error {
	l.mu.Lock()
	delay := l.delay
	l.mu.Unlock()
	time.Sleep(delay)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.got[id]
	switch {
	case l.Receiver.life != l:
		return errKilled
	case l.refusing:
		a.Refused++
		l.got[id] = a
		return errRefused
	}
	if l.sample == nil {
		l.sample = message
	}
	a.To, a.Times = to, append(a.Times, time.Now())
	l.got[id] = a
	return nil
}

// fault notes what is wrong with a message.
func (l *life) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}
