package cmd_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// What make run starts: the line it prints places an order, whose notification
// shows.
func TestAllInOne(t *testing.T) {
	p := start(t, "allinone", "--order-addr=localhost:0", "--notification-addr=localhost:0")
	var welcome string
	eventually(t, func() error {
		if welcome = p.out.String(); !strings.Contains(welcome, "curl ") {
			return errors.New("nothing to try is printed")
		}
		return nil
	})
	for _, want := range []string{`orders +http://localhost:\d+`, `notifications +http://localhost:\d+`, `store +memory: +\(lost on exit\)`, `broker +memory: +\(lost on exit\)`} {
		if !regexp.MustCompile(want).MatchString(welcome) {
			t.Errorf("%s is not in:\n%s", want, welcome)
		}
	}
	curl := regexp.MustCompile(`curl -i (\S+) -H 'Content-Type: application/json' -d '(.*)'`).FindStringSubmatch(welcome)
	notifications := regexp.MustCompile(`notifications +(\S+)`).FindStringSubmatch(welcome)
	if curl == nil || notifications == nil {
		t.Fatalf("can't use\n%s", welcome)
	}
	var order struct{ ID string }
	if status, err := fetch("POST", curl[1], curl[2], &order); err != nil || status != http.StatusCreated {
		t.Fatalf("%s answers %d, %v", curl[0], status, err)
	}
	eventually(t, func() error {
		var sent struct{ Data []struct{ Attempt int } }
		_, err := fetch("GET", notifications[1]+"/notifications?order_id="+order.ID, "", &sent)
		if err == nil && (len(sent.Data) != 1 || sent.Data[0].Attempt != 1) {
			err = fmt.Errorf("sent: %+v", sent)
		}
		return err
	})
	if line := `msg="Received order" event_id=` + order.ID + `-created order_id=` + order.ID + ` user_id=123 product=Laptop quantity=1`; !strings.Contains(p.out.String(), line) {
		t.Errorf("no line %q", line)
	}
	if status := p.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
}
