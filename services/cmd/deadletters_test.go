package cmd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// putByHand puts messages with these bodies into the queue, as a stranger
// might.
func putByHand(t *testing.T, broker string, bodies ...string) {
	t.Helper()
	connection, err := amqp.Dial(broker)
	if err != nil {
		t.Fatal("the broker is out of reach")
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	for _, body := range bodies {
		var kept *amqp.DeferredConfirmation
		if err == nil {
			kept, err = channel.PublishWithDeferredConfirm("", "order_created", true, false, amqp.Publishing{Body: []byte(body)})
		}
		if err == nil && !kept.Wait() {
			err = fmt.Errorf("%q was not kept", body)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An operator looks after dead letters on the command line while the service
// runs, and finds what was set aside while nobody looked.
func TestDeadLetters(t *testing.T) {
	settings := servers(t)
	address, admin := freeAddress(t), freeAddress(t)
	p := start(t, "notification", append(settings, "--addr="+address, "--admin-addr="+admin)...)
	awaitReady(t, address)
	putByHand(t, strings.TrimPrefix(settings[1], "--broker="), "poison 1", "poison 2", "\x1b[2J\xff")

	deadLetters := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := run(t, nil, "notification", append(append([]string{"dead-letters"}, args...), settings[:2]...)...)
		if status != want {
			t.Fatalf("dead-letters %v: exit status %d, want %d: %s", args, status, want, stderr)
		}
		return stdout, stderr
	}
	type letter struct {
		ID         string
		State      string
		Reason     string
		TimesAside int `json:"times_set_aside"`
	}
	list := func(args ...string) (letters []letter) {
		t.Helper()
		stdout, _ := deadLetters(0, append([]string{"list", "--json"}, args...)...)
		for line := range strings.Lines(stdout) {
			var l letter
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("no JSON line: %q", line)
			}
			letters = append(letters, l)
		}
		return letters
	}
	waiting := func(count, aside int) {
		t.Helper()
		eventually(t, func() error {
			letters := list()
			for _, l := range letters {
				if l.TimesAside != aside {
					return fmt.Errorf("%+v, want it to have been set aside %d times", l, aside)
				}
			}
			if len(letters) != count {
				return fmt.Errorf("%d dead letters wait, want %d", len(letters), count)
			}
			return nil
		})
	}
	waiting(3, 1)
	all := list()

	bodies := map[string]bool{}
	for _, l := range all {
		if !strings.Contains(l.Reason, "decode event") || l.State != "waiting" {
			t.Errorf("%+v", l)
		}
		stdout, _ := deadLetters(0, "show", l.ID)
		if strings.Contains(stdout, "\x1b") {
			t.Errorf("a control character is shown: %q", stdout)
		}
		stdout, _ = deadLetters(0, "show", "--json", l.ID)
		var shown struct {
			Body   string
			Base64 []byte `json:"body_base64"`
		}
		if err := json.Unmarshal([]byte(stdout), &shown); err != nil {
			t.Fatal(err)
		}
		bodies[shown.Body+string(shown.Base64)] = true
	}
	if diff := cmp.Diff(map[string]bool{"poison 1": true, "poison 2": true, "\x1b[2J\xff": true}, bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
	if stdout, _ := deadLetters(0, "list"); strings.Count(stdout, "\n") != 4 {
		t.Errorf("a table of three letters:\n%s", stdout)
	}
	if n := len(list("--reason=no such text")); n != 0 {
		t.Errorf("%d letters for a reason that none has", n)
	}
	if n := len(list("--limit=2")); n != 2 {
		t.Errorf("%d letters listed, want 2", n)
	}

	// Discarding asks first, and can be undone.
	if _, stderr := deadLetters(1, "discard", "--all"); !strings.Contains(stderr, "discard 3 dead letters?") || !strings.Contains(stderr, "nothing is done") {
		t.Errorf("without an answer: %s", stderr)
	}
	deadLetters(0, "discard", "--all", "--dry-run")
	waiting(3, 1)
	deadLetters(0, "discard", all[0].ID, "--yes")
	waiting(2, 1)
	if _, stderr := deadLetters(1, "replay", all[0].ID, all[1].ID+"x"); !strings.Contains(stderr, "2 dead letters could not be replayed") {
		t.Errorf("replay of what does not wait: %s", stderr)
	}
	deadLetters(0, "restore", "--reason=decode")
	waiting(3, 1)

	// What is replayed and fails again comes back with its history.
	if stdout, stderr := deadLetters(0, "replay", "--all", "--json"); strings.Count(stdout, `"ok":true`) != 3 || !strings.Contains(stderr, "3 dead letters replayed") {
		t.Errorf("replay of all: %s%s", stdout, stderr)
	}
	waiting(3, 2)

	// The same over HTTP, at an address of its own.
	var page struct{ Data []letter }
	if status, err := fetch("GET", "http://"+admin+"/dead-letters", "", &page); err != nil || status != 200 || len(page.Data) != 3 {
		t.Errorf("over HTTP: %d, %v, %+v", status, err, page)
	}
	if status, err := fetch("GET", "http://"+address+"/dead-letters", "", nil); err != nil || status != 404 {
		t.Errorf("at the public address: %d, %v", status, err)
	}
	if status, err := fetch("POST", "http://"+admin+"/dead-letters/discard", `{"all":true}`, nil); err != nil || status != 200 {
		t.Errorf("discard over HTTP: %d, %v", status, err)
	}
	waiting(0, 0)
	if n := len(list("--state=discarded")); n != 3 {
		t.Errorf("%d letters are discarded, want 3", n)
	}
	_ = p
}
