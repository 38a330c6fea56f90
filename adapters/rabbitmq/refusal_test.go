package rabbitmq_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// usual is the topology of a virtual host that is deleted after its test.
var usual = rabbitmq.Topology{Delays: []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}}

// checkWorks checks that an event is published, handled, set aside, drained,
// replayed and handled again.
func checkWorks(t *testing.T, publishing, consuming, replaying string) {
	t.Helper()
	publisher := newPublisher(t, publishing, usual)
	event := newEvent(t)
	publish(t, publisher, event)
	got := make(chan domain.Event, 10)
	replayed := false
	stop := consume(t, newConsumer(t, consuming, usual), func(ctx context.Context, d ports.Delivery) error {
		if d.Attempt == 1 && !replayed {
			replayed = true
			return errors.New("not yet")
		}
		if err := handInto(got)(ctx, d); err != nil || d.Attempt == 1 {
			return err
		}
		return ports.Permanent(errors.New("no such address"))
	})
	await(t, got, event)
	var box letterbox
	queue := newDeadLetterQueue(t, consuming, usual)
	stopDrain := drain(t, queue, box.keep)
	letter := box.await(t, 1)[0]
	if err := newDeadLetterQueue(t, replaying, usual).Replay(bounded(t, patience), letter); err != nil {
		t.Fatal(err)
	}
	await(t, got, event)
	stopDrain()
	stop()
}

func TestRefusedRights(t *testing.T) {
	t.Parallel()
	const all = ".*"
	for name, tt := range map[string]struct {
		complete               bool // the topology is declared before
		configure, write, read string

		publisher, consumer, drain, replay string // part of the refusal; empty: no refusal
	}{
		"nothing on an empty vhost": {false, "", "", "",
			"access to exchange", "access to", "access to", "access to"},
		"no configure on an empty vhost": {false, "", all, all,
			`declare exchange "order_created.dead-letter", which does not exist`, `declare exchange "order_created.dead-letter", which does not exist`,
			`declare exchange "order_created.dead-letter", which does not exist`, `declare exchange "order_created.dead-letter", which does not exist`},
		"no write on an empty vhost": {false, all, "", all,
			"access to exchange 'amq.default'", "access to exchange 'amq.default'", "access to exchange 'amq.default'", "access to exchange 'amq.default'"},
		"no read on an empty vhost": {false, all, all, "",
			"access to queue 'order_created.dead-letter'", "access to queue 'order_created.dead-letter'",
			"access to queue 'order_created.dead-letter'", "access to queue 'order_created.dead-letter'"},
		"all but the default exchange, on an empty vhost": {false, "^(orders|order_created.*)$", "^(orders|order_created.*)$", "^(orders|order_created.*)$",
			"access to exchange 'amq.default'", "access to exchange 'amq.default'", "access to exchange 'amq.default'", "access to exchange 'amq.default'"},
		"no configure": {true, "", all, all, "", "", "", ""},
		"no write": {true, all, "", all,
			"access to exchange 'orders'", "access to exchange 'order_created.dead-letter'", "access to exchange 'amq.default'", "access to exchange 'amq.default'"},
		"no read": {true, all, all, "",
			"", "access to queue 'order_created'", "access to queue 'order_created.dead-letter'", ""},
		"all but the default exchange": {true, "^(orders|order_created.*)$", "^(orders|order_created.*)$", "^(orders|order_created.*)$",
			"", "access to exchange 'amq.default'", "access to exchange 'amq.default'", "access to exchange 'amq.default'"},
		"only what the order service needs": {true, "", "^orders$", "",
			"", "access to", "access to exchange 'amq.default'", "access to exchange 'amq.default'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVhost(t)
			if tt.complete {
				declareTopology(t, v.url, usual)
			}
			v.permit(tt.configure, tt.write, tt.read)
			check := func(t *testing.T, err error, want string) {
				t.Helper()
				if want == "" && (err == nil || errors.Is(err, context.DeadlineExceeded)) {
					return
				}
				if !errors.Is(err, ports.ErrRefused) || !errors.Is(err, ports.ErrUnavailable) {
					t.Fatalf("error %v, want ErrRefused and ErrUnavailable", err)
				}
				if want == "" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "refused for user '"+v.user+"'") {
					t.Errorf("error %v, want the broker's text, with %q", err, want)
				}
				if strings.Contains(err.Error(), "ssword") || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q has the password, or several lines", err)
				}
				v.allow(t, err)
				defer v.permit(tt.configure, tt.write, tt.read)
				if err := newPublisher(t, v.url, usual).Ping(bounded(t, patience)); err != nil {
					t.Errorf("after the error's command: %v", err)
				}
			}
			t.Run("Ping", func(t *testing.T) { check(t, newPublisher(t, v.url, usual).Ping(bounded(t, patience)), tt.publisher) })
			if !tt.complete {
				return // the first of the four calls may have declared everything
			}
			t.Run("Publish", func(t *testing.T) {
				check(t, tryPublish(t, newPublisher(t, v.url, usual), newEvent(t)), tt.publisher)
			})
			t.Run("Consume", func(t *testing.T) {
				ends := time.Second
				if tt.consumer != "" {
					ends = patience
				}
				check(t, newConsumer(t, v.url, usual).Consume(bounded(t, ends), handleNothing), tt.consumer)
			})
			t.Run("Drain", func(t *testing.T) {
				ends := time.Second
				if tt.drain != "" {
					ends = patience
				}
				check(t, newDeadLetterQueue(t, v.url, usual).Drain(bounded(t, ends), keepNothing), tt.drain)
			})
			t.Run("Replay", func(t *testing.T) {
				check(t, newDeadLetterQueue(t, v.url, usual).Replay(bounded(t, patience), ports.DeadLetter{ID: "l"}), tt.replay)
			})
		})
	}
}

var wayOut = regexp.MustCompile(`"rabbitmqctl set_permissions -p '([^']*)' '([^']*)' '([^']*)' '([^']*)' '([^']*)'"`)

// allow runs the command in the error, as an operator would.
func (v *vhost) allow(t testing.TB, err error) {
	t.Helper()
	command := wayOut.FindStringSubmatch(err.Error())
	if command == nil || command[1] != v.name || command[2] != v.user {
		t.Fatalf("error %q names no command that allows it", err)
	}
	v.permit(command[3], command[4], command[5])
}

// The permissions in the package comment are enough for each part.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	t.Run("to declare and use everything", func(t *testing.T) {
		t.Parallel()
		v := newVhost(t)
		v.permit(`^(orders|order_created(\..*)?)$`, `^(orders|order_created(\..*)?|amq\.default)$`, `^(orders|order_created(\..*)?)$`)
		checkWorks(t, v.url, v.url, v.url)
	})
	t.Run("a user for each part, on a complete topology", func(t *testing.T) {
		t.Parallel()
		v := newVhost(t)
		declareTopology(t, v.url, usual)
		user := func(name, write, read string) string {
			other := *v
			other.user = v.name + "." + name
			v.put("users/"+other.user, map[string]any{"password": "pässword", "tags": ""})
			t.Cleanup(func() { v.delete("users/" + other.user) })
			other.permit("", write, read)
			return strings.Replace(v.url, v.user, other.user, 1)
		}
		checkWorks(t,
			user("orders", `^orders$`, ""),
			user("notifier", `^(order_created\.dead-letter|amq\.default)$`, `^order_created(\.dead-letter)?$`),
			user("commands", `^amq\.default$`, ""))
	})
}

// The error's command works for any user name.
func TestRefusedUserWithAQuote(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	other := *v
	other.user = v.name + ".o'brien"
	v.put("users/"+other.user, map[string]any{"password": "pässword", "tags": ""})
	t.Cleanup(func() { v.delete("users/" + other.user) })
	other.permit("", "", "")
	err := newPublisher(t, strings.Replace(v.url, v.user, other.user, 1), usual).Ping(bounded(t, patience))
	if want := "'" + v.name + `.o'\''brien'`; !errors.Is(err, ports.ErrRefused) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want ErrRefused and %s", err, want)
	}
}

// While a refusal lasts that may pass by itself, the parts wait and log the broker's
// text.
func TestRefusalsThatPass(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set, unset func(v *vhost)
		want       string
	}{
		"too many queues": {
			func(v *vhost) { v.put("vhost-limits/"+v.name+"/max-queues", map[string]int{"value": 3}) },
			func(v *vhost) { v.delete("vhost-limits/" + v.name + "/max-queues") },
			"queue limit in vhost 'VHOST' (3) is reached"},
		"too many connections to the vhost": {
			func(v *vhost) { v.put("vhost-limits/"+v.name+"/max-connections", map[string]int{"value": 0}) },
			func(v *vhost) { v.delete("vhost-limits/" + v.name + "/max-connections") },
			"access to vhost 'VHOST' refused for user 'USER': connection limit (0) is reached"},
		"too many connections of the user": {
			func(v *vhost) { v.put("user-limits/"+v.user+"/max-connections", map[string]int{"value": 0}) },
			func(v *vhost) { v.delete("user-limits/" + v.user + "/max-connections") },
			"user connection limit (0) is reached"},
		"too many channels of the user": {
			func(v *vhost) { v.put("user-limits/"+v.user+"/max-channels", map[string]int{"value": 0}) },
			func(v *vhost) { v.delete("user-limits/" + v.user + "/max-channels") },
			"has reached the maximum allowed user limit of"},
		"no vhost yet": {
			func(v *vhost) { v.delete("vhosts/" + v.name) },
			func(v *vhost) { v.add(); v.permit(".*", ".*", ".*") },
			"vhost VHOST not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVhost(t)
			tt.set(v)
			publisher := newPublisher(t, v.url, usual)
			err := publisher.Ping(bounded(t, patience))
			var mismatch *rabbitmq.TopologyError
			if !errors.Is(err, ports.ErrUnavailable) || errors.Is(err, ports.ErrRefused) || errors.As(err, &mismatch) {
				t.Errorf("error %v, want ErrUnavailable alone", err)
			}
			want := strings.NewReplacer("VHOST", v.name, "USER", v.user).Replace(tt.want)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "delete_queue") {
				t.Errorf("error %v, want the broker's text %q and no advice", err, want)
			}
			got := make(chan domain.Event, 1)
			consume(t, newConsumer(t, v.url, usual), handInto(got)) // which fails t if it returns before the test ends
			drain(t, newDeadLetterQueue(t, v.url, usual), keepNothing)
			time.Sleep(time.Second) // for several attempts
			tt.unset(v)
			event := newEvent(t)
			eventually(t, "the event is published", func() bool { return tryPublish(t, publisher, event) == nil })
			await(t, got, event)
		})
	}
}

func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(v *vhost) (url string)
		want   string
	}{
		"a wrong password": {
			func(v *vhost) string { return strings.Replace(v.url, "p%C3%A4ssword", "wrong-secret", 1) },
			"username or password not allowed\": check user, password and auth_mechanism in the broker's URL"},
		"no permissions on the vhost": {
			func(v *vhost) string { v.delete("permissions/" + v.name + "/" + v.user); return v.url },
			"NOT_ALLOWED - access to vhost 'VHOST' refused for user 'USER'\": allow it, for example with \"rabbitmqctl set_permissions -p 'VHOST' 'USER' "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVhost(t)
			url := tt.change(v)
			want := strings.NewReplacer("VHOST", v.name, "USER", v.user).Replace(tt.want)
			for _, err := range []error{
				newPublisher(t, url, usual).Ping(bounded(t, patience)),
				tryPublish(t, newPublisher(t, url, usual), newEvent(t)),
				newConsumer(t, url, usual).Consume(bounded(t, patience), handleNothing),
				newDeadLetterQueue(t, url, usual).Drain(bounded(t, patience), keepNothing),
			} {
				if !errors.Is(err, ports.ErrRefused) || !errors.Is(err, ports.ErrUnavailable) {
					t.Errorf("error %v, want ErrRefused and ErrUnavailable", err)
				}
				if err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
					t.Errorf("error %q, want %q and no password", err, want)
				}
			}
		})
	}
}

// A refusal does not end a consumer that has worked before.
func TestRightsRevokedFromRunningConsumer(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	through := newProxy(t, nil)
	url := strings.Replace(v.url, brokerAddress(t), through.address, 1)
	got := make(chan domain.Event, 10)
	consumer := newConsumer(t, url, usual)
	consume(t, consumer, handInto(got)) // which fails t if it returns before the test ends
	publisher := newPublisher(t, v.url, usual)
	event := newEvent(t)
	publish(t, publisher, event)
	await(t, got, event)

	v.delete("permissions/" + v.name + "/" + v.user)
	through.cut()
	eventually(t, "the refusal is noticed", func() bool {
		return errors.Is(consumer.Ping(bounded(t, patience)), ports.ErrRefused)
	})
	time.Sleep(time.Second) // for several attempts
	v.permit(".*", ".*", ".*")
	publish(t, publisher, event)
	await(t, got, event)
}
