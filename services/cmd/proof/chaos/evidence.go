package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/services/cmd/proof/harness"
)

// evidence is everything that the account is made of.
type evidence struct {
	requests []*request
	orders   []storedOrder
	records  []record
	sends    []send
	letters  []deadLetter
	poison   []string // bodies
}

type storedOrder struct {
	ID        string    `bson:"_id"`
	UserID    string    `bson:"user_id"`
	Product   string    `bson:"product"`
	Quantity  int       `bson:"quantity"`
	CreatedAt time.Time `bson:"created_at"`
	Outbox    bson.Raw  `bson:"outbox"`
}

// record is the delivery log's entry of a notification.
type record struct {
	ID struct {
		EventID string `bson:"event_id"`
		Channel string `bson:"channel"`
	} `bson:"_id"`
	OrderID string    `bson:"order_id"`
	Attempt int       `bson:"attempt"`
	SentAt  time.Time `bson:"sent_at"`
}

// send is the line that the log channel writes as a notification.
type send struct {
	EventID  string    `json:"event_id"`
	OrderID  string    `json:"order_id"`
	UserID   string    `json:"user_id"`
	Product  string    `json:"product"`
	Quantity int       `json:"quantity"`
	Time     time.Time `json:"time"`
	process  string
}

type deadLetter struct {
	ID         string
	Reason     string
	Body       string
	BodyBase64 string `json:"body_base64"`
}

// readStore reads what the store has at the end.
func (e *evidence) readStore(ctx context.Context, database harness.Database) error {
	for collection, into := range map[string]any{harness.Orders: &e.orders, harness.Deliveries: &e.records} {
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
func (e *evidence) readLogs(folder string, journal *journal) error {
	files, err := filepath.Glob(filepath.Join(folder, "*-*.log"))
	if err != nil {
		return err
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		process, _, _ := strings.Cut(filepath.Base(name), ".")
		err = e.readLog(process, file, func(line string) {
			journal.breaks(logsOnly, "%s: %.200s", filepath.Base(name), line)
		})
		file.Close()
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

// readLog reads one log and passes on every strange line. A kill may cut the last
// line off. The last line may also be the reason of a failure; the exit status
// decides whether that is excused.
func (e *evidence) readLog(process string, log io.Reader, strange func(line string)) error {
	program, _, _ := strings.Cut(process, "-")
	r := bufio.NewReader(log)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte(program+": ")) {
			if _, more := r.Peek(1); more == io.EOF {
				return nil
			}
		}
		s := send{process: process}
		switch {
		case line[0] != '{':
			strange(strings.TrimSpace(string(line)))
		case !bytes.Contains(line, []byte(harness.Notified)):
		case json.Unmarshal(line, &s) != nil:
			strange(strings.TrimSpace(string(line)))
		default:
			e.sends = append(e.sends, s)
		}
	}
}

// readLetters reads the dead letters through a notifier's admin address.
func (e *evidence) readLetters(ctx context.Context, admin string) error {
	e.letters = nil
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
			if letter.BodyBase64 != "" {
				body, err := base64.StdEncoding.DecodeString(letter.BodyBase64)
				if err != nil {
					return fmt.Errorf("read dead letter %s: %w", l.ID, err)
				}
				letter.Body = string(body)
			}
			e.letters = append(e.letters, letter)
		}
		if page.NextCursor == "" {
			return nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
