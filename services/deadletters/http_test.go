package deadletters_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/deadletters"
)

func ask(h http.Handler, method, target, body string, headers ...string) (status int, answer string) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := described.Do(h, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// exchange is a request and the answer to it.
type exchange struct {
	method, target, body string
	headers              []string
	status               int
	want                 string // a regular expression that matches the body
}

// checkAnswers makes the requests one after the other.
func checkAnswers(t *testing.T, h http.Handler, exchanges []exchange) {
	t.Helper()
	for _, e := range exchanges {
		status, body := ask(h, e.method, e.target, e.body, e.headers...)
		if status != e.status || !regexp.MustCompile(e.want).MatchString(body) {
			t.Errorf("%s %s %s: got %d %s, want %d %s", e.method, e.target, e.body, status, body, e.status, e.want)
		}
	}
}

// A dead letter shows its subscription, and is replayed to it alone.
func TestDeadLetterOfASubscription(t *testing.T) {
	store, broker := new(memory.DeadLetters), new(memory.Broker)
	for _, letter := range []ports.DeadLetter{
		{ID: "l.mail", Subscription: "mail", Failure: ports.Failure{LastFailure: time.Now()}},
		{ID: "l.gone", Subscription: "gone", Failure: ports.Failure{LastFailure: time.Now()}},
	} {
		if err := store.Put(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	mail := broker.Subscription("mail")
	if err := mail.Ping(t.Context()); err != nil { // makes the queue
		t.Fatal(err)
	}
	checkAnswers(t, newHandler(t, newService(t, store, broker.DeadLetterQueue(), discard)), []exchange{
		{"GET", "/dead-letters/l.mail", "", nil, 200, `^{"id":"l.mail","subscription":"mail","state":"waiting",`},
		{"GET", "/dead-letters?limit=1", "", nil, 200, `"subscription":"`},
		{"POST", "/dead-letters/replay", `{"ids":["l.mail"]}`, nil, 200, `"done":1,`},
		{"POST", "/dead-letters/replay", `{"ids":["l.gone"]}`, nil, 200, `"done":0,"failed":\[{"id":"l.gone"`},
	})
	for consumer, want := range map[memory.Consumer]int{mail: 1, broker.Consumer(): 0} {
		if d, err := consumer.Depth(t.Context()); d.Ready != want || err != nil {
			t.Errorf("%d events wait, error %v, want %d", d.Ready, err, want)
		}
	}
}

func TestHandler(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	store, broker := new(memory.DeadLetters), new(memory.Broker)
	for i, reason := range []string{"no such address", "decode event: body", "no such address (again)", "timeout"} {
		failed := at.Add(time.Duration(i) * time.Minute)
		err := store.Put(t.Context(), ports.DeadLetter{
			ID: fmt.Sprintf("l%d", i),
			Message: ports.Message{
				ID: "m", ContentType: "text/plain", Headers: map[string]string{"a": "b"}, Body: []byte{'<', 'o', 'k', '>', byte(0xFF * (i % 2))},
			},
			Failure: ports.Failure{Reason: reason, Attempts: 5, FirstFailure: failed, LastFailure: failed.Add(time.Second)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	h := newHandler(t, newService(t, store, broker.DeadLetterQueue(), discard))

	const l0 = `{"id":"l0","state":"waiting","reason":"no such address","attempts":5,"first_failure":"2026-11-23T10:00:00.000Z","last_failure":"2026-11-23T10:00:01.000Z","times_set_aside":1,"since":"2026-11-23T10:00:00.000Z"`
	checkAnswers(t, h, []exchange{
		{"GET", "/dead-letters", "", nil, 200, `^{"data":\[` + l0 + `},{"id":"l1".*},{"id":"l2".*},{"id":"l3".*}\],"has_more":false,"next_cursor":null}$`},
		{"GET", "/dead-letters?reason=address&limit=1", "", nil, 200, `^{"data":\[` + l0 + `}\],"has_more":true,"next_cursor":".+"}$`},
		{"GET", "/dead-letters?state=discarded", "", nil, 200, `^{"data":\[\],`},
		{"GET", "/dead-letters?state=gone", "", nil, 422, `"field":"state","detail":"must be waiting, replayed, discarded or all"`},
		{"GET", "/dead-letters?limit=1001", "", nil, 422, `"field":"limit","detail":"must be a whole number from 1 to 1000"`},
		{"GET", "/dead-letters?cursor=x", "", nil, 422, `"field":"cursor","detail":"must be the next_cursor`},
		{"GET", "/dead-letters?state=&reason&limit=&cursor=", "", nil, 422, `state is empty; leave it out to list waiting ones; reason is empty; .*limit is empty; .*cursor is empty`},
		{"GET", "/dead-letters?stat=x", "", nil, 422, `"field":"stat","detail":"is not a parameter`},
		{"GET", "/dead-letters/l0", "", nil, 200, `^` + l0 + `,"failures":\[{"reason":"no such address",.*}\],"message_id":"m","content_type":"text/plain","headers":{"a":"b"},"body":"<ok>\\u0000"}$`},
		{"GET", "/dead-letters/l1", "", nil, 200, `"body_base64":"PG9rPv8="}$`},
		{"GET", "/dead-letters/l9", "", nil, 404, `"code":"not_found"`},
		{"DELETE", "/dead-letters/l0", "", nil, 405, `does not support DELETE; use GET, HEAD`},
		{"GET", "/dead-letters/replay", "", nil, 405, `does not support GET; use POST`},

		{"POST", "/dead-letters/replay", `{}`, nil, 422, `"field":"ids","detail":"or other fields must select dead letters: give exactly one of ids, all, and a filter \(channel`},
		{"POST", "/dead-letters/replay", `{"ids":["l0"],"all":true}`, nil, 422, `exactly one of`},
		{"POST", "/dead-letters/replay", `{"ids":"l0"}`, nil, 422, `"field":"ids","detail":"must be a list of strings"`},
		{"POST", "/dead-letters/replay", `{"ids":["` + strings.Repeat("x", 257) + `"]}`, nil, 422, `"field":"ids","detail":"must be 1 to 1000 ids, each of 1 to 256 bytes"`},
		{"POST", "/dead-letters/replay", `{"ids":["l0",""]}`, nil, 422, `"field":"ids","detail":"must be 1 to 1000 ids, each of 1 to 256 bytes"`},
		{"POST", "/dead-letters/replay", `{"ids":["l0",null]}`, nil, 422, `"field":"ids","detail":"must be a list of strings"`},
		{"POST", "/dead-letters/replay", `{"ids":[` + strings.Repeat(`"x",`, 1000) + `"x"]}`, nil, 422, `"field":"ids","detail":"must be 1 to 1000 ids, each of 1 to 256 bytes"`},
		{"POST", "/dead-letters/replay", `{"ids":["l0","l0"],"dry_run":true}`, nil, 200, `"matched":1,`},
		{"POST", "/dead-letters/replay", `{"all":1}`, nil, 422, `"field":"all","detail":"must be true or false, not a number"`},
		{"POST", "/dead-letters/replay", `{"all":true,"limit":0}`, nil, 422, `"field":"limit"`},
		{"POST", "/dead-letters/replay", `{"al":true}`, nil, 422, `"field":"al","detail":"is not a field of a decision; known: ids, order_id, channel, type, user_id, reason, group, since, until, all, by, why, dry_run, limit, cursor"`},
		{"POST", "/dead-letters/replay", `{"all":true}`, []string{"Content-Type", "text/plain"}, 415, `"code":"unsupported_media_type"`},
		{"POST", "/dead-letters/replay", `{"all":true}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, `"code":"cross_origin"`},
		{"POST", "/dead-letters/discard", `{"all":true}`, []string{"Origin", "http://shop.example"}, 403, `"code":"cross_origin"`},

		{"POST", "/dead-letters/replay", `{"reason":"address","dry_run":true}`, nil, 200, `^{"decision":"replay","dry_run":true,"matched":2,"done":0,"failed":\[\],"has_more":false,"next_cursor":null}$`},
		{"GET", "/dead-letters?limit=1", "", nil, 200, l0},
		{"POST", "/dead-letters/replay", `{"reason":"address"}`, nil, 200, `^{"decision":"replay","dry_run":false,"matched":2,"done":2,"failed":\[\]`},
		{"POST", "/dead-letters/replay", `{"ids":["l0","l9"]}`, nil, 200, `"matched":2,"done":0,"failed":\[{"id":"l0","code":"wrong_state","detail":"wrong state: it is replayed; only a waiting dead letter can be replayed"},{"id":"l9","code":"not_found",.*}\]`},
		{"POST", "/dead-letters/discard", `{"all":true,"limit":1}`, nil, 200, `"matched":1,"done":1,"failed":\[\],"has_more":true,"next_cursor":".+"}$`},
		{"POST", "/dead-letters/restore", `{"all":1}`, nil, 422, `"field":"all"`},
		{"POST", "/dead-letters/restore", `{"all":true}`, nil, 200, `"matched":1,"done":1`},
		{"POST", "/dead-letters/discard", `{"ids":["l3"]}`, []string{"Sec-Fetch-Site", "same-origin"}, 200, `"done":1`},
		{"GET", "/dead-letters?state=all", "", nil, 200, `"id":"l0","state":"replayed".*"settled_at":".*"id":"l1","state":"waiting".*"id":"l2","state":"replayed".*"id":"l3","state":"discarded"`},
	})
}

func TestHandlerShowsLargeMessages(t *testing.T) {
	store := new(memory.DeadLetters)
	bodies := map[string][]byte{"text": []byte(strings.Repeat("<界>\u0000", 200_000)), "bytes": bytes.Repeat([]byte{0xFF, 0}, 100_000)}
	for id, body := range bodies {
		err := store.Put(t.Context(), ports.DeadLetter{
			ID: id, Message: ports.Message{ID: "m", ContentType: "text/plain", Body: body},
			Failure: ports.Failure{Reason: "r", Attempts: 1, FirstFailure: time.Now(), LastFailure: time.Now()},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	h := newHandler(t, newService(t, store, new(memory.Broker).DeadLetterQueue(), discard))
	for id, body := range bodies {
		status, answer := ask(h, "GET", "/dead-letters/"+id, "")
		var got deadletters.View
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 || got.ID != id || got.MessageID != "m" {
			t.Fatalf("%d, %v, %.200s", status, err, answer)
		}
		if text := got.Body; (text == nil || *text != string(body)) && !bytes.Equal(got.BodyBase64, body) {
			t.Errorf("%s: wrong body: %.200s", id, answer)
		}
	}
}

// Answers never contain the text of an internal error.
func TestHandlerErrors(t *testing.T) {
	for err, want := range map[error]struct {
		status int
		code   string
	}{
		fmt.Errorf("get: secret: %w", ports.ErrUnavailable): {503, "unavailable"},
		errors.New("get: secret: broken document"):          {500, "internal"},
	} {
		control := gomock.NewController(t)
		store := mocks.NewMockDeadLetters(control)
		store.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.DeadLetterPage{}, err).Times(4)
		store.EXPECT().Get(gomock.Any(), gomock.Any()).Return(ports.DeadLetterRecord{}, err).Times(2)
		h := newHandler(t, newService(t, store, mocks.NewMockDeadLetterQueue(control), discard))
		for target, body := range map[string]string{
			"/dead-letters": "", "/dead-letters/x": "", "/dead-letters/replay": `{"all":true}`,
			"/dead-letters/discard": `{"all":true}`, "/dead-letters/restore": `{"all":true}`,
		} {
			method := "GET"
			if body != "" {
				method = "POST"
			}
			status, answer := ask(h, method, target, body)
			if status != want.status || !strings.Contains(answer, `"code":"`+want.code+`"`) || strings.Contains(answer, "secret") {
				t.Errorf("%s: got %d %s, want %d %s", target, status, answer, want.status, want.code)
			}
		}
		status, answer := ask(h, "POST", "/dead-letters/discard", `{"ids":["x"]}`)
		if status != 200 || !strings.Contains(answer, `"failed":[{"id":"x","code":"`+want.code+`"`) || strings.Contains(answer, "secret") {
			t.Errorf("discard by id: got %d %s, want 200 with code %s", status, answer, want.code)
		}
	}
}

const orderID = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"

// putLetters stores dead letters with these ids. Their messages have every property.
func putLetters(t *testing.T, store ports.DeadLetters, ids ...string) {
	t.Helper()
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for i, id := range ids {
		failed := at.Add(time.Duration(i) * time.Minute)
		err := store.Put(t.Context(), ports.DeadLetter{
			ID: id,
			Message: ports.Message{
				ID: "m", ContentType: "text/plain", ContentEncoding: "gzip", CorrelationID: "c", ReplyTo: "r", Type: "t", AppID: "a", Timestamp: at,
			},
			Failure: ports.Failure{Reason: "no", Attempts: 1, FirstFailure: failed, LastFailure: failed},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestHandlerByOrder(t *testing.T) {
	store := new(memory.DeadLetters)
	putLetters(t, store, orderID+"-created", orderID+"-paid", "other")
	h := newHandler(t, newService(t, store, new(memory.Broker).DeadLetterQueue(), discard))
	upper := strings.ToUpper(orderID)
	checkAnswers(t, h, []exchange{
		{"GET", "/dead-letters?order_id=" + orderID, "", nil, 200, `^{"data":\[{"id":"` + orderID + `-created".*},{"id":"` + orderID + `-paid".*}\],`},
		{"GET", "/dead-letters?order_id=" + upper, "", nil, 200, `^{"data":\[{"id":"` + orderID + `-created".*},{"id":"` + orderID + `-paid".*}\],`},
		{"GET", "/dead-letters?order_id=" + orderID[:35] + "0", "", nil, 200, `^{"data":\[\],`},
		{"GET", "/dead-letters?order_id=x", "", nil, 422, `"field":"order_id","detail":"must be an order's id`},
		{"GET", "/dead-letters/" + upper + "-paid", "", nil, 200, `"id":"` + orderID + `-paid",.*"content_type":"text/plain","content_encoding":"gzip","correlation_id":"c","reply_to":"r","type":"t","app_id":"a","timestamp":"2026-11-23T10:00:00.000Z"`},
		{"GET", "/dead-letters/" + orderID, "", nil, 404, `order_id=`},
		{"POST", "/dead-letters/discard", `{"order_id":"x"}`, nil, 422, `"field":"order_id","detail":"must be an order's id`},
		{"POST", "/dead-letters/discard", `{"order_id":""}`, nil, 422, `"field":"order_id","detail":"must be an order's id`},
		{"POST", "/dead-letters/discard", `{"reason":"","all":true}`, nil, 422, `"field":"reason","detail":"must not be empty"`},
		{"POST", "/dead-letters/discard", `{"ids":[],"all":true}`, nil, 422, `"field":"ids","detail":"must be 1 to 1000 ids, each of 1 to 256 bytes"`},
		{"POST", "/dead-letters/discard", `{"all":true,"cursor":""}`, nil, 422, `"field":"cursor","detail":"must not be empty"`},
		{"POST", "/dead-letters/discard", `{"order_id":"` + orderID + `","all":true}`, nil, 422, `exactly one of`},
		{"POST", "/dead-letters/discard", `{"order_id":"` + upper + `"}`, nil, 200, `"matched":2,"done":2`},
		{"POST", "/dead-letters/restore", `{"ids":["` + upper + `-paid","` + orderID + `-paid"]}`, nil, 200, `"matched":1,"done":1`},
		{"GET", "/dead-letters", "", nil, 200, `^{"data":\[{"id":"` + orderID + `-paid".*},{"id":"other".*}\],`},
	})
}

func TestHandlerRecordsAuthor(t *testing.T) {
	store := new(memory.DeadLetters)
	putLetters(t, store, "l0")
	var log bytes.Buffer
	h := newHandler(t, newService(t, store, new(memory.Broker).DeadLetterQueue(), slog.New(slog.NewTextHandler(&log, nil))))
	longest := strings.Repeat("界", 128)
	for _, tt := range []struct {
		field string
		want  string // SettledBy; empty: 422
	}{
		{`,"by":"ann@desk"`, "ann@desk"},
		{``, "http 192.0.2.1"},
		{`,"by":"` + longest + `"`, longest},
		{`,"by":"` + longest + `界"`, ""},
		{`,"by":""`, ""},
		{`,"by":" "`, ""},
		{`,"by":"ann\n"`, ""},
		{`,"by":"\u009b2J"`, ""},
		{`,"by":"\u200b"`, ""},
		{`,"by":1`, ""},
	} {
		status, body := ask(h, "POST", "/dead-letters/discard", `{"ids":["l0"]`+tt.field+`}`)
		if tt.want == "" {
			if status != 422 || !strings.Contains(body, `"field":"by","detail":"must be `) {
				t.Errorf("%s: got %d %s, want 422", tt.field, status, body)
			}
			continue
		}
		letter, err := store.Get(t.Context(), "l0")
		if err != nil || status != 200 || letter.SettledBy != tt.want {
			t.Errorf("%s: got %d %s, settled by %q, error %v, want %q", tt.field, status, body, letter.SettledBy, err, tt.want)
		}
		if _, body := ask(h, "GET", "/dead-letters/l0", ""); !strings.Contains(body, `"settled_by":"`+tt.want+`"`) {
			t.Errorf("%s: GET answers %s", tt.field, body)
		}
		if line := "decision=discard id=l0 by="; !strings.Contains(log.String(), line) || !strings.Contains(log.String(), tt.want) {
			t.Errorf("%s: logged:\n%s", tt.field, log.String())
		}
		ask(h, "POST", "/dead-letters/restore", `{"ids":["l0"]}`)
		if _, body := ask(h, "GET", "/dead-letters/l0", ""); strings.Contains(body, "settled_by") {
			t.Errorf("%s: after restoring, GET answers %s", tt.field, body)
		}
	}
	if status, body := ask(h, "POST", "/dead-letters/discard", `{"ids":["l0"],"by":"\ud800"}`); status != 400 || !strings.Contains(body, `"field":"by"`) {
		t.Errorf("lone surrogate: got %d %s, want 400", status, body)
	}
}

// A request for an unreadable record gets its fault. A list skips and counts such
// records.
func TestHandlerUnreadableRecords(t *testing.T) {
	control := gomock.NewController(t)
	store := mocks.NewMockDeadLetters(control)
	h := newHandler(t, newService(t, store, mocks.NewMockDeadLetterQueue(control), discard))
	err := fmt.Errorf("get secret: %w", &ports.UnreadableError{ID: "x", Field: "attempts", Reason: "is a text"})
	store.EXPECT().Get(gomock.Any(), "x").Return(ports.DeadLetterRecord{}, err).Times(2)
	store.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.DeadLetterPage{Unreadable: 3}, nil).Times(4)

	const why = "the dead letter is stored, but can't be read: attempts is a text"
	status, body := ask(h, "GET", "/dead-letters/x", "")
	if status != 500 || !strings.Contains(body, `"detail":"`+why+`"`) || !strings.Contains(body, `"code":"unreadable","errors":[{"field":"attempts","detail":"is a text"}]`) || strings.Contains(body, "secret") {
		t.Errorf("GET: got %d %s", status, body)
	}
	status, body = ask(h, "POST", "/dead-letters/replay", `{"ids":["x"]}`)
	if status != 200 || !strings.Contains(body, `"failed":[{"id":"x","code":"unreadable","detail":"`+why+`"}]`) {
		t.Errorf("replay: got %d %s", status, body)
	}
	const all = `{"all":true}`
	for target, body := range map[string]string{
		"/dead-letters": "", "/dead-letters/replay": all, "/dead-letters/discard": all, "/dead-letters/restore": all,
	} {
		method := "GET"
		if body != "" {
			method = "POST"
		}
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := described.Do(h, r)
		if got := w.Header().Get("Unreadable-Records"); w.Code != 200 || got != "3" {
			t.Errorf("%s: got %d, header %q, want 200 and 3", target, w.Code, got)
		}
	}
}
