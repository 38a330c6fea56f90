package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"

	"example.com/orderflow/services/internal/httpapi"
)

// feed hands the latest state to all streams. Each event is encoded once for all of them. A
// stream that is slow, or connects again, gets one event with all that it has missed. So
// nothing queues up.
type feed struct {
	instance string        // makes the events' ids those of this process
	joined   chan struct{} // receives when somebody begins to watch

	mu       sync.Mutex
	watchers int
	changed  chan struct{}  // closed at the next event
	seq      int            // of the latest event; 0: none yet
	at       string         // the latest event's time
	fields   []field        // the latest state
	points   []point        // the latest maxPoints, oldest first
	forgot   int            // the seq of the latest point that is not among them
	since    map[int][]byte // the event that leads from an earlier seq to the latest, once it was encoded
}

// field is a field of the state.
type field struct {
	name    string
	json    []byte
	compare []byte // is the same as long as nothing has changed
}

// newField returns a field. compare is the value without what changes all the time, such as
// ages; nil: all of it counts.
func newField(name string, value, compare any) field {
	f := field{name: name, json: httpapi.Encode(value)}
	if f.compare = f.json; compare != nil {
		f.compare = httpapi.Encode(compare)
	}
	return f
}

// point is a point of the history.
type point struct {
	seq  int // of the event that has brought it
	json []byte
}

// maxPoints is how many points a history has: those of 15 minutes.
const maxPoints = 180

func newFeed() *feed {
	return &feed{
		instance: uuid.NewString()[:8], joined: make(chan struct{}, 1),
		changed: make(chan struct{}), since: make(map[int][]byte),
	}
}

// join counts a watcher until it calls leave.
func (f *feed) join() (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers++
	select {
	case f.joined <- struct{}{}:
	default:
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers--
	}
}

// watching returns how many watch.
func (f *feed) watching() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watchers
}

// publish makes the fields, always the same ones, the latest state, and adds the point to the
// history unless it is nil. There is no event if nothing has changed.
func (f *feed) publish(at string, fields []field, newest []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changed []field
	for i, now := range fields {
		if f.seq == 0 || !bytes.Equal(now.compare, f.fields[i].compare) {
			changed = append(changed, now)
		}
	}
	if len(changed) == 0 && newest == nil {
		return
	}
	f.seq++
	f.at, f.fields = at, fields
	if newest != nil {
		if len(f.points) == maxPoints {
			f.forgot = f.points[0].seq
			f.points = f.points[1:]
		}
		f.points = append(f.points, point{f.seq, newest})
	}
	clear(f.since)
	if f.seq > 1 {
		f.since[f.seq-1] = f.event("update", changed, f.seq-1)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// next returns the event that leads from a seq, 0 for none, to the latest one, which it
// returns, too. Without such an event it returns nil and a channel that the next one closes.
func (f *feed) next(from int) (event []byte, seq int, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from == f.seq {
		return nil, from, f.changed
	}
	if event = f.since[from]; event == nil {
		kind := "update"
		if from == 0 {
			kind = "snapshot"
		}
		event = f.event(kind, f.fields, from)
		if len(f.since) < MaxStreams { // more are not those of streams that are open
			f.since[from] = event
		}
	}
	return event, f.seq, f.changed
}

// resume returns the seq from which the stream goes on that has got the event with this id
// last. It is 0 if the points since then are not known any more.
func (f *feed) resume(id string) int {
	text, ours := strings.CutPrefix(id, f.instance+"-")
	seq, err := strconv.Atoi(text)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !ours || err != nil || seq < f.forgot || seq > f.seq {
		return 0
	}
	return seq
}

// event returns an event with the fields, and the points that are newer than the seq.
func (f *feed) event(kind string, fields []field, from int) []byte {
	return fmt.Appendf(nil, "id: %s-%d\nevent: %s\ndata: %s\n\n", f.instance, f.seq, kind, f.object(kind, fields, from))
}

func (f *feed) object(kind string, fields []field, from int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"at":%q,"instance":%q`, f.at, f.instance)
	for _, field := range fields {
		fmt.Fprintf(&b, `,%q:%s`, field.name, field.json)
	}
	var points [][]byte
	for _, p := range f.points {
		if p.seq > from {
			points = append(points, p.json)
		}
	}
	list := bytes.Join(points, []byte(","))
	if kind == "snapshot" {
		fmt.Fprintf(&b, `,"history":{"step_seconds":%d,"points":[%s]}}`, int(pointPause.Seconds()), list)
	} else {
		fmt.Fprintf(&b, `,"points":[%s]}`, list)
	}
	return b.Bytes()
}

// snapshot returns the latest state. It waits for the first one; nil: ctx has ended before.
func (f *feed) snapshot(ctx context.Context) json.RawMessage {
	for {
		f.mu.Lock()
		seq, changed := f.seq, f.changed
		if seq > 0 {
			defer f.mu.Unlock()
			return f.object("snapshot", f.fields, 0)
		}
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
