package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/author"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/wiring"
)

// What operators do.
const (
	Replay        = "replay"
	Discard       = "discard"
	Restore       = "restore"
	Pause         = "pause"
	Resume        = "resume"
	Forget        = "forget"
	PutContact    = "put_contact"
	DeleteContact = "delete_contact"
	Import        = "import"
	ForgetChannel = "forget_channel"
	Test          = "test"
)

// Names are the names of all actions.
var Names = []string{Replay, Discard, Restore, Pause, Resume, Forget, PutContact, DeleteContact, Import, ForgetChannel, Test}

// Entry is an action that an operator wants.
type Entry struct {
	Action string
	By     string // who wants it
	Target string // what it is done to, without personal data; see [User]. Addresses in it are masked
	Reason string // why, in the operator's words; may be empty. Addresses in it are masked
}

// User returns a target that stands for the user: a hash, which says nothing to those who
// don't know the id. So nothing has to be changed when the user is forgotten.
func User(id string) string {
	hash := sha256.Sum256([]byte(id))
	return "user#" + hex.EncodeToString(hash[:4])
}

// WithoutUser returns the text with [User] in place of the user's id, where it is a word.
func WithoutUser(text, id string) string {
	isPart := func(r rune, size int) bool { return size > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
	var without strings.Builder
	for id != "" {
		i := strings.Index(text, id)
		if i < 0 {
			break
		}
		before, after := text[:i], text[i+len(id):]
		without.WriteString(before)
		if isPart(utf8.DecodeLastRuneInString(before)) || isPart(utf8.DecodeRuneInString(after)) {
			without.WriteString(id)
		} else {
			without.WriteString(User(id))
		}
		text = after
	}
	return without.String() + text
}

// Journal writes what operators do.
type Journal struct {
	store ports.OperatorActions
	log   *slog.Logger
}

// NewJournal returns an error if the store is nil. If log is nil, the journal uses
// slog.Default().
func NewJournal(store ports.OperatorActions, log *slog.Logger) (*Journal, error) {
	if err := wiring.Check("journal", wiring.Part{Name: "a store of operators' actions", Given: store}); err != nil {
		return nil, err
	}
	return &Journal{store: store, log: wiring.Logger(log)}, nil
}

// Do writes the entry, calls act, and writes how many records act has changed and its error,
// which Do returns. If the entry can't be written, Do returns that error and does not call
// act.
func (j *Journal) Do(ctx context.Context, entry Entry, act func(context.Context) (count int, err error)) error {
	running, err := j.Begin(ctx, entry)
	if err != nil {
		return err
	}
	count, err := act(ctx)
	running.End(ctx, count, err)
	return err
}

// The bounds of an entry's texts, in characters.
const (
	maxText  = 256
	maxError = 512
)

// Begin writes the entry of an action that is not done in one call. The caller does nothing
// if Begin returns an error, and otherwise calls End.
func (j *Journal) Begin(ctx context.Context, entry Entry) (*Running, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("%s: make an id for the entry: %w", entry.Action, err)
	}
	err = j.store.Begin(ctx, ports.OperatorAction{
		ID: id.String(), At: now(), By: author.Clean(entry.By), Action: entry.Action,
		Target: visible(mask.Text(entry.Target), maxText), Reason: visible(mask.Text(entry.Reason), maxText),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: nothing was done, because it could not be recorded: %w", entry.Action, err)
	}
	return &Running{journal: j, id: id.String()}, nil
}

// Running is an action that has begun.
type Running struct {
	journal *Journal
	id      string
}

// endTimeout bounds the writing of an end.
const endTimeout = 5 * time.Second

// End writes how the action has ended, even if ctx has ended. If that fails, End logs it,
// and the outcome stays unknown.
func (r *Running) End(ctx context.Context, count int, err error) {
	end := ports.ActionEnd{Outcome: ports.ActionDone, Count: count}
	if err != nil {
		end.Outcome, end.Error = ports.ActionFailed, ErrorText(err)
	}
	r.end(ctx, end)
}

// EndEarly is End of an action that was stopped before it was through, which is no failure.
// how says who has stopped it, and when.
func (r *Running) EndEarly(ctx context.Context, count int, how string) {
	r.end(ctx, ports.ActionEnd{Outcome: ports.ActionDone, Count: count, Error: visible(mask.Text(how), maxError)})
}

func (r *Running) end(ctx context.Context, end ports.ActionEnd) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	end.EndedAt = now()
	if err := r.journal.store.End(ctx, r.id, end); err != nil {
		r.journal.log.ErrorContext(ctx, "the end of an operator's action was not recorded", "action_id", r.id,
			"outcome", string(end.Outcome), "count", end.Count, "error", mask.Error(err))
	}
}

// ErrorText returns the error without personal data. The store's texts may name a user.
func ErrorText(err error) string {
	var invalid *domain.InvalidError
	switch {
	case errors.Is(err, ports.ErrNotFound):
		return ports.ErrNotFound.Error()
	case errors.Is(err, context.Canceled):
		return "the request was cancelled"
	case errors.Is(err, ports.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return "the store or the broker was unavailable"
	case errors.As(err, &invalid), errors.As(err, new(*ports.UnreadableError)):
		return "a record or a value can't be used; the log has the error"
	}
	return visible(mask.Text(err.Error()), maxError)
}

// visible returns the text in one line of visible characters, cut at the limit.
func visible(text string, limit int) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)), " ")
	if characters := []rune(text); len(characters) > limit {
		return string(characters[:limit-1]) + "…"
	}
	return text
}

func now() time.Time { return domain.TruncateTime(time.Now()) }
