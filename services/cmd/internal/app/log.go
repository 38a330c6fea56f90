package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/requestid"
)

// LogHandler returns the log's handler at the level that is set. Lines of a
// request have its id. Secrets in errors, which may come from anywhere, are
// hidden.
func (c *Common) LogHandler(out io.Writer) slog.Handler {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		panic(err) // the enum allows no others
	}
	return requestid.Handler(c.formatted(escaping{out}, &slog.HandlerOptions{Level: level, ReplaceAttr: hideSecrets}))
}

// noticeHandler returns the handler for notifications, whose lines are waited
// for.
func (c *Common) noticeHandler(out *Output) slog.Handler {
	return newNoticeHandler(out, func(w io.Writer) slog.Handler { return c.formatted(w, nil) })
}

func (c *Common) formatted(w io.Writer, options *slog.HandlerOptions) slog.Handler {
	if c.LogFormat == "text" {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

// resumed returns the line that says that the log goes on after a failure, or
// after some lines found no room.
func (c *Common) resumed(dropped int) []byte {
	var line bytes.Buffer
	log := slog.New(c.formatted(&line, nil))
	if dropped == 0 {
		log.Info("the log is written again")
	} else {
		log.Warn(fmt.Sprintf("the log is written again; %d log lines were dropped", dropped), "dropped", dropped)
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

// escaping leaves no character in lines that a terminal obeys.
type escaping struct{ io.Writer }

func (e escaping) Write(p []byte) (int, error) {
	if _, err := e.Writer.Write(escaped(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// escaped escapes what slog does not, in either format.
func escaped(line []byte) []byte {
	if bytes.IndexByte(line, 0x7F) < 0 && bytes.IndexByte(line, 0xC2) < 0 {
		return line // as nearly each is; to know is cheap
	}
	return httpapi.EscapeControls(line)
}

// noticeHandler is a handler whose Handle returns once the line is written, or
// will not be. Lines of several callers go together, so each has a buffer of its
// own.
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
		n := &notice{line: line{fate: make(chan error, 1)}}
		n.handler = open(&n.buffer)
		return n
	}
	return h
}

// Enabled returns true.
func (h *noticeHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes the record's line.
func (h *noticeHandler) Handle(ctx context.Context, record slog.Record) error {
	n := h.notices.Get().(*notice)
	n.buffer.Reset()
	if err := n.handler.Handle(ctx, record); err != nil {
		return err
	}
	n.text = escaped(n.buffer.Bytes())
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

// WithGroup returns a handler whose lines' further attributes are in the group.
func (h *noticeHandler) WithGroup(name string) slog.Handler {
	return newNoticeHandler(h.out, func(w io.Writer) slog.Handler { return h.open(w).WithGroup(name) })
}
