package cmd_test

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// A check says that all is well, changes nothing, and finds every fault at once.
func TestCheck(t *testing.T) {
	t.Parallel()
	settings := servers(t)[:2]
	for range 2 { // the first leaves nothing
		for _, program := range []string{"order", "notification", "orderflow"} {
			status, stdout, stderr := run(t, nil, program, append([]string{"check"}, settings...)...)
			if status != 0 || stderr != "" || strings.Contains(stdout, "FAULT") {
				t.Errorf("%s: exit status %d, %q, %s", program, status, stderr, stdout)
			}
			for _, want := range []string{"write concern", "clock", "none yet; the first start builds them", "probe message", "RabbitMQ"} {
				if !strings.Contains(stdout, want) {
					t.Errorf("%s does not say %q:\n%s", program, want, stdout)
				}
			}
		}
	}

	webhooks := httptest.NewTLSServer(nil)
	defer webhooks.Close()
	status, stdout, stderr := run(t, []string{
		"STORE_URL=mongodb://u:hunter2@localhost:1/orders?timeoutMS=500", "BROKER_URL=amqp://u:hunter2@localhost:1/",
		"SMTP_URL=smtp://u:hunter2@" + freeAddress(t) + "/?from=shop@example.com", "WEBHOOK_URL=" + webhooks.URL + "/hunter2",
		"WEBHOOK_ALLOW_PRIVATE=true", "ADMIN_ADDR=:9081", "WEBHOOK_SECRET=whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	}, "notification", "check", "--json")
	if status != 1 || !strings.Contains(stderr, "5 faults") || strings.Count(stderr, "\n") != 1 || strings.Contains(stdout+stderr, "hunter2") {
		t.Errorf("exit status %d, %q, %s", status, stderr, stdout)
	}
	want := map[string]string{
		"store server": "start it", "broker server": "start it", "channel email mail server": "check host and port",
		"channel webhook receiver operator": "list of authorities", "admin address": "give localhost:9081, or set --admin-tokens-file",
	}
	for line := range strings.Lines(stdout) {
		var f struct {
			Part, What, Fault string
			WayOut            string `json:"way_out"`
			OK                bool
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		name := f.Part + " " + f.What
		if f.OK {
			continue
		}
		if text, ok := want[name]; !ok || !strings.Contains(f.WayOut, text) || f.Fault == "" {
			t.Errorf("found %s", line)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}

	folder := filepath.Join(t.TempDir(), "data")
	status, stdout, stderr = run(t, []string{"STORE_URL=sqlite:DATA/orderflow.db", "BROKER_URL=sqlite:DATA/orderflow.db"}, "orderflow", "check", "--data="+folder)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "the first start makes it") {
		t.Errorf("no data yet: exit status %d, %q, %s", status, stderr, stdout)
	}
	for program, text := range map[string]string{"order": "within one process", "notification": "within one process"} {
		status, stdout, _ = run(t, nil, program, "check", "--store=memory:", "--broker=memory:")
		if status != 1 || !strings.Contains(stdout, text) {
			t.Errorf("%s with a broker in memory: exit status %d, %s", program, status, stdout)
		}
	}
}
