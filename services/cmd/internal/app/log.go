package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/requestid"
)

// logger returns the service's log. Lines about a request have its id. The log hides
// the secrets in errors, which may come from any library.
func (c *Common) logger(out io.Writer) *slog.Logger {
	if err := c.level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		panic(err) // the enum allows no others
	}
	return slog.New(requestid.Handler(c.formatted(out, &slog.HandlerOptions{Level: &c.level, ReplaceAttr: hideSecrets})))
}

// LogChannel returns the channel that writes notifications to the output, between
// the lines of the log. Its Ping fails while the output can't be written.
func (c *Common) LogChannel(out *Output) interface {
	ports.Channel
	ports.Pinger
} {
	return logChannel{logchannel.New(requestid.Handler(c.noticeHandler(out))), out}
}

type logChannel struct {
	*logchannel.Channel
	ports.Pinger
}

// noticeHandler returns the handler for notifications, whose callers wait for
// their lines.
func (c *Common) noticeHandler(out *Output) slog.Handler {
	return newNoticeHandler(out, func(w io.Writer) slog.Handler { return c.formatted(w, nil) })
}

func (c *Common) formatted(w io.Writer, options *slog.HandlerOptions) slog.Handler {
	if c.LogFormat == "text" {
		return slog.NewTextHandler(escaping{w}, options)
	}
	return slog.NewJSONHandler(escaping{w}, options)
}

// resumed returns the log line that follows a failure or dropped lines.
func (c *Common) resumed(dropped int) []byte {
	var line bytes.Buffer
	log := slog.New(c.formatted(&line, nil))
	if dropped == 0 {
		log.Info("the log can be written again")
	} else {
		log.Warn(fmt.Sprintf("the log can be written again; %d log lines were dropped", dropped), "dropped", dropped)
	}
	return line.Bytes()
}

func hideSecrets(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindAny {
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, Redact(err.Error()))
		}
	}
	return a
}

// escaping escapes characters that control a terminal, which slog does not
// escape in either format.
type escaping struct{ io.Writer }

func (e escaping) Write(p []byte) (int, error) {
	line := p
	if bytes.IndexByte(p, 0x7F) >= 0 || bytes.IndexByte(p, 0xC2) >= 0 { // rarely
		line = httpapi.EscapeControls(p)
	}
	if _, err := e.Writer.Write(line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// noticeHandler is a handler whose Handle waits until its line is written or has
// failed. Each call has its own buffer, because the output writes several callers'
// lines together.
type noticeHandler struct {
	out     *Output
	open    func(io.Writer) slog.Handler
	notices sync.Pool // of *notice
}

type notice struct {
	line
	buffer  bytes.Buffer
	handler slog.Handler // writes to the buffer
}

func newNoticeHandler(out *Output, open func(io.Writer) slog.Handler) *noticeHandler {
	h := &noticeHandler{out: out, open: open}
	h.notices.New = func() any {
		n := &notice{line: line{result: make(chan error, 1)}}
		n.handler = open(&n.buffer)
		return n
	}
	return h
}

// Enabled returns true.
func (h *noticeHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes the record as a line.
func (h *noticeHandler) Handle(ctx context.Context, record slog.Record) error {
	n := h.notices.Get().(*notice)
	n.buffer.Reset()
	if err := n.handler.Handle(ctx, record); err != nil {
		return err
	}
	n.text = n.buffer.Bytes()
	err := h.out.writeLine(ctx, &n.line)
	if err != errUnderWay {
		n.ctx = nil
		h.notices.Put(n)
	}
	return err
}

// WithAttrs returns a handler whose lines have the attributes.
func (h *noticeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return newNoticeHandler(h.out, func(w io.Writer) slog.Handler { return h.open(w).WithAttrs(attrs) })
}

// WithGroup returns a handler that puts further attributes of its lines into the
// group.
func (h *noticeHandler) WithGroup(name string) slog.Handler {
	return newNoticeHandler(h.out, func(w io.Writer) slog.Handler { return h.open(w).WithGroup(name) })
}
