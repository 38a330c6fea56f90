package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/services/cmd/proof/harness"
)

type storedOrder struct {
	Order  `bson:",inline"`
	Outbox bson.Raw `bson:"outbox"`
}

// record is the delivery log's entry of a notification.
type record struct {
	ID struct {
		EventID   string `bson:"event_id"`
		Channel   string `bson:"channel"`
		Recipient string `bson:"recipient"` // empty: the channel log has none
	} `bson:"_id"`
	OrderID string    `bson:"order_id"`
	Attempt int       `bson:"attempt"`
	SentAt  time.Time `bson:"sent_at"`
	State   string    `bson:"state"` // empty: it was sent
	Reason  string    `bson:"reason"`
}

// send is the line that the log channel writes as a notification.
type send struct {
	Order             // without its id and its time
	OrderID string    `json:"order_id"`
	EventID string    `json:"event_id"`
	Time    time.Time `json:"time"`
	process string
}

type deadLetter struct {
	ID     string
	Reason string
	Body   string
	NoText []byte `json:"body_base64"` // a body that is no text
}

// readStore reads what the store has at the end.
func (a *account) readStore(ctx context.Context, database harness.Database) error {
	for collection, into := range map[string]any{harness.Orders: &a.orders, harness.Deliveries: &a.records} {
		cursor, err := database.Collection(collection).Find(ctx, bson.M{})
		if err == nil {
			err = cursor.All(ctx, into)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", collection, err)
		}
	}
	return nil
}

// readLogs reads the logs of all processes and all their lives.
func (a *account) readLogs(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*-*.log"))
	if err != nil {
		return err
	}
	for _, name := range files {
		log, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		a.readLog(filepath.Base(name), string(log))
	}
	return nil
}

// readLog reads one log, whose file is named PROGRAM-NUMBER.LIFE.log. A kill may cut
// the last line off. The last line may also be the reason of a failure; the exit status
// decides whether that is excused.
func (a *account) readLog(name, log string) {
	program, _, _ := strings.Cut(name, "-")
	process, _, _ := strings.Cut(name, ".")
	lines := strings.SplitAfter(log, "\n") // the last one is empty, or cut off
	for n, line := range lines[:len(lines)-1] {
		s := send{process: process}
		last := n == len(lines)-2 && lines[n+1] == ""
		isSend := strings.Contains(line, harness.Notified)
		if program == programVictim && a.readVictim(line) {
			continue
		}
		switch {
		case last && strings.HasPrefix(line, program+": "):
		case program == harness.Orderflow && (line == "\n" || strings.HasPrefix(line, "  ")): // its welcome
		case a.strict && isError(line):
			a.breaks(logsNoError, "%s: %.300s", name, strings.TrimSpace(line))
		case line[0] != '{', isSend && json.Unmarshal([]byte(line), &s) != nil:
			a.breaks(logsOnly, "%s: %.200s", name, strings.TrimSpace(line))
		case isSend:
			a.sends = append(a.sends, s)
		}
	}
}

// isError reports whether the line is about a failure that nothing in the trial causes.
func isError(line string) bool {
	return (strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "unavailable")) && !strings.Contains(line, harness.RefusedOnPurpose)
}

// readVictim reads a line that only the victim writes, and reports whether it is one.
func (a *account) readVictim(line string) bool {
	var said struct {
		Time         time.Time
		Msg          string
		Notification string
		EventID      string `json:"event_id"`
		Body         string
	}
	if json.Unmarshal([]byte(line), &said) != nil {
		return false
	}
	switch said.Msg {
	case harness.Recorded:
		if at, known := a.recorded[said.Notification]; !known || said.Time.Before(at) {
			a.recorded[said.Notification] = said.Time
		}
	case harness.PickySent:
		a.pickySent[said.EventID] = append(a.pickySent[said.EventID], said.Time)
	case harness.PoisonKept:
		a.poison = append(a.poison, said.Body)
	default:
		return false
	}
	return true
}

// readLetters reads the dead letters through a notifier's admin address.
func (a *account) readLetters(ctx context.Context, admin string) error {
	a.letters = nil
	list := "http://" + admin + "/dead-letters"
	for query := (url.Values{"state": {"waiting"}, "limit": {"1000"}}); ; {
		var page struct {
			Data       []struct{ ID string }
			NextCursor string `json:"next_cursor"`
		}
		if err := harness.GetJSON(ctx, list+"?"+query.Encode(), &page); err != nil {
			return fmt.Errorf("list dead letters: %w", err)
		}
		for _, l := range page.Data {
			var letter deadLetter
			if err := harness.GetJSON(ctx, list+"/"+url.PathEscape(l.ID), &letter); err != nil {
				return fmt.Errorf("read a dead letter: %w", err)
			}
			letter.Body += string(letter.NoText)
			a.letters = append(a.letters, letter)
		}
		if page.NextCursor == "" {
			return nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
