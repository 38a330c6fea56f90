package cmd_test

import (
	"errors"
	"fmt"
	"io"
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
	for _, want := range []string{`\n\n +console +http://localhost:\d+ `, `orders +http://localhost:\d+`, `notifications +http://localhost:\d+`, `store +memory: +\(lost on exit\)`, `broker +memory: +\(lost on exit\)`} {
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

// A person who opens the page places an order there, and sees that it is sent. Pages that are
// open delay no stop.
func TestConsole(t *testing.T) {
	p := start(t, "orderflow", "--order-addr=localhost:0", "--notification-addr=localhost:0")
	var found []string
	eventually(t, func() error {
		if found = regexp.MustCompile(`console +(\S+)`).FindStringSubmatch(p.out.String()); found == nil {
			return errors.New("no address of the console is printed")
		}
		return nil
	})
	console := found[1]
	page, err := http.Get(console + "/")
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the page: answered %s %v", page.Status, page.Header)
	}
	var order struct{ ID string }
	if status, err := fetch("POST", console+"/console/orders", `{"user_id":"123","product":"Laptop","quantity":1}`, &order); err != nil || status != http.StatusCreated {
		t.Fatalf("an order: answered %d, %v", status, err)
	}
	eventually(t, func() error {
		var way struct {
			Timeline []struct{ Kind, Channel, Outcome string }
		}
		if _, err := fetch("GET", console+"/console/orders/"+order.ID, "", &way); err != nil {
			return err
		}
		if n := len(way.Timeline); n == 0 || way.Timeline[n-1].Outcome != "sent" || way.Timeline[n-1].Channel != "log" {
			return fmt.Errorf("the order's way is %+v", way)
		}
		return nil
	})

	ended := make(chan error, 10)
	for range cap(ended) {
		stream, err := http.Get(console + "/console/events")
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Body.Close()
		go func() {
			_, err := io.Copy(io.Discard, stream.Body)
			ended <- err
		}()
	}
	p.stopWell(t, syscall.SIGINT)
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Errorf("a stream ended with %v", err)
		}
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
