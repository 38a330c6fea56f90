package cmd_test

import (
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// The first line of the log says what starts with what, and the last what a stop leaves.
func TestFirstAndLastLine(t *testing.T) {
	mail := freeAddress(t) // nobody listens, so mails are held
	orders, notifications, admin := freeAddress(t), freeAddress(t), freeAddress(t)
	p := prepare("orderflow", append(oneFile(t), "--order-addr="+orders, "--notification-addr="+notifications, "--admin-addr="+admin, "--log-format=json")...)
	p.cmd.Env = append(p.cmd.Env, "SMTP_URL=smtp://u:hunter2@"+mail+"/?from=a@example.com")
	p.start(t)
	awaitReady(t, orders)
	if _, err := fetch("PUT", "http://"+admin+"/contacts/0", `{"addresses":{"email":"ann@example.com"}}`, nil); err != nil {
		t.Fatal(err)
	}
	place(t, orders)
	eventually(t, func() error {
		var page struct{ Data []any }
		if _, err := fetch("GET", "http://"+notifications+"/notifications?state=held,retrying", "", &page); err != nil || len(page.Data) == 1 {
			return err
		}
		return errors.New("the mail does not wait yet")
	})
	p.stopWell(t, syscall.SIGTERM)

	lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
	var first, last map[string]any
	for line, to := range map[string]*map[string]any{lines[0]: &first, lines[len(lines)-1]: &last} {
		if err := json.Unmarshal([]byte(line), to); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	for name, want := range map[string]string{
		"msg": "starting", "program": "orderflow", "version": "", "store": "sqlite:", "broker": "sqlite:", "addresses": orders + " " + notifications + " " + admin, "channels": "log email",
	} {
		if got, ok := first[name].(string); !ok || !strings.HasPrefix(got, want) {
			t.Errorf("the first line has the %s %v, want %q", name, first[name], want)
		}
	}
	if last["msg"] != "stopped" || last["in_queue_log"] != "0" || last["in_queue_email"] != "0" || last["held"] != "1" && last["retrying"] != "1" {
		t.Errorf("the last line is %v", last)
	}
	if strings.Contains(p.out.String(), "hunter2") {
		t.Error("the log shows the password")
	}
}
