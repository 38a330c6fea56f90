package mongodb

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/orderflow/domain"
)

// originDocument is what caused an event. Earlier versions wrote none.
type originDocument struct {
	RequestID   string `bson:"request_id,omitempty"`
	TraceParent string `bson:"traceparent,omitempty"`
	TraceState  string `bson:"tracestate,omitempty"`
}

// newOriginDocument returns nil if nothing is known.
func newOriginDocument(o domain.Origin) *originDocument {
	if o = o.Valid(); o != (domain.Origin{}) {
		return (*originDocument)(&o)
	}
	return nil
}

// readOrigin reads a document from newOriginDocument. Fields that can't be read are empty:
// no event is lost because of them.
func readOrigin(document bson.RawValue) domain.Origin {
	fields, _ := document.DocumentOK()
	text := func(name string) string {
		text, _ := fields.Lookup(name).StringValueOK()
		return text
	}
	return domain.Origin{RequestID: text("request_id"), TraceParent: text("traceparent"), TraceState: text("tracestate")}.Valid()
}
