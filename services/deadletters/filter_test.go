package deadletters_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/deadletters"
)

// putMixed puts letters of two channels and two users, minutes apart. The last has no group.
func putMixed(t *testing.T, store ports.DeadLetters) (ids []string) {
	t.Helper()
	for n, tt := range []struct{ subscription, user, reason string }{
		{"email", "ann", "550 no such user u1"}, {"", "bob", "time out after 7 s"}, {"email", "bob", "550 no such user u2"}, {"email", "ann", ""},
	} {
		at := time.Date(2026, 11, 23, 10, n, 0, 0, time.UTC)
		order, err := domain.NewOrder(domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-00000000000%d", n)), tt.user, "a product", 1, at)
		if err != nil {
			t.Fatal(err)
		}
		message, err := wire.Encode(order.Created())
		if err != nil {
			t.Fatal(err)
		}
		letter := wire.DeadLetter(tt.subscription, message, ports.Failure{Reason: tt.reason, Attempts: 1, FirstFailure: at, LastFailure: at})
		if err := store.Put(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, letter.ID)
	}
	return ids
}

func TestFilters(t *testing.T) {
	store := new(memory.DeadLetters)
	ids := putMixed(t, store)
	h := newHandler(t, newService(t, store, new(memory.Broker).DeadLetterQueue(), discard))
	group := ports.ReasonGroup("550 no such user u1")
	for query, want := range map[string][]int{
		"channel=email": {0, 2, 3}, "channel=log": {1}, "channel=fax": {}, "user_id=bob": {1, 2}, "type=order.created": {0, 1, 2, 3}, "type=order.paid": {},
		"group=" + url.QueryEscape(group): {0, 2}, "group=" + url.QueryEscape("550 no such user u9"): {0, 2},
		"since=2026-11-23T10:01:00Z": {1, 2, 3}, "until=2026-11-23T11:02:00+01:00": {0, 1}, "since=2026-11-23T10:01:00Z&until=2026-11-23T10:03:00Z&user_id=bob&channel=email": {2},
	} {
		listed := ""
		for i, n := range want {
			listed += `{"id":"` + ids[n] + `".*}`
			if i < len(want)-1 {
				listed += ","
			}
		}
		fields := ""
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		for name := range values {
			fields += fmt.Sprintf(`%q:%q,`, name, strings.ReplaceAll(values.Get(name), " 01:00", "+01:00"))
		}
		checkAnswers(t, h, []exchange{
			{"GET", "/dead-letters?" + query, "", nil, 200, `^{"data":\[` + listed + `\],"has_more"`},
			{"POST", "/dead-letters/discard", `{` + fields + `"dry_run":true}`, nil, 200, fmt.Sprintf(`"matched":%d,`, len(want))},
			{"GET", "/dead-letters/groups?" + query, "", nil, 200, fmt.Sprintf(`"total":%d,`, len(want))},
		})
	}
	checkAnswers(t, h, []exchange{
		{"GET", "/dead-letters/" + ids[1], "", nil, 200, `"event_type":"order.created","user_id":"bob","state"`},
		{"GET", "/dead-letters/groups", "", nil, 200, `^{"groups":\[` +
			`{"channel":"email","reason":"550 no such user …","count":2,"oldest":"2026-11-23T10:00:00.000Z","newest":"2026-11-23T10:02:00.000Z"},` +
			`{"channel":"log","reason":"time out after … s","count":1,"oldest":"2026-11-23T10:01:00.000Z","newest":"2026-11-23T10:01:00.000Z"},` +
			`{"channel":"email","reason":"","count":1,.*}\],"total":4,"more":false}$`},
		{"GET", "/dead-letters/groups?state=discarded", "", nil, 200, `^{"groups":\[\],"total":0,"more":false}$`},
		{"GET", "/dead-letters/groups?state=x", "", nil, 422, `"field":"state"`},
		{"GET", "/dead-letters/groups?limit=1", "", nil, 422, `"field":"limit","detail":"is not a parameter`},
		{"GET", "/dead-letters?since=x&until=y", "", nil, 422, `"field":"since","detail":"must be a time.*"field":"until"`},
		{"GET", "/dead-letters?group=%C2%85", "", nil, 422, `"field":"group","detail":"must have visible characters"`},
		{"POST", "/dead-letters/discard", `{"since":"2026-11-23T10:00:00Z","until":"2026-11-23T10:00:00Z"}`, nil, 422, `"field":"until","detail":"must be later than since"`},
		{"POST", "/dead-letters/discard", `{"channel":""}`, nil, 422, `"field":"channel","detail":"must not be empty"`},
		{"POST", "/dead-letters/discard", `{"ids":["x"],"channel":"email"}`, nil, 422, `exactly one of`},
		{"POST", "/dead-letters/discard", `{"all":true,"why":""}`, nil, 422, `"field":"why"`},
		{"POST", "/dead-letters/discard", `{"channel":"email","user_id":"ann","order_id":"` + ids[0][:36] + `"}`, nil, 200, `"matched":1,"done":1`},
	})
	broken := mocks.NewMockDeadLetters(gomock.NewController(t))
	broken.EXPECT().Groups(gomock.Any(), gomock.Any()).Return(ports.DeadLetterGroups{}, errors.New("secret"))
	broken.EXPECT().Groups(gomock.Any(), gomock.Any()).Return(ports.DeadLetterGroups{}, fmt.Errorf("secret: %w", ports.ErrUnavailable))
	h = newHandler(t, newService(t, broken, mocks.NewMockDeadLetterQueue(gomock.NewController(t)), discard))
	checkAnswers(t, h, []exchange{{"GET", "/dead-letters/groups", "", nil, 500, `"code":"internal"`}, {"GET", "/dead-letters/groups", "", nil, 503, `"code":"unavailable"`}})
}

// A decision is one entry among the operators' actions, whatever selects its dead letters,
// and names no user. A dry run, and one about nothing, is none.
func TestDecisionsAreRecorded(t *testing.T) {
	store, acts := new(memory.DeadLetters), new(memory.OperatorActions)
	ids := putMixed(t, store)
	service, err := deadletters.NewService(store, new(memory.Broker).DeadLetterQueue(), acts, discard)
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, service)
	hash := actions.User("ann")
	checkAnswers(t, h, []exchange{
		{"POST", "/dead-letters/replay", `{"all":true,"dry_run":true}`, nil, 200, ``},
		{"POST", "/dead-letters/restore", `{"all":true}`, nil, 200, `"matched":0`},
		{"POST", "/dead-letters/discard", `{"user_id":"ann","reason":"no such user","by":"bob","why":"ticket 17 of ann.lee@example.com"}`, nil, 200, `"done":1`},
		{"POST", "/dead-letters/discard", `{"ids":["` + ids[3] + `","` + ids[0] + `","x"]}`, nil, 200, `"matched":3,"done":1`},
		{"POST", "/dead-letters/restore", `{"ids":["1","2","3","4","5"],"by":"bob"}`, nil, 200, `"done":0`},
		{"POST", "/dead-letters/restore", `{"all":true,"limit":1,"by":"bob"}`, nil, 200, `"done":1`},
	})
	page, err := acts.List(t.Context(), ports.OperatorActionQuery{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	want := []ports.OperatorAction{
		{By: "bob", Action: "restore", Target: "all", ActionEnd: ports.ActionEnd{Outcome: "done", Count: 1}},
		{By: "bob", Action: "restore", Target: "1, 2, 3 and 2 more", ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "5 of 5 dead letters could not be restored; the first: not found"}},
		{By: "http 192.0.2.1", Action: "discard", Target: ids[0] + ", " + ids[3] + ", x", ActionEnd: ports.ActionEnd{
			Outcome: "failed", Count: 1, Error: "2 of 3 dead letters could not be discarded; the first: wrong state: it is discarded; only a waiting dead letter can be discarded",
		}},
		{By: "bob", Action: "discard", Target: hash + ", reason no such user", Reason: "ticket 17 of a…@example.com", ActionEnd: ports.ActionEnd{Outcome: "done", Count: 1}},
	}
	if diff := cmp.Diff(want, page.Actions, cmpopts.IgnoreFields(ports.OperatorAction{}, "ID", "At", "EndedAt")); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

// A decision that can't be recorded is not carried out.
func TestDecisionsThatAreNotRecorded(t *testing.T) {
	store := new(memory.DeadLetters)
	ids := putMixed(t, store)
	acts := mocks.NewMockOperatorActions(gomock.NewController(t))
	acts.EXPECT().Begin(gomock.Any(), gomock.Any()).Return(fmt.Errorf("secret: %w", ports.ErrUnavailable)).Times(2)
	service, err := deadletters.NewService(store, new(memory.Broker).DeadLetterQueue(), acts, discard)
	if err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, newHandler(t, service), []exchange{{"POST", "/dead-letters/discard", `{"all":true}`, nil, 503, `"code":"unavailable"`}})
	for i, err := range service.Decide(t.Context(), deadletters.Decision{Action: deadletters.Discard}, ids...) {
		if !errors.Is(err, ports.ErrUnavailable) {
			t.Errorf("decision about %s: error %v, want %v", ids[i], err, ports.ErrUnavailable)
		}
	}
	if errs := service.Decide(t.Context(), deadletters.Decision{Action: deadletters.Discard}); len(errs) > 0 {
		t.Errorf("a decision about nothing: %v", errs)
	}
	for _, id := range ids {
		if letter, err := store.Get(t.Context(), id); err != nil || letter.State != ports.Waiting {
			t.Errorf("%s is %s, error %v", id, letter.State, err)
		}
	}
}

// A decision may be carried out in parts, and is one entry.
func TestDecisionInParts(t *testing.T) {
	store, acts := new(memory.DeadLetters), new(memory.OperatorActions)
	ids := putMixed(t, store)
	service, err := deadletters.NewService(store, new(memory.Broker).DeadLetterQueue(), acts, discard)
	if err != nil {
		t.Fatal(err)
	}
	deciding, err := service.Begin(t.Context(), deadletters.Decision{Action: deadletters.Discard, By: "ann"}, deadletters.Selection{Filter: deadletters.Filter{Channel: "email"}})
	if err != nil {
		t.Fatal(err)
	}
	deciding.Decide(t.Context(), ids[0])
	deciding.Decide(t.Context(), ids[2], "unknown")
	deciding.End(t.Context(), errors.New("stopped by ann"))
	page, err := acts.List(t.Context(), ports.OperatorActionQuery{})
	if err != nil || len(page.Actions) != 1 || page.NextCursor != "" {
		t.Fatalf("%+v, error %v", page, err)
	}
	if a := page.Actions[0]; a.Count != 2 || a.Target != "channel email" || a.Outcome != ports.ActionFailed || a.Error != "stopped by ann" {
		t.Errorf("%+v", a)
	}
}
