package rabbitmq_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

// faults returns the findings that have a fault.
func faults(found []ports.Finding) []ports.Finding {
	return slices.DeleteFunc(slices.Clone(found), func(f ports.Finding) bool { return f.Fault == "" })
}

// checkFaults fails the test unless the faults are those of the wanted things, each with a
// way out that contains the text.
func checkFaults(t *testing.T, found []ports.Finding, want map[string]string) {
	t.Helper()
	got := make(map[string]bool)
	for _, f := range faults(found) {
		name := strings.TrimSpace(f.What + " " + f.Value)
		got[name] = true
		if text, ok := want[name]; !ok || !strings.Contains(f.Fault+"; "+f.WayOut, text) || f.WayOut == "" {
			t.Errorf("found %+v, want %q", f, text)
		}
	}
	for name, text := range want {
		if !got[name] {
			t.Errorf("%s: no fault, want %q", name, text)
		}
	}
}

// objects returns the names of the virtual host's queues and its own exchanges.
func (v *vhost) objects() (names []string) {
	v.t.Helper()
	for _, kind := range []string{"queues", "exchanges"} {
		var all []struct{ Name string }
		if err := json.Unmarshal(v.call("GET", kind+"/"+v.name+"?disable_stats=true&enable_queue_totals=true", nil), &all); err != nil {
			v.t.Fatal(err)
		}
		for _, o := range all {
			if o.Name != "" && !strings.HasPrefix(o.Name, "amq.") {
				names = append(names, o.Name)
			}
		}
	}
	return names
}

// A check finds every fault at once, and leaves the virtual host as it was.
func TestCheck(t *testing.T) {
	v := newVhost(t)
	all := rabbitmq.CheckOptions{Publishes: true, Subscriptions: []string{"", "email"}}
	check := func() []ports.Finding { return rabbitmq.Check(bounded(t, patience), v.url, all) }

	if found := check(); len(faults(found)) > 0 || len(found) < 5 {
		t.Errorf("a new virtual host: %+v", found)
	}
	if left := v.objects(); len(left) > 0 {
		t.Errorf("the check has left %v", left)
	}

	conn, err := amqp.Dial(v.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("order_created", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDeclare("orders", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	before := v.objects()
	checkFaults(t, check(), map[string]string{
		"queue order_created": "rabbitmqctl delete_queue --vhost '" + v.name + "'",
		"exchange orders":     "another vhost",
	})

	// A user without any right on what exists and what does not.
	v.permit("^$", "^$", "^nothing$")
	found := check()
	var refused []string
	for _, f := range faults(found) {
		refused = append(refused, f.Fault)
		if !strings.Contains(f.WayOut, "set_permissions") {
			t.Errorf("no way out: %+v", f)
		}
	}
	if len(refused) < 3 {
		t.Errorf("found %+v", found)
	}
	if after := v.objects(); !slices.Equal(before, after) {
		t.Errorf("the check has changed %v to %v", before, after)
	}
}

// The rights that the README gives to each service are enough, once another user has
// declared everything.
func TestCheckRights(t *testing.T) {
	v := newVhost(t)
	broker, err := rabbitmq.Open(v.url, rabbitmq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Publisher().Ping(bounded(t, patience)); err != nil { // declares
		t.Fatal(err)
	}
	if err := broker.Close(bounded(t, patience)); err != nil {
		t.Fatal(err)
	}
	publishing, consuming := rabbitmq.CheckOptions{Publishes: true}, rabbitmq.CheckOptions{Subscriptions: []string{""}}
	for _, tt := range []struct {
		name                   string
		configure, write, read string
		options                rabbitmq.CheckOptions
		want                   map[string]string
	}{
		{"all", ".*", ".*", ".*", publishing, nil},
		{"order service", "", "^orders$", "", publishing, nil},
		{"order service, without its right", "", "^other$", "", publishing, map[string]string{"right": "orders"}},
		{"notifier", "", `^(order_created\.dead-letter|amq\.default)$`, `^(orders|order_created(\.dead-letter)?)$`, consuming, nil},
		{"notifier, without the right to read", "", `^(order_created\.dead-letter|amq\.default)$`, `^order_created\.dead-letter$`, consuming, map[string]string{"right": `"order_created"`}},
	} {
		v.permit(tt.configure, tt.write, tt.read)
		t.Run(tt.name, func(t *testing.T) {
			checkFaults(t, rabbitmq.Check(bounded(t, patience), v.url, tt.options), tt.want)
		})
	}
}

// A broker that can't be used at all has one fault, without the password.
func TestCheckUnusable(t *testing.T) {
	v := newVhost(t)
	for name, tt := range map[string]struct{ url, want string }{
		"wrong URL":       {"amqp://u:hunter2@localhost/?heartbeat=x", "heartbeat"},
		"nobody listens":  {"amqp://u:hunter2@localhost:1/", "refused"},
		"login":           {"amqp://u:hunter2@" + brokerAddress(t) + "/", "check user, password"},
		"virtual host":    {strings.TrimSuffix(v.url, v.name) + "none." + v.name, "add_vhost"},
		"no TLS":          {"amqps://u:hunter2@" + brokerAddress(t) + "/", "does not speak TLS"},
		"no right at all": {strings.TrimSuffix(v.url, v.name), "set_permissions"},
	} {
		found := rabbitmq.Check(bounded(t, patience), tt.url, rabbitmq.CheckOptions{Publishes: true})
		bad := faults(found)
		if len(bad) != 1 || !strings.Contains(bad[0].Fault+bad[0].WayOut, tt.want) || bad[0].WayOut == "" {
			t.Errorf("%s: found %+v, want one fault with %q", name, found, tt.want)
		}
		for _, f := range found {
			if strings.Contains(f.Value+f.Fault+f.WayOut, "hunter2") || strings.Contains(f.Value+f.Fault, "ssword@") {
				t.Errorf("%s: shows the password: %+v", name, f)
			}
		}
	}
}
