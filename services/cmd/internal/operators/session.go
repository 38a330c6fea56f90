package operators

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/notification"
)

type output struct {
	JSON bool `name:"json" help:"Print JSON, one object per line."`
}

// session has a command's streams, and the service, control or store that it uses.
type session struct {
	in  io.Reader
	out *bufio.Writer // keeps its first error for flush
	err io.Writer

	service *deadletters.Service
	control *notification.Control
	store   *app.Store

	hidesConsumers bool // the broker does not tell the consumers of other processes
}

func newSession(s app.Streams) session {
	return session{in: s.In, out: bufio.NewWriter(s.Out), err: s.Err}
}

// commandLog returns the log of a command: warnings and errors, for a person.
func commandLog(s app.Streams) *slog.Logger {
	return slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// patience is how long a command waits for the store at most: a person waits for it.
const patience = 10 * time.Second

// quick returns the settings of a command, which waits less than a service does at its start.
func quick(common *app.Common) *app.Common {
	common.StartTimeout = min(common.StartTimeout, patience)
	return common
}

// withControl opens the store for the command's work on channels, contacts and
// notifications. It checks the settings of the channels first.
func withControl(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams, work func(session) error) error {
	log := commandLog(streams)
	channels, err := notifying.OpenChannels(nil, log)
	if err != nil {
		return err
	}
	defer channels.Close()
	if err := common.CheckStoreIsShared(); err != nil {
		return err
	}
	store, err := quick(common).OpenStore(ctx, log)
	if err != nil {
		return err
	}
	defer store.Close()
	control, err := notification.NewControl(store.ForControl(), channels.Infos(), log)
	if err != nil {
		return err
	}
	session := newSession(streams)
	session.control, session.store = control, store
	err = work(session)
	return cmp.Or(err, session.flush())
}

func (s session) flush() error {
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// confirm asks the question. An error is returned unless the answer is yes.
func (s session) confirm(ctx context.Context, question string) error {
	fmt.Fprintf(s.err, "%s Type yes: ", question)
	answer := make(chan string, 1)
	go func() { // the read can't be interrupted, and may last until the process ends
		line, _ := bufio.NewReader(s.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.err)
		return errors.New("nothing was done: interrupted")
	case line := <-answer:
		if line != "yes" {
			return errors.New("nothing was done: the answer was not yes; use --yes to skip the question")
		}
		return nil
	}
}

// currentUser returns the command's user as user@host. It uses the user's number if
// the system has no name for the user.
func currentUser() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		name += "@" + host
	}
	return name
}

func (s session) printJSON(value any) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // our own types can always be encoded
	_, _ = s.out.Write(httpapi.EscapeControls(line.Bytes()))
}

// oneLine returns the first 100 characters of the text's first line.
func oneLine(text string) string {
	const limit = 100
	line, _, more := strings.Cut(text, "\n")
	runes := []rune(strings.ReplaceAll(app.Printable(line), "\t", " "))
	if len(runes) > limit {
		runes, more = runes[:limit], true
	}
	if more {
		return string(runes) + "…"
	}
	return string(runes)
}

// count returns the number with its noun, such as 1 contact or 2 contacts.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
