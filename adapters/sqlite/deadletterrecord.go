package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

const (
	recordColumns = "SELECT id, subscription, message_id, state, since, settled_at, settled_by, event_type, user_id, failures"

	selectRecords      = recordColumns + " FROM dead_letters"
	selectWholeRecords = recordColumns + ", properties, body FROM dead_letters"
)

// readRecord reads a row of selectRecords, as List returns it.
func readRecord(r row) (ports.DeadLetterRecord, error) {
	fields := record{row: r, id: r.ColumnText(0)}
	letter := ports.DeadLetterRecord{
		ID:           fields.id,
		Subscription: r.ColumnText(1),
		Message:      ports.Message{ID: r.ColumnText(2)},
		State:        ports.DeadLetterState(r.ColumnText(3)),
		Since:        fields.date(4, "since"),
		EventType:    r.ColumnText(7),
		UserID:       r.ColumnText(8),
		Failures:     readFailures(&fields, 9),
	}
	if letter.State.Check() != nil {
		fields.fail("state", fmt.Sprintf("must be %s, %s or %s", ports.Waiting, ports.Replayed, ports.Discarded))
	}
	if letter.State != ports.Waiting {
		fields.require(5, "settled_at")
		letter.SettledAt, letter.SettledBy = fields.date(5, "settled_at"), r.ColumnText(6)
	}
	if fields.err != nil {
		return ports.DeadLetterRecord{}, fields.err
	}
	return letter, nil
}

// readWholeRecord reads a row of selectWholeRecords.
func readWholeRecord(r row) (ports.DeadLetterRecord, error) {
	letter, err := readRecord(r)
	if err != nil {
		return letter, err
	}
	message, err := decodeMessage(r.ColumnText(10), r.blob(11))
	if err != nil {
		return ports.DeadLetterRecord{}, unreadable(letter.ID, "message", "is damaged: "+err.Error())
	}
	letter.Message = message
	return letter, nil
}

type failure struct {
	Reason       string    `json:"reason"`
	Attempts     int       `json:"attempts"`
	FirstFailure time.Time `json:"first_failure"`
	LastFailure  time.Time `json:"last_failure"`
}

func encodeFailures(failures []ports.Failure) (string, error) {
	all := make([]failure, len(failures))
	for i, f := range failures {
		all[i] = failure(f)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", ports.Permanent(fmt.Errorf("encode its failures: %w", err))
	}
	return string(text), nil
}

func readFailures(fields *record, column int) (failures []ports.Failure) {
	var all []failure
	fields.json(column, "failures", &all)
	if len(all) == 0 {
		fields.fail("failures", "is empty")
	}
	for _, f := range all {
		for name, at := range map[string]time.Time{"first_failure": f.FirstFailure, "last_failure": f.LastFailure} {
			if at.IsZero() {
				fields.fail("failures."+name, "is missing")
			} else if !domain.IsWritable(at) {
				fields.fail("failures."+name, "must be in the years 1 to 9999")
			}
		}
		failures = append(failures, ports.Failure(f))
	}
	return failures
}
