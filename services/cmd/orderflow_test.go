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

// The curl command that orderflow prints places an order. Its notification is sent.
func TestAllInOne(t *testing.T) {
	p := start(t, "orderflow", "--order-addr=localhost:0", "--notification-addr=localhost:0")
	var welcome string
	eventually(t, func() error {
		if welcome = p.out.String(); !strings.Contains(welcome, "curl ") {
			return errors.New("no curl command is printed")
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
		t.Fatalf("no usable curl command or URL in\n%s", welcome)
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
	p.stopWell(t, syscall.SIGTERM)
	if line := `msg="Received order" event_id=` + order.ID + `-created order_id=` + order.ID + ` user_id=123 product=Laptop quantity=1`; !strings.Contains(p.out.String(), line) {
		t.Errorf("%q is not in the log", line)
	}
}

// The log has the memory limit, at level debug.
func TestMemoryLimit(t *testing.T) {
	p, orders, _ := allInOne(t, "--log-level=debug")
	p.cmd.Env = append(p.cmd.Env, "GOMEMLIMIT=100MiB")
	p.start(t)
	awaitReady(t, orders)
	p.stopWell(t, syscall.SIGTERM)
	if want := `"msg":"memory is limited","bytes":104857600,"source":"GOMEMLIMIT"`; !strings.Contains(p.out.String(), want) {
		t.Errorf("%s is not in the log", want)
	}
}
