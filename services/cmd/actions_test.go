package cmd_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/ports"
)

// What the commands do is listed: one entry a decision, with the user of the system. The
// groups of dead letters are counted, and selected.
func TestActionsOfCommands(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "orderflow.db")
	s, err := sqlite.Open(t.Context(), url, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for i, reason := range []string{"550 no user u1", "550 no user u2", "time out"} {
		failed := at.Add(time.Duration(i) * time.Hour)
		letter := ports.DeadLetter{
			ID: "letter " + string(rune('a'+i)), Subscription: "email", Message: ports.Message{ID: "m", Body: []byte(`{"user_id":"ann"}`)},
			Failure: ports.Failure{Reason: reason, Attempts: 1, FirstFailure: failed, LastFailure: failed},
		}
		if err := s.DeadLetters().Put(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	command := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := run(t, nil, "orderflow", append(args, "--store="+url, "--broker="+url)...)
		if status != want {
			t.Fatalf("%v: exit status %d, want %d: %s%s", args, status, want, stdout, stderr)
		}
		return stdout, stderr
	}

	stdout, stderr := command(0, "dead-letters", "groups")
	if !strings.Contains(stdout, "2      email    2026-11-23T10:00:00.000Z  2026-11-23T11:00:00.000Z  550 no user …") || stderr != "3 dead letters\n" {
		t.Errorf("groups:\n%s%s", stdout, stderr)
	}
	stdout, _ = command(0, "dead-letters", "groups", "--json", "--user=ann", "--since=2026-11-23T12:00:00Z")
	if stdout != `{"channel":"email","reason":"time out","count":1,"oldest":"2026-11-23T12:00:00.000Z","newest":"2026-11-23T12:00:00.000Z"}`+"\n" {
		t.Errorf("groups as JSON: %s", stdout)
	}
	for _, args := range [][]string{{"--channel=email", "--group=550 no user …"}, {"--until=2026-11-23T12:00:00Z"}, {"--user=ann", "--reason=no user"}} {
		if stdout, _ := command(0, append([]string{"dead-letters", "list", "--json"}, args...)...); strings.Count(stdout, "\n") != 2 {
			t.Errorf("list %v:\n%s", args, stdout)
		}
	}

	command(0, "dead-letters", "discard", "--all", "--dry-run")
	command(0, "dead-letters", "discard", "--group=550 no user u9", "--channel=email", "--yes", "--why=ticket 17")
	command(1, "dead-letters", "restore", "letter a", "letter c")
	command(0, "channels", "pause", "log", "--reason=maintenance")
	command(0, "forget", "ann", "--yes")

	type action struct {
		Action, Target, Reason, Outcome, Error string
		Count                                  int
	}
	list := func(args ...string) (all []action) {
		t.Helper()
		stdout, _ := command(0, append([]string{"actions", "--json"}, args...)...)
		for line := range strings.Lines(stdout) {
			var a action
			if err := json.Unmarshal([]byte(line), &a); err != nil || !strings.Contains(line, `"by":"`) || !strings.Contains(line, `"ended_at":"`) {
				t.Errorf("%s: %v", line, err)
			}
			all = append(all, a)
		}
		return all
	}
	want := []action{
		{Action: "forget", Target: "user#49915e0d", Outcome: "done", Count: 3},
		{Action: "pause", Target: "log", Reason: "maintenance", Outcome: "done", Count: 1},
		{Action: "restore", Target: "letter a, letter c", Outcome: "failed", Count: 1,
			Error: "1 of 2 dead letters could not be restored; the first: wrong state: it is waiting; only a discarded dead letter can be restored"},
		{Action: "discard", Target: "channel email, group 550 no user u9", Reason: "ticket 17", Outcome: "done", Count: 2},
	}
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[3:], list("--action=discard", "--since=2026-01-01T00:00:00Z")); diff != "" {
		t.Errorf("actions of one kind (-want +got):\n%s", diff)
	}
	if got := list("--by=nobody"); len(got) != 0 {
		t.Errorf("actions of nobody: %+v", got)
	}
	stdout, stderr = command(0, "actions", "--limit=1")
	if !strings.HasPrefix(stdout, "AT ") || strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "--limit=1") {
		t.Errorf("one action:\n%s%s", stdout, stderr)
	}
}
