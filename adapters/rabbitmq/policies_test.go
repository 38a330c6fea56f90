package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/rabbitmq"
	"example.com/orderflow/ports"
)

func TestCheckPolicies(t *testing.T) {
	t.Parallel()
	const main, dead, unread, short, long = "order_created", "order_created.dead-letter", "order_created.unreadable",
		"order_created.retry.50ms", "order_created.retry.100ms"
	all := []string{unread, dead, main, short, long}
	for name, tt := range map[string]struct {
		kind       string // "policies" or "operator-policies"
		pattern    string
		definition map[string]any
		want       map[string][]string // queues by key
	}{
		"none":                              {"policies", "^other", map[string]any{"message-ttl": 1000}, nil},
		"a key that loses nothing":          {"policies", ".*", map[string]any{"queue-leader-locator": "balanced"}, nil},
		"message-ttl":                       {"policies", ".*", map[string]any{"message-ttl": 86_400_000}, map[string][]string{"message-ttl": {unread, dead, main}}},
		"a short message-ttl":               {"policies", ".*", map[string]any{"message-ttl": 60}, map[string][]string{"message-ttl": {unread, dead, main, long}}},
		"expires":                           {"policies", "^order_", map[string]any{"expires": 86_400_000}, map[string][]string{"expires": all}},
		"expires by an operator":            {"operator-policies", "^order_", map[string]any{"expires": 86_400_000}, map[string][]string{"expires": all}},
		"max-length":                        {"policies", ".*", map[string]any{"max-length": 10}, map[string][]string{"max-length": {unread}}},
		"max-length that refuses":           {"policies", ".*", map[string]any{"max-length": 10, "overflow": "reject-publish"}, nil},
		"max-length-bytes":                  {"policies", ".*", map[string]any{"max-length-bytes": 10}, map[string][]string{"max-length-bytes": {unread}}},
		"overflow":                          {"policies", ".*", map[string]any{"overflow": "drop-head"}, map[string][]string{"overflow": {dead, main, short, long}}},
		"delivery-limit":                    {"policies", ".*", map[string]any{"delivery-limit": 30}, map[string][]string{"delivery-limit": {unread, dead, short, long}}},
		"max-length with another overflow":  {"policies", "er_created$", map[string]any{"max-length": 10, "overflow": "drop-head"}, map[string][]string{"max-length": {main}, "overflow": {main}}},
		"the topology's own delivery-limit": {"policies", "er_created$", map[string]any{"delivery-limit": 20}, nil},
		"keys that the arguments overrule":  {"policies", ".*", map[string]any{"dead-letter-exchange": "amq.fanout", "dead-letter-strategy": "at-most-once"}, nil},
		"message-ttl on the retry queues":   {"policies", "retry", map[string]any{"message-ttl": 100}, nil},
		"message-ttl on one of the retries": {"policies", "retry", map[string]any{"message-ttl": 99}, map[string][]string{"message-ttl": {long}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVhost(t)
			v.put(tt.kind+"/"+v.name+"/theirs", map[string]any{"pattern": tt.pattern, "definition": tt.definition, "apply-to": "queues"})
			declareTopology(t, v.url, usual)
			check := func() error { return rabbitmq.CheckPolicies(bounded(t, 3*patience), v.api, v.url, usual) }
			err := check()
			var policies *rabbitmq.PolicyError
			if err != nil && !errors.As(err, &policies) {
				t.Fatal(err)
			}
			var got map[string][]string
			if policies != nil {
				got = make(map[string][]string)
				for _, f := range policies.Faults {
					got[f.Key] = f.Queues
					if !strings.Contains(f.Policy, `policy "theirs"`) {
						t.Errorf("fault of %s, want it to name the policy", f.Policy)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("queues by key (-want +got):\n%s\n%v", diff, err)
			}
			if err == nil || tt.kind != "policies" {
				return
			}
			command := regexp.MustCompile(`set_policy -p '([^']*)' --priority 1000 --apply-to queues orderflow '([^']*)' '{"overflow":"reject-publish"}'`).
				FindStringSubmatch(err.Error())
			if command == nil || command[1] != v.name {
				t.Fatalf("error %q names no command", err)
			}
			v.put("policies/"+v.name+"/orderflow", map[string]any{
				"pattern": command[2], "priority": 1000, "apply-to": "queues", "definition": map[string]any{"overflow": "reject-publish"},
			})
			eventually(t, "the error's command corrects the policy", func() bool { return check() == nil })
		})
	}
}

func TestCheckPoliciesWithoutQueues(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	if err := rabbitmq.CheckPolicies(bounded(t, patience), v.api, v.url, usual); err != nil {
		t.Error(err)
	}
}

func TestCheckPoliciesWithoutRights(t *testing.T) {
	t.Parallel()
	v := newVhost(t)
	for name, management := range map[string]string{
		"a wrong password": strings.Replace(v.api, "guest@", "wrong-secret@", 1),
		"no tag":           strings.Replace(v.api, "//guest:guest@", "//", 1), // the user of the broker's URL
	} {
		err := rabbitmq.CheckPolicies(bounded(t, patience), management, v.url, usual)
		if !errors.Is(err, ports.ErrRefused) || !errors.Is(err, ports.ErrUnavailable) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ssword@") {
			t.Errorf("%s: error %v, want ErrRefused without a secret", name, err)
		}
	}
}

func TestCheckPoliciesWithoutAnAnswer(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"policy": "`)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer status.Close()
	moved := httptest.NewServer(http.RedirectHandler("http://elsewhere.invalid/", http.StatusFound))
	defer moved.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, server := range map[string]*httptest.Server{"endless": endless, "silent": silent, "status": status, "moved": moved, "gone": gone} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			url := strings.Replace(server.URL, "//", "//user:secret@", 1)
			err := rabbitmq.CheckPolicies(ctx, url, "amqp://guest:secret@localhost/", usual)
			if err == nil || strings.Contains(err.Error(), "secret") || len(err.Error()) > 500 {
				t.Errorf("error %.600v, want a short one without a secret", err)
			}
			if name != "silent" && !errors.Is(err, ports.ErrUnavailable) {
				t.Errorf("error %v, want ErrUnavailable", err)
			}
		})
	}
	for _, url := range []string{"", "localhost:15672", "amqp://localhost", "http://u:12/secret@host", "http://u:12?secret@host", "http://"} {
		err := rabbitmq.CheckPolicies(t.Context(), url, "amqp://guest:secret@localhost/", usual)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error %v, want one without the password", url, err)
		}
	}
}

func TestPolicyErrorIsShort(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprint("q", i)
	}
	err := &rabbitmq.PolicyError{}
	for range 1000 {
		err.Faults = append(err.Faults, rabbitmq.PolicyFault{Policy: `policy "p"`, Key: "expires", Effect: "deletes", Queues: many})
	}
	text := err.Error()
	if want := `policy "p" has expires, which deletes, on q0, q1, `; len(text) > 4096 || !strings.HasPrefix(text, want) ||
		!strings.Contains(text, "q15 and 984 more; ") || !strings.Contains(text, "; and 984 more; ") {
		t.Errorf("%d bytes: %.200s…", len(text), text)
	}
}
