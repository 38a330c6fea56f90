package porttest

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

func listLettersClauses() []Clause[DeadLetters] {
	return []Clause[DeadLetters]{
		{"List of no letters is one empty page", listNoLetters},
		{"List returns the longest failing letters first, and of one time the lowest id", listLettersSorted},
		{"List of letters goes on where the page before ended, whatever the size of the pages", listLetterPages},
		{"List visits once each letter that is asked for, while others are put and settled", listLettersWhilePutting},
		{"List returns only letters of the state, where one is asked for", listLettersOfState},
		{"List returns only letters whose latest reason contains the text, byte by byte", listLettersOfReason},
		{"List returns only letters of both the state and the text, where both are asked for", listLettersOfBoth},
		{"List leaves out the message but its id, and nothing else", listLettersBare},
		{"List returns only letters of the order, where one is asked for", listLettersOfOrder},
		{"List of letters takes a limit out of range as the nearer end", listLettersLimit},
		{"List of letters refuses a cursor that it did not give out", listLettersInvalidCursor},
	}
}

// tiedLetters returns count letters, five of each time, in no order.
func tiedLetters(n, count int) []ports.DeadLetter {
	list := make([]ports.DeadLetter, count)
	for i := range list {
		list[i] = nthLetter(n + i)
		list[i].Failures[0].FirstFailure = epoch.Add(time.Duration((n+i)*7%count/5) * time.Millisecond)
	}
	return list
}

// sortedLetters returns the letters, which are kept, as List has them.
func sortedLetters(letters []ports.DeadLetter) []ports.DeadLetter {
	return slices.SortedFunc(slices.Values(letters), func(a, b ports.DeadLetter) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
}

// putAllLetters puts the letters, many at once, and returns them as List has
// them.
func putAllLetters(t testing.TB, store ports.DeadLetters, letters []ports.DeadLetter) []ports.DeadLetter {
	t.Helper()
	const callers = 32
	ctx := bounded(t)
	kept := make([]ports.DeadLetter, len(letters))
	together(callers, func(c int) {
		for i := c; i < len(letters); i += callers {
			kept[i] = putAs(letters[i])
			if err := store.Put(ctx, letters[i]); err != nil {
				t.Errorf("put dead letter %s: %v", letters[i].ID, err)
				return
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return sortedLetters(kept)
}

func listNoLetters(t testing.TB, d DeadLetters) {
	for _, query := range []ports.DeadLetterQuery{{Limit: 10}, {State: ports.Waiting, Limit: 10}, {Reason: "r", Limit: 10}} {
		page, err := d.Letters.List(bounded(t), query)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Letters) != 0 || page.NextCursor != "" {
			t.Errorf("list %+v: %+v, want an empty page", query, page)
		}
	}
}

func listLettersSorted(t testing.TB, d DeadLetters) {
	letters := append(hardLetters(), tiedLetters(100, 20)...)
	for _, id := range []string{"B", "a", "b", "A", "\u00e4", "z", "a b", "a-b", "ab", "\uffff", "\U0001F6D2", ""} {
		letter := nthLetter(200)
		letter.ID = id
		letters = append(letters, letter)
	}
	checkLetters(t, d, ports.DeadLetterQuery{Limit: ports.MaxListLimit}, putAllLetters(t, d.Letters, letters)...)
}

func listLetterPages(t testing.TB, d DeadLetters) {
	letters := tiedLetters(1, 20)
	sorted := putAllLetters(t, d.Letters, letters)
	for _, limit := range []int{1, 2, 5, 7, 19, 20, 21} {
		for _, query := range []ports.DeadLetterQuery{{}, {State: ports.Waiting}, {Reason: "reason"}} {
			query.Limit = limit
			checkLetters(t, d, query, sorted...)
		}
	}
}

func listLettersWhilePutting(t testing.TB, d DeadLetters) {
	for i, query := range []ports.DeadLetterQuery{{}, {State: ports.Waiting}, {Reason: "reason"}} {
		query.Limit = 4
		n := 1000 * (i + 1) // letters of their own for each
		before := putAllLetters(t, d.Letters, tiedLetters(n, 25))
		leaves := before[12:14] // what is settled meanwhile need not be listed
		put := n + 100
		got := listLetters(t, d.Letters, query, func() {
			if put >= n+140 {
				return
			}
			more := tiedLetters(put, 25)[:5] // among those that are there
			more[0].Failures[0].FirstFailure = epoch.Add(time.Hour)
			more[1].Failures[0].FirstFailure = epoch.Add(-time.Hour)
			put += len(more)
			putAllLetters(t, d.Other, more)
			putInto(t, d.Other, failing(more[4], nthFailure(n+500)), ports.Discarded)
			for _, letter := range before[:2] { // which fail again and again, and stay what they are
				putLetters(t, d.Other, failing(letter, nthFailure(put)))
			}
			for _, letter := range leaves {
				settle(t, d.Other, getLetter(t, d.Other, letter.ID), ports.Replayed)
			}
		})
		count := map[string]int{}
		for _, letter := range got {
			if count[letter.ID]++; count[letter.ID] > 1 {
				t.Errorf("list %+v: letter %s was listed %d times", query, letter.ID, count[letter.ID])
			}
		}
		for _, letter := range append(slices.Clone(before[:12]), before[14:]...) {
			if count[letter.ID] == 0 {
				t.Errorf("list %+v: letter %s, there all the while, was not listed", query, letter.ID)
			}
		}
		if !slices.EqualFunc(got, sortedLetters(got), func(a, b ports.DeadLetter) bool { return a.ID == b.ID }) {
			t.Errorf("list %+v: pages are not oldest first", query)
		}
	}
}

func listLettersOfState(t testing.TB, d DeadLetters) {
	of := map[ports.DeadLetterState][]ports.DeadLetter{}
	for n := range 15 {
		state := letterStates[n*2%3]
		letter := putInto(t, d.Letters, nthLetter(n), state)
		of[state] = append(of[state], letter)
		of[""] = append(of[""], letter)
	}
	for state, want := range of {
		checkLetters(t, d, ports.DeadLetterQuery{State: state, Limit: 2}, want...)
	}
}

func listLettersOfReason(t testing.TB, d DeadLetters) {
	var letters []ports.DeadLetter
	for n, reason := range []string{
		"connect: time out", "Connect: Time Out", "a.b", "axb", "a*b", "$done", "50 % $reason", "(open", `back\slash`, `back\\slash`,
		"", "two\nlines", "\u00e4rger", "a\u0308rger", "\U0001F6D2", "^start", "[a-z]", `{"$ne":""}`, " ",
	} {
		letter := nthLetter(n)
		letter.Failures[0].Reason = reason
		letters = append(letters, letter)
		putLetters(t, d.Letters, letter)
	}
	again := nthLetter(100)
	putLetters(t, d.Letters, again)
	again = failing(again, nthFailure(101))
	putLetters(t, d.Letters, again)
	letters = append(letters, again)

	for _, text := range []string{
		"time", "Time", "time out", ".", "a.b", "a*b", "axb", ".*", "$", "$done", "$reason", "(", `\`, `\\`, "\n", "two\nlines", "s\nl", "\u00e4",
		"a\u0308", "\u0308", "a", "\U0001F6D2", "^", "[a-z]", `{"$ne":""}`, " ", "nowhere", nthFailure(100).Reason, nthFailure(101).Reason,
	} {
		var want []ports.DeadLetter
		for _, letter := range letters {
			if strings.Contains(letter.Failures[0].Reason, text) {
				want = append(want, getLetter(t, d.Letters, letter.ID))
			}
		}
		checkLetters(t, d, ports.DeadLetterQuery{Reason: text, Limit: 2}, want...)
	}
}

func listLettersOfBoth(t testing.TB, d DeadLetters) {
	var want []ports.DeadLetter
	for n := range 18 {
		letter := nthLetter(n)
		letter.Failures[0].Reason = []string{"time out", "refused"}[n%2]
		state := letterStates[n%3]
		kept := putInto(t, d.Letters, letter, state)
		if n%2 == 0 && state == ports.Discarded {
			want = append(want, kept)
		}
	}
	for _, limit := range []int{1, 2, 10} {
		checkLetters(t, d, ports.DeadLetterQuery{State: ports.Discarded, Reason: "time", Limit: limit}, want...)
	}
}

// An order has more letters than one if another system's events are about it.
func listLettersOfOrder(t testing.TB, d DeadLetters) {
	order, neighbour := orderID(1), orderID(2)
	of := map[domain.OrderID][]ports.DeadLetter{}
	for n, id := range []string{
		string(order) + "-created", string(order), string(order) + "-", string(order) + "-a.b$c", string(order) + "x-created", "x" + string(order) + "-created",
		string(neighbour) + "-created", "unreadable-" + string(order), string(order) + ".created", string(order) + "-\U0001F6D2", string(order)[:35] + "-created",
	} {
		letter := nthLetter(n)
		letter.ID = id
		letter = putInto(t, d.Letters, letter, letterStates[n%3])
		for _, o := range []domain.OrderID{order, neighbour} {
			if strings.HasPrefix(id, string(o)+"-") {
				of[o] = append(of[o], letter)
			}
		}
	}
	for _, limit := range []int{1, 2, 10} {
		checkLetters(t, d, ports.DeadLetterQuery{OrderID: order, Limit: limit}, of[order]...)
		checkLetters(t, d, ports.DeadLetterQuery{OrderID: neighbour, Limit: limit}, of[neighbour]...)
		checkLetters(t, d, ports.DeadLetterQuery{OrderID: orderID(3), Limit: limit})
	}
	for _, state := range letterStates {
		want := slices.DeleteFunc(slices.Clone(of[order]), func(l ports.DeadLetter) bool { return l.State != state })
		checkLetters(t, d, ports.DeadLetterQuery{OrderID: order, State: state, Limit: 1}, want...)
	}
	one := of[order][0]
	checkLetters(t, d, ports.DeadLetterQuery{OrderID: order, Reason: one.Failures[0].Reason, Limit: 1}, one)
	checkLetters(t, d, ports.DeadLetterQuery{OrderID: neighbour, Reason: one.Failures[0].Reason, Limit: 1})
}

func listLettersBare(t testing.TB, d DeadLetters) {
	for n, letter := range hardLetters() {
		kept := putInto(t, d.Letters, letter, letterStates[n%3])
		page, err := d.Letters.List(bounded(t), ports.DeadLetterQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(page.Letters, func(l ports.DeadLetter) bool { return l.ID == letter.ID })
		if i < 0 {
			t.Fatalf("list: letter %q is not there", letter.ID)
		}
		checkListed(t, kept, page.Letters[i])
	}
}

func listLettersLimit(t testing.TB, d DeadLetters) {
	letters := make([]ports.DeadLetter, ports.MaxListLimit+2)
	for i := range letters {
		letters[i] = nthLetter(i)
	}
	sorted := putAllLetters(t, d.Letters, letters)
	for limit, nearer := range map[int]int{
		0: 1, -1: 1, -1 << 31: 1,
		ports.MaxListLimit + 1: ports.MaxListLimit, 1<<31 - 1: ports.MaxListLimit,
	} {
		page, err := d.Letters.List(bounded(t), ports.DeadLetterQuery{Limit: limit})
		if err != nil {
			t.Fatalf("list with limit %d: %v", limit, err)
		}
		sameID := func(a, b ports.DeadLetter) bool { return a.ID == b.ID }
		if !slices.EqualFunc(sorted[:nearer], page.Letters, sameID) || page.NextCursor == "" {
			t.Errorf("list with limit %d: %d letters, cursor %q; want the first %d, and a cursor",
				limit, len(page.Letters), page.NextCursor, nearer)
		}
	}
}

func listLettersInvalidCursor(t testing.TB, d DeadLetters) {
	putLetters(t, d.Letters, nthLetter(1), nthLetter(2), nthLetter(3))
	page, err := d.Letters.List(bounded(t), ports.DeadLetterQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	given := page.NextCursor
	if given == "" {
		t.Fatal("no cursor on the first page of three")
	}
	for _, cursor := range []string{
		"x", "0", "1", "AAAA", "AAAAAAAAAAAAAAAA", "!!", " ", "null", "{}", "\xff", "\u00e9",
		nthLetter(1).ID, given[1:], given[:len(given)-1], given[:len(given)-4], given + given, given + "=", given + "AAAA",
	} {
		page, err := d.Letters.List(bounded(t), ports.DeadLetterQuery{Limit: 1, Cursor: cursor})
		if !errors.Is(err, ports.ErrInvalidCursor) {
			t.Errorf("cursor %q: error %v, want one that wraps %q", cursor, err, ports.ErrInvalidCursor)
		}
		if len(page.Letters) > 0 || page.NextCursor != "" {
			t.Errorf("cursor %q: got %+v beside the error", cursor, page)
		}
	}
}
