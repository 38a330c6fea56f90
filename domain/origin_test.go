package domain_test

import (
	"strings"
	"testing"

	"example.com/orderflow/domain"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestOriginIsValid(t *testing.T) {
	for _, o := range []domain.Origin{
		{},
		{RequestID: "a"},
		{RequestID: strings.Repeat("~", domain.MaxRequestID)},
		{TraceParent: traceParent},
		{RequestID: "!", TraceParent: traceParent, TraceState: "vendor=a b,other@x=1"},
		{TraceParent: "fe" + traceParent[2:], TraceState: strings.Repeat("x", domain.MaxTraceState)},
	} {
		if got := o.Valid(); got != o {
			t.Errorf("%+v becomes %+v, want no change", o, got)
		}
	}
}

func TestInvalidFieldsOfOrigin(t *testing.T) {
	whole := domain.Origin{RequestID: "id", TraceParent: traceParent, TraceState: "a=b"}
	for _, id := range []string{"a b", "a\n", "é", "\x7f", "\xff", strings.Repeat("x", domain.MaxRequestID+1)} {
		o := whole
		o.RequestID = id
		if got := o.Valid(); got != (domain.Origin{TraceParent: traceParent, TraceState: "a=b"}) {
			t.Errorf("request id %q: %+v", id, got)
		}
		if domain.IsRequestID(id) {
			t.Errorf("%q is a request id", id)
		}
	}
	for _, parent := range []string{
		"", "00", traceParent + "-", traceParent[1:], traceParent + "00",
		"ff" + traceParent[2:], "0x" + traceParent[2:], strings.ToUpper(traceParent), strings.Replace(traceParent, "-", "_", 1),
		strings.Replace(traceParent, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1),
		strings.Replace(traceParent, "b7ad6b7169203331", strings.Repeat("0", 16), 1),
		traceParent[:53] + "0g", traceParent[:35] + "00-" + traceParent[38:], "00-" + traceParent[2:54],
	} {
		o := whole
		o.TraceParent = parent
		if got := o.Valid(); got != (domain.Origin{RequestID: "id"}) {
			t.Errorf("trace parent %q: %+v", parent, got)
		}
	}
	for _, state := range []string{"a=b\n", "a=é", "\x00", strings.Repeat("x", domain.MaxTraceState+1)} {
		o := whole
		o.TraceState = state
		if got := o.Valid(); got != (domain.Origin{RequestID: "id", TraceParent: traceParent}) {
			t.Errorf("trace state %.20q: %+v", state, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { whole.Valid() }); n > 0 {
		t.Errorf("Valid makes %v allocations", n)
	}
}
