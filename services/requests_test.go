// Package services_test tries the services together.
package services_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/access"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/console"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/notification"
	"example.com/orderflow/services/order"
)

// request is one of a file of requests.
type request struct {
	title, method, url string
	header             http.Header
	body               string
	status             int // 0: any of success
}

var (
	variable  = regexp.MustCompile(`^@(\w+)\s*=\s*(.*)$`)
	reference = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	status    = regexp.MustCompile(`^(?:#|//) Status: (\d{3})$`)
)

// parse reads the part of the format that VS Code's REST Client and JetBrains' HTTP
// Client have in common: variables, comments, and requests that ### separates.
func parse(text string) (requests []request, err error) {
	variables := map[string]string{}
	expand := func(line string) string {
		return reference.ReplaceAllStringFunc(line, func(found string) string {
			name := reference.FindStringSubmatch(found)[1]
			value, ok := variables[name]
			if !ok {
				err = fmt.Errorf("variable %s has no value", name)
			}
			return value
		})
	}
	for i, part := range regexp.MustCompile(`(?m)^###`).Split(text, -1) {
		title, rest, _ := strings.Cut(part, "\n")
		if i == 0 {
			title, rest = "", part
		}
		r := request{title: strings.TrimSpace(title), header: http.Header{}}
		head, body, _ := strings.Cut(strings.TrimLeft(rest, "\n"), "\n\n")
		if i == 0 {
			head, body = rest, ""
		}
		for line := range strings.Lines(head) {
			line = strings.TrimSpace(line)
			if found := status.FindStringSubmatch(line); found != nil {
				r.status, _ = strconv.Atoi(found[1])
			}
			name, value, isHeader := strings.Cut(line, ":")
			switch given := variable.FindStringSubmatch(line); {
			case line == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, "//"):
			case given != nil:
				variables[given[1]] = expand(given[2])
			case r.method == "":
				var found bool
				if r.method, r.url, found = strings.Cut(expand(line), " "); !found {
					return nil, fmt.Errorf("%s: %q is no request", r.title, line)
				}
			case !isHeader:
				return nil, fmt.Errorf("%s: %q is no header", r.title, line)
			default:
				r.header.Add(name, expand(strings.TrimSpace(value)))
			}
		}
		r.body = expand(strings.TrimSpace(body))
		if r.method != "" {
			requests = append(requests, r)
		} else if i > 0 {
			return nil, fmt.Errorf("%s: has no request", r.title)
		}
	}
	return requests, err
}

// api is a handler that knows what it can do.
type api interface {
	http.Handler
	Operations() []string
}

func must[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// channel sends nothing.
type channel struct{}

func (channel) Name() string { return "log" }

func (channel) Send(context.Context, ports.Outgoing) (ports.Answer, error) {
	return ports.Answer{Code: "250"}, nil
}

// newAPIs returns the services' interfaces by their hosts.
func newAPIs(t *testing.T) map[string][]api {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, broker := new(memory.Store), new(memory.Broker)
	relay, err := order.NewRelay(store.Orders(), broker.Publisher(), log)
	must(t, relay, err)
	orders, err := order.NewService(store.Orders(), relay, log)
	must(t, orders, err)
	control, err := notification.NewControl(notification.Store{
		Deliveries: store.Deliveries(), States: store.ChannelStates(), Contacts: store.Contacts(), DeadLetters: store.DeadLetters(),
		Actions: store.OperatorActions(),
	}, []notification.ChannelInfo{{Name: "log", Kind: "log", Sender: channel{}}}, log)
	must(t, control, err)
	letters, err := deadletters.NewService(store.DeadLetters(), broker.DeadLetterQueue(), store.OperatorActions(), log)
	must(t, letters, err)

	office, err := account.New(account.Parts{
		Orders: store.Orders().Account, Deliveries: store.Deliveries(), States: store.ChannelStates(), DeadLetters: store.DeadLetters(), DeadLetterQueue: broker.DeadLetterQueue(),
	})
	must(t, office, err)
	orderHandler, err1 := order.NewHandler(orders, nil, nil, log)
	must(t, orderHandler, err1)
	orderAdmin, err := order.NewAdminHandler(orders, log)
	must(t, orderAdmin, err)
	page, err := console.New(console.Parts{
		Program: "orderflow", Version: "v1", Office: office, Control: control, Letters: letters, Orders: store.Orders(), Place: orderHandler.PlaceForOperator,
	}, log)
	must(t, page, err)
	run(t, letters.Run)
	for err := deadletters.ErrNotRunning; errors.Is(err, deadletters.ErrNotRunning); {
		_, err = letters.StartJob(t.Context(), deadletters.JobRequest{
			Decision: deadletters.Decision{Action: deadletters.Replay, DryRun: true}, Selection: deadletters.Selection{All: true},
		})
	}
	run(t, page.Run)
	notificationHandler, err2 := notification.NewHandler(control, nil, nil, log)
	admin, err3 := notification.NewAdminHandler(control, log)
	lettersHandler, err4 := deadletters.NewHandler(letters, log)
	actionsHandler, err5 := actions.NewHandler(store.OperatorActions(), log)
	for _, err := range []error{err2, err3, err4, err5} {
		must(t, 0, err)
	}
	sessions := httpapi.NewOperatorAPI(access.NewGuard(nil, access.Proxy{}, log).Routes(), log)
	return map[string][]api{
		"localhost:8080": {orderHandler},
		"localhost:8081": {notificationHandler},
		"localhost:9080": {orderAdmin},
		"localhost:9081": {admin, lettersHandler, actionsHandler, page, &sessions},
	}
}

// run runs a part of a service until the test ends.
func run(t *testing.T, part func(context.Context) error) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- part(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The file has every operation of every service, and all its requests work.
func TestRequestsFile(t *testing.T) {
	text, err := os.ReadFile("../testdata/requests.http")
	must(t, text, err)
	requests, err := parse(string(text))
	must(t, requests, err)

	apis := newAPIs(t)
	hosts, missing := map[string]*http.ServeMux{}, map[string]bool{}
	for host, all := range apis {
		hosts[host] = http.NewServeMux()
		for _, a := range all {
			if len(a.Operations()) == 0 {
				t.Fatalf("%T has no operations", a)
			}
			for _, operation := range a.Operations() {
				hosts[host].Handle(operation, a)
				missing[host+" "+operation] = true
			}
		}
	}
	for _, sent := range requests {
		r := httptest.NewRequest(sent.method, sent.url, strings.NewReader(sent.body))
		r.Header = sent.header
		mux := hosts[r.Host]
		if mux == nil {
			t.Errorf("%s: no service has the host %s", sent.title, r.Host)
			continue
		}
		_, operation := mux.Handler(r)
		delete(missing, r.Host+" "+operation)
		w := httptest.NewRecorder()
		ctx, stop := context.WithCancel(t.Context())
		if operation == "GET /console/events" {
			stop() // otherwise it lasts
		}
		mux.ServeHTTP(w, r.WithContext(ctx))
		stop()
		if sent.status == 0 && w.Code/100 != 2 || sent.status != 0 && sent.status != w.Code {
			t.Errorf("%s: %s %s: answered %d %s, want %d (0: success)", sent.title, sent.method, sent.url, w.Code, w.Body, sent.status)
		}
	}
	for operation := range missing {
		t.Errorf("testdata/requests.http lacks %s", operation)
	}
}

func TestParse(t *testing.T) {
	got, err := parse("# comment\n@host = http://h\n@path={{host}}/a\n\n### First\n// comment\n# Status: 404\nGET {{path}}?x={{ host }}\nA: b: {{host}}\n\n###\nPOST {{host}}\nA: 1\nA: 2\n\n{\n\n}\n")
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	first, second := got[0], got[1]
	if first.title != "First" || first.method != "GET" || first.url != "http://h/a?x=http://h" || first.header.Get("A") != "b: http://h" || first.status != 404 || first.body != "" {
		t.Errorf("the first request is %+v", first)
	}
	if second.method != "POST" || !slices.Equal(second.header["A"], []string{"1", "2"}) || second.body != "{\n\n}" || second.status != 0 {
		t.Errorf("the second request is %+v", second)
	}
	for _, text := range []string{"### no request\n", "###\nGET\n", "###\nGET {{unknown}}\n", "###\nGET http://h\nno header\n"} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
