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

func publish(t *testing.T, broker, queue string, message amqp.Publishing) {
	t.Helper()
	connection, err := amqp.Dial(broker)
	if err != nil {
		t.Fatal("can't connect to the broker")
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
		err = fmt.Errorf("the broker did not confirm %q", message.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// notifier is a running notification service.
type notifier struct {
	*process
	address, admin, broker string

	// command runs notification dead-letters, and fails the test unless it exits
	// with the wanted status.
	command func(want int, args ...string) (stdout, stderr string)
}

func startNotifier(t *testing.T) notifier {
	t.Helper()
	settings := servers(t)
	n := notifier{address: freeAddress(t), admin: freeAddress(t), broker: strings.TrimPrefix(settings[1], "--broker=")}
	n.process = start(t, "notification", append(settings, "--addr="+n.address, "--admin-addr="+n.admin)...)
	awaitReady(t, n.address)
	n.command = func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := run(t, nil, "notification", append(append([]string{"dead-letters"}, args...), settings[:2]...)...)
		if status != want {
			t.Fatalf("dead-letters %v: exit status %d, want %d: %s", args, status, want, stderr)
		}
		return stdout, stderr
	}
	return n
}

// The commands and the HTTP interface of a running service find and settle
// messages that are not events.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	n := startNotifier(t)
	deadLetters := n.command
	for _, body := range []string{"poison 1", "poison 2", "\x1b[2J\xff"} {
		publish(t, n.broker, "order_created", amqp.Publishing{Body: []byte(body)})
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
					return fmt.Errorf("%+v, want it set aside %d times", l, aside)
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
			t.Errorf("show prints a control character: %q", stdout)
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
		t.Errorf("list printed, want a header and 3 lines:\n%s", stdout)
	}
	if n := len(list("--reason=no such text")); n != 0 {
		t.Errorf("%d letters listed for a reason that no letter has", n)
	}
	if n := len(list("--limit=2")); n != 2 {
		t.Errorf("%d letters listed, want 2", n)
	}

	// discard asks for confirmation, and restore undoes it.
	if _, stderr := deadLetters(1, "discard", "--all"); !strings.Contains(stderr, "discard 3 dead letters?") || !strings.Contains(stderr, "nothing was done") {
		t.Errorf("discard without an answer: %s", stderr)
	}
	deadLetters(0, "discard", "--all", "--dry-run")
	waiting(3, 1)
	deadLetters(0, "discard", all[0].ID, "--yes")
	waiting(2, 1)
	if _, stderr := deadLetters(1, "replay", all[0].ID, all[1].ID+"x"); !strings.Contains(stderr, "2 dead letters could not be replayed") {
		t.Errorf("replay of a discarded and an unknown letter: %s", stderr)
	}
	deadLetters(0, "restore", "--reason=decode")
	waiting(3, 1)

	// A replayed message that fails again adds a failure to its letter.
	if stdout, stderr := deadLetters(0, "replay", "--all", "--json"); strings.Count(stdout, `"ok":true`) != 3 || !strings.Contains(stderr, "3 dead letters replayed") {
		t.Errorf("replay --all: %s%s", stdout, stderr)
	}
	waiting(3, 2)

	// The HTTP interface is at the operators' address only.
	var page struct{ Data []letter }
	if status, err := fetch("GET", "http://"+n.admin+"/dead-letters", "", &page); err != nil || status != 200 || len(page.Data) != 3 {
		t.Errorf("list over HTTP: %d, %v, %+v", status, err, page)
	}
	if status, err := fetch("GET", "http://"+n.address+"/dead-letters", "", nil); err != nil || status != 404 {
		t.Errorf("list at the public address: %d, %v; want 404", status, err)
	}
	if status, err := fetch("POST", "http://"+n.admin+"/dead-letters/discard", `{"all":true}`, nil); err != nil || status != 200 {
		t.Errorf("discard over HTTP: %d, %v", status, err)
	}
	waiting(0, 0)
	if n := len(list("--state=discarded")); n != 3 {
		t.Errorf("%d letters are discarded, want 3", n)
	}
}

// An order's id selects its dead letters. They have every property of their messages,
// and the author of the decision.
func TestDeadLettersOfAnOrder(t *testing.T) {
	t.Parallel()
	n := startNotifier(t)
	command := n.command
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
	publish(t, n.broker, "order_created.dead-letter", message)

	id, upper := string(order.ID), strings.ToUpper(string(order.ID))
	eventually(t, func() error {
		if stdout, _ := command(0, "list", "--order="+upper); !strings.Contains(stdout, event.ID) {
			return fmt.Errorf("list --order does not list the order's letter:\n%s", stdout)
		}
		return nil
	})
	if stdout, _ := command(0, "list", "--order="+id[:35]+"0"); strings.Contains(stdout, event.ID) {
		t.Errorf("list of another order:\n%s", stdout)
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
		t.Errorf("show:\n%s", stdout)
	}

	// Ids that select nothing and filters that would select too much are refused.
	if _, stderr := command(1, "show", id[:35]+"0"); !strings.Contains(stderr, "dead letters of order "+id[:35]+"0: not found") {
		t.Errorf("show of an order without letters: %s", stderr)
	}
	var unknown []string
	for n := range 40 {
		unknown = append(unknown, fmt.Sprint("letter", n))
	}
	if _, stderr := command(1, append([]string{"show"}, unknown...)...); !strings.Contains(stderr, "letter15: not found") || strings.Contains(stderr, "letter16") || !strings.Contains(stderr, "and 24 more") {
		t.Errorf("show of 40 unknown letters: %s", stderr)
	}
	for _, args := range [][]string{
		{"list", "--order="}, {"list", "--order=x"}, {"list", "--reason="}, {"discard", "--yes", "--all", "--reason="},
		{"replay", "--all", "--order=" + id}, {"replay", id, "--order=" + id}, {"replay"},
	} {
		command(2, args...)
	}

	// The letter shows the author of the decision, until it waits again.
	command(0, "discard", "--yes", "--order="+upper)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if stdout, _ := command(0, "show", id, "--json"); !strings.Contains(stdout, `"state":"discarded"`) || !strings.Contains(stdout, "@"+host+`"`) {
		t.Errorf("show of the discarded letter: %s", stdout)
	}
	if stdout, _ := command(0, "show", id); !strings.Contains(stdout, "@"+host+"\n") {
		t.Errorf("show:\n%s", stdout)
	}
	command(0, "restore", "--order="+id)
	if stdout, _ := command(0, "show", id, "--json"); strings.Contains(stdout, "settled_by") {
		t.Errorf("show of the restored letter: %s", stdout)
	}
	if status, err := fetch("POST", "http://"+n.admin+"/dead-letters/replay", `{"order_id":"`+id+`","by":"ann"}`, nil); err != nil || status != 200 {
		t.Errorf("replay over HTTP: %d, %v", status, err)
	}
	if stdout, _ := command(0, "list", "--state=replayed", "--order="+id, "--json"); !strings.Contains(stdout, `"settled_by":"ann"`) {
		t.Errorf("list of the replayed letter: %s", stdout)
	}
	eventually(t, func() error {
		if out := n.out.String(); !strings.Contains(out, `"Received order","event_id":"`+event.ID+`"`) {
			return fmt.Errorf("no notification of the replayed event:\n%s", out)
		}
		return nil
	})
}
