package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// place is where the victim kills itself: before, during or after a port's method.
type place struct {
	method, when string
	most         int // calls until then
	help         helper
}

func (p place) String() string { return p.when + " " + p.method }

// helper makes the victim call the method, until ctx ends. Most need none: the load is
// enough.
type helper func(t *fileTrial, ctx context.Context)

// placed is a method with the places around it.
type placed struct {
	method string
	most   int
	whens  []string
	help   helper
}

var (
	around = []string{"before", "during", "after"}
	beside = []string{"before", "after"} // no write is under way in between, or another place is that
	midway = []string{"during"}
)

// methods are those that change what is stored, taken or sent. "Acknowledge" is what
// the consumer does after its handler has returned.
var methods = []placed{
	{"Add", 30, around, nil},
	{"Publish", 5, around, nil},
	{"MarkPublished", 5, around, nil},
	{"Claim events", 1, around, nil},
	{"Release events", 1, around, nil},
	{"Handle", 40, beside, nil},
	{"Claim", 40, around, nil},
	{"Send", 40, beside, nil},
	{"Record", 40, around, nil},
	{"Record a waiting one", 3, around, nil},
	{"Release a claim", 1, around, nil},
	{"Acknowledge", 40, midway, nil},
	{"ClaimDue", 1, around, nil},
	{"SetAside", 2, around, nil},
	{"Keep a letter", 2, beside, nil},
	{"Put a letter", 2, around, nil},
	{"Acknowledge a letter", 2, midway, nil},
	{"Replay", 1, around, (*fileTrial).replayLetters},
	{"Settle a letter", 1, around, (*fileTrial).replayLetters},
	{"Pause", 1, around, (*fileTrial).pauseReceivers},
	{"Change a pause", 1, around, (*fileTrial).pauseWebhooks},
	{"ClaimHeld", 1, around, (*fileTrial).pauseWebhooks},
}

// places returns every place.
func places() (all []place) {
	for _, m := range methods {
		for _, when := range m.whens {
			all = append(all, place{m.method, when, m.most, m.help})
		}
	}
	return all
}

// life is one of the victim's, from its start to its kill.
type life struct {
	place    place
	from, to time.Time
}

const (
	leastRounds  = 2                // of kills at every place
	placeTimeout = 15 * time.Second // for the victim to come to the place
	poisonEvery  = 4                // lives
)

// killAtPlaces lets the victim kill itself at each place, in rounds, in random order. The
// next life starts at once.
func (t *fileTrial) killAtPlaces(ctx context.Context, d time.Duration) error {
	p := t.takesOrders()
	t.begin("kills itself", p.Name) // so any request may fail
	if err := t.end(p, syscall.SIGKILL); err != nil {
		return err
	}
	random, flags := rand.New(rand.NewPCG(t.Seed, 2)), p.Args
	end := time.Now().Add(d)
	for round := 0; round < leastRounds || time.Now().Before(end); round++ {
		all := places()
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, place := range all {
			if round >= leastRounds && time.Now().After(end) {
				break
			}
			p.Args = append(slices.Clone(flags), fmt.Sprintf("--kill=%s:%s:%d", place.method, place.when, 1+random.IntN(place.most)))
			if len(t.lives)%poisonEvery == 0 {
				p.Args = append(p.Args, "--poison="+t.nextPoison())
			}
			if err := t.killAt(ctx, p, place); err != nil {
				return err
			}
		}
	}
	p.Args = flags
	return inTurn(ctx, t.revive, func(ctx context.Context) error { return t.awaitAll(ctx, fileAnswerTimeout) },
		func(ctx context.Context) error { t.resumeWebhooks(ctx); return nil })
}

// end ends the process for good.
func (t *fileTrial) end(p *process, signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end(signal)
}

// killAt starts the victim, and waits until it has killed itself.
func (t *fileTrial) killAt(ctx context.Context, p *process, place place) error {
	p.mu.Lock()
	err := p.start()
	p.ended = true // by itself
	born := p.life
	p.mu.Unlock()
	if err != nil {
		return err
	}
	l := life{place: place, from: born.Began}
	helping, stop := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { t.resumeWebhooks(helping) })
	if place.help != nil {
		helpers.Go(func() { place.help(t, helping) })
	}
	select {
	case <-born.Done:
	case <-time.After(placeTimeout):
		t.note("%s: %v was not reached", p.Name, place)
	case <-ctx.Done():
	}
	stop()
	helpers.Wait()
	select {
	case <-born.Done:
		t.begin("killed", killed(p.Name))()
		if status, ok := born.State().Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.breaks(livesUntilKilled, "%s, life %d, %v: %v", p.Name, p.lives, place, born.State())
		} else {
			t.made[place.String()]++
		}
	default:
		t.begin("killed", killed(p.Name))()
		born.Kill()
	}
	l.to = time.Now()
	t.lives = append(t.lives, l)
	return context.Cause(ctx)
}

// nextPoison returns the body of a message that no consumer can read.
func (t *fileTrial) nextPoison() string {
	t.poisonings++
	return fmt.Sprintf("poison %d %d", t.Seed, t.poisonings)
}

// replayLetters replays dead letters.
func (t *fileTrial) replayLetters(ctx context.Context) {
	for harness.Sleep(ctx, 50*time.Millisecond) {
		_ = t.operate(ctx, "/dead-letters/replay", map[string]any{"all": true, "limit": 5}) // it may not be ready, or die
	}
}

// pauseReceivers pauses one receiver of webhooks after the other. None exists.
func (t *fileTrial) pauseReceivers(ctx context.Context) {
	for harness.Sleep(ctx, 50*time.Millisecond) {
		t.pausedReceivers++
		_ = t.operate(ctx, "/channels/"+harness.Webhook+"/pause", map[string]any{"receiver": fmt.Sprintf("receiver-%d.example.com", t.pausedReceivers)})
	}
}

// pauseWebhooks pauses the channel again and again.
func (t *fileTrial) pauseWebhooks(ctx context.Context) {
	for harness.Sleep(ctx, 50*time.Millisecond) {
		if t.operate(ctx, "/channels/"+harness.Webhook+"/pause", map[string]any{}) == nil {
			harness.Sleep(ctx, 500*time.Millisecond)
		}
		_ = t.operate(ctx, "/channels/"+harness.Webhook+"/resume", map[string]any{})
		harness.Sleep(ctx, time.Second)
	}
}

// resumeWebhooks ends the pause that an earlier life may have left.
func (t *fileTrial) resumeWebhooks(ctx context.Context) {
	for harness.Sleep(ctx, 20*time.Millisecond) && !harness.Ready(ctx, t.notifies().Addr) {
	}
	_ = t.operate(ctx, "/channels/"+harness.Webhook+"/resume", map[string]any{}) // it fails without a pause
}

// operate asks the victim as an operator.
func (t *fileTrial) operate(ctx context.Context, path string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return harness.SendJSON(ctx, http.MethodPost, "http://"+t.notifies().Admin+path, body)
}
