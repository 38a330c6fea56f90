package operators

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// All pages are listed by default, with a sum at the end.
func TestListNotifications(t *testing.T) {
	const all = 2500
	get := func(query ports.NotificationQuery) (page notificationPage, err error) {
		from := 0
		if query.Cursor != "" {
			if from, err = strconv.Atoi(query.Cursor); err != nil {
				return page, err
			}
		}
		to := min(from+query.Limit, all)
		for i := from; i < to; i++ {
			view := notification.UndeliveredView{View: notification.View{OrderID: domain.OrderID(fmt.Sprint(i)), Channel: "email", State: domain.Held}}
			if i%100 == 0 {
				view.Channel, view.State, view.NextTry = "webhook", domain.Retrying, "soon"
			} else if i%100 == 1 {
				view.State = domain.Dead
			}
			page.views = append(page.views, view)
		}
		if to < all {
			page.cursor = fmt.Sprint(to)
		}
		return page, nil
	}
	for _, tt := range []struct {
		limit, lines, resumed int
		sum                   string
	}{
		{0, all, 2450, "email: 2450 held, 25 dead; webhook: 25 retrying\n"},
		{150, 150, 146, "email: 146 held, 2 dead; webhook: 2 retrying\nthere may be more than --limit=150; without the flag, all are listed\n"},
		{all, all, 2450, "email: 2450 held, 25 dead; webhook: 25 retrying\n"},
	} {
		var out, errs bytes.Buffer
		s := session{out: bufio.NewWriter(&out), err: &errs}
		if err := (selectNotifications{Limit: tt.limit}).printPages(s, ports.NotificationQuery{}, get); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(out.String(), "\n") - 1; lines != tt.lines || errs.String() != tt.sum {
			t.Errorf("limit %d: %d lines and %q, want %d and %q", tt.limit, lines, errs.String(), tt.lines, tt.sum)
		}
		if resumed := strings.Count(out.String(), "  when resumed"); resumed != tt.resumed {
			t.Errorf("limit %d: %d wait until they are resumed, want %d", tt.limit, resumed, tt.resumed)
		}
	}
	if got := make(sums).String(); got != "no notifications" {
		t.Errorf("of nothing: %q", got)
	}
}

// The reason of a pause follows its beginning.
func TestPrintReasonOfPause(t *testing.T) {
	for reason, want := range map[string]string{"": "manual since noon: no reason was given\n", "moving": "manual since noon: moving\n"} {
		var out bytes.Buffer
		s := session{out: bufio.NewWriter(&out)}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		selectNotifications{}.print(s, table, notification.UndeliveredView{
			View: notification.View{Reason: reason}, Pause: &notification.PauseView{Kind: "manual", Since: "noon"},
		})
		if err := errors.Join(table.Flush(), s.flush()); err != nil || !strings.HasSuffix(out.String(), want) {
			t.Errorf("got %q, %v, want %q at the end", out.String(), err, want)
		}
	}
}
