package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/ports"
)

// The letters of a file of version 4 get their types, users and groups. What can't be read
// stays as it is.
func TestLettersOfAnEarlierVersionAreDescribed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	execute(t, path, strings.Join(steps[:4], ";")+`;
		INSERT INTO dead_letters VALUES
			('a', 'mail', 'm', 'waiting', 1, NULL, '', '[{"reason":"old","attempts":1,"first_failure":"2026-11-23T10:00:00Z","last_failure":"2026-11-23T10:00:00Z"},
				{"reason":"550 no user u7","attempts":1,"first_failure":"2026-11-23T11:00:00Z","last_failure":"2026-11-23T11:00:00Z"}]',
				'{"id":"m","headers":{"ce-type":"order.created"}}', CAST('{"user_id":"ann"}' AS BLOB)),
			('b', '', 'm', 'waiting', 2, NULL, '', '?', '?', x'ff');
		PRAGMA application_id = 0x6f726472; PRAGMA user_version = 4`)
	s := openInside(t, path, Options{})
	got, err := s.DeadLetters().Get(t.Context(), "a")
	if err != nil || got.EventType != "order.created" || got.UserID != "ann" || len(got.Failures) != 2 || string(got.Message.Body) != `{"user_id":"ann"}` {
		t.Errorf("%+v, error %v", got, err)
	}
	var groups []string
	all, err := s.DeadLetters().Groups(t.Context(), ports.DeadLetterQuery{})
	for _, g := range all.Groups {
		groups = append(groups, g.Subscription+": "+g.Reason)
	}
	if diff := cmp.Diff([]string{": ", "mail: 550 no user …"}, groups); diff != "" || err != nil {
		t.Errorf("error %v, groups (-want +got):\n%s", err, diff)
	}
	if page, err := s.DeadLetters().List(t.Context(), ports.DeadLetterQuery{UserID: "ann", Limit: 10}); err != nil || len(page.Records) != 1 {
		t.Errorf("%d letters of the user, error %v", len(page.Records), err)
	}
	if names := rowsOf(t, path, "SELECT name FROM sqlite_schema WHERE name LIKE 'old%'"); len(names) > 0 {
		t.Errorf("the file still has %v", names)
	}
}

func TestSweepOfActions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	s := openInside(t, path, Options{})
	const old = sweepActions + 1
	execute(t, path, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 502)
		INSERT INTO operator_actions SELECT i, iif(i > 501, unixepoch() * 1000, i), 'ann', 'replay', '', '', NULL, 'unknown', 0, '' FROM n`)
	if err := s.OperatorActions().sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := rowsOf(t, path, "SELECT id FROM operator_actions"); len(left) != 1 || left[0] != "502" {
		t.Errorf("after the sweep of %d actions, %d are left", old, len(left))
	}
}

// A list skips and counts actions that another program has changed.
func TestUnreadableActions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderflow.db")
	s := openInside(t, path, Options{})
	execute(t, path, `INSERT INTO operator_actions VALUES
		('readable', unixepoch() * 1000, 'ann', 'replay', '', '', NULL, 'unknown', 0, ''),
		('late', 253402300800000, 'ann', 'replay', '', '', NULL, 'unknown', 0, ''),
		('ended late', unixepoch() * 1000, 'ann', 'replay', '', '', 253402300800000, 'done', 0, ''),
		('outcome', unixepoch() * 1000, 'ann', 'replay', '', '', NULL, 'well', 0, '')`)
	page, err := s.OperatorActions().List(t.Context(), ports.OperatorActionQuery{Limit: 100})
	if err != nil || len(page.Actions) != 1 || page.Actions[0].ID != "readable" || page.Unreadable != 3 {
		t.Errorf("%+v, error %v, want one action and 3 unreadable", page, err)
	}
}
