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
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// evidence is all that the account is made of.
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

// record is what the delivery log has of an event that was sent.
type record struct {
	ID struct {
		EventID string `bson:"event_id"`
		Channel string `bson:"channel"`
	} `bson:"_id"`
	OrderID string    `bson:"order_id"`
	Attempt int       `bson:"attempt"`
	SentAt  time.Time `bson:"sent_at"`
}

// send is a line by which the channel has sent an event.
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

// readStore reads what the store has in the end.
func (e *evidence) readStore(ctx context.Context, s *servers) error {
	for collection, into := range map[string]any{ordersCollection: &e.orders, deliveriesCollection: &e.records} {
		cursor, err := s.database.Collection(collection).Find(ctx, bson.M{})
		if err == nil {
			err = cursor.All(ctx, into)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", collection, err)
		}
	}
	return nil
}

// readLogs reads what the processes have written, of all their lives.
func (e *evidence) readLogs(folder string, ledger *ledger) error {
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
			ledger.breaks(logsOnly, "%s: %.200s", filepath.Base(name), line)
		})
		file.Close()
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

// isReason reports whether the line is what a program says of its failure.
func isReason(process string, line []byte) bool {
	program, _, _ := strings.Cut(process, "-")
	return bytes.HasPrefix(line, []byte(program+": "))
}

// readLog reads one log. Its last line may be cut off by a kill, or be the
// reason of a status that is not 0: whether that has an excuse is judged there.
func (e *evidence) readLog(process string, log io.Reader, strange func(line string)) error {
	r := bufio.NewReader(log)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if line[0] != '{' {
			if _, more := r.Peek(1); more == io.EOF && isReason(process, line) {
				return nil
			}
			strange(strings.TrimSpace(string(line)))
			continue
		}
		if !bytes.Contains(line, []byte(`"msg":"Received order"`)) {
			continue
		}
		s := send{process: process}
		if err := json.Unmarshal(line, &s); err != nil {
			strange(strings.TrimSpace(string(line)))
			continue
		}
		e.sends = append(e.sends, s)
	}
}

// readLetters reads the dead letters from a notifier's admin address.
func (e *evidence) readLetters(ctx context.Context, admin string) error {
	e.letters = nil
	for cursor := ""; ; {
		var page struct {
			Data       []struct{ ID string }
			NextCursor *string `json:"next_cursor"`
		}
		query := url.Values{"state": {"waiting"}, "limit": {"1000"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		if err := getJSON(ctx, "http://"+admin+"/dead-letters?"+query.Encode(), &page); err != nil {
			return fmt.Errorf("list dead letters: %w", err)
		}
		for _, l := range page.Data {
			var letter deadLetter
			if err := getJSON(ctx, "http://"+admin+"/dead-letters/"+url.PathEscape(l.ID), &letter); err != nil {
				return fmt.Errorf("read dead letter: %w", err)
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
		if page.NextCursor == nil || *page.NextCursor == "" {
			return nil
		}
		cursor = *page.NextCursor
	}
}

// allParked reports whether every poison body is among the dead letters.
func (e *evidence) allParked() bool {
	parked := make(map[string]bool, len(e.letters))
	for _, l := range e.letters {
		parked[l.Body] = true
	}
	return !slices.ContainsFunc(e.poison, func(body string) bool { return !parked[body] })
}
