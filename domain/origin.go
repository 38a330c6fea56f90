package domain

import "strings"

// Origin is what caused an event: a request, and its place in a trace. It is for
// people and their tools. Nothing depends on it.
type Origin struct {
	RequestID   string
	TraceParent string // as in the header traceparent of W3C Trace Context
	TraceState  string // as in its header tracestate
}

// Limits of an origin, in bytes.
const (
	MaxRequestID  = 128
	MaxTraceState = 512
)

// Valid returns the origin without the fields that break a rule. Another program may
// have written them, and no event is lost because of them.
func (o Origin) Valid() Origin {
	if !IsRequestID(o.RequestID) {
		o.RequestID = ""
	}
	if !isTraceParent(o.TraceParent) {
		o.TraceParent, o.TraceState = "", "" // a state belongs to its parent
	}
	if len(o.TraceState) > MaxTraceState || !consistsOf(o.TraceState, isPrintable) {
		o.TraceState = ""
	}
	return o
}

// IsRequestID reports whether a request may have this id: 1 to 128 visible ASCII
// characters.
func IsRequestID(id string) bool {
	return id != "" && len(id) <= MaxRequestID && consistsOf(id, isGraphic)
}

// isTraceParent reports whether the text has the form of
// 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01: version, trace, span, flags.
func isTraceParent(text string) bool {
	if len(text) != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return false
	}
	version, trace, span, flags := text[:2], text[3:35], text[36:52], text[53:]
	return consistsOf(version, isHex) && version != "ff" &&
		consistsOf(trace, isHex) && strings.Trim(trace, "0") != "" &&
		consistsOf(span, isHex) && strings.Trim(span, "0") != "" &&
		consistsOf(flags, isHex)
}

func consistsOf(text string, allowed func(byte) bool) bool {
	for i := range len(text) {
		if !allowed(text[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool       { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
func isGraphic(c byte) bool   { return ' ' < c && c <= '~' }
func isPrintable(c byte) bool { return ' ' <= c && c <= '~' }
