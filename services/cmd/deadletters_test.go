package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
)

// putByHand puts messages with these bodies into the queue, as a stranger
// might.
func putByHand(t *testing.T, broker string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		publish(t, broker, "order_created", amqp.Publishing{Body: []byte(body)})
	}
}

func publish(t *testing.T, broker, queue string, message amqp.Publishing) {
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
	var kept *amqp.DeferredConfirmation
	if err == nil {
		kept, err = channel.PublishWithDeferredConfirm("", queue, true, false, message)
	}
	if err == nil && !kept.Wait() {
		err = fmt.Errorf("%q was not kept", message.Body)
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
	if _, stderr := deadLetters(1, "discard", "--all"); !strings.Contains(stderr, "discard 3 dead letters?") || !strings.Contains(stderr, "nothing was done") {
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

// An operator who knows only the order finds its letters, with all that their
// sender said, and the next one sees who has decided.
func TestDeadLettersOfAnOrder(t *testing.T) {
	settings := servers(t)
	address, admin := freeAddress(t), freeAddress(t)
	p := start(t, "notification", append(settings, "--addr="+address, "--admin-addr="+admin)...)
	awaitReady(t, address)
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	event, err := wire.Encode(order.Created())
	if err != nil {
		t.Fatal(err)
	}
	message := amqp.Publishing{
		MessageId: event.ID, ContentType: event.ContentType, ContentEncoding: "identity", CorrelationId: "c\u009b", ReplyTo: "r", Type: "t", AppId: "a",
		Timestamp: order.CreatedAt, Headers: amqp.Table{}, Body: event.Body,
	}
	for name, value := range event.Headers {
		message.Headers[name] = value
	}
	broker := strings.TrimPrefix(settings[1], "--broker=")
	publish(t, broker, "order_created.dead-letter", message)

	command := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := run(t, nil, "notification", append(append([]string{"dead-letters"}, args...), settings[:2]...)...)
		if status != want {
			t.Fatalf("dead-letters %v: exit status %d, want %d: %s", args, status, want, stderr)
		}
		return stdout, stderr
	}
	id, upper := string(order.ID), strings.ToUpper(string(order.ID))
	eventually(t, func() error {
		if stdout, _ := command(0, "list", "--order="+upper); !strings.Contains(stdout, event.ID) {
			return fmt.Errorf("the order's letter is not listed:\n%s", stdout)
		}
		return nil
	})
	if stdout, _ := command(0, "list", "--order="+id[:35]+"0"); strings.Contains(stdout, event.ID) {
		t.Errorf("listed as another order's:\n%s", stdout)
	}
	for _, name := range []string{id, upper, event.ID, upper + "-created"} {
		stdout, _ := command(0, "show", name, "--json")
		want := fmt.Sprintf(`"message_id":%q,"content_type":"application/json","content_encoding":"identity","correlation_id":"c\u009b","reply_to":"r","type":"t","app_id":"a","timestamp":"%s"`,
			event.ID, order.CreatedAt.Truncate(time.Second).Format("2006-01-02T15:04:05.000Z"))
		if !strings.Contains(stdout, want) {
			t.Errorf("show %s: got %s, want %s", name, stdout, want)
		}
	}
	if stdout, _ := command(0, "show", id); !strings.Contains(stdout, `reply to      "r"`) {
		t.Errorf("shown as:\n%s", stdout)
	}

	// What selects nothing, or too much, is refused.
	if _, stderr := command(1, "show", id[:35]+"0"); !strings.Contains(stderr, "dead letters of order "+id[:35]+"0: not found") {
		t.Errorf("letters of an order that has none: %s", stderr)
	}
	var unknown []string
	for n := range 40 {
		unknown = append(unknown, fmt.Sprint("letter", n))
	}
	if _, stderr := command(1, append([]string{"show"}, unknown...)...); !strings.Contains(stderr, "letter15: not found") || strings.Contains(stderr, "letter16") || !strings.Contains(stderr, "and 24 more") {
		t.Errorf("40 letters that are not there: %s", stderr)
	}
	for _, args := range [][]string{
		{"list", "--order="}, {"list", "--order=x"}, {"list", "--reason="}, {"discard", "--yes", "--all", "--reason="},
		{"replay", "--all", "--order=" + id}, {"replay", id, "--order=" + id}, {"replay"},
	} {
		command(2, args...)
	}

	// Who decides is noted, and waits again as nobody's.
	command(0, "discard", "--yes", "--order="+upper)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if stdout, _ := command(0, "show", id, "--json"); !strings.Contains(stdout, `"state":"discarded"`) || !strings.Contains(stdout, "@"+host+`"`) {
		t.Errorf("discarded by %s", stdout)
	}
	if stdout, _ := command(0, "show", id); !strings.Contains(stdout, "@"+host+"\n") {
		t.Errorf("shown as:\n%s", stdout)
	}
	command(0, "restore", "--order="+id)
	if stdout, _ := command(0, "show", id, "--json"); strings.Contains(stdout, "settled_by") {
		t.Errorf("restored: %s", stdout)
	}
	if status, err := fetch("POST", "http://"+admin+"/dead-letters/replay", `{"order_id":"`+id+`","by":"ann"}`, nil); err != nil || status != 200 {
		t.Errorf("replay over HTTP: %d, %v", status, err)
	}
	if stdout, _ := command(0, "list", "--state=replayed", "--order="+id, "--json"); !strings.Contains(stdout, `"settled_by":"ann"`) {
		t.Errorf("replayed: %s", stdout)
	}
	eventually(t, func() error {
		if out := p.out.String(); !strings.Contains(out, `"Received order","event_id":"`+event.ID+`"`) {
			return fmt.Errorf("the replayed event is not notified:\n%s", out)
		}
		return nil
	})
}
