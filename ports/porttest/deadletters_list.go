package porttest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// tiedLetters returns count letters, five of each time, unsorted.
func tiedLetters(n, count int) []ports.DeadLetter {
	list := make([]ports.DeadLetter, count)
	for i := range list {
		list[i] = nthLetter(n + i)
		list[i].Failure.FirstFailure = epoch.Add(time.Duration((n+i)*7%count/5) * time.Millisecond)
	}
	return list
}

// sortedLetters returns the records in List's order.
func sortedLetters(letters []ports.DeadLetterRecord) []ports.DeadLetterRecord {
	return slices.SortedFunc(slices.Values(letters), func(a, b ports.DeadLetterRecord) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
}

// putSorted puts the letters, and returns their records in List's order.
func putSorted(t testing.TB, store ports.DeadLetters, letters ...ports.DeadLetter) []ports.DeadLetterRecord {
	t.Helper()
	put(t, store, letters...)
	kept := make([]ports.DeadLetterRecord, len(letters))
	for i, letter := range letters {
		kept[i] = putAs(letter)
	}
	return sortedLetters(kept)
}

func listerOfLetters() lister[DeadLetters, ports.DeadLetterQuery, ports.DeadLetterRecord] {
	return lister[DeadLetters, ports.DeadLetterQuery, ports.DeadLetterRecord]{
		items:   "dead letters",
		queries: []ports.DeadLetterQuery{{}, {State: ports.Waiting}, {Reason: "reason"}},
		with: func(query ports.DeadLetterQuery, limit int, cursor string) ports.DeadLetterQuery {
			query.Limit, query.Cursor = limit, cursor
			return query
		},
		fill: func(t testing.TB, d DeadLetters, count int) []ports.DeadLetterRecord {
			return putSorted(t, d.Letters, tiedLetters(1, count)...)
		},
		page: func(ctx context.Context, d DeadLetters, query ports.DeadLetterQuery) ([]ports.DeadLetterRecord, string, error) {
			page, err := d.Letters.List(ctx, query)
			return page.Records, page.NextCursor, err
		},
		check: checkLetters,
		id:    func(letter ports.DeadLetterRecord) string { return letter.ID },
	}
}

// listLetters returns the letters of all the query's pages.
func listLetters(t testing.TB, store ports.DeadLetters, query ports.DeadLetterQuery) []ports.DeadLetterRecord {
	t.Helper()
	return listerOfLetters().follow(t, DeadLetters{Letters: store}, query, query.Limit, func() {})
}

var deadLettersList = append(listerOfLetters().clauses(), []Clause[DeadLetters]{
	{"List sorts letters by their first failure, the earliest first, and by id within one time", func(t testing.TB, d DeadLetters) {
		letters := append(hardLetters(), tiedLetters(100, 20)...)
		for _, id := range []string{"B", "a", "b", "A", "\u00e4", "z", "a b", "a-b", "ab", "\uffff", "\U0001F6D2", ""} {
			letter := nthLetter(200)
			letter.ID = id
			letters = append(letters, letter)
		}
		checkLetters(t, d, ports.DeadLetterQuery{Limit: ports.MaxListLimit}, putSorted(t, d.Letters, letters...)...)
	}},

	{"List returns each letter that matches throughout once, while others are put and settled", func(t testing.TB, d DeadLetters) {
		for i, query := range listerOfLetters().queries {
			n := 1000 * (i + 1) // other letters for each query
			before := putSorted(t, d.Letters, tiedLetters(n, 25)...)
			leaves := before[12:14] // settled meanwhile, so they need not be listed
			added := n + 100
			got := listerOfLetters().follow(t, d, query, 4, func() {
				if added >= n+140 {
					return
				}
				more := tiedLetters(added, 25)[:5] // sorted among the letters before
				more[0].Failure.FirstFailure = epoch.Add(time.Hour)
				more[1].Failure.FirstFailure = epoch.Add(-time.Hour)
				added += len(more)
				put(t, d.Other, more...)
				putInto(t, d.Other, failing(more[4], nthFailure(n+500)), ports.Discarded)
				for _, letter := range before[:2] { // which fail again and again, and stay in place
					put(t, d.Other, failingAgain(letter, nthFailure(added)))
				}
				for _, letter := range leaves {
					settle(t, d.Other, getLetter(t, d.Other, letter.ID), ports.Replayed)
				}
			})
			checkVisited(t, query, listerOfLetters().id, got, sortedLetters(got), slices.Concat(before[:12], before[14:]))
		}
	}},

	{"List returns only letters of the state, if the query has one", func(t testing.TB, d DeadLetters) {
		of := map[ports.DeadLetterState][]ports.DeadLetterRecord{}
		for n := range 15 {
			state := letterStates[n*2%3]
			letter := putInto(t, d.Letters, nthLetter(n), state)
			of[state] = append(of[state], letter)
			of[""] = append(of[""], letter)
		}
		for state, want := range of {
			checkLetters(t, d, ports.DeadLetterQuery{State: state, Limit: 2}, want...)
		}
	}},

	{"List returns only letters whose latest reason contains the query's, byte by byte", func(t testing.TB, d DeadLetters) {
		var letters []ports.DeadLetter
		for n, reason := range []string{
			"connect: time out", "Connect: Time Out", "a.b", "axb", "a*b", "$done", "50 % $reason", "(open", `back\slash`, `back\\slash`,
			"", "two\nlines", "\u00e4rger", "a\u0308rger", "\U0001F6D2", "^start", "[a-z]", `{"$ne":""}`, " ",
		} {
			letter := nthLetter(n)
			letter.Failure.Reason = reason
			letters = append(letters, letter)
		}
		put(t, d.Letters, append(letters, nthLetter(100))...)
		again := failing(nthLetter(100), nthFailure(101))
		put(t, d.Letters, again)
		letters = append(letters, again)

		for _, text := range []string{
			"time", "Time", "time out", ".", "a.b", "a*b", "axb", ".*", "$", "$done", "$reason", "(", `\`, `\\`, "\n", "two\nlines", "s\nl", "\u00e4",
			"a\u0308", "\u0308", "a", "\U0001F6D2", "^", "[a-z]", `{"$ne":""}`, " ", "nowhere", nthFailure(100).Reason, nthFailure(101).Reason,
		} {
			var want []ports.DeadLetterRecord
			for _, letter := range letters {
				if strings.Contains(letter.Failure.Reason, text) {
					want = append(want, getLetter(t, d.Letters, letter.ID))
				}
			}
			checkLetters(t, d, ports.DeadLetterQuery{Reason: text, Limit: 2}, want...)
		}
	}},

	{"List returns only letters of both the state and the reason, if the query has both", func(t testing.TB, d DeadLetters) {
		var want []ports.DeadLetterRecord
		for n := range 18 {
			letter := nthLetter(n)
			letter.Failure.Reason = []string{"time out", "refused"}[n%2]
			state := letterStates[n%3]
			kept := putInto(t, d.Letters, letter, state)
			if n%2 == 0 && state == ports.Discarded {
				want = append(want, kept)
			}
		}
		for _, limit := range []int{1, 2, 10} {
			checkLetters(t, d, ports.DeadLetterQuery{State: ports.Discarded, Reason: "time", Limit: limit}, want...)
		}
	}},

	// An order has several letters if another system publishes events of it.
	{"List returns only letters of the order, if the query has one", func(t testing.TB, d DeadLetters) {
		order, neighbour := orderID(1), orderID(2)
		of := map[domain.OrderID][]ports.DeadLetterRecord{}
		for n, id := range []string{
			string(order) + "-created", string(order), string(order) + "-", string(order) + "-a.b$c", string(order) + "x-created", "x" + string(order) + "-created",
			string(neighbour) + "-created", "unreadable-" + string(order), string(order) + ".created", string(order) + "-\U0001F6D2", string(order)[:35] + "-created",
		} {
			letter := nthLetter(n)
			letter.ID = id
			record := putInto(t, d.Letters, letter, letterStates[n%3])
			for _, o := range []domain.OrderID{order, neighbour} {
				if strings.HasPrefix(id, string(o)+"-") {
					of[o] = append(of[o], record)
				}
			}
		}
		for _, limit := range []int{1, 2, 10} {
			for _, o := range []domain.OrderID{order, neighbour, orderID(3)} {
				checkLetters(t, d, ports.DeadLetterQuery{OrderID: o, Limit: limit}, of[o]...)
			}
		}
		for _, state := range letterStates {
			want := slices.DeleteFunc(slices.Clone(of[order]), func(l ports.DeadLetterRecord) bool { return l.State != state })
			checkLetters(t, d, ports.DeadLetterQuery{OrderID: order, State: state, Limit: 1}, want...)
		}
		one := of[order][0]
		checkLetters(t, d, ports.DeadLetterQuery{OrderID: order, Reason: one.Failures[0].Reason, Limit: 1}, one)
		checkLetters(t, d, ports.DeadLetterQuery{OrderID: neighbour, Reason: one.Failures[0].Reason, Limit: 1})
	}},

	{"List omits the message except its id, and nothing else", func(t testing.TB, d DeadLetters) {
		for n, letter := range hardLetters() {
			checkListed(t, d.Letters, ports.DeadLetterQuery{Limit: 100}, putInto(t, d.Letters, letter, letterStates[n%3]))
		}
	}},
}...)
