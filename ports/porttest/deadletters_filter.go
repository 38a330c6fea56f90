package porttest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// mixedLetters puts letters that differ in everything that a query selects by, and returns
// their records in List's order.
func mixedLetters(t testing.TB, d DeadLetters) []ports.DeadLetterRecord {
	t.Helper()
	var all []ports.DeadLetterRecord
	for n := range 48 {
		letter := nthLetter(n)
		letter.Message = eventMessage(newOrder(n, []string{"ann", "Ann", "bob"}[n%3], "a product", 1, epoch).Created())
		letter.Message.Headers["ce-type"] = []string{"order.created", "order.other"}[n/3%2]
		letter.Subscription = []string{"", "mail", "Mail", "web"}[n/2%4]
		letter.ID = strings.TrimSuffix(letter.Message.ID+"."+letter.Subscription, ".")
		letter.Failure.Reason = []string{"550 no such user u%d", "time out after %d s", "Time out"}[n/5%3]
		if strings.Contains(letter.Failure.Reason, "%d") {
			letter.Failure.Reason = fmt.Sprintf(letter.Failure.Reason, n)
		}
		letter.Failure.FirstFailure = epoch.Add(time.Duration(n/4) * time.Minute)
		all = append(all, putInto(t, d.Letters, letter, letterStates[n/7%3]))
	}
	return sortedLetters(all)
}

// mixedQueries select some of the mixed letters by each field, and by several.
func mixedQueries() []ports.DeadLetterQuery {
	main, mail, other, none := "", "mail", "Mail", "nowhere"
	at := func(minute int) time.Time { return epoch.Add(time.Duration(minute) * time.Minute) }
	group := ports.ReasonGroup("550 no such user u7")
	return []ports.DeadLetterQuery{
		{}, {Subscription: &main}, {Subscription: &mail}, {Subscription: &other}, {Subscription: &none},
		{EventType: "order.created"}, {EventType: "order"}, {UserID: "ann"}, {UserID: "Ann"}, {UserID: "an"}, {UserID: `{"$ne":""}`},
		{Group: group}, {Group: ports.ReasonGroup("time out after 7 s")}, {Group: "time out"}, {Group: "Time out"},
		{From: at(3)}, {To: at(3)}, {From: at(3), To: at(9)}, {From: at(3).Add(time.Microsecond)}, {To: at(3).Add(time.Microsecond)}, {From: at(9), To: at(3)},
		{Reason: "user u1"}, {OrderID: orderID(5)}, {OrderID: orderID(5), UserID: "bob", EventType: "order.other"}, {OrderID: orderID(5), UserID: "ann"},
		{State: ports.Waiting, Subscription: &mail}, {State: ports.Waiting, Subscription: &mail, Group: group}, {State: ports.Discarded, Group: group},
		{Subscription: &main, Group: group, From: at(1), To: at(11)}, {State: ports.Replayed, UserID: "ann"}, {UserID: "ann", Subscription: &mail, To: at(9)},
		{State: ports.Waiting, EventType: "order.created", From: at(1), Reason: "550"}, {Subscription: &mail, Reason: "time", EventType: "order.other"},
		{State: ports.Waiting, Subscription: &mail, Group: group, From: at(2), To: at(8), UserID: "ann", EventType: "order.created", Reason: "no such"},
	}
}

// isSelected reports whether the query selects the record.
func isSelected(record ports.DeadLetterRecord, query ports.DeadLetterQuery) bool {
	reason := record.LatestFailure().Reason
	is := func(wanted, got string) bool { return wanted == "" || wanted == got }
	return is(string(query.State), string(record.State)) && is(query.EventType, record.EventType) && is(query.UserID, record.UserID) &&
		is(query.Group, ports.ReasonGroup(reason)) && strings.Contains(reason, query.Reason) &&
		(query.Subscription == nil || record.Subscription == *query.Subscription) &&
		(query.OrderID == "" || strings.HasPrefix(record.ID, string(query.OrderID)+"-")) &&
		!record.Since.Before(query.From) && (query.To.IsZero() || record.Since.Before(query.To))
}

func selectedLetters(all []ports.DeadLetterRecord, query ports.DeadLetterQuery) []ports.DeadLetterRecord {
	return slices.DeleteFunc(slices.Clone(all), func(r ports.DeadLetterRecord) bool { return !isSelected(r, query) })
}

// groupsOf returns the groups of the records.
func groupsOf(records []ports.DeadLetterRecord) ports.DeadLetterGroups {
	all := ports.DeadLetterGroups{Total: len(records)}
	for _, record := range records {
		reason := ports.ReasonGroup(record.LatestFailure().Reason)
		i := slices.IndexFunc(all.Groups, func(g ports.DeadLetterGroup) bool {
			return g.Subscription == record.Subscription && g.Reason == reason
		})
		if i < 0 {
			i = len(all.Groups)
			all.Groups = append(all.Groups, ports.DeadLetterGroup{Subscription: record.Subscription, Reason: reason, Oldest: record.Since, Newest: record.Since})
		}
		g := &all.Groups[i]
		g.Count++
		if record.Since.Before(g.Oldest) {
			g.Oldest = record.Since
		}
		if record.Since.After(g.Newest) {
			g.Newest = record.Since
		}
	}
	slices.SortFunc(all.Groups, func(a, b ports.DeadLetterGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Subscription, b.Subscription), strings.Compare(a.Reason, b.Reason))
	})
	if len(all.Groups) > ports.MaxDeadLetterGroups {
		all.Groups, all.More = all.Groups[:ports.MaxDeadLetterGroups], true
	}
	return all
}

// checkGroups fails t unless both processes return these groups.
func checkGroups(t testing.TB, d DeadLetters, query ports.DeadLetterQuery, want ports.DeadLetterGroups) {
	t.Helper()
	for _, store := range []ports.DeadLetters{d.Letters, d.Other} {
		got, err := store.Groups(bounded(t), query)
		must(t, fmt.Sprintf("group %+v", query), err)
		checkEqual(t, fmt.Sprintf("groups of %+v", query), want, got)
	}
}

var deadLettersFilter = []Clause[DeadLetters]{
	{"a record has the type and the user of the message's event, unless they break a rule", func(t testing.TB, d DeadLetters) {
		type described struct{ eventType, userID string }
		for n, tt := range []struct {
			header, body string
			want         described
		}{
			{"order.created", `{"user_id":"ann"}`, described{"order.created", "ann"}},
			{"", `{"user_id":"z\u00f6e"}`, described{"", "z\u00f6e"}},
			{"a type", `{"user_id":"ann"`, described{"a type", ""}},
			{"a\ntype", `{"user_id":7}`, described{}},
			{strings.Repeat("t", ports.MaxEventType), `{"user_id":"` + strings.Repeat("\u00fc", domain.MaxUserID) + `"}`,
				described{strings.Repeat("t", ports.MaxEventType), strings.Repeat("\u00fc", domain.MaxUserID)}},
			{strings.Repeat("t", ports.MaxEventType+1), `{"user_id":"` + strings.Repeat("u", domain.MaxUserID+1) + `"}`, described{}},
			{"\xff", `["ann"]`, described{}},
			{"order.created", `{"user_id":"a\u0000b"}`, described{"order.created", ""}},
		} {
			letter := nthLetter(n)
			letter.Message.Headers = map[string]string{"ce-type": tt.header}
			letter.Message.Body = []byte(tt.body)
			put(t, d.Letters, letter)
			got := getLetter(t, d.Other, letter.ID)
			if (described{got.EventType, got.UserID}) != tt.want {
				t.Errorf("record of an event of type %.20q with body %.50q: type %.20q and user %.20q, want %.20q", tt.header, tt.body, got.EventType, got.UserID, tt.want)
			}
			checkListed(t, d.Letters, ports.DeadLetterQuery{Limit: 100}, got)
		}
	}},

	{"List returns only letters that match every field of the query", func(t testing.TB, d DeadLetters) {
		all := mixedLetters(t, d)
		for _, query := range mixedQueries() {
			for _, limit := range []int{3, 100} {
				query.Limit = limit
				checkLetters(t, d, query, selectedLetters(all, query)...)
			}
		}
	}},
}

var deadLettersGroups = []Clause[DeadLetters]{
	{"Groups counts the letters that match by subscription and group of reason, the largest first", func(t testing.TB, d DeadLetters) {
		checkGroups(t, d, ports.DeadLetterQuery{}, ports.DeadLetterGroups{})
		all := mixedLetters(t, d)
		for _, query := range mixedQueries() {
			query.Limit, query.Cursor = 1, "ignored"
			checkGroups(t, d, query, groupsOf(selectedLetters(all, query)))
		}
	}},

	{"Groups follows a letter that is settled, fails again for another reason, or is forgotten", func(t testing.TB, d DeadLetters) {
		letter := nthLetter(1)
		letter.Message = eventMessage(event(1))
		letter.ID, letter.Failure.Reason = letter.Message.ID, "time out"
		put(t, d.Letters, letter)
		check := func() {
			t.Helper()
			record := getLetter(t, d.Letters, letter.ID)
			for _, query := range []ports.DeadLetterQuery{
				{}, {State: ports.Waiting}, {State: ports.Discarded}, {UserID: "user"}, {Group: "time out"}, {Group: "refused"}, {Group: "earlier"},
			} {
				want := selectedLetters([]ports.DeadLetterRecord{record}, query)
				checkGroups(t, d, query, groupsOf(want))
				query.Limit = 10
				checkLetters(t, d, query, want...)
			}
		}
		check()
		settle(t, d.Other, getLetter(t, d.Letters, letter.ID), ports.Discarded)
		check()
		for n, reason := range map[int]string{5: "refused", -5: "earlier"} {
			failure := nthFailure(n)
			failure.Reason = reason
			put(t, d.Other, failing(letter, failure))
			check()
		}
		forgetLetters(t, d.Letters, "user", 1)
		check()
	}},

	{"Groups returns MaxDeadLetterGroups groups, and the total of all", func(t testing.TB, d DeadLetters) {
		var letters []ports.DeadLetter
		for n := range ports.MaxDeadLetterGroups + 3 {
			letter := nthLetter(n)
			letter.Failure.Reason = strings.Repeat("x", n/26+1) + string(rune('a'+n%26))
			letters = append(letters, letter)
		}
		last := len(letters) - 1
		letters = append(letters, failing(nthLetter(1000), letters[last].Failure)) // its group has two
		records := putSorted(t, d.Letters, letters...)
		checkGroups(t, d, ports.DeadLetterQuery{}, groupsOf(records))
	}},

	{"after the retention, Groups does not count a letter", func(t testing.TB, d DeadLetters) {
		for n, state := range letterStates {
			letter := nthLetter(n)
			letter.Subscription = "grouped"
			putInto(t, d.Forgetful, letter, state)
		}
		grouped := "grouped"
		eventually(t, "the groups have no settled letters", func() bool {
			groups, err := d.Forgetful.Groups(bounded(t), ports.DeadLetterQuery{Subscription: &grouped})
			must(t, "group dead letters", err)
			return groups.Total == 1
		})
	}},

	{"Groups with an ended context returns its error", func(t testing.TB, d DeadLetters) {
		checkEnded(t, "Groups", func(ctx context.Context) error { return errorOf(d.Letters.Groups(ctx, ports.DeadLetterQuery{})) })
	}},
}
